"""Whether sets of bytes meet that are sums of strides: by coordinates in a mixed radix.

Strides of a row-major buffer divide each other, so a byte's place has one coordinate for each of them, as a number has digits:
``(place % stride above) // stride``. Two sets whose coordinates differ at some stride do not meet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import gcd, prod
from typing import NamedTuple

KEPT = 4096  # answers
MOST_LISTED = 1 << 16  # bytes that are looked at one by one where coordinates do not tell


@dataclass(frozen=True)
class Span:
    """``run`` bytes at ``start`` and at all sums of ``terms``, (stride, extent), moved by digits: a digit's points lie
    ``digits[n]`` bytes apart."""

    start: int
    terms: tuple[tuple[int, int], ...]
    run: int
    digits: tuple[int, ...] = ()


class _Coordinate(NamedTuple):
    """Of the places of a span at one stride: ``low`` to ``high`` where all digits are 0, up to ``highest`` for any.
    ``moves``: (digit, by how much each of its points moves the coordinate). ``rest``, ``last``: least and greatest remainder."""

    low: int
    high: int
    highest: int
    moves: tuple[tuple[int, int], ...]
    rest: int
    last: int


_Row = list[_Coordinate | None]  # of each span, at one stride; None: may be anything


def all_disjoint(spans: Sequence[Span], extents: Sequence[int]) -> bool:
    """Whether no two of the spans meet, and none meets itself, where any of the digits differ, which have ``extents`` points. False
    if that cannot be told."""
    clusters = _clusters([_forward(span, extents) for span in spans if not _is_empty(span)], extents)
    return all(_told(_moved(cluster), tuple(extents)) or _digits_tell(cluster, extents) for cluster in clusters)


def disjoint(one: Span, other: Span, extents: Sequence[int] = ()) -> bool:
    """The same of two spans; without digits, whether they do not meet at all."""
    moved, points = _moved((one, other)), tuple(extents)
    return _apart(*moved, points) or (moved[0] is not one and _apart(one, other, points))


def _moved(spans: Sequence[Span]) -> tuple[Span, ...]:
    """The same to each other, from 0 on: equal layers, and parts of one, have many that lie elsewhere."""
    first = min(span.start for span in spans)
    return tuple([Span(s.start - first, s.terms, s.run, s.digits) for s in spans]) if first else tuple(spans)


@lru_cache(KEPT)
def _told(spans: tuple[Span, ...], extents: tuple[int, ...]) -> bool:
    return _digits_tell(spans, extents)


@lru_cache(KEPT)
def _apart(one: Span, other: Span, extents: tuple[int, ...]) -> bool:
    if _is_empty(one) or _is_empty(other):
        return True
    spans = [_forward(span, extents) for span in (one, other)]
    tables = (_rows(spans, extents, radix) for radix in _with_thinner(_radices(spans)))
    if len(_clusters(spans, extents)) == 2 or any(_never_meet(row) for rows in tables for row in rows):
        return True
    told = bool(extents) and (_digits_tell(spans, extents) or _digits_tell(_moved(spans), extents))
    return told or _listed_apart(one, other, extents)


def _clusters(spans: Sequence[Span], extents: Sequence[int]) -> list[list[Span]]:
    """Spans whose first and last bytes overlap, together."""
    out, stop = list[list[Span]](), 0
    for span in sorted(spans, key=lambda span: span.start):
        if not out or span.start >= stop:
            out.append([])
        out[-1].append(span)
        stop = max(stop, span.start + _reach(span, extents))
    return out


def _reach(span: Span, extents: Sequence[int]) -> int:
    return sum(s * (n - 1) for s, n in span.terms) + sum(abs(s) * (n - 1) for s, n in zip(span.digits, extents)) + span.run


def _digits_tell(spans: Sequence[Span], extents: Sequence[int]) -> bool:
    """Whether any digit tells all of the spans apart."""
    tables = (_rows(spans, extents, radix) for radix in _radices(spans))
    return any(all(any(_tells_apart(row, n, extents) for row in rows) for n in range(len(extents))) for rows in tables)


def _listed_apart(one: Span, other: Span, extents: Sequence[int]) -> bool:
    """The same byte by byte, if they are few: strides that do not divide each other."""
    if any(prod((*extents, *(n for _, n in span.terms), span.run)) > MOST_LISTED for span in (one, other)):
        return False
    (places, points), (others, other_points) = (_listed(span, extents) for span in (one, other))
    known = dict[int, set[int]]()
    for place, point in zip(places, points):
        known.setdefault(place, set()).add(point)
    if not extents:
        return known.keys().isdisjoint(others)
    return all(known.get(place, {point}) == {point} for place, point in zip(others, other_points))


def _listed(span: Span, extents: Sequence[int]) -> tuple[list[int], list[int]]:
    """All bytes of a span, and the number of the point of the digits that each belongs to."""
    found = [(span.start, 0)]
    for stride, extent in zip(span.digits, extents):
        found = [(place + stride * n, point * extent + n) for place, point in found for n in range(extent)]
    for stride, extent in (*span.terms, (1, span.run)):
        found = [(place + stride * n, point) for place, point in found for n in range(extent)]
    return [place for place, _ in found], [point for _, point in found]


def _is_empty(span: Span) -> bool:
    return any(extent <= 0 for _, extent in span.terms)


def _tells_apart(row: _Row, digit: int, extents: Sequence[int]) -> bool:
    """Whether coordinates at this stride differ for any two points of a digit, whatever the other digits: those that move them are
    a mixed radix, each of whose steps is more than all smaller ones and the terms make of difference."""
    known = [c for c in row if c is not None]
    if len(known) < len(row) or any(c.moves != known[0].moves for c in known) or digit not in dict(known[0].moves):
        return False
    reach = max(c.high for c in known) - min(c.low for c in known)
    for moved, step in sorted(known[0].moves, key=lambda move: abs(move[1])):
        if abs(step) <= reach:
            return False
        reach += abs(step) * (extents[moved] - 1)
    return True


def _never_meet(row: _Row) -> bool:
    one, other = row
    if one is None or other is None:
        return False
    return one.highest < other.low or other.highest < one.low or one.last < other.rest or other.last < one.rest


def _forward(span: Span, extents: Sequence[int]) -> Span:
    """The same bytes by positive strides, terms that follow each other without a gap as one. Digits of negative ones count down."""
    start = span.start + sum(s * (n - 1) for s, n in (*span.terms, *zip(span.digits, extents)) if s < 0)
    run, terms = span.run, list[tuple[int, int]]()
    for stride, extent in sorted((abs(s), n) for s, n in span.terms if s and n > 1):
        if not terms and stride == run:
            run *= extent
        elif terms and stride == terms[-1][0] * terms[-1][1]:
            terms[-1] = terms[-1][0], terms[-1][1] * extent
        else:
            terms.append((stride, extent))
    return Span(start, tuple(terms), run, span.digits)


def _rows(spans: Sequence[Span], extents: Sequence[int], radix: Sequence[int]) -> list[_Row]:
    shapes = dict[tuple[object, ...], list[_Level]]()
    columns = list[_Row]()
    for span in spans:
        key = span.terms, span.run, span.digits
        if key not in shapes:
            shapes[key] = _levels(span, extents, radix)
        columns.append(_coordinates(span.start, shapes[key]))
    return [list(row) for row in zip(*columns, strict=True)]


def _radices(spans: Sequence[Span]) -> list[list[int]]:
    """Strides and runs, the largest first, that divide each other, and 1; those that do not divide the one before are left out, or
    stand for what both are multiples of, or are left out with what all spans lie apart among them."""
    strides = {s for span in spans for s, _ in span.terms} | {abs(s) for span in spans for s in span.digits if s}
    strides |= {span.run for span in spans}
    apart = gcd(*(span.start - spans[0].start for span in spans))
    divisors = list[int]()
    for stride in sorted(strides | {1}, reverse=True):
        common = gcd(divisors[-1], stride) if divisors else stride
        if not divisors or common < divisors[-1]:
            divisors.append(common)
    return [_dividing(strides | {1}), divisors, *([_dividing(strides | {1, apart})] if apart > 1 and apart not in strides else [])]


def _dividing(strides: set[int]) -> list[int]:
    """Each that divides the one before."""
    some = list[int]()
    for stride in sorted(strides, reverse=True):
        if not some or some[-1] % stride == 0:
            some.append(stride)
    return some


def _with_thinner(radices: Sequence[list[int]]) -> Iterator[list[int]]:
    """Both, and the first without one of its strides: where a span has several points of a stride and goes on beyond the next
    one, as rows around tiles of some of them, that next one tells nothing."""
    yield from radices
    first = radices[0]
    yield from ([*first[:n], *first[n + 1:]] for n in range(len(first) - 1))


@dataclass(frozen=True)
class _Level:
    """What terms and digits of a span do to its coordinate at a stride, and how far those of smaller strides reach."""

    stride: int
    spread: int
    moved: int
    moves: tuple[tuple[int, int], ...]
    below: int


def _levels(span: Span, extents: Sequence[int], radix: Sequence[int]) -> list[_Level]:
    out, terms = list[_Level](), list(span.terms)
    digits = [(n, s, extent - 1) for n, (s, extent) in enumerate(zip(span.digits, extents)) if s]
    for stride in radix:
        spread = sum(s // stride * (n - 1) for s, n in terms if s % stride == 0)
        here = [(n, s // stride, last) for n, s, last in digits if s % stride == 0]
        terms = [(s, n) for s, n in terms if s % stride]
        digits = [(n, s, last) for n, s, last in digits if s % stride]
        below = sum(s * (n - 1) for s, n in terms) + sum(abs(s) * last for _, s, last in digits) + span.run - 1
        moved = sum(abs(s) * last for _, s, last in here)
        out.append(_Level(stride, spread, moved, tuple((n, s) for n, s, _ in here), below))
    return out


def _coordinates(start: int, levels: Sequence[_Level]) -> _Row:
    out = _Row()
    for level in levels:
        low, rest = divmod(start, level.stride)
        carried = (rest + level.below) // level.stride
        high = low + level.spread + carried
        remainders = (0, level.stride - 1) if carried else (rest, rest + level.below)
        out.append(_Coordinate(low, high, high + level.moved, level.moves, *remainders))
        if carried:
            break
        start = rest
    return out + [None] * (len(levels) - len(out))
