"""The text of a Step: its units as functions, and ``step(ctx)`` that every thread runs from end to end. Takes no decisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from leptonc import abi
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
from leptonc.codegen.step.prefetch import AskAhead
from leptonc.codegen.step.step import (
    Barrier,
    Blocks,
    ContractionUnit,
    ControlUnit,
    Inner,
    Launch,
    LookupUnit,
    NestUnit,
    PackingUnit,
    Parallel,
    PrefixUnit,
    RoutedPackingUnit,
    RoutedUnit,
    Rows,
    RowShare,
    Serial,
    SortUnit,
    Statement,
    Step,
    TiledUnit,
    Together,
    Unit,
)
from leptonc.codegen.support.signals import stopped_text
from leptonc.codegen.support.threads import denormal_epilogue, denormal_prologue, meet
from leptonc.ir.control import Branch, Loop
from leptonc.ir.kernel import Axis, Kernel
from leptonc.memory import aligned
from leptonc.target import Target

SECTION_LAUNCHES, WHOLE_LAUNCHES = 16, 64
"""Launches of a section of a step, and of a step that is one function. (Twelve blocks of a transformer, 883 launches: LLVM took 5.0
seconds for one function.)"""


def emit_step(step: Step, entry: str, parts: bool = False) -> str:
    """LLVM text of the whole step; with ``parts``, every launch is a function ``part.<n>(ctx)`` of its own as well."""
    functions = Functions(step.target, step.lasts)
    for unit in step.units:
        functions.define(unit)
    bodies = _bodies(functions, step, entry)
    if parts:
        bodies |= {f"part.{n}": _body(functions, step, _alone(n, launch)) for n, launch in enumerate(step.launches)}
    text = [f'target triple = "{step.target.triple}"', ""]
    text += [f"{name} = {definition}" for name, definition in functions.globals.items()]
    text += ["", *([stopped_text()] if step.lasts else []), *functions.helpers.values(), *functions.text]
    for name, body in bodies.items():
        linkage = "internal " if name.startswith(f"{entry}.") else ""
        text += [f"define {linkage}void @{name}(ptr %ctx) {{", "entry:", *body.lines, "  ret void", "}", ""]
    text += sorted(functions.declarations)
    return "\n".join(text) + "\n"


def _alone(number: int, launch: Launch) -> tuple[Statement, ...]:
    if launch.serial:
        return (Serial((number,)),)
    return (Together(number) if isinstance(launch.unit.schedule, ControlUnit) else Parallel(number),)


# Units


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
        _emit_control(e, unit, schedule, self.lasts)
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


# The body


def _bodies(functions: Functions, step: Step, entry: str) -> dict[str, Emitter]:
    """The step, and the functions of its sections if it is long: LLVM's time grows with the square of the number of addresses that
    are in use at once."""
    sections = _sections(step.body)
    if sum(map(len, map(_launches, sections))) <= WHOLE_LAUNCHES:
        return {entry: _body(functions, step, step.body)}
    runners = _runners(functions, step, [n for section in sections for n in _launches(section, blocks=False)])
    found = {f"{entry}.{n}": _section(functions, step, section, runners) for n, section in enumerate(sections)}
    return {**found, entry: _body(functions, step, (), [f"call void @{name}(ptr %ctx)" for name in found])}


def _sections(body: Sequence[Statement]) -> list[tuple[Statement, ...]]:
    """Statements one after the other, some launches in each section."""
    out = list[list[Statement]]()
    count = SECTION_LAUNCHES
    for statement in _short(body):
        if count >= SECTION_LAUNCHES:
            out.append([])
            count = 0
        out[-1].append(statement)
        count += len(_launches((statement,)))
    return [tuple(section) for section in out]


def _short(body: Sequence[Statement]) -> Iterator[Statement]:
    for statement in body:
        if isinstance(statement, Serial):
            starts = range(0, len(statement.launches), SECTION_LAUNCHES)
            yield from (Serial(statement.launches[n:n + SECTION_LAUNCHES]) for n in starts)
        else:
            yield statement


def _launches(statements: Sequence[Statement], blocks: bool = True) -> list[int]:
    """The launches in statements; twice what runs in one of two ways, unless those in ``blocks`` are left out."""
    out = list[int]()
    for statement in statements:
        match statement:
            case Parallel(number) | Together(number):
                out.append(number)
            case Serial(numbers):
                out += numbers
            case Blocks():
                out += [*(statement.launches if blocks else ()), *_launches(statement.otherwise, blocks)]
    return out


def _body(functions: Functions, step: Step, statements: Sequence[Statement], calls: Sequence[str] = ()) -> Emitter:
    """What each thread runs: statements, then calls of sections."""
    e = functions.emitter()
    saved = denormal_prologue(e)
    context = _context_of_call(e, step, statements)
    if context.lasts:
        e.line(f"call void @begin(ptr %ctx, i64 {context.tid})")
    _emit_statements(e, context, statements)
    for call in calls:
        e.line(call)
    denormal_epilogue(e, saved)
    return e


def _section(functions: Functions, step: Step, statements: Sequence[Statement], runners: Mapping[str, str]) -> Emitter:
    e = functions.emitter()
    context = _context_of_call(e, step, statements)
    context.runners = runners
    _emit_statements(e, context, statements)
    return e


def _runners(functions: Functions, step: Step, numbers: Sequence[int]) -> dict[str, str]:
    """Functions that do a thread's part of the items of units that are launched several times, by the names of these: a launch
    then is a call."""
    launches = {step.launches[n].unit.function: n for n in numbers}
    counts = Counter(step.launches[n].unit.function for n in numbers)
    found = {name: f"{name}.part" for name, n in launches.items()
             if counts[name] > 1 and not isinstance(step.launches[n].unit.schedule, ControlUnit)}
    for name, runner in found.items():
        e, launch = functions.emitter(), step.launches[launches[name]]
        e.reserve("tid", "nthreads")
        _Runner(e, step, "%panels", "%local", "%tid", "%nthreads", step.lasts).call(launches[name], parallel=True)
        pointers = "".join(f"ptr %p{n}, " for n, _ in enumerate(launch.args))
        functions.text.append("\n".join([
            f"define internal void {runner}({pointers}ptr %panels, ptr %local, ptr %ctx, i64 %tid, i64 %nthreads) {{", "entry:",
            *e.lines, "  ret void", "}", ""]))
    return found


def _emit_statements(e: Emitter, context: _Context, statements: Sequence[Statement]) -> None:
    for statement in statements:
        match statement:
            case Barrier():
                meet(e)
            case Parallel(number):
                context.call(number, parallel=True)
            case Together(number):
                context.call_control(number, context.tid, context.nthreads)
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


def _context_of_call(e: Emitter, step: Step, statements: Sequence[Statement]) -> _Context:
    """What a call's context has: thread numbers, and the addresses of the buffers that statements name."""
    def field(offset: int, hint: str, type_: str = "ptr") -> str:
        at = e.let(f"getelementptr i8, ptr %ctx, i64 {offset}", "field")
        return e.let(f"load {type_}, ptr {at}, align 8", hint)

    args, arena = field(abi.CONTEXT_ARGS, "args"), field(abi.CONTEXT_ARENA, "arena")
    local = field(abi.CONTEXT_WORKSPACE, "local")
    tid, nthreads = field(abi.CONTEXT_TID, "tid", "i64"), field(abi.CONTEXT_NTHREADS, "nthreads", "i64")
    panels = e.let(f"getelementptr i8, ptr {arena}, i64 {step.panels_at}", "panels")
    context = _Context(e, step, panels, local, tid, nthreads, step.lasts)
    constants = [n for n, b in enumerate(step.program.buffers) if b.kind == "constant"]
    used = {number for launch in _launches(statements) for number in step.launches[launch].args}
    for slot, number in enumerate([*step.program.inputs, *step.program.outputs, *constants]):
        if number not in used:
            continue
        at = e.let(f"getelementptr ptr, ptr {args}, i64 {slot}", "slot")
        context.pointers[number] = e.let(f"load ptr, ptr {at}, align 8", f"buffer{number}_")
    context.place_temporaries(arena, used)
    return context


