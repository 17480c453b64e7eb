"""Giving contractions operands that are always in range.

A padded or divided load inside a contraction would test every element's index, again for every result that reads it.
Instead the operand is laid out once with its halo (and, for a strided convolution's input gradient, its gaps) filled
in. Where the operand is itself computed, its producer writes into the halo buffer directly.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from leptonc.ir.affine import span
from leptonc.ir.kernel import Axis, Const, Index, Inst, Kernel, Load, Opaque, Param, Program, Stage, Store, number_bits
from leptonc.ir.structure import is_contraction, product_sum
from leptonc.ir.types import TensorType
from leptonc.passes.loops.draft import Draft, Task, buffer_name, buffer_number
from leptonc.passes.loops.merge import is_map


@dataclass(frozen=True)
class Halo:
    """``gaps``: whether operands with a divided index are laid out as well."""

    gaps: bool = True
    name: str = "halo"

    def __call__(self, program: Program) -> Program:
        draft = Draft(program)
        made: dict[object, int] = {}
        tasks: list[Task] = []
        for task in draft.tasks:
            for number, stage in enumerate(task.kernel.stages if not task.kernel.outer else ()):
                for n in _operands(stage):
                    if self._wants(stage.insts[n]):
                        task = _laid_out(draft, made, tasks, task, number, n)
            tasks.append(task)
        draft.tasks = tasks
        _write_through(draft)
        return draft.finish()

    def _wants(self, load: Inst) -> bool:
        """Whether a load is laid out: it may be out of range, and what it reaches is known now."""
        return (isinstance(load, Load) and load.pad is not None and not any(i.values for i in load.index)
                and (self.gaps or not _is_divided(load)))


def _operands(stage: Stage) -> tuple[int, ...]:
    """The loads of a contraction that are read at every point of the reduce axes; those of the epilogue are not."""
    found = product_sum(stage.insts)
    if found is not None:
        return tuple(dict.fromkeys((found.a, found.b)))
    return tuple(n for n, i in enumerate(stage.insts) if isinstance(i, Load)) if is_contraction(stage) else ()


def _is_divided(load: Load) -> bool:
    return any(i.div != 1 for i in load.index)


def _laid_out(draft: Draft, made: dict[object, int], tasks: list[Task], task: Task, number_of_stage: int, n: int) -> Task:
    """Replace padded load ``n`` of a contraction by a load from a buffer with the halo filled in."""
    stage = task.kernel.stages[number_of_stage]
    load = stage.insts[n]
    assert isinstance(load, Load) and load.pad is not None
    source = task.kernel.buffer(load.buffer)
    reached = _reach(task.kernel, stage, load)
    key = (load.buffer, source.type, Const(load.pad, load.dtype), tuple(reached))
    if key not in made:
        made[key] = draft.temp(source.type.with_shape(tuple(high - low for low, high, _ in reached)))
        tasks.append(_halo_task(source, load.pad, reached, draft.buffers[made[key]].type, made[key], task))
    number = made[key]
    moved = tuple(replace(i, offset=i.offset - low, div=1) for i, (low, _, _) in zip(load.index, reached))
    target = Param(buffer_name(number), draft.buffers[number].type)
    insts = list(stage.insts)
    insts[n] = Load(target.name, moved, load.dtype)
    stages = tuple(replace(stage, insts=tuple(insts)) if k == number_of_stage else s for k, s in enumerate(task.kernel.stages))
    still = {i.buffer for s in stages for i in s.insts if isinstance(i, Load)}
    params = tuple(p for p in task.kernel.params if p.role != "in" or p.name in still)
    if target.name not in {p.name for p in params}:
        params = (target, *params)
    return replace(task, kernel=replace(task.kernel, params=params, stages=stages))


Reach = tuple[int, int, int]  # the numerators [low, high) that an index runs over, and its divisor


def _reach(kernel: Kernel, stage: Stage, load: Load) -> list[Reach]:
    """What a padded load reaches; together with the other stages' loads like it, so that one layout serves all."""
    shape = kernel.buffer(load.buffer).type.shape
    found = _reach_alone(load, shape, stage)
    for other in kernel.stages if not _is_divided(load) else ():
        for inst in (other.insts[n] for n in _operands(other)):
            if _is_like(inst, load):
                found = [(min(low, a), max(high, b), 1) for (low, high, _), (a, b, _)
                         in zip(found, _reach_alone(inst, shape, other))]
    return found


def _is_like(inst: Inst, load: Load) -> bool:
    """Whether one layout may serve both loads, of which ``load`` is not divided."""
    return (isinstance(inst, Load) and inst.buffer == load.buffer and not _is_divided(inst)
            and not any(i.values for i in inst.index) and number_bits(inst.pad, inst.dtype) == number_bits(load.pad, load.dtype))


def _reach_alone(load: Inst, shape: tuple[int, ...], stage: Stage) -> list[Reach]:
    """Of each dimension at least the operand itself."""
    assert isinstance(load, Load)
    extents = {a.name: a.extent for a in stage.axes}
    return [_reach_of(i, extent, extents) for i, extent in zip(load.index, shape)]


def _reach_of(index: Index, extent: int, extents: dict[str, int]) -> Reach:
    found = span(index, extents)
    assert found is not None, "an index that memory gives is not laid out"
    if index.div != 1:
        return found.low, found.high + 1, index.div
    return min(found.low, 0), max(found.high + 1, extent), 1


