"""Memory planning: intermediates placed in one arena by liveness, in place where a kernel allows it, and donated
inputs overwritten only when nothing needs them any more."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, replace
from itertools import combinations

from leptonc.ir.kernel import Axis, Buffer, Call, Index, Kernel, Load, Program, Stage, Store
from leptonc.memory import ALIGN, aligned
from leptonc.passes.loops.draft import Draft, Task, buffer_name
from leptonc.passes.loops.lower import copy_kernel

REST = 3  # calls


@dataclass(frozen=True)
class Donate:
    """Make every donation safe: an output may overwrite its donated input only in the last kernel that reads it,
    element by element; otherwise it is computed elsewhere and copied over at the end."""

    name: str = "donate"

    def __call__(self, program: Program) -> Program:
        draft = Draft(program)
        for output in program.outputs:
            source = draft.buffers[output].donated
            if source is not None and not _overwrites_safely(draft, source, output):
                _copy_at_end(draft, output)
        return draft.finish()


def _overwrites_safely(draft: Draft, source: int, output: int) -> bool:
    writes = [n for n, task in enumerate(draft.tasks) if output in task.writes]
    reads = [n for n, task in enumerate(draft.tasks) if source in task.reads]
    if not writes or (reads and reads[-1] > writes[0]):
        return False
    first = draft.tasks[writes[0]].kernel
    return not reads or reads[-1] < writes[0] or in_place(first, buffer_name(source), buffer_name(output))


def _copy_at_end(draft: Draft, output: int) -> None:
    type_ = draft.buffers[output].type
    temp = draft.temp(type_)
    old, new = buffer_name(output), buffer_name(temp)
    for n, task in enumerate(draft.tasks):
        if {output} & {*task.reads, *task.writes}:
            draft.tasks[n] = replace(task, kernel=_rename_buffer(task.kernel, old, new))
    kernel = copy_kernel(type_)
    bound = replace(kernel, params=tuple(replace(p, name=name) for p, name in zip(kernel.params, (new, old))))
    stage = bound.stages[0]
    load = stage.insts[0]
    assert isinstance(load, Load)
    stage = replace(stage, insts=(replace(load, buffer=new),), stores=(replace(stage.stores[0], buffer=old),))
    draft.tasks.append(Task(replace(bound, stages=(stage,))))


def _rename_buffer(kernel: Kernel, old: str, new: str) -> Kernel:
    from_draft = {old: new}
    params = tuple(replace(p, name=from_draft.get(p.name, p.name)) for p in kernel.params)
    stages = []
    for stage in kernel.stages:
        insts = tuple(replace(i, buffer=new) if isinstance(i, Load) and i.buffer == old else i for i in stage.insts)
        stores = tuple(replace(s, buffer=new) if s.buffer == old else s for s in stage.stores)
        stages.append(replace(stage, insts=insts, stores=stores))
    return replace(kernel, params=params, stages=tuple(stages))


def in_place(kernel: Kernel, source: str, result: str) -> bool:
    """Whether ``result`` may share memory with ``source``: the last stage that reads the one writes the other, at the same places,
    and outer points have their own."""
    params = {p.name: p for p in kernel.params}
    if source not in params or params[result].init is not None or params[source].type != params[result].type:
        return False
    touching = [stage for stage in kernel.stages if _loads(stage, source) or _stores(stage, result)]
    if not touching or any(_stores(stage, result) for stage in touching[:-1]) or not _same_places(touching[-1], source, result):
        return False
    indices = [a.index for stage in touching for a in _loads(stage, source)] + [s.index for s in _stores(touching[-1], result)]
    extents = {a.name: a.extent for stage in touching for a in stage.axes}
    return all(_apart(axis, kernel.outer, indices, extents) for axis in kernel.outer)


def _loads(stage: Stage, buffer: str) -> list[Load]:
    return [i for i in stage.insts if isinstance(i, Load) and i.buffer == buffer]


def _stores(stage: Stage, buffer: str) -> list[Store]:
    return [s for s in stage.stores if s.buffer == buffer]


def _same_places(stage: Stage, source: str, result: str) -> bool:
    """Each point of the map axes reads what it overwrites and nothing else of the source."""
    stores = _stores(stage, result)
    if any(s.accumulate or s.masked or any(i.values for i in s.index) for s in stores):
        return False
    places, axes = {s.index for s in stores}, {a.name for a in stage.map_axes if a.extent > 1}
    if any(axes - {axis for index in place for axis, _ in index.axes} for place in places):
        return False  # points share a place
    apart = len(places) == len(stores) and all(_differ(a, b) for a, b in combinations(places, 2))
    return apart and all(i.index in places and i.pad is None for i in _loads(stage, source))


def _differ(one: tuple[Index, ...], other: tuple[Index, ...]) -> bool:
    """Whether two accesses never meet, whatever their points: in some dimension they are different constants."""
    return any(a.is_constant and b.is_constant and a != b for a, b in zip(one, other))


def _apart(axis: Axis, outer: tuple[Axis, ...], indices: list[tuple[Index, ...]], extents: dict[str, int]) -> bool:
    """Whether the points of an outer axis lie in blocks along some dimension of all ``indices``, each in its own."""
    others = {a.name for a in outer} - {axis.name}
    return any(all(_in_blocks(index[d], axis, others, extents) and index[d].coeff(axis.name) == indices[0][d].coeff(axis.name)
                   for index in indices) for d in range(len(indices[0])))


def _in_blocks(index: Index, axis: Axis, others: set[str], extents: dict[str, int]) -> bool:
    """``axis * count + something`` from 0 to below ``count``."""
    rest = [(name, coeff) for name, coeff in index.axes if name != axis.name]
    if index.div != 1 or index.values or any(name in others or coeff < 0 for name, coeff in rest):
        return False
    return index.offset + sum(coeff * (extents[name] - 1) for name, coeff in rest) < index.coeff(axis.name) and index.offset >= 0


@dataclass(frozen=True)
class PlanMemory:
    """Give every temporary its place in the arena."""

    name: str = "plan-memory"

    def __call__(self, program: Program) -> Program:
        first, last = _lifetimes(program)
        arena = _Arena()
        offsets: dict[int, int] = {}
        ending: dict[int, list[int]] = {}
        for number, end in last.items():
            ending.setdefault(end, []).append(number)
        for position, call in enumerate(program.calls):
            arena.advance(position)
            dying = [n for n in ending.get(position, ()) if n in offsets]
            for number in _born(first, call, position):
                shared = _shares_with(program, call, number, dying)
                if shared is not None:
                    dying.remove(shared)
                    offsets[number] = offsets[shared]
                else:
                    offsets[number] = arena.take(program.buffers[number].type.nbytes)
            for number in dying:
                arena.give(offsets[number], program.buffers[number].type.nbytes)
            for number in ending.get(position, ()):  # written, never read
                if number in offsets and number not in dying and first[number] == position:
                    arena.give(offsets[number], program.buffers[number].type.nbytes)
        buffers = tuple(replace(b, offset=offsets.get(n)) if b.kind == "temp" else b
                        for n, b in enumerate(program.buffers))
        return replace(program, buffers=buffers, arena_bytes=arena.size)


def _born(first: dict[int, int], call: Call, position: int) -> list[int]:
    return [n for n in dict.fromkeys(call.args) if first.get(n) == position]


def _lifetimes(program: Program) -> tuple[dict[int, int], dict[int, int]]:
    """First and last call that touches each temporary."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for position, call in enumerate(program.calls):
        for number in call.args:
            if program.buffers[number].kind == "temp":
                first.setdefault(number, position)
                last[number] = position
    return first, last


