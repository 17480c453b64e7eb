"""Rewrite rules, each named by its equation. None changes a NaN, an infinity or the sign of a zero.

A rule sees a node before it is emitted, its operands already simplified, and returns the value that takes its place
or None. ``emit`` of the rewriter it gets simplifies in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from leptonc.ir.graph import Node
from leptonc.ir.op import get_op
from leptonc.ir.value import Value
from leptonc.ops.elementwise import Elementwise

Attrs = dict[str, Any]


class Rewriting(Protocol):
    """What a rule may ask: see ``Rewriter``; ``emit`` makes a node unless a rule applies to it."""

    def made_by(self, value: Value, op: str) -> Node | None: ...

    def operand(self, node: Node, number: int = 0) -> Value: ...

    def splat(self, value: Value) -> np.generic | None: ...

    def emit(self, op: str, operands: Sequence[Value], attrs: Attrs) -> Value: ...


Function = Callable[[Rewriting, list[Value], Attrs], Value | None]


@dataclass(frozen=True)
class Rule:
    equation: str
    function: Function


RULES: dict[str, list[Rule]] = {}


def rule(equation: str, *ops: str) -> Callable[[Function], Function]:
    """Register a rule for nodes of these ops."""
    def register(function: Function) -> Function:
        for op in ops:
            RULES.setdefault(op, []).append(Rule(equation, function))
        return function

    return register


def _is(r: Rewriting, x: Value, number: float) -> bool:
    """Whether x is ``number`` throughout, the sign of a zero included."""
    found = r.splat(x)
    return found is not None and bool(found == number) and bool(np.signbit(np.real(found)) == np.signbit(np.real(number)))


# Arithmetic


@rule("x + 0 => x (integers); x + -0.0 => x", "add")
def add_zero(r: Rewriting, x: list[Value], attrs: Attrs) -> Value | None:
    zero = -0.0 if x[0].dtype.is_float else 0
    if _is(r, x[1], zero):
        return x[0]
    return x[1] if _is(r, x[0], zero) else None


@rule("x - 0 => x", "sub")
def subtract_zero(r: Rewriting, x: list[Value], attrs: Attrs) -> Value | None:
    return x[0] if _is(r, x[1], 0) else None


@rule("x * 1 => x", "mul")
def multiply_by_one(r: Rewriting, x: list[Value], attrs: Attrs) -> Value | None:
    if _is(r, x[1], 1):
        return x[0]
    return x[1] if _is(r, x[0], 1) else None


@rule("x * 0 => 0 (integers)", "mul")
def multiply_by_zero(r: Rewriting, x: list[Value], attrs: Attrs) -> Value | None:
    if x[0].dtype.is_float:
        return None  # NaN, infinities and signs come through
    if _is(r, x[1], 0):
        return x[1]
    return x[0] if _is(r, x[0], 0) else None


@rule("x / 1 => x", "div")
def divide_by_one(r: Rewriting, x: list[Value], attrs: Attrs) -> Value | None:
    return x[0] if _is(r, x[1], 1) else None


@rule("-(-x) => x", "neg")
def double_negation(r: Rewriting, x: list[Value], attrs: Attrs) -> Value | None:
    inner = r.made_by(x[0], "neg")
    return None if inner is None else r.operand(inner)


@rule("not(not(x)) => x", "not")
def double_not(r: Rewriting, x: list[Value], attrs: Attrs) -> Value | None:
    inner = r.made_by(x[0], "not")
    return None if inner is None else r.operand(inner)


@rule("select(c, x, x) => x; select(true, x, y) => x; select(false, x, y) => y", "select")
def settled_select(r: Rewriting, x: list[Value], attrs: Attrs) -> Value | None:
    if x[1].id == x[2].id:
        return x[1]
    known = r.splat(x[0])
    return None if known is None else x[1] if known else x[2]


@rule("cast(x) to its own dtype => x", "cast")
def cast_to_own(r: Rewriting, x: list[Value], attrs: Attrs) -> Value | None:
    return x[0] if attrs["dtype"] == x[0].dtype else None


# Shapes


@rule("reshape(x) to its own shape => x", "reshape")
def reshape_to_own(r: Rewriting, x: list[Value], attrs: Attrs) -> Value | None:
    return x[0] if attrs["shape"] == x[0].shape else None


@rule("reshape(reshape(x)) => reshape(x)", "reshape")
def reshape_twice(r: Rewriting, x: list[Value], attrs: Attrs) -> Value | None:
    inner = r.made_by(x[0], "reshape")
    return None if inner is None else r.emit("reshape", [r.operand(inner)], attrs)


@rule("transpose(x) that moves no axis => x", "transpose")
def transpose_nothing(r: Rewriting, x: list[Value], attrs: Attrs) -> Value | None:
    return x[0] if attrs["perm"] == tuple(range(x[0].type.rank)) else None


@rule("transpose(transpose(x)) => transpose(x)", "transpose")
def transpose_twice(r: Rewriting, x: list[Value], attrs: Attrs) -> Value | None:
    inner = r.made_by(x[0], "transpose")
    if inner is None:
        return None
    first = inner.attributes["perm"]
    return r.emit("transpose", [r.operand(inner)], {"perm": tuple(first[p] for p in attrs["perm"])})


@rule("transpose(x) that moves axes of extent 1 alone => reshape(x)", "transpose")
def transpose_units(r: Rewriting, x: list[Value], attrs: Attrs) -> Value | None:
    moved = [p for p in attrs["perm"] if x[0].shape[p] != 1]
    if moved != sorted(moved):
        return None
    return r.emit("reshape", [x[0]], {"shape": tuple(x[0].shape[p] for p in attrs["perm"])})


@rule("broadcast(x) to its own shape => x", "broadcast")
def broadcast_to_own(r: Rewriting, x: list[Value], attrs: Attrs) -> Value | None:
    return x[0] if attrs["shape"] == x[0].shape else None


@rule("broadcast(x) that adds axes of extent 1 alone => reshape(x)", "broadcast")
def broadcast_units(r: Rewriting, x: list[Value], attrs: Attrs) -> Value | None:
    if x[0].type.size != int(np.prod(attrs["shape"], dtype=np.int64)):
        return None
    return r.emit("reshape", [x[0]], {"shape": attrs["shape"]})


@rule("broadcast(broadcast(x)) => broadcast(x)", "broadcast")
def broadcast_twice(r: Rewriting, x: list[Value], attrs: Attrs) -> Value | None:
    inner = r.made_by(x[0], "broadcast")
    if inner is None:
        return None
    dims = tuple(attrs["dims"][d] for d in inner.attributes["dims"])
    return r.emit("broadcast", [r.operand(inner)], {"shape": attrs["shape"], "dims": dims})


@rule("slice(x) of all of x => x", "slice")
def slice_everything(r: Rewriting, x: list[Value], attrs: Attrs) -> Value | None:
    forward = all(s == 1 or n < 2 for s, n in zip(attrs["step"], attrs["size"]))
    return x[0] if attrs["size"] == x[0].shape and forward else None


@rule("pad(x) by nothing => x", "pad")
def pad_nothing(r: Rewriting, x: list[Value], attrs: Attrs) -> Value | None:
    return None if any((*attrs["low"], *attrs["high"], *attrs["interior"])) else x[0]


@rule("concatenate(x) => x", "concatenate")
def concatenate_one(r: Rewriting, x: list[Value], attrs: Attrs) -> Value | None:
    return x[0] if len(x) == 1 else None


@rule("dynamic_update_slice(dynamic_update_slice(x, u, i), v, i) => dynamic_update_slice(x, v, i)", "dynamic_update_slice")
def update_again(r: Rewriting, x: list[Value], attrs: Attrs) -> Value | None:
    made = _update_at(r, x[0], x[1].shape, x[2:])
    return r.emit("dynamic_update_slice", [r.operand(made), *x[1:]], {}) if made else None


@rule("dynamic_slice(dynamic_update_slice(x, u, i), i) => u", "dynamic_slice")
def slice_of_update(r: Rewriting, x: list[Value], attrs: Attrs) -> Value | None:
    made = _update_at(r, x[0], attrs["size"], x[1:])
    return r.operand(made, 1) if made else None


def _update_at(r: Rewriting, x: Value, size: Sequence[int], starts: Sequence[Value]) -> Node | None:
    """The update of such a window that made x."""
    made = r.made_by(x, "dynamic_update_slice")
    if made is None or r.operand(made, 1).shape != tuple(size):
        return None
    same = all(r.operand(made, 2 + n).id == start.id for n, start in enumerate(starts))
    return made if same else None


@rule("part(joined(x, y)) => x or y", "part")
def part_of_joined(r: Rewriting, x: list[Value], attrs: Attrs) -> Value | None:
    inner = r.made_by(x[0], "joined")
    return None if inner is None else r.operand(inner, attrs["number"])


@rule("joined(part(x) 0, part(x) 1) => x", "joined")
def joined_parts(r: Rewriting, x: list[Value], attrs: Attrs) -> Value | None:
    makers = [r.made_by(v, "part") for v in x]
    if any(m is None or m.attributes["number"] != n for n, m in enumerate(makers)):
        return None
    first, second = (r.operand(m) for m in makers if m is not None)
    return first if first.id == second.id else None


REDUCTIONS = ("prod", "reduce_max", "reduce_min", "any", "all")


@rule("reduce(x) over axes of extent 1 => reshape(x)", "sum")
def sum_units(r: Rewriting, x: list[Value], attrs: Attrs) -> Value | None:
    return None if x[0].dtype.is_float else reduce_units(r, x, attrs)  # 0 + -0.0 is 0.0


@rule("reduce(x) over axes of extent 1 => reshape(x)", *REDUCTIONS)
def reduce_units(r: Rewriting, x: list[Value], attrs: Attrs) -> Value | None:
    if any(x[0].shape[a] != 1 for a in attrs["axes"]):
        return None
    return r.emit("reshape", [x[0]], {"shape": tuple(n for d, n in enumerate(x[0].shape) if d not in attrs["axes"])})


# Every elementwise op


def sink_broadcast(r: Rewriting, op: str, x: list[Value], attrs: Attrs) -> Value | None:
    """f(broadcast(a), broadcast(b)) => broadcast(f(a, b)) of scalars a and b."""
    if not isinstance(get_op(op), Elementwise) or not x or not x[0].shape:
        return None
    makers = [r.made_by(v, "broadcast") for v in x]
    scalars = [r.operand(m) for m in makers if m is not None and not m.attributes["dims"]]
    if len(scalars) != len(x):
        return None
    return r.emit("broadcast", [r.emit(op, scalars, attrs)], {"shape": x[0].shape, "dims": ()})
