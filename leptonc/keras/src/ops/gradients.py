"""Functions whose gradient is given, or whose inner values are computed again for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras.src import tree

import leptonc
from leptonc.keras.src.ops.effects import performed, with_effects
from leptonc.keras.src.ops.tensors import convert_to_tensor, is_tensor, operand
from leptonc.trace import ClosedGraph, call_graph, function_name, trace_to_graph, tracing
from leptonc.tree import flatten, unflatten

__all__ = ["custom_gradient", "remat"]


def custom_gradient(fun: Callable[..., Any]) -> Callable[..., Any]:
    """``fun`` gives (result, a function from the result's gradient to those of its arguments, None for a zero)."""

    def call(*args: Any, **kwargs: Any) -> Any:
        if not tracing():
            return fun(*args, **kwargs)[0]
        return _Call(fun, kwargs).vjp()(*tree.map_structure(operand, args))

    return call


class _Call:
    """One call of such a function. The gradient function is traced with the result: what it closes over are the residuals."""

    def __init__(self, fun: Callable[..., Any], kwargs: dict[str, Any]):
        self.fun, self.kwargs = fun, tree.map_structure(operand, kwargs)
        self.pullback: ClosedGraph | None = None

    def vjp(self) -> Callable[..., Any]:
        function = leptonc.custom_vjp(self.result)
        function.defvjp(self.forward, self.backward)
        return function

    def result(self, *args: Any) -> Any:
        return tree.map_structure(operand, self.fun(*args, **self.kwargs)[0])

    def forward(self, *args: Any) -> tuple[Any, tuple[Any, ...]]:
        result, gradient = self.fun(*args, **self.kwargs)
        leaves, structure = flatten(tree.map_structure(convert_to_tensor, result))

        def pulled(*upstream: Any) -> tuple[Any, ...]:
            found = gradient(unflatten(structure, upstream))
            found = tuple(found) if isinstance(found, list | tuple) and len(found) == len(args) else (found,)
            return tuple(_in_dtype_of(x, g) for x, g in zip(args, found, strict=True))

        self.pullback = trace_to_graph(pulled, [x.type for x in leaves], function_name(gradient))
        return unflatten(structure, leaves), self.pullback.captured

    def backward(self, residuals: tuple[Any, ...], upstream: Any) -> Any:
        assert self.pullback is not None
        found = call_graph(self.pullback.graph, (*flatten(upstream)[0], *residuals))
        return unflatten(self.pullback.out_tree, found)


def _in_dtype_of(x: Any, gradient: Any) -> Any:
    return gradient if gradient is None or not is_tensor(x) else convert_to_tensor(gradient, x.dtype)


def remat(f: Callable[..., Any]) -> Callable[..., Any]:
    """``f``, whose inner values are computed again in the backward pass."""

    def call(*args: Any, **kwargs: Any) -> Any:
        if not tracing():
            return f(*args, **kwargs)
        return performed(lambda variables, values: _checkpointed(f, args, kwargs, variables, values))

    return call


def _checkpointed(f: Callable[..., Any], args: Any, kwargs: Any, variables: Any, values: list[Any]) -> Any:
    """Tensors among the arguments are the checkpoint's; the others, such as ``training``, are known."""
    leaves = tree.flatten((args, kwargs))
    places = [n for n, leaf in enumerate(leaves) if is_tensor(leaf)]

    def run(*tensors: Any) -> Any:
        given, named = tree.pack_sequence_as((args, kwargs), _placed(leaves, places, tensors))
        return f(*given, **named)

    return leptonc.checkpoint(with_effects(run, variables))(values, *(leaves[n] for n in places))


def _placed(leaves: list[Any], places: list[int], tensors: tuple[Any, ...]) -> list[Any]:
    at = dict(zip(places, tensors))
    return [at.get(n, leaf) for n, leaf in enumerate(leaves)]
