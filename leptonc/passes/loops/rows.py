"""Two contractions over the rows of one large buffer, in one pass over it.

The gradient of a dense layer's input reads the weights that the optimizer then updates from their own gradient: with few images a
row of weights serves few multiply-adds, so that each of the two takes as long as memory, or L3, takes to deliver them. Together:

    for every block of rows o, in parallel:
      dx[n, o*R + r] = sum over c of dy[n, c] * w[o*R + r, c]
      w[o*R + r, c] = update(w[o*R + r, c], sum over n of x[n, o*R + r] * dy[n, c])
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from leptonc.ir.kernel import Axis, Index, Kernel, Load, Program, Stage, Store, divisors, points
from leptonc.ir.structure import product_sum
from leptonc.passes.loops.coarsen import coarsened, lifted
from leptonc.passes.loops.draft import Draft, Task, buffer_name, rename_stage
from leptonc.passes.loops.merge import with_prefix

WHOLE = 16  # rows: results that lie next to each other along them are stored in whole vectors


@dataclass(frozen=True)
class JoinRows:
    """``least_bytes``: a smaller buffer is near enough each time; ``most_uses``: nor is one worth it whose elements each take
    part in so many multiply-adds that these hide reading it. ``tile_bytes``: what a block of rows should take of all buffers,
    about twice L1, for results mostly lie where operands did; ``most_bytes``: what it may take, for the second to find it in
    L2. ``least_blocks``: to share out among threads."""

    least_bytes: int = 256 * 1024
    most_uses: int = 64
    tile_bytes: int = 96 * 1024
    most_bytes: int = 512 * 1024
    least_blocks: int = 16
    name: str = "join-rows"

    def __call__(self, program: Program) -> Program:
        draft = Draft(program)
        for first, second, rows in self._candidates(draft):
            joined = self._joined(draft, first, second, rows)
            order = _order(draft, first, second) if joined else None
            if joined and order:
                draft.tasks = [joined if task is first else task for task in order]
                return self(draft.finish())
        return program

    def _candidates(self, draft: Draft) -> Iterator[tuple[Task, Task, tuple[Axis, Axis]]]:
        """Contractions in order that read a large buffer, with their axes over its rows."""
        readers: dict[int, list[Task]] = {}
        for task in draft.tasks:
            for buffer in task.reads if _is_contraction(task) else ():
                if draft.buffers[buffer].type.nbytes >= max(self.least_bytes, 1):
                    readers.setdefault(buffer, []).append(task)
        for buffer, tasks in readers.items():
            for first, second in pairwise(tasks):
                rows = _rows(first, buffer_name(buffer)), _rows(second, buffer_name(buffer))
                if rows[0] and rows[1] and rows[0].extent == rows[1].extent:
                    uses = [_uses(task, draft.buffers[buffer].type.size) for task in (first, second)]
                    if max(uses) <= self.most_uses:
                        yield first, second, (rows[0], rows[1])

    def _joined(self, draft: Draft, first: Task, second: Task, rows: tuple[Axis, Axis]) -> Task | None:
        """Both as one kernel over blocks of rows; None if they do not fit together."""
        params = {p.name: p for task in (first, second) for p in task.kernel.params}
        if any(params[p.name] != p for p in first.kernel.params):
            return None
        axis = replace(rows[0], name=f"p{rows[0].name}")
        stages = with_prefix(_stage(first), "p"), rename_stage(_stage(second), {}, {rows[1].name: axis.name})
        each = sum(p.type.nbytes // axis.extent for p in params.values() if _walks(stages, p.name, axis))
        count = self._count(axis.extent, each)
        if count is None:
            return None
        if _overwritten(draft, first) & set(second.reads):  # what is overwritten is read before
            stages = stages[::-1]
        kernel = Kernel(f"{first.kernel.name}+{second.kernel.name}",
                        tuple(sorted(params.values(), key=lambda p: p.role != "in")), stages)
        return Task(coarsened(lifted(kernel, [axis]), axis, count)[0], second.joined_loc(first))

    def _count(self, rows: int, each: int) -> int | None:
        """Rows in a block, of ``each`` bytes."""
        counts = [n for n in divisors(rows) if n % WHOLE == 0 and rows // n >= self.least_blocks]
        fitting = [n for n in counts if n * each <= self.tile_bytes]
        return fitting[-1] if fitting else next((n for n in counts if n * each <= self.most_bytes), None)


def _stage(task: Task) -> Stage:
    assert task.stage is not None
    return task.stage


def _is_contraction(task: Task) -> bool:
    """A sum of products, each result stored once. Not of converted factors: they want panels, which a kernel of tiles has only of
    what is the same for all of them; and numbers of 16 bits are half as much to read."""
    stage = task.stage
    found = None if stage is None else product_sum(stage.insts)
    if stage is None or found is None or any(found.casts):
        return False
    return (not any(s.accumulate or s.masked for s in stage.stores)
            and all(p.init is None for p in task.kernel.params))


def _rows(task: Task, buffer: str) -> Axis | None:
    """The map axis that the first index of every load of the buffer is, alone."""
    axes = {a.name: a for a in _stage(task).map_axes}
    first = {i.index[0] for i in _stage(task).insts if isinstance(i, Load) and i.buffer == buffer and i.index}
    if len(first) != 1:
        return None
    (index,) = first
    name = index.axes[0][0] if len(index.axes) == 1 else ""
    return axes[name] if name in axes and index == Index.of(axes[name]) else None


def _uses(task: Task, size: int) -> int:
    """Multiply-adds for each element of a buffer of ``size``."""
    return points(_stage(task).axes) // size


def _walks(stages: Sequence[Stage], buffer: str, rows: Axis) -> bool:
    """Whether a block of rows touches a part of the buffer that is its own."""
    accesses = [i for s in stages for i in (*s.insts, *s.stores) if isinstance(i, Load | Store) and i.buffer == buffer]
    return any(index.coeff(rows.name) for access in accesses for index in access.index)


def _overwritten(draft: Draft, task: Task) -> set[int | None]:
    """The buffers whose memory the results may take."""
    return {draft.buffers[n].donated for n in task.writes}


def _order(draft: Draft, first: Task, second: Task) -> list[Task] | None:
    """The tasks with ``second`` at ``first``'s place, after what it needs; None if it needs the first's results, or is to
    overwrite what another task has yet to read."""
    tasks = draft.tasks
    start, stop = tasks.index(first), tasks.index(second)
    needed, wanted = list[Task](), set(second.reads)
    for task in reversed(tasks[start:stop]):
        if wanted & set(task.writes):
            needed.append(task)
            wanted |= set(task.reads)
    overwritten = _overwritten(draft, first) | _overwritten(draft, second)
    after = [task for task in tasks[start + 1:] if task is not second and task not in needed]
    if first in needed or any(overwritten & set(task.reads) for task in after):
        return None
    return [*tasks[:start], *reversed(needed), first, *after]
