"""What of a kernel's results and local buffers its stages write, as boxes: what lies in one has been written, every element."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from leptonc.ir.affine import Interval, Places, box, met, span
from leptonc.ir.kernel import Kernel, Load, Opaque, Stage, Store


class Written:
    """What the stages added so far have written. A result with an initial value is whole from the start."""

    def __init__(self, kernel: Kernel):
        self.kernel = kernel
        self.outer = {a.name: a.extent for a in kernel.outer}
        self.shapes = {p.name: p.type.shape for p in (*kernel.params, *kernel.locals) if p.role != "in"}
        self.whole = {p.name for p in kernel.params if p.init is not None or p.role in ("in", "inout")}
        self.whole |= {name for name, shape in self.shapes.items() if 0 in shape or isinstance(kernel, Opaque)}
        self._local = {p.name for p in kernel.locals}
        self._met: dict[str, list[tuple[Places, ...]]] = {}

    def add(self, stage: Stage) -> None:
        """Its plain stores, all of whose places are known."""
        extents = {a.name: a.extent for a in stage.axes if not (a.reduce and stage.has_reduce)}
        for store in stage.stores:
            if store.buffer in self.whole or store.accumulate or store.masked:
                continue
            around = extents if store.buffer in self._local else self.outer | extents
            known = all(axis in around for i in store.index for axis, _ in i.axes)
            places = met(store.index, around) if known else None
            if places is not None and all(map(len, places)):
                self._met.setdefault(store.buffer, []).append(places)

    def box(self, buffer: str) -> tuple[Interval, ...] | None:
        """All of a buffer, or the largest box of it that is known to be written."""
        if buffer in self.whole:
            return tuple(Interval(0, extent - 1) for extent in self.shapes[buffer])
        found = list(dict.fromkeys(self._met.get(buffer, ())))
        together = box(found)
        if together is not None or len(found) < 2:
            return together
        alone = [part for part in (box([places]) for places in found) if part is not None]
        return max(alone, key=lambda part: prod(side.high - side.low + 1 for side in part), default=None)

    def covers(self, access: Load | Store, extents: Mapping[str, int], never: bool) -> bool:
        """Whether everything that an access meets of a buffer has been written; ``never``: whether it is not made at all."""
        if access.buffer in self.whole or never:
            return True
        return within(access, self.box(access.buffer), self.shapes[access.buffer], extents)

    def missing(self) -> str | None:
        """A result of which nothing is known to be written."""
        names = [p.name for p in self.kernel.params if p.role == "out" and p.name not in self.whole]
        bare = [name for name in names if self.box(name) is None]
        return f"{bare[0]} has no initial value, and it is not known that stores fill it, or a box of it" if bare else None

    def fills(self, buffer: str) -> bool:
        """Whether all of a result has been written."""
        return self.box(buffer) == tuple(Interval(0, extent - 1) for extent in self.shapes[buffer])


def within(access: Load | Store, part: tuple[Interval, ...] | None, shape: tuple[int, ...], extents: Mapping[str, int]) -> bool:
    """Whether what an access meets of a buffer lies in a box of it; what is out of range of the buffer it does not meet."""
    if part is None:
        return False
    for index, known, extent in zip(access.index, part, shape):
        reached = span(index, extents) or Interval(0, index.div * extent)
        low, high = max(-(-reached.low // index.div), 0), min(reached.high // index.div, extent - 1)
        if low <= high and not (known.low <= low and high <= known.high):
            return False
    return True


def written(kernel: Kernel) -> Written:
    """By all stages."""
    found = Written(kernel)
    for stage in kernel.stages:
        found.add(stage)
    return found
