"""Whether a kernel may write a result over an operand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from leptonc.ir.affine import disjoint, in_blocks, is_injective
from leptonc.ir.control import Control
from leptonc.ir.kernel import Index, Kernel, Load, Stage, Store


def in_place(kernel: Kernel, source: str, result: str) -> bool:
    """Whether ``result`` may share memory with ``source``: the last stage that reads the one writes the other, at the same places,
    and what else writes it comes later; or outer points have their own places."""
    params = {p.name: p for p in kernel.params}
    if isinstance(kernel, Control):  # a carry, or what a branch updates, that begins with what nothing else is made of
        return (source, result) in kernel.carried and kernel.reads.count(source) == 1 and params[source].type == params[result].type
    if source not in params or params[result].init is not None or params[source].type != params[result].type:
        return False
    touching = [stage for stage in kernel.stages if _loads(stage, source) or _stores(stage, result)]
    last = max((n for n, stage in enumerate(touching) if _loads(stage, source)), default=len(touching) - 1)
    if not touching or any(_stores(stage, result) for stage in touching[:last]):
        return False
    if kernel.outer and any(store.accumulate for stage in touching for store in _stores(stage, result)):
        return False
    if not kernel.outer:  # what comes later has the result to itself
        return _same_places(touching[last], _extents(kernel, touching[last]), source, result)
    if last != len(touching) - 1:
        return False
    accesses = [(index, _extents(kernel, s)) for s in touching for index in
                [*(i.index for i in _loads(s, source)), *(i.index for i in _stores(s, result))]]
    return (_same_places(touching[-1], _extents(kernel, touching[-1]), source, result)
            and all(_apart(axis.name, accesses) for axis in kernel.outer))


def _extents(kernel: Kernel, stage: Stage) -> dict[str, int]:
    return {a.name: a.extent for a in (*kernel.outer, *stage.axes)}


def _loads(stage: Stage, buffer: str) -> list[Load]:
    return [i for i in stage.insts if isinstance(i, Load) and i.buffer == buffer]


def _stores(stage: Stage, buffer: str) -> list[Store]:
    return [s for s in stage.stores if s.buffer == buffer]


def _same_places(stage: Stage, extents: dict[str, int], source: str, result: str) -> bool:
    """Each point of the map axes reads what it overwrites and nothing else of the source."""
    stores = _stores(stage, result)
    if any(s.accumulate or s.masked or any(i.values for i in s.index) for s in stores):
        return False
    places, axes = {s.index for s in stores}, [a.name for a in stage.map_axes]
    if not all(is_injective(place, axes, extents) for place in places):
        return False  # points share a place
    apart = len(places) == len(stores) and all(disjoint(a, b, extents) for a, b in combinations(places, 2))
    return apart and all(i.index in places and i.pad is None for i in _loads(stage, source))


def _apart(axis: str, accesses: Sequence[tuple[tuple[Index, ...], dict[str, int]]]) -> bool:
    """Whether the points of an outer axis lie in blocks along some dimension of all accesses, each in its own. Of every access
    its indices and the extents of its stage's axes."""
    first, _ = accesses[0]
    return any(all(in_blocks(index[d], axis, extents) and index[d].coeff(axis) == first[d].coeff(axis)
                   for index, extents in accesses) for d in range(len(first)))
