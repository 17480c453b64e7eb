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
SHARED_BARRIER = 144  # ptr: leptonc_barrier, if there is more than one thread
SHARED_STOP = 192  # i32: 1 if the call is to end as soon as it can: barriers stand open, and no kernel begins any more
SHARED_PATIENT = 196  # i32: 1 if the call should come to its end for all that: it overwrites donated arguments
SHARED_POLL = 200  # ptr: leptonc_poll, or null
SHARED_PYTHON = 208  # ptr: Python
SHARED_ASK_AT = 216  # i64: the cycle from which on thread 0 asks Python for signals
SHARED_ERROR = 224  # three ptrs: type, value and traceback of what a signal handler raised
SHARED_BYTES = 256

# Python: what of its C interface a long step calls, as addresses, and the pool
PYTHON_ENSURE = 0  # PyGILState_Ensure
PYTHON_RELEASE = 8  # PyGILState_Release
PYTHON_CHECK = 16  # PyErr_CheckSignals
PYTHON_FETCH = 24  # PyErr_Fetch
PYTHON_CLEAR = 32  # PyErr_Clear
PYTHON_POOL = 40
PYTHON_BYTES = 48

ASK_CYCLES = 200_000_000  # between two looks for signals: 50 to 100 ms

# Pool: how work reaches the worker threads. Its memory is never freed: they look at it until the process ends
POOL_JOB = 0  # i64: jobs posted in the low half (the futex), threads of the job, caller included, in the high half
POOL_DONE = 64  # i32: workers that have finished the job
POOL_FUNCTION = 128  # ptr: void (ptr context)
POOL_CONTEXTS = 136  # ptr: contexts of the job, CONTEXT_BYTES apart
POOL_WORKERS = 152  # i32: threads that serve the pool; each takes its number here
POOL_SYSCALL = 160  # ptr: libc's syscall, or null
POOL_SPINS = 168  # i32: looks at the job number, or at the count of those done, before a waiting thread sleeps
POOL_BUSY = 192  # i32: 1 while a job runs; who posts the next one waits
POOL_ASKING = 224  # i32: calls that have a signal handler run now; a job posted by one would wait for its own end
POOL_BYTES = 256

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

# What CPython and NumPy keep where, as far as ``leptonc_bind`` reads it; ``runtime/arguments.py`` checks it before it is used
LIST_SIZE = 16  # i64
LIST_ITEMS = 24  # ptr: PyObject*, one after the other
OBJECT_TYPE = 8  # ptr
ARRAY_DATA = 16  # ptr
ARRAY_NDIM = 24  # i32
ARRAY_SHAPE = 32  # ptr: i64 each
ARRAY_DTYPE = 56  # ptr
ARRAY_FLAGS = 64  # i32
DTYPE_WORD = 24  # i64: kind, type character, byte order, flags (a byte each), then the type's number
DTYPE_MASK = ~(0xFF << 24)  # all of it but the flags
ARRAY_C_CONTIGUOUS, ARRAY_ALIGNED, ARRAY_WRITEABLE = 0x1, 0x100, 0x400

# Binding: which arrays a program takes; a head, then a record for each
BINDING_TYPE = 0  # ptr: the class of arrays
BINDING_KNOWN = 8  # i64: 1 if the addresses in the records are known to be all right beside each other
BINDING_HEAD = 64
RECORD_DTYPE = 0  # i64: its word, masked
RECORD_NDIM = 8  # i64
RECORD_SHAPE = 16  # ptr
RECORD_NBYTES = 24  # i64
RECORD_FLAGS = 32  # i64: those that must be set
RECORD_KIND = 40  # i64: one of the three below
RECORD_SLOT = 48  # i64: place in the argument table
RECORD_ALIAS = 56  # i64: another place for the same address, or that one again
RECORD_ADDRESS = 64  # i64: at the last call
RECORD_CHANGED = 72  # i64: 1 if the address differs from that of the call before
RECORD_BYTES = 80
KIND_READ, KIND_DONATED, KIND_RESULT = 0, 1, 2
