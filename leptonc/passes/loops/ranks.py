"""Positions of the kernels that fusion merges, by which it asks whether one depends on another."""

from __future__ import annotations

from bisect import bisect_left


class Ranks:
    """Positions of tasks in an order that respects dependences; a task that others were merged into has a range of them.

    They keep searches short: whatever ``goal`` depends on lies, at least in part, below ``bound(goal)``.
    """

    def __init__(self, order: list[int]):
        self.low = {n: rank for rank, n in enumerate(order)}
        self.high = dict(self.low)
        self.joined: set[int] = set()
        self._runs: list[tuple[int, int]] = []  # (low, high) of those joined, in order; those that overlap are one

    def join(self, part: int, n: int) -> None:
        low, high = min(self.low[n], self.low[part]), max(self.high[n], self.high[part])
        self.low[n], self.high[n] = low, high
        self.joined.discard(part)
        self.joined.add(n)
        start = bisect_left(self._runs, (low, low))
        if start and self._runs[start - 1][1] > low:
            start -= 1
        stop = start
        while stop < len(self._runs) and self._runs[stop][0] < high:
            low, high = min(low, self._runs[stop][0]), max(high, self._runs[stop][1])
            stop += 1
        self._runs[start:stop] = [(low, high)]

    def bound(self, goal: int) -> int:
        """The last rank at which something ``goal`` depends on may take part in an edge: a range that begins before it and
        ends behind it moves it on."""
        bound = self.high[goal]
        before = bisect_left(self._runs, (bound, bound)) - 1
        return max(bound, self._runs[before][1]) if before >= 0 else bound
