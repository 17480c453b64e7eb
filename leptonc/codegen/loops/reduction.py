"""Accumulators: the state a reduction carries through its loops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce as reduce_pairs
from math import prod

from leptonc.codegen.llvm.emitter import Emitter, emit_const, llvm_type
from leptonc.codegen.llvm.scalars import emit_scalar
from leptonc.codegen.loops.addresses import splat
from leptonc.codegen.loops.linear import LinearStage
from leptonc.ir.kernel import Apply, Const, Reduce, reduction_identity
from leptonc.ir.types import DType, bool_, i32, i64

COMBINE = {"sum": "add", "prod": "mul", "max": "max", "min": "min", "any": "or", "all": "and", "or": "or"}
SATURATING = frozenset({"any", "all", "or"})  # from some state on, further points change nothing
TESTED_LANES = 16  # of integers that are tested at once


@dataclass(frozen=True)
class Accumulator:
    """The state of one Reduce: one register, or (extreme, position) for argmax and argmin. ``position``: the integers that
    positions are counted in. ``arg``: the instruction that is folded; ``start``: one that the state begins with, instead of what
    a reduction over no points gives. ``tested``: bits of integers are joined, and the result is whether any is set."""

    kind: str
    dtype: DType
    lanes: int
    position: DType = i64
    arg: int = -1
    start: int | None = None
    tested: bool = False

    @property
    def tracks_position(self) -> bool:
        return self.kind in ("argmax", "argmin")

    @property
    def width(self) -> int:
        return 2 if self.tracks_position else 1

    @property
    def dtypes(self) -> list[DType]:
        return [self.dtype, self.position] if self.tracks_position else [self.dtype]

    def types(self) -> list[str]:
        return [llvm_type(dtype, self.lanes) for dtype in self.dtypes]

    def initial(self) -> list[str]:
        state = [emit_const(reduction_identity(self.kind, self.dtype), self.dtype, self.lanes)]
        return state + [emit_const(0, self.position, self.lanes)] if self.tracks_position else state

    def first(self, e: Emitter, x: str) -> list[str]:
        """The state after the first point alone. Sums of floats begin with 0.0: a sum of nothing but -0.0 is 0.0, as NumPy's."""
        if self.kind == "sum" and self.dtype.is_float:
            return [self.combine(e, self.initial()[0], x)]
        return [x, emit_const(0, self.position, self.lanes)] if self.tracks_position else [x]

    def combine(self, e: Emitter, x: str, y: str) -> str:
        return emit_scalar(e, COMBINE[self.kind], [x, y], [self.dtype, self.dtype], self.dtype, self.lanes)

    def join(self, e: Emitter, first: Sequence[str], second: Sequence[str]) -> list[str]:
        """Two states as one; of equal extremes the one at the lesser position counts."""
        if not self.tracks_position:
            return [self.combine(e, first[0], second[0])]
        (x, here), (best, there) = second, first
        better, worse = self._better(e, x, best), self._better(e, best, x)
        pair, lanes = [bool_, bool_], self.lanes
        before = emit_scalar(e, "lt", [here, there], [self.position] * 2, bool_, lanes)
        equal = emit_scalar(e, "not", [emit_scalar(e, "or", [better, worse], pair, bool_, lanes)], [bool_], bool_, lanes)
        wins = emit_scalar(e, "or", [better, emit_scalar(e, "and", [equal, before], pair, bool_, lanes)], pair, bool_, lanes)
        place = emit_scalar(e, "select", [wins, here, there], [bool_, self.position, self.position], self.position, lanes)
        return [self._extreme(e, better, x, best), place]

    @property
    def rounds(self) -> bool:
        """Whether the error grows with the number of points that are folded one by one."""
        return self.kind == "sum" and self.dtype.is_float

    def update(self, e: Emitter, state: list[str], x: str, position: str) -> list[str]:
        """The state with the point at row-major ``position`` (scalar i64) folded in."""
        if not self.tracks_position:
            return [self.combine(e, state[0], x)]
        better = self._better(e, x, state[0])
        where = self._at(e, position)
        index = emit_scalar(e, "select", [better, where, state[1]], [bool_, self.position, self.position], self.position,
                            self.lanes)
        return [self._extreme(e, better, x, state[0]), index]

    def _extreme(self, e: Emitter, better: str, x: str, best: str) -> str:
        """The better one; of zeros, which are equal whatever their signs, the second, as maxima and minima without a position have
        it. The best so far stays if it is NaN."""
        lanes, types = self.lanes, [bool_, self.dtype, self.dtype]
        if not self.dtype.is_float:
            return emit_scalar(e, "select", [better, x, best], types, self.dtype, lanes)
        kept = emit_scalar(e, "gt" if self.kind == "argmax" else "lt", [best, x], types[1:], bool_, lanes)
        extreme = emit_scalar(e, "select", [kept, best, x], types, self.dtype, lanes)
        number = emit_scalar(e, "eq", [best, best], types[1:], bool_, lanes)
        return emit_scalar(e, "select", [number, extreme, best], types, self.dtype, lanes)

    def _at(self, e: Emitter, position: str) -> str:
        """A scalar i64 as the positions of all lanes."""
        if position.isdigit():
            return emit_const(int(position), self.position, self.lanes)
        if self.position != i64:
            position = emit_scalar(e, "cast", [position], [i64], self.position, 1)
        return splat(e, position, self.position, self.lanes)

    def _better(self, e: Emitter, x: str, best: str) -> str:
        """x beats the best so far: greater (less), or the first NaN. Both at once: x is not less (greater) or equal,
        and the best is a number."""
        pair, lanes = [self.dtype, self.dtype], self.lanes
        if not self.dtype.is_float:
            return emit_scalar(e, "gt" if self.kind == "argmax" else "lt", [x, best], pair, bool_, lanes)
        beyond = e.let(f"fcmp {'ugt' if self.kind == 'argmax' else 'ult'} {llvm_type(self.dtype, lanes)} {x}, {best}", "beyond")
        number = emit_scalar(e, "eq", [best, best], pair, bool_, lanes)
        return emit_scalar(e, "and", [beyond, number], [bool_, bool_], bool_, lanes)

    def result(self, e: Emitter, state: list[str]) -> str:
        if self.tested:
            return emit_scalar(e, "ne", [state[0], emit_const(0, self.dtype, self.lanes)], [self.dtype] * 2, bool_, self.lanes)
        if self.tracks_position and self.position != i64:
            return emit_scalar(e, "cast", [state[1]], [self.position], i64, self.lanes)
        return state[-1]


