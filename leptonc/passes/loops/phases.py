"""Strided input gradients by phases: one contraction for each remainder of the result's position.

``x[y] = sum over k of g[(y + low - k * dilation) / stride] * w[k]`` meets a kernel position only where the division leaves no
rest. Laid out with gaps, all the others would be multiplied as zeros: stride * stride times the work in two dimensions. Here
the stage is cut by the remainders of y instead. Each part has its own positions k, an index without a divisor, and stores
every stride-th element; parts that no position reaches are the epilogue of zero. Where all parts are alike, as those of a 4x4
kernel with stride 2 are, they are one stage with axes over the remainders. What is cut is decided by the two factors:
the epilogue's own loads, divided or not, are read where they were. Products with a gap are left out, so there 0 * inf makes no NaN.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from math import gcd
from typing import ClassVar

from leptonc.ir.affine import divided, in_range
from leptonc.ir.kernel import Axis, Const, Index, Inst, Load, Program, Reduce, Stage, reduction_identity
from leptonc.ir.structure import product_sum
from leptonc.passes.loops.draft import Draft, Task, index_at, inst_at, tidy

Rests = dict[str, tuple[int, int]]  # axis -> (modulus, remainder)


@dataclass(frozen=True)
class SplitPhases:
    """``parts``: most contractions that one may be cut in."""

    parts: int = 64
    name: str = "split-phases"
    changes: ClassVar[tuple[str, ...]] = ("special values",)  # products with what lies between elements, which is 0, are left out

    def __call__(self, program: Program) -> Program:
        draft = Draft(program)
        draft.tasks = [self._split(task) for task in draft.tasks]
        return draft.finish()

    def _split(self, task: Task) -> Task:
        stage = task.stage
        contraction = None if stage is None else product_sum(stage.insts)
        if stage is None or contraction is None:
            return task
        gaps = [(load, i) for load in contraction.factors for i in load.index if i.div != 1]
        if any(load.pad != 0 for load, _ in gaps):
            return task  # what a gap gives counts
        cuts = [_cut(index, stage) for _, index in gaps]
        if not cuts or None in cuts or len({c.map.name for c in cuts if c}) < len(cuts):
            return task
        moduli = [c.map_modulus for c in cuts if c]
        count = 1
        for modulus in moduli:
            count *= modulus
        if count > self.parts:
            return task
        stages = _stages(stage, [c for c in cuts if c], {p.name: p.type.shape for p in task.kernel.params})
        return replace(task, kernel=replace(task.kernel, stages=tuple(stages)))


@dataclass(frozen=True)
class _Cut:
    """A divided index: its map axis and its reduce axis, if it has one, with the moduli they are cut by."""

    index: Index
    map: Axis
    map_modulus: int
    fold: Axis | None
    fold_modulus: int

    def fold_rest(self, map_rest: int) -> int | None:
        """The remainder of the reduce axis that leaves no rest beside one of the map axis; None if there is none. There is
        one at most: below the modulus no two multiples of the coefficient are equal in remainder."""
        base = self.index.offset + self.index.coeff(self.map.name) * map_rest
        coeff = self.index.coeff(self.fold.name) if self.fold else 0
        return next((r for r in range(self.fold_modulus) if (base + coeff * r) % self.index.div == 0), None)

    def fold_rests(self, map_rest: Axis) -> Index | None:
        """The remainder of the reduce axis beside each one of the map axis, if these lie a step apart."""
        found = [self.fold_rest(n) for n in range(map_rest.extent)]
        first, second = found[0], found[-1] if len(found) < 3 else found[1]
        if first is None or second is None or found != [first + (second - first) * n for n in range(len(found))]:
            return None
        return map_rest * (second - first) + first


def _cut(index: Index, stage: Stage) -> _Cut | None:
    if index.values:
        return None
    axes = {a.name: a for a in stage.axes}
    moving = [axes[name] for name, coeff in index.axes if coeff % index.div]
    maps, folds = [a for a in moving if not a.reduce], [a for a in moving if a.reduce]
    if len(maps) != 1 or len(folds) > 1:
        return None
    fold = folds[0] if folds else None
    return _Cut(index, maps[0], _modulus(index, maps[0]), fold, _modulus(index, fold) if fold else 1)


def _modulus(index: Index, axis: Axis) -> int:
    return index.div // gcd(index.div, index.coeff(axis.name))


def _stages(stage: Stage, cuts: list[_Cut], shapes: dict[str, tuple[int, ...]]) -> list[Stage]:
    """The parts, as one stage where they are alike."""
    together = _together(stage, cuts, shapes)
    if together is not None:
        return [together]
    parts = (_part(stage, cuts, rests, shapes) for rests in product(*(range(cut.map_modulus) for cut in cuts)))
    return [part for part in parts if part is not None]


def _together(stage: Stage, cuts: list[_Cut], shapes: dict[str, tuple[int, ...]]) -> Stage | None:
    """All parts as one stage, with an axis over the remainders beside each that is cut; None if they differ in their extents, or
    their kernel positions follow no step."""
    axes: dict[str, tuple[Axis, ...]] = {a.name: (a,) for a in stage.axes}
    place: dict[str, Index] = {}
    for cut in cuts:
        rest = Axis(f"{cut.map.name}_rest", cut.map_modulus)
        fold_rest = cut.fold_rests(rest)
        if cut.fold is None or fold_rest is None or cut.map.extent % cut.map_modulus or cut.fold.extent % cut.fold_modulus:
            return None
        axes[cut.map.name] = (replace(cut.map, extent=cut.map.extent // cut.map_modulus), rest)
        axes[cut.fold.name] = (replace(cut.fold, extent=cut.fold.extent // cut.fold_modulus),)
        place |= {cut.map.name: cut.map * cut.map_modulus + rest, cut.fold.name: cut.fold * cut.fold_modulus + fold_rest}
    return _at(stage, tuple(new for a in stage.axes for new in axes[a.name]), place, shapes)


def _at(stage: Stage, axes: tuple[Axis, ...], place: dict[str, Index], shapes: dict[str, tuple[int, ...]]) -> Stage:
    """The stage over other axes, its own at places that these give."""
    extents = {a.name: a.extent for a in axes}
    stores = tuple(replace(s, index=tuple(index_at(i, place) for i in s.index)) for s in stage.stores)
    return Stage(axes, tuple(_in_range(_whole(inst_at(i, place)), shapes, extents) for i in stage.insts), stores)


def _part(stage: Stage, cuts: list[_Cut], map_rests: tuple[int, ...], shapes: dict[str, tuple[int, ...]]) -> Stage | None:
    """The stage at the positions with these remainders; None if there are none."""
    rests: Rests = {}
    empty = False
    for cut, rest in zip(cuts, map_rests):
        rests[cut.map.name] = (cut.map_modulus, rest)
        found = cut.fold_rest(rest)
        empty |= found is None
        if cut.fold is not None and found is not None:
            rests[cut.fold.name] = (cut.fold_modulus, found)
    axes = tuple(replace(a, extent=_count(a, rests)) for a in stage.axes)
    if any(a.extent == 0 for a in axes if not a.reduce):
        return None
    place = {name: Index(((name, modulus),), rest) for name, (modulus, rest) in rests.items()}
    if empty or any(a.extent == 0 for a in axes):
        stores = tuple(replace(s, index=tuple(index_at(i, place) for i in s.index)) for s in stage.stores)
        insts = tuple(Const(reduction_identity(i.kind, i.dtype), i.dtype) if isinstance(i, Reduce) else i for i in stage.insts)
        moved = tuple(i if isinstance(i, Const) else inst_at(i, place) for i in insts)
        return tidy(Stage(tuple(a for a in axes if not a.reduce), moved, stores))
    return _at(stage, axes, place, shapes)


def _count(axis: Axis, rests: Rests) -> int:
    """How many points of an axis have the remainder wanted."""
    modulus, rest = rests.get(axis.name, (1, 0))
    return max(0, -(-(axis.extent - rest) // modulus))


def _whole(inst: Inst) -> Inst:
    """Indices that divide without a rest, divided."""
    return replace(inst, index=tuple(divided(i) for i in inst.index)) if isinstance(inst, Load) else inst


def _in_range(inst: Inst, shapes: dict[str, tuple[int, ...]], extents: dict[str, int]) -> Inst:
    """A load that cannot leave its buffer any more needs no pad."""
    if not isinstance(inst, Load) or inst.pad is None or not in_range(inst.index, shapes[inst.buffer], extents):
        return inst
    return replace(inst, pad=None)
