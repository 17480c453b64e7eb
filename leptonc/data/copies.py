"""Examples that are there twice: exactly, nearly, and in parts of the data that should not share any."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from leptonc.data.findings import Issue

PART_ORDER = ("all", "train", "validation", "test")
NEAR_BITS = 10  # of 64, in which the hashes of near duplicates may differ
NEAR_CORRELATION = 0.97  # of the pixels at 32 x 32, which they must have
ROWS = 1024  # compared with all others at once


def equal(keys: Sequence[bytes]) -> list[list[int]]:
    """Groups of two or more that have one key."""
    found: dict[bytes, list[int]] = defaultdict(list)
    for n, key in enumerate(keys):
        found[key].append(n)
    return [group for group in found.values() if len(group) > 1]


def similar(hashes: np.ndarray, small: np.ndarray, keys: Sequence[bytes], usable: np.ndarray) -> list[list[int]]:
    """Groups of pictures that resemble each other, copies of one with one key included.

    ``hashes`` u64[n], ``small`` u8[n, 32, 32, 3]; pictures that are not ``usable``, for there is nothing on them, are no one's.
    """
    first: dict[bytes, int] = {}
    of = np.array([first.setdefault(key, n) for n, key in enumerate(keys)], np.int64)
    chosen = np.flatnonzero((of == np.arange(len(keys))) & usable)
    root = np.arange(len(keys))
    for a, b in _near_pairs(hashes[chosen], small[chosen]):
        _join(root, int(chosen[a]), int(chosen[b]))
    joined: dict[int, list[int]] = defaultdict(list)
    for n in range(len(keys)):
        joined[_root(root, int(of[n]))].append(n)
    return [group for group in joined.values() if len({keys[n] for n in group}) > 1]


def _near_pairs(hashes: np.ndarray, small: np.ndarray) -> Iterator[tuple[int, int]]:
    flat = small.reshape(len(small), math.prod(small.shape[1:]))
    for start in range(0, len(hashes), ROWS):
        apart = np.bitwise_count(hashes[start:start + ROWS, None] ^ hashes[None, start:])
        for row, other in np.argwhere(apart <= NEAR_BITS):
            if row < other and _correlation(flat[start + row], flat[start + other]) >= NEAR_CORRELATION:
                yield start + int(row), start + int(other)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    x, y = a - a.mean(), b - b.mean()
    return float((x * y).sum() / max(float(np.sqrt((x * x).sum() * (y * y).sum())), 1e-9))


def _root(root: np.ndarray, n: int) -> int:
    while root[n] != n:
        root[n] = root[root[n]]
        n = int(root[n])
    return n


def _join(root: np.ndarray, a: int, b: int) -> None:
    """The smaller number is the root, so that groups keep the order of the examples."""
    a, b = sorted((_root(root, a), _root(root, b)))
    root[b] = a


class Examples:
    """Names, parts and labels of examples, by which groups of copies become issues."""

    def __init__(self, names: Sequence[str | int], parts: Sequence[str], labels: Sequence[str | None]):
        self.names, self.parts, self.labels = names, parts, labels

    def exact_issues(self, groups: list[list[int]], same: str) -> Iterator[Issue]:
        """Of groups of equal examples; ``same``: what is the same of them."""
        for group in groups:
            for members in self._by_part(group).values():
                for n in members[1:]:
                    yield Issue("duplicate", self.names[n], f"{same} as {self._described(members[0], n)}",
                                (self.names[members[0]],))
            yield from self._leaks("leakage", group, f"{same} as", [b"" for _ in self.names])

    def near_issues(self, groups: list[list[int]], keys: Sequence[bytes]) -> Iterator[Issue]:
        """Of groups of similar examples; those with one key are none of each other's."""
        for group in groups:
            for members in self._by_part(group).values():
                for place, n in enumerate(members[1:], 1):
                    if keys[n] not in {keys[m] for m in members[:place]}:
                        yield Issue("near_duplicate", self.names[n], f"much like {self._described(members[0], n)}",
                                    (self.names[members[0]],))
            yield from self._leaks("near_leakage", group, "much like", keys)

    def _leaks(self, kind: str, group: list[int], what: str, keys: Sequence[bytes]) -> Iterator[Issue]:
        """Each example of an earlier part that a later one has too. Near ones (of different keys) only."""
        parts = self._by_part(group)
        for part, members in parts.items():
            later = [n for other, found in parts.items() if _place(other) > _place(part) for n in found]
            for n in members:
                same = [m for m in later if kind == "leakage" or keys[m] != keys[n]]
                if same:
                    yield Issue(kind, self.names[n], f"{what} {self._described(same[0], n)} of {self.parts[same[0]]}",
                                tuple(self.names[m] for m in same))

    def _by_part(self, group: list[int]) -> dict[str, list[int]]:
        found: dict[str, list[int]] = defaultdict(list)
        for n in sorted(group, key=lambda n: (_place(self.parts[n]), n)):
            found[self.parts[n]].append(n)
        return found

    def _described(self, n: int, compared: int) -> str:
        other = self.labels[n] is not None and self.labels[n] != self.labels[compared]
        return f"{_name(self.names[n])}{f', which is labelled {self.labels[n]}' if other else ''}"


def _name(name: str | int) -> str:
    return name if isinstance(name, str) else f"row {name}"


def _place(part: str) -> int:
    return PART_ORDER.index(part)
