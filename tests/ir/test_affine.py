"""Facts of affine indices against every point looked at."""

from itertools import product

import numpy as np
import pytest

from leptonc.ir.affine import (
    Interval,
    box,
    counted_axes,
    disjoint,
    distinct_axes,
    divided,
    divides,
    in_blocks,
    in_dimension,
    is_injective,
    meet_at_one,
    places,
    span,
)
from leptonc.ir.affine import met as reached
from leptonc.ir.kernel import Index

AXES = ("i", "j", "k")


def drawn(rng, axes=AXES, div=True):
    names = [a for a in axes if rng.random() < 0.6]
    terms = tuple((a, int(rng.integers(-4, 5)) or 1) for a in names)
    return Index(terms, int(rng.integers(-6, 7)), div=int(rng.choice([1, 1, 2, 3])) if div else 1)


def numbers(index, extents):
    """The index before its division at every point of all axes."""
    points = product(*(range(extents[a]) for a in AXES))
    return [index.offset + sum(c * dict(zip(AXES, at))[a] for a, c in index.axes) for at in points]


def cases(seed, count=400):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield rng, {a: int(rng.integers(1, 5)) for a in AXES}


def test_span_and_range_are_those_of_all_points():
    for rng, extents in cases(1):
        index, extent = drawn(rng), int(rng.integers(0, 9))
        met = numbers(index, extents)
        assert span(index, extents) == Interval(min(met), max(met))
        inside = all(n % index.div == 0 and 0 <= n // index.div < extent for n in met)
        assert not in_dimension(index, extent, extents) or inside, (index, extents, extent)
        if index.div == 1:
            assert in_dimension(index, extent, extents) == inside, (index, extents, extent)


def test_values_are_unbounded_unless_known():
    index = Index((("i", 1),), 2, values=((0, -3),))
    assert span(index, {"i": 4}) is None
    assert not in_dimension(index, 1 << 60, {"i": 4})
    assert span(index, {"i": 4}, {0: Interval(-1, 5)}) == Interval(2 - 15, 2 + 3 + 3)


def test_division():
    for rng, extents in cases(2):
        index = drawn(rng)
        met = numbers(index, extents)
        if divides(index, extents):
            assert all(n % index.div == 0 for n in met)
        once = divided(index)
        if once != index:
            assert numbers(once, extents) == [n // index.div for n in met] and divides(index, extents)


def test_places_and_boxes():
    for rng, extents in cases(3):
        index = (drawn(rng, ("i", "j"), div=False), drawn(rng, ("k",), div=False))
        met = set(zip(*(numbers(i, extents) for i in index)))
        assert set(places(index[0], extents)) == {a for a, _ in met}, (index, extents)
        found = box([sides for sides in [reached(index, extents)] if sides])
        whole = {(a, b) for a in range(-40, 40) for b in range(-40, 40)
                 if found and found[0].low <= a <= found[0].high and found[1].low <= b <= found[1].high}
        assert found is None or whole == met
    assert reached((Index((("i", 1),)), Index((("i", 1),))), {"i": 3}) is None


def test_disjoint_accesses_share_no_element():
    told = 0
    for rng, extents in cases(4, 1000):
        one, other = (drawn(rng), drawn(rng)), (drawn(rng), drawn(rng))
        shared = elements(one, extents) & elements(other, extents)
        if disjoint(one, other, extents):
            assert not shared, (one, other, extents)
            told += 1
    assert told > 100


def elements(index, extents):
    """What an access meets where it divides evenly."""
    found = zip(*(numbers(i, extents) for i in index))
    return {tuple(n // i.div for n, i in zip(at, index)) for at in found if all(n % i.div == 0 for n, i in zip(at, index))}


def test_distinct_axes_follow_from_the_element():
    told = 0
    for rng, extents in cases(5, 1000):
        index = (drawn(rng, div=False), drawn(rng, div=False))
        points = list(product(*(range(extents[a]) for a in AXES)))
        at = dict(zip(points, zip(*(numbers(i, extents) for i in index))))
        found = distinct_axes(index, extents)
        for axis in found:
            n = AXES.index(axis)
            by_element = {}
            for point, element in at.items():
                assert by_element.setdefault(element, point[n]) == point[n], (index, extents, axis)
        told += is_injective(index, AXES, extents)
        assert not is_injective(index, AXES, extents) or len(set(at.values())) == len(points)
    assert told > 50


def test_an_axis_of_another_dimension_is_taken_out():
    index = (Index((("i", 1),)), Index((("i", 1), ("j", 1))))
    assert distinct_axes(index, {"i": 5, "j": 5}) == {"i", "j"}
    assert distinct_axes(index[1:], {"i": 5, "j": 5}) == set()


@pytest.mark.parametrize("varies, found", [(None, {"j"}), ({0: frozenset()}, {"i", "j"}), ({0: frozenset({"j"})}, {"i", "j"}),
                                           ({0: frozenset({"i"})}, {"j"})])
def test_values_hide_axes_unless_they_vary_along_known_ones(varies, found):
    index = (Index((("i", 1),), values=((0, 1),)), Index((("j", 2),), 1))
    assert distinct_axes(index, {"i": 4, "j": 4}, varies) == found


def test_blocks_and_counting():
    assert in_blocks(Index((("i", 4), ("j", -1)), 3), "i", {"i": 2, "j": 4})
    assert not in_blocks(Index((("i", 4), ("j", 1)), 1), "i", {"i": 2, "j": 4})
    assert counted_axes(Index((("i", 3), ("j", 1))), {"i": 5, "j": 3}) == {"i", "j"}
    assert not counted_axes(Index((("i", 2), ("j", 1))), {"i": 5, "j": 3})


def test_boxes_of_several_accesses():
    two = {"i": 3, "j": 5}
    even, odd = Index((("i", 2),)), Index((("i", 2),), 1)
    rows = Index((("j", 1),))
    assert box([reached((even, rows), two), reached((odd, rows), two)]) == (Interval(0, 5), Interval(0, 4))
    assert box([reached((even, rows), two)]) is None
    long = {"i": 1 << 20, "j": 1 << 20}
    parts = [reached((Index((("i", 1),)),), long), reached((Index((("j", 1),), 1 << 20),), long)]
    assert box(parts) == (Interval(0, (1 << 21) - 1),)
    assert box([parts[0], reached((Index((("j", 1),), (1 << 20) + 1),), long)]) is None
    a, b = Index((("i", 1),)), Index((("i", 1),), 3)
    assert box([reached((a, Index()), two), reached((b, Index(offset=1)), two)]) is None, "two corners of a square"


def test_accesses_that_meet_at_one_point_of_an_axis():
    told = 0
    for rng, extents in cases(6, 1000):
        step = Index((("i", int(rng.integers(1, 12))),))
        one, other = (step + drawn(rng, ("j", "k"), div=False),), (step + drawn(rng, ("j", "k"), div=False),)
        if meet_at_one(one, other, "i", extents, extents):
            told += bool(extents["i"] > 1)
            points = list(product(*(range(extents[a]) for a in AXES)))
            for p, a in zip(points, numbers(one[0], extents)):
                assert all(p[0] == q[0] for q, b in zip(points, numbers(other[0], extents)) if a == b), (one, other, extents)
    assert told > 20


def test_numbers_that_become_one_are_added_up():
    index = Index((("i", 1),), 2, ((3, 1), (4, 2)))
    assert index.renumbered({3: 0, 4: 0}) == Index((("i", 1),), 2, ((0, 3),))
    assert index.renumbered({3: 5, 4: 1}) == Index((("i", 1),), 2, ((1, 2), (5, 1)))
