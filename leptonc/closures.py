"""What functions close over: ``custom_gradient``, whose rules close over what the forward pass made, and ``closure_convert``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from leptonc import tree
from leptonc.arguments import function
from leptonc.custom import custom_vjp
from leptonc.errors import ArgumentError, TreeError, describe
from leptonc.promotion import is_weak
from leptonc.public import public
from leptonc.signature import argument_names, as_leaf, leaf_type
from leptonc.trace import ClosedGraph, Tracer, call_graph, function_name, trace_to_graph, tracing


def custom_gradient(fun: Callable[..., Any]) -> Callable[..., Any]:
    """A function and its derivative in one. ``fun(*args)`` gives (its result, a function of the result's cotangent), which gives
    the argument's: of several arguments a tuple with one for each, None for a zero. What it closes over is kept for the backward
    pass. Forward mode does not take it.

        @leptonc.custom_gradient
        def f(x):
            y = leptonc.numpy.exp(x)
            return y, lambda g: g * y

    Raises TreeError, when it is called in a trace, for what is no such pair.
    """
    name = f"custom_gradient of {function_name(function('custom_gradient', 'fun', fun))}"

    @functools.wraps(fun)
    def result(*args: Any, **kwargs: Any) -> Any:
        return _pair(name, fun(*args, **kwargs))[0]

    @functools.wraps(fun)
    def forward(*args: Any) -> Any:
        out, rule = _pair(name, fun(*args))
        return out, _Pullback.of(rule, out, len(args))

    differentiated = custom_vjp(result)
    differentiated.defvjp(forward, lambda pullback, cotangent: pullback(cotangent))
    return differentiated


def _pair(name: str, found: Any) -> tuple[Any, Callable[..., Any]]:
    if not isinstance(found, tuple | list) or len(found) != 2 or not callable(found[1]):
        raise TreeError(f"{name}: it must return a pair (result, function of its cotangent), returned {describe(found)}")
    return found[0], found[1]


@dataclass(frozen=True, eq=False)
class _Pullback:
    """A rule as a tree: what it closes over are its leaves. It is called with the cotangent of the result."""

    closed: ClosedGraph
    captured: tuple[Any, ...]

    @staticmethod
    def of(rule: Callable[..., Any], out: Any, count: int) -> _Pullback:
        """``rule`` of the result ``out`` of a function of ``count`` arguments."""
        leaves, structure = tree.flatten(out)
        types = [leaf_type(x, "the result", function_name(rule)) for x in leaves]

        def on_leaves(*cotangents: Any) -> Any:
            found = rule(tree.unflatten(structure, cotangents))
            return tuple(found) if isinstance(found, tuple | list) and len(found) == count else (found,)

        closed = trace_to_graph(on_leaves, types, function_name(rule))
        return _Pullback(closed, closed.captured)

    def __call__(self, cotangent: Any) -> Any:
        found = call_graph(self.closed.graph, (*tree.leaves(cotangent), *self.captured))
        return tree.unflatten(self.closed.out_tree, found)


tree.register(_Pullback, lambda rule: (rule.captured, rule.closed), lambda closed, captured: _Pullback(closed, tuple(captured)))


def closure_convert(fun: Callable[..., Any], *example_args: Any) -> tuple[Callable[..., Any], list[Any]]:
    """(``converted``, what ``fun`` closes over): ``converted(*args, *closed_over)`` is ``fun(*args)``, so that rules of derivatives
    can take as arguments what a function given to them closes over. ``example_args`` are like the arguments. Closed over are floats
    under transformation, which may have derivatives; other values stay inside.

    Raises ArgumentError or TreeError for a call with other arguments than the examples.
    """
    name = f"closure_convert of {function_name(function('closure_convert', 'fun', fun))}"
    if not tracing():
        return fun, []
    leaves, structure = tree.flatten((example_args, {}))
    paths = argument_names(fun, structure)
    made = [x if isinstance(x, Tracer) or is_weak(x) else as_leaf(x, path, name) for x, path in zip(leaves, paths)]
    types = [leaf_type(x, path, name) for x, path in zip(made, paths)]

    def on_leaves(*given: Any) -> Any:
        return fun(*tree.unflatten(structure, given)[0])

    closed = trace_to_graph(on_leaves, types, function_name(fun), paths, [is_weak(x) for x in made])
    hoisted = [x for x in closed.captured if x.type.dtype.is_inexact]

    @public
    def converted(*args: Any) -> Any:
        if len(args) != len(example_args) + len(hoisted):
            raise ArgumentError(f"{name}: it takes {len(example_args)} arguments and {len(hoisted)} values closed over, given "
                                f"{len(args)} in all")
        own, rest = args[:len(example_args)], iter(args[len(example_args):])
        given, got = tree.flatten((own, {}))
        if reason := tree.difference(structure, got, "the arguments"):
            raise TreeError(f"{name}: not as the examples: {reason}")
        values = [next(rest) if x.type.dtype.is_inexact else x for x in closed.captured]
        return tree.unflatten(closed.out_tree, call_graph(closed.graph, (*given, *values)))

    return converted, list(hoisted)
