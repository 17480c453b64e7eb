"""Units that run block by block: each block of images goes through several kernels before the next one does.

A unit whose items begin with an axis over images touches one image's part of its large operands for one image's items. Where the
next unit does as well, a thread may run both on its own images, without a barrier between, and the second finds in the cache
what the first has written. Units between them that depend on neither run before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import gcd

from leptonc.codegen.step.step import Digit, Memory, Region, Unit

LEAST_BLOCKS = 8
MOST_BETWEEN = 32  # units that may stand between two of a group: programs have thousands


@dataclass(frozen=True)
class Lead:
    """The slowest axis of a unit's items. A block of it touches the same part of the parameters ``rows``, as the block is of the
    axis, and nothing else of them; of other parameters anything."""

    count: int
    rows: frozenset[str]


def lead_of(unit: Unit) -> Lead | None:
    """None if items do not begin with single points of an axis."""
    if not unit.digits or unit.digits[0].block != 1:
        return None
    found = dict[str, bool]()
    for region in unit.regions:
        found[region.buffer] = found.get(region.buffer, True) and in_rows(region, unit.digits[0], unit)
    return Lead(unit.digits[0].count, frozenset(buffer for buffer, rows in found.items() if rows))


def in_rows(region: Region, digit: Digit, unit: Unit) -> bool:
    """Whether each point of the axis has its own part of a buffer, in order, and all parts make the buffer."""
    stride = sum(t.stride for t in region.terms if t.axis == digit.axis)
    if not region.buffer or stride <= 0 or stride * digit.extent != unit.kernel.buffer(region.buffer).type.nbytes:
        return False
    first = replace(region, terms=tuple(t for t in region.terms if t.axis != digit.axis))
    return first.reach.within(stride)


@dataclass(frozen=True)
class Touch:
    """What a unit reads or writes; ``rows``: a block of its lead touches its own part alone. ``side``: a call, its result,
    and whether this is the border that it fills around what it writes; the two never meet."""

    memory: Memory
    write: bool
    rows: bool = False
    side: tuple[int, str, bool] | None = None

    def conflicts(self, other: Touch) -> bool:
        return (self.write or other.write) and self.memory.meets(other.memory) and not self._beside(other)

    def _beside(self, other: Touch) -> bool:
        return self.side is not None and other.side == (*self.side[:2], not self.side[2])

    def crosses(self, other: Touch) -> bool:
        """Whether blocks of the two units may conflict that are not the same."""
        return self.conflicts(other) and not self.shares(other)

    def shares(self, other: Touch) -> bool:
        """Whether the same blocks of the two units touch the same parts of some memory."""
        return self.rows and other.rows and self.memory == other.memory


@dataclass(frozen=True)
class Run:
    """What of a unit its order depends on."""

    touched: tuple[Touch, ...]
    blocks: int  # of its lead; 0: none, or too small to share
    number: int


@dataclass(frozen=True)
class Group:
    """Units that run block by block."""

    members: tuple[Run, ...]

    @property
    def blocks(self) -> int:
        return gcd(*(run.blocks for run in self.members))

    def takes(self, run: Run) -> bool:
        """Whether a unit may go along, and finds something there that others touch."""
        pairs = [(a, b) for member in self.members for a in member.touched for b in run.touched]
        enough = run.blocks > 0 and gcd(self.blocks, run.blocks) >= LEAST_BLOCKS
        return enough and any(a.shares(b) for a, b in pairs) and not any(a.crosses(b) for a, b in pairs)

    def depends(self, run: Run) -> bool:
        """Whether a unit must stay on its side of some member."""
        return any(a.conflicts(b) for member in self.members for a in member.touched for b in run.touched)


def grouped(runs: Sequence[Run]) -> list[Group]:
    """All units in an order that keeps dependences; a group of one runs as it is."""
    out, rest = list[Group](), list(runs)
    while rest:
        group, ahead = _longest(rest)
        out += [*(Group((run,)) for run in ahead), group]
        gone = {run.number for run in (*group.members, *ahead)}
        rest = [run for run in rest if run.number not in gone]
    return out


def _longest(runs: Sequence[Run]) -> tuple[Group, list[Run]]:
    """The group that begins with the first unit, and those among its members that run before it."""
    group, ahead, between = Group((runs[0],)), list[Run](), list[Run]()
    for run in runs[1:] if group.blocks >= LEAST_BLOCKS else ():
        if group.takes(run):
            group, before = _with(group, run, between)
            ahead, between = [*ahead, *before], []
        elif not group.depends(run) and len(between) < MOST_BETWEEN:
            between.append(run)
        else:
            break
    return group, ahead


def _with(group: Group, run: Run, between: Sequence[Run]) -> tuple[Group, list[Run]]:
    """The group with a unit it takes, and with those between that are better run in its blocks, as what fills a part of its result
    is; the others run before the group."""
    members, before = Group((*group.members, run)), list[Run]()
    for other in between:
        alone = not any(Group((third,)).depends(other) for third in between if third is not other)
        if alone and Group((run,)).takes(other) and gcd(members.blocks, other.blocks) >= LEAST_BLOCKS:
            members = Group((*members.members[:-1], other, run))
        else:
            before.append(other)
    return members, before
