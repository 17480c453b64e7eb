"""Complex numbers in NumPy's order: comparisons, extremes and their places, with every special value; signs of infinite ones."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import lax
from leptonc import numpy as lnp

PARTS = (1.0, -0.0, 0.0, np.inf, -np.inf, np.nan, 2.0)
SPECIAL = np.array([complex(a, b) for a in PARTS for b in PARTS])


def same(got, wanted):
    assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
    np.testing.assert_array_equal(np.real(got), np.real(wanted))
    np.testing.assert_array_equal(np.imag(got), np.imag(wanted))


def test_of_two():
    names = ("less", "greater", "less_equal", "greater_equal", "maximum", "minimum")
    pairs = [x.ravel() for x in np.meshgrid(SPECIAL, SPECIAL)]
    with np.errstate(all="ignore"):
        for name, got in zip(names, leptonc.jit(lambda x, y: [getattr(lnp, n)(x, y) for n in names])(*pairs), strict=True):
            same(got, getattr(np, name)(*pairs))
        same(leptonc.jit(lnp.sign)(SPECIAL), np.sign(SPECIAL))


@pytest.mark.parametrize("axis", [0, 1, None])
def test_of_many(axis):
    rng, names = np.random.default_rng(1), ("max", "min", "argmax", "argmin")
    ties = (rng.integers(0, 2, (5, 9)) + 1j * rng.integers(0, 2, (5, 9))).astype(np.complex64)
    for x in (rng.choice(SPECIAL, (5, 9)), rng.choice(SPECIAL[~np.isnan(SPECIAL)], (5, 9)), ties):
        found = leptonc.jit(lambda x: [getattr(lnp, n)(x, axis) for n in names])(x)
        for name, got in zip(names, found, strict=True):
            same(got, np.asarray(getattr(np, name)(x, axis)))


def test_up_to_each_and_gradients():
    rng = np.random.default_rng(2)
    x = rng.standard_normal(9) + 1j * rng.standard_normal(9)
    up, down = leptonc.jit(lambda x: (lax.cummax(x), lax.cummin(x, 0, True)))(x)
    same(up, np.maximum.accumulate(x))
    same(down, np.minimum.accumulate(x[::-1])[::-1])
    most = np.arange(9) == np.argmax(x)
    same(leptonc.grad(lambda x: lnp.real(lnp.max(x) * (1 + 2j)))(x), np.where(most, 1 + 2j, 0))
    same(leptonc.grad(lambda x: lnp.real(lnp.sum(lnp.maximum(x, 0.5))))(x), np.where(x.real > 0.5, 1 + 0j, 0))
    same(leptonc.vmap(lnp.max)(x.reshape(3, 3)), x.reshape(3, 3).max(1))
    assert leptonc.jit(lambda x: lnp.max(x, where=x.real > 0, initial=-5))(x) == x.max()
    same(leptonc.jit(lax.div)(x, x[::-1]), leptonc.jit(lnp.divide)(x, x[::-1]))


def test_of_one_beside_a_known_number():
    x = np.complex64(1 - 2j)
    assert leptonc.jit(lambda x: leptonc.lax.reduce(x, lnp.asarray(-3, x.dtype), leptonc.lax.max, ()))(x) == x
