"""Threefry's known answers, the same bits compiled and eager, moments of the distributions."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import random
from leptonc.errors import DtypeError


@pytest.mark.parametrize("key, counter, wanted", [
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
])
def test_known_answers(key, counter, wanted):
    """The test vectors of Random123."""
    x0, x1 = (np.array([c], np.uint32) for c in counter)
    for run in (random.threefry, leptonc.jit(random.threefry)):
        a, b = run(np.array(key, np.uint32), x0, x1)
        assert (int(a[0]), int(b[0])) == wanted


@pytest.mark.parametrize("draw", [
    lambda key: random.bits(key, (7, 3)), lambda key: random.uniform(key, (1001,)), lambda key: random.split(key, 5),
    lambda key: random.bernoulli(key, 0.3, (50,)), lambda key: random.randint(key, (40,), -3, 9),
    lambda key: random.uniform(key, (8,), "f8", -1, 1), lambda key: random.fold_in(key, 3),
])
def test_same_bits_compiled_and_eager(draw):
    key = random.key(42)
    compiled, eager = leptonc.jit(draw)(key), draw(key)
    assert compiled.dtype == eager.dtype
    np.testing.assert_array_equal(compiled, eager)


def test_moments():
    n = 200_000
    uniform, normal = random.uniform(random.key(1), (n,)), random.normal(random.key(2), (n,))
    assert uniform.dtype == normal.dtype == np.float32
    assert 0 <= uniform.min() and uniform.max() < 1
    np.testing.assert_allclose([uniform.mean(), uniform.var()], [1 / 2, 1 / 12], atol=3e-3)
    np.testing.assert_allclose([normal.mean(), normal.var(), (normal**3).mean(), (normal**4).mean()], [0, 1, 0, 3], atol=5e-2)
    np.testing.assert_allclose(random.exponential(random.key(3), (n,)).mean(), 1, atol=1e-2)
    counts = np.bincount(random.randint(random.key(4), (n,), 0, 10), minlength=10)
    assert counts.min() > 0.95 * n / 10
    np.testing.assert_allclose(random.normal(random.key(2), (n,), "f8").std(), 1, atol=1e-2)


def test_keys_are_independent():
    keys = random.split(random.key(0), 100)
    assert len({tuple(k) for k in keys}) == 100
    draws = np.stack([random.uniform(k, (1000,)) for k in keys])
    assert abs(np.corrcoef(draws)[np.triu_indices(100, 1)]).max() < 0.2


def test_errors():
    with pytest.raises(DtypeError, match="key"):
        random.uniform(np.zeros(2), (3,))
    with pytest.raises(DtypeError, match="float"):
        random.uniform(random.key(0), (3,), "i4")


def test_elements_of_bernoulli_are_drawn_on_their_own():
    p = np.full(1000, 0.5, np.float32)
    draws = random.bernoulli(random.key(0), p)
    assert draws.shape == (1000,) and 400 < draws.sum() < 600
    np.testing.assert_array_equal(draws, leptonc.jit(lambda k, p: random.bernoulli(k, p))(random.key(0), p))
    assert random.bernoulli(random.key(0)).shape == ()


def test_the_widest_range_of_ints():
    draws = random.randint(random.key(1), (1000,), -2**31, 2**31)
    assert draws.dtype == np.int32 and draws.min() < -2**30 and draws.max() > 2**30
