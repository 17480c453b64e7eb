"""Units of a step as functions."""

from __future__ import annotations

from dataclasses import dataclass, field

from leptonc.codegen.contraction.emit import ContractionEmitter, panels_of
from leptonc.codegen.contraction.panels import emit_packing
from leptonc.codegen.contraction.plan import Contraction
from leptonc.codegen.llvm.emitter import Emitter
from leptonc.codegen.loops.nest import NestEmitter
from leptonc.codegen.loops.nestfunction import call_nest
from leptonc.codegen.loops.schedule import may_end_at_once
from leptonc.codegen.loops.squares import SquaresEmitter
from leptonc.codegen.prefix.emit import PrefixEmitter
from leptonc.codegen.routed.emit import RoutedEmitter, emit_routed_packing
from leptonc.codegen.routed.lookup import LookupEmitter
from leptonc.codegen.sorting.emit import SortEmitter
from leptonc.codegen.step.controlflow import emit_control
from leptonc.codegen.step.prefetch import AskAhead
from leptonc.codegen.step.step import (
    ContractionUnit,
    ControlUnit,
    Inner,
    LookupUnit,
    NestUnit,
    PackingUnit,
    PrefixUnit,
    RoutedPackingUnit,
    RoutedUnit,
    SortUnit,
    TiledUnit,
    Unit,
)
from leptonc.ir.kernel import Axis, Kernel
from leptonc.memory import aligned
from leptonc.target import Target


@dataclass
class Functions:
    """The functions of a module under construction; ``lasts``: they look whether the step is to stop."""

    target: Target
    lasts: bool
    text: list[str] = field(default_factory=list)
    declarations: set[str] = field(default_factory=set)
    globals: dict[str, str] = field(default_factory=dict)
    helpers: dict[str, str] = field(default_factory=dict)

    def emitter(self) -> Emitter:
        e = Emitter(self.target.fma, self.target.halves, self.target.bf16)
        e.declarations, e.globals, e.functions = self.declarations, self.globals, self.helpers
        e.reserve("ctx", "panels", "local", "begin", "end")
        return e

    def define(self, unit: Unit) -> None:
        """``void unit(buffers, panels, local, begin, end)`` runs items ``begin`` to ``end``; a loop or a branch has a context
        and the thread's number and the number of threads instead."""
        if isinstance(unit.schedule, ControlUnit):
            return self._define_control(unit, unit.schedule)
        e = self.emitter()
        _emit_unit(e, unit, {p.name: f"%p{n}" for n, p in enumerate(unit.kernel.params)})
        self.text.append("\n".join([
            f"define internal void {unit.function}({unit_signature(unit.kernel)}) {{", "entry:", *e.lines, "  ret void", "}", ""]))


    def _define_control(self, unit: Unit, schedule: ControlUnit) -> None:
        for part in (*schedule.starts, *(unit for body in schedule.bodies for unit in body.units)):
            self.define(part)
        e = self.emitter()
        e.reserve("tid", "nthreads")
        emit_control(e, unit, schedule, self.lasts)
        pointers = "".join(f"ptr %p{n}, " for n, _ in enumerate(unit.kernel.params))
        signature = f"{pointers}ptr %panels, ptr %local, ptr %ctx, i64 %tid, i64 %nthreads"
        self.text.append("\n".join([
            f"define internal void {unit.function}({signature}) {{", "entry:", *e.lines, "  ret void", "}", ""]))


def unit_signature(kernel: Kernel) -> str:
    """Parameters of every unit of a kernel: buffers, shared panels, per-thread scratch, item range."""
    pointers = "".join(f"ptr %p{n}, " for n, _ in enumerate(kernel.params))
    return f"{pointers}ptr %panels, ptr %local, i64 %begin, i64 %end"


