"""The step's interpreter: a Step in NumPy, on memory as it lies at run time.

All of memory is one array of bytes: the arena with its offsets, every argument, donated outputs in the bytes of their inputs.
Threads are simulated: each runs the step's body up to the next barrier, one item after the other, in an order that is chosen; what
a race could change, some order does. An item's stages are evaluated as they were scheduled, from the linearised accesses, packed
operands through their panels. Floats are added up in f64, so results are those of ``ir.interpret``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from leptonc.codegen.contraction.emit import panels_of
from leptonc.codegen.contraction.panels import Panels
from leptonc.codegen.contraction.plan import Contraction
from leptonc.codegen.loops.access import Access
from leptonc.codegen.loops.linear import LinearStage
from leptonc.codegen.prefix.plan import PREFIXES, TOTALS, PrefixPlan
from leptonc.codegen.routed.plan import Routed
from leptonc.codegen.step.step import (
    PANELS,
    Barrier,
    Blocks,
    ContractionUnit,
    ControlUnit,
    Launch,
    LookupUnit,
    NestUnit,
    PackingUnit,
    Parallel,
    PrefixUnit,
    Region,
    RoutedPackingUnit,
    RoutedUnit,
    Serial,
    SortUnit,
    Statement,
    Step,
    Term,
    TiledUnit,
    Together,
    Unit,
)
from leptonc.errors import IRError
from leptonc.ir.control import Control
from leptonc.ir.interpret import COMBINE, fold
from leptonc.ir.kernel import Apply, Axis, AxisIndex, Const, Index, Inst, Load, Reduce, Store
from leptonc.ir.prefix import UFUNCS, accumulated, joined, neutral
from leptonc.ir.scalar import NUMPY
from leptonc.ir.sorting import Sort
from leptonc.ir.types import DType, in_reals, out_of_reals
from leptonc.memory import ALIGN, aligned

GARBAGE = 0xCC
Order = Callable[[list[int]], int]  # which of the threads that can go on runs its next item

ORDERS: dict[str, Callable[[], Order]] = {
    "forward": lambda: min,  # all of thread 0 before thread 1
    "backward": lambda: max,
    "interleaved": lambda: _RoundRobin(),
}


def run_step(step: Step, arrays: Sequence[np.ndarray], threads: int = 1, order: str | Order = "forward",
             check: bool = True) -> list[np.ndarray]:
    """The outputs of a step for the program's inputs, which are left as they are.

    ``order``: one of ``ORDERS``, or a function that picks one of the threads that can go on. ``check``: that every access lies in
    the regions of its unit and item. Raises IRError if one does not, if an address is outside of its buffer, or if threads wait for
    ever.
    """
    memory = _Memory(step)
    memory.fill(arrays)
    choose = ORDERS[order]() if isinstance(order, str) else order
    running = [_thread(step, memory, n, threads, check) for n in range(threads)]
    waiting, ready = set[int](), set(range(threads))
    with np.errstate(all="ignore"):
        while ready or waiting:
            if not ready:
                if len(waiting) < threads:
                    raise IRError(f"threads {sorted(waiting)} of {threads} wait at a barrier that the others do not reach")
                ready, waiting = waiting, set()
            n = choose(sorted(ready))
            event = next(running[n], None)
            if event != "item":
                ready.discard(n)
            if event == "barrier":
                waiting.add(n)
    return [out_of_reals(memory.view(number).copy(), step.program.buffers[number].type) for number in step.program.outputs]


class _RoundRobin:
    """An item of each thread in turn."""

    def __init__(self) -> None:
        self.last = -1

    def __call__(self, ready: list[int]) -> int:
        self.last = next((n for n in ready if n > self.last), ready[0])
        return self.last


class _Memory:
    """All bytes of a step; blocks lie behind each other, a cache line apart."""

    def __init__(self, step: Step):
        self.step = step
        sizes = {"arena": step.arena_bytes}
        for memory in step.memory:
            sizes[memory.block] = max(sizes.get(memory.block, 0), memory.stop)
        self.base, offset = dict[str, int](), 0
        for block, size in sizes.items():
            self.base[block] = offset
            offset += aligned(size) + ALIGN
        self.bytes = np.full(offset, GARBAGE, np.uint8)

    def fill(self, arrays: Sequence[np.ndarray]) -> None:
        program = self.step.program
        given = dict(zip(program.inputs, arrays, strict=True))
        given |= {n: b.literal.array for n, b in enumerate(program.buffers) if b.literal is not None}
        for number, array in given.items():
            self.view(number)[:] = in_reals(np.asarray(array, program.buffers[number].type.dtype.numpy)).reshape(-1)

    def view(self, number: int) -> np.ndarray:
        """A buffer's elements, flat; of complex ones their parts."""
        type_, memory = self.step.program.buffers[number].type, self.step.memory[number]
        start = self.base[memory.block] + memory.start
        return self.bytes[start:start + type_.nbytes].view(type_.dtype.real.numpy)

    def panels(self, nbytes: int) -> np.ndarray:
        start = self.base["arena"] + self.step.panels_at
        return self.bytes[start:start + nbytes]


