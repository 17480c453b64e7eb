"""The step's interpreter: a Step in NumPy, on memory as it lies at run time.

All of memory is one array of bytes: the arena with its offsets, every argument, donated outputs in the bytes of their inputs.
Threads are simulated: each runs the step's body up to the next barrier, one item after the other, in an order that is chosen; what
a race could change, some order does. An item's stages are evaluated as they were scheduled, from the linearised accesses, packed
operands through their panels. Floats are added up in f64, so results are those of ``ir.interpret``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from leptonc.codegen.contraction.panels import Panels
from leptonc.codegen.loops.access import Access
from leptonc.codegen.loops.linear import LinearStage
from leptonc.codegen.prefix.plan import PREFIXES, TOTALS, PrefixPlan
from leptonc.codegen.routed.plan import Routed
from leptonc.codegen.step.evaluation import Evaluation, Panel, Points, RoutedPanel, grid_of, panel_loads
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
from leptonc.ir.kernel import Axis
from leptonc.ir.prefix import UFUNCS, accumulated, joined, neutral
from leptonc.ir.scalar import NUMPY
from leptonc.ir.sorting import Sort
from leptonc.ir.types import in_reals, out_of_reals
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
                self._stage(plan.stage, panel_loads(plan, 0))
            case TiledUnit():
                self._tiled(unit, unit.schedule)
            case RoutedPackingUnit(plan):
                self._pack_routed(plan)
            case RoutedUnit(plan, clear):
                if clear:
                    self._clear(plan.stage.stores[0].buffer, clear)
                self._stage(plan.stage, {plan.routing.dense: RoutedPanel(plan)} if plan.packs else {})
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
            self._stage(inner.linear, panel_loads(inner.plan, inner.panels_at) if inner.plan else {}, number)

    def _stage(self, linear: LinearStage, panels: Mapping[int, Panel] | None = None, number: int = 0) -> None:
        Evaluation(linear, self, panels or {}, number).run()

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
        grid = grid_of(axes, points)
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


def _in_pairs(packed: np.ndarray) -> np.ndarray:
    """[..., fold, width] with the elements of two points of the fold beside each other, the last one's beside 0."""
    *rest, fold, width = packed.shape
    whole = np.zeros((*rest, fold + fold % 2, width), packed.dtype)
    whole[..., :fold, :] = packed
    return np.ascontiguousarray(np.moveaxis(whole.reshape((*rest, -1, 2, width)), -2, -1))


__all__ = ["ORDERS", "Order", "run_step"]
