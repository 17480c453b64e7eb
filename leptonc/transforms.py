"""Functions of functions: gradients, shapes without values, the graph behind a function.

``grad`` and ``vjp`` trace the function to a Graph, differentiate that, and put the result into the enclosing trace,
or evaluate it if there is none. So they nest, in each other and in ``jit``.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from leptonc import tree
from leptonc.arguments import flag, function, integers, is_one
from leptonc.arguments import shape as shape_of
from leptonc.bfloat16 import kind_of
from leptonc.driver import differentiate, linear_reverse
from leptonc.eager import jit_disabled, set_jit_disabled
from leptonc.errors import ArgumentError, DtypeError, ShapeError, TreeError, describe, op_error
from leptonc.ir.graph import Graph
from leptonc.ir.types import TensorType, dtype_of
from leptonc.promotion import is_weak, numpy_dtype
from leptonc.public import public
from leptonc.signature import argument_names, as_leaf, leaf_type, position_names
from leptonc.trace import (
    ClosedGraph,
    Tracer,
    as_default,
    bind,
    call_graph,
    cast,
    function_name,
    trace_to_graph,
)


class Array(ABC):
    """``isinstance(x, Array)`` holds for NumPy arrays and for traced values."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]: ...

    @property
    @abstractmethod
    def dtype(self) -> np.dtype: ...


Array.register(np.ndarray)
Array.register(Tracer)


class ShapeDtypeStruct:
    """A shape and a NumPy dtype standing in for an array: ``ShapeDtypeStruct((2, 3), "float32")``.

    Raises DtypeError for an unsupported dtype, ShapeError for negative extents.
    """

    __slots__ = ("dtype", "shape")

    def __init__(self, shape: Sequence[int], dtype: Any):
        self.dtype = numpy_dtype(dtype, "ShapeDtypeStruct")
        self.shape = shape_of("ShapeDtypeStruct", shape, self.dtype.itemsize)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ShapeDtypeStruct):
            return NotImplemented
        return (self.shape, self.dtype) == (other.shape, other.dtype)

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype))

    def __repr__(self) -> str:
        return f"ShapeDtypeStruct(shape={self.shape}, dtype={self.dtype})"


@contextmanager
def disable_jit(disable: bool = True) -> Iterator[None]:
    """Inside, jitted functions called by this thread run op by op in NumPy, as Python goes."""
    wanted, saved = flag("disable_jit", "disable", disable), jit_disabled()
    set_jit_disabled(wanted)
    try:
        yield
    finally:
        set_jit_disabled(saved)


def make_graph(f: Callable[..., Any]) -> Callable[..., Graph]:
    """``make_graph(f)(*args, **kwargs)`` is the Graph that ``f`` traces to, for arrays or ShapeDtypeStructs."""

    function("make_graph", "f", f)

    @public
    @functools.wraps(f)
    def traced(*args: Any, **kwargs: Any) -> Graph:
        return _trace(f, args, kwargs).graph

    return traced