def _halo_task(source: Param, pad: float | int | bool, reached: list[Reach], type_: TensorType, number: int, task: Task) -> Task:
    axes = tuple(Axis(f"i{n}", extent) for n, extent in enumerate(type_.shape))
    index = tuple((Index.of(a) + low).exact_div(div) if div != 1 else Index.of(a) + low
                  for a, (low, _, div) in zip(axes, reached))
    stage = Stage(axes, (Load(source.name, index, source.type.dtype, pad),),
                  (Store(buffer_name(number), tuple(Index.of(a) for a in axes), 0),))
    params = (replace(source, role="in"), Param(buffer_name(number), type_, "out"))
    return Task(Kernel("halo", params, (stage,)), task.loc)


def _write_through(draft: Draft) -> None:
    """producer -> T -> padded copy of T -> contraction: the producer writes into the padded buffer, all readers of T read there.

    Only where the copy merely shifts T (no gaps) and all of T lies inside it. Other padded copies are left to fusion.
    """
    producers = {w: n for n, task in enumerate(draft.tasks) for w in task.writes}
    wanted = {buffer for task in draft.tasks for buffer in _contracted(task)}
    copies = {n: task.reads[0] for n, task in enumerate(draft.tasks)
              if _padded_load(task) is not None and task.writes[0] in wanted and draft.buffers[task.writes[0]].kind == "temp"}
    sources = Counter(copies.values())
    readers: dict[int, list[int]] = {}
    for n, task in enumerate(draft.tasks):
        for r in task.reads:
            readers.setdefault(r, []).append(n)
    dropped = set()
    for n, temp in copies.items():
        if draft.buffers[temp].kind == "temp" and sources[temp] == 1 and temp in producers:
            others = [r for r in readers[temp] if r != n]
            if _retarget(draft, n, producers[temp], others, temp):
                target = draft.tasks[n].writes[0]  # which may be copied with a pad of its own
                producers[target] = producers[temp]
                readers[target] += others
                dropped.add(n)
    draft.tasks = [task for n, task in enumerate(draft.tasks) if n not in dropped]


def _contracted(task: Task) -> set[int]:
    """The buffers that a task's contractions multiply."""
    loads = [stage.insts[n] for stage in task.kernel.stages for n in _operands(stage)]
    local = {p.name for p in task.kernel.locals}
    return {buffer_number(i.buffer) for i in loads if isinstance(i, Load) and i.buffer not in local}


def _padded_load(task: Task) -> Load | None:
    """The load of a kernel that copies a buffer into the middle of a temporary, a pad around it."""
    stage = task.stage
    if stage is None or len(stage.insts) != 1 or len(stage.stores) != 1 or not is_map(stage):
        return None
    load, store = stage.insts[0], stage.stores[0]
    if not isinstance(load, Load) or load.pad is None or store.index != tuple(Index.of(a) for a in stage.axes):
        return None
    moves = len(load.index) == len(stage.axes) and all(i - i.offset == Index.of(a) for i, a in zip(load.index, stage.axes)
                                                        if i.div == 1)
    return load if moves and not _is_divided(load) else None


def _retarget(draft: Draft, halo: int, producer: int, readers: list[int], temp: int) -> bool:
    load = _padded_load(draft.tasks[halo])
    assert load is not None
    target = draft.tasks[halo].writes[0]
    param = Param(buffer_name(target), draft.buffers[target].type)
    shifts = tuple(-i.offset for i in load.index)
    inside = all(0 <= s and s + extent <= wide for s, extent, wide in
                 zip(shifts, draft.tasks[halo].kernel.buffer(buffer_name(temp)).type.shape, param.type.shape))
    tasks = [draft.tasks[n] for n in (producer, *readers)]
    made = draft.tasks[producer].kernel.buffer(buffer_name(temp))
    if not inside or draft.tasks[producer].stage is None:
        return False
    if made.type != draft.tasks[halo].kernel.buffer(made.name).type:
        return False  # written under another shape
    filled = made.init is None or number_bits(made.init, load.dtype) == number_bits(load.pad, load.dtype)
    if not filled or not all(_shiftable(t.kernel, made) for t in tasks):
        return False
    for n in (producer, *readers):
        kernel = _shifted(draft.tasks[n].kernel, made.name, param, shifts, load.pad if n == producer else None)
        draft.tasks[n] = replace(draft.tasks[n], kernel=kernel)
    return True


def _shiftable(kernel: Kernel, made: Param) -> bool:
    """Every access to the buffer is in its own shape, in range, undivided; what an opaque kernel does is not known."""
    if isinstance(kernel, Opaque) or kernel.buffer(made.name).type != made.type:
        return False
    for stage in kernel.stages:
        accesses = [i for i in (*stage.insts, *stage.stores) if isinstance(i, Load | Store) and i.buffer == made.name]
        for access in accesses:
            guarded = access.pad is not None if isinstance(access, Load) else access.masked
            if guarded or any(i.div != 1 for i in access.index):
                return False
    return True


def _shifted(kernel: Kernel, name: str, target: Param, shifts: tuple[int, ...], init: float | int | bool | None) -> Kernel:
    """Accesses to ``name`` go to ``target``, moved by ``shifts``."""
    def moved(index: tuple[Index, ...]) -> tuple[Index, ...]:
        return tuple(i + s for i, s in zip(index, shifts))

    there = any(p.name == target.name for p in kernel.params)  # one that reads both the buffer and its halo
    params = tuple(replace(target, role=p.role, init=init) if p.name == name else p for p in kernel.params
                   if p.name != name or not there)
    stages = []
    for stage in kernel.stages:
        insts = tuple(replace(i, buffer=target.name, index=moved(i.index)) if isinstance(i, Load) and i.buffer == name
                      else i for i in stage.insts)
        stores = tuple(replace(s, buffer=target.name, index=moved(s.index)) if s.buffer == name else s
                       for s in stage.stores)
        stages.append(Stage(stage.axes, insts, stores))
    return replace(kernel, params=params, stages=tuple(stages))

