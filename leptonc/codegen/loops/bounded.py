"""Folds of the first points of an axis alone: ``fold of select(number < limit, x, what folding nothing gives)``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leptonc.codegen.loops.linear import LinearStage
from leptonc.codegen.loops.reduction import SATURATING
from leptonc.ir.kernel import Index, Reduce, operands, reduction_identity
from leptonc.ir.structure import Bound, first_points

EXTREMES = ("argmax", "argmin")  # which have a position even where they are over nothing


@dataclass(frozen=True)
class Bounded:
    """All folds of a stage go over the points of ``axis`` within ``bound``; ``args``: what each of them (by its number) folds of
    these; ``folding``: the instructions that this takes."""

    axis: str
    bound: Bound
    args: dict[int, int]
    folding: frozenset[int]


def bounded_folds(stage: LinearStage) -> Bounded | None:
    """What bounds a stage's folds, if it is the same for all of them and known before they begin."""
    args, bounds = dict[int, int](), set[Bound]()
    for n in stage.reduces:
        reduce = stage.insts[n]
        assert isinstance(reduce, Reduce)
        identity = reduction_identity(reduce.kind, stage.insts[reduce.arg].dtype)
        found = None if reduce.kind in EXTREMES else first_points(stage.insts, reduce.arg, identity)
        if found is None:
            return None
        bound, args[n] = found
        bounds.add(bound)
    kinds = {inst.kind for n in stage.reduces if isinstance(inst := stage.insts[n], Reduce)}
    if len(bounds) != 1 or kinds <= SATURATING:
        return None
    (bound,) = bounds
    axes = [a.name for a in stage.reduce_axes if stage.indices[bound.number] == Index.of(a)]
    if not axes or stage.axes_of[bound.limit] & {a.name for a in stage.reduce_axes}:
        return None
    return Bounded(axes[0], bound, args, _needed(stage, [*args.values(), bound.limit]))


def _needed(stage: LinearStage, roots: Sequence[int]) -> frozenset[int]:
    """The instructions that some are made of, and these."""
    needed, work = set[int](), list(roots)
    while work:
        n = work.pop()
        if n not in needed:
            needed.add(n)
            work += operands(stage.insts[n])
    return frozenset(needed)
