"""The text of a Step: its units as functions, and ``step(ctx)`` that every thread runs from end to end. Takes no decisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from leptonc import abi
from leptonc.codegen.llvm.emitter import Emitter
from leptonc.codegen.step.context import Context, PartContext, emit_statements
from leptonc.codegen.step.functions import Functions
from leptonc.codegen.step.step import (
    Blocks,
    ControlUnit,
    Launch,
    Parallel,
    Serial,
    Statement,
    Step,
    Together,
)
from leptonc.codegen.support.signals import stopped_text
from leptonc.codegen.support.threads import denormal_epilogue, denormal_prologue

SECTION_LAUNCHES, WHOLE_LAUNCHES = 16, 64
"""Launches of a section of a step, and of a step that is one function. (Twelve blocks of a transformer, 883 launches: LLVM took 5.0
seconds for one function.)"""


def emit_step(step: Step, entry: str, parts: bool = False) -> str:
    """LLVM text of the whole step; with ``parts``, every launch is a function ``part.<n>(ctx)`` of its own as well.

    Sections are translated without optimisation: they call what works, with many addresses at hand, and took LLVM a sixth of the
    time of a ResNet-18."""
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
        is_section = name.startswith(f"{entry}.")
        linkage, quick = ("internal ", " noinline optnone") if is_section else ("", "")
        text += [f"define {linkage}void @{name}(ptr %ctx){quick} {{", "entry:", *body.lines, "  ret void", "}", ""]
    text += sorted(functions.declarations)
    return "\n".join(text) + "\n"


def _alone(number: int, launch: Launch) -> tuple[Statement, ...]:
    if launch.serial:
        return (Serial((number,)),)
    return (Together(number) if isinstance(launch.unit.schedule, ControlUnit) else Parallel(number),)


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
    emit_statements(e, context, statements)
    for call in calls:
        e.line(call)
    denormal_epilogue(e, saved)
    return e


def _section(functions: Functions, step: Step, statements: Sequence[Statement], runners: Mapping[str, str]) -> Emitter:
    e = functions.emitter()
    context = _context_of_call(e, step, statements)
    context.runners = runners
    emit_statements(e, context, statements)
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
        PartContext(e, step, "%panels", "%local", "%tid", "%nthreads", step.lasts).call(launches[name], parallel=True)
        pointers = "".join(f"ptr %p{n}, " for n, _ in enumerate(launch.args))
        functions.text.append("\n".join([
            f"define internal void {runner}({pointers}ptr %panels, ptr %local, ptr %ctx, i64 %tid, i64 %nthreads) {{", "entry:",
            *e.lines, "  ret void", "}", ""]))
    return found


def _context_of_call(e: Emitter, step: Step, statements: Sequence[Statement]) -> Context:
    """What a call's context has: thread numbers, and the addresses of the buffers that statements name."""
    def field(offset: int, hint: str, type_: str = "ptr") -> str:
        at = e.let(f"getelementptr i8, ptr %ctx, i64 {offset}", "field")
        return e.let(f"load {type_}, ptr {at}, align 8", hint)

    args, arena = field(abi.CONTEXT_ARGS, "args"), field(abi.CONTEXT_ARENA, "arena")
    local = field(abi.CONTEXT_WORKSPACE, "local")
    tid, nthreads = field(abi.CONTEXT_TID, "tid", "i64"), field(abi.CONTEXT_NTHREADS, "nthreads", "i64")
    panels = e.let(f"getelementptr i8, ptr {arena}, i64 {step.panels_at}", "panels")
    context = Context(e, step, panels, local, tid, nthreads, step.lasts)
    constants = [n for n, b in enumerate(step.program.buffers) if b.kind == "constant"]
    used = {number for launch in _launches(statements) for number in step.launches[launch].args}
    used |= {buffer.donated for n in used if (buffer := step.program.buffers[n]).donated is not None}
    for slot, number in enumerate([*step.program.inputs, *step.program.outputs, *constants]):
        if number not in used:
            continue
        at = e.let(f"getelementptr ptr, ptr {args}, i64 {slot}", "slot")
        context.pointers[number] = e.let(f"load ptr, ptr {at}, align 8", f"buffer{number}_")
    context.place_temporaries(arena, used)
    context.place_in_inputs(used)
    return context