class _Context:
    """What the statements of a step refer to: thread numbers, and the addresses of all buffers, which are there once."""

    def __init__(self, e: Emitter, step: Step, panels: str, local: str, tid: str, nthreads: str, lasts: bool):
        self.e = e
        self.step = step
        self.lasts = lasts
        self.panels, self.local, self.tid, self.nthreads = panels, local, tid, nthreads
        self.is_first = e.let(f"icmp eq i64 {tid}, 0", "first")
        self.pointers: dict[int, str] = {}
        self.runners: Mapping[str, str] = {}  # see _runners

    def place_temporaries(self, arena: str, used: Collection[int]) -> None:
        for number, buffer in enumerate(self.step.program.buffers):
            if buffer.kind == "temp" and number in used:
                start = self.step.memory[number].start
                self.pointers[number] = self.e.let(f"getelementptr i8, ptr {arena}, i64 {start}", f"buffer{number}_")

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
        launch = self.step.launches[number]
        runner = self.runners.get(launch.unit.function)
        if runner is not None:
            share = f"i64 {self.tid}, i64 {self.nthreads}" if parallel else "i64 0, i64 1"
            self.e.line(f"call void {runner}({self._pointers(launch)}ptr {self.panels}, ptr {self.local}, ptr %ctx, {share})")
            return
        items = self.step.launches[number].unit.items
        self._call(number, *(self.share(items) if parallel else ("0", str(items))))

    def call_rows(self, number: int, share: RowShare, begin: str, end: str) -> None:
        """Blocks of rows: where other digits are slower, at each of their points."""
        e, unit = self.e, self.step.launches[number].unit
        outer = prod(d.count for d in unit.digits[:share.place])
        count, inner = unit.digits[share.place].count, prod(d.count for d in unit.digits[share.place + 1:])
        first = e.mul(begin, str(share.each))
        last = e.call("i64 @llvm.smin.i64(i64, i64)", f"i64 {e.mul(end, str(share.each))}, i64 {count}", "last")
        with e.loop("outer", "0", str(outer)) as point:
            start = e.mul(point, str(count))
            self._call(number, *(e.mul(e.add(start, n), str(inner)) for n in (first, last)))

    def call_block(self, number: int, block: str, blocks: int) -> None:
        each = self.step.launches[number].unit.items // blocks
        begin = self.e.mul(block, str(each))
        self._call(number, begin, self.e.add(begin, str(each)))

    def _call(self, number: int, begin: str, end: str) -> None:
        launch = self.step.launches[number]
        if isinstance(launch.unit.schedule, ControlUnit):
            self.call_control(number, "0", "1")
            return
        each = launch.unit.items_between_looks
        if not self.lasts:
            self._call_items(launch, begin, end)
        elif each >= launch.unit.items:
            with self.e.when(self.goes_on(), "launch"):
                self._call_items(launch, begin, end)
        else:
            with self.e.reduce_loop("piece", begin, end, each, [], lambda _: self.stopped()) as (item, _, _):
                following = self.e.add(item, str(each))
                past = self.e.let(f"icmp sgt i64 {following}, {end}", "past")
                self._call_items(launch, item, self.e.let(f"select i1 {past}, i64 {end}, i64 {following}", "stop"))

    def _call_items(self, launch: Launch, begin: str, end: str) -> None:
        self.e.line(f"call void {launch.unit.function}({self._pointers(launch)}ptr {self.panels}, ptr {self.local}, "
                    f"i64 {begin}, i64 {end})")

    def call_control(self, number: int, tid: str, nthreads: str) -> None:
        """A loop or a branch, as one of so many threads."""
        launch = self.step.launches[number]
        call = (f"call void {launch.unit.function}({self._pointers(launch)}ptr {self.panels}, ptr {self.local}, "
                f"ptr %ctx, i64 {tid}, i64 {nthreads})")
        if not self.lasts:
            self.e.line(call)
            return
        with self.e.when(self.goes_on(), "launch"):
            self.e.line(call)

    def stopped(self) -> str:
        """Whether the step is to stop."""
        return self.e.let(f"call i1 @stopped(ptr %ctx, i64 {self.tid})", "stopped")

    def goes_on(self) -> str:
        return self.e.let(f"xor i1 {self.stopped()}, true", "goes_on")

    def _pointers(self, launch: Launch) -> str:
        return "".join(f"ptr {self.pointers[n]}, " for n in launch.args)