def _shares_with(program: Program, call: Call, number: int, dying: list[int]) -> int | None:
    """A temporary read for the last time here whose memory the new one may take."""
    names = {arg: p.name for arg, p in zip(call.args, call.kernel.params)}
    for other in dying:
        if program.buffers[other].type.nbytes == program.buffers[number].type.nbytes and in_place(
                call.kernel, names[other], names[number]):
            return other
    return None


class _Arena:
    """Free blocks by size and by offset; the smallest that fits is taken, neighbours are joined when given back.

    What is given back rests for some calls if nothing needs it before: kernels near each other could not run block by block
    (``codegen/step/interleave.py``) if one wrote what another had just read.
    """

    def __init__(self) -> None:
        self.size = 0
        self.position = 0
        self.resting: list[tuple[int, int, int]] = []  # (position, offset, bytes), oldest first
        self.free: list[tuple[int, int]] = []  # (bytes, offset), sorted
        self.starts: dict[int, int] = {}
        self.stops: dict[int, int] = {}

    def advance(self, position: int) -> None:
        """To the call at a position: what has rested long enough is free."""
        self.position = position
        self._wake(position - REST)

    def _wake(self, until: int) -> None:
        while self.resting and self.resting[0][0] <= until:
            _, offset, size = self.resting.pop(0)
            self._free(offset, size)

    def take(self, nbytes: int) -> int:
        need = max(ALIGN, aligned(nbytes))
        at = bisect_left(self.free, (need, -1))
        if at == len(self.free):
            self._wake(self.position)
            at = bisect_left(self.free, (need, -1))
        if at == len(self.free):
            return self._grow(need)
        size, offset = self.free[at]
        self._remove(size, offset)
        if size > need:
            self._insert(size - need, offset + need)
        return offset

    def _grow(self, need: int) -> int:
        """At the end of the arena, in continuation of a free block there if there is one."""
        size = self.stops.get(self.size, 0)
        offset = self.size - size
        if size:
            self._remove(size, offset)
        self.size = offset + need
        return offset

    def give(self, offset: int, nbytes: int) -> None:
        self.resting.append((self.position, offset, max(ALIGN, aligned(nbytes))))

    def _free(self, offset: int, size: int) -> None:
        before = self.stops.get(offset)
        if before:
            self._remove(before, offset - before)
            offset, size = offset - before, size + before
        after = self.starts.get(offset + size)
        if after:
            self._remove(after, offset + size)
            size += after
        self._insert(size, offset)

    def _insert(self, size: int, offset: int) -> None:
        insort(self.free, (size, offset))
        self.starts[offset] = size
        self.stops[offset + size] = size

    def _remove(self, size: int, offset: int) -> None:
        del self.free[bisect_left(self.free, (size, offset))]
        del self.starts[offset]
        del self.stops[offset + size]


def memory_report(program: Program) -> list[tuple[str, Buffer, int, int]]:
    """(name, buffer, first call, last call) of every temporary, largest first."""
    first, last = _lifetimes(program)
    rows = [(f"b{n}", program.buffers[n], first[n], last[n]) for n in first]
    return sorted(rows, key=lambda row: -row[1].type.nbytes)
