"""Signals in the midst of a long step: native code that has Python's handlers run, and ends the step if one raises. LLVM text.

Python runs handlers in its main thread, between two bytecodes, so a call of native code holds them up. A step that may last looks
at the clock now and then, on thread 0, and every 50 to 100 ms takes the interpreter's lock and has signals handled. If a handler
raises, the step stops: barriers open for good, no kernel begins any more, every thread comes to the end, and what was raised is
raised in Python (``runtime/signals.py``). A kernel that runs when the step stops has all that it reads.
A step that overwrites donated arguments is brought to its end instead, unless a handler raises once more.
"""

from __future__ import annotations

from leptonc import abi
from leptonc.target import Target

PLAIN_MXCSR = 0x1F80  # as every C function expects it


def stopped_text() -> str:
    """``@stopped(ctx, tid)``: whether the step is to end; thread 0 asks for signals if it is time.
    ``@begin(ctx, tid)``: it is not yet."""
    return f"""
define internal i1 @stopped(ptr %ctx, i64 %tid) {{
entry:
  %at.shared = getelementptr i8, ptr %ctx, i64 {abi.CONTEXT_SHARED}
  %shared = load ptr, ptr %at.shared, align 8
  %first = icmp eq i64 %tid, 0
  br i1 %first, label %look, label %read
look:
  %at.time = getelementptr i8, ptr %shared, i64 {abi.SHARED_ASK_AT}
  %time = load i64, ptr %at.time, align 8
  %now = call i64 @llvm.readcyclecounter()
  %early = icmp slt i64 %now, %time
  br i1 %early, label %read, label %due
due:
  %at.poll = getelementptr i8, ptr %shared, i64 {abi.SHARED_POLL}
  %poll = load ptr, ptr %at.poll, align 8
  %none = icmp eq ptr %poll, null
  br i1 %none, label %read, label %ask
ask:
  call void %poll(ptr %ctx)
  %later = call i64 @llvm.readcyclecounter()
  %again = add i64 %later, {abi.ASK_CYCLES}
  store i64 %again, ptr %at.time, align 8
  br label %read
read:
  %at.stop = getelementptr i8, ptr %shared, i64 {abi.SHARED_STOP}
  %stop = load atomic i32, ptr %at.stop monotonic, align 4
  %stops = icmp ne i32 %stop, 0
  ret i1 %stops
}}

define internal void @begin(ptr %ctx, i64 %tid) {{
entry:
  %first = icmp eq i64 %tid, 0
  br i1 %first, label %set, label %done
set:
  %at.shared = getelementptr i8, ptr %ctx, i64 {abi.CONTEXT_SHARED}
  %shared = load ptr, ptr %at.shared, align 8
  %at.time = getelementptr i8, ptr %shared, i64 {abi.SHARED_ASK_AT}
  %now = call i64 @llvm.readcyclecounter()
  %later = add i64 %now, {abi.ASK_CYCLES}
  store i64 %later, ptr %at.time, align 8
  br label %done
done:
  ret void
}}

declare i64 @llvm.readcyclecounter()
"""


