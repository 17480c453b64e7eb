"""Native code around a step: the worker loop of the thread pool, the barrier, denormal flushing. LLVM text.

Waiting spins for some microseconds, then sleeps on a futex through the address of libc's ``syscall`` (null: it keeps
spinning), so that threads beyond the number of cores do not hold the others up.
"""

from __future__ import annotations

from leptonc import abi
from leptonc.codegen.llvm.emitter import Emitter
from leptonc.codegen.support.binding import binding_text
from leptonc.codegen.support.signals import poll_text
from leptonc.target import Target

FLUSH_BITS = 0x8040  # MXCSR: flush to zero, denormals are zero


def _pause(target: Target) -> str:
    return "call void @llvm.x86.sse2.pause()" if target.triple.startswith("x86_64") else ""


def _wait_function(target: Target) -> str:
    """``@wait(address, old, syscall, spins)``: return once *address != old (or on a spurious wake-up, rechecked).

    Who sleeps counts itself first, and the kernel looks at the word once more before it puts a thread to sleep; who changes the
    word looks at the count after that. So either the count is seen, or the change is.
    """
    return f"""
define internal void @wait(ptr %address, i32 %old, ptr %syscall, i32 %spins) {{
entry:
  %sleepers = getelementptr i8, ptr %address, i64 {abi.SLEEPERS}
  br label %spin
spin:
  %n = phi i32 [ 0, %entry ], [ %n.next, %again ]
  %now = load atomic i32, ptr %address acquire, align 4
  %changed = icmp ne i32 %now, %old
  br i1 %changed, label %done, label %count
count:
  {_pause(target)}
  %n.next = add i32 %n, 1
  %patient = icmp ult i32 %n.next, %spins
  br i1 %patient, label %again, label %tired
again:
  br label %spin
tired:
  %none = icmp eq ptr %syscall, null
  br i1 %none, label %restart, label %sleep
sleep:
  %asleep = atomicrmw add ptr %sleepers, i32 1 seq_cst, align 4
  %r = call i64 (i64, ...) %syscall(i64 {abi.SYS_FUTEX}, ptr %address, i64 {abi.FUTEX_WAIT_PRIVATE}, i32 %old,
       ptr null, ptr null, i64 0)
  %awake = atomicrmw sub ptr %sleepers, i32 1 seq_cst, align 4
  br label %restart
restart:
  %later = load atomic i32, ptr %address acquire, align 4
  %moved = icmp ne i32 %later, %old
  br i1 %moved, label %done, label %tired
done:
  ret void
}}

define internal void @wake(ptr %address, ptr %syscall) {{
entry:
  %sleepers = getelementptr i8, ptr %address, i64 {abi.SLEEPERS}
  fence seq_cst
  %asleep = load atomic i32, ptr %sleepers seq_cst, align 4
  %nobody = icmp eq i32 %asleep, 0
  %spinning = icmp eq ptr %syscall, null
  %none = or i1 %nobody, %spinning
  br i1 %none, label %done, label %call
call:
  %r = call i64 (i64, ...) %syscall(i64 {abi.SYS_FUTEX}, ptr %address, i64 {abi.FUTEX_WAKE_PRIVATE}, i32 2147483647,
       ptr null, ptr null, i64 0)
  br label %done
done:
  ret void
}}
"""


def _declarations(target: Target) -> str:
    return "declare void @llvm.x86.sse2.pause()\n" if target.triple.startswith("x86_64") else ""


def meet(e: Emitter) -> None:
    """Call ``@barrier(ctx)``: a thread that is alone goes on, others go to ``leptonc_barrier``, which all programs share: to
    compile it with each would take longer than the kernels of a small one."""
    e.functions.setdefault("barrier", f"""
define internal void @barrier(ptr %ctx) {{
entry:
  %at.threads = getelementptr i8, ptr %ctx, i64 {abi.CONTEXT_NTHREADS}
  %threads = load i64, ptr %at.threads, align 8
  %alone = icmp eq i64 %threads, 1
  br i1 %alone, label %done, label %meet
meet:
  %at.shared = getelementptr i8, ptr %ctx, i64 {abi.CONTEXT_SHARED}
  %shared = load ptr, ptr %at.shared, align 8
  %at.barrier = getelementptr i8, ptr %shared, i64 {abi.SHARED_BARRIER}
  %barrier = load ptr, ptr %at.barrier, align 8
  call void %barrier(ptr %ctx)
  br label %done
done:
  ret void
}}
""")
    e.line("call void @barrier(ptr %ctx)")


