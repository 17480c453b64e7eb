"""Whether a kernel may write a result over an operand."""

from __future__ import annotations

from itertools import combinations

from leptonc.ir.kernel import Axis, Index, Kernel, Load, Stage, Store


def in_place(kernel: Kernel, source: str, result: str) -> bool:
    """Whether ``result`` may share memory with ``source``: the last stage that reads the one writes the other, at the same places,
    and outer points have their own."""
    params = {p.name: p for p in kernel.params}
    if source not in params or params[result].init is not None or params[source].type != params[result].type:
        return False
    touching = [stage for stage in kernel.stages if _loads(stage, source) or _stores(stage, result)]
    if not touching or any(_stores(stage, result) for stage in touching[:-1]) or not _same_places(touching[-1], source, result):
        return False
    indices = [a.index for stage in touching for a in _loads(stage, source)] + [s.index for s in _stores(touching[-1], result)]
    extents = {a.name: a.extent for stage in touching for a in stage.axes}
    return all(_apart(axis, kernel.outer, indices, extents) for axis in kernel.outer)


def _loads(stage: Stage, buffer: str) -> list[Load]:
    return [i for i in stage.insts if isinstance(i, Load) and i.buffer == buffer]


def _stores(stage: Stage, buffer: str) -> list[Store]:
    return [s for s in stage.stores if s.buffer == buffer]


def _same_places(stage: Stage, source: str, result: str) -> bool:
    """Each point of the map axes reads what it overwrites and nothing else of the source."""
    stores = _stores(stage, result)
    if any(s.accumulate or s.masked or any(i.values for i in s.index) for s in stores):
        return False
    places, axes = {s.index for s in stores}, {a.name for a in stage.map_axes if a.extent > 1}
    if any(axes - {axis for index in place for axis, _ in index.axes} for place in places):
        return False  # points share a place
    apart = len(places) == len(stores) and all(_differ(a, b) for a, b in combinations(places, 2))
    return apart and all(i.index in places and i.pad is None for i in _loads(stage, source))


def _differ(one: tuple[Index, ...], other: tuple[Index, ...]) -> bool:
    """Whether two accesses never meet, whatever their points: in some dimension they are different constants."""
    return any(a.is_constant and b.is_constant and a != b for a, b in zip(one, other))


def _apart(axis: Axis, outer: tuple[Axis, ...], indices: list[tuple[Index, ...]], extents: dict[str, int]) -> bool:
    """Whether the points of an outer axis lie in blocks along some dimension of all ``indices``, each in its own."""
    others = {a.name for a in outer} - {axis.name}
    return any(all(_in_blocks(index[d], axis, others, extents) and index[d].coeff(axis.name) == indices[0][d].coeff(axis.name)
                   for index in indices) for d in range(len(indices[0])))


def _in_blocks(index: Index, axis: Axis, others: set[str], extents: dict[str, int]) -> bool:
    """``axis * count + something`` from 0 to below ``count``."""
    rest = [(name, coeff) for name, coeff in index.axes if name != axis.name]
    if index.div != 1 or index.values or any(name in others or coeff < 0 for name, coeff in rest):
        return False
    return index.offset + sum(coeff * (extents[name] - 1) for name, coeff in rest) < index.coeff(axis.name) and index.offset >= 0
