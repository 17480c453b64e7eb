"""Kernels as units: LLVM functions over a range of parallel items, with what each reads, writes and costs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import prod

from leptonc.codegen.contraction.emit import ContractionEmitter, panels_of, workspace_bytes
from leptonc.codegen.contraction.panels import Panels, emit_packing
from leptonc.codegen.contraction.plan import Contraction, find_contraction
from leptonc.codegen.llvm.emitter import Emitter
from leptonc.codegen.loops.filling import fill_kernel, filling
from leptonc.codegen.loops.linear import LinearStage, linear_stage
from leptonc.codegen.loops.nest import NestEmitter
from leptonc.codegen.loops.schedule import Nest, schedule_nest, stage_cost
from leptonc.codegen.routed.emit import RoutedEmitter, emit_routed_packing, packing_items, routed_scratch
from leptonc.codegen.routed.lookup import LANES, Lookup, LookupEmitter, find_lookup
from leptonc.codegen.routed.plan import Routed, cleared_by_item, find_routed
from leptonc.codegen.step.interleave import Lead, lead_of
from leptonc.codegen.step.prefetch import AskAhead, regions
from leptonc.ir.kernel import Axis, Kernel, Load, Param, Stage
from leptonc.memory import aligned
from leptonc.target import Target

ENTRY_COST = 8  # operations that listing an entry of a routed sum takes


@dataclass(frozen=True)
class Unit:
    """One function of a kernel. ``reads``/``writes`` are parameter names; "" stands for the shared panels.

    ``panel_offset`` is where its panels begin inside the kernel's panel scratch; ``local_bytes`` per-thread scratch.
    """

    function: str
    kernel: Kernel
    reads: frozenset[str]
    writes: frozenset[str]
    items: int
    cost: int
    description: str
    panel_bytes: int = 0
    local_bytes: int = 0
    lead: Lead | None = None


@dataclass
class Functions:
    """The functions of a module under construction, shared by equal kernels."""

    target: Target
    text: list[str] = field(default_factory=list)
    declarations: set[str] = field(default_factory=set)
    globals: dict[str, str] = field(default_factory=dict)
    helpers: dict[str, str] = field(default_factory=dict)
    _units: dict[Kernel, tuple[Unit, ...]] = field(default_factory=dict)

    def units(self, kernel: Kernel) -> tuple[Unit, ...]:
        """The units of a kernel, in order; emitted at the first request."""
        if kernel not in self._units:
            name = f"k{len(self._units)}.{_identifier(kernel.name)}"
            self._units[kernel] = tuple(_KernelUnits(self, kernel, name).all())
        return self._units[kernel]

    def emitter(self) -> Emitter:
        e = Emitter(fma=self.target.fma)
        e.declarations, e.globals, e.functions = self.declarations, self.globals, self.helpers
        e.reserve("ctx", "panels", "local", "begin", "end")
        return e


def _identifier(name: str) -> str:
    return "".join(c if c.isalnum() or c in "_." else "_" for c in name)[:60]


def unit_signature(kernel: Kernel) -> str:
    """Parameters of every unit of a kernel: buffers, shared panels, per-thread scratch, item range."""
    pointers = "".join(f"ptr %p{n}, " for n, _ in enumerate(kernel.params))
    return f"{pointers}ptr %panels, ptr %local, i64 %begin, i64 %end"


class _KernelUnits:
    def __init__(self, functions: Functions, kernel: Kernel, name: str):
        self.functions = functions
        self.kernel = kernel
        self.name = name
        self.pointers = {p.name: f"%p{n}" for n, p in enumerate(kernel.params)}
        self.count = 0
        self.linears: dict[Stage, LinearStage] = {}

    def all(self) -> list[Unit]:
        units = [unit for p in self.kernel.params if p.init is not None and p.role != "in" for unit in self._fill(p)]
        if self.kernel.outer:
            return [*units, *self._outer_units()]
        for stage in self.kernel.stages:
            units += self._stage_units(stage)
        return units

    def _fill(self, param: Param) -> list[Unit]:
        """Set a result to its initial value where the stages do not write it, or add to it."""
        what = filling(self.kernel, param)
        if not what.parts or self._is_cleared(param):
            return []
        kernel = fill_kernel(self.kernel, param, what)
        units = _KernelUnits(self.functions, kernel, f"{self.name}.fill.{param.name}").all()
        return [replace(unit, description=f"fill {param.name} {unit.description}") for unit in units]

    def _is_cleared(self, param: Param) -> bool:
        """Whether a routed sum sets its part of the result to zero, item by item, before it adds to it."""
        if len(self.kernel.stages) != 1 or self.kernel.outer or param.init != 0:
            return False
        routed = find_routed(self._linear(self.kernel.stages[0]), self.functions.target)
        return routed is not None and cleared_by_item(routed, param.type.size) > 0

    def _linear(self, stage: Stage) -> LinearStage:
        if stage not in self.linears:
            self.linears[stage] = linear_stage(self.kernel, stage)
        return self.linears[stage]

    def _stage_units(self, stage: Stage) -> list[Unit]:
        linear = self._linear(stage)
        routed = find_routed(linear, self.functions.target)
        if routed is not None:
            return self._routed_units(stage, routed)
        plan = find_contraction(linear, self.functions.target)
        return [self._nest_unit(stage, linear, "nest")] if plan is None else self._contraction_units(stage, plan)

    def _write(self, body: Emitter) -> str:
        function = f"@{self.name}.{self.count}" if self.count else f"@{self.name}"
        self.count += 1
        self.functions.text.append("\n".join([
            f"define internal void {function}({unit_signature(self.kernel)}) {{", "entry:", *body.lines, "  ret void",
            "}", ""]))
        return function

    def _nest_unit(self, stage: Stage, linear: LinearStage, what: str) -> Unit:
        nest = schedule_nest(linear, self.functions.target)
        e = self.functions.emitter()
        NestEmitter(e, linear, nest, self.pointers, {}).emit("%begin", "%end")
        reads, writes = _touched(stage)
        return Unit(self._write(e), self.kernel, reads, writes, nest.items, stage_cost(linear, nest.lanes, self.functions.target),
                    f"{what} {describe_nest(nest)}", lead=lead_of(nest.parallel, [linear], self.kernel))

    def _outer_units(self) -> list[Unit]:
        """All stages in turn at each outer point; locals live in the thread's scratch. Panels are packed before."""
        kernel, functions = self.kernel, self.functions
        linears = [linear_stage(kernel, s) for s in kernel.stages]
        names = frozenset(p.name for p in kernel.locals)
        plans = [find_contraction(linear, functions.target, names) for linear in linears]
        nests = [schedule_nest(linear, functions.target) for linear in linears]
        packs, panel_offset, panels_at = list[Unit](), 0, list[int]()
        for plan in plans:
            panels_at.append(panel_offset)
            for panels in panels_of(plan).values() if plan else ():
                packs.append(self._pack_unit(panels, panel_offset))
                panel_offset += aligned(panels.elements * panels.plan.dtype.itemsize)
        e = functions.emitter()
        pointers, offset = dict(self.pointers), 0
        for local in kernel.locals:
            pointers[local.name] = e.let(f"getelementptr i8, ptr %local, i64 {offset}", "tile")
            offset += aligned(local.type.nbytes)
        scratch = e.let(f"getelementptr i8, ptr %local, i64 {offset}", "scratch")
        sources = [self._sources(e, plan, pointers, at) if plan else {} for plan, at in zip(plans, panels_at)]
        parts = regions(kernel, linears, functions.target)
        with e.loop("item", "%begin", "%end") as item:
            ivs = _decode_outer(e, kernel.outer, item)
            following = _decode_outer(e, kernel.outer, e.add(item, "1")) if parts else {}
            for linear, plan, nest, source in zip(linears, plans, nests, sources):
                if plan is not None:
                    ahead = AskAhead(e, parts, plan.tiles, pointers, following) if parts else None
                    ContractionEmitter(e, plan, pointers, source, scratch, ivs, ahead).emit("0", str(plan.items))
                else:
                    NestEmitter(e, linear, nest, pointers, ivs).emit_inner()
        points = prod(a.extent for a in kernel.outer)
        cost = sum(points * 2 * plan.work // plan.lanes if plan else stage_cost(linear, nest.lanes, functions.target)
                   for linear, plan, nest in zip(linears, plans, nests))
        what = "; ".join(describe_contraction(plan) if plan else describe_nest(nest) for plan, nest in zip(plans, nests))
        what = f"at each {' '.join(f'{a.name}:{a.extent}' for a in kernel.outer)}: {what}"
        reads, writes = self._touched_outside()
        offset += max((workspace_bytes(plan) for plan in plans if plan), default=0)
        return [*packs, Unit(self._write(e), kernel, reads | ({""} if packs else set()), writes, points, cost, what, panel_offset,
                             offset, lead_of(kernel.outer, linears, kernel))]

    def _touched_outside(self) -> tuple[frozenset[str], frozenset[str]]:
        """The parameters that the stages read and write."""
        touched = [_touched(s) for s in self.kernel.stages]
        local = frozenset(p.name for p in self.kernel.locals)
        return frozenset().union(*(r for r, _ in touched)) - local, frozenset().union(*(w for _, w in touched)) - local

    def _sources(self, e: Emitter, plan: Contraction, pointers: dict[str, str], offset: int) -> dict[str, str]:
        """Where A and B are read from: the operand, or its panels, which begin at ``offset``."""
        sources, packed = {}, panels_of(plan)
        for role, side in (("a", plan.a), ("b", plan.b)):
            sources[role] = pointers[side.buffer]
            if role in packed:
                sources[role] = e.let(f"getelementptr i8, ptr %panels, i64 {offset}", f"panels.{role}")
                offset += aligned(packed[role].elements * plan.dtype.itemsize)
        return sources

    def _contraction_units(self, stage: Stage, plan: Contraction) -> list[Unit]:
        units, offset = [], 0
        for panels in panels_of(plan).values():
            units.append(self._pack_unit(panels, offset))
            offset += aligned(panels.elements * plan.dtype.itemsize)
        e = self.functions.emitter()
        sources = self._sources(e, plan, self.pointers, 0)
        ContractionEmitter(e, plan, self.pointers, sources, "%local").emit("%begin", "%end")
        reads, writes = _touched(stage)
        reads |= {""} if units else frozenset()
        cost = 2 * plan.work // plan.lanes
        unit = Unit(self._write(e), self.kernel, reads, writes, plan.items, cost, describe_contraction(plan), offset,
                    workspace_bytes(plan), lead_of(plan.outer, [plan.stage], self.kernel))
        return [*units, unit]

    def _routed_units(self, stage: Stage, plan: Routed) -> list[Unit]:
        lookup = find_lookup(plan, self.functions.target)
        if lookup is not None:
            return [self._lookup_unit(stage, lookup)]
        units, size = [], plan.panel_elements * plan.dtype.itemsize
        source = self.pointers[plan.dense_buffer]
        if plan.packs:
            e = self.functions.emitter()
            emit_routed_packing(e, plan, source, "%panels", "%begin", "%end")
            what = f"pack {plan.dense_buffer}"
            units.append(Unit(self._write(e), self.kernel, frozenset({plan.dense_buffer}), frozenset({""}),
                              packing_items(plan), 4 * plan.panel_elements // plan.lanes, what, size))
            source = "%panels"
        e = self.functions.emitter()
        result = self.kernel.buffer(stage.stores[0].buffer)
        clear = cleared_by_item(plan, result.type.size) if result.init == 0 else 0
        RoutedEmitter(e, plan, self.pointers, source, "%local", clear).emit("%begin", "%end")
        reads, writes = _touched(stage)
        reads |= {""} if units else frozenset()
        cost = plan.entries * (ENTRY_COST + plan.row_count * plan.vectors)
        unit = Unit(self._write(e), self.kernel, reads, writes, plan.items, cost, describe_routed(plan), size, routed_scratch(plan),
                    lead_of(plan.outer, [plan.stage], self.kernel))
        return [*units, unit]

    def _lookup_unit(self, stage: Stage, plan: Lookup) -> Unit:
        e, routed = self.functions.emitter(), plan.routed
        LookupEmitter(e, plan, self.pointers, self.pointers[routed.dense_buffer], "%local").emit("%begin", "%end")
        reads, writes = _touched(stage)
        cost = routed.entries * routed.row_count * routed.vector.extent * 2 // LANES
        return Unit(self._write(e), self.kernel, reads, writes, routed.items, cost, describe_lookup(plan), 0, plan.tile_bytes,
                    lead_of(routed.outer, [routed.stage], self.kernel))

    def _pack_unit(self, panels: Panels, offset: int) -> Unit:
        e = self.functions.emitter()
        target = e.let(f"getelementptr i8, ptr %panels, i64 {offset}", "panels")
        emit_packing(e, panels, self.pointers[panels.side.buffer], target, "%begin", "%end")
        size = panels.elements * panels.plan.dtype.itemsize
        what = f"pack {panels.side.buffer} into {panels.items} panels of {panels.plan.depth} x {panels.width}"
        return Unit(self._write(e), self.kernel, frozenset({panels.side.buffer}), frozenset({""}), panels.items,
                    panels.elements, what, offset + size)


def _decode_outer(e: Emitter, outer: tuple[Axis, ...], item: str) -> dict[str, str]:
    ivs = {}
    for n, axis in reversed(list(enumerate(outer))):
        ivs[axis.name] = item if n == 0 else e.let(f"urem i64 {item}, {axis.extent}", axis.name)
        item = item if n == 0 else e.let(f"udiv i64 {item}, {axis.extent}", "item")
    return ivs


def _touched(stage: Stage) -> tuple[frozenset[str], frozenset[str]]:
    reads = {i.buffer for i in stage.insts if isinstance(i, Load)} | {s.buffer for s in stage.stores if s.accumulate}
    return frozenset(reads), frozenset(s.buffer for s in stage.stores)


def describe_nest(nest: Nest) -> str:
    """One line of the schedule, for people."""
    parts = ["parallel " + " ".join(f"{a.name}:{a.extent}" for a in nest.parallel)] if nest.parallel else []
    if nest.loops:
        parts.append("loop " + " ".join(f"{a.name}:{a.extent}" for a in nest.loops))
    if nest.fold:
        parts.append(("unrolled " if nest.unroll else "fold ") + " ".join(f"{a.name}:{a.extent}" for a in nest.fold))
    if nest.vector is not None:
        block = f" in blocks of {nest.block}" if nest.block else ""
        parts.append(f"vector {nest.vector.name}:{nest.vector.extent} x{nest.lanes}{block}")
    return ", ".join(parts) or "scalar"


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
