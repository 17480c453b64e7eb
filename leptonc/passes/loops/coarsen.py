"""Kernels of tiles with larger tiles: neighbours along an outer axis taken together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from leptonc.ir.kernel import Axis, Index, Inst, Kernel, Load, Param, Stage, Store
from leptonc.ir.types import TensorType
from leptonc.passes.loops.draft import index_at, inst_at


def lifted(kernel: Kernel, axes: Sequence[Axis]) -> Kernel:
    """A kernel without tiles as one whose tiles are single points of some map axes that all its stages have."""
    names = {a.name for a in axes}
    stages = tuple(replace(s, axes=tuple(a for a in s.axes if a.name not in names)) for s in kernel.stages)
    return replace(kernel, stages=stages, outer=tuple(axes))


def coarsened(kernel: Kernel, axis: Axis, count: int) -> tuple[Kernel, Axis | None]:
    """``count`` points of an outer axis in each tile, and the axis over them that every stage now begins with.

    Local buffers get a dimension for it, so each point has its own. None and the same kernel for a count of 1.
    """
    if count == 1:
        return kernel, None
    inner = Axis(f"{axis.name}_in", count)
    place = {axis.name: Index.of(axis) * count + inner}
    local = {p.name for p in kernel.locals}

    def load(inst: Inst) -> Inst:
        inst = inst_at(inst, place)
        return replace(inst, index=(Index.of(inner), *inst.index)) if isinstance(inst, Load) and inst.buffer in local else inst

    def store(into: Store) -> Store:
        index = tuple(index_at(i, place) for i in into.index)
        return replace(into, index=(Index.of(inner), *index) if into.buffer in local else index)

    stages = tuple(Stage((inner, *s.axes), tuple(map(load, s.insts)), tuple(map(store, s.stores))) for s in kernel.stages)
    outer = tuple(replace(a, extent=a.extent // count) if a == axis else a for a in kernel.outer)
    locals_ = tuple(Param(p.name, TensorType((count, *p.type.shape), p.type.dtype), p.role) for p in kernel.locals)
    return replace(kernel, stages=stages, outer=outer, locals=locals_), inner
