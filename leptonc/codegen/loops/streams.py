"""Streams: runs of memory that a nest walks through side by side. Of more than hardware prefetchers follow, it asks ahead itself.

A square of Winograd's algorithms is written to 36 matrices, one for each of its points. Each is written from end to end, and yet
every line of every one is waited for: transforms of 1,024 squares of 64 channels took 2.3 ms, and take 1.3 if each access asks
for the line two lines on (Zen 3; four or eight lines on, 1.5 and 1.6).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from leptonc.codegen.loops.linear import LinearStage
from leptonc.ir.kernel import Axis, Load
from leptonc.memory import ALIGN
from leptonc.target import Target

FOLLOWED = 16  # streams that hardware follows, about
APART = 1024  # bytes between two streams, at least: what is nearer is in lines that others walk through
AHEAD = 2 * ALIGN  # bytes

Key = tuple[str, int]  # "load" and the number of an instruction, or "store" and that of a store


@dataclass(frozen=True)
class _Walk:
    """An access whose neighbours along the vector axis are neighbours in memory; ``start``: the byte of its buffer it begins at."""

    key: Key
    buffer: str
    start: int


def unfollowed(stage: LinearStage, vector: Axis | None, target: Target) -> frozenset[Key]:
    """The accesses that are to ask ahead along the vector axis: those of buffers with too many streams."""
    if vector is None or stage.reduces:
        return frozenset()
    walks: dict[str, list[_Walk]] = {}
    for walk in _walks(stage, vector.name, target.l1_bytes):
        walks.setdefault(walk.buffer, []).append(walk)
    return frozenset(walk.key for found in walks.values() if _streams(found) > FOLLOWED for walk in found)


def _walks(stage: LinearStage, vector: str, near: int) -> Iterator[_Walk]:
    """Of buffers of more than ``near`` bytes."""
    reads = [(("load", n), i.buffer, i.dtype, stage.loads[n]) for n, i in enumerate(stage.insts) if isinstance(i, Load)]
    writes = [(("store", n), s.buffer, stage.insts[s.value].dtype, access)
              for n, (s, access) in enumerate(zip(stage.stores, stage.targets))]
    for key, buffer, dtype, access in (*reads, *writes):
        if access.is_affine and access.stride(vector) == 1 and access.size * dtype.itemsize > near:
            yield _Walk(key, buffer, access.offset * dtype.itemsize)


def _streams(walks: list[_Walk]) -> int:
    starts = sorted(walk.start for walk in walks)
    return 1 + sum(after - before >= APART for before, after in pairwise(starts))
