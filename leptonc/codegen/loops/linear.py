"""A stage with its accesses linearised: what scheduling and emission work on.

Neighbouring axes that every access walks as one (``stride(outer) == stride(inner) * extent(inner)``) are merged, so an
elementwise op of any rank is a single flat loop.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from leptonc.codegen.loops.access import Access, linearise
from leptonc.ir.affine import distinct_axes
from leptonc.ir.kernel import Axis, AxisIndex, Const, Index, Inst, Kernel, Load, Reduce, Stage, Store, operands
from leptonc.lazy import cached_property


@dataclass(frozen=True)
class LinearStage:
    """``loads`` and ``stores`` are addresses by instruction / store number, ``indices`` the AxisIndex expressions.

    ``outer`` are the kernel's outer axes, open around the stage; ``parallel`` the map axes along which no two points
    store to one place.
    """

    outer: tuple[Axis, ...]
    axes: tuple[Axis, ...]
    insts: tuple[Inst, ...]
    stores: tuple[Store, ...]
    loads: dict[int, Access]
    targets: tuple[Access, ...]
    indices: dict[int, Index]
    parallel: frozenset[str]

    @property
    def map_axes(self) -> tuple[Axis, ...]:
        return tuple(a for a in self.axes if not a.reduce)

    @property
    def reduce_axes(self) -> tuple[Axis, ...]:
        return tuple(a for a in self.axes if a.reduce)

    @cached_property
    def reduces(self) -> tuple[int, ...]:
        return tuple(n for n, i in enumerate(self.insts) if isinstance(i, Reduce))

    @property
    def accesses(self) -> list[Access]:
        return [*self.loads.values(), *self.targets]

    @cached_property
    def axes_of(self) -> tuple[frozenset[str], ...]:
        """The axes each instruction's value varies along (outer axes included)."""
        found: list[frozenset[str]] = []
        folded = frozenset(a.name for a in self.reduce_axes)
        for n, inst in enumerate(self.insts):
            axes = frozenset[str]().union(*(found[k] for k in operands(inst)))
            if n in self.loads:
                axes |= access_axes(self.loads[n])
            elif n in self.indices:
                axes |= {a for a, _ in self.indices[n].axes}
            elif isinstance(inst, Reduce):
                axes -= folded
            elif isinstance(inst, Const):
                axes = frozenset()
            found.append(axes)
        return tuple(found)

    @cached_property
    def after_reduce(self) -> tuple[bool, ...]:
        """Whether each instruction depends on a Reduce: the epilogue."""
        found: list[bool] = []
        for inst in self.insts:
            found.append(isinstance(inst, Reduce) or any(found[n] for n in operands(inst)))
        return tuple(found)


def linear_stage(kernel: Kernel, stage: Stage) -> LinearStage:
    extents = {a.name: a.extent for a in (*kernel.outer, *stage.axes)}
    loads = {n: linearise(i, kernel.buffer(i.buffer), extents) for n, i in enumerate(stage.insts) if isinstance(i, Load)}
    targets = tuple(linearise(s, kernel.buffer(s.buffer), extents) for s in stage.stores)
    indices = {n: i.index for n, i in enumerate(stage.insts) if isinstance(i, AxisIndex)}
    linear = LinearStage(kernel.outer, stage.axes, stage.insts, stage.stores, loads, targets, indices,
                         _parallel_axes(stage, extents))
    return collapse(drop_unit_axes(linear))


def access_axes(access: Access) -> frozenset[str]:
    """Every axis that moves the address or decides whether it is in range."""
    conditional = [c.index for c in access.checks] + [i for i, _ in access.divided]
    return frozenset(a for a, _ in access.strides) | frozenset(a for i in conditional for a, _ in i.axes)


def _parallel_axes(stage: Stage, extents: dict[str, int]) -> frozenset[str]:
    safe = frozenset(a.name for a in stage.map_axes)
    for store in stage.stores:
        safe &= _distinct(store, extents)
    return safe if stage.stores else frozenset()


def _distinct(store: Store, extents: dict[str, int]) -> frozenset[str]:
    """Axes along which the store's place is never met twice.

    A plain store meets no place twice by the meaning of a Kernel.
    """
    if store.accumulate:
        return distinct_axes(store.index, extents)
    return frozenset(axis for index in store.index for axis, _ in index.axes)


