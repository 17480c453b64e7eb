"""``cond`` and ``switch``: one of several functions, chosen when the program runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc import tree
from leptonc.arguments import function, items
from leptonc.eager import jit_disabled
from leptonc.effects import of_one
from leptonc.errors import ArgumentError, DtypeError, ShapeError, TreeError, describe, op_error
from leptonc.ir.builder import Builder
from leptonc.ir.graph import Graph
from leptonc.ir.types import TensorType
from leptonc.promotion import is_weak
from leptonc.public import public
from leptonc.regions import closed_together, leaf_values, outside, traced, type_of
from leptonc.signature import as_leaf
from leptonc.trace import ClosedGraph, Tracer, bind, cast, function_name, note, weakened_as

NOTHING = object()  # None is an operand


@public
def cond(pred: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any, operand: Any = NOTHING) -> Any:
    """``true_fun(*operands)`` if ``pred``, one bool or number, else ``false_fun(*operands)``; only the one chosen runs.

    Operands are trees; both functions give trees of one structure, with leaves of equal shapes and dtypes. Under ``vmap`` with a
    pred for each example both run. ``operand``: the only one, by name, as older programs give it. Raises DtypeError or ShapeError
    for a pred that is no bool, TreeError, ShapeError or DtypeError where what the functions give differs.
    """
    operands = _operands("cond", operands, operand)
    for what, f in (("true_fun", true_fun), ("false_fun", false_fun)):
        function("cond", what, f, len(operands))
    value = pred if isinstance(pred, Tracer) else as_leaf(pred, "pred", "cond")
    if value.shape:
        raise op_error("cond", "pred must be one bool", {"pred": value})
    index = cast(value if value.dtype == np.bool_ else lnp.not_equal(value, 0), np.int32)
    return _chosen("cond", index, (false_fun, true_fun), operands, ("false_fun", "true_fun"))


def _operands(name: str, operands: tuple[Any, ...], operand: Any) -> tuple[Any, ...]:
    """Those given by place, or the only one, by name."""
    if operand is NOTHING:
        return operands
    if operands:
        raise ArgumentError(f"{name}: operands are given by place and by name; fix: leave operand out")
    return (operand,)


@public
def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any, operand: Any = NOTHING) -> Any:
    """``branches[index](*operands)``; an index out of range is clamped. As ``cond`` in all else.

    Raises ArgumentError if there are no branches, DtypeError for an index that is no integer.
    """
    operands = _operands("switch", operands, operand)
    functions = tuple(items(branches))
    if not functions:
        raise ArgumentError("switch: there are no branches")
    for n, f in enumerate(functions):
        function("switch", f"branches[{n}]", f, len(operands))
    value = index if isinstance(index, Tracer) else as_leaf(index, "index", "switch")
    if value.shape or value.dtype.kind not in "iu":
        raise op_error("switch", "index must be one integer", {"index": value}, kind=DtypeError)
    limited = lnp.clip(value, 0, len(functions) - 1)  # before it is narrowed
    return _chosen("switch", cast(limited, np.int32), functions, operands, [f"branches[{n}]" for n in range(len(functions))])


def _chosen(name: str, index: Any, functions: tuple[Callable[..., Any], ...], operands: tuple[Any, ...],
            labels: Sequence[str]) -> Any:
    leaves, structure = tree.flatten(operands)
    if outside(index, *leaves) and jit_disabled():
        return functions[int(index)](*operands)
    values = leaf_values(leaves, structure.paths("operands"), name)
    found = [traced(lambda given, f=f: f(*given), (structure,), [type_of(x) for x in values], [is_weak(x) for x in values],
                    function_name(f), True) for f in functions]
    titles = [f"{label} ({function_name(f)})" for label, f in zip(labels, functions)]
    effects = [closed.effects for closed in found]
    found = _with_all_effects(found) if any(effects) else found
    regions, captured = closed_together(_of_one_type(name, titles, found))
    if not found[0].graph.outputs:
        return tree.unflatten(found[0].out_tree, [])
    out, count = bind("switch", index, *captured, *values, regions=regions), found[0].out_tree.num_leaves
    if any(effects):
        note([of_one(effects)], [index, *out[count:]])
    weak = [all(flags) for flags in zip(*(closed.out_weak for closed in found))]
    return tree.unflatten(found[0].out_tree, weakened_as(out[:count], weak))


def _with_all_effects(found: Sequence[ClosedGraph]) -> list[ClosedGraph]:
    """The branches, each with room for what the effects of all of them want: zeros for those of the others."""
    wanted = [closed.graph.output_types[closed.out_tree.num_leaves:] for closed in found]
    return [_with_room(closed, wanted, n) for n, closed in enumerate(found)]


def _with_room(closed: ClosedGraph, wanted: Sequence[Sequence[TensorType]], own: int) -> ClosedGraph:
    graph, count = closed.graph, closed.out_tree.num_leaves
    builder = Builder(graph.name)
    inputs = [builder.input(t, n) for t, n in zip(graph.input_types, graph.input_names or ("",) * len(graph.inputs))]
    out = builder.inline(graph, inputs)
    rest = [x for n, types in enumerate(wanted) for x in (out[count:] if n == own else [builder.full(t, 0) for t in types])]
    return replace(closed, graph=builder.finish([*out[:count], *rest]), out_weak=(*closed.out_weak[:count], *(False for _ in rest)))


def _of_one_type(name: str, labels: Sequence[str], found: Sequence[ClosedGraph]) -> list[ClosedGraph]:
    """The branches, Python numbers that one gives in the dtype of what another does. Raises if they differ otherwise."""
    first = found[0]
    for label, closed in zip(labels, found):
        reason = tree.difference(first.out_tree, closed.out_tree, "the result")
        if reason:
            raise TreeError(f"{name}: what {label} gives is not of the structure of what {labels[0]} gives: {reason}; "
                            "fix: let all branches give trees of one structure")
    wanted = [next((c.graph.output_types[n].dtype for c in found if not c.out_weak[n]), first.graph.output_types[n].dtype)
              for n in range(len(first.graph.outputs))]
    out = [_cast_outputs(closed, wanted) for closed in found]
    for label, closed in zip(labels, out):
        for path, one, other in zip(first.out_tree.paths("the result"), out[0].graph.output_types, closed.graph.output_types):
            if one != other:
                raise ShapeError(f"{name}: {path} of {labels[0]} is {describe(str(one))}, of {label} {describe(str(other))}; "
                                 "fix: let all branches give the same shapes and dtypes")
    return out


def _cast_outputs(closed: ClosedGraph, wanted: Sequence[Any]) -> ClosedGraph:
    """With weak outputs in the dtypes wanted."""
    graph = closed.graph
    if all(t.dtype == d or not weak for t, d, weak in zip(graph.output_types, wanted, closed.out_weak)):
        return closed
    return replace(closed, graph=_with_casts(graph, wanted, closed.out_weak))


def _with_casts(graph: Graph, wanted: Sequence[Any], weak: Sequence[bool]) -> Graph:
    builder = Builder(graph.name)
    inputs = [builder.input(t, n) for t, n in zip(graph.input_types, graph.input_names or ("",) * len(graph.inputs))]
    out = builder.inline(graph, inputs)
    return builder.finish([builder.emit("cast", (x,), {"dtype": d}) if w and x.dtype != d else x
                           for x, d, w in zip(out, wanted, weak, strict=True)])
