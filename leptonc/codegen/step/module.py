"""The module of a Program: its units, and ``step(ctx)`` that every thread runs from end to end.

Threads take static parts of each unit's items. A barrier stands only where a unit touches memory that another thread
may have written or may still read; units too small to share run on thread 0, and need no barrier between them. Where
``codegen/step/interleave.py`` finds that units can go block by block, they do, if there are blocks enough for the threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import gcd

from leptonc import abi
from leptonc.codegen.llvm.emitter import Emitter
from leptonc.codegen.loops.schedule import SERIAL_COST
from leptonc.codegen.step.interleave import Region, Run, Touch, grouped
from leptonc.codegen.step.units import Functions, Unit
from leptonc.codegen.support.threads import barrier_text, denormal_epilogue, denormal_prologue
from leptonc.ir.graph import Loc
from leptonc.ir.kernel import Call, Program
from leptonc.memory import aligned
from leptonc.target import Target


@dataclass(frozen=True)
class Module:
    """LLVM text with what the runtime must provide. ``schedule`` says in words how each unit runs."""

    text: str
    entry: str
    arena_bytes: int
    local_bytes: int
    parallel: bool
    schedule: str
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Part:
    """A unit of one call as a function ``name(ctx)`` of its own, for measurements; ``loc`` is the user's line."""

    name: str
    unit: Unit
    loc: Loc | None


@dataclass
class Pending:
    """What was touched since the last barrier, by parallel and by serial units apart."""

    parallel: list[Touch] = field(default_factory=list)
    serial: list[Touch] = field(default_factory=list)

    def conflicts(self, touched: Iterable[Touch], serial: bool) -> bool:
        """Serial units follow each other on one thread, so only parallel ones before them matter."""
        earlier = self.parallel if serial else self.parallel + self.serial
        return any(a.conflicts(b) for a in touched for b in earlier)


@dataclass(frozen=True)
class Placed:
    """A unit of one call, with the memory it touches."""

    unit: Unit
    args: tuple[int, ...]
    touched: tuple[Touch, ...]
    serial: bool
    loc: Loc | None

    def run(self, number: int) -> Run:
        lead = self.unit.lead
        return Run(self.touched, lead.count if lead and not self.serial else 0, number)


def emit_program(program: Program, target: Target, entry: str = "step", parts: bool = False) -> Module:
    """LLVM text of the whole program; with ``parts``, every unit is a function ``part.<n>(ctx)`` of its own as well."""
    functions = Functions(target)
    panels_at = aligned(program.arena_bytes)
    placed = [p for call in program.calls
              for p in _place(program, functions.units(call.kernel), call, panels_at)]
    arena = panels_at + max((p.unit.panel_bytes for p in placed), default=0)
    local = max((p.unit.local_bytes for p in placed), default=0)
    groups = [tuple(placed[run.number] for run in group.members) for group in grouped([p.run(n) for n, p in enumerate(placed)])]
    bodies = {entry: _step_body(program, functions, groups, panels_at)}
    if parts:
        bodies |= {f"part.{n}": _step_body(program, functions, [(p,)], panels_at) for n, p in enumerate(placed)}
    text = [f'target triple = "{target.triple}"', ""]
    text += [f"{name} = {definition}" for name, definition in functions.globals.items()]
    text += ["", barrier_text(target), *functions.helpers.values(), *functions.text]
    for name, body in bodies.items():
        text += [f"define void @{name}(ptr %ctx) {{", "entry:", *body.lines, "  ret void", "}", ""]
    text += sorted(functions.declarations)
    schedule = "\n".join(line for group in groups for line in _describe(group))
    return Module("\n".join(text) + "\n", entry, arena, local, any(not p.serial for p in placed), schedule,
                  tuple(Part(f"part.{n}", p.unit, p.loc) for n, p in enumerate(placed)) if parts else ())


def _describe(group: Sequence[Placed]) -> list[str]:
    how = f"in {_blocks(group)} blocks, all of these in each" if len(group) > 1 else "serial" if group[0].serial else "parallel"
    return [f"{p.unit.function}: {how} {p.unit.description}" for p in group]


def _blocks(group: Sequence[Placed]) -> int:
    return gcd(*(p.unit.lead.count for p in group if p.unit.lead))


def _place(program: Program, units: tuple[Unit, ...], call: Call, panels_at: int) -> list[Placed]:
    out = []
    for unit in units:
        by_name = {p.name: call.args[n] for n, p in enumerate(unit.kernel.params)}
        rows = unit.lead.rows if unit.lead else frozenset()
        touched = [Touch(_region(program, by_name, name, panels_at), write, name in rows)
                   for names, write in ((unit.reads, False), (unit.writes, True)) for name in sorted(names)]
        serial = unit.items < 2 or unit.cost < SERIAL_COST
        out.append(Placed(unit, call.args, tuple(touched), serial, call.loc))
    return out


def _region(program: Program, by_name: dict[str, int], name: str, panels_at: int) -> Region:
    if name == "":
        return Region("arena", panels_at, 1 << 62)
    number = by_name[name]
    buffer = program.buffers[number]
    if buffer.kind == "temp":
        assert buffer.offset is not None, "the memory planner has not run"
        return Region("arena", buffer.offset, buffer.offset + max(buffer.type.nbytes, 1))
    return Region(f"b{buffer.donated if buffer.donated is not None else number}")


