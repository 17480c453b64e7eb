"""Convolutions of images of one row or column, which meet one position of the kernel for each result.

    y[i] = sum over k, c of x[i + k - 3, c] * w[k, c]  =>  y[i] = sum over c of x[0, c] * w[3 - i, c]

where x has one row and all else is padding with 0: the sum over k has one product that is not padding's. So a transposed
convolution of a vector, as a generator begins with, is a product of matrices, its weights' gradient too. Products with padding are
left out, so there 0 * inf makes no NaN.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from leptonc.ir.affine import in_dimension, in_range
from leptonc.ir.kernel import Axis, Index, Inst, Load, Program, Stage
from leptonc.ir.structure import product_sum
from leptonc.passes.loops.draft import Draft, Task, inst_at


@dataclass(frozen=True)
class SinglePositions:
    """Takes reduce axes, of which one point alone reads what is no padding, out of sums of products."""

    name: str = "single-positions"
    changes: ClassVar[tuple[str, ...]] = ("special values",)  # products with padding, which is 0, are left out

    def __call__(self, program: Program) -> Program:
        draft = Draft(program)
        draft.tasks = [_single(task) for task in draft.tasks]
        return draft.finish()


def _single(task: Task) -> Task:
    stage = task.stage
    shapes = {p.name: p.type.shape for p in task.kernel.params}
    while stage is not None and (found := _position(stage, shapes)) is not None:
        stage = _at(stage, *found, shapes)
        task = replace(task, kernel=replace(task.kernel, stages=(stage,)))
    return task


def _position(stage: Stage, shapes: dict[str, tuple[int, ...]]) -> tuple[Axis, Index] | None:
    """A reduce axis, not the only one, and the only point on it where a factor is no padding, whatever the other axes are."""
    found = product_sum(stage.insts)
    extents = {a.name: a.extent for a in stage.axes}
    for load in () if found is None or len(stage.reduce_axes) == 1 else found.factors:
        for index, extent in zip(load.index, shapes[load.buffer]):
            for axis in stage.reduce_axes if load.pad == 0 and extent == 1 and index.div == 1 and not index.values else ():
                coeff = index.coeff(axis.name)
                point = (Index.of(axis) * coeff - index) * coeff  # where the index is 0, if the coefficient is 1 or -1
                if abs(coeff) == 1 and in_dimension(point, axis.extent, extents):
                    return axis, point
    return None


def _at(stage: Stage, axis: Axis, point: Index, shapes: dict[str, tuple[int, ...]]) -> Stage:
    """The stage at one point of an axis."""
    axes = tuple(a for a in stage.axes if a != axis)
    extents = {a.name: a.extent for a in axes}

    def at_point(inst: Inst) -> Inst:
        moved = inst_at(inst, {axis.name: point})
        if isinstance(moved, Load) and moved.pad is not None and in_range(moved.index, shapes[moved.buffer], extents):
            return replace(moved, pad=None)
        return moved

    return replace(stage, axes=axes, insts=tuple(map(at_point, stage.insts)))
