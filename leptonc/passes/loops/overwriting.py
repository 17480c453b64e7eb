"""What a kernel that updates some places of an array may be written over, if nothing reads that any more."""

from __future__ import annotations

from leptonc.passes.loops.bodies import is_plain_copy
from leptonc.passes.loops.draft import Draft, Task, buffer_name
from leptonc.passes.memory.in_place import in_place


def overwritten(draft: Draft, task: Task) -> list[tuple[int, int]]:
    """Pairs of what an update is made of, an intermediate or an input whose memory is taken, and of its result."""
    if len(task.kernel.stages) < 2:
        return []
    taken = {b.donated for b in draft.buffers}
    return [(x, y) for x in task.reads if draft.buffers[x].kind == "temp" or x in taken
            for y in task.writes if in_place(task.kernel, buffer_name(x), buffer_name(y))]


class Versions:
    """Arrays that are another one but for some places. A kernel that reads two versions keeps both in memory."""

    def __init__(self, draft: Draft):
        self.before: dict[int, frozenset[int]] = {}  # of a version all that it was made of
        for task in draft.tasks:
            copies = any(stage.insts and is_plain_copy(stage) for stage in task.kernel.stages[:1])
            for x, y in overwritten(draft, task) if copies else ():
                self.before[y] = self.before.get(x, frozenset()) | {x}

    def mix(self, first: Task, second: Task) -> bool:
        """Whether two tasks together read versions that neither reads alone."""
        later = bool(self.before) and (self._is_later(first, second) or self._is_later(second, first))
        return later and not self._is_later(first, first) and not self._is_later(second, second)

    def _is_later(self, task: Task, other: Task) -> bool:
        return any(not self.before[y].isdisjoint(other.reads) for y in task.reads if y in self.before)