def _barrier() -> str:
    """``leptonc_barrier(ctx)``: returns when all threads of the step have called it, or the step is to stop. The last to arrive
    opens it.

    Who stops the step says so first and then changes the generation: a thread that read the one before sees it change."""
    return f"""
define void @leptonc_barrier(ptr %ctx) {{
entry:
  %at.threads = getelementptr i8, ptr %ctx, i64 {abi.CONTEXT_NTHREADS}
  %threads = load i64, ptr %at.threads, align 8
  %at.shared = getelementptr i8, ptr %ctx, i64 {abi.CONTEXT_SHARED}
  %shared = load ptr, ptr %at.shared, align 8
  %arrived = getelementptr i8, ptr %shared, i64 {abi.SHARED_ARRIVED}
  %generation = getelementptr i8, ptr %shared, i64 {abi.SHARED_GENERATION}
  %at.syscall = getelementptr i8, ptr %shared, i64 {abi.SHARED_SYSCALL}
  %syscall = load ptr, ptr %at.syscall, align 8
  %at.spins = getelementptr i8, ptr %shared, i64 {abi.SHARED_SPINS}
  %spins = load i32, ptr %at.spins, align 4
  %old = load atomic i32, ptr %generation acquire, align 4
  %at.stop = getelementptr i8, ptr %shared, i64 {abi.SHARED_STOP}
  %stop = load atomic i32, ptr %at.stop seq_cst, align 4
  %stops = icmp ne i32 %stop, 0
  br i1 %stops, label %done, label %count
count:
  %before = atomicrmw add ptr %arrived, i32 1 acq_rel, align 4
  %total = trunc i64 %threads to i32
  %last = sub i32 %total, 1
  %is.last = icmp eq i32 %before, %last
  br i1 %is.last, label %open, label %stay
open:
  store atomic i32 0, ptr %arrived monotonic, align 4
  %opened = atomicrmw add ptr %generation, i32 1 acq_rel, align 4
  call void @wake(ptr %generation, ptr %syscall)
  br label %done
stay:
  call void @wait(ptr %generation, i32 %old, ptr %syscall, i32 %spins)
  br label %done
done:
  ret void
}}
"""


def support_module(target: Target) -> str:
    """The functions that serve every program: the thread pool's, and ``leptonc_bind``.

    ``leptonc_worker(pool)`` takes the next worker's number and serves jobs as long as the process lives;
    ``leptonc_run(pool, function, contexts, threads)`` posts a job, does thread 0's part, and waits for the others;
    ``leptonc_repeat`` does so many times, the argument table moved on in between. Both return 0, with nothing done, if the pool
    has fewer threads (that of a process forked between a call's lines has none), or while a signal handler runs within a job.
    One job at a time: who posts one waits for that before it, here and not in Python, where an exception, a signal handler or
    a fork may come between any two lines. A job's number and thread count are one atomic word, so a worker left out of one job
    cannot mistake the next one's count for it.
    """
    head = f'target triple = "{target.triple}"'
    return "\n".join([head, _declarations(target), _wait_function(target), _barrier(), _worker(), _post(), _run(), _repeat(),
                      poll_text(target), binding_text()])


def _worker() -> str:
    return f"""
define void @leptonc_worker(ptr %pool) {{
entry:
  %job = getelementptr i8, ptr %pool, i64 {abi.POOL_JOB}
  ; a job that includes this thread is posted by who has seen its number taken, so after this look
  %posted.first = load atomic i64, ptr %job seq_cst, align 8
  %seen.first = trunc i64 %posted.first to i32
  %workers = getelementptr i8, ptr %pool, i64 {abi.POOL_WORKERS}
  %served = atomicrmw add ptr %workers, i32 1 seq_cst, align 4
  %number = add i32 %served, 1
  %tid = zext i32 %number to i64
  %done = getelementptr i8, ptr %pool, i64 {abi.POOL_DONE}
  %at.function = getelementptr i8, ptr %pool, i64 {abi.POOL_FUNCTION}
  %at.contexts = getelementptr i8, ptr %pool, i64 {abi.POOL_CONTEXTS}
  %at.syscall = getelementptr i8, ptr %pool, i64 {abi.POOL_SYSCALL}
  %syscall = load ptr, ptr %at.syscall, align 8
  %at.spins = getelementptr i8, ptr %pool, i64 {abi.POOL_SPINS}
  br label %idle
idle:
  %seen = phi i32 [ %seen.first, %entry ], [ %now, %skip ], [ %now, %finish ]
  %spins = load i32, ptr %at.spins, align 4
  call void @wait(ptr %job, i32 %seen, ptr %syscall, i32 %spins)
  %posted = load atomic i64, ptr %job acquire, align 8
  %now = trunc i64 %posted to i32
  %threads = lshr i64 %posted, 32
  %mine = icmp slt i64 %tid, %threads
  br i1 %mine, label %work, label %skip
skip:
  br label %idle
work:
  %function = load ptr, ptr %at.function, align 8
  %contexts = load ptr, ptr %at.contexts, align 8
  %offset = mul i64 %tid, {abi.CONTEXT_BYTES}
  %context = getelementptr i8, ptr %contexts, i64 %offset
  call void %function(ptr %context)
  %before = atomicrmw add ptr %done, i32 1 acq_rel, align 4
  %others = sub i64 %threads, 2
  %others32 = trunc i64 %others to i32
  %last = icmp eq i32 %before, %others32
  br i1 %last, label %report, label %finish
report:
  call void @wake(ptr %done, ptr %syscall)
  br label %finish
finish:
  br label %idle
}}
"""


