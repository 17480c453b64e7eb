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
Places = range | frozenset[int]
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


def places(index: Index, extents: Extents) -> Places | None:
    """All places along a dimension that an index meets; None if they depend on values or a divisor, or are too many to list."""
    if index.values or index.div != 1:
        return None
    if not index.axes:
        return range(index.offset, index.offset + 1)
    if len(index.axes) == 1 and index.axes[0][1] == 1:
        return range(index.offset, index.offset + extents[index.axes[0][0]])
    terms = sorted(((abs(coeff), extents[axis]) for axis, coeff in index.axes if extents[axis] != 1))
    if any(extent == 0 for _, extent in terms):
        return range(0)
    found, step, count = span(index, extents), terms[0][0] if terms else 1, 1
    assert found is not None, "no values"
    for coeff, extent in terms:
        if coeff % step or coeff > step * count:
            return _listed(index, extents)
        count += coeff // step * (extent - 1)
    return range(found.low, found.high + 1, step)


def _listed(index: Index, extents: Extents) -> Places | None:
    """Places one by one."""
    if prod(extents[axis] for axis, _ in index.axes) > ENUMERATED:
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


def met(index: Sequence[Index], extents: Extents) -> tuple[Places, ...] | None:
    """The places of each dimension if an access meets every combination of them; None if that is not known."""
    names = [axis for i in index for axis, _ in i.axes]
    if len(set(names)) < len(names):
        return None
    sides = [places(i, extents) for i in index]
    return None if None in sides else tuple(side for side in sides if side is not None)


def box(accesses: Sequence[tuple[Places, ...]]) -> tuple[Interval, ...] | None:
    """The box of which accesses together meet every element, and nothing else, by the places that each of them meets; None if it
    is not known that there is one. Every combination of their places must be there."""
    if not accesses:
        return None
    if len(accesses) == 1:
        return _boxed([_run(side) for side in accesses[0]])
    sides = [list(dict.fromkeys(sides)) for sides in zip(*accesses)]
    if prod(map(len, sides)) != len(set(accesses)):
        return None
    return _boxed([_joined(side) for side in sides])


def _boxed(spans: Sequence[Interval | None]) -> tuple[Interval, ...] | None:
    return None if None in spans else tuple(s for s in spans if s is not None)


def _joined(parts: Sequence[Places]) -> Interval | None:
    """The interval that places are together; None if there are gaps, or nothing at all."""
    spans = [_run(part) for part in parts]
    if None not in spans:
        return _run_of(sorted(s for s in spans if s is not None))
    if len(parts) > 1:
        together = sum(map(len, parts))
        return None if together > ENUMERATED else _run(frozenset().union(*parts))
    return _run(parts[0])


def _run_of(parts: Sequence[Interval]) -> Interval | None:
    found = parts[0]
    for part in parts[1:]:
        if part.low > found.high + 1:
            return None
        found = found.hull(part)
    return found


def _run(numbers: Places) -> Interval | None:
    if not numbers:
        return None
    low, high = (numbers[0], numbers[-1]) if isinstance(numbers, range) else (min(numbers), max(numbers))
    return Interval(low, high) if high - low < len(numbers) else None


def disjoint(one: Sequence[Index], other: Sequence[Index], extents: Extents, others: Extents | None = None,
             values: Values = UNKNOWN) -> bool:
    """Whether two accesses to a buffer meet no element in common, each at any point of its own; ``others``: the extents of the
    second's axes, if they are not those of the first."""
    return any(_apart(a, b, extents, extents if others is None else others, values) for a, b in zip(one, other, strict=True))


def _apart(one: Index, other: Index, extents: Extents, others: Extents, values: Values) -> bool:
    """Whether two indices are never the same number: their spans lie apart, or their difference has a remainder, or what axes of
    small steps make of them within a large one."""
    if one.is_constant and other.is_constant:  # the usual case, and there may be hundreds of stores in a stage
        return one.offset * other.div != other.offset * one.div
    a, b = span(one, extents, values), span(other, others, values)
    if a is not None and b is not None and not a.scaled(other.div).meets(b.scaled(one.div)):
        return True
    steps = [other.div * coeff for axis, coeff in one.axes if extents[axis] > 1]
    steps += [one.div * coeff for axis, coeff in other.axes if others[axis] > 1]
    steps += [other.div * coeff for _, coeff in one.values] + [one.div * coeff for _, coeff in other.values]
    difference = one.offset * other.div - other.offset * one.div
    if difference % gcd(*steps) if any(steps) else difference:
        return True
    plain = not (one.values or other.values) and one.div == other.div == 1
    return plain and any(_apart_within(one, other, extents, others, step) for step in {abs(s) for s in steps if abs(s) > 1})


def _apart_within(one: Index, other: Index, extents: Extents, others: Extents, step: int) -> bool:
    """Whether the remainders of two indices by a step are never the same: both run over intervals of a circle."""
    a, b = span(_within(one, step), extents), span(_within(other, step), others)
    assert a is not None and b is not None, "no values"
    return (b.low - a.low) % step > a.high - a.low and (a.low - b.low) % step > b.high - b.low


def distinct_axes(index: Sequence[Index], extents: Extents, varies: Mapping[int, frozenset[str]] | None = None) -> frozenset[str]:
    """The axes along which an access meets no element twice: where they stand follows from the element.

    ``varies``: the axes along which values vary; without it they may along any. In each dimension the coefficients of what does
    not follow from other dimensions must be a mixed radix, each greater than the reach of all smaller ones.
    """
    known = frozenset(axis for axis, extent in extents.items() if extent <= 1)
    known |= {i.axes[0][0] for i in index if len(i.axes) == 1 and i.axes[0][1] and not i.values}
    left = [i for i in index if len(i.axes) > 1 or i.values]
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


def meet_at_one(one: Sequence[Index], other: Sequence[Index], axis: str, extents: Extents, others: Extents) -> bool:
    """Whether two accesses meet an element in common only where an axis of both stands at the same point, whatever all other axes
    do: in some dimension a step of it is more than what they make of difference, or those among them of steps less than another
    one, within that."""
    return any(_steps_over(a, b, axis, extents, others) for a, b in zip(one, other, strict=True))


def _steps_over(one: Index, other: Index, axis: str, extents: Extents, others: Extents) -> bool:
    coeff = one.coeff(axis)
    if one.div != other.div or other.coeff(axis) != coeff or one.values or other.values:
        return False
    first, second = at_first(one, (axis,)), at_first(other, (axis,))
    reach = abs(coeff) * (max(extents[axis], others[axis]) - 1)
    return _difference(first, second, extents, others) < abs(coeff) or any(
        _difference(_within(first, step), _within(second, step), extents, others) < min(abs(coeff), step - reach)
        for step in {abs(step) for name, step in (*one.axes, *other.axes) if name != axis and abs(step) > abs(coeff)})


def _difference(one: Index, other: Index, extents: Extents, others: Extents) -> int:
    """How far two indices without values are from each other at most."""
    a, b = span(one, extents), span(other, others)
    assert a is not None and b is not None, "no values"
    return max(abs(a.high - b.low), abs(b.high - a.low))


def _within(index: Index, step: int) -> Index:
    """What of an index is no multiple of a step."""
    return Index(tuple(term for term in index.axes if term[1] % step), index.offset % step)
