"""The thread pool: daemon threads inside a native loop, without the GIL, that wait for jobs.

One process-wide pool, made anew in a forked child. A lock lets one Python thread at a time post a job.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
from collections.abc import Callable

import numpy as np

from leptonc import abi, config
from leptonc.errors import CompileError
from leptonc.runtime.elf import LoadedObject
from leptonc.runtime.system import aligned_bytes, syscall_address


class Pool:
    """Workers 1, 2 ...; the caller of ``run`` is thread 0."""

    def __init__(self, support: LoadedObject):
        self.lock = threading.Lock()
        self.support = support
        self._memory = aligned_bytes(abi.POOL_BYTES)
        self._address = self._memory.ctypes.data
        self._memory.view(np.uint64)[abi.POOL_SYSCALL // 8] = syscall_address()
        self._run = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, ctypes.c_int64)(support.address("leptonc_run"))
        self._repeat = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, *[ctypes.c_int64] * 2, ctypes.c_void_p,
                                        *[ctypes.c_void_p, ctypes.c_int64] * 2)(support.address("leptonc_repeat"))
        worker = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32)
        self._worker = worker(support.address("leptonc_worker"))
        self._stop = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(support.address("leptonc_stop"))
        self._threads: list[threading.Thread] = []

    def run(self, function: int, contexts: int, nthreads: int) -> None:
        """Call ``function(context)`` on ``nthreads`` threads at once; returns when all have."""
        with self.lock:
            if len(self._threads) < nthreads - 1:
                self._grow(nthreads - 1)
            self._run(self._address, function, contexts, nthreads)

    def repeat(self, function: int, contexts: int, nthreads: int, count: int, args: int, moves: np.ndarray,
               swaps: np.ndarray) -> None:
        """``run`` so many times. After each, every (place, bytes) of ``moves`` is added to the table ``args``, and
        ``args[swaps[0]] = args[swaps[1]]``; ``swaps`` has a third row as room. Both i64, C-contiguous."""
        with self.lock:
            if len(self._threads) < nthreads - 1:
                self._grow(nthreads - 1)
            self._repeat(self._address, function, contexts, nthreads, count, args, moves.ctypes.data, len(moves),
                         swaps.ctypes.data, swaps.shape[1])

    def _grow(self, workers: int) -> None:
        seen = int(self._memory.view(np.int32)[abi.POOL_JOB // 4])
        while len(self._threads) < workers:
            tid = len(self._threads) + 1
            thread = threading.Thread(target=self._worker, args=(self._address, tid, seen), name=f"leptonc-{tid}", daemon=True)
            thread.start()
            self._threads.append(thread)
        self._memory.view(np.int32)[abi.POOL_SPINS // 4] = spins(workers + 1)

    def stop(self) -> None:
        """Let the workers return."""
        with self.lock:
            if self._threads:
                self._stop(self._address)
                for thread in self._threads:
                    thread.join(1.0)
                self._threads.clear()


def spins(threads: int) -> int:
    """How long one of that many threads spins before it sleeps."""
    return abi.SPINS_ALONE if threads <= config.available_cpus() else abi.SPINS_SHARING


_pool: Pool | None = None
_pool_lock = threading.Lock()
_provider: Callable[[], bytes] | None = None


def install(provider: Callable[[], bytes]) -> None:
    """Say where the pool's native code comes from: called once, when the first pool is made."""
    global _provider
    _provider = provider


def shared_pool() -> Pool:
    """The process's pool."""
    global _pool
    with _pool_lock:
        if _pool is None:
            if _provider is None:
                raise CompileError("no native code was installed for the thread pool")
            _pool = Pool(LoadedObject(_provider()))
        return _pool


def _forget_after_fork() -> None:
    """The child has none of the parent's threads, and its locks may be held for ever."""
    global _pool, _pool_lock
    _pool, _pool_lock = None, threading.Lock()


def _stop_at_exit() -> None:
    if _pool is not None:
        _pool.stop()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
atexit.register(_stop_at_exit)