def poll_text(target: Target) -> str:
    """``leptonc_poll(ctx)``: have signals handled; set SHARED_STOP if the step is to end. Handlers find the floating-point state
    of any C function. One of them may fork: the child has none of the step's other threads, and can only end it."""
    plain, back, declared = _state_texts(target)
    return declared + f"""
define void @leptonc_poll(ptr %ctx) {{
entry:
  %old.state = alloca i32, align 4
  %plain.state = alloca i32, align 4
  %at.shared = getelementptr i8, ptr %ctx, i64 {abi.CONTEXT_SHARED}
  %shared = load ptr, ptr %at.shared, align 8
  %at.python = getelementptr i8, ptr %shared, i64 {abi.SHARED_PYTHON}
  %python = load ptr, ptr %at.python, align 8
{_field("ensure", abi.PYTHON_ENSURE)}{_field("release", abi.PYTHON_RELEASE)}{_field("check", abi.PYTHON_CHECK)}\
{_field("fetch", abi.PYTHON_FETCH)}{_field("clear", abi.PYTHON_CLEAR)}{_field("pool", abi.PYTHON_POOL)}\
  %asking = getelementptr i8, ptr %pool, i64 {abi.POOL_ASKING}
  %at.threads = getelementptr i8, ptr %ctx, i64 {abi.CONTEXT_NTHREADS}
  %threads = load i64, ptr %at.threads, align 8
{plain}  %lock = call i32 %ensure()
  %before = atomicrmw add ptr %asking, i32 1 seq_cst, align 4
  %answer = call i32 %check()
  %at.workers = getelementptr i8, ptr %pool, i64 {abi.POOL_WORKERS}
  %workers = load atomic i32, ptr %at.workers seq_cst, align 4
  %workers64 = zext i32 %workers to i64
  %crew = add i64 %workers64, 1
  %forked = icmp ult i64 %crew, %threads
  br i1 %forked, label %child, label %parent
child:
  %forked.raised = icmp slt i32 %answer, 0
  br i1 %forked.raised, label %keep, label %stop
parent:
  %after = atomicrmw sub ptr %asking, i32 1 seq_cst, align 4
  %raised = icmp slt i32 %answer, 0
  br i1 %raised, label %keep, label %leave
keep:
  %type = getelementptr i8, ptr %shared, i64 {abi.SHARED_ERROR}
  %held = load ptr, ptr %type, align 8
  %is.first = icmp eq ptr %held, null
  br i1 %is.first, label %hold, label %drop
hold:
  %value = getelementptr i8, ptr %type, i64 8
  %traceback = getelementptr i8, ptr %type, i64 16
  call void %fetch(ptr %type, ptr %value, ptr %traceback)
  %at.patient = getelementptr i8, ptr %shared, i64 {abi.SHARED_PATIENT}
  %patient = load i32, ptr %at.patient, align 4
  %finish = icmp ne i32 %patient, 0
  %goes.on = xor i1 %forked, true
  %ends.well = and i1 %finish, %goes.on
  br i1 %ends.well, label %leave, label %stop
drop:
  call void %clear()
  br label %stop
stop:
  %at.stop = getelementptr i8, ptr %shared, i64 {abi.SHARED_STOP}
  store atomic i32 1, ptr %at.stop seq_cst, align 4
  %generation = getelementptr i8, ptr %shared, i64 {abi.SHARED_GENERATION}
  %opened = atomicrmw add ptr %generation, i32 1 seq_cst, align 4
  %at.syscall = getelementptr i8, ptr %shared, i64 {abi.SHARED_SYSCALL}
  %syscall = load ptr, ptr %at.syscall, align 8
  call void @wake(ptr %generation, ptr %syscall)
  br label %leave
leave:
  call void %release(i32 %lock)
{back}  ret void
}}
"""


def _field(name: str, offset: int) -> str:
    return f"""  %at.{name} = getelementptr i8, ptr %python, i64 {offset}
  %{name} = load ptr, ptr %at.{name}, align 8
"""


def _state_texts(target: Target) -> tuple[str, str, str]:
    """What sets the plain floating-point state, what gives the step its own back, and the declarations of both."""
    if not target.triple.startswith("x86_64"):
        return "", "", ""
    return (f"""  call void @llvm.x86.sse.stmxcsr(ptr %old.state)
  store i32 {PLAIN_MXCSR}, ptr %plain.state, align 4
  call void @llvm.x86.sse.ldmxcsr(ptr %plain.state)
""", "  call void @llvm.x86.sse.ldmxcsr(ptr %old.state)\n",
            "declare void @llvm.x86.sse.stmxcsr(ptr)\ndeclare void @llvm.x86.sse.ldmxcsr(ptr)\n")