def _post() -> str:
    return """
define internal void @post(ptr %job, i64 %threads) {
entry:
  %old = load atomic i64, ptr %job monotonic, align 8
  %number = trunc i64 %old to i32
  %next = add i32 %number, 1
  %low = zext i32 %next to i64
  %high = shl i64 %threads, 32
  %new = or i64 %high, %low
  store atomic i64 %new, ptr %job release, align 8
  ret void
}
"""


def _run() -> str:
    return f"""
define i64 @leptonc_run(ptr %pool, ptr %function, ptr %contexts, i64 %threads) {{
entry:
  %done = getelementptr i8, ptr %pool, i64 {abi.POOL_DONE}
  %at.syscall = getelementptr i8, ptr %pool, i64 {abi.POOL_SYSCALL}
  %syscall = load ptr, ptr %at.syscall, align 8
  %busy = getelementptr i8, ptr %pool, i64 {abi.POOL_BUSY}
  %at.spins = getelementptr i8, ptr %pool, i64 {abi.POOL_SPINS}
  %alone = icmp eq i64 %threads, 1
  %others = sub i64 %threads, 1
  br i1 %alone, label %single, label %crew
single:
  call void %function(ptr %contexts)
  ret i64 1
crew:
  %at.workers = getelementptr i8, ptr %pool, i64 {abi.POOL_WORKERS}
  %workers = load atomic i32, ptr %at.workers acquire, align 4
  %workers64 = zext i32 %workers to i64
  %enough = icmp uge i64 %workers64, %others
  %at.asking = getelementptr i8, ptr %pool, i64 {abi.POOL_ASKING}
  %asking = load atomic i32, ptr %at.asking seq_cst, align 4
  %calm = icmp eq i32 %asking, 0
  %free = and i1 %enough, %calm
  br i1 %free, label %take, label %refuse
refuse:
  ret i64 0
take:
  %tried = cmpxchg ptr %busy, i32 0, i32 1 acquire monotonic, align 4
  %taken = extractvalue {{ i32, i1 }} %tried, 1
  br i1 %taken, label %post, label %queue
queue:
  %spins.queue = load i32, ptr %at.spins, align 4
  call void @wait(ptr %busy, i32 1, ptr %syscall, i32 %spins.queue)
  br label %take
post:
  %at.function = getelementptr i8, ptr %pool, i64 {abi.POOL_FUNCTION}
  store ptr %function, ptr %at.function, align 8
  %at.contexts = getelementptr i8, ptr %pool, i64 {abi.POOL_CONTEXTS}
  store ptr %contexts, ptr %at.contexts, align 8
  store atomic i32 0, ptr %done release, align 4
  %job = getelementptr i8, ptr %pool, i64 {abi.POOL_JOB}
  call void @post(ptr %job, i64 %threads)
  call void @wake(ptr %job, ptr %syscall)
  call void %function(ptr %contexts)
  %others32 = trunc i64 %others to i32
  br label %collect
collect:
  %count = load atomic i32, ptr %done acquire, align 4
  %all = icmp eq i32 %count, %others32
  br i1 %all, label %leave, label %more
more:
  %still = load atomic i32, ptr %at.workers acquire, align 4
  %lost = icmp ult i32 %still, %others32
  br i1 %lost, label %leave, label %stay
stay:
  %spins = load i32, ptr %at.spins, align 4
  call void @wait(ptr %done, i32 %count, ptr %syscall, i32 %spins)
  br label %collect
leave:
  store atomic i32 0, ptr %busy release, align 4
  call void @wake(ptr %busy, ptr %syscall)
  ret i64 1
}}
"""


