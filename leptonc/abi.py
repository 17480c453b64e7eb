"""The structs that generated code and the runtime share, as byte offsets. A leaf module: one source for both sides."""

from __future__ import annotations

# Context: one for each thread
CONTEXT_ARGS = 0  # ptr: table of buffer addresses (inputs, outputs, constants)
CONTEXT_ARENA = 8  # ptr: intermediates, shared by all threads
CONTEXT_WORKSPACE = 16  # ptr: scratch of this thread
CONTEXT_SHARED = 24  # ptr: Shared
CONTEXT_TID = 32  # i64
CONTEXT_NTHREADS = 40  # i64
CONTEXT_BYTES = 64

# Shared: the barrier of one executable; counters lie on cache lines of their own
SHARED_ARRIVED = 0  # i32: threads that have reached the barrier
SHARED_GENERATION = 64  # i32: barriers passed; threads wait for it to change
SHARED_SYSCALL = 128  # ptr: libc's syscall, or null (then waiting is spinning)
SHARED_SPINS = 136  # i32: looks at the generation before a waiting thread sleeps
SHARED_BYTES = 192

# Pool: how work reaches the worker threads
POOL_JOB = 0  # i64: jobs posted in the low half (the futex), threads of the job, caller included, in the high half
POOL_DONE = 64  # i32: workers that have finished the job
POOL_FUNCTION = 128  # ptr: void (ptr context)
POOL_CONTEXTS = 136  # ptr: contexts of the job, CONTEXT_BYTES apart
POOL_STOP = 152  # i32: workers return
POOL_SYSCALL = 160  # ptr: libc's syscall, or null
POOL_SPINS = 168  # i32: looks at the job number, or at the count of those done, before a waiting thread sleeps
POOL_BYTES = 192

# A word that threads wait on is followed, this many bytes on, by an i32 that counts those asleep: nobody asleep, no system call
SLEEPERS = 32

# Looks, each with a pause: a millisecond or so if every thread has a core (waking a thread takes a tenth of that, and steps
# follow each other), some microseconds if threads share cores
SPINS_ALONE = 40_000
SPINS_SHARING = 2_000

# Linux x86-64
SYS_FUTEX = 202
FUTEX_WAIT_PRIVATE = 128
FUTEX_WAKE_PRIVATE = 129