# Threads


def _thread(step: Step, memory: _Memory, tid: int, threads: int, check: bool) -> Iterator[str]:
    """A thread's run: "item" after each item, "barrier" where it waits."""
    yield from _statements(step, memory, step.body, tid, threads, check)


def _statements(step: Step, memory: _Memory, body: Sequence[Statement], tid: int, threads: int, check: bool) -> Iterator[str]:
    for statement in body:
        match statement:
            case Barrier():
                yield "barrier"
            case Parallel(number):
                yield from _items(memory, step.launches[number], *_share(step.launches[number].unit.items, tid, threads), check)
            case Together(number):
                if tid == 0:  # what its body is for several threads, its own verifier says
                    yield from _items(memory, step.launches[number], 0, 1, check)
            case Serial(numbers):
                for number in numbers if tid == 0 else ():
                    yield from _items(memory, step.launches[number], 0, step.launches[number].unit.items, check)
            case Blocks(count, numbers, otherwise, slack):
                if -(-count // threads) * threads * slack > count * (slack + 1):
                    yield from _statements(step, memory, otherwise, tid, threads, check)
                    continue
                for block in range(*_share(count, tid, threads)):
                    for number in numbers:
                        each = step.launches[number].unit.items // count
                        yield from _items(memory, step.launches[number], block * each, (block + 1) * each, check)


def _share(items: int, tid: int, threads: int) -> tuple[int, int]:
    return tid * items // threads, (tid + 1) * items // threads


def _items(memory: _Memory, launch: Launch, begin: int, end: int, check: bool) -> Iterator[str]:
    for item in range(begin, end):
        _Item(memory, launch, item, check).run()
        yield "item"


# Items


Points = Mapping[str, range]  # the points of each axis


@dataclass
class _Item:
    """One item of a launch."""

    memory: _Memory
    launch: Launch
    number: int
    check: bool
    buffers: dict[str, np.ndarray] = field(default_factory=dict)
    points: dict[str, range] = field(default_factory=dict)
    allowed: dict[tuple[str, bool, int], np.ndarray] = field(default_factory=dict)

    def run(self) -> None:
        unit, rest = self.launch.unit, self.number
        params = unit.kernel.params
        self.buffers = {p.name: self.memory.view(n) for p, n in zip(params, self.launch.args)}
        self.buffers[PANELS] = self.memory.panels(unit.panel_bytes)
        for digit in reversed(unit.digits):
            rest, n = divmod(rest, digit.count)
            self.points[digit.axis] = range(n * digit.block, min((n + 1) * digit.block, digit.extent))
        self._schedule(unit)

    def _control(self, unit: Unit, schedule: ControlUnit) -> None:
        """Bodies as steps of one thread."""
        assert isinstance(unit.kernel, Control)
        steps = {id(body): step for body, step in zip(unit.kernel.bodies, schedule.bodies)}
        env = {p.name: self.buffers[p.name].reshape(p.type.shape) for p in unit.kernel.params}
        unit.kernel.run(env, lambda program, arrays: run_step(steps[id(program)], arrays, check=self.check))

    def _schedule(self, unit: Unit) -> None:
        match unit.schedule:
            case ControlUnit():
                self._control(unit, unit.schedule)
            case NestUnit(linear):
                self._stage(linear)
            case PackingUnit(panels, offset):
                self._pack(panels, offset)
            case ContractionUnit(plan):
                self._stage(plan.stage, _panel_loads(plan, 0))
            case TiledUnit():
                self._tiled(unit, unit.schedule)
            case RoutedPackingUnit(plan):
                self._pack_routed(plan)
            case RoutedUnit(plan, clear):
                if clear:
                    self._clear(plan.stage.stores[0].buffer, clear)
                self._stage(plan.stage, {plan.routing.dense: _RoutedPanel(plan)} if plan.packs else {})
            case LookupUnit(lookup):
                self._stage(lookup.routed.stage)
            case SortUnit(sort):
                self._sort(sort.kernel)
            case PrefixUnit(scan, phase):
                self._prefix(scan, phase)

    def _sort(self, kernel: Sort) -> None:
        """The item's rows."""
        rows = tuple(slice(self.points[axis].start, self.points[axis].stop) for axis in "oi")
        arrays = {p.name: self.buffers[p.name].reshape(p.type.shape)[rows[0], :, rows[1]] for p in kernel.params}
        kernel.run(arrays)

    def _prefix(self, plan: PrefixPlan, phase: str) -> None:
        """The item's blocks: their totals, what each begins with, or their prefixes."""
        outer, n, inner = plan.kernel.shape
        join, source, target = plan.kernel.join, *(self.buffers[p.name].reshape(outer, n, inner) for p in plan.kernel.params)
        o, i = (slice(self.points[axis].start, self.points[axis].stop) for axis in "oi")
        if not plan.shared:
            target[o, :, i] = accumulated(join, source[o, :, i], 1, plan.kernel.reverse)
            return
        bases = self.buffers[PANELS].view(plan.base.numpy)[:outer * plan.blocks * inner].reshape(outer, plan.blocks, inner)
        number = self.points["b"].start if "b" in self.points else 0
        block = slice(number * plan.block, min((number + 1) * plan.block, n))
        if phase == TOTALS:
            bases[o, number, i] = joined(join, source[o, block, i].astype(plan.base.numpy), 1)
        elif phase == PREFIXES:
            found = accumulated(join, source[o, block, i], 1, plan.kernel.reverse)
            target[o, block, i] = UFUNCS[join](bases[o, number, i].astype(found.dtype)[:, None], found)
        else:
            first = np.full_like(bases[o, :1, i], neutral(join, plan.base))
            every = (bases[o, 1:, i], first) if plan.kernel.reverse else (first, bases[o, :-1, i])
            bases[o, :, i] = accumulated(join, np.concatenate(every, 1), 1, plan.kernel.reverse)

    def _tiled(self, unit: Unit, schedule: TiledUnit) -> None:
        for local in unit.kernel.locals:
            self.buffers[local.name] = np.full(local.type.nbytes, GARBAGE, np.uint8).view(local.type.dtype.numpy)
        for number, inner in enumerate(schedule.stages):
            self._stage(inner.linear, _panel_loads(inner.plan, inner.panels_at) if inner.plan else {}, number)

    def _stage(self, linear: LinearStage, panels: Mapping[int, _Panel] | None = None, number: int = 0) -> None:
        _Evaluation(linear, self, panels or {}, number).run()

    def _pack(self, panels: Panels, offset: int) -> None:
        plan, access = panels.plan, panels.plan.stage.loads[panels.side.load]
        tile, folded = self.points[panels.axis.name], {a.name: a for a in plan.stage.reduce_axes}
        fold = tuple(folded[a.name] for a in plan.fold)
        points = {**{a.name: self.points[a.name] for a in panels.outer}, **{a.name: range(a.extent) for a in fold},
                  panels.axis.name: range(tile.start, min(tile.stop, panels.axis.extent))}
        read = self._read(panels.side.buffer, access, (*panels.outer, *fold, panels.axis), points)
        for dtype in (*panels.side.casts, panels.numbers):
            read = NUMPY.cast(read, dtype)
        packed = np.zeros((*(a.extent for a in fold), panels.width), panels.numbers.numpy)
        packed[..., :len(points[panels.axis.name])] = read.reshape((*packed.shape[:-1], -1))
        if plan.pairs:
            packed = _in_pairs(packed)
        self._write_panel(offset + self.number * packed.nbytes, packed)

    def _pack_routed(self, plan: Routed) -> None:
        axes = (*plan.lists, *plan.rows, plan.vector)
        points = {a.name: range(a.extent) for a in (*plan.rows, plan.vector)} | {a.name: self.points[a.name] for a in plan.lists}
        read = self._read(plan.dense_buffer, plan.dense, axes, points).reshape(-1, plan.row_count, plan.vector.extent)
        packed = np.zeros((*read.shape[:2], plan.padded), plan.dtype.numpy)
        packed[:, :, :plan.vector.extent] = read
        first = 0
        for axis in plan.lists:
            first = first * axis.extent + self.points[axis.name].start
        self._write_panel(first * plan.row_count * plan.padded * plan.dtype.itemsize, packed)

    def _read(self, buffer: str, access: Access, axes: Sequence[Axis], points: Points) -> np.ndarray:
        grid = _grid(axes, points)
        places = access.offset + sum((grid[a.name] * access.stride(a.name) for a in axes), np.zeros((1,) * len(axes), np.int64))
        self.touch(buffer, places, False, 0)
        return self.buffers[buffer][places]

    def _write_panel(self, start: int, packed: np.ndarray) -> None:
        data = packed.view(np.uint8).reshape(-1)
        self.touch(PANELS, np.arange(start, start + data.size), True, 0)
        self.buffers[PANELS][start:start + data.size] = data

    def _clear(self, buffer: str, count: int) -> None:
        places = np.arange(self.number * count, (self.number + 1) * count)
        self.touch(buffer, places, True, 0)
        self.buffers[buffer][places] = 0

    def touch(self, buffer: str, places: np.ndarray, write: bool, stage: int) -> None:
        """Raises IRError if elements are none of a buffer, or of none of the item's regions."""
        size = self.buffers[buffer].size
        if places.size and not (places.min() >= 0 and places.max() < size):
            name = buffer or "panels"
            raise IRError(f"{self.launch}, item {self.number}: {name}[{places.min()}..{places.max()}], which has {size} elements")
        if self.check and not self._allowed(buffer, write, stage)[places].all():
            how = "writes" if write else "reads"
            raise IRError(f"{self.launch}, item {self.number}: {how} {buffer or 'panels'} outside of its regions")

    def _allowed(self, buffer: str, write: bool, stage: int) -> np.ndarray:
        """The elements of a buffer that the item's regions have; all of a local one."""
        key = buffer, write, stage
        if key not in self.allowed:
            unit, elements = self.launch.unit, self.buffers[buffer]
            local = buffer in {p.name for p in unit.kernel.locals}
            self.allowed[key] = np.full(elements.size, local)
            for region in unit.regions:
                if (region.buffer, region.write, region.stage) == key:
                    _allow(self.allowed[key], region, self.points, elements.itemsize)
        return self.allowed[key]


def _allow(allowed: np.ndarray, region: Region, points: Points, size: int) -> None:
    """Mark a region's elements for the points of an item; they have ``size`` bytes."""
    places = np.array([region.offset // size])
    for term in (*region.terms, Term("", size, region.run // size)):
        own = points.get(term.axis, range(term.extent))
        steps = np.arange(min(own.start, term.extent), min(own.stop, term.extent)) * (term.stride // size)
        places = np.add.outer(places, steps).reshape(-1)
    allowed[places[(places >= 0) & (places < allowed.size)]] = True


def _grid(axes: Sequence[Axis], points: Points) -> dict[str, np.ndarray]:
    """The points of axes, each along a dimension of its own."""
    sides = {axis.name: [-1 if d == n else 1 for d in range(len(axes))] for n, axis in enumerate(axes)}
    return {name: np.arange(points[name].start, points[name].stop).reshape(side) for name, side in sides.items()}


def _in_pairs(packed: np.ndarray) -> np.ndarray:
    """[..., fold, width] with the elements of two points of the fold beside each other, the last one's beside 0."""
    *rest, fold, width = packed.shape
    whole = np.zeros((*rest, fold + fold % 2, width), packed.dtype)
    whole[..., :fold, :] = packed
    return np.ascontiguousarray(np.moveaxis(whole.reshape((*rest, -1, 2, width)), -2, -1))


# Operands in panels


@dataclass(frozen=True)
class _Packed:
    """Where an operand of a contraction lies in its panels, which begin at byte ``start``."""

    panels: Panels
    start: int

    @property
    def dtype(self) -> DType:
        return self.panels.numbers

    def places(self, grid: Mapping[str, np.ndarray]) -> np.ndarray:
        """Elements from ``start`` on."""
        if not self.panels.plan.pairs:
            return self._places(grid)
        last = self.panels.plan.fold[-1].name
        return 2 * self._places({**grid, last: grid[last] // 2}) + grid[last] % 2

    def _places(self, grid: Mapping[str, np.ndarray]) -> np.ndarray:
        panels, number = self.panels, np.asarray(0)
        for axis in panels.outer:
            number = number * axis.extent + grid[axis.name]
        place = grid.get(panels.axis.name, np.asarray(0))
        number = number * panels.tiles + place // panels.width
        inside = sum((grid[k.name] * panels.strides().fold[k.name] for k in panels.plan.fold), np.asarray(0))
        return np.asarray(number * (panels.plan.depth * panels.width) + inside + place % panels.width)


@dataclass(frozen=True)
class _RoutedPanel:
    """The same of the dense operand of a routed sum."""

    plan: Routed
    start: int = 0

    @property
    def dtype(self) -> DType:
        return self.plan.dtype

    def places(self, grid: Mapping[str, np.ndarray]) -> np.ndarray:
        number = np.asarray(0)
        for axis in (*self.plan.lists, *self.plan.rows):
            number = number * axis.extent + grid.get(axis.name, np.asarray(0))
        return np.asarray(number * self.plan.padded + grid[self.plan.vector.name])


_Panel = _Packed | _RoutedPanel


def _panel_loads(plan: Contraction, start: int) -> dict[int, _Panel]:
    """Packed loads, by number."""
    out = dict[int, _Panel]()
    for panels in panels_of(plan).values():
        out[panels.side.load] = _Packed(panels, start)
        start += aligned(panels.nbytes)
    return out


# Stages


class _Evaluation:
    """A linearised stage at the points of one item, all at once: loads first, stores last."""

    def __init__(self, linear: LinearStage, item: _Item, panels: Mapping[int, _Panel], number: int):
        self.linear, self.item, self.panels, self.number = linear, item, panels, number
        points = {a.name: item.points.get(a.name, range(a.extent)) for a in linear.axes}
        self.grid = {axis: np.asarray(own.start) for axis, own in item.points.items()} | _grid(linear.axes, points)
        self.shape = tuple(len(points[a.name]) for a in linear.axes)
        self.folded = tuple(n for n, a in enumerate(linear.axes) if a.reduce)
        self.values: list[np.ndarray] = []

    def run(self) -> None:
        for n, inst in enumerate(self.linear.insts):
            self.values.append(self._inst(n, inst))
        for store, access in zip(self.linear.stores, self.linear.targets):
            self._store(store, access, self.values[store.value])

    def _inst(self, n: int, inst: Inst) -> np.ndarray:
        match inst:
            case Const():
                return np.asarray(inst.value, inst.dtype.numpy)
            case AxisIndex():
                index = self.linear.indices[n]
                return (self._number(index) // index.div).astype(inst.dtype.numpy)
            case Load():
                return self._load(n, inst)
            case Apply():
                return NUMPY.apply(inst.op, (self.values[k] for k in inst.args), inst.dtype)
            case Reduce():
                return self._reduce(inst)

    def _number(self, index: Index) -> np.ndarray:
        total = np.asarray(index.offset)
        for axis, coeff in index.axes:
            total = total + self.grid[axis] * coeff
        for value, coeff in index.values:
            total = total + self.values[value].astype(np.int64) * coeff
        return total

    def _places(self, access: Access) -> tuple[np.ndarray, np.ndarray]:
        """Elements, 0 where the access is out of range, and whether it is in range."""
        total, inside = np.asarray(access.offset), np.asarray(True)
        for axis, stride in access.strides:
            total = total + self.grid[axis] * stride
        for value, stride in access.values:
            total = total + self.values[value].astype(np.int64) * stride
        for index, stride in access.divided:
            total = total + self._number(index) // index.div * stride
        for check in access.checks:
            number = self._number(check.index)
            inside = inside & (number >= 0 if check.lower else True) & (number % check.index.div == 0)
            inside = inside & (number <= (check.extent - 1) * check.index.div if check.upper else True)
        return np.where(inside, total, 0), inside

    def _load(self, n: int, load: Load) -> np.ndarray:
        if n in self.panels:
            return self._load_panel(self.panels[n])
        places, inside = self._places(self.linear.loads[n])
        self._touch(load.buffer, places, inside, False)
        buffer = self.item.buffers[load.buffer]
        if not inside.any():
            return np.full(np.broadcast_shapes(places.shape, inside.shape), 0 if load.pad is None else load.pad, buffer.dtype)
        return np.where(inside, buffer[places], np.asarray(0 if load.pad is None else load.pad).astype(buffer.dtype))

    def _load_panel(self, panel: _Panel) -> np.ndarray:
        places, size = panel.places(self.grid), panel.dtype.itemsize
        data = self.item.buffers[PANELS][panel.start:]
        self.item.touch(PANELS, panel.start + places * size, False, self.number)
        return data[:data.size // size * size].view(panel.dtype.numpy)[places]

    def _touch(self, buffer: str, places: np.ndarray, inside: np.ndarray, write: bool) -> None:
        places, inside = np.broadcast_arrays(places, inside)
        self.item.touch(buffer, places[inside], write, self.number)

    def _reduce(self, reduce: Reduce) -> np.ndarray:
        full = np.broadcast_to(self.values[reduce.arg], self.shape)
        kept = tuple(1 if n in self.folded else extent for n, extent in enumerate(self.shape))
        moved = np.moveaxis(full, self.folded, range(len(self.shape) - len(self.folded), len(self.shape)))
        kept_alone = tuple(e for n, e in enumerate(self.shape) if n not in self.folded)
        flat = moved.reshape((*kept_alone, prod(self.shape[n] for n in self.folded)))
        return fold(reduce.kind, flat, reduce.dtype).reshape(kept)

    def _store(self, store: Store, access: Access, value: np.ndarray) -> None:
        target = self.item.buffers[store.buffer]
        places, inside = self._places(access)
        points = tuple(1 if n in self.folded and self.linear.reduces else e for n, e in enumerate(self.shape))
        keep = np.broadcast_to(inside, points).reshape(-1)
        where = np.broadcast_to(places, points).reshape(-1)[keep]
        self.item.touch(store.buffer, where, True, self.number)
        kept = np.broadcast_to(value, points).reshape(-1)[keep]
        if store.accumulate and store.by != "set":
            COMBINE[store.by].at(target, where, kept)
        else:
            target[where] = kept


__all__ = ["ORDERS", "Order", "run_step"]
