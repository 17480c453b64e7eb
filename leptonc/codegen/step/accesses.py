"""What the launches of a step touch, and where that lies, from the program alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from leptonc.codegen.step.disjoint import Span, disjoint
from leptonc.codegen.step.step import PANELS, Launch, Region, Step
from leptonc.errors import IRError
from leptonc.ir.kernel import Program

Place = tuple[str, int, int]  # a block of memory, and the first and last+1 byte


@dataclass(frozen=True)
class Split:
    """Axes whose points are told apart, each with how many of them belong together: the digits of ``disjoint``."""

    axes: tuple[tuple[str, int], ...]

    def span(self, region: Region, start: int) -> Span:
        of_axis = dict[str, int]()
        for term in region.terms:
            of_axis[term.axis] = of_axis.get(term.axis, 0) + term.stride
        whole = dict(self.axes)
        terms = [(t.stride, t.extent if t.axis not in whole else whole[t.axis]) for t in region.terms]
        digits = tuple(of_axis.get(axis, 0) * block for axis, block in self.axes)
        return Span(start + region.offset, tuple(terms), region.run, digits)


WHOLE = Split(())


def place_in(program: Program, number: int) -> Place:
    """What takes an input's memory is where the input is; no other two arguments share bytes."""
    buffer = program.buffers[number]
    if not buffer.is_placed:
        return f"argument {number if buffer.donated is None else buffer.donated}", 0, buffer.type.nbytes
    if buffer.offset is None or buffer.offset + buffer.type.nbytes > program.arena_bytes:
        raise IRError(f"b{number} is no part of the arena of {program.arena_bytes} bytes")
    return "arena", buffer.offset, buffer.offset + buffer.type.nbytes


def _meet(one: Place, other: Place) -> bool:
    return one[0] == other[0] and one[1] < other[2] and other[1] < one[2]


@dataclass(frozen=True)
class Touched:
    """A launch's regions of one buffer; panels are the last "buffer". ``place``: the number of where it lies."""

    buffer: int
    place: int
    reads: tuple[Region, ...]
    writes: tuple[Region, ...]

    @property
    def has_own_places(self) -> bool:
        """Whether each point of the launch writes a place of its own, wherever that is, and none reads any of them."""
        return not self.reads and len(self.writes) == 1 and self.writes[0].disjoint


class Accesses:
    """What each launch touches; which places share bytes. Buffers that follow each other in one place of the arena are many."""

    def __init__(self, step: Step):
        self.step = step
        program = step.program
        self.panels = len(program.buffers)
        self.places = [place_in(program, n) for n in range(self.panels)] + [("arena", step.panels_at, step.arena_bytes)]
        numbers = {place: n for n, place in enumerate(dict.fromkeys(self.places))}
        self.place_of = [numbers[place] for place in self.places]
        self.sharing = _sharing(list(numbers))
        self.of = [self._touched(launch) for launch in step.launches]

    def _touched(self, launch: Launch) -> tuple[Touched, ...]:
        number = {p.name: n for p, n in zip(launch.unit.kernel.params, launch.args, strict=True)} | {PANELS: self.panels}
        reads, writes = dict[int, list[Region]](), dict[int, list[Region]]()
        for region in launch.unit.regions:
            (writes if region.write else reads).setdefault(number[region.buffer], []).append(region)
        return tuple(Touched(n, self.place_of[n], tuple(reads.get(n, ())), tuple(writes.get(n, ())))
                     for n in sorted({*reads, *writes}) if self.places[n][1] < self.places[n][2])  # nothing is no place

    def name(self, number: int) -> str:
        return "panels" if number == self.panels else f"b{number}"

    def bytes(self, buffer: int) -> str:
        """Where a buffer lies, for people."""
        block, start, stop = self.places[buffer]
        return f"{block}[{start}:{stop}]"

    def starts(self, one: int, other: int) -> tuple[int, int]:
        """Where two buffers that share bytes begin, from the first of them on: strides divide places there."""
        a, b = self.places[one][1], self.places[other][1]
        return a - min(a, b), b - min(a, b)

    def pairs(self, one: int, other: int) -> Iterator[tuple[Touched, Touched]]:
        """What two launches touch of the same bytes, at least one writing."""
        by_place: dict[int, list[Touched]] = {}
        for b in self.of[other]:
            by_place.setdefault(b.place, []).append(b)
        for a in self.of[one]:
            for place in self.sharing[a.place]:
                yield from ((a, b) for b in by_place.get(place, ()) if a.writes or b.writes)

    def race(self, one: int, other: int) -> str | None:
        """The bytes that two launches may share, one of them writing, whatever the items."""
        for a, b in self.pairs(one, other):
            for x, y in (*product(a.writes, (*b.writes, *b.reads)), *product(a.reads, b.writes)):
                mine, theirs = self._reached(a.buffer, x), self._reached(b.buffer, y)
                starts = self.starts(a.buffer, b.buffer)
                if _meet(mine, theirs) and not disjoint(WHOLE.span(x, starts[0]), WHOLE.span(y, starts[1])):
                    return (f"{self.name(a.buffer)} and {self.name(b.buffer)} at {mine[0]}"
                            f"[{max(mine[1], theirs[1])}:{min(mine[2], theirs[2])}]")
        return None

    def _reached(self, buffer: int, region: Region) -> Place:
        (block, start, stop), (low, high) = self.places[buffer], region.reach
        return block, max(start + low, start), min(start + high + 1, stop)


def _sharing(places: Sequence[Place]) -> list[list[int]]:
    """For each place those it shares bytes with, itself among them."""
    found: list[list[int]] = [[n] for n in range(len(places))]
    open_: list[int] = []
    for n in sorted(range(len(places)), key=lambda n: places[n]):
        open_ = [m for m in open_ if places[m][0] == places[n][0] and places[m][2] > places[n][1]]
        for m in open_:
            if _meet(places[m], places[n]):
                found[m].append(n)
                found[n].append(m)
        open_.append(n)
    return found
