"""Results that cheap operations make of other results of the same kernel are not stored: who reads them makes them again.

The derivative of an activation takes several values of the forward pass, such as ``x * x``, ``x / 2``, ``1 + tanh(u)`` and
``1 - tanh(u)**2`` for GELU, each as large as x. Stored are x and tanh(u):

    r0, r1, r2, r3, r4 = x, x * x, x / 2, 1 + tanh(u), 1 - tanh(u) * tanh(u)    =>    r0, r1 = x, tanh(u)

A reader must read them point by point, and no more buffers than before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from leptonc.ir.kernel import Apply, Const, Inst, Load, Param, Program, Stage, Store, operands
from leptonc.ir.scalar import SCALARS
from leptonc.passes.loops.bodies import is_folded
from leptonc.passes.loops.draft import Draft, Task, buffer_name, buffer_number, inst_at, renumber, tidy
from leptonc.passes.loops.merge import loads_at_axes, loads_of, stores_at_axes

SMALL = 8  # times smaller than a result is what is read beside it for little


@dataclass(frozen=True)
class DropDerived:
    """``again``: how many operations may make a value again; ``least``: bytes of a result that is worth it; ``max_insts``: longest
    body."""

    again: int = 8
    least: int = 1 << 16
    max_insts: int = 160
    name: str = "drop-derived"

    def __call__(self, program: Program) -> Program:
        draft = Draft(program)
        readers: dict[int, list[int]] = {}
        for n, task in enumerate(draft.tasks):
            for buffer in task.reads:
                readers.setdefault(buffer, []).append(n)
        for n in range(len(draft.tasks)):
            _drop(draft, n, readers, self)
        return draft.finish()


def _drop(draft: Draft, n: int, readers: Mapping[int, Sequence[int]], options: DropDerived) -> None:
    """Rewrites task ``n`` and the readers of its results, if fewer results do."""
    task = draft.tasks[n]
    stage = task.stage
    if stage is None or len(stage.stores) < 2:
        return
    stored = [s for s in stage.stores if _is_candidate(draft, task, stage, s, readers, options)]
    kept = [s for s in stage.stores if s not in stored]
    plan = _Plan(task, stage, options.again)
    plan.available |= {s.value: s.buffer for s in kept if stores_at_axes(stage, s)}
    plan.choose(draft, stored)
    if len(plan.bases) >= len(stored):
        return
    gone = {s.buffer: s.value for s in stored if s.buffer not in plan.bases}
    changed = {r: plan.reader(draft.tasks[r], gone) for buffer in gone for r in readers[buffer_number(buffer)]}
    if any(found is None or found.work > options.max_insts for found in changed.values()):
        return
    draft.tasks[n] = plan.producer(kept)
    for r, found in changed.items():
        assert found is not None
        draft.tasks[r] = found


def _is_candidate(draft: Draft, task: Task, stage: Stage, store: Store, readers: Mapping[int, Sequence[int]],
                  options: DropDerived) -> bool:
    """Whether a result need not be stored, if its readers can make it."""
    number, param = buffer_number(store.buffer), task.kernel.buffer(store.buffer)
    if draft.buffers[number].kind != "temp" or param.init is not None or param.type.nbytes < options.least:
        return False
    if not param.type.dtype.is_float or store.accumulate or store.masked or not stores_at_axes(stage, store):
        return False
    return all(_is_pointwise(draft.tasks[r], store.buffer, param) for r in readers.get(number, ()))


def _is_pointwise(reader: Task, buffer: str, param: Param) -> bool:
    stage = reader.stage
    if stage is None or reader.kernel.buffer(buffer).type != param.type or (stage.has_reduce and is_folded(stage, buffer)):
        return False
    loads = [stage.insts[n] for n in loads_of(stage, buffer)]
    return all(isinstance(i, Load) and i.pad is None and loads_at_axes(stage, i) for i in loads)


@dataclass
class _Plan:
    """Which values of a stage are stored. ``available``: instruction -> buffer it is stored in; ``bases``: buffers chosen."""

    task: Task
    stage: Stage
    again: int
    available: dict[int, str] = field(default_factory=dict)
    bases: dict[str, int] = field(default_factory=dict)

    def choose(self, draft: Draft, stored: Sequence[Store]) -> None:
        """In the order of the instructions: what is made of chosen ones is none; of what several lack, that; else the value."""
        left = sorted(stored, key=lambda s: s.value)
        while left:
            store = left.pop(0)
            missing = self._missing(store.value)
            if missing is None or missing:
                shared = next((m for m in sorted(missing or ()) if self._helps(m, store, left)), None)
                if shared is not None:
                    self._take(draft, shared)
                    left.insert(0, store)
                else:
                    self.available[store.value] = store.buffer
                    self.bases[store.buffer] = store.value

    def _take(self, draft: Draft, value: int) -> None:
        """Store a value that was not."""
        like = next(s for s in self.stage.stores if stores_at_axes(self.stage, s))
        type_ = replace(self.task.kernel.buffer(like.buffer).type, dtype=self.stage.insts[value].dtype)
        buffer = buffer_name(draft.temp(type_))
        self.available[value], self.bases[buffer] = buffer, value

    def _helps(self, value: int, store: Store, left: Sequence[Store]) -> bool:
        """Whether a result and another one to come lack this value alone, and the other one would with the result itself."""
        lacking = [s.value for s in left if self._missing(s.value) == {value}]
        if self._missing(store.value) != {value} or not lacking:
            return False
        self.available[store.value] = store.buffer
        served = all(self._missing(n) == set() for n in lacking)
        del self.available[store.value]
        return not served

    def _missing(self, value: int) -> set[int] | None:
        """What a value is made of by cheap operations and is not available; None if that are too many operations."""
        made = list(self._made_of(value))
        new = [n for n in made if n not in self.available]
        applied = sum(isinstance(self.stage.insts[n], Apply) for n in new)
        return {n for n in new if not self._is_cheap(n)} if applied <= self.again else None

    def _made_of(self, value: int) -> Iterator[int]:
        """The instructions that a reader needs, in any order."""
        work, seen = [value], set[int]()
        while work:
            n = work.pop()
            if n not in seen:
                seen.add(n)
                yield n
                if n not in self.available and self._is_cheap(n):
                    work += operands(self.stage.insts[n])

    def _is_cheap(self, n: int) -> bool:
        inst = self.stage.insts[n]
        if isinstance(inst, Load):
            folded = {a.name for a in self.stage.reduce_axes}
            size = self.task.kernel.buffer(inst.buffer).type.size
            largest = max(self.task.kernel.buffer(s.buffer).type.size for s in self.stage.stores)
            moving = any(axis in folded for i in inst.index for axis, _ in i.axes) or any(i.values for i in inst.index)
            return size * SMALL <= largest and not moving
        return isinstance(inst, Const) or (isinstance(inst, Apply) and inst.op in SCALARS and SCALARS[inst.op].cost == 1)

    def producer(self, kept: Sequence[Store]) -> Task:
        """The task with what is chosen, and kept, as its results."""
        like = next(s for s in self.stage.stores if stores_at_axes(self.stage, s))
        stores = (*kept, *(replace(like, buffer=buffer, value=value) for buffer, value in self.bases.items()))
        stage = tidy(replace(self.stage, stores=tuple(stores)))
        types = {p.name: p for p in self.task.kernel.params}
        for buffer, value in self.bases.items():
            type_ = replace(types[like.buffer].type, dtype=self.stage.insts[value].dtype)
            types.setdefault(buffer, replace(types[like.buffer], name=buffer, type=type_))
        return _with_stage(self.task, stage, types)

    def reader(self, task: Task, gone: Mapping[str, int]) -> Task | None:
        """A reader that makes what is gone; None if it would read more buffers than it does."""
        stage = task.stage
        assert stage is not None
        insts, number = list[Inst](), dict[int, int]()
        for n, inst in enumerate(stage.insts):
            moved = renumber(inst, number)
            if isinstance(moved, Load) and moved.buffer in gone:
                number[n] = self._make(gone[moved.buffer], moved, insts)
            else:
                number[n] = len(insts)
                insts.append(moved)
        stores = tuple(replace(s, value=number[s.value], index=tuple(
            i.renumbered(number) for i in s.index)) for s in stage.stores)
        rewritten = tidy(Stage(stage.axes, tuple(insts), stores))
        types = {p.name: p for p in task.kernel.params}
        for param in (*self.task.kernel.params, *self.producer(()).kernel.params):
            if types.get(param.name, param).type != param.type:
                return None  # seen in another shape
            types.setdefault(param.name, replace(param, role="in", init=None))
        found = _with_stage(task, rewritten, types)
        return found if self._large(found) <= self._large(task) else None

    def _large(self, task: Task) -> int:
        """Buffers as large as the results that a task reads."""
        least = max(self.task.kernel.buffer(s.buffer).type.size for s in self.stage.stores)
        return sum(p.role != "out" and p.type.size * SMALL > least for p in task.kernel.params)

    def _make(self, value: int, load: Load, insts: list[Inst]) -> int:
        """Append what makes a value at the point that a load reads; returns its number."""
        like = next(s for s in self.stage.stores if stores_at_axes(self.stage, s))
        place = {i.axes[0][0]: at for i, at in zip(like.index, load.index) if i.axes}
        number = dict[int, int]()
        for n in sorted(self._made_of(value)):
            if n in self.available:
                inst: Inst = replace(load, buffer=self.available[n], dtype=self.stage.insts[n].dtype)
            else:
                inst = inst_at(renumber(self.stage.insts[n], number), place)
            number[n] = len(insts)
            insts.append(inst)
        return number[value]


def _with_stage(task: Task, stage: Stage, types: Mapping[str, Param]) -> Task:
    """The task with another stage, and the parameters that it touches."""
    stored = {s.buffer for s in stage.stores}
    read = {i.buffer for i in stage.insts if isinstance(i, Load)} - stored
    params = [p for name, p in types.items() if name in read | stored]
    ordered = sorted(params, key=lambda p: p.role != "in")
    return replace(task, kernel=replace(task.kernel, params=tuple(ordered), stages=(stage,)))



