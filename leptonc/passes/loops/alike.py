"""What a pass makes of tasks that are equal but for the buffers they are bound to: once for all, as networks repeat layers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

from leptonc.ir.kernel import Kernel, Param
from leptonc.ir.types import TensorType
from leptonc.passes.loops.draft import Draft, Task, buffer_name, rename_as, unbind


class _Made(NamedTuple):
    """``names`` of the buffers that were there, the types of temporaries made, and kernels over both."""

    names: list[str]
    temps: list[TensorType]
    kernels: list[Kernel]


class Alike:
    """What was made in a draft so far, by kernels under canonical names."""

    def __init__(self, draft: Draft):
        self._draft = draft
        self._made: dict[Hashable, tuple[int, _Made]] = {}

    def tasks(self, task: Task, others: Sequence[Param], key: Hashable, make: Callable[[], list[Task]]) -> list[Task]:
        """The tasks that ``make`` makes of one, with temporaries of their own: all of the line of ``task``. They depend on its
        kernel, on the types of ``others``, buffers beside those of the kernel, and on ``key``; on nothing else."""
        names = [p.name for p in (*task.kernel.params, *others)]
        whole = unbind(task.kernel), tuple(p.type for p in others), key
        if whole not in self._made:
            first = len(self._draft.buffers)
            made = make()
            temps = [b.type for b in self._draft.buffers[first:]]
            self._made[whole] = first, _Made(names, temps, [t.kernel for t in made])
            return made
        first, known = self._made[whole]
        number = {buffer_name(first + n): buffer_name(self._draft.temp(type_)) for n, type_ in enumerate(known.temps)}
        number.update(zip(known.names, names))
        return [Task(rename_as(kernel, number), task.loc) for kernel in known.kernels]
