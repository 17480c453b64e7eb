"""Accumulators: the state a reduction carries through its loops."""

from __future__ import annotations

from dataclasses import dataclass

from leptonc.codegen.llvm.emitter import Emitter, emit_const, llvm_type
from leptonc.codegen.llvm.scalars import emit_scalar
from leptonc.codegen.loops.addresses import splat
from leptonc.ir.kernel import reduction_identity
from leptonc.ir.types import DType, bool_, i64

COMBINE = {"sum": "add", "prod": "mul", "max": "max", "min": "min", "any": "or", "all": "and"}


@dataclass(frozen=True)
class Accumulator:
    """The state of one Reduce: one register, or (extreme, position) for argmax and argmin. ``position``: the integers that
    positions are counted in."""

    kind: str
    dtype: DType
    lanes: int
    position: DType = i64

    @property
    def tracks_position(self) -> bool:
        return self.kind in ("argmax", "argmin")

    @property
    def width(self) -> int:
        return 2 if self.tracks_position else 1

    def types(self) -> list[str]:
        types = [llvm_type(self.dtype, self.lanes)]
        return types + [llvm_type(self.position, self.lanes)] if self.tracks_position else types

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

    def update(self, e: Emitter, state: list[str], x: str, position: str) -> list[str]:
        """The state with the point at row-major ``position`` (scalar i64) folded in."""
        if not self.tracks_position:
            return [self.combine(e, state[0], x)]
        better = self._better(e, x, state[0])
        where = self._at(e, position)
        pair = [bool_, self.dtype, self.dtype]
        best = emit_scalar(e, "select", [better, x, state[0]], pair, self.dtype, self.lanes)
        index = emit_scalar(e, "select", [better, where, state[1]], [bool_, self.position, self.position], self.position,
                            self.lanes)
        return [best, index]

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
        if self.tracks_position and self.position != i64:
            return emit_scalar(e, "cast", [state[1]], [self.position], i64, self.lanes)
        return state[-1]


def fold_lanes(e: Emitter, accumulator: Accumulator, name: str) -> str:
    """Combine the lanes of a vector pairwise, halves first: a fixed order. Truth values are looked at all at once."""
    lanes = accumulator.lanes
    if accumulator.kind in ("any", "all") and lanes > 1:
        mask = e.let(f"bitcast {llvm_type(accumulator.dtype, lanes)} {name} to i{lanes}", "mask")
        return e.let(f"icmp ne i{lanes} {mask}, 0" if accumulator.kind == "any" else f"icmp eq i{lanes} {mask}, -1", "fold")
    while lanes > 1:
        type_, half = llvm_type(accumulator.dtype, lanes), lanes // 2
        low = _shuffle(e, type_, name, range(half))
        high = _shuffle(e, type_, name, range(half, lanes))
        lanes = half
        if half == 1:
            low = e.let(f"extractelement <1 x {llvm_type(accumulator.dtype)}> {low}, i64 0", "fold")
            high = e.let(f"extractelement <1 x {llvm_type(accumulator.dtype)}> {high}, i64 0", "fold")
        name = Accumulator(accumulator.kind, accumulator.dtype, lanes).combine(e, low, high)
    return name


def _shuffle(e: Emitter, type_: str, name: str, picks: range) -> str:
    mask = f"<{len(picks)} x i32> <" + ", ".join(f"i32 {k}" for k in picks) + ">"
    return e.let(f"shufflevector {type_} {name}, {type_} poison, {mask}", "fold")
