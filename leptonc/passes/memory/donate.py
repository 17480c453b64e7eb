"""Donated inputs are overwritten only when nothing needs them any more.

    a1 = dynamic_update_slice(a, x, i)      all three in the memory of a, if the output a2 takes it:
    y = dynamic_slice(a1, j)                each update touches one place, and copies nothing
    a2 = dynamic_update_slice(a1, y, i)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from leptonc.ir.copying import copy_kernel
from leptonc.ir.kernel import Load, Program
from leptonc.passes.loops.draft import Draft, Task, buffer_name, rename
from leptonc.passes.memory.in_place import in_place


@dataclass(frozen=True)
class Donate:
    """Make every donation safe: an output may overwrite its donated input only in the last kernel that reads it,
    element by element; otherwise it is computed elsewhere and copied over at the end. What is made of the input on the way to the
    output takes its memory too, if each may overwrite the one before."""

    name: str = "donate"
    places: ClassVar[bool] = True
    required: ClassVar[bool] = True

    def __call__(self, program: Program) -> Program:
        draft = Draft(program)
        touched = _touched(draft)
        for output in program.outputs:
            source = draft.buffers[output].donated
            for temp in [] if source is None else _way(draft, touched, source, output):
                draft.buffers[temp] = replace(draft.buffers[temp], donated=source)
        for output in program.outputs:
            source = draft.buffers[output].donated
            if source is not None and not _overwrites_safely(draft, source, output):
                _copy_at_end(draft, output)
        return draft.finish()


def _touched(draft: Draft) -> dict[int, tuple[int, int]]:
    """The first and the last task that each buffer is touched by."""
    found: dict[int, tuple[int, int]] = {}
    for n, task in enumerate(draft.tasks):
        for buffer in (*task.reads, *task.writes):
            found[buffer] = (found.get(buffer, (n, n))[0], n)
    return found


def _way(draft: Draft, touched: dict[int, tuple[int, int]], source: int, output: int) -> list[int]:
    """The temporaries between an input and the output that takes its memory, each written over the one before in the last task
    that touches that; none if the output is not reached so."""
    way = list[int]()
    current = source
    while current in touched:
        last = touched[current][1]
        task = draft.tasks[last]
        following = [n for n in dict.fromkeys(task.writes) if touched[n][0] == last and n != current
                     and in_place(task.kernel, buffer_name(current), buffer_name(n))]
        if output in following:
            return way
        current = next((n for n in following if draft.buffers[n].is_placed), -1)
        way.append(current)
    return []


def _overwrites_safely(draft: Draft, source: int, output: int) -> bool:
    writes = [n for n, task in enumerate(draft.tasks) if output in task.writes]
    reads = [n for n, task in enumerate(draft.tasks) if source in task.reads]
    if not writes or (reads and reads[-1] > writes[0]):
        return False
    first = draft.tasks[writes[0]].kernel
    return not reads or reads[-1] < writes[0] or in_place(first, buffer_name(source), buffer_name(output))


def _copy_at_end(draft: Draft, output: int) -> None:
    type_ = draft.buffers[output].type.in_reals  # as kernels see complex numbers
    temp = draft.temp(type_)
    old, new = buffer_name(output), buffer_name(temp)
    for n, task in enumerate(draft.tasks):
        if {output} & {*task.reads, *task.writes}:
            draft.tasks[n] = replace(task, kernel=rename(task.kernel, {old: new}, {}))
    kernel = copy_kernel(type_)
    bound = replace(kernel, params=tuple(replace(p, name=name) for p, name in zip(kernel.params, (new, old))))
    stage = bound.stages[0]
    load = stage.insts[0]
    assert isinstance(load, Load)
    stage = replace(stage, insts=(replace(load, buffer=new),), stores=(replace(stage.stores[0], buffer=old),))
    draft.tasks.append(Task(replace(bound, stages=(stage,))))
