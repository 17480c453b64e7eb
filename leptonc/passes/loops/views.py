"""Views: two kernels that see a buffer under different shapes agree on one, so that fusion can join them."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from leptonc.ir.kernel import Axis, AxisIndex, Index, Inst, Kernel, Load, Param, Stage, Store
from leptonc.ir.structure import is_contraction
from leptonc.ir.types import TensorType
from leptonc.passes.loops.bodies import scatters, transposes
from leptonc.passes.loops.draft import index_at, inst_at, tidy
from leptonc.passes.loops.merge import is_map, loads_at_axes, stores_at_axes


def agreed_views(first: Kernel, second: Kernel, shared: set[str]) -> tuple[Kernel, Kernel] | None:
    """Both kernels with every common buffer under one shape; an elementwise side takes the other's shape. What both read, as
    x[:, None] and x[None], has a shape without axes of one element."""
    clash = _clashes(first, second)
    if clash - shared:
        first, second = (_without_units(kernel, clash - shared) for kernel in (first, second))
        clash = _clashes(first, second)
    if not clash:
        return first, second
    for name in sorted(clash & shared):
        for kernel, other, swap in ((first, second, False), (second, first, True)):
            viewed = _with_view(kernel, other.buffer(name).type.shape)
            if viewed is not None:
                pair = (other, viewed) if swap else (viewed, other)
                if not _clashes(*pair):
                    return pair
    return _without_unit_axes(first, second)


def _clashes(first: Kernel, second: Kernel) -> set[str]:
    types = {p.name: p.type for p in first.params}
    return {p.name for p in second.params if types.get(p.name, p.type) != p.type}


def _without_unit_axes(first: Kernel, second: Kernel) -> tuple[Kernel, Kernel] | None:
    """Both kernels in the shapes that are left without axes of one element, which a row of a matrix and a vector have in common.
    Contractions keep theirs, by which they are known; transpositions stay by themselves, which go through memory in squares."""
    types = [{p.name: p.type for p in kernel.params} for kernel in (first, second)]
    if any(len({_wide_axes(of[name].shape) for of in types}) > 1 for name in _clashes(first, second)):
        return None
    if any(transposes(kernel.stages[0]) for kernel in (first, second)):
        return None
    kernels = [kernel if _keeps_shapes(kernel.stages[0]) else _without_units(kernel) for kernel in (first, second)]
    return None if _clashes(*kernels) else (kernels[0], kernels[1])


def _wide_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(extent for extent in shape if extent != 1)


def _keeps_shapes(stage: Stage) -> bool:
    return is_contraction(stage) or scatters(stage)


def _without_units(kernel: Kernel, names: set[str] | None = None) -> Kernel:
    """A kernel of the buffers ``names`` that it reads under shapes without axes of one element; or of all its buffers, and then its
    loops have no such axes either. Where a load is guarded a buffer keeps its shape."""
    stage = kernel.stages[0]
    place = {a.name: Index() for a in stage.axes if a.extent == 1 and not a.reduce} if names is None else {}
    guarded = {i.buffer for i in stage.insts if isinstance(i, Load) and i.pad is not None}
    kept = {p.name: [d for d, extent in enumerate(p.type.shape) if extent != 1] for p in kernel.params
            if p.name not in guarded and (names is None or (p.role == "in" and p.name in names))}

    def without(access: Load | Store) -> tuple[Index, ...]:
        return tuple(index_at(access.index[d], place) for d in kept.get(access.buffer, range(len(access.index))))

    insts = tuple(replace(i, index=without(i)) if isinstance(i, Load) else inst_at(i, place) for i in stage.insts)
    stores = tuple(replace(s, index=without(s)) for s in stage.stores)
    params = tuple(_viewed(p, tuple(p.type.shape[d] for d in kept[p.name])) if p.name in kept else p for p in kernel.params)
    return replace(kernel, params=params, stages=(tidy(Stage(tuple(a for a in stage.axes if a.name not in place), insts, stores)),))


def _with_view(kernel: Kernel, shape: tuple[int, ...]) -> Kernel | None:
    stage = kernel.stages[0]
    if prod(a.extent for a in stage.axes) != prod(shape):
        return None
    result = _reviewed(stage, {p.name: p for p in kernel.params}, shape)
    if result is None:
        return None
    viewed, params = result
    return replace(kernel, params=tuple(params[p.name] for p in kernel.params), stages=(viewed,))


def _reviewed(stage: Stage, params: dict[str, Param], shape: tuple[int, ...]) -> tuple[Stage, dict[str, Param]] | None:
    """An elementwise stage over another shape of equal size: every access must be at the axes, or be rank 0."""
    if not is_map(stage):
        return None
    axes = tuple(Axis(f"v{n}", extent) for n, extent in enumerate(shape))
    index = tuple(Index.of(a) for a in axes)
    insts: list[Inst] = []
    views: dict[str, Param] = {}
    for inst in stage.insts:
        if isinstance(inst, AxisIndex):
            return None
        if isinstance(inst, Load) and params[inst.buffer].type.rank:
            if not (loads_at_axes(stage, inst) and inst.pad is None and params[inst.buffer].type.size == prod(shape)):
                return None
            views[inst.buffer] = _viewed(params[inst.buffer], shape)
            inst = replace(inst, index=index)
        insts.append(inst)
    stores = []
    for store in stage.stores:
        if not stores_at_axes(stage, store) or params[store.buffer].type.size != prod(shape):
            return None
        views[store.buffer] = _viewed(params[store.buffer], shape)
        stores.append(replace(store, index=index))
    return Stage(axes, tuple(insts), tuple(stores)), {**params, **views}


def _viewed(param: Param, shape: tuple[int, ...]) -> Param:
    return replace(param, type=TensorType(shape, param.type.dtype))