class _Runner(_Context):
    """In a function that gets the addresses."""

    def _pointers(self, launch: Launch) -> str:
        return "".join(f"ptr %p{n}, " for n, _ in enumerate(launch.args))


# Loops and branches


def _emit_control(e: Emitter, unit: Unit, schedule: ControlUnit, lasts: bool) -> None:
    pointers = {p.name: f"%p{n}" for n, p in enumerate(unit.kernel.params)}
    if isinstance(unit.kernel, Loop):
        _emit_loop(e, unit.kernel, schedule, pointers, lasts)
    elif isinstance(unit.kernel, Branch):
        _emit_branch(e, unit.kernel, schedule, pointers, lasts)


def _body_context(e: Emitter, step: Step, workspace: str, lasts: bool) -> _Context:
    context = _Context(e, step, "%panels", "%local", "%tid", "%nthreads", lasts)
    context.place_temporaries(workspace, range(len(step.program.buffers)))
    return context


def _emit_loop(e: Emitter, loop: Loop, schedule: ControlUnit, pointers: dict[str, str], lasts: bool) -> None:
    """Trips end with a barrier: the next one may overwrite what this one reads, and reads what it has written."""
    (step,) = schedule.bodies
    context = _body_context(e, step, pointers[loop.workspace], lasts)
    _emit_starts(e, loop, schedule, pointers, context)
    for name, number in zip(loop.takes, step.program.inputs):
        context.pointers[number] = pointers[name]
    carries = step.program.inputs[loop.consts:loop.consts + loop.carries]
    for number, name in zip((*carries, *step.program.outputs), (*loop.gives[:loop.carries], *loop.gives)):
        context.pointers[number] = pointers[name]
    if loop.trips is None:
        _emit_while(e, context, schedule, pointers[loop.gives[0]])
        return
    if schedule.rows is None:
        _emit_trips(e, loop, schedule, pointers, context)
        return
    few = "true"
    if schedule.together:
        few = e.let(f"icmp ule i64 {context.nthreads}, {schedule.rows.count}", "few")
    with e.when(few, "rows"):
        _emit_trips(e, loop, schedule, pointers, context, schedule.rows)
    if schedule.together:
        with e.when(e.let(f"xor i1 {few}, true", "many"), "together"):
            _emit_trips(e, loop, schedule, pointers, context)