def eval_shape(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What ``f(*args, **kwargs)`` returns, each array as a ShapeDtypeStruct; nothing is computed."""
    closed = _trace(function("eval_shape", "f", f), args, kwargs)
    structs = [ShapeDtypeStruct(t.shape, t.dtype.numpy) for t in closed.graph.output_types[:closed.out_tree.num_leaves]]
    return tree.unflatten(closed.out_tree, structs)


def _trace(f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> ClosedGraph:
    leaves, treedef = tree.flatten((args, kwargs))
    names = argument_names(f, treedef)
    types = [leaf_type(leaf, name, function_name(f)) for leaf, name in zip(leaves, names)]

    @functools.wraps(f)
    def on_leaves(*tracers: Tracer) -> Any:
        args, kwargs = tree.unflatten(treedef, tracers)
        return f(*args, **kwargs)

    return trace_to_graph(on_leaves, types, function_name(f), names, [is_weak(leaf) for leaf in leaves], effects=True)


@dataclass(frozen=True)
class Primal:
    """A function traced over the leaves it is differentiated by; the rest of its arguments it closes over."""

    closed: ClosedGraph
    leaves: tuple[Any, ...]
    treedef: tree.TreeDef
    has_aux: bool = False

    @property
    def out_tree(self) -> tree.TreeDef:
        """The structure of what is differentiated: without an aux."""
        return self.closed.out_tree.children[0] if self.has_aux else self.closed.out_tree

    @property
    def inputs(self) -> tuple[Any, ...]:
        leaves = (x if isinstance(x, Tracer) else as_leaf(x, "a number", "its primal") for x in self.leaves)
        return (*leaves, *self.closed.captured)

    def cotangent(self, n: int, found: Any) -> Any:
        """What was found for leaf ``n``: for a Python number in the default dtype."""
        return as_default(found) if is_weak(self.leaves[n]) else found

    def pullback(self, wrt: tuple[int, ...], cotangents: Sequence[Any]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """(outputs, cotangents of the inputs ``wrt``) from one cotangent per float output."""
        graph = differentiate(self.closed.graph, wrt)
        results = call_graph(graph, (*self.inputs, *cotangents))
        count = len(self.closed.graph.outputs)
        return results[:count], tuple(self.cotangent(n, x) for n, x in zip(wrt, results[count:]))


def primal_of(f: Callable[..., Any], name: str, parts: Any, names: Sequence[str],
            finish: Callable[[Any], Any] = lambda out: out) -> Primal:
    """Trace ``finish(f(parts))`` over the leaves of ``parts``."""
    leaves, treedef = tree.flatten(parts)
    leaves = [leaf if isinstance(leaf, Tracer) or is_weak(leaf) else as_leaf(leaf, path, name)
              for leaf, path in zip(leaves, names)]
    types = [leaf_type(leaf, path, name) for leaf, path in zip(leaves, names)]

    @functools.wraps(f)
    def on_leaves(*tracers: Tracer) -> Any:
        return finish(f(tree.unflatten(treedef, tracers)))

    closed = trace_to_graph(on_leaves, types, name, names, [is_weak(leaf) for leaf in leaves], effects=True)
    return Primal(closed, tuple(leaves), treedef)


def value_and_grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, holomorphic: bool = False,
                   allow_int: bool = False) -> Callable[..., Any]:
    """A function returning ``(f(...), gradient)``, the gradient shaped as the arguments ``argnums`` (a tuple of such
    for a sequence); with ``has_aux``, f returns ``(value, aux)`` and the result is ``((value, aux), gradient)``.

    Of a complex argument z = x + i y the gradient is df/dx - i df/dy, as JAX's. ``holomorphic``: f is complex and so are the
    arguments, and the gradient is df/dz. Raises ShapeError if the value is not a scalar, DtypeError if it is not real (with
    ``holomorphic`` not complex), or if an argument to differentiate is no float or complex number.
    """

    check_options("value_and_grad", f, argnums, has_aux, holomorphic, allow_int)

    @public
    @functools.wraps(f)
    def with_grad(*args: Any, **kwargs: Any) -> Any:
        numbers = positions(f, argnums, len(args))
        chosen = tuple(dict.fromkeys(numbers))  # an argument named twice is differentiated once
        finish = functools.partial(_check_value, function_name(f), has_aux, holomorphic)
        primal = trace_selected("grad", f, chosen, args, kwargs, finish, "c" if holomorphic else "fc")
        count = primal.treedef.num_leaves
        one = np.ones((), primal.closed.graph.output_types[0].dtype.numpy)
        # Aux outputs are behind a stop_gradient, so that a zero cotangent cannot turn into 0 * inf there.
        seeds = [np.zeros(t.shape, t.dtype.numpy) for t in primal.closed.graph.output_types[1:] if t.dtype.is_inexact]
        outputs, cotangents = primal.pullback(tuple(range(count)), [one, *seeds])
        gradients = dict(zip(chosen, tree.unflatten(primal.treedef, cotangents)))
        gradient = tuple(gradients[n] for n in numbers) if not is_one(argnums) else gradients[numbers[0]]
        return primal.closed.finished(outputs), gradient

    return with_grad


def grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, holomorphic: bool = False,
         allow_int: bool = False) -> Callable[..., Any]:
    """A function returning the gradient of scalar ``f`` with respect to ``argnums``, or ``(gradient, aux)``.

    Options and errors are those of ``value_and_grad``.
    """
    check_options("grad", f, argnums, has_aux, holomorphic, allow_int)
    both = value_and_grad(f, argnums, has_aux, holomorphic)

    @public
    @functools.wraps(f)
    def gradient_of(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return gradient_of


def check_options(name: str, f: Any, argnums: Any, has_aux: Any, holomorphic: Any = False, allow_int: Any = False) -> None:
    function(name, "f", f)
    if flag(name, "allow_int", allow_int):
        raise ArgumentError(f"{name}: allow_int is not supported, as ints have no gradient; fix: let f close over them, or leave "
                            "them out of argnums")
    integers(name, "argnums", argnums)
    flag(name, "has_aux", has_aux)
    flag(name, "holomorphic", holomorphic)


def positions(f: Callable[..., Any], argnums: int | Sequence[int], count: int, transform: str = "grad") -> tuple[int, ...]:
    """``argnums`` as non-negative positions among ``count`` arguments."""
    numbers = integers(transform, "argnums", argnums)
    for n in numbers:
        if not -count <= n < count:
            raise ArgumentError(f"{transform} of {function_name(f)}: argnums={argnums}, but it is called with {count} "
                                "positional arguments; fix: pass what is differentiated by position")
    return tuple(n % count for n in numbers)


def trace_selected(transform: str, f: Callable[..., Any], numbers: tuple[int, ...], args: tuple[Any, ...], kwargs: dict[str, Any],
                   finish: Callable[[Any], Any], kinds: str = "fc") -> Primal:
    """``finish(f(*args, **kwargs))`` traced over the leaves of the arguments ``numbers``, which must be of these kinds."""
    name = function_name(f)
    parts = tuple(args[n] for n in numbers)
    roots = position_names(f, len(args))
    names = [path for n, part in zip(numbers, parts) for path in tree.structure(part).paths(roots[n])]
    _check_inputs(transform, name, tree.leaves(parts), names, kinds)

    @functools.wraps(f)
    def selected(chosen: tuple[Any, ...]) -> Any:
        whole = list(args)
        for n, part in zip(numbers, chosen):
            whole[n] = part
        return f(*whole, **kwargs)

    return primal_of(selected, name, parts, names, finish)


def _check_inputs(transform: str, name: str, leaves: Sequence[Any], names: Sequence[str], kinds: str) -> None:
    for leaf, path in zip(leaves, names):
        kind = leaf_type(leaf, path, name)
        if not kind.dtype.is_inexact:
            raise op_error(transform, f"{name} is differentiated by {path}, which is not float", {path: str(kind)},
                           "cast it, choose other argnums, or use vjp, which passes integers by", DtypeError)
        if kind.dtype.kind not in kinds:
            wanted, fix = ("complex", "cast it, or leave holomorphic out") if kinds == "c" else ("real", "say holomorphic=True")
            raise op_error(transform, f"{name} is differentiated by {path}, which is not {wanted}", {path: str(kind)}, fix,
                           DtypeError)


def _check_value(name: str, has_aux: bool, holomorphic: bool, out: Any) -> Any:
    """The value, or (value, aux behind a stop_gradient), as what is differentiated."""
    if not has_aux:
        return _scalar(name, out, holomorphic)
    value, aux = with_aux("grad", name, out)
    return _scalar(name, value, holomorphic), aux


def stopped(leaf: Any) -> Any:
    return bind("stop_gradient", leaf) if isinstance(leaf, Tracer) and kind_of(leaf.dtype) in "fc" else leaf


def _scalar(name: str, value: Any, holomorphic: bool) -> Any:
    if isinstance(value, tuple | list | dict) or value is None:
        raise op_error("grad", f"{name} returned a {type(value).__name__}, not one scalar", {},
                       "return (value, aux) and give has_aux=True", ShapeError)
    found = leaf_type(value, "the value", name)
    if found.shape:
        raise op_error("grad", f"{name} must return a scalar, returned {found}", {},
                       "reduce it with .sum() or .mean(), or use vjp")
    if holomorphic and not found.dtype.is_complex:
        raise op_error("grad", f"{name} must return a complex number, returned {found}", {}, "leave holomorphic out", DtypeError)
    if not holomorphic and not found.dtype.is_float:
        fix = "take its real part, or say holomorphic=True for its complex derivative" if found.dtype.is_complex else None
        raise op_error("grad", f"{name} must return a float, returned {found}", {}, fix, DtypeError)
    return value


def vjp(f: Callable[..., Any], *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """``(f(*primals), pull)``: ``pull(cotangent of the output)`` gives a tuple with the cotangent of each primal. With ``has_aux``,
    f returns ``(output, aux)`` and the result is ``(output, pull, aux)``.

    Cotangents have the structure, shapes and dtypes of what they belong to; those of integers are zeros, and
    ignored where they are given. ``pull`` raises TreeError, ShapeError or DtypeError for a cotangent that does not fit.
    """
    name = function_name(function("vjp", "f", f))
    flag("vjp", "has_aux", has_aux)
    primal = of_arguments(f, primals, "vjp", has_aux)
    graph, out_tree = primal.closed.graph, primal.out_tree
    wrt = tuple(i for i in range(primal.treedef.num_leaves) if graph.input_types[i].dtype.is_inexact)

    parts = linear_reverse(graph, wrt)
    results = call_graph(parts.known, primal.inputs)
    count = len(graph.outputs)
    fixed = (*(primal.inputs[p] for p in parts.needed), *results[count:])

    @public
    def pull(cotangent: Any) -> tuple[Any, ...]:
        seeds = cotangent_leaves(name, out_tree, graph.output_types, cotangent)
        unseen = graph.output_types[out_tree.num_leaves:]
        seeds += [np.zeros(t.shape, t.dtype.numpy) for t in unseen if t.dtype.is_inexact]
        found = dict(zip(wrt, call_graph(parts.linear, (*fixed, *seeds))))
        types = graph.input_types[:primal.treedef.num_leaves]
        whole = [primal.cotangent(i, found[i]) if i in found else np.zeros(t.shape, t.dtype.numpy) for i, t in enumerate(types)]
        return tree.unflatten(primal.treedef, whole)

    out = primal.closed.finished(results[:count])
    return (out[0], pull, out[1]) if has_aux else (out, pull)


def of_arguments(f: Callable[..., Any], args: tuple[Any, ...], transform: str, has_aux: bool = False) -> Primal:
    """``f`` traced over the leaves of its arguments; with ``has_aux``, its aux is behind a stop_gradient."""
    name = function_name(f)

    @functools.wraps(f)
    def on_tuple(args: tuple[Any, ...]) -> Any:
        return f(*args)

    finish = functools.partial(with_aux, transform, name) if has_aux else lambda out: out
    found = primal_of(on_tuple, name, args, argument_names(f, tree.structure((args, {}))), finish)
    return replace(found, has_aux=has_aux)


def with_aux(transform: str, name: str, out: Any) -> Any:
    """``(output, aux behind a stop_gradient)``. Raises TreeError for anything but a pair."""
    if not isinstance(out, tuple) or len(out) != 2:
        raise TreeError(f"{transform} of {name}: has_aux=True wants (value, aux) from it, got {describe(out)}")
    return out[0], tree.map(stopped, out[1])


def cotangent_leaves(name: str, out_tree: tree.TreeDef, types: Sequence[TensorType], cotangent: Any) -> list[Any]:
    """One cotangent per float output. Raises for what does not fit."""
    leaves = tree.flatten_up_to(out_tree, cotangent, "cotangent")
    seeds = []
    for leaf, path, expected in zip(leaves, out_tree.paths("cotangent"), types):
        if not expected.dtype.is_inexact:
            continue
        got = leaf_type(leaf, path, f"vjp of {name}")
        if got.shape != expected.shape:
            raise op_error("vjp", f"{path} of {name} must be {expected}", {path: str(got)})
        if got.dtype != expected.dtype and not is_weak(leaf):
            raise op_error("vjp", f"{path} of {name} must be {expected}", {path: str(got)},
                           f"cast it to {expected.dtype}", DtypeError)
        seeds.append(cast(leaf, dtype_of(expected.dtype)))
    return seeds