def accumulator_of(stage: LinearStage, n: int, lanes: int) -> Accumulator:
    """The state of a Reduce that is folded point by point. What of a truth value or of bits varies along no folded axis starts it;
    whether an integer has any bit set is seen once, at the end."""
    inst = stage.insts[n]
    assert isinstance(inst, Reduce)
    start, arg = constant_part(stage, n) or (None, inst.arg)
    kind, dtype, tested = inst.kind, stage.insts[arg].dtype, False
    word = _tested_word(stage, arg)
    if kind == "any" and word is not None:
        kind, arg, dtype, tested = "or", word, stage.insts[word].dtype, True
    return Accumulator(kind, dtype, lanes, position_type(stage), arg, start, tested)


def position_type(stage: LinearStage) -> DType:
    """The integers that positions of reductions are counted in."""
    return i32 if prod(a.extent for a in stage.reduce_axes) < 1 << 31 else i64


def constant_part(stage: LinearStage, n: int) -> tuple[int, int] | None:
    """Of a Reduce of ``x or y(k)``, or ``x and y(k)``, where that is how points are combined: the numbers of x and y."""
    reduce, folded = stage.insts[n], {a.name for a in stage.reduce_axes}
    assert isinstance(reduce, Reduce)
    inner = stage.insts[reduce.arg]
    if (reduce.kind in SATURATING and isinstance(inner, Apply) and inner.op == COMBINE[reduce.kind]
            and all(a.extent for a in stage.reduce_axes)):
        for x, y in (inner.args, inner.args[::-1]):
            if not folded & stage.axes_of[x]:
                return x, y
    return None


def _tested_word(stage: LinearStage, arg: int) -> int | None:
    """x of ``x != 0``, an integer."""
    inst = stage.insts[arg]
    if not isinstance(inst, Apply) or inst.op != "ne":
        return None
    x, zero = (stage.insts[n] for n in inst.args)
    return inst.args[0] if x.dtype.is_int and isinstance(zero, Const) and zero.value == 0 else None


