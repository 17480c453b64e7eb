"""Emission of a scheduled loop nest: maps, reductions and their epilogues, scatters.

Each instruction is emitted in the outermost loop that it depends on, once; what does not vary along the vector axis
stays scalar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import product
from math import prod

from leptonc.codegen.llvm.emitter import Emitter, emit_const, llvm_type
from leptonc.codegen.llvm.scalars import emit_scalar
from leptonc.codegen.loops.addresses import (
    Addresses,
    Reg,
    Space,
    condition_along,
    index_value,
    load,
    store,
    store_interleaved,
    widen,
)
from leptonc.codegen.loops.linear import LinearStage, interleaved_stores
from leptonc.codegen.loops.neighbours import fold_points, folded_insts, moved
from leptonc.codegen.loops.parts import Fold
from leptonc.codegen.loops.reduction import SATURATING, Accumulator, accumulator_of, fold_lanes, saturated
from leptonc.codegen.loops.schedule import Nest
from leptonc.ir.kernel import Apply, Axis, AxisIndex, Const, Load, Reduce, operands
from leptonc.ir.types import bool_, i64
from leptonc.lazy import cached_property

WRITTEN_OUT = 8  # vectors of a scatter's row
POINTS_BETWEEN_LOOKS = 8  # of a fold that may end early: a look costs about as much as a point


class NestEmitter:
    """Emits one stage. ``pointers`` maps buffer names to LLVM pointers; ``ivs`` holds the kernel's open outer axes."""

    def __init__(self, e: Emitter, stage: LinearStage, nest: Nest, pointers: dict[str, str], ivs: dict[str, str]):
        self.e = e
        self.stage = stage
        self.nest = nest
        self.pointers = pointers
        self.space = Space(e, dict(ivs), nest.vector.name if nest.vector else None, 1)
        accesses = {("load", n): a for n, a in stage.loads.items()}
        accesses |= {("store", n): a for n, a in enumerate(stage.targets)}
        self.addresses = Addresses(self.space, accesses)
        self.values: dict[int, Reg] = {}
        self.folding = frozenset(folded_insts(stage))  # emitted before or inside the reduce loops; all others after them
        self._inside = False  # whether the store's condition holds here
        self._jammed: tuple[Axis, str, int] | None = None  # points that are taken together: their axis, the first, how many
        for axis in ivs:
            self.addresses.enter(axis)

    # Loops

    def emit(self, begin: str, end: str) -> None:
        """The whole nest, for the parallel items ``begin`` to ``end``."""
        if prod(a.extent for a in self.stage.map_axes) == 0:
            return
        if not self.nest.parallel and not self.nest.block:
            with self.e.when(self.e.let(f"icmp slt i64 {begin}, {end}", "any")):
                self._ready()
                self._loops(self.nest.loops, None)
            return
        with self.e.loop("item", begin, end) as item, self._scope():
            block = self._decode(item)
            self._ready()
            self._loops(self.nest.loops, block)

    def emit_inner(self) -> None:
        """The whole nest at one point of the kernel's outer axes."""
        if prod(a.extent for a in self.stage.map_axes) == 0:
            return
        with self._scope():
            self._ready()
            self._loops(self.nest.loops, None)

    def _decode(self, item: str) -> str | None:
        """Open the parallel axes of a flat item number; returns the number of the vector axis' block."""
        e, nest = self.e, self.nest
        block = None
        if nest.block and nest.vector:
            blocks = -(-nest.vector.extent // nest.block)
            block = item if not nest.parallel else e.let(f"urem i64 {item}, {blocks}", "block")
            item = item if not nest.parallel else e.let(f"udiv i64 {item}, {blocks}", "item")
        for n, axis in reversed(list(enumerate(nest.parallel))):
            last = n == 0
            self.space.ivs[axis.name] = item if last else e.let(f"urem i64 {item}, {axis.extent}", axis.name)
            self.addresses.enter(axis.name)
            item = item if last else e.let(f"udiv i64 {item}, {axis.extent}", "item")
        return block

    @contextmanager
    def _scope(self) -> Iterator[None]:
        """What is emitted inside is forgotten after: it does not dominate what follows."""
        values, ivs, offsets = dict(self.values), dict(self.space.ivs), dict(self.addresses.offsets)
        yield
        self.values, self.space.ivs = values, ivs
        self.addresses.leave(offsets)

    @contextmanager
    def _axis(self, axis: Axis, iv: str, lanes: int = 1) -> Iterator[None]:
        """``axis`` is open at ``iv``; lanes > 1 makes it the vector axis."""
        saved = self.space.lanes
        with self._scope():
            self.space.ivs[axis.name] = iv
            self.space.lanes = lanes if lanes > 1 else saved
            self.addresses.enter(axis.name)
            yield
        self.space.lanes = saved

    def _loops(self, loops: tuple[Axis, ...], block: str | None) -> None:
        if len(loops) == 1 and self.nest.jam > 1:
            self._jammed_loop(loops[0], block)
        elif loops:
            with self.e.loop(loops[0].name, "0", str(loops[0].extent)) as iv, self._axis(loops[0], iv):
                self._ready()
                self._loops(loops[1:], block)
        elif self.nest.vector is not None and not self.nest.vector.reduce:
            with self._where_stored(self.nest.vector):
                self._vector_loop(self.nest.vector, block)
        else:
            self._point()

    @contextmanager
    def _where_stored(self, vector: Axis) -> Iterator[None]:
        """All of the vector axis at once is left out where the only store's condition, the same along it, does not hold."""
        only = len(self.stage.stores) == 1 and not self.stage.reduces
        condition = condition_along(self.addresses, ("store", 0), vector.name, self.values) if only else None
        if condition is None:
            yield
            return
        self._inside = True
        with self.e.when(condition, "inside"), self._scope():
            yield
        self._inside = False

    def _jammed_loop(self, axis: Axis, block: str | None) -> None:
        """``jam`` points of an axis together, and those that are left over."""
        step, vector = self.nest.jam, self.nest.vector
        main = axis.extent // step * step
        assert vector is not None
        for start, stop, count in ((0, main, step), (main, axis.extent, axis.extent - main)):
            if start < stop:
                with self.e.loop(axis.name, str(start), str(stop), step) as iv:
                    self._jammed = (axis, iv, count)
                    self._vector_loop(vector, block)
        self._jammed = None

    def _vector_loop(self, axis: Axis, block: str | None) -> None:
        e, lanes = self.e, self.nest.lanes
        main = axis.extent // lanes * lanes
        start, stop = "0", str(main)
        if block is not None:
            start = e.mul(block, str(self.nest.block))
            limit = e.add(start, str(self.nest.block))
            stop = e.call("i64 @llvm.smin.i64(i64, i64)", f"i64 {limit}, i64 {main}", "stop")
        few = self._written_out(axis)
        for at in range(0, few, lanes):
            with self._axis(axis, e.add(start, str(at)), lanes):
                self._ready()
                self._point()
        if main and not few:
            with e.loop(axis.name, start, stop, lanes) as iv, self._axis(axis, iv, lanes):
                self._ready()
                self._point()
        if main < axis.extent:
            self._tail(axis, main, block)

    def _written_out(self, axis: Axis) -> int:
        """Points of a scatter's rows, or of its blocks of them, if they are few whole vectors: no loop within the one over rows."""
        points = self.nest.block or axis.extent
        whole = points % self.nest.lanes == 0 and axis.extent % points == 0
        return points if self._inside and whole and points <= WRITTEN_OUT * self.nest.lanes else 0

    def _tail(self, axis: Axis, start: int, block: str | None) -> None:
        """The last ``extent - start`` points in ever narrower vectors; only the last block has them."""
        if block is None:
            self._tail_points(axis, start)
            return
        last = (axis.extent - 1) // self.nest.block
        with self.e.when(self.e.let(f"icmp eq i64 {block}, {last}", "last")):
            self._tail_points(axis, start)

    def _tail_points(self, axis: Axis, start: int) -> None:
        lanes = self.nest.lanes // 2
        while start < axis.extent:
            if start + lanes <= axis.extent:
                with self._axis(axis, str(start), lanes):
                    self._ready()
                    self._point()
                start += lanes
            else:
                lanes //= 2

    # Points

    def _point(self) -> None:
        """All map axes are open: reduce, epilogue, stores."""
        if self._jammed is not None:
            self._jammed_points(*self._jammed)
            return
        with self._scope():
            if self.stage.reduces:
                self._reduce()
            self._epilogue()

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
            self.addresses.offsets[key] = self.e.add(first, str(step))
            loaded[n, step] = self._inst(n)
            self.addresses.offsets[key] = first
        return loaded[n, step]

    def _epilogue(self) -> None:
        if self.stage.reduces:
            self._ready(epilogue=True)
        for group in self._interleaved if self.space.lanes > 1 else ():
            values = [self.values[self.stage.stores[n].value] for n in group]
            store_interleaved(self.addresses, group[0], self.pointers[self.stage.stores[group[0]].buffer], values)
        together = {n for group in self._interleaved for n in group} if self.space.lanes > 1 else set()
        for n, target in enumerate(self.stage.stores):
            if n in together:
                continue
            store(self.addresses, ("store", n), self.pointers[target.buffer], self.values[target.value],
                  target.by if target.accumulate else "set", self.values, self._inside)

    @cached_property
    def _interleaved(self) -> tuple[tuple[int, ...], ...]:
        """Stores that fill every element along the vector axis together, each one of so many, in order: parts of complex numbers,
        results of a butterfly."""
        vector = self.nest.vector
        return () if vector is None or vector.reduce else interleaved_stores(self.stage, vector.name)

    @contextmanager
    def at(self, points: Sequence[tuple[Axis, str]], lanes: int = 1) -> Iterator[None]:
        """Axes open at given points (of the vector axis ``lanes``), and every instruction emitted that can be then."""
        saved = self.space.lanes
        with self._scope():
            for axis, iv in points:
                self.space.ivs[axis.name] = iv
                self.addresses.enter(axis.name)
            self.space.lanes = lanes if lanes > 1 else saved
            self._ready()
            yield
        self.space.lanes = saved

    def epilogue_at(self, points: list[tuple[Axis, str]], lanes: int, reduced: dict[int, Reg]) -> None:
        """Epilogue and stores at given points of the map axes, the last of them the vector axis with ``lanes``."""
        with self._scope():
            saved = self.space.lanes
            for axis, iv in points:
                self.space.ivs[axis.name] = iv
                self.addresses.enter(axis.name)
            self.space.lanes = lanes
            self.values.update(reduced)
            self._epilogue()
            self.space.lanes = saved

    def _ready(self, epilogue: bool = False) -> None:
        """Emit every instruction whose axes are open and which belongs to this part of the stage."""
        axes_of, after = self.stage.axes_of, self.stage.after_reduce
        has_reduces = bool(self.stage.reduces)
        for n, inst in enumerate(self.stage.insts):
            if n in self.values or isinstance(inst, Reduce):
                continue
            if has_reduces and not epilogue and n not in self.folding:
                continue
            if after[n] and not epilogue:
                continue
            if axes_of[n] <= self.space.ivs.keys() and all(k in self.values for k in operands(inst)):
                self.values[n] = self._inst(n)

    def _inst(self, n: int) -> Reg:
        inst, e = self.stage.insts[n], self.e
        match inst:
            case Const():
                return Reg(emit_const(inst.value, inst.dtype, 1), inst.dtype)
            case Load():
                return load(self.addresses, ("load", n), self.pointers[inst.buffer], inst.dtype, inst.pad, self.values)
            case AxisIndex():
                return self._axis_index(n, inst)
            case Apply():
                args = [self.values[k] for k in inst.args]
                lanes = max(a.lanes for a in args)
                names = [self._operand(k, lanes) for k in inst.args]
                return Reg(emit_scalar(e, inst.op, names, [a.dtype for a in args], inst.dtype, lanes), inst.dtype, lanes)
        raise AssertionError(inst)

    def _operand(self, n: int, lanes: int) -> str:
        inst = self.stage.insts[n]
        if isinstance(inst, Const):
            return emit_const(inst.value, inst.dtype, lanes)
        return widen(self.e, self.values[n], lanes)

    def _axis_index(self, n: int, inst: AxisIndex) -> Reg:
        index = self.stage.indices[n]
        varying = self.space.varies(index) or any(self.values[v].lanes > 1 for v, _ in index.values)
        lanes = self.space.lanes if varying else 1
        name = index_value(self.space, index, self.values, lanes)
        if index.div != 1:
            name = self.e.let(f"sdiv {llvm_type(i64, lanes)} {name}, {emit_const(index.div, i64, lanes)}", "div")
        if inst.dtype != i64:
            name = emit_scalar(self.e, "cast", [name], [i64], inst.dtype, lanes)
        return Reg(name, inst.dtype, lanes)

    # Reductions

    def _accumulator(self, n: int, lanes: int) -> Accumulator:
        """The state of a Reduce in a register of lanes that are folded together at the end."""
        inst = self.stage.insts[n]
        assert isinstance(inst, Reduce)
        return Accumulator(inst.kind, self.stage.insts[inst.arg].dtype, lanes, arg=inst.arg)

    def _reduce(self) -> None:
        vector = self.nest.vector
        if vector is not None and vector.reduce:
            self._reduce_lanes(vector)
            return
        accumulators = [accumulator_of(self.stage, n, self._map_lanes(n)) for n in self._folded]
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
        return fold.over(0, axes[0].extent, state)

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
        wide = [self._accumulator(n, self.nest.lanes) for n in self.stage.reduces]
        narrow = [self._accumulator(n, 1) for n in self.stage.reduces]
        state = [v for a in (*wide, *narrow) for v in a.initial()]
        state = self._lane_loops(self.nest.fold[:-1], vector, wide, narrow, state)
        for k, n in enumerate(self.stage.reduces):
            name = fold_lanes(self.e, wide[k], state[k])
            name = narrow[k].combine(self.e, name, state[len(wide) + k])
            self.values[n] = Reg(name, self.stage.insts[n].dtype)

    def _lane_loops(self, axes: tuple[Axis, ...], vector: Axis, wide: list[Accumulator], narrow: list[Accumulator],
                    state: list[str]) -> list[str]:
        lanes, count = self.nest.lanes, len(wide)
        main = vector.extent // lanes * lanes
        if axes:
            each = prod(a.extent for a in axes[1:]) * main // lanes
            fold = Fold(self.e, axes[0].name, [*wide, *narrow], each,
                        lambda iv, state: self._lanes_at(axes, iv, vector, wide, narrow, state))
            return fold.over(0, axes[0].extent, state)
        return [*self._lane_loop(vector, 0, main, lanes, wide, state[:count]),
                *self._lane_loop(vector, main, vector.extent, 1, narrow, state[count:])]

    def _lanes_at(self, axes: tuple[Axis, ...], iv: str, vector: Axis, wide: list[Accumulator], narrow: list[Accumulator],
                  state: list[str]) -> list[str]:
        """Fold a point of the first axis, and all of the others there."""
        with self._axis(axes[0], iv):
            self._ready()
            return self._lane_loops(axes[1:], vector, wide, narrow, state)

    def _lane_loop(self, axis: Axis, start: int, stop: int, lanes: int, accumulators: list[Accumulator],
                   state: list[str]) -> list[str]:
        def point(iv: str, state: list[str]) -> list[str]:
            with self._axis(axis, iv, lanes):
                return self._update(accumulators, state)

        return Fold(self.e, axis.name, accumulators, 1, point, lanes).over(start, stop, state)