def _emit_unit(e: Emitter, unit: Unit, pointers: dict[str, str]) -> None:
    match unit.schedule:
        case NestUnit(linear, nest):
            (SquaresEmitter if nest.turned else NestEmitter)(e, linear, nest, pointers, {}).emit("%begin", "%end")
        case PackingUnit(panels, offset):
            target = e.let(f"getelementptr i8, ptr %panels, i64 {offset}", "panels")
            emit_packing(e, panels, pointers[panels.side.buffer], target, "%begin", "%end")
        case ContractionUnit(plan):
            sources = _sources(e, plan, pointers, 0)
            ContractionEmitter(e, plan, pointers, sources, "%local").emit("%begin", "%end")
        case TiledUnit():
            _emit_tiled(e, unit.kernel, unit.schedule, pointers)
        case RoutedPackingUnit(routed):
            emit_routed_packing(e, routed, pointers[routed.dense_buffer], "%panels", "%begin", "%end")
        case RoutedUnit(routed, clear):
            source = "%panels" if routed.packs else pointers[routed.dense_buffer]
            RoutedEmitter(e, routed, pointers, source, "%local", clear).emit("%begin", "%end")
        case LookupUnit(lookup):
            LookupEmitter(e, lookup, pointers, pointers[lookup.routed.dense_buffer], "%local").emit("%begin", "%end")
        case SortUnit(sort):
            if unit.items:
                SortEmitter(e, sort, pointers, "%local").emit("%begin", "%end")
        case PrefixUnit(scan, phase):
            if unit.items:
                PrefixEmitter(e, scan, phase, pointers, "%panels").emit("%begin", "%end")


def _sources(e: Emitter, plan: Contraction, pointers: dict[str, str], offset: int) -> dict[str, str]:
    """Where A and B are read from: the operand, or its panels, which begin at ``offset``."""
    sources, packed = {}, panels_of(plan)
    for role, side in (("a", plan.a), ("b", plan.b)):
        sources[role] = pointers[side.buffer]
        if role in packed:
            sources[role] = e.let(f"getelementptr i8, ptr %panels, i64 {offset}", f"panels.{role}")
            offset += aligned(packed[role].nbytes)
    return sources


def _emit_tiled(e: Emitter, kernel: Kernel, schedule: TiledUnit, pointers: dict[str, str]) -> None:
    pointers = dict(pointers)
    for local, offset in zip(kernel.locals, schedule.locals_at):
        pointers[local.name] = e.let(f"getelementptr i8, ptr %local, i64 {offset}", "tile")
    scratch = e.let(f"getelementptr i8, ptr %local, i64 {schedule.scratch_at}", "scratch")
    sources = [_sources(e, inner.plan, pointers, inner.panels_at) if inner.plan else {} for inner in schedule.stages]
    with e.loop("item", "%begin", "%end") as item:
        ivs = _decode_outer(e, kernel.outer, item)
        following = _decode_outer(e, kernel.outer, e.add(item, "1")) if schedule.prefetches else {}
        for inner, source in zip(schedule.stages, sources):
            _emit_inner(e, schedule, inner, pointers, source, scratch, ivs, following)


def _emit_inner(e: Emitter, schedule: TiledUnit, inner: Inner, pointers: dict[str, str], source: dict[str, str], scratch: str,
                ivs: dict[str, str], following: dict[str, str]) -> None:
    """One stage at an outer point; a contraction asks for the next point's memory."""
    if inner.plan is None:
        if may_end_at_once(inner.linear):
            call_nest(e, inner.linear, inner.nest, pointers, ivs)
        else:
            NestEmitter(e, inner.linear, inner.nest, pointers, ivs).emit_inner()
        return
    ahead = AskAhead(e, schedule.prefetches, inner.plan.tiles, pointers, following) if schedule.prefetches else None
    ContractionEmitter(e, inner.plan, pointers, source, scratch, ivs, ahead).emit("0", str(inner.plan.items))


def _decode_outer(e: Emitter, outer: tuple[Axis, ...], item: str) -> dict[str, str]:
    ivs = {}
    for n, axis in reversed(list(enumerate(outer))):
        ivs[axis.name] = item if n == 0 else e.let(f"urem i64 {item}, {axis.extent}", axis.name)
        item = item if n == 0 else e.let(f"udiv i64 {item}, {axis.extent}", "item")
    return ivs
