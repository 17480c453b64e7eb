"""Frames: the memory of one call at a time. Argument table, intermediates, scratch, barrier.

A call takes a spare frame, or makes one, and gives it back when it has succeeded. A call that is cut short, by an exception at
whichever line, loses its frame to the garbage collector: what is half done is never used again. So calls need no lock; one from
a signal handler or a finalizer, in the midst of another, is a call as any, and so is one in a forked child.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from leptonc import abi
from leptonc.memory import aligned, copied
from leptonc.runtime.arguments import Binding, layout_is_known
from leptonc.runtime.code import Code
from leptonc.runtime.pool import shared_pool, spins
from leptonc.runtime.system import address, aligned_bytes, syscall_address

SPARE_FRAMES = 16  # of an executable, for calls from as many threads, ...
SPARE_BYTES = 64 << 20  # ... and of so many bytes together, but always one


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """``args``: addresses of inputs, outputs and constants. ``contexts_at``: where the contexts of ``threads`` threads lie; they
    point to the rest."""

    threads: int
    args: np.ndarray
    arena: np.ndarray
    binding: Binding | None
    contexts_at: int = 0
    held: tuple[np.ndarray, ...] = ()  # contexts, scratch, barrier

    @property
    def shared(self) -> np.ndarray:
        return self.held[2]

    @property
    def scratch(self) -> np.ndarray:
        """Of all threads, one behind the other."""
        return self.held[1]


class Frames:
    """The frames of an executable."""

    def __init__(self, code: Code):
        self.spare: list[Frame] = []
        self._inputs, self._outputs = code.inputs, code.outputs
        self._lasts, self._donates = code.lasts, any(slot.donated for slot in code.inputs)
        self._constants = [copied(c) for c in code.constants]
        self._arena_bytes, self._local_bytes = code.arena_bytes, aligned(code.local_bytes)
        self._kept = min(SPARE_FRAMES, max(1, SPARE_BYTES // max(code.arena_bytes + code.local_bytes, 1)))

    def take(self, threads: int) -> Frame:
        """A frame for so many threads, which nobody else uses. Raises MemoryError."""
        try:
            frame = self.spare.pop()
        except IndexError:
            return self.resized(self._new(), threads)
        return frame if frame.threads == threads else self.resized(frame, threads)

    def give_back(self, frame: Frame) -> None:
        """Keep a frame for the next call. Only one whose call has come to its end: barriers at rest, nobody in its memory."""
        if len(self.spare) < self._kept:
            self.spare.append(frame)

    def _new(self) -> Frame:
        """Intermediates and the argument table: what does not depend on the number of threads."""
        starts = [0] * (len(self._inputs) + len(self._outputs)) + [address(c) for c in self._constants]
        args = np.array(starts or [0], np.uint64)
        binding = Binding(self._inputs, self._outputs, address(args)) if layout_is_known() else None
        return Frame(0, args, aligned_bytes(max(self._arena_bytes, 64)), binding)

    def resized(self, frame: Frame, threads: int) -> Frame:
        """The frame with a context and scratch for each thread."""
        scratch = aligned_bytes(max(threads * self._local_bytes, 64))
        contexts = aligned_bytes(threads * abi.CONTEXT_BYTES)
        shared = aligned_bytes(abi.SHARED_BYTES)
        shared.view(np.uint64)[abi.SHARED_SYSCALL // 8] = syscall_address()
        shared.view(np.int32)[abi.SHARED_SPINS // 4] = spins(threads)
        if threads > 1:
            shared.view(np.uint64)[abi.SHARED_BARRIER // 8] = shared_pool().barrier
        if self._lasts:
            shared.view(np.int32)[abi.SHARED_PATIENT // 4] = self._donates
            shared.view(np.uint64)[abi.SHARED_POLL // 8] = shared_pool().poll if shared_pool().python else 0
            shared.view(np.uint64)[abi.SHARED_PYTHON // 8] = shared_pool().python
        table = contexts.view(np.int64).reshape(threads, -1)
        table[:, abi.CONTEXT_ARGS // 8] = address(frame.args)
        table[:, abi.CONTEXT_ARENA // 8] = address(frame.arena)
        table[:, abi.CONTEXT_WORKSPACE // 8] = address(scratch) + np.arange(threads) * self._local_bytes
        table[:, abi.CONTEXT_SHARED // 8] = address(shared)
        table[:, abi.CONTEXT_TID // 8] = np.arange(threads)
        table[:, abi.CONTEXT_NTHREADS // 8] = threads
        return replace(frame, threads=threads, contexts_at=address(contexts), held=(contexts, scratch, shared))
