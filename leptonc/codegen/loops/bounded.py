"""Folds of the first points of an axis alone: their loops end there."""

from __future__ import annotations

from dataclasses import dataclass

from leptonc.codegen.loops.linear import LinearStage
from leptonc.codegen.loops.reduction import SATURATING
from leptonc.ir.kernel import Axis, Reduce
from leptonc.ir.structure import Bound, fold_bound, made_of


@dataclass(frozen=True)
class Bounded:
    """All folds of a stage go over the points of ``axis`` within ``bound``; ``args``: what each of them (by its number) folds of
    these; ``folding``: the instructions that this takes."""

    axis: str
    bound: Bound
    args: dict[int, int]
    folding: frozenset[int]


def bounded_folds(stage: LinearStage, vector: Axis | None = None) -> Bounded | None:
    """What bounds a stage's folds, if it is the same for all lanes. Lanes along a folded axis go on when others have come to the
    end: they ask at each point. Folds that end by themselves are left to that."""
    found = fold_bound(stage.insts, stage.axes, stage.indices, stage.axes_of)
    folds = {n: inst for n in stage.reduces if isinstance(inst := stage.insts[n], Reduce)}
    if found is None or {inst.kind for inst in folds.values()} <= SATURATING:
        return None
    if vector is not None and vector.name in stage.axes_of[found.bound.limit]:
        return None
    args = {n: inst.arg for n, inst in folds.items()} if vector is not None and vector.reduce else found.args
    return Bounded(found.axis, found.bound, args, made_of(stage.insts, (*args.values(), found.bound.limit)))
