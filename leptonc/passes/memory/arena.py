"""An arena's free blocks while temporaries are placed in it."""

from __future__ import annotations

from bisect import bisect_left, insort

from leptonc.memory import ALIGN, aligned

REST = 3  # calls


class Arena:
    """Free blocks by size and by offset; the smallest that fits is taken, neighbours are joined when given back.

    What is given back rests for some calls if nothing needs it before: kernels near each other could not run block by block
    (``codegen/step/interleave.py``) if one wrote what another had just read.
    """

    def __init__(self) -> None:
        self.size = 0
        self.position = 0
        self.resting: list[tuple[int, int, int]] = []  # (position, offset, bytes), oldest first
        self.free: list[tuple[int, int]] = []  # (bytes, offset), sorted
        self.starts: dict[int, int] = {}
        self.stops: dict[int, int] = {}

    def advance(self, position: int) -> None:
        """To the call at a position: what has rested long enough is free."""
        self.position = position
        self._wake(position - REST)

    def _wake(self, until: int) -> None:
        while self.resting and self.resting[0][0] <= until:
            _, offset, size = self.resting.pop(0)
            self._free(offset, size)

    def take(self, nbytes: int) -> int:
        need = max(ALIGN, aligned(nbytes))
        at = bisect_left(self.free, (need, -1))
        if at == len(self.free):
            self._wake(self.position)
            at = bisect_left(self.free, (need, -1))
        if at == len(self.free):
            return self._grow(need)
        size, offset = self.free[at]
        self._remove(size, offset)
        if size > need:
            self._insert(size - need, offset + need)
        return offset

    def _grow(self, need: int) -> int:
        """At the end of the arena, in continuation of a free block there if there is one."""
        size = self.stops.get(self.size, 0)
        offset = self.size - size
        if size:
            self._remove(size, offset)
        self.size = offset + need
        return offset

    def give(self, offset: int, nbytes: int) -> None:
        self.resting.append((self.position, offset, max(ALIGN, aligned(nbytes))))

    def _free(self, offset: int, size: int) -> None:
        before = self.stops.get(offset)
        if before:
            self._remove(before, offset - before)
            offset, size = offset - before, size + before
        after = self.starts.get(offset + size)
        if after:
            self._remove(after, offset + size)
            size += after
        self._insert(size, offset)

    def _insert(self, size: int, offset: int) -> None:
        insort(self.free, (size, offset))
        self.starts[offset] = size
        self.stops[offset + size] = size

    def _remove(self, size: int, offset: int) -> None:
        del self.free[bisect_left(self.free, (size, offset))]
        del self.starts[offset]
        del self.stops[offset + size]
