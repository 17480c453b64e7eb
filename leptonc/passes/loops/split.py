"""Splitting long reductions: partial results over chunks, then a reduction of those.

The chunks depend on shapes alone and are combined in one order, so results are the same bits for any number of
threads; they also keep the error of a long sum near that of pairwise summation, and give parallel work where there
are few results.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log2, prod

from leptonc.ir.kernel import Axis, Const, Index, Kernel, Load, Param, Program, Reduce, Stage, Store, reduction_identity
from leptonc.ir.structure import is_contraction, product_sum
from leptonc.ir.types import TensorType
from leptonc.passes.conv.weightgrad import is_winograd_weight_grad
from leptonc.passes.loops.draft import Draft, Task, buffer_name, inst_at

SPLITTABLE = ("sum", "prod", "max", "min", "any", "all")


@dataclass(frozen=True)
class SplitReductions:
    """``points``: longest reduction left whole; ``chunks``: how many parts a contraction with few results is cut in;
    ``results``: contractions with more results than that stay whole. ``row``: a contraction with no more results than that, as
    a dense layer of one example, is cut in ``row_chunks`` or more from ``row_points`` products each on: there is nothing else to
    share between threads, and each reads the weights in one piece."""

    points: int = 4096
    chunks: int = 16
    results: int = 60_000
    row: int = 256
    row_chunks: int = 8
    row_points: int = 1024
    name: str = "split-reductions"

    def __call__(self, program: Program) -> Program:
        draft = Draft(program)
        tasks: list[Task] = []
        for task in draft.tasks:
            tasks += self._split(draft, task)
        draft.tasks = tasks
        return draft.finish()

    def _split(self, draft: Draft, task: Task) -> list[Task]:
        stage = task.stage
        if stage is None or not _plain_reduction(stage) or is_winograd_weight_grad(task.kernel):
            return [task]
        reduced = prod(a.extent for a in stage.reduce_axes)
        parts = self._row_parts(stage)
        if parts:
            cut = stage.reduce_axes[0]
            return [*_split_stage(draft, task, stage, [], cut, cut.extent // parts)]
        if reduced <= self.points:
            return [task]
        inner = self._contraction_chunk(stage) if is_contraction(stage) else self._reduction_chunk(stage)
        if inner is None or (_ragged(inner) and not _takes_pad(stage)):
            return [task]
        partial, combine = _split_stage(draft, task, stage, *inner)
        return [partial, *self._split(draft, combine)]

    def _row_parts(self, stage: Stage) -> int:
        """Equal parts of a product with few results, none of them too long; 0 if it is left alone or cannot be cut so."""
        if product_sum(stage.insts) is None or len(stage.reduce_axes) != 1 or prod(a.extent for a in stage.map_axes) > self.row:
            return 0
        extent = stage.reduce_axes[0].extent
        least = max(self.row_chunks, -(-extent // self.points))
        return next((d for d in range(least, 2 * least) if extent % d == 0), 0) if extent >= self.row_points else 0

    def _reduction_chunk(self, stage: Stage) -> tuple[list[Axis], Axis | None, int]:
        """Axes that number the chunks, then an axis to cut, and the extent of its pieces."""
        left = prod(a.extent for a in stage.reduce_axes)
        whole: list[Axis] = []
        for axis in stage.reduce_axes:
            if left <= self.points:
                break
            if left // axis.extent >= 64:
                whole.append(axis)
                left //= axis.extent
                continue
            return whole, axis, _piece(axis.extent, max(1, self.points * axis.extent // left))
        return whole, None, 0

    def _contraction_chunk(self, stage: Stage) -> tuple[list[Axis], Axis | None, int] | None:
        if prod(a.extent for a in stage.map_axes) > self.results or not stage.reduce_axes:
            return None
        first = stage.reduce_axes[0]
        if first.extent <= self.chunks:
            rest = prod(a.extent for a in stage.reduce_axes[1:])
            return ([first], None, 0) if rest > 1 else None
        pieces = [d for d in range(self.chunks // 2, 4 * self.chunks) if first.extent % d == 0]
        if not pieces:
            return None
        count = min(pieces, key=lambda d: abs(log2(d / self.chunks)))
        return [], first, first.extent // count


def _ragged(chunk: tuple[list[Axis], Axis | None, int]) -> bool:
    _, cut, piece = chunk
    return cut is not None and cut.extent % piece != 0


def _takes_pad(stage: Stage) -> bool:
    """Whether what lies beyond the end can be read as the number that changes nothing."""
    reduce = _reduce(stage)
    load = stage.insts[reduce.arg]
    neutral = Const(reduction_identity(reduce.kind, reduce.dtype), reduce.dtype)
    return isinstance(load, Load) and (load.pad is None or Const(load.pad, load.dtype) == neutral)


def _reduce(stage: Stage) -> Reduce:
    return next(i for i in stage.insts if isinstance(i, Reduce))


def _piece(extent: int, limit: int) -> int:
    """The greatest divisor of ``extent`` not above ``limit`` if it is near, else ``limit`` (the last piece is short)."""
    for size in range(limit, limit // 4, -1):
        if extent % size == 0:
            return size
    return limit


def _plain_reduction(stage: Stage) -> bool:
    """One splittable Reduce, its result stored as it is."""
    reduces = [i for i in stage.insts if isinstance(i, Reduce)]
    return (len(reduces) == 1 and reduces[0].kind in SPLITTABLE and len(stage.stores) == 1
            and not stage.stores[0].accumulate and stage.insts[stage.stores[0].value] is reduces[0])


def _split_stage(draft: Draft, task: Task, stage: Stage, whole: list[Axis], cut: Axis | None,
                 piece: int) -> tuple[Task, Task]:
    """The partial kernel and the one that combines."""
    chunk_axes = [Axis(a.name, a.extent) for a in whole]
    ragged = False
    if cut is not None:
        count = -(-cut.extent // piece)
        ragged = count * piece != cut.extent
        number = Axis(f"{cut.name}_chunk", count)
        chunk_axes.append(number)
        stage = _cut_axis(stage, cut, number, piece)
    if ragged:
        stage = _padded_loads(stage)
    reduce = _reduce(stage)
    kept = [a for a in stage.axes if a.reduce and a.name not in {c.name for c in chunk_axes}]
    shape = tuple(a.extent for a in (*chunk_axes, *stage.map_axes))
    type_ = TensorType(shape, reduce.dtype)
    number_of_partial = draft.temp(type_)
    out = Param(buffer_name(number_of_partial), type_, "out")
    index = tuple(Index.of(a) for a in (*chunk_axes, *stage.map_axes))
    partial = Stage((*chunk_axes, *stage.map_axes, *kept), stage.insts,
                    (Store(out.name, index, stage.stores[0].value),))
    inputs = tuple(p for p in task.kernel.params if p.role == "in")
    first = replace(task.kernel, name=f"{task.kernel.name}_partial", params=(*inputs, out), stages=(partial,))
    return Task(first, task.loc), Task(_combine(task.kernel, stage, chunk_axes, replace(out, role="in"), reduce), task.loc)


def _cut_axis(stage: Stage, cut: Axis, number: Axis, piece: int) -> Stage:
    """``cut`` -> ``number * piece + cut`` in every index, ``cut`` now running over one piece."""
    place = {cut.name: number * piece + cut}
    axes = tuple(Axis(a.name, piece, True) if a == cut else a for a in stage.axes)
    return Stage(axes, tuple(inst_at(i, place) for i in stage.insts), stage.stores)


def _padded_loads(stage: Stage) -> Stage:
    """The last piece runs over the end: its loads give what does not change the result."""
    reduce = _reduce(stage)
    pad = reduction_identity(reduce.kind, reduce.dtype)
    insts = tuple(replace(i, pad=pad) if isinstance(i, Load) else i for i in stage.insts)
    return replace(stage, insts=insts)


def _combine(kernel: Kernel, stage: Stage, chunk_axes: list[Axis], partial: Param, reduce: Reduce) -> Kernel:
    """Reduce the partial results over the chunks, into the original result."""
    folded = [Axis(a.name, a.extent, True) for a in chunk_axes]
    index = tuple(Index.of(a) for a in (*folded, *stage.map_axes))
    insts = (Load(partial.name, index, partial.type.dtype), Reduce(reduce.kind, 0, reduce.dtype))
    result = next(p for p in kernel.params if p.role != "in")
    body = Stage((*stage.map_axes, *folded), insts, (replace(stage.stores[0], value=1),))
    return replace(kernel, name=f"{kernel.name}_combine", params=(partial, result), stages=(body,))