def _step_body(program: Program, functions: Functions, groups: Sequence[tuple[Placed, ...]], panels_at: int) -> Emitter:
    e = functions.emitter()
    saved = denormal_prologue(e)
    context = _Context(e, program, panels_at)
    pending, alone = Pending(), list[Placed]()
    for group in groups:
        if len(group) == 1:
            alone += group
            continue
        pending, alone = _emit_alone(e, context, alone, pending), []
        pending = _emit_group(e, context, group, pending)
    _emit_alone(e, context, alone, pending)
    denormal_epilogue(e, saved)
    return e


def _emit_group(e: Emitter, context: _Context, group: tuple[Placed, ...], pending: Pending) -> Pending:
    """Units block by block if the threads' shares are nearly even then, else one after the other."""
    touched = [touch for placed in group for touch in placed.touched]
    if pending.conflicts(touched, False):
        e.line("call void @barrier(ptr %ctx)")
        pending = Pending()
    blocks = _blocks(group)
    even = context.shares_evenly(blocks)
    with e.when(even, "blocks"):
        begin, end = context.share(blocks)
        with e.loop("block", begin, end) as block:
            for placed in group:
                context.call_block(placed, block, blocks)
    with e.when(e.let(f"xor i1 {even}, true", "uneven"), "whole"):
        _emit_alone(e, context, list(group), Pending())
    return Pending([*pending.parallel, *touched], pending.serial)


def _emit_alone(e: Emitter, context: _Context, placed: list[Placed], pending: Pending) -> Pending:
    """Units one after the other, with barriers where they must be; returns what was touched since the last one."""
    position = 0
    while position < len(placed):
        if pending.conflicts(placed[position].touched, placed[position].serial):
            e.line("call void @barrier(ptr %ctx)")
            pending = Pending()
        position = _emit_run(e, context, placed, position, pending)
    return pending


def _emit_run(e: Emitter, context: _Context, placed: list[Placed], position: int, pending: Pending) -> int:
    """One parallel unit, or as many serial ones as follow each other without a barrier; returns the next position."""
    first = placed[position]
    if not first.serial:
        context.call(first, parallel=True)
        pending.parallel += first.touched
        return position + 1
    with e.when(context.is_first, "serial"):
        while position < len(placed) and placed[position].serial:
            here = placed[position]
            if pending.conflicts(here.touched, True):
                break
            context.call(here, parallel=False)
            pending.serial += here.touched
            position += 1
    return position


class _Context:
    """What step reads of its context once: thread numbers and the addresses of all buffers."""

    def __init__(self, e: Emitter, program: Program, panels_at: int):
        self.e = e
        self.program = program
        args = self._field(abi.CONTEXT_ARGS, "args")
        self.arena = self._field(abi.CONTEXT_ARENA, "arena")
        self.local = self._field(abi.CONTEXT_WORKSPACE, "local")
        self.tid = self._field(abi.CONTEXT_TID, "tid", "i64")
        self.nthreads = self._field(abi.CONTEXT_NTHREADS, "nthreads", "i64")
        self.is_first = e.let(f"icmp eq i64 {self.tid}, 0", "first")
        self.panels = e.let(f"getelementptr i8, ptr {self.arena}, i64 {panels_at}", "panels")
        self.pointers = self._table(args)

    def _field(self, offset: int, hint: str, type_: str = "ptr") -> str:
        at = self.e.let(f"getelementptr i8, ptr %ctx, i64 {offset}", "field")
        return self.e.let(f"load {type_}, ptr {at}, align 8", hint)

    def _table(self, args: str) -> dict[int, str]:
        """A pointer per buffer: from the argument table (inputs, outputs, constants), or into the arena."""
        pointers: dict[int, str] = {}
        program, e = self.program, self.e
        constants = [n for n, b in enumerate(program.buffers) if b.kind == "constant"]
        for slot, number in enumerate([*program.inputs, *program.outputs, *constants]):
            at = e.let(f"getelementptr ptr, ptr {args}, i64 {slot}", "slot")
            pointers[number] = e.let(f"load ptr, ptr {at}, align 8", f"buffer{number}_")
        for number, buffer in enumerate(program.buffers):
            if buffer.kind == "temp":
                pointers[number] = e.let(f"getelementptr i8, ptr {self.arena}, i64 {buffer.offset}", f"buffer{number}_")
        return pointers

    def share(self, items: int) -> tuple[str, str]:
        """The thread's part of so many items."""
        e = self.e
        scaled = e.mul(self.tid, str(items))
        begin = e.let(f"udiv i64 {scaled}, {self.nthreads}", "begin")
        following = e.add(scaled, str(items))
        return begin, e.let(f"udiv i64 {following}, {self.nthreads}", "end")

    def shares_evenly(self, items: int) -> str:
        """Whether no thread's part is more than an eighth longer than the mean."""
        e = self.e
        longest = e.let(f"udiv i64 {e.add(self.nthreads, str(items - 1))}, {self.nthreads}", "longest")
        total = e.mul(e.mul(longest, self.nthreads), "8")
        return e.let(f"icmp ule i64 {total}, {items * 9}", "even")

    def call(self, placed: Placed, parallel: bool) -> None:
        self._call(placed, *(self.share(placed.unit.items) if parallel else ("0", str(placed.unit.items))))

    def call_block(self, placed: Placed, block: str, blocks: int) -> None:
        each = placed.unit.items // blocks
        begin = self.e.mul(block, str(each))
        self._call(placed, begin, self.e.add(begin, str(each)))

    def _call(self, placed: Placed, begin: str, end: str) -> None:
        e, unit = self.e, placed.unit
        pointers = "".join(f"ptr {self.pointers[n]}, " for n in placed.args)
        e.line(f"call void {unit.function}({pointers}ptr {self.panels}, ptr {self.local}, i64 {begin}, i64 {end})")