def drop_unit_axes(stage: LinearStage) -> LinearStage:
    """Axes of extent 1 are always 0: no loop, no term in any address."""
    unit = frozenset(a.name for a in stage.axes if a.extent == 1)
    if not unit:
        return stage

    def drop(index: Index) -> Index:
        return replace(index, axes=tuple(t for t in index.axes if t[0] not in unit))

    def drop_access(access: Access) -> Access:
        return replace(access, strides=tuple(t for t in access.strides if t[0] not in unit),
                       divided=tuple((drop(i), s) for i, s in access.divided),
                       checks=tuple(replace(c, index=drop(c.index)) for c in access.checks))

    return replace(
        stage,
        axes=tuple(a for a in stage.axes if a.name not in unit),
        loads={n: drop_access(a) for n, a in stage.loads.items()},
        targets=tuple(drop_access(a) for a in stage.targets),
        indices={n: drop(i) for n, i in stage.indices.items()},
        parallel=stage.parallel - unit,
    )


def collapse(stage: LinearStage) -> LinearStage:
    """Merge neighbouring axes of one kind while every access allows it."""
    for kind in (False, True):
        names = [a.name for a in stage.axes if a.reduce is kind]
        for outer_name in reversed(names[:-1]):
            kept = [a for a in stage.axes if a.reduce is kind]
            at = next(n for n, a in enumerate(kept) if a.name == outer_name)
            parallel = (outer_name in stage.parallel) == (kept[at + 1].name in stage.parallel)
            if (parallel or kind) and mergeable(stage, kept[at], kept[at + 1]):
                stage = merged(stage, kept[at], kept[at + 1])
    return stage


def mergeable(stage: LinearStage, outer: Axis, inner: Axis) -> bool:
    """Whether every access walks the two axes as one."""
    for access in stage.accesses:
        conditional = [c.index for c in access.checks] + [i for i, _ in access.divided]
        if any(i.coeff(outer.name) or i.coeff(inner.name) for i in conditional):
            return False
        if access.stride(outer.name) != access.stride(inner.name) * inner.extent:
            return False
    return all(i.coeff(outer.name) == i.coeff(inner.name) * inner.extent for i in stage.indices.values())


def merged(stage: LinearStage, outer: Axis, inner: Axis) -> LinearStage:
    """``outer`` goes, ``inner`` runs over both: its stride is already right. It is parallel if both were."""
    axes = tuple(replace(a, extent=outer.extent * inner.extent) if a == inner else a for a in stage.axes if a != outer)
    return replace(
        stage,
        axes=axes,
        loads={n: _without(a, outer.name) for n, a in stage.loads.items()},
        targets=tuple(_without(a, outer.name) for a in stage.targets),
        indices={n: replace(i, axes=tuple(t for t in i.axes if t[0] != outer.name)) for n, i in stage.indices.items()},
        parallel=stage.parallel - {outer.name} - (frozenset() if outer.name in stage.parallel else {inner.name}),
    )


MOST_INTERLEAVED = 16


def interleaved_stores(stage: LinearStage, vector: str) -> tuple[tuple[int, ...], ...]:
    """Groups of as many plain stores as a power of two that are that far apart along an axis, and side by side otherwise."""
    kin: dict[tuple[str, int, tuple[tuple[str, int], ...]], dict[int, int]] = {}
    for n, (store, access) in enumerate(zip(stage.stores, stage.targets)):
        step = access.stride(vector)
        if access.is_affine and not store.accumulate and 2 <= step <= MOST_INTERLEAVED and not step & (step - 1) \
                and not stage.insts[store.value].dtype.is_bool:
            kin.setdefault((store.buffer, step, tuple(sorted(access.strides))), {})[access.offset] = n
    found: list[tuple[int, ...]] = []
    for (_, step, _), places in kin.items():
        while places:
            first = min(places)
            group = [places.pop(first + k, None) for k in range(step)]
            if None not in group:
                found.append(tuple(n for n in group if n is not None))
    return tuple(found)


def _without(access: Access, axis: str) -> Access:
    return replace(access, strides=tuple(t for t in access.strides if t[0] != axis))
