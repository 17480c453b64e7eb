"""The thread pool: threads inside a native loop, without the GIL, that wait for jobs.

One process-wide pool, made anew in a forked child. Who may post a job is decided in native code, so there is nothing here that an
exception, a signal handler or a fork could leave locked. Its threads serve as long as the process lives, exit handlers and
finalizers included; new ones are not started once the interpreter has begun to end.
"""

from __future__ import annotations

import _thread
import atexit
import ctypes
import os
import time
from collections.abc import Callable

import numpy as np

from leptonc import abi, config
from leptonc.errors import CompileError
from leptonc.exclusive import Claims, compiling
from leptonc.runtime.elf import LoadedObject
from leptonc.runtime.signals import python_table
from leptonc.runtime.system import address, aligned_bytes, keep_for_ever, syscall_address

SUPPORT_FUNCTIONS = ("leptonc_run", "leptonc_repeat", "leptonc_worker", "leptonc_barrier", "leptonc_poll", "leptonc_bind")
START_SECONDS = 10.0  # what new threads may take to get going, once; they take a millisecond unless the machine is busy
RETRY_SECONDS = 1.0  # after the system refused a thread

_ADDRESS, _WORD = ctypes.c_void_p, ctypes.c_int64


class Pool:
    """Workers 1, 2 ...; the caller of ``run`` is thread 0."""

    def __init__(self, support: LoadedObject):
        memory = aligned_bytes(abi.POOL_BYTES)
        memory.view(np.uint64)[abi.POOL_SYSCALL // 8] = syscall_address()
        keep_for_ever(memory)
        self._words = memory.view(np.int32)
        self._address = address(memory)
        self.barrier = support.address("leptonc_barrier")
        self.poll, self.python = support.address("leptonc_poll"), python_table(self._address)
        self._run = ctypes.CFUNCTYPE(_WORD, *[_ADDRESS] * 3, _WORD)(support.address("leptonc_run"))
        self._repeat = ctypes.CFUNCTYPE(_WORD, *[_ADDRESS] * 3, *[_WORD] * 2, _ADDRESS, *[_ADDRESS, _WORD] * 2)(
            support.address("leptonc_repeat"))
        self._worker = ctypes.CFUNCTYPE(None, _ADDRESS)(support.address("leptonc_worker"))
        self._starting = Claims()
        self._started = 0  # at least so many threads were asked for
        self._refused = float("-inf")  # when the system last said no
        self._ready = 1  # threads that are there, the caller of a job included

    def threads(self, wanted: int) -> int:
        """With how many threads a job can run, ``wanted`` at most. Starts those that are missing, if that is possible."""
        return wanted if wanted <= self._ready else min(wanted, self._grow(wanted - 1))

    def run(self, function: int, contexts: int, nthreads: int) -> bool:
        """Call ``function(context)`` on ``nthreads`` threads at once; returns when all have. False, and nothing was done, if there
        are fewer: ``threads`` has said so, or the process was forked since."""
        return self._run(self._address, function, contexts, nthreads) != 0

    def repeat(self, function: int, contexts: int, nthreads: int, count: int, args: int, moves: np.ndarray,
               swaps: np.ndarray) -> bool:
        """``run`` so many times. After each, every (place, bytes) of ``moves`` is added to the table ``args``, and
        ``args[swaps[0]] = args[swaps[1]]``; ``swaps`` has a third row as room. Both i64, C-contiguous."""
        return self._repeat(self._address, function, contexts, nthreads, count, args, address(moves), len(moves),
                            address(swaps), swaps.shape[1]) != 0

    def lose_threads(self) -> None:
        """In a forked child: begin anew, in place, for a call may have been cut in two by the fork and go on with this pool."""
        self._words[abi.POOL_WORKERS // 4] = self._words[abi.POOL_BUSY // 4] = self._words[abi.POOL_ASKING // 4] = 0
        for word in (abi.POOL_JOB, abi.POOL_DONE, abi.POOL_BUSY):
            self._words[(word + abi.SLEEPERS) // 4] = 0
        self._started, self._ready = 0, 1

    def _grow(self, workers: int) -> int:
        """Have so many workers, or what there is to have; returns how many threads there are then."""
        claim = None if _closing or time.monotonic() < self._refused + RETRY_SECONDS else self._starting.take()
        try:
            if claim is not None:
                self._start(workers)
        except RuntimeError:  # the system gives no more of them, or the interpreter ends
            self._refused = time.monotonic()
        finally:
            self._starting.end(None, claim)
        found = int(self._words[abi.POOL_WORKERS // 4]) + 1
        self._words[abi.POOL_SPINS // 4] = spins(found)
        self._ready = found
        return found

    def _start(self, workers: int) -> None:
        """Start threads, and wait until they have taken their numbers. One step each: no Thread object that could be half made."""
        if self._started >= workers:
            return
        until = time.monotonic() + START_SECONDS
        while self._started < workers:
            _thread.start_new_thread(self._worker, (self._address,))
            self._started += 1
        while self._words[abi.POOL_WORKERS // 4] < workers and time.monotonic() < until:
            time.sleep(1e-4)


def spins(threads: int) -> int:
    """How long one of that many threads spins before it sleeps."""
    return abi.SPINS_ALONE if threads <= config.available_cpus() else abi.SPINS_SHARING


_pool: Pool | None = None
_support: LoadedObject | None = None
_provider: Callable[[], LoadedObject] | None = None
_closing = False  # the interpreter ends


def install(provider: Callable[[], LoadedObject]) -> None:
    """Say where the pool's native code comes from: called once, when the first pool is made."""
    global _provider
    _provider = provider


def shared_pool() -> Pool:
    """The process's pool."""
    pool = _pool
    return _new_pool() if pool is None else pool


def support() -> LoadedObject:
    """The pool's native code, which a forked child has from its parent."""
    global _support
    found = _support
    if found is None:
        if _provider is None:
            raise CompileError("no native code was installed for the thread pool")
        found = _provider()
        keep_for_ever(found)
        _support = found
    return found


def _new_pool() -> Pool:
    global _pool
    with compiling():  # else threads that come at once would each start workers
        found = _pool
        if found is None:
            found = _pool = Pool(support())
    return found


def _after_fork_in_child() -> None:
    """The child has none of the parent's threads."""
    if _pool is not None:
        _pool.lose_threads()


def _close() -> None:
    global _closing
    _closing = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_close)
