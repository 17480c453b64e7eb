"""Neighbouring results of a reduction over few points, taken together: what they read in common is loaded once (unroll and jam).

A convolution of each channel by itself reads nine weights and nine elements for nine multiply-adds. Four results next to each
other share the weights and most elements: less than seven loads each. Every result folds its points in the same order as alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from leptonc.codegen.loops.linear import LinearStage
from leptonc.ir.kernel import Apply, Axis, Const, Load, Reduce
from leptonc.ir.structure import made_of

TOGETHER = 4  # their sums, what they share and a weight fit in the fewest vector registers a target has (16)
MOST_LEFT = 0.6  # of all loads, for it to pay
KINDS = ("sum", "prod", "max", "min")


def together(stage: LinearStage, axis: Axis) -> int:
    """How many results along a map axis are best made together: 1 if they share few loads, or if what they fold is no
    straight-line code of loads that are always in range."""
    count, folded = min(TOGETHER, axis.extent), folded_insts(stage)
    loads = [n for n in folded if isinstance(stage.insts[n], Load)]
    plain = all(isinstance(stage.insts[n], Load | Const | Apply) for n in folded) and all(stage.loads[n].is_affine for n in loads)
    kinds = [i.kind for i in stage.insts if isinstance(i, Reduce)]
    if count < 2 or not loads or not plain or not all(kind in KINDS for kind in kinds):
        return 1
    read = [(n, moved(stage, n, point) + stage.loads[n].stride(axis.name) * at)
            for n in loads for point in fold_points(stage) for at in range(count)]
    return count if len(set(read)) <= MOST_LEFT * len(read) else 1


def folded_insts(stage: LinearStage) -> list[int]:
    """The instructions that a Reduce needs, in order."""
    return sorted(made_of(stage.insts, (i.arg for i in stage.insts if isinstance(i, Reduce))))


def fold_points(stage: LinearStage) -> Iterator[dict[str, int]]:
    """The points of the reduce axes, row-major."""
    for at in product(*(range(a.extent) for a in stage.reduce_axes)):
        yield dict(zip((a.name for a in stage.reduce_axes), at))


def moved(stage: LinearStage, n: int, point: dict[str, int]) -> int:
    """How many elements from its place at the first point a load is at another."""
    return sum(stage.loads[n].stride(name) * at for name, at in point.items())
