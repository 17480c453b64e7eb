"""Loops and branches of a step: functions that threads go through alone or together."""

from __future__ import annotations

from leptonc.codegen.llvm.emitter import Emitter
from leptonc.codegen.step.context import Context, emit_statements
from leptonc.codegen.step.step import (
    ControlUnit,
    Rows,
    Step,
    Unit,
)
from leptonc.codegen.support.threads import meet
from leptonc.ir.control import Branch, Control, Loop


def emit_control(e: Emitter, unit: Unit, schedule: ControlUnit, lasts: bool) -> None:
    pointers = {p.name: f"%p{n}" for n, p in enumerate(unit.kernel.params)}
    if isinstance(unit.kernel, Loop):
        _emit_loop(e, unit.kernel, schedule, pointers, lasts)
    elif isinstance(unit.kernel, Branch):
        _emit_branch(e, unit.kernel, schedule, pointers, lasts)


def _body_context(e: Emitter, step: Step, workspace: str, lasts: bool) -> Context:
    context = Context(e, step, "%panels", "%local", "%tid", "%nthreads", lasts)
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
    context.place_in_inputs(range(len(step.program.buffers)))
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


def _emit_trips(e: Emitter, loop: Loop, schedule: ControlUnit, pointers: dict[str, str], context: Context,
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
        emit_statements(e, context, step.body)
        _meet(e, schedule)


def _emit_starts(e: Emitter, control: Control, schedule: ControlUnit, pointers: dict[str, str], context: Context) -> None:
    """Carries, and what a branch updates, are copied to where they end, each thread its part, unless they begin there."""
    for (start, end), unit in zip(control.carried, schedule.starts):
        apart = e.let(f"icmp ne ptr {pointers[start]}, {pointers[end]}", "apart")
        with e.when(apart, "start"):
            begin, stop = context.share(unit.items)
            e.line(f"call void {unit.function}(ptr {pointers[start]}, ptr {pointers[end]}, ptr %panels, ptr %local, "
                   f"i64 {begin}, i64 {stop})")
    _meet(e, schedule)


def _emit_while(e: Emitter, context: Context, schedule: ControlUnit, condition: str) -> None:
    """All threads have looked at the condition before any goes on: the body writes it."""
    head, body, done = (e.label(f"while.{part}") for part in ("head", "body", "done"))
    e.jump(head)
    e.block(head)
    more = e.let(f"load i8, ptr {condition}, align 1", "more")
    _meet(e, schedule)
    wanted = e.let(f"icmp ne i8 {more}, 0", "wanted")
    e.branch(e.let(f"and i1 {wanted}, {context.goes_on()}", "goes_on") if context.lasts else wanted, body, done)
    e.block(body)
    emit_statements(e, context, context.step.body)
    _meet(e, schedule)
    e.jump(head)
    e.block(done)


def _emit_branch(e: Emitter, branch: Branch, schedule: ControlUnit, pointers: dict[str, str], lasts: bool) -> None:
    """Below 0 the first choice, above their number the last one."""
    number = e.let(f"load i32, ptr {pointers[branch.index]}, align 4", "number")
    last = len(schedule.bodies) - 1
    if branch.updates:
        _emit_starts(e, branch, schedule, pointers, Context(e, schedule.bodies[0], "%panels", "%local", "%tid", "%nthreads", lasts))
    ends = {source: branch.gives[result] for source, result in branch.updates}
    for n, step in enumerate(schedule.bodies):
        tests = {0: f"icmp sle i32 {number}, 0", last: f"icmp sge i32 {number}, {last}"}
        test = "icmp eq i1 true, true" if last == 0 else tests.get(n, f"icmp eq i32 {number}, {n}")
        with e.when(e.let(test, "chosen"), "choice"):
            context = _body_context(e, step, pointers[branch.workspace], lasts)
            for n, (buffer, name) in enumerate(zip(step.program.inputs, branch.takes)):
                context.pointers[buffer] = pointers[ends.get(n, name)]
            for buffer, name in zip(step.program.outputs, branch.gives):
                context.pointers[buffer] = pointers[name]
            context.place_in_inputs(range(len(step.program.buffers)))
            emit_statements(e, context, step.body)


def _meet(e: Emitter, schedule: ControlUnit) -> None:
    if schedule.parallel:
        meet(e)
