"""Folds in parts: an error is that of as many additions as there are parts and points in one, not of all points.

A sum of 4,096 equal numbers, one after the other in f32, may be wrong by 1e-5 of its size: what an addition rounds off, the next
ones round off as well. By parts of 32, and parts of these, it is wrong by no more than 2e-7, for one more addition in 32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from leptonc.codegen.llvm.emitter import Emitter
from leptonc.codegen.loops.reduction import Accumulator

MOST_ADDED = 32  # floats one by one

State = list[str]
Point = Callable[[str, State], State]


@dataclass(frozen=True)
class Fold:
    """A loop over an axis that folds ``each`` values of each of its points, ``lanes`` neighbours together, by ``point``."""

    e: Emitter
    axis: str
    accumulators: Sequence[Accumulator]
    each: int
    point: Point
    lanes: int = 1

    def over(self, start: int, stop: int, state: State, end: str | None = None) -> State:
        """The state after all points; after those before ``end``, if it is given: a register that is no greater than ``stop``."""
        if start >= stop:
            return state
        return self._run((str(start), end or str(stop)), (stop - start) // self.lanes, end is None, state)

    def _run(self, ends: tuple[str, str], points: int, even: bool, state: State) -> State:
        """After a run of so many points, or of fewer unless all are ``even``; many are a run of parts, each a run in turn."""
        e, count = self.e, self._part_of(points)
        even = even and points % count == 0
        carried = list(zip([t for a in self.accumulators for t in a.types()], state))
        with e.reduce_loop(self.axis, *ends, count * self.lanes, carried) as (iv, phis, following):
            if count > 1:
                end = e.add(iv, str(count * self.lanes))
                if not even:
                    end = e.call("i64 @llvm.smin.i64(i64, i64)", f"i64 {end}, i64 {ends[1]}", "stop")
                following += self._apart(phis, lambda state: self._run((iv, end), count, even, state))
            elif self._are_many(self.each):
                following += self._apart(phis, lambda state: self.point(iv, state))
            else:
                following += self.point(iv, phis)
        return phis

    def _part_of(self, points: int) -> int:
        """How many of a run of points make a part; 1 if they need none."""
        size = MOST_ADDED if self._are_many(self.each) else MOST_ADDED // max(self.each, 1)
        if size >= points or not any(a.rounds for a in self.accumulators):
            return 1
        while size * MOST_ADDED < points:
            size *= MOST_ADDED
        return size

    @staticmethod
    def _are_many(values: int) -> bool:
        """Whether so many values are a part by themselves."""
        return values > MOST_ADDED // 2

    def _apart(self, state: State, fold: Callable[[State], State]) -> State:
        """The state after a part: sums of floats are made of it alone, and then added."""
        begun = State()
        for a in self.accumulators:
            begun += a.initial() if a.rounds else state[len(begun):len(begun) + a.width]
        made = list(fold(begun))
        for n, a in self._places():
            if a.rounds:
                made[n] = a.combine(self.e, state[n], made[n])
        return made

    def _places(self) -> Iterator[tuple[int, Accumulator]]:
        """Where in the state of all that of each one begins."""
        at = 0
        for accumulator in self.accumulators:
            yield at, accumulator
            at += accumulator.width
