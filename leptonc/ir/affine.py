"""Facts of affine indices over the points of a loop nest, in one place: passes, the verifier and code generation ask here.

``extents`` has the extent of every axis that an index names. What an index says of a loop that never runs (an extent of 0)
is what it says of the loop's first point. A value from memory may be any number, unless its Interval stands in ``values``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import gcd, prod
from typing import NamedTuple

from leptonc.ir.kernel import Index

Extents = Mapping[str, int]
ENUMERATED = 1 << 16  # places along one dimension that are looked at one by one


class Interval(NamedTuple):
    """The integers from ``low`` to ``high``, both of them included."""

    low: int
    high: int

    def within(self, extent: int) -> bool:
        """Whether all of them are places of a dimension of that extent."""
        return self.low >= 0 and self.high < extent

    def meets(self, other: Interval) -> bool:
        return self.low <= other.high and other.low <= self.high

    def hull(self, other: Interval) -> Interval:
        """The smallest interval around both."""
        return Interval(min(self.low, other.low), max(self.high, other.high))

    def scaled(self, factor: int) -> Interval:
        return Interval(*sorted((self.low * factor, self.high * factor)))


Values = Mapping[int, Interval]
UNKNOWN: Values = {}


# One index


def span(index: Index, extents: Extents, values: Values = UNKNOWN) -> Interval | None:
    """Least and greatest number that an index is before its division; None if a value in it may be anything. Both are met if
    there are no values."""
    low = high = index.offset
    for axis, coeff in index.axes:
        reach = coeff * max(extents[axis] - 1, 0)
        low, high = low + min(reach, 0), high + max(reach, 0)
    for value, coeff in index.values:
        known = values.get(value)
        if known is None:
            return None
        reached = known.scaled(coeff)
        low, high = low + reached.low, high + reached.high
    return Interval(low, high)


def divides(index: Index, extents: Extents) -> bool:
    """Whether an index divides evenly at every point."""
    terms = [coeff for axis, coeff in index.axes if extents[axis] > 1] + [coeff for _, coeff in index.values]
    return not any(number % index.div for number in (index.offset, *terms))


def divided(index: Index) -> Index:
    """The index without a divisor, if it divides evenly whatever its axes and values are; else as it is."""
    terms = (*index.axes, *index.values)
    if index.div == 1 or index.offset % index.div or any(coeff % index.div for _, coeff in terms):
        return index
    return Index(tuple((axis, coeff // index.div) for axis, coeff in index.axes), index.offset // index.div,
                 tuple((value, coeff // index.div) for value, coeff in index.values))


def in_dimension(index: Index, extent: int, extents: Extents, values: Values = UNKNOWN) -> bool:
    """Whether an index is a place of a dimension of that extent at every point: it divides evenly and lies in [0, extent)."""
    reached = span(index, extents, values)
    return reached is not None and reached.within((extent - 1) * index.div + 1) and divides(index, extents)


def at_first(index: Index, axes: Iterable[str]) -> Index:
    """The index at the first point of some axes: without their terms."""
    gone = frozenset(axes)
    return Index(tuple(term for term in index.axes if term[0] not in gone), index.offset, index.values, index.div)


def terms_of(index: Index, axes: Iterable[str]) -> Index:
    """The terms of some axes alone, without offset, values and divisor."""
    kept = frozenset(axes)
    return Index(tuple(term for term in index.axes if term[0] in kept))


def in_blocks(index: Index, axis: str, extents: Extents) -> bool:
    """Whether the points of an axis have a block each of a dimension, one behind the other: ``axis * size + something in
    [0, size)``."""
    within = span(at_first(index, (axis,)), extents)
    return index.div == 1 and within is not None and within.within(index.coeff(axis))


def places(index: Index, extents: Extents) -> frozenset[int] | None:
    """All places along a dimension that an index meets; None if they depend on values or a divisor, or are too many to list."""
    if index.values or index.div != 1 or prod(extents[axis] for axis, _ in index.axes) > ENUMERATED:
        return None
    met = frozenset({index.offset})
    for axis, coeff in index.axes:
        met = frozenset(place + coeff * n for place in met for n in range(extents[axis]))
    return met


def counted_axes(index: Index, extents: Extents) -> frozenset[str]:
    """The axes whose points an index counts in row-major order, from 0; none if it does not, or names others than ``extents``."""
    reach, terms = 1, [(axis, coeff) for axis, coeff in index.axes if extents.get(axis) != 1]
    for axis, coeff in sorted(terms, key=lambda term: term[1]):
        if coeff != reach or axis not in extents:
            return frozenset()
        reach *= extents[axis]
    return frozenset() if index.offset or index.values or index.div != 1 else frozenset(axis for axis, _ in terms)


# All indices of an access


def in_range(index: Sequence[Index], shape: Sequence[int], extents: Extents, values: Values = UNKNOWN) -> bool:
    """Whether an access meets an element of a buffer of that shape at every point."""
    return all(in_dimension(i, extent, extents, values) for i, extent in zip(index, shape, strict=True))


def met(index: Sequence[Index], extents: Extents) -> tuple[frozenset[int], ...] | None:
    """The places of each dimension if an access meets every combination of them; None if that is not known."""
    names = [axis for i in index for axis, _ in i.axes]
    if len(set(names)) < len(names):
        return None
    sides = [places(i, extents) for i in index]
    return None if None in sides else tuple(side for side in sides if side is not None)


def box(index: Sequence[Index], extents: Extents) -> tuple[Interval, ...] | None:
    """The box of which an access meets every element, and nothing else; None if there is none."""
    sides = met(index, extents)
    spans = [run(side) for side in sides or ()]
    return None if sides is None or None in spans else tuple(s for s in spans if s is not None)


def run(numbers: frozenset[int]) -> Interval | None:
    """The interval that numbers are; None if there are gaps between them, or none of them."""
    if not numbers or max(numbers) - min(numbers) >= len(numbers):
        return None
    return Interval(min(numbers), max(numbers))


def disjoint(one: Sequence[Index], other: Sequence[Index], extents: Extents, others: Extents | None = None,
             values: Values = UNKNOWN) -> bool:
    """Whether two accesses to a buffer meet no element in common, each at any point of its own; ``others``: the extents of the
    second's axes, if they are not those of the first."""
    return any(_apart(a, b, extents, extents if others is None else others, values) for a, b in zip(one, other, strict=True))


