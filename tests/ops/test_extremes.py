"""Greatest and least elements: signs of zero in every vector width and tail, ties, and what long reductions are padded with."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import disable_jit, jit, nn
from leptonc import numpy as lnp
from leptonc.ir.interpret import run_kernel
from leptonc.ir.op import get_op
from leptonc.ir.types import type_of_array
from leptonc.target import TARGETS, host_target

RUNNING = list(TARGETS)[:list(TARGETS).index(host_target().name) + 1]


@pytest.mark.parametrize("target", RUNNING)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("length", [1, 2, 7, 16, 37])
def test_of_two_equal_zeros_the_second_is_taken(monkeypatch, target, dtype, length):
    """As NumPy: compiled, eager and in the reference interpreter, in every lane and in the tail; relu(-0.0) is 0.0."""
    monkeypatch.setenv("LEPTONC_TARGET", target)
    n = np.arange(length)
    a, b = (np.where(n % k < k // 2, 0.0, -0.0).astype(dtype) for k in (2, 4))

    def f(a, b):
        return lnp.maximum(a, b), lnp.minimum(a, b), lnp.maximum(b, a), lnp.minimum(b, a), nn.relu(a), lnp.clip(a, -0.0, 0.0)

    def interpreted(a, b):
        def one(op, *arrays):
            return run_kernel(get_op(op).lower(*map(type_of_array, arrays)), arrays)[0]

        return one("max", a, b), one("min", a, b), one("max", b, a), one("min", b, a), one("relu", a)

    wanted = (b, b, a, a, np.zeros_like(a), np.zeros_like(a))
    with disable_jit():
        eager = jit(f)(a, b)
    for found in (jit(f)(a, b), eager, interpreted(a, b), (np.maximum(a, b), np.minimum(a, b))):
        for got, expected in zip(found, wanted):
            np.testing.assert_array_equal(np.signbit(got), np.signbit(expected))
            assert not np.any(got)


@pytest.mark.parametrize("target", RUNNING)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("width", [1, 5, 40])
def test_an_extreme_beside_its_position_is_the_extreme(monkeypatch, target, dtype, width):
    """One search finds both: the first of equals gives the position, the second the sign of zero, and a NaN stays."""
    monkeypatch.setenv("LEPTONC_TARGET", target)
    columns = [[0.0, -0.0, -1.0], [-0.0, 0.0, -1.0], [-2.0, -0.0, 0.0], [np.nan, 0.0, -0.0], [-0.0, np.nan, 0.0],
               [0.0, -0.0, np.nan], [np.nan, np.inf, np.nan], [-np.inf, -0.0, 0.0]]
    x = np.array(columns, dtype).T[:, np.arange(width) % len(columns)]

    def f(x):
        return lnp.max(x, 0), lnp.argmax(x, 0), lnp.min(-x, 0), lnp.argmin(-x, 0)

    with disable_jit():
        eager = f(x)
    for found in (jit(f)(x), eager):
        for got, wanted in zip(found, (x.max(0), x.argmax(0), (-x).min(0), (-x).argmin(0))):
            np.testing.assert_array_equal(got, wanted)
            np.testing.assert_array_equal(np.signbit(got)[~np.isnan(got)], np.signbit(wanted)[~np.isnan(wanted)])


def test_a_pool_that_notes_where_its_maximum_was_gives_the_same_one():
    x = np.array([0.0, -0.0, -0.0, 0.0, -1.0, -0.0, 0.0, -np.inf], "f").reshape(1, 8, 1)
    wanted = np.array([-0.0, 0.0, -0.0, 0.0], "f").reshape(1, 4, 1)
    for found in (jit(lambda x: nn.max_pool(x, 2))(x), jit(leptonc.value_and_grad(_pooled, has_aux=True))(x)[0][1]):
        np.testing.assert_array_equal(np.signbit(found), np.signbit(wanted))


def _pooled(x):
    pooled = nn.max_pool(x, 2)
    return lnp.sum(pooled * pooled), pooled


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "i8"])
@pytest.mark.parametrize("shape, axis", [((9_001,), 0), ((3, 8_195), 1), ((8_195, 3), 0), ((97, 89), None), ((5, 70_001), None)])
def test_long_reductions_are_padded_with_what_changes_nothing(shape, axis, dtype):
    """The greatest of negative numbers, the least of positive ones, products and sums of numbers that a pad would change."""
    rng = np.random.default_rng(3)
    size = int(np.prod(shape))
    low = -(rng.permutation(size).reshape(shape) + 5).astype(dtype)
    ones = np.where(rng.random(shape) < 0.5, -1, 1).astype(dtype)

    def f(low, ones):
        found = [lnp.max(low, axis), lnp.min(-low, axis), lnp.sum(ones, axis), lnp.prod(ones, axis), lnp.all(ones != 0, axis),
                 lnp.any(low == 0, axis)]
        return [*found, lnp.argmax(low, axis), lnp.argmin(-low, axis)]

    wanted = [low.max(axis), (-low).min(axis), ones.sum(axis), ones.prod(axis), np.full(low.max(axis).shape, True),
              np.full(low.max(axis).shape, False), low.argmax(axis), (-low).argmin(axis)]
    for got, expected in zip(leptonc.jit(f)(low, ones), wanted):
        np.testing.assert_array_equal(got, expected)


def _ends(rng, shape, dtype, kind):
    """Arrays with many equal extremes, NaN, or nothing above what a search begins with."""
    x = rng.integers(-3, 4, shape).astype(dtype)
    if kind == "least":
        x[:] = -np.inf if dtype[0] == "f" else np.iinfo(dtype).min
    elif kind == "odd" and dtype[0] == "f":
        x[rng.random(shape) < 0.9] = -np.inf
        x[rng.random(shape) < 0.02] = np.nan
        x[x == 0] = np.copysign(0, rng.standard_normal(int((x == 0).sum())))
    return x


@pytest.mark.parametrize("target", RUNNING)
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "u1", "f2"])
@pytest.mark.parametrize("shape, axis", [((8,), None), ((33,), None), ((1000,), 0), ((3, 65), 1), ((5, 7, 40), None)])
def test_the_first_of_equal_extremes_is_found_in_lanes(monkeypatch, target, dtype, shape, axis):
    """In a row positions are looked for in many lanes, each of which has a first one of its own."""
    monkeypatch.setenv("LEPTONC_TARGET", target)
    rng = np.random.default_rng(6)

    def f(x):
        return lnp.argmax(x, axis), lnp.argmin(x, axis), lnp.max(x, axis)

    search = leptonc.jit(f)
    for kind in ("equal", "least", "odd"):
        x = _ends(rng, shape, dtype, kind)
        for got, wanted in zip(search(x), (x.argmax(axis), x.argmin(axis), x.max(axis))):
            np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("x", [[-1.0, -5.0, -2.0, -7.0, -3.0], [-np.inf] * 5, [-1e30, -1e38, -3e38, -1.0, -2.0]])
def test_pooling_of_negatives_takes_no_padding(x):
    image = np.array(x, "f").reshape(1, 5, 1)
    padded = np.pad(image[0, :, 0], 2, constant_values=-np.inf)
    wanted = [padded[k:k + 3].max() for k in range(0, 7, 2)]
    got = jit(lambda x: nn.max_pool(x, 3, stride=2, padding=((2, 2),)))(image)
    np.testing.assert_array_equal(got[0, :, 0], wanted)
