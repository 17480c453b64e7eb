"""A compiled program that can be called: argument checks, outputs, arena, threads."""

from __future__ import annotations

import ctypes
import functools
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc import config
from leptonc.errors import DonationError, DtypeError, LeptonError, ShapeError, describe
from leptonc.memory import copied, empty
from leptonc.runtime.code import Code, Slot
from leptonc.runtime.elf import LoadedObject
from leptonc.runtime.frame import Frame, Frames
from leptonc.runtime.pace import Pace
from leptonc.runtime.pool import shared_pool
from leptonc.runtime.signals import raise_from
from leptonc.runtime.system import address

SLICE_SECONDS = 0.05  # of a scan, without a look at signals
CAUTION = 16  # times shorter is a slice on another number of threads, which may be much slower
FORKED = ("the process was forked by a signal handler in the midst of a step that overwrites its arguments; the child has lost "
          "them; fix: fork between steps")
SMALL_RESULT = 4096  # bytes up to which a result need not begin at a cache line


class Executable:
    """Code loaded, with what it needs to run. Calls from several Python threads run side by side, each in memory of its own."""

    def __init__(self, code: Code):
        self.inputs, self.outputs = code.inputs, code.outputs
        self.parallel, self._lasts = code.parallel, code.lasts
        self._donates = any(slot.donated for slot in code.inputs)
        self._object = LoadedObject(code.data)
        self._function = self._object.address(code.entry)
        self._serial = functools.cache(ctypes.CFUNCTYPE(None, ctypes.c_void_p))
        self._frames = Frames(code)
        self._pace = Pace(1)
        self._steps_in_slice = 1  # of a scan, until one has been timed
        self._divisions: dict[tuple[int, int, int], tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        fresh = [slot for slot in self.outputs if slot.donated is None]
        self._fresh = [(slot.shape, slot.dtype) if slot.nbytes <= SMALL_RESULT else slot for slot in fresh]
        numbers = iter(range(len(self.inputs), len(self.inputs) + len(fresh)))
        self._places = [next(numbers) if slot.donated is None else slot.donated for slot in self.outputs]

    def __call__(self, arrays: Sequence[np.ndarray], nthreads: int | None = None) -> list[np.ndarray]:
        """Run on arrays in the order of the inputs; returns the outputs. Arrays that are not contiguous, aligned and in
        native byte order are copied first. A donated input is overwritten, and returned as the output that takes it.

        Raises ShapeError, DtypeError, DonationError, or MemoryError, and then nothing was done.
        """
        results = self.call_exact(arrays, nthreads)
        if results is not None:
            return results
        held, results, starts = self._bound(arrays)
        frame = self._frames.take(self._thread_count(nthreads))
        frame.args[:len(starts)] = starts
        self._paced(frame)
        self._frames.give_back(frame)
        del held  # copies of arguments live as long as the call
        return results

    def call_exact(self, arrays: Sequence[object], nthreads: int | None = None) -> list[np.ndarray] | None:
        """As a call, for plain arrays of exactly the inputs' types that can be used as they are; None, and nothing was done,
        if one is not, if donated memory is shared, or if there is no memory for such a call."""
        frames = self._frames
        if not frames.spare and not self._fits(arrays):
            return None  # before memory is asked for that another program's arguments have no use for
        try:
            both: list[Any] = [*arrays, *[_empty(f) if isinstance(f, Slot) else np.empty(*f) for f in self._fresh]]
            results = [both[place] for place in self._places]
            frame = frames.take(self._thread_count(nthreads))
        except (MemoryError, IndexError):
            return None
        if frame.binding is None or not frame.binding(both):
            frames.give_back(frame)
            return None
        self._paced(frame)
        frames.give_back(frame)
        return results

    def rest(self) -> None:
        """Give back the memory that calls use; the next one takes it anew."""
        self._frames.spare.clear()

    def soil(self, byte: int) -> None:
        """Fill the memory that calls share with a byte: what is read before it is written then shows. After the first call."""
        for frame in self._frames.spare:
            for memory in (frame.arena, frame.scratch):
                memory[...] = byte

    def _fits(self, arrays: Sequence[object]) -> bool:
        return len(arrays) == len(self.inputs) and all(
            type(x) is np.ndarray and x.shape == slot.shape and x.dtype == slot.dtype for x, slot in zip(arrays, self.inputs))

    @property
    def threads(self) -> int:
        """Of the next call."""
        return self._thread_count()

    def _thread_count(self, wanted: int | None = None) -> int:
        """The threads of the next call: ``wanted``, or as many as there are, or one where that is faster now."""
        if not self.parallel:
            return 1
        most = wanted or config.recent_num_threads()
        if most == 1:
            return 1
        most = shared_pool().threads(most)
        if wanted or most == 1:
            return most
        if self._pace.most != most:
            self._pace = Pace(most)
        return self._pace.threads

    def _paced(self, frame: Frame) -> None:
        """Run once; now and then, the time it takes decides how many threads the next calls have."""
        pace = self._pace
        if pace.due:
            pace.due -= 1
            self._run(self._function, frame)
        else:
            pace.timed(functools.partial(self._run, self._function, frame), frame.threads)

    def repeat(self, carry: list[np.ndarray], xs: Sequence[np.ndarray], ys: Sequence[np.ndarray], count: int,
               reverse: bool = False, fixed: Sequence[np.ndarray] = (), donated: bool = False) -> list[np.ndarray]:
        """Run once for each of ``count`` items along the first axis of ``xs`` and ``ys``; returns what the carry is then.

        The inputs are those ``fixed``, a copy of the carry, which is donated, and one item of each x; the outputs the carry and one
        item of each y, which is written where it belongs. A carry that is ``donated`` is written in place, not copied, if each part
        of it is an output's own place: cut short by a signal, it is that of whole steps. The items of all arrays are contiguous,
        aligned and of the slots' types.
        """
        before, kept = len(fixed), len(carry)
        taken = [slot.donated for slot in self.outputs[:kept]]
        if taken != [*range(before, before + kept)] or not donated:
            carry = [copied(a) for a in carry]
        if None in taken:
            return self._repeat_apart(fixed, carry, xs, ys, range(count - 1, -1, -1) if reverse else range(count))
        order, places, swaps = self._between(before, kept, len(xs))
        strides = np.array([a.strides[0] for a in (*xs, *ys)], np.int64)
        moves = np.stack([places, -strides if reverse else strides], 1)
        frame = self._frames.take(self._thread_count())
        first = [*fixed, *carry, *(x[0, ...] for x in xs), *(y[0, ...] for y in ys)]
        if frame.binding is None or not frame.binding(first):
            starts = [address(a) for a in first]
            inputs = len(starts) - len(ys)
            frame.args[:len(starts) + kept] = starts[:inputs] + [starts[before + n] for n in order] + starts[inputs:]
        if reverse:
            frame.args[places] += (strides * (count - 1)).astype(np.uint64)
        self._frames.give_back(self._in_slices(frame, count, moves, swaps.copy()))  # it is written to
        return [carry[n] for n in _repeated(order, count)]  # a result may lie where another part of the carry was

    def _between(self, before: int, kept: int, read: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For ``before`` fixed inputs, a carry of ``kept`` and ``read`` xs: which part of the carry each result lies in, the places
        of the table of arguments that move with the items, and its swaps. Reckoned once for each such division of the inputs."""
        found = self._divisions.get((before, kept, read))
        if found is None:
            order = np.array([slot.donated for slot in self.outputs[:kept]], np.int64) - before
            total = before + 2 * kept + read + len(self.outputs) - kept
            places = np.array([*range(before + kept, before + kept + read), *range(before + 2 * kept + read, total)], np.int64)
            found = self._divisions[before, kept, read] = order, places, self._swaps(order, before, read)
        return found

    def _in_slices(self, frame: Frame, count: int, moves: np.ndarray, swaps: np.ndarray) -> Frame:
        """So many steps, in parts that take a while each: between them Python answers signals, and the threads are chosen."""
        steps = self._steps_in_slice
        while count:
            threads = self._thread_count()
            if threads != frame.threads:
                frame, steps = self._frames.resized(frame, threads), max(1, steps // CAUTION)
            steps = min(steps, count)
            run = functools.partial(self._slice, frame, steps, moves, swaps)
            seconds = self._pace.timed(run, frame.threads, steps)
            count -= steps
            self._steps_in_slice = steps = max(1, int(steps * SLICE_SECONDS / max(seconds, 1e-6)))
        return frame

    def _slice(self, frame: Frame, steps: int, moves: np.ndarray, swaps: np.ndarray) -> None:
        while not shared_pool().repeat(self._function, frame.contexts_at, frame.threads, steps, address(frame.args), moves, swaps):
            frame = self._frames.resized(frame, 1)
        if self._lasts and raise_from(frame.shared):
            raise LeptonError(FORKED)

    @staticmethod
    def _swaps(order: np.ndarray, before: int, between: int) -> np.ndarray:
        """What ``Pool.repeat`` does to the table between steps if the results' memory, in order, is that of inputs ``order``,
        counted behind ``before`` others; ``between`` inputs stand between those and the results."""
        kept = len(order)
        if (order == np.arange(kept)).all():
            return np.zeros((3, 0), np.int64)
        rows = np.zeros((3, 2 * kept), np.int64)
        rows[0] = [*range(kept), *range(kept + between, 2 * kept + between)]
        rows[1] = [*order, *order[order]]
        rows[:2] += before
        return rows

    def _repeat_apart(self, fixed: Sequence[np.ndarray], carry: list[np.ndarray], xs: Sequence[np.ndarray],
                      ys: Sequence[np.ndarray], items: range) -> list[np.ndarray]:
        """As ``repeat``, for a carry that is not all written in place: a call for each item."""
        for i in items:
            out = self([*fixed, *carry, *(x[i, ...] for x in xs)])
            carry = out[:len(carry)]
            for y, item in zip(ys, out[len(carry):]):
                y[i] = item
        return carry

    def run_parts(self, arrays: Sequence[np.ndarray], parts: Sequence[str], nthreads: int) -> list[float]:
        """Run other functions of the object, one after the other on these arrays; returns the seconds each took."""
        held, _, starts = self._bound(arrays)
        frame = self._frames.take(nthreads if nthreads == 1 else shared_pool().threads(nthreads))
        frame.args[:len(starts)] = starts
        seconds = []
        for part in parts:
            function = self._object.address(part)
            begin = time.perf_counter()
            self._run(function, frame)
            seconds.append(time.perf_counter() - begin)
        self._frames.give_back(frame)
        del held
        return seconds

    def _bound(self, arrays: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray], list[int]]:
        """The inputs as they are passed on, the outputs, and the addresses of both."""
        held = [self._checked(slot, array, n) for n, (slot, array) in enumerate(zip(self.inputs, arrays, strict=True))]
        starts = [address(array) for array in held]
        if self._donates:
            self._check_overlap([(start, start + slot.nbytes) for start, slot in zip(starts, self.inputs)])
        results = [held[s.donated] if s.donated is not None else _empty(s) for s in self.outputs]
        starts += [address(x) if s.donated is None else starts[s.donated] for x, s in zip(results, self.outputs)]
        return held, results, starts

    def _run(self, function: int, frame: Frame) -> None:
        """Raises what a signal handler raises meanwhile, if the step is one that lasts."""
        if frame.threads == 1 or not shared_pool().run(function, frame.contexts_at, frame.threads):
            frame = frame if frame.threads == 1 else self._frames.resized(frame, 1)
            self._serial(function)(frame.contexts_at)
        if self._lasts and raise_from(frame.shared):
            self._run_again(function, frame)

    def _run_again(self, function: int, frame: Frame) -> None:
        """In a child that a signal handler has forked in the midst of the step, whose other threads it has not."""
        if self._donates:
            raise LeptonError(FORKED)
        self._run(function, self._frames.resized(frame, 1))

    def _checked(self, slot: Slot, array: np.ndarray, n: int) -> np.ndarray:
        array = np.asarray(array)  # a NumPy scalar gives the address of what is gone by then
        if array.shape != slot.shape:
            raise ShapeError(f"argument {slot.name or n}: got {describe(array)}, compiled for {describe(slot)}")
        if array.dtype != slot.dtype:
            if array.dtype.newbyteorder("=") != slot.dtype:
                raise DtypeError(f"argument {slot.name or n}: got {describe(array)}, compiled for {describe(slot)}")
            array = self._refuse_copy(slot, n, "is byte-swapped") or array.astype(slot.dtype)
        flags = array.flags
        if not (flags.c_contiguous and flags.aligned):
            array = self._refuse_copy(slot, n, "is not contiguous and aligned") or np.array(array, order="C")
        if slot.donated and not array.flags.writeable:
            self._refuse_copy(slot, n, "is read-only")
        return array

    @staticmethod
    def _refuse_copy(slot: Slot, n: int, why: str) -> None:
        """A donated array must be usable as it is: its memory is what is given away."""
        if slot.donated:
            raise DonationError(f"argument {slot.name or n} is donated but {why}; fix: pass a fresh contiguous array")

    def _check_overlap(self, spans: list[tuple[int, int]]) -> None:
        """Donated memory may meet no other argument's: in order of address, each against the farthest end so far."""
        ends = {False: (0, -1), True: (0, -1)}  # donated or not -> (farthest end, whose)
        for (start, stop), n in sorted((span, n) for n, span in enumerate(spans) if span[0] < span[1]):
            donated = bool(self.inputs[n].donated)
            for reach, other in (ends[True], *([ends[False]] if donated else [])):
                if start < reach:
                    one, shared = (n, other) if donated else (other, n)
                    raise DonationError(f"argument {self.inputs[one].name or one} is donated but shares memory with argument "
                                        f"{self.inputs[shared].name or shared}; fix: pass a copy of one of them")
            ends[donated] = max(ends[donated], (stop, n))


def _repeated(order: np.ndarray, count: int) -> np.ndarray:
    """``x = x[order]``, so many times, as one order."""
    result = np.arange(len(order))
    while count:
        result = result[order] if count & 1 else result
        order, count = order[order], count >> 1
    return result


def _empty(slot: Slot) -> np.ndarray:
    return empty(slot.shape, slot.dtype)
