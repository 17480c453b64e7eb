"""Scatter-adds of many more updates than there are elements, in parts: each part of the updates is added up in a table of its own,
from zeros on, and the tables are added up behind.

Threads then go through parts of the updates from end to end, where else each goes through all of them and adds its own columns:
lines of memory that several columns share come from it several times. The parts depend on shapes alone, so results are the same
bits for any number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from leptonc.ir.kernel import Apply, Axis, Index, Kernel, Load, Param, Program, Reduce, Stage, Store, points
from leptonc.ir.types import TensorType
from leptonc.passes.loops.draft import Draft, Task, buffer_name, inst_at


@dataclass(frozen=True)
class SplitScatters:
    """``updates``: fewer are left alone. ``parts``: into how many, the first that there are ``repaid`` times as many updates for as
    there are elements in all tables: zeros are written, read and added."""

    updates: int = 1 << 20
    parts: tuple[int, ...] = (8, 4)
    repaid: int = 16
    name: str = "split-scatters"

    def __call__(self, program: Program) -> Program:
        draft = Draft(program)
        draft.tasks = [part for task in draft.tasks for part in self._split(draft, task)]
        return draft.finish()

    def _split(self, draft: Draft, task: Task) -> list[Task]:
        store, cut = _added(task.kernel), None
        if store is not None:
            cut = _cut(task.kernel.stages[1], store)
        if store is None or cut is None:
            return [task]
        size, count = task.kernel.buffer(store.buffer).type.size, points(task.kernel.stages[1].axes)
        parts = next((n for n in self.parts if cut.extent % n == 0 and count >= self.repaid * n * size), 0)
        return _in_parts(draft, task, store, cut, parts) if parts and count >= self.updates else [task]


def _added(kernel: Kernel) -> Store | None:
    """What a kernel adds at places made at run time to a copy of an operand, if it does that alone."""
    if len(kernel.stages) != 2 or kernel.outer or kernel.locals or not _is_copy(kernel.stages[0]):
        return None
    stage = kernel.stages[1]
    (copied,) = kernel.stages[0].stores
    only = len(stage.stores) == 1 and not stage.has_reduce and stage.stores[0].buffer == copied.buffer
    apart = all(i.buffer != copied.buffer for i in stage.insts if isinstance(i, Load))
    store = stage.stores[0]
    adds = store.accumulate and store.by == "add" and not kernel.buffer(store.buffer).type.dtype.is_bool
    return store if only and apart and adds and any(i.values for i in store.index) else None


def _is_copy(stage: Stage) -> bool:
    """Whether it stores one operand, element by element."""
    if len(stage.insts) != 1 or len(stage.stores) != 1 or not isinstance(stage.insts[0], Load):
        return False
    store = stage.stores[0]
    whole = tuple(Index.of(a) for a in stage.axes)
    return not store.accumulate and not store.masked and stage.insts[0].index == store.index == whole


def _cut(stage: Stage, store: Store) -> Axis | None:
    """The longest axis along which all points may meet."""
    moving = {axis for index in store.index for axis, _ in index.axes}
    return max((a for a in stage.axes if a.name not in moving), key=lambda a: a.extent, default=None)


def _in_parts(draft: Draft, task: Task, store: Store, cut: Axis, parts: int) -> list[Task]:
    """The tables, and their sum with what was copied."""
    kernel, stage = task.kernel, task.kernel.stages[1]
    copy, result = kernel.stages[0], kernel.buffer(store.buffer)
    number, piece = Axis(f"{cut.name}_part", parts), cut.extent // parts
    type_ = TensorType((parts, *result.type.shape), result.type.dtype)
    table = Param(buffer_name(draft.temp(type_)), type_, "out", 0)
    place = {cut.name: number * piece + cut}
    axes = (number, *(Axis(a.name, piece) if a == cut else a for a in stage.axes))
    added = Stage(axes, tuple(inst_at(i, place) for i in stage.insts),
                  (replace(store, buffer=table.name, index=(Index.of(number), *store.index)),))
    read = {i.buffer for i in stage.insts if isinstance(i, Load)}
    first = Kernel(f"{kernel.name}_parts", (*(p for p in kernel.params if p.name in read), table), (added,))
    load = copy.insts[0]
    assert isinstance(load, Load)
    insts = (Load(table.name, (Index.of(number), *load.index), load.dtype), Reduce("sum", 0, load.dtype), load,
             Apply("add", (1, 2), load.dtype))
    joined = Stage((*copy.axes, replace(number, reduce=True)), insts, (replace(copy.stores[0], value=3),))
    params = (kernel.buffer(load.buffer), replace(table, role="in", init=None), result)
    second = Kernel(f"{kernel.name}_joined", params, (joined,))
    return [Task(first, task.loc), Task(second, task.loc)]
