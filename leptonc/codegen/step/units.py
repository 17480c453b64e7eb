"""Kernels as units: how each stage runs, what its items are, what they touch and cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod

from leptonc.codegen.contraction.choose import find_contraction
from leptonc.codegen.contraction.emit import panels_of, workspace_bytes
from leptonc.codegen.contraction.panels import Panels
from leptonc.codegen.contraction.plan import Contraction
from leptonc.codegen.loops.filling import fill_kernel, filling
from leptonc.codegen.loops.linear import LinearStage, linear_stage
from leptonc.codegen.loops.schedule import Nest, schedule_nest, stage_cost
from leptonc.codegen.prefix.plan import PrefixPlan, plan_prefix
from leptonc.codegen.routed.emit import routed_scratch
from leptonc.codegen.routed.lookup import LANES, Lookup, find_lookup
from leptonc.codegen.routed.plan import Routed, cleared_by_item, find_routed
from leptonc.codegen.sorting.plan import SortPlan, plan_sort
from leptonc.codegen.step.prefetch import prefetches
from leptonc.codegen.step.regions import (
    axis_digits,
    contraction_digits,
    contraction_regions,
    distinct,
    nest_digits,
    packing_digits,
    packing_regions,
    prefix_digits,
    prefix_regions,
    routed_digits,
    routed_packing_digits,
    routed_packing_regions,
    routed_regions,
    sort_digits,
    sort_regions,
    stage_regions,
)
from leptonc.codegen.step.step import (
    ContractionUnit,
    Digit,
    Inner,
    LookupUnit,
    NestUnit,
    PackingUnit,
    PrefixUnit,
    Region,
    RoutedPackingUnit,
    RoutedUnit,
    Schedule,
    SortUnit,
    TiledUnit,
    Unit,
)
from leptonc.ir.kernel import Axis, Kernel, Param
from leptonc.ir.prefix import Prefix
from leptonc.ir.sorting import Sort
from leptonc.memory import aligned
from leptonc.target import Target

ENTRY_COST = 8  # operations that listing an entry of a routed sum takes


def kernel_units(kernel: Kernel, name: str, target: Target, rows: int = 0) -> tuple[Unit, ...]:
    """The units of a kernel, in order; their functions are called ``@name``, ``@name.1`` ... ``rows``: see ``build_step``."""
    return tuple(_KernelUnits(kernel, name, target, rows).all())


@dataclass
class _KernelUnits:
    """Makes the units of one kernel; ``count``: how many there are yet."""

    kernel: Kernel
    name: str
    target: Target
    rows: int = 0
    count: int = 0

    def all(self) -> list[Unit]:
        if isinstance(self.kernel, Sort):
            return [self._sort_unit(plan_sort(self.kernel, self.target))]
        if isinstance(self.kernel, Prefix):
            plan = plan_prefix(self.kernel, self.target)
            return [self._prefix_unit(plan, phase) for phase in plan.phases]
        units = [unit for p in self.kernel.params if p.init is not None and p.role != "in" for unit in self._fill(p)]
        if self.kernel.outer:
            return [*units, *self._tiled_units()]
        for stage in self.kernel.stages:
            units += self._stage_units(linear_stage(self.kernel, stage))
        return units

    def _unit(self, schedule: Schedule, digits: tuple[Digit, ...], regions: Iterable[Region], cost: int, description: str,
              panel_bytes: int = 0, local_bytes: int = 0) -> Unit:
        function = f"@{self.name}.{self.count}" if self.count else f"@{self.name}"
        self.count += 1
        return Unit(function, self.kernel, schedule, digits, distinct(regions), cost, description, panel_bytes, local_bytes)

    def _sort_unit(self, plan: SortPlan) -> Unit:
        digits = sort_digits(plan)
        return self._unit(SortUnit(plan), digits, sort_regions(plan, digits), plan.cycles, str(plan), 0, plan.scratch_bytes)

    def _prefix_unit(self, plan: PrefixPlan, phase: str) -> Unit:
        digits = prefix_digits(plan, phase)
        return self._unit(PrefixUnit(plan, phase), digits, prefix_regions(plan, phase), plan.cost(phase), plan.describe(phase),
                          plan.panel_bytes)

    def _fill(self, param: Param) -> list[Unit]:
        """Set a result to its initial value where the stages do not write it, or add to it."""
        what = filling(self.kernel, param)
        if not what.parts or self._is_cleared(param):
            return []
        units = kernel_units(fill_kernel(self.kernel, param, what), f"{self.name}.fill.{param.name}", self.target)
        return [replace(unit, description=f"fill {param.name} {unit.description}", fills=param.name, border=what.whole > 0)
                for unit in units]

    def _is_cleared(self, param: Param) -> bool:
        """Whether a routed sum sets its part of the result to zero, item by item, before it adds to it."""
        if len(self.kernel.stages) != 1 or self.kernel.outer or param.init != 0:
            return False
        routed = find_routed(linear_stage(self.kernel, self.kernel.stages[0]), self.target)
        return routed is not None and cleared_by_item(routed, param.type.size) > 0

    def _stage_units(self, linear: LinearStage) -> list[Unit]:
        routed = find_routed(linear, self.target)
        if routed is not None:
            return self._routed_units(routed)
        plan = find_contraction(linear, self.target, rows=self.rows)
        return [self._nest_unit(linear)] if plan is None else self._contraction_units(plan)

    def _nest_unit(self, linear: LinearStage) -> Unit:
        nest = schedule_nest(linear, self.target, self.rows)
        return self._unit(NestUnit(linear, nest), nest_digits(nest), stage_regions(self.kernel, linear, nest_digits(nest)),
                          stage_cost(linear, nest.lanes, self.target), f"nest {describe_nest(nest)}")

    def _tiled_units(self) -> list[Unit]:
        """All stages in turn at each outer point; locals live in the thread's scratch. Panels are packed before."""
        kernel, target = self.kernel, self.target
        linears = [linear_stage(kernel, s) for s in kernel.stages]
        names = frozenset(p.name for p in kernel.locals)
        packs, stages, panels_at = list[Unit](), list[Inner](), 0
        for linear in linears:
            plan = find_contraction(linear, target, names)
            stages.append(Inner(linear, plan, schedule_nest(linear, target), panels_at))
            for panels in panels_of(plan).values() if plan else ():
                packs.append(self._packing_unit(panels, panels_at))
                panels_at += aligned(panels.nbytes)
        locals_at, scratch_at = list[int](), 0
        for local in kernel.locals:
            locals_at.append(scratch_at)
            scratch_at += aligned(local.type.nbytes)
        schedule = TiledUnit(tuple(stages), tuple(locals_at), scratch_at, prefetches(kernel, linears, target))
        regions = [region for n, inner in enumerate(stages) for region in self._inner_regions(inner, n)]
        local_bytes = scratch_at + max((workspace_bytes(inner.plan) for inner in stages if inner.plan), default=0)
        unit = self._unit(schedule, axis_digits(kernel.outer), regions, self._tiled_cost(stages), describe_tiled(kernel, stages),
                          panels_at, local_bytes)
        return [*packs, unit]

    def _inner_regions(self, inner: Inner, number: int) -> list[Region]:
        if inner.plan is not None:
            return list(contraction_regions(self.kernel, inner.plan, axis_digits(self.kernel.outer), inner.panels_at, number))
        return list(stage_regions(self.kernel, inner.linear, axis_digits(self.kernel.outer), number))

    def _tiled_cost(self, stages: list[Inner]) -> int:
        points = prod(a.extent for a in self.kernel.outer)
        return sum(points * 2 * s.plan.work // s.plan.lanes if s.plan else stage_cost(s.linear, s.nest.lanes, self.target)
                   for s in stages)

    def _contraction_units(self, plan: Contraction) -> list[Unit]:
        units, offset = [], 0
        for panels in panels_of(plan).values():
            units.append(self._packing_unit(panels, offset))
            offset += aligned(panels.nbytes)
        digits = contraction_digits(plan)
        return [*units, self._unit(ContractionUnit(plan), digits, contraction_regions(self.kernel, plan, digits),
                                   2 * plan.work // plan.lanes, describe_contraction(plan), offset, workspace_bytes(plan))]

    def _packing_unit(self, panels: Panels, offset: int) -> Unit:
        size = panels.nbytes
        what = f"pack {panels.side.buffer} into {panels.items} panels of {panels.plan.depth} x {panels.width}"
        regions = packing_regions(panels, offset)
        return self._unit(PackingUnit(panels, offset), packing_digits(panels), regions, panels.elements, what, offset + size)

    def _routed_units(self, plan: Routed) -> list[Unit]:
        lookup = find_lookup(plan, self.target)
        if lookup is not None:
            return [self._lookup_unit(lookup)]
        units, size = [], plan.panel_elements * plan.dtype.itemsize
        if plan.packs:
            cost = 4 * plan.panel_elements // plan.lanes
            units.append(self._unit(RoutedPackingUnit(plan), routed_packing_digits(plan), routed_packing_regions(plan), cost,
                                    f"pack {plan.dense_buffer}", size))
        result = self.kernel.buffer(plan.stage.stores[0].buffer)
        clear = cleared_by_item(plan, result.type.size) if result.init == 0 else 0
        cost = plan.entries * (ENTRY_COST + plan.row_count * plan.vectors)
        return [*units, self._unit(RoutedUnit(plan, clear), routed_digits(plan), routed_regions(self.kernel, plan, clear), cost,
                                   describe_routed(plan), size, routed_scratch(plan))]

    def _lookup_unit(self, plan: Lookup) -> Unit:
        routed = plan.routed
        cost = routed.entries * routed.row_count * routed.vector.extent * 2 // LANES
        digits = routed_digits(routed)
        regions = stage_regions(self.kernel, routed.stage, digits)
        return self._unit(LookupUnit(plan), digits, regions, cost, describe_lookup(plan), 0, plan.tile_bytes)


def describe_nest(nest: Nest) -> str:
    """One line of the schedule, for people."""
    parts = ["parallel " + " ".join(f"{a.name}:{a.extent}" for a in nest.parallel)] if nest.parallel else []
    if nest.loops:
        parts.append("loop " + " ".join(f"{a.name}:{a.extent}" for a in nest.loops) + (f" by {nest.jam}" if nest.jam > 1 else ""))
    if nest.fold:
        parts.append(("unrolled " if nest.unroll else "fold ") + " ".join(f"{a.name}:{a.extent}" for a in nest.fold))
    if nest.vector is not None:
        block = f" in blocks of {nest.block}" if nest.block else ""
        parts.append(f"vector {nest.vector.name}:{nest.vector.extent} x{nest.lanes}{block}")
    if nest.turned is not None:
        parts.append(f"in squares with {nest.turned.name}:{nest.turned.extent}")
    if nest.ahead:
        parts.append(f"asks ahead in {len(nest.ahead)} streams")
    return ", ".join(parts) or "scalar"


def describe_tiled(kernel: Kernel, stages: Iterable[Inner]) -> str:
    """One line of the schedule, for people."""
    what = "; ".join(describe_contraction(s.plan) if s.plan else describe_nest(s.nest) for s in stages)
    return f"at each {_named(kernel.outer)}: {what}"


def describe_contraction(plan: Contraction) -> str:
    packed = "".join(f", {role} packed" for role in panels_of(plan))
    block = f", fold in blocks of {plan.fold_block} {plan.fold[plan.fold_outer].name}" if plan.fold_block else ""
    local = ", local tile" if plan.local_tile else ""
    return (f"contraction {plan.row.name}:{plan.row.extent} x {plan.col.name}:{plan.col.extent} x "
            f"{' '.join(f'{a.name}:{a.extent}' for a in plan.fold)}, tile {plan.rows} x {plan.vectors}*{plan.lanes}, "
            f"{plan.items} items of {plan.row_block} x {plan.col_block} tiles{packed}{block}{local}")


def describe_routed(plan: Routed) -> str:
    """One line of the schedule, for people."""
    strips = f" in strips of {plan.strip}" if plan.loops and plan.strip > 1 else ""
    packed = f", {plan.dense_buffer} packed" if plan.packs else ", local tile"
    return (f"{_routed_items(plan)}{strips}, lists over {_named(plan.lists)} in {plan.list_block}, "
            f"held {_named((*plan.rows, plan.vector))} in "
            f"{plan.chunk_rows} x {plan.chunk_vectors}*{plan.lanes}{packed}")


def describe_lookup(plan: Lookup) -> str:
    """One line of the schedule, for people."""
    routed = plan.routed
    return (f"{_routed_items(routed)}, looked up over {_named(routed.lists)} in {len(plan.segments)} tables of {plan.reach}, "
            f"held {_named((*routed.rows, routed.vector))} in {plan.chunk_rows} x {routed.vector.extent} by "
            f"{plan.chunk_groups}*{LANES} {routed.group.name}")


def _routed_items(plan: Routed) -> str:
    loops = f", loop {_named(plan.loops)}" if plan.loops else ""
    return f"routed {_named(a for a, _ in plan.taps)}, {plan.items} items of {plan.group_block} {plan.group.name}{loops}"


def _named(axes: Iterable[Axis]) -> str:
    return " ".join(f"{a.name}:{a.extent}" for a in axes)