def _emit_trips(e: Emitter, loop: Loop, schedule: ControlUnit, pointers: dict[str, str], context: _Context,
                rows: Rows | None = None) -> None:
    """All trips. Each has a barrier at its end, unless a thread has its own ``rows``."""
    step = context.step
    slices = [*zip(step.program.inputs[loop.consts + loop.carries:], loop.xs), *zip(step.program.outputs[loop.carries:], loop.ys)]
    stops = (lambda _: context.stopped()) if context.lasts else None
    own = context.share(rows.count) if rows else ("", "")
    with e.reduce_loop("trip", "0", str(loop.trips), 1, [], stops) as (trip, _, _):
        place = e.let(f"sub i64 {(loop.trips or 0) - 1}, {trip}", "place") if loop.reverse else trip
        for number, name in slices:
            offset = e.mul(place, str(step.program.buffers[number].type.nbytes))
            context.pointers[number] = e.let(f"getelementptr i8, ptr {pointers[name]}, i64 {offset}", "slice")
        if rows is not None:
            for number, share in enumerate(rows.shares):
                context.call_rows(number, share, *own)
            return
        _emit_statements(e, context, step.body)
        _meet(e, schedule)


def _emit_starts(e: Emitter, loop: Loop, schedule: ControlUnit, pointers: dict[str, str], context: _Context) -> None:
    """Carries are copied to where they end, each thread its part, unless they begin there."""
    for (start, end), unit in zip(loop.carried, schedule.starts):
        apart = e.let(f"icmp ne ptr {pointers[start]}, {pointers[end]}", "apart")
        with e.when(apart, "start"):
            begin, stop = context.share(unit.items)
            e.line(f"call void {unit.function}(ptr {pointers[start]}, ptr {pointers[end]}, ptr %panels, ptr %local, "
                   f"i64 {begin}, i64 {stop})")
    _meet(e, schedule)


def _emit_while(e: Emitter, context: _Context, schedule: ControlUnit, condition: str) -> None:
    """All threads have looked at the condition before any goes on: the body writes it."""
    head, body, done = (e.label(f"while.{part}") for part in ("head", "body", "done"))
    e.jump(head)
    e.block(head)
    more = e.let(f"load i8, ptr {condition}, align 1", "more")
    _meet(e, schedule)
    wanted = e.let(f"icmp ne i8 {more}, 0", "wanted")
    e.branch(e.let(f"and i1 {wanted}, {context.goes_on()}", "goes_on") if context.lasts else wanted, body, done)
    e.block(body)
    _emit_statements(e, context, context.step.body)
    _meet(e, schedule)
    e.jump(head)
    e.block(done)


def _emit_branch(e: Emitter, branch: Branch, schedule: ControlUnit, pointers: dict[str, str], lasts: bool) -> None:
    """Below 0 the first choice, above their number the last one."""
    number = e.let(f"load i32, ptr {pointers[branch.index]}, align 4", "number")
    last = len(schedule.bodies) - 1
    for n, step in enumerate(schedule.bodies):
        tests = {0: f"icmp sle i32 {number}, 0", last: f"icmp sge i32 {number}, {last}"}
        test = "icmp eq i1 true, true" if last == 0 else tests.get(n, f"icmp eq i32 {number}, {n}")
        with e.when(e.let(test, "chosen"), "choice"):
            context = _body_context(e, step, pointers[branch.workspace], lasts)
            for buffer, name in zip((*step.program.inputs, *step.program.outputs), (*branch.takes, *branch.gives)):
                context.pointers[buffer] = pointers[name]
            _emit_statements(e, context, step.body)


def _meet(e: Emitter, schedule: ControlUnit) -> None:
    if schedule.parallel:
        meet(e)
