"""leptonc.nn's pools against their definition, one window at a time: dilation, what ceil_mode adds, places, norms."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import leptonc
from leptonc import nn
from leptonc.errors import LeptonError
from tests.compare import both


def windows(x, size, stride, pads, dilation, ceil):
    """For each place of the result the positions of x in its window, as (index, cells counted with the padding)."""
    counts = []
    for n, k, s, d, (low, high) in zip(x.shape[1:-1], size, stride, dilation, pads):
        room = n + low + high - (k - 1) * d - 1
        count = (-(-room // s) if ceil else room // s) + 1
        counts.append(count - (ceil and (count - 1) * s >= n + low))
    for at in product(*map(range, counts)):
        lines = [[p * s - low + t * d for t in range(k)] for p, s, (low, _), d, k in zip(at, stride, pads, dilation, size)]
        counted = np.prod([sum(-low <= i < n + high for i in line) for line, n, (low, high) in zip(lines, x.shape[1:-1], pads)])
        yield at, [p for p in product(*lines) if all(0 <= i < n for i, n in zip(p, x.shape[1:-1]))], counted


CASES = {
    "dilated": ((2, 3), (1, 2), ((0, 0), (1, 1)), (2, 1), False),
    "padding as wide as a window": ((2, 2), (2, 2), ((2, 1), (0, 3)), (1, 1), False),
    "ceil": ((3, 2), (2, 2), ((0, 0), (0, 0)), (1, 1), True),
    "ceil, and a window that would begin in the padding": ((2, 3), (2, 3), ((1, 1), (1, 2)), (1, 1), True),
    "ceil and stride beyond the window": ((1, 2), (3, 3), ((0, 0), (0, 1)), (1, 2), True),
    "cropped": ((2, 2), (1, 1), ((-1, 0), (0, -2)), (1, 1), False),
    "one axis": ((3,), (2,), ((1, 2),), (2,), True),
    "three axes": ((2, 1, 2), (1, 1, 2), ((0, 1), (0, 0), (1, 0)), (1, 1, 2), False),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_pools_are_their_definition(case, rng):
    size, stride, pads, dilation, ceil = case
    x = rng.integers(-9, 9, (2, *(7, 6, 5)[:len(size)], 3)).astype(np.float64)  # with ties
    options = {"stride": stride, "padding": pads, "dilation": dilation, "ceil_mode": ceil}
    values, places, alone, mean, counted, cubes, norm = both(lambda x: (
        *nn.max_pool(x, size, **options, return_indices=True), nn.max_pool(x, size, **options), nn.avg_pool(x, size, **options),
        nn.avg_pool(x, size, **options, count_include_pad=True), nn.lp_pool(x, 3, size, **options),
        nn.lp_pool(x, 2, size, **options)), x)
    np.testing.assert_array_equal(alone, values)
    seen = 0
    for at, inside, cells in windows(x, size, stride, pads, dilation, ceil):
        index, seen = (slice(None), *at), seen + 1
        if not inside:
            assert (alone[index] == -np.inf).all() and (places[index] == -1).all() and np.isnan(mean[index]).all()
            continue
        found = np.stack([x[(slice(None), *p)] for p in inside])
        flat = np.ravel_multi_index(np.transpose(inside), x.shape[1:-1])
        np.testing.assert_array_equal(values[index], found.max(0))
        np.testing.assert_array_equal(places[index], flat[found.argmax(0)])
        np.testing.assert_allclose(mean[index], found.mean(0), atol=1e-12)
        np.testing.assert_allclose(counted[index], found.sum(0) / cells, atol=1e-12)
        np.testing.assert_allclose(cubes[index], (np.abs(found) ** 3).sum(0) ** (1 / 3), atol=1e-12)
        np.testing.assert_allclose(norm[index], np.sqrt((found**2).sum(0)), atol=1e-12)
    assert seen == np.prod(values.shape[1:-1])


def test_places_of_nan_and_of_the_least_number():
    x = np.array([-np.inf, -np.inf, 3, np.nan, 5, np.nan, 2, -np.inf]).reshape(1, 8, 1)
    values, places = both(lambda x: nn.max_pool(x, 2, stride=1, padding=1, return_indices=True), x)
    assert places.ravel().tolist() == [0, 0, 2, 3, 3, 5, 5, 6, 7]
    np.testing.assert_array_equal(values.ravel(), x.ravel()[places.ravel()])
    numbers = np.full((1, 3, 1), np.iinfo(np.int8).min, np.int8)
    assert both(lambda x: nn.max_pool(x, 2, padding=1, return_indices=True), numbers)[1].ravel().tolist() == [0, 1]


def test_gradients_of_other_pools_go_where_those_of_windows_go(rng):
    x = rng.standard_normal((1, 7, 6, 2))
    dilated = leptonc.jit(leptonc.grad(lambda x: (nn.max_pool(x, 2, dilation=2, stride=1) ** 2).sum()))(x)
    wanted = np.zeros_like(x)
    for _, inside, _ in windows(x, (2, 2), (1, 1), ((0, 0),) * 2, (2, 2), False):
        found = np.stack([x[(0, *p)] for p in inside])
        for c, k in enumerate(found.argmax(0)):
            wanted[(0, *inside[k], c)] += 2 * found[k, c]
    np.testing.assert_allclose(dilated, wanted)
    ties = leptonc.grad(lambda x: nn.max_pool(x, 3, dilation=2).sum())(np.ones((1, 5, 5, 1)))
    assert ties.sum() == 1


def test_divisor_and_what_does_not_fit(rng):
    x = rng.standard_normal((1, 4, 4, 1))
    (got,) = both(lambda x: nn.avg_pool(x, 2, divisor_override=3), x)
    np.testing.assert_allclose(got, nn.avg_pool(x, 2) * 4 / 3)
    for call in (lambda x: nn.max_pool(x, 3, dilation=2), lambda x: nn.avg_pool(x, 2, divisor_override=0),
                 lambda x: nn.lp_pool(x, 2, 5), lambda x: nn.max_pool(x, 2, ceil_mode=3),
                 lambda x: nn.lp_pool(x.astype(int), 2, 2)):
        with pytest.raises(LeptonError):
            leptonc.jit(call)(x)
