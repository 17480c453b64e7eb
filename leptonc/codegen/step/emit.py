"""The text of a Step: its units as functions, and ``step(ctx)`` that every thread runs from end to end. Takes no decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from leptonc import abi
from leptonc.codegen.contraction.emit import ContractionEmitter, panels_of
from leptonc.codegen.contraction.panels import emit_packing
from leptonc.codegen.contraction.plan import Contraction
from leptonc.codegen.llvm.emitter import Emitter
from leptonc.codegen.loops.nest import NestEmitter
from leptonc.codegen.loops.nestfunction import call_nest
from leptonc.codegen.loops.schedule import may_end_at_once
from leptonc.codegen.routed.emit import RoutedEmitter, emit_routed_packing
from leptonc.codegen.routed.lookup import LookupEmitter
from leptonc.codegen.step.prefetch import AskAhead
from leptonc.codegen.step.step import (
    Barrier,
    Blocks,
    ContractionUnit,
    Inner,
    Launch,
    LookupUnit,
    NestUnit,
    PackingUnit,
    Parallel,
    RoutedPackingUnit,
    RoutedUnit,
    Serial,
    Statement,
    Step,
    TiledUnit,
    Unit,
)
from leptonc.codegen.support.threads import barrier_text, denormal_epilogue, denormal_prologue
from leptonc.ir.kernel import Axis, Kernel
from leptonc.memory import aligned
from leptonc.target import Target


def emit_step(step: Step, entry: str, parts: bool = False) -> str:
    """LLVM text of the whole step; with ``parts``, every launch is a function ``part.<n>(ctx)`` of its own as well."""
    functions = Functions(step.target)
    for unit in step.units:
        functions.define(unit)
    bodies = {entry: _body(functions, step, step.body)}
    if parts:
        bodies |= {f"part.{n}": _body(functions, step, _alone(n, launch)) for n, launch in enumerate(step.launches)}
    text = [f'target triple = "{step.target.triple}"', ""]
    text += [f"{name} = {definition}" for name, definition in functions.globals.items()]
    text += ["", barrier_text(step.target), *functions.helpers.values(), *functions.text]
    for name, body in bodies.items():
        text += [f"define void @{name}(ptr %ctx) {{", "entry:", *body.lines, "  ret void", "}", ""]
    text += sorted(functions.declarations)
    return "\n".join(text) + "\n"


def _alone(number: int, launch: Launch) -> tuple[Statement, ...]:
    return (Serial((number,)) if launch.serial else Parallel(number),)


# Units


@dataclass
class Functions:
    """The functions of a module under construction."""

    target: Target
    text: list[str] = field(default_factory=list)
    declarations: set[str] = field(default_factory=set)
    globals: dict[str, str] = field(default_factory=dict)
    helpers: dict[str, str] = field(default_factory=dict)

    def emitter(self) -> Emitter:
        e = Emitter(self.target.fma, self.target.halves)
        e.declarations, e.globals, e.functions = self.declarations, self.globals, self.helpers
        e.reserve("ctx", "panels", "local", "begin", "end")
        return e

    def define(self, unit: Unit) -> None:
        """``void unit(buffers, panels, local, begin, end)`` runs items ``begin`` to ``end``."""
        e = self.emitter()
        _emit_unit(e, unit, {p.name: f"%p{n}" for n, p in enumerate(unit.kernel.params)})
        self.text.append("\n".join([
            f"define internal void {unit.function}({unit_signature(unit.kernel)}) {{", "entry:", *e.lines, "  ret void", "}", ""]))


def unit_signature(kernel: Kernel) -> str:
    """Parameters of every unit of a kernel: buffers, shared panels, per-thread scratch, item range."""
    pointers = "".join(f"ptr %p{n}, " for n, _ in enumerate(kernel.params))
    return f"{pointers}ptr %panels, ptr %local, i64 %begin, i64 %end"


def _emit_unit(e: Emitter, unit: Unit, pointers: dict[str, str]) -> None:
    match unit.schedule:
        case NestUnit(linear, nest):
            NestEmitter(e, linear, nest, pointers, {}).emit("%begin", "%end")
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


def _sources(e: Emitter, plan: Contraction, pointers: dict[str, str], offset: int) -> dict[str, str]:
    """Where A and B are read from: the operand, or its panels, which begin at ``offset``."""
    sources, packed = {}, panels_of(plan)
    for role, side in (("a", plan.a), ("b", plan.b)):
        sources[role] = pointers[side.buffer]
        if role in packed:
            sources[role] = e.let(f"getelementptr i8, ptr %panels, i64 {offset}", f"panels.{role}")
            offset += aligned(packed[role].elements * plan.dtype.itemsize)
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


# The body


def _body(functions: Functions, step: Step, statements: Sequence[Statement]) -> Emitter:
    e = functions.emitter()
    saved = denormal_prologue(e)
    _emit_statements(e, _Context(e, step), statements)
    denormal_epilogue(e, saved)
    return e


def _emit_statements(e: Emitter, context: _Context, statements: Sequence[Statement]) -> None:
    for statement in statements:
        match statement:
            case Barrier():
                e.line("call void @barrier(ptr %ctx)")
            case Parallel(number):
                context.call(number, parallel=True)
            case Serial(numbers):
                with e.when(context.is_first, "serial"):
                    for number in numbers:
                        context.call(number, parallel=False)
            case Blocks():
                _emit_blocks(e, context, statement)


def _emit_blocks(e: Emitter, context: _Context, group: Blocks) -> None:
    even = context.shares_evenly(group.count, group.slack)
    with e.when(even, "blocks"):
        begin, end = context.share(group.count)
        with e.loop("block", begin, end) as block:
            for number in group.launches:
                context.call_block(number, block, group.count)
    with e.when(e.let(f"xor i1 {even}, true", "uneven"), "whole"):
        _emit_statements(e, context, group.otherwise)


class _Context:
    """What step reads of its context once: thread numbers and the addresses of all buffers."""

    def __init__(self, e: Emitter, step: Step):
        self.e = e
        self.step = step
        args = self._field(abi.CONTEXT_ARGS, "args")
        self.arena = self._field(abi.CONTEXT_ARENA, "arena")
        self.local = self._field(abi.CONTEXT_WORKSPACE, "local")
        self.tid = self._field(abi.CONTEXT_TID, "tid", "i64")
        self.nthreads = self._field(abi.CONTEXT_NTHREADS, "nthreads", "i64")
        self.is_first = e.let(f"icmp eq i64 {self.tid}, 0", "first")
        self.panels = e.let(f"getelementptr i8, ptr {self.arena}, i64 {step.panels_at}", "panels")
        self.pointers = self._table(args)

    def _field(self, offset: int, hint: str, type_: str = "ptr") -> str:
        at = self.e.let(f"getelementptr i8, ptr %ctx, i64 {offset}", "field")
        return self.e.let(f"load {type_}, ptr {at}, align 8", hint)

    def _table(self, args: str) -> dict[int, str]:
        """A pointer per buffer: from the argument table (inputs, outputs, constants), or into the arena."""
        pointers: dict[int, str] = {}
        program, e = self.step.program, self.e
        constants = [n for n, b in enumerate(program.buffers) if b.kind == "constant"]
        for slot, number in enumerate([*program.inputs, *program.outputs, *constants]):
            at = e.let(f"getelementptr ptr, ptr {args}, i64 {slot}", "slot")
            pointers[number] = e.let(f"load ptr, ptr {at}, align 8", f"buffer{number}_")
        for number, buffer in enumerate(program.buffers):
            if buffer.kind == "temp":
                start = self.step.memory[number].start
                pointers[number] = e.let(f"getelementptr i8, ptr {self.arena}, i64 {start}", f"buffer{number}_")
        return pointers

    def share(self, items: int) -> tuple[str, str]:
        """The thread's part of so many items."""
        e = self.e
        scaled = e.mul(self.tid, str(items))
        begin = e.let(f"udiv i64 {scaled}, {self.nthreads}", "begin")
        following = e.add(scaled, str(items))
        return begin, e.let(f"udiv i64 {following}, {self.nthreads}", "end")

    def shares_evenly(self, items: int, slack: int) -> str:
        """Whether no thread's part is more than 1 / ``slack`` longer than the mean."""
        e = self.e
        longest = e.let(f"udiv i64 {e.add(self.nthreads, str(items - 1))}, {self.nthreads}", "longest")
        total = e.mul(e.mul(longest, self.nthreads), str(slack))
        return e.let(f"icmp ule i64 {total}, {items * (slack + 1)}", "even")

    def call(self, number: int, parallel: bool) -> None:
        items = self.step.launches[number].unit.items
        self._call(number, *(self.share(items) if parallel else ("0", str(items))))

    def call_block(self, number: int, block: str, blocks: int) -> None:
        each = self.step.launches[number].unit.items // blocks
        begin = self.e.mul(block, str(each))
        self._call(number, begin, self.e.add(begin, str(each)))

    def _call(self, number: int, begin: str, end: str) -> None:
        launch = self.step.launches[number]
        pointers = "".join(f"ptr {self.pointers[n]}, " for n in launch.args)
        self.e.line(f"call void {launch.unit.function}({pointers}ptr {self.panels}, ptr {self.local}, i64 {begin}, i64 {end})")