def _apart(one: Index, other: Index, extents: Extents, others: Extents, values: Values) -> bool:
    """Whether two indices are never the same number: their spans lie apart, or their difference has a remainder."""
    a, b = span(one, extents, values), span(other, others, values)
    if a is not None and b is not None and not a.scaled(other.div).meets(b.scaled(one.div)):
        return True
    steps = [other.div * coeff for axis, coeff in one.axes if extents[axis] > 1]
    steps += [one.div * coeff for axis, coeff in other.axes if others[axis] > 1]
    steps += [other.div * coeff for _, coeff in one.values] + [one.div * coeff for _, coeff in other.values]
    difference = one.offset * other.div - other.offset * one.div
    return bool(difference % gcd(*steps) if any(steps) else difference)


def distinct_axes(index: Sequence[Index], extents: Extents, varies: Mapping[int, frozenset[str]] | None = None) -> frozenset[str]:
    """The axes along which an access meets no element twice: where they stand follows from the element.

    ``varies``: the axes along which values vary; without it they may along any. In each dimension the coefficients of what does
    not follow from other dimensions must be a mixed radix, each greater than the reach of all smaller ones.
    """
    known = frozenset(axis for axis, extent in extents.items() if extent <= 1)
    left = list(index)
    while True:
        found = [i for i in left if _follows(i, known, extents, varies)]
        if not found:
            return known & {axis for i in index for axis, _ in i.axes}
        known |= {axis for i in found for axis, _ in i.axes}
        left = [i for i in left if i not in found]


def _follows(index: Index, known: frozenset[str], extents: Extents, varies: Mapping[int, frozenset[str]] | None) -> bool:
    """Whether the places of an index say where its axes stand, if they say where the known ones do."""
    if index.values and (varies is None or any(not varies[value] <= known for value, _ in index.values)):
        return False
    reach = 0
    for axis, coeff in sorted(index.axes, key=lambda term: abs(term[1])):
        if axis not in known:
            if abs(coeff) <= reach:
                return False
            reach += abs(coeff) * (extents[axis] - 1)
    return True


def is_injective(index: Sequence[Index], axes: Iterable[str], extents: Extents,
                 varies: Mapping[int, frozenset[str]] | None = None) -> bool:
    """Whether no two points of the axes meet the same element."""
    moving = frozenset(axis for axis in axes if extents[axis] > 1)
    return moving <= distinct_axes(index, extents, varies)
