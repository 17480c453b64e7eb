"""Units that run block by block: each block of images goes through several kernels before the next one does.

A unit whose items begin with an axis over images touches one image's part of its large operands for one image's items. Where the
next unit does as well, a thread may run both on its own images, without a barrier between, and the second finds in the cache
what the first has written. Units between them that depend on neither run before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import gcd

from leptonc.codegen.loops.access import Access
from leptonc.codegen.loops.linear import LinearStage
from leptonc.ir.affine import in_blocks
from leptonc.ir.kernel import Axis, Index, Kernel, Load

LEAST_BLOCKS = 8
MOST_BETWEEN = 32  # units that may stand between two of a group: programs have thousands


@dataclass(frozen=True)
class Lead:
    """The slowest axis of a unit's items. A block of it touches the same part of the parameters ``rows``, as the block is of the
    axis, and nothing else of them; of other parameters anything."""

    count: int
    rows: frozenset[str]


def lead_of(axes: Sequence[Axis], stages: Sequence[LinearStage], kernel: Kernel) -> Lead | None:
    """The lead of a unit whose items run over ``axes``, the first of them slowest."""
    if not axes:
        return None
    axis, found = axes[0], dict[str, bool]()
    for stage in stages:
        extents = {a.name: a.extent for a in (*stage.outer, *stage.axes)} | {axis.name: axis.extent}
        for buffer, access in _accesses(stage):
            found[buffer] = found.get(buffer, True) and _in_rows(access, axis, extents, kernel.buffer(buffer).type.size)
    return Lead(axis.extent, frozenset(buffer for buffer, rows in found.items() if rows))


def _accesses(stage: LinearStage) -> list[tuple[str, Access]]:
    loads = [(inst.buffer, stage.loads[n]) for n, inst in enumerate(stage.insts) if isinstance(inst, Load)]
    return loads + [(s.buffer, access) for s, access in zip(stage.stores, stage.targets)]


def _in_rows(access: Access, axis: Axis, extents: Mapping[str, int], size: int) -> bool:
    """Whether each point of the axis has its own part of a buffer, in order, and all parts make the buffer."""
    whole = access.is_affine and access.stride(axis.name) * axis.extent == size
    return whole and in_blocks(Index(access.strides, access.offset), axis.name, extents)


@dataclass(frozen=True)
class Region:
    """Memory: a named block, or bytes [start, stop) of the arena."""

    block: str
    start: int = 0
    stop: int = 1

    def meets(self, other: Region) -> bool:
        return self.block == other.block and self.start < other.stop and other.start < self.stop


@dataclass(frozen=True)
class Touch:
    """What a unit reads or writes; ``rows``: a block of its lead touches its own part alone."""

    region: Region
    write: bool
    rows: bool = False

    def conflicts(self, other: Touch) -> bool:
        return (self.write or other.write) and self.region.meets(other.region)

    def crosses(self, other: Touch) -> bool:
        """Whether blocks of the two units may conflict that are not the same."""
        return self.conflicts(other) and not self.shares(other)

    def shares(self, other: Touch) -> bool:
        """Whether the same blocks of the two units touch the same parts of some memory."""
        return self.rows and other.rows and self.region == other.region


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
