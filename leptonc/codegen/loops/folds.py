"""Emission of a stage's reductions: folds in scalars, along lanes, written out, of neighbours side by side."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from itertools import accumulate, product
from math import prod

from leptonc.codegen.llvm.emitter import Emitter, emit_const
from leptonc.codegen.llvm.scalars import emit_scalar
from leptonc.codegen.loops.addresses import Reg
from leptonc.codegen.loops.bounded import bounded_folds
from leptonc.codegen.loops.linear import LinearStage
from leptonc.codegen.loops.neighbours import fold_points, folded_insts, moved
from leptonc.codegen.loops.parts import Fold
from leptonc.codegen.loops.points import PointEmitter
from leptonc.codegen.loops.reduction import SATURATING, Accumulator, accumulator_of, fold_lanes, position_type, saturated
from leptonc.codegen.loops.schedule import Nest
from leptonc.ir.kernel import Axis, Load, Reduce
from leptonc.ir.types import bool_, i64
from leptonc.lazy import cached_property

POINTS_BETWEEN_LOOKS = 8  # of a fold that may end early: a look costs about as much as a point


class FoldEmitter(PointEmitter):
    """Folds at points of the map axes. Where they go over the first points of an axis alone, loops over it end there."""

    def __init__(self, e: Emitter, stage: LinearStage, nest: Nest, pointers: dict[str, str], ivs: dict[str, str]):
        super().__init__(e, stage, nest, pointers, ivs)
        self._bounded = None if nest.unroll or nest.jam > 1 else bounded_folds(stage, nest.vector)
        if self._bounded is not None:
            self.folding = self._bounded.folding

    def _accumulator(self, n: int, lanes: int) -> Accumulator:
        """The state of a Reduce in a register of lanes that are folded together at the end."""
        inst = self.stage.insts[n]
        assert isinstance(inst, Reduce)
        return Accumulator(inst.kind, self.stage.insts[inst.arg].dtype, lanes, position_type(self.stage), inst.arg)

    def _reduce(self) -> None:
        vector = self.nest.vector
        if vector is not None and vector.reduce:
            self._reduce_lanes(vector)
            return
        accumulators = [accumulator_of(self.stage, n, self._map_lanes(n)) for n in self._folded]
        if self._bounded is not None:
            accumulators = [replace(a, arg=self._bounded.args[n]) for n, a in zip(self._folded, accumulators)]
        if self.nest.unroll:
            state = self._unrolled(accumulators)
        else:
            state = self._fold_loops(self.nest.fold, accumulators, [v for a in accumulators for v in self._initial(a)])
        self._finish(accumulators, state)

    def _initial(self, accumulator: Accumulator) -> list[str]:
        return accumulator.initial() if accumulator.start is None else [self._start(accumulator, accumulator.start)]

    def _start(self, accumulator: Accumulator, n: int) -> str:
        """An instruction as the state that it stands for."""
        name, dtype, lanes = self._operand(n, accumulator.lanes), accumulator.dtype, accumulator.lanes
        if not accumulator.tested:
            return name
        full, none = (emit_const(bits, dtype, lanes) for bits in (-1, 0))
        return emit_scalar(self.e, "select", [name, full, none], [bool_, dtype, dtype], dtype, lanes)

    def _map_lanes(self, n: int) -> int:
        vector = self.nest.vector
        inst = self.stage.insts[n]
        assert isinstance(inst, Reduce)
        return self.space.lanes if vector is not None and vector.name in self.stage.axes_of[inst.arg] else 1

    def _finish(self, accumulators: list[Accumulator], state: list[str]) -> None:
        position = 0
        for n, accumulator in zip(self._folded, accumulators):
            name = accumulator.result(self.e, state[position:position + accumulator.width])
            self.values[n] = Reg(name, self.stage.insts[n].dtype, accumulator.lanes)
            for twin in (m for m, found in self._twins.items() if found == n):
                self.values[twin] = Reg(state[position], self.stage.insts[twin].dtype, accumulator.lanes)
            position += accumulator.width

    @cached_property
    def _twins(self) -> dict[int, int]:
        """Maxima (minima) whose index is looked for as well: the search for it finds them."""
        found = [(n, inst) for n in self.stage.reduces if isinstance(inst := self.stage.insts[n], Reduce)]
        return {n: m for n, one in found for m, other in found if one.arg == other.arg and f"arg{one.kind}" == other.kind}

    @property
    def _folded(self) -> list[int]:
        """Reductions with a state of their own."""
        return [n for n in self.stage.reduces if n not in self._twins]

    def _update(self, accumulators: list[Accumulator], state: list[str]) -> list[str]:
        """One point of the reduction: the new state."""
        self._ready()
        position, out = 0, []
        for accumulator in accumulators:
            x = self._operand(accumulator.arg, accumulator.lanes)
            number = self._fold_position() if accumulator.tracks_position else "0"
            out += accumulator.update(self.e, state[position:position + accumulator.width], x, number)
            position += accumulator.width
        return out

    def _fold_position(self) -> str:
        """Row-major number of the current point of the reduce axes."""
        total, step = "0", 1
        for axis in reversed(self.stage.reduce_axes):
            total = self.e.add(total, self.e.mul(self.space.ivs[axis.name], str(step)))
            step *= axis.extent
        return total

    def _unrolled(self, accumulators: list[Accumulator]) -> list[str]:
        state = [v for a in accumulators for v in a.initial()]
        for number, point in enumerate(product(*(range(a.extent) for a in self.nest.fold))):
            with self._scope():
                for axis, at in zip(self.nest.fold, point):
                    self.space.ivs[axis.name] = str(at)
                    self.addresses.enter(axis.name)
                state = self._first(accumulators) if number == 0 else self._update(accumulators, state)
        return state

    def _first(self, accumulators: list[Accumulator]) -> list[str]:
        """The first point starts the state: nothing to combine with."""
        self._ready()
        out = []
        for accumulator in accumulators:
            first = self._operand(accumulator.arg, accumulator.lanes)
            if accumulator.start is not None:
                first = accumulator.combine(self.e, self._start(accumulator, accumulator.start), first)
            out += accumulator.first(self.e, first)
        return out

    def _fold_loops(self, axes: tuple[Axis, ...], accumulators: list[Accumulator], state: list[str]) -> list[str]:
        if not axes:
            return self._update(accumulators, state)
        if all(a.kind in SATURATING for a in accumulators):
            return self._fold_until(axes, accumulators, state)
        each = prod(a.extent for a in axes[1:])
        fold = Fold(self.e, axes[0].name, accumulators, each, lambda iv, state: self._fold_at(axes, iv, accumulators, state))
        return fold.over(0, axes[0].extent, state, self._end(axes[0]))

    def _end(self, axis: Axis) -> str | None:
        """How many points of an axis are folded, if not all."""
        if self._bounded is None or axis.name != self._bounded.axis:
            return None
        bound, e = self._bounded.bound, self.e
        limit, last = self.values[bound.limit], int(bound.closed)
        count = emit_scalar(e, "cast", [limit.name], [limit.dtype], i64, 1)
        count = e.call("i64 @llvm.smin.i64(i64, i64)", f"i64 {count}, i64 {axis.extent - last}", "count")
        count = e.call("i64 @llvm.smax.i64(i64, i64)", f"i64 {count}, i64 {-last}", "count")
        return e.add(count, str(last))

    def _fold_loop(self, axis: Axis, run: tuple[str, str], accumulators: list[Accumulator], state: list[str], step: int = 1,
                   done: Callable[[list[str]], str] | None = None
                   ) -> AbstractContextManager[tuple[str, list[str], list[str]]]:
        carried = list(zip([t for a in accumulators for t in a.types()], state))
        return self.e.reduce_loop(axis.name, *run, step, carried, done)

    def _fold_at(self, axes: tuple[Axis, ...], iv: str, accumulators: list[Accumulator], state: list[str]) -> list[str]:
        """Fold a point of the first axis, and all of the others there."""
        with self._axis(axes[0], iv):
            self._ready()
            return self._fold_loops(axes[1:], accumulators, state)

    def _fold_until(self, axes: tuple[Axis, ...], accumulators: list[Accumulator], state: list[str]) -> list[str]:
        """Fold until nothing can change the state. That is looked at before each point of an outer axis, and before each few points
        of the innermost one."""
        e, axis, step = self.e, axes[0], POINTS_BETWEEN_LOOKS if len(axes) == 1 else 1
        done = partial(saturated, e, accumulators)
        with self._fold_loop(axis, ("0", str(axis.extent)), accumulators, state, step, done) as (iv, phis, following):
            if step == 1:
                following += self._fold_at(axes, iv, accumulators, phis)
            else:
                stop = e.call("i64 @llvm.smin.i64(i64, i64)", f"i64 {e.add(iv, str(step))}, i64 {axis.extent}", "stop")
                with self._fold_loop(axis, (iv, stop), accumulators, phis) as (inner, states, last):
                    last += self._fold_at(axes, inner, accumulators, states)
                following += states
        return phis

    def _reduce_lanes(self, vector: Axis) -> None:
        """Vector accumulators along a reduce axis, scalar ones for its tail, folded together at the end."""
        wide = [self._accumulator(n, self.nest.lanes) for n in self._folded]
        narrow = [self._accumulator(n, 1) for n in self._folded]
        state = [v for a in (*wide, *narrow) for v in a.initial()]
        state = self._lane_loops(self.nest.fold[:-1], vector, wide, narrow, state)
        half, joined = len(state) // 2, []
        for at, one, other in zip(accumulate((a.width for a in wide), initial=0), wide, narrow):
            folded = fold_lanes(self.e, one, state[at:at + one.width])
            joined += other.join(self.e, folded, state[half + at:half + at + one.width])
        self._finish(narrow, joined)

    def _lane_loops(self, axes: tuple[Axis, ...], vector: Axis, wide: list[Accumulator], narrow: list[Accumulator],
                    state: list[str]) -> list[str]:
        lanes, half = self.nest.lanes, len(state) // 2
        main = vector.extent // lanes * lanes
        if axes:
            each = prod(a.extent for a in axes[1:]) * main // lanes
            fold = Fold(self.e, axes[0].name, [*wide, *narrow], each,
                        lambda iv, state: self._lanes_at(axes, iv, vector, wide, narrow, state))
            return fold.over(0, axes[0].extent, state, self._end(axes[0]))
        end = self._end(vector)
        return [*self._lane_loop(vector, 0, main, lanes, wide, state[:half], end),
                *self._lane_loop(vector, main, vector.extent, 1, narrow, state[half:], end)]

    def _lanes_at(self, axes: tuple[Axis, ...], iv: str, vector: Axis, wide: list[Accumulator], narrow: list[Accumulator],
                  state: list[str]) -> list[str]:
        """Fold a point of the first axis, and all of the others there."""
        with self._axis(axes[0], iv):
            self._ready()
            return self._lane_loops(axes[1:], vector, wide, narrow, state)

    def _lane_loop(self, axis: Axis, start: int, stop: int, lanes: int, accumulators: list[Accumulator],
                   state: list[str], end: str | None = None) -> list[str]:
        def point(iv: str, state: list[str]) -> list[str]:
            with self._axis(axis, iv, lanes):
                return self._update(accumulators, state)

        if end is not None:
            end = self.e.call("i64 @llvm.smin.i64(i64, i64)", f"i64 {end}, i64 {stop}", "end")
        return Fold(self.e, axis.name, accumulators, 1, point, lanes).over(start, stop, state, end)

    # Neighbours

    def _jammed_points(self, axis: Axis, start: str, count: int) -> None:
        """Points ``start`` to ``start + count`` of an axis: their reductions side by side, then the rest of each."""
        accumulators = [accumulator_of(self.stage, n, self._map_lanes(n)) for n in self._folded]
        states = self._side_by_side(axis, start, count, accumulators)
        for at, state in enumerate(states):
            with self._axis(axis, self.e.add(start, str(at))):
                self._ready()
                self._finish(accumulators, state)
                self._epilogue()

    def _side_by_side(self, axis: Axis, start: str, count: int, accumulators: list[Accumulator]) -> list[list[str]]:
        """The final states of neighbours' reductions, written out; what they read in common is loaded once."""
        states, loaded = [list[str]() for _ in range(count)], dict[tuple[int, int], Reg]()
        with self._scope():
            known = dict(self.values)
            self.space.ivs[axis.name] = start
            self.addresses.enter(axis.name)
            for number, point in enumerate(fold_points(self.stage)):
                for at in range(count):
                    self.values = dict(known)
                    for n in folded_insts(self.stage):
                        if n not in known:
                            self.values[n] = self._inst_at(n, {**point, axis.name: at}, loaded)
                    states[at] = self._update(accumulators, states[at]) if number else self._first(accumulators)
        return states

    def _inst_at(self, n: int, point: dict[str, int], loaded: dict[tuple[int, int], Reg]) -> Reg:
        """An instruction so many points of some axes further on; ``loaded`` are elements that were loaded before."""
        if not isinstance(self.stage.insts[n], Load):
            return self._inst(n)
        key, step = ("load", n), moved(self.stage, n, point)
        if (n, step) not in loaded:
            first = self.addresses.offsets[key]
            self.addresses.offsets[key] = first.plus(step)
            loaded[n, step] = self._inst(n)
            self.addresses.offsets[key] = first
        return loaded[n, step]
