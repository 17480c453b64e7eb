"""Forward mode: ``jvp``, ``linearize``, and the transposes of linear functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from leptonc import tree
from leptonc.arguments import flag, function
from leptonc.driver import forward, linear_forward, transposed
from leptonc.errors import ArgumentError, DtypeError, LeptonError, op_error
from leptonc.ir.types import TensorType, dtype_of
from leptonc.promotion import is_weak
from leptonc.public import public
from leptonc.signature import argument_names, as_leaf, leaf_type
from leptonc.trace import Tracer, call_graph, cast, function_name, trace_to_graph
from leptonc.transforms import Primal, ShapeDtypeStruct, cotangent_leaves, of_arguments


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False) -> tuple[Any, ...]:
    """``(f(*primals), its derivative in the direction tangents)``; with ``has_aux``, f returns ``(output, aux)`` and the result is
    ``(output, tangent, aux)``.

    ``tangents`` have the structure, shapes and dtypes of ``primals``; those of integers are ignored, and of integer outputs zeros.
    Raises ArgumentError, TreeError, ShapeError or DtypeError for a tangent that does not fit, LeptonError for an op without a
    derivative.
    """
    name = function_name(function("jvp", "f", f))
    flag("jvp", "has_aux", has_aux)
    _check_sequences(name, primals, tangents)
    primal = of_arguments(f, tuple(primals), "jvp", has_aux)
    wrt = float_inputs(primal)
    moved = _tangent_leaves("jvp", name, primal, tuple(tangents))
    results = call_graph(forward(primal.closed.graph, wrt), (*primal.inputs, *moved))
    count = len(primal.closed.graph.outputs)
    out = primal.closed.finished(results[:count])
    tangent = output_tangents(primal, results[count:])
    return (out[0], tangent, out[1]) if has_aux else (out, tangent)


def _check_sequences(name: str, primals: Any, tangents: Any) -> None:
    for what, value in (("primals", primals), ("tangents", tangents)):
        if not isinstance(value, tuple | list):
            raise ArgumentError(f"jvp of {name}: {what} must be a tuple or list with an entry for each argument, got "
                                f"{type(value).__name__}; fix: jvp(f, (x,), (t,))")
    if len(primals) != len(tangents):
        raise ArgumentError(f"jvp of {name}: {len(primals)} primals, but {len(tangents)} tangents")


def float_inputs(primal: Primal) -> tuple[int, ...]:
    """The positions among a traced function's leaves that have tangents."""
    types = primal.closed.graph.input_types[:primal.treedef.num_leaves]
    return tuple(i for i, t in enumerate(types) if t.dtype.is_inexact)


def _tangent_leaves(transform: str, name: str, primal: Primal, tangents: tuple[Any, ...]) -> list[Any]:
    """A tangent for each float leaf. Raises for what does not fit."""
    leaves = tree.flatten_up_to(primal.treedef, tangents, "tangents")
    types = primal.closed.graph.input_types
    found = []
    for leaf, path, expected in zip(leaves, primal.treedef.paths("tangents"), types):
        if expected.dtype.is_inexact:
            found.append(tangent_of(f"{transform} of {name}", path, leaf, expected))
    return found


def tangent_of(where: str, path: str, leaf: Any, expected: TensorType) -> Any:
    """A tangent or cotangent in the type that it must have. Raises ShapeError or DtypeError naming the path."""
    got = leaf_type(leaf, path, where)
    if got.shape != expected.shape:
        raise op_error(where, f"{path} must be {expected}", {path: str(got)})
    if got.dtype != expected.dtype and not is_weak(leaf):
        raise op_error(where, f"{path} must be {expected}", {path: str(got)}, f"cast it to {expected.dtype}", DtypeError)
    return cast(leaf, dtype_of(expected.dtype))


def output_tangents(primal: Primal, tangents: Sequence[Any]) -> Any:
    """The tangents of a function's output as a tree, zeros for its integers. Those of an aux are left out."""
    given, types = iter(tangents), primal.closed.graph.output_types
    leaves = [next(given) if t.dtype.is_inexact else np.zeros(t.shape, t.dtype.numpy)
              for t in types[:primal.out_tree.num_leaves]]
    return tree.unflatten(primal.out_tree, leaves)


def linearize(f: Callable[..., Any], *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """``(f(*primals), push)``: ``push(*tangents)`` is the derivative at ``primals`` in that direction, a linear function that does
    not compute f again. With ``has_aux``, f returns ``(output, aux)`` and the result is ``(output, push, aux)``.

    Errors are those of ``jvp``.
    """
    name = function_name(function("linearize", "f", f))
    flag("linearize", "has_aux", has_aux)
    primal = of_arguments(f, primals, "linearize", has_aux)
    parts = linear_forward(primal.closed.graph, float_inputs(primal), rules=False)
    results = call_graph(parts.known, primal.inputs)
    count = len(primal.closed.graph.outputs)
    fixed = (*(primal.inputs[p] for p in parts.needed), *results[count:])

    @public
    def push(*tangents: Any) -> Any:
        if len(tangents) != len(primals):
            raise ArgumentError(f"linearize of {name}: {len(primals)} arguments, but {len(tangents)} tangents")
        return output_tangents(primal, call_graph(parts.linear, (*fixed, *_tangent_leaves("linearize", name, primal, tangents))))

    out = primal.closed.finished(results[:count])
    return (out[0], push, out[1]) if has_aux else (out, push)


def linear_transpose(f: Callable[..., Any], *primals: Any) -> Callable[[Any], tuple[Any, ...]]:
    """The transpose of a linear ``f``: a function from the cotangent of its output to a tuple with that of each argument.

    ``primals`` are arrays or ShapeDtypeStructs of floats; only their types count. Raises DtypeError for others, LeptonError if f is
    not linear in them.
    """
    name = function_name(function("linear_transpose", "f", f))
    leaves, treedef = tree.flatten(primals)
    names = argument_names(f, tree.structure((primals, {})))
    types = [leaf_type(leaf if isinstance(leaf, ShapeDtypeStruct | Tracer) else as_leaf(leaf, path, name), path, name)
             for leaf, path in zip(leaves, names)]
    for path, type_ in zip(names, types):
        if not type_.dtype.is_inexact:
            raise op_error("linear_transpose", f"{name} is transposed by {path}, which is not float", {path: str(type_)},
                           None, DtypeError)
    closed = trace_to_graph(lambda *tracers: f(*tree.unflatten(treedef, tracers)), types, name, names)
    try:
        graph = transposed(closed.graph, tuple(range(len(leaves))))
    except LeptonError as error:
        raise LeptonError(f"linear_transpose of {name}: {error.message}; fix: transpose a linear function, or use vjp") from None

    @public
    def pull(cotangent: Any) -> tuple[Any, ...]:
        seeds = cotangent_leaves(name, closed.out_tree, closed.graph.output_types, cotangent)
        found: tuple[Any, ...] = tree.unflatten(treedef, call_graph(graph, (*closed.captured, *seeds)))
        return found

    return pull