# Every job's arguments from the last one's: places in the table that move on by a step ...
_MOVES = """move:
  %k = phi i64 [ 0, %run ], [ %k.next, %move.one ]
  %moved = icmp eq i64 %k, %nmoves
  br i1 %moved, label %take, label %move.one
move.one:
  %k.twice = shl i64 %k, 1
  %place.at = getelementptr i64, ptr %moves, i64 %k.twice
  %place = load i64, ptr %place.at, align 8
  %step.at = getelementptr i64, ptr %place.at, i64 1
  %step = load i64, ptr %step.at, align 8
  %arg.at = getelementptr i64, ptr %args, i64 %place
  %arg = load i64, ptr %arg.at, align 8
  %arg.next = add i64 %arg, %step
  store i64 %arg.next, ptr %arg.at, align 8
  %k.next = add i64 %k, 1
  br label %move
"""
# ... and those that take what others held: first into the room, then where they belong.
_SWAPS = """take:
  %t = phi i64 [ 0, %move ], [ %t.next, %take.one ]
  %taken = icmp eq i64 %t, %nswaps
  br i1 %taken, label %put, label %take.one
take.one:
  %source.at = getelementptr i64, ptr %sources, i64 %t
  %source = load i64, ptr %source.at, align 8
  %held.at = getelementptr i64, ptr %args, i64 %source
  %held = load i64, ptr %held.at, align 8
  %room.at = getelementptr i64, ptr %room, i64 %t
  store i64 %held, ptr %room.at, align 8
  %t.next = add i64 %t, 1
  br label %take
put:
  %p = phi i64 [ 0, %take ], [ %p.next, %put.one ]
  %all = icmp eq i64 %p, %nswaps
  br i1 %all, label %job, label %put.one
put.one:
  %from.at = getelementptr i64, ptr %room, i64 %p
  %from = load i64, ptr %from.at, align 8
  %target.at = getelementptr i64, ptr %swaps, i64 %p
  %target = load i64, ptr %target.at, align 8
  %to.at = getelementptr i64, ptr %args, i64 %target
  store i64 %from, ptr %to.at, align 8
  %p.next = add i64 %p, 1
  br label %put
"""


def _repeat() -> str:
    """``moves``: pairs of a place in the argument table and what is added there after each job. ``swaps``: places that take
    what other places held, then those, then room for as many words."""
    return f"""
define i64 @leptonc_repeat(ptr %pool, ptr %function, ptr %contexts, i64 %threads, i64 %count, ptr %args,
    ptr %moves, i64 %nmoves, ptr %swaps, i64 %nswaps) {{
entry:
  %sources = getelementptr i64, ptr %swaps, i64 %nswaps
  %room = getelementptr i64, ptr %sources, i64 %nswaps
  br label %job
job:
  %n = phi i64 [ 0, %entry ], [ %n.next, %put ]
  %finished = icmp eq i64 %n, %count
  br i1 %finished, label %leave, label %run
run:
  %ran = call i64 @leptonc_run(ptr %pool, ptr %function, ptr %contexts, i64 %threads)
  %n.next = add i64 %n, 1
  %did = icmp ne i64 %ran, 0
  br i1 %did, label %move, label %refuse
{_MOVES}{_SWAPS}leave:
  ret i64 1
refuse:
  ret i64 0
}}
"""


def denormal_prologue(e: Emitter) -> str:
    """Flush denormals from here on; returns the register that holds the caller's state."""
    slot = e.let("alloca i32, align 4", "mxcsr")
    e.call("void @llvm.x86.sse.stmxcsr(ptr)", f"ptr {slot}")
    saved = e.let(f"load i32, ptr {slot}, align 4", "saved")
    flushing = e.let(f"or i32 {saved}, {FLUSH_BITS}", "flushing")
    e.line(f"store i32 {flushing}, ptr {slot}, align 4")
    e.call("void @llvm.x86.sse.ldmxcsr(ptr)", f"ptr {slot}")
    e.line(f"store i32 {saved}, ptr {slot}, align 4")
    return slot


def denormal_epilogue(e: Emitter, slot: str) -> None:
    """Give the caller its floating-point state back."""
    e.call("void @llvm.x86.sse.ldmxcsr(ptr)", f"ptr {slot}")