def saturated(e: Emitter, accumulators: Sequence[Accumulator], states: Sequence[str]) -> str:
    """Whether no further point can change any of these states (i1)."""
    found = []
    for like in dict.fromkeys((a.kind, a.dtype, a.lanes, a.tested) for a in accumulators):
        alike = [s for a, s in zip(accumulators, states) if (a.kind, a.dtype, a.lanes, a.tested) == like]
        found.append(_all_saturated(e, *like, alike))
    return reduce_pairs(lambda x, y: e.let(f"and i1 {x}, {y}", "done"), found)


def _all_saturated(e: Emitter, kind: str, dtype: DType, lanes: int, tested: bool, states: list[str]) -> str:
    """Of states of one type: truth values all true (all false), bits all set, tested integers none 0."""
    least = "min" if kind != "all" else "max"
    name = reduce_pairs(lambda x, y: _least(e, least, x, y, dtype, lanes), states)
    while lanes > TESTED_LANES and not dtype.is_bool:
        type_, half = llvm_type(dtype, lanes), lanes // 2
        low, high = (_shuffle(e, type_, name, picks) for picks in (range(half), range(half, lanes)))
        name, lanes = _least(e, least, low, high, dtype, half), half
    if dtype.is_bool:
        full = 0 if kind == "all" else -1
    else:
        test = "ne" if tested else "eq"
        name = e.let(f"icmp {test} {llvm_type(dtype, lanes)} {name}, {emit_const(0 if tested else -1, dtype, lanes)}", "full")
        full = -1
    bits = name if lanes == 1 else e.let(f"bitcast {llvm_type(bool_, lanes)} {name} to i{lanes}", "full")
    return e.let(f"icmp eq i{lanes} {bits}, {full}", "done")


def _least(e: Emitter, op: str, x: str, y: str, dtype: DType, lanes: int) -> str:
    """Unsigned, so that all bits set are most."""
    if dtype.is_bool:
        return emit_scalar(e, op, [x, y], [dtype, dtype], dtype, lanes)
    type_ = llvm_type(dtype, lanes)
    suffix = f"i{dtype.bits}" if lanes == 1 else f"v{lanes}i{dtype.bits}"
    return e.call(f"{type_} @llvm.umin.{suffix}({type_}, {type_})", f"{type_} {x}, {type_} {y}", "least")


def fold_lanes(e: Emitter, accumulator: Accumulator, state: Sequence[str]) -> list[str]:
    """Combine the lanes of a state pairwise, halves first: a fixed order. Truth values are looked at all at once; positions, of the
    first lane so far, become those of each."""
    lanes = accumulator.lanes
    if accumulator.kind in ("any", "all") and lanes > 1:
        mask = e.let(f"bitcast {llvm_type(accumulator.dtype, lanes)} {state[0]} to i{lanes}", "mask")
        return [e.let(f"icmp ne i{lanes} {mask}, 0" if accumulator.kind == "any" else f"icmp eq i{lanes} {mask}, -1", "fold")]
    if accumulator.tracks_position and lanes > 1:
        state = [state[0], _of_lanes(e, state[1], accumulator.position, lanes)]
    while lanes > 1:
        lanes //= 2
        halves = [[_half(e, name, dtype, lanes, at) for name, dtype in zip(state, accumulator.dtypes)] for at in (0, lanes)]
        state = replace(accumulator, lanes=lanes).join(e, *halves)
    return list(state)


def _of_lanes(e: Emitter, first: str, dtype: DType, lanes: int) -> str:
    """Positions of lanes, one after the other, of those of the first one."""
    type_ = llvm_type(dtype, lanes)
    steps = "<" + ", ".join(f"{llvm_type(dtype)} {k}" for k in range(lanes)) + ">"
    return e.let(f"add {type_} {first}, {steps}", "positions")


def _half(e: Emitter, name: str, dtype: DType, lanes: int, start: int) -> str:
    """So many lanes, half of all, as a vector, or one as a scalar."""
    part = _shuffle(e, llvm_type(dtype, 2 * lanes), name, range(start, start + lanes))
    return part if lanes > 1 else e.let(f"extractelement <1 x {llvm_type(dtype)}> {part}, i64 0", "fold")


def _shuffle(e: Emitter, type_: str, name: str, picks: range) -> str:
    mask = f"<{len(picks)} x i32> <" + ", ".join(f"i32 {k}" for k in picks) + ">"
    return e.let(f"shufflevector {type_} {name}, {type_} poison, {mask}", "fold")
