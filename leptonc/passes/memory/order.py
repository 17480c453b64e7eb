"""Kernels in an order that lets intermediates go early.

Fusion puts what it joins where the last of it stood: an update of weights with the gradient in it comes to stand at the end of the
step, among the other updates, and until then holds all that the gradient is made of. Here a kernel moves up to where its operands
are there, if it then frees at least as much memory as it takes. The operands are near the core, too. Before all that, what is kept
of donated inputs is copied; after it, who reads what a kernel updates in some places goes before that kernel, which then need not
copy the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from leptonc.ir.kernel import Program
from leptonc.passes.loops.draft import Draft, Task
from leptonc.passes.loops.overwriting import overwritten


@dataclass(frozen=True)
class OrderKernels:
    name: str = "order-kernels"

    def __call__(self, program: Program) -> Program:
        draft = Draft(program)
        draft.tasks = _copies_first(draft)
        draft.tasks = list(_Order(draft))
        _readers_first(draft)
        return draft.finish()


def _copies_first(draft: Draft) -> list[Task]:
    """Copies of inputs that are to be overwritten go first: who overwrites them need not write elsewhere. A loop keeps so the
    carries that its gradient needs."""
    taken = {b.donated for b in draft.buffers if b.donated is not None}

    def saves(task: Task) -> bool:
        return not task.work and taken.issuperset(task.reads) and all(
            draft.buffers[b].kind == "output" and draft.buffers[b].donated is None for b in task.writes)

    return sorted(draft.tasks, key=lambda task: not saves(task))


def _readers_first(draft: Draft) -> None:
    """Before each update all that reads what it overwrites, unless that needs the update."""
    for update in list(draft.tasks):
        for source, _ in overwritten(draft, update):
            start = draft.tasks.index(update)
            readers = [n for n, task in enumerate(draft.tasks) if n > start and source in task.reads]
            needed = _needed_after(draft, start, readers) if readers else None
            if needed is not None:
                first = [draft.tasks[n] for n in sorted(needed)]
                rest = [task for n, task in enumerate(draft.tasks) if n >= start and n not in needed]
                draft.tasks = [*draft.tasks[:start], *first, *rest]


def _needed_after(draft: Draft, start: int, readers: Iterable[int]) -> set[int] | None:
    """The readers, with all that they need and that stands behind ``start``; None if that is ``start`` itself."""
    before, needed, left = _dependences(draft), set[int](), set(readers)
    while left:
        n = left.pop()
        needed.add(n)
        left |= {k for k in before[n] if k >= start} - needed
    return None if start in needed else needed


class _Order:
    """Iterates over a draft's tasks, each after all that it depends on."""

    def __init__(self, draft: Draft):
        self.draft, self.tasks = draft, draft.tasks
        self.readers: dict[int, set[int]] = {}  # of an intermediate, those that are still to run
        self.before = _dependences(draft)
        self.after: dict[int, list[int]] = {n: [] for n in range(len(self.tasks))}
        for n, needed in enumerate(self.before):
            for other in needed:
                self.after[other].append(n)
            for buffer in self._temps(self.tasks[n].reads):
                self.readers.setdefault(buffer, set()).add(n)

    def _temps(self, buffers: Iterable[int]) -> set[int]:
        return {b for b in buffers if self.draft.buffers[b].kind == "temp"}

    def __iter__(self) -> Iterator[Task]:
        done: set[int] = set()
        for n in range(len(self.tasks)):
            work = [] if n in done else [n]
            while work:
                current = work.pop(0)
                done.add(current)
                yield self.tasks[current]
                work = sorted({*work, *self._closing(current, done)} - done)
                work = [k for k in work if self._frees(k) >= 0]

    def _closing(self, current: int, done: set[int]) -> Iterator[int]:
        """Tasks that may follow at once and keep an intermediate alive until they do."""
        near = set(self.after[current])
        for buffer in self._temps(self.tasks[current].reads):
            self.readers[buffer].discard(current)
            near |= self.readers[buffer]
        return (n for n in near if n not in done and self.before[n] <= done and self._temps(self.tasks[n].reads))

    def _frees(self, n: int) -> int:
        """Bytes of intermediates that end with a task, less those that begin with it."""
        task, buffers = self.tasks[n], self.draft.buffers
        read, written = self._temps(task.reads), self._temps(task.writes)
        ended = sum(buffers[b].type.nbytes for b in read if self.readers[b] == {n})
        return ended - sum(buffers[b].type.nbytes for b in written - read)


def _dependences(draft: Draft) -> list[set[int]]:
    """For each task those that must run before it: the writers of what it reads or writes, and readers of what it overwrites."""
    before: list[set[int]] = []
    writers: dict[int, int] = {}
    readers: dict[int, list[int]] = {}
    for n, task in enumerate(draft.tasks):
        overwritten = {b for b in (draft.buffers[w].donated for w in task.writes) if b is not None}
        needed = {writers[b] for b in (*task.reads, *task.writes) if b in writers}
        before.append(needed | {k for b in (*task.writes, *overwritten) for k in readers.get(b, ())})
        for buffer in task.reads:
            readers.setdefault(buffer, []).append(n)
        writers.update(dict.fromkeys(task.writes, n))
    return before
