"""Signs of zero in whole programs: what NumPy gives, compiled and eager, fused or not."""

from __future__ import annotations

import numpy as np
import pytest

from leptonc import disable_jit, jit, lax, nn
from leptonc import numpy as lnp


def same_bits(got, wanted):
    np.testing.assert_array_equal(got, wanted)
    np.testing.assert_array_equal(np.signbit(got), np.signbit(wanted))


def around(x, number):
    return lax.pad(x, number, [(1, 1, 0), (1, 1, 0)])


@pytest.mark.parametrize("f", [
    lambda x: around(x, -0.0),
    lambda x: (around(x, 0.0), around(x, -0.0)),
    lambda x: (around(x * 2, 0.0) * 2, around(x * 2, -0.0) * 2, around(x * 2, -0.0)[1:, 1:] + around(x * 2, -0.0)[:-1, :-1]),
    lambda x: around(x, 0.0) + around(x, -0.0),
    lambda x: lax.pad(x, -0.0, [(0, 2, 1), (1, 0, 2)]),
    lambda x: lnp.concatenate([x, lnp.full((1, 4), -0.0, "f"), lnp.zeros((1, 4), "f")]),
    lambda x: (lnp.full((3, 4), -0.0, "f") * x, lnp.full((3, 4), 0.0, "f") * x),
], ids=["one", "both", "fused", "added", "interior", "joined", "filled"])
def test_pads_and_constants_of_both_signs(f):
    """0.0 and -0.0 are equal and not the same: neither takes the other's place."""
    x = np.ones((3, 4), "f")
    compiled = jit(f)(x)
    with disable_jit():
        eager = jit(f)(x)
    both = (compiled, eager) if isinstance(compiled, tuple) else ((compiled,), (eager,))
    for got, wanted in zip(*both, strict=True):
        same_bits(got, wanted)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 4), (5, 70), (2, 9_000)])
def test_sums_of_negative_zeros_are_positive(shape, dtype):
    """NumPy's sum begins with 0.0, its cumulative sum with the first element, its product of an odd number is negative."""
    x = np.full(shape, -0.0, dtype)

    def f(x):
        sums = lnp.sum(x), lnp.sum(x, 0), lnp.sum(x * 1.0, 1), lnp.mean(x, 1)
        return *sums, lnp.cumsum(x, 1), lnp.prod(x, 1), x @ x.T

    wanted = np.sum(x), np.sum(x, 0), np.sum(x, 1), np.mean(x, 1), np.cumsum(x, 1), np.prod(x, 1)
    with disable_jit():
        eager = jit(f)(x)
    for found in (jit(f)(x), eager):
        for got, right in zip(found, wanted):
            same_bits(got, right)
    assert not np.signbit(jit(f)(x)[6]).any()  # eager products are BLAS's, which does as it likes


def test_convolutions_and_pools_of_negative_zeros():
    x, w = np.full((1, 5, 5, 2), -0.0, "f"), np.ones((3, 3, 2, 4), "f")
    conv, mean, greatest = jit(lambda x, w: (nn.conv(x, w, padding=1), nn.avg_pool(x, 2), nn.max_pool(x, 2)))(x, w)
    assert not np.signbit(conv).any() and not np.signbit(mean).any() and np.signbit(greatest).all()


def test_elementwise_chains_keep_signs():
    x = np.array([0.0, -0.0, 0.4, -0.4, -1.0, 1.0], "f8")

    def f(m, x):
        return (-x, m.abs(x), m.trunc(x), m.rint(x), m.ceil(x), m.where(x > 1, x, -0.0), m.remainder(x, 2.0),
                m.remainder(x, -2.0), m.floor_divide(x, -2.0), x * 0.0, x - x, -x + x, m.sqrt(-x * 0.0), m.sin(x * 0.0),
                m.tanh(-x * 0.0), m.expm1(x * 0.0))

    with disable_jit():
        eager = jit(lambda x: f(lnp, x))(x)
    for found in (jit(lambda x: f(lnp, x))(x), eager):
        for got, wanted in zip(found, f(np, x)):
            same_bits(got, wanted)
    same_bits(jit(lambda x: lnp.astype(x, "f4") * 1)(x), x.astype("f4"))


@pytest.mark.parametrize("exponent", [0.5, -0.5, -1, -1.0, 0, 0.0, 1, 1.0, 2, 2.0, 3])
def test_powers_by_python_numbers_are_numpys(exponent):
    """NumPy's own short cuts included: x ** 0.5 is a root, of -0.0 and -inf too."""
    x = np.array([-0.0, 0.0, -np.inf, np.inf, 2.0, 3.0, 7.0, np.nan])
    with np.errstate(all="ignore"):
        cases = ((lambda x: x**exponent, x**exponent), (lambda x: lnp.power(x, exponent), np.power(x, exponent)))
        found = [(run(f)(x), wanted) for run in (jit, lambda f: f) for f, wanted in cases]
    for got, wanted in found:
        np.testing.assert_allclose(got, wanted, rtol=3e-16)
        real = ~np.isnan(wanted)
        np.testing.assert_array_equal(np.signbit(got[real]), np.signbit(wanted[real]))


@pytest.mark.parametrize("product", [
    lambda np_, x, y: np_.outer(x, y), lambda np_, x, y: np_.outer(x, y[0]), lambda np_, x, y: np_.dot(x[0], y),
    lambda np_, x, y: np_.dot(x, y[2]), lambda np_, x, y: np_.dot(x[0], y[0]), lambda np_, x, y: np_.einsum("i,j->ij", x, y),
], ids=["outer", "outer of a number", "number and vector", "vector and number", "numbers", "einsum"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_of_which_none_are_summed(product, dtype):
    """NumPy multiplies in ``outer`` and in ``dot`` of numbers, and begins with 0.0 in the others."""
    x, y = np.array([0.0, -0.0, 1.0, -2.0], dtype), np.array([-1.0, 3.0, -0.0, 0.0], dtype)
    wanted = product(np, x, y)
    same_bits(jit(lambda x, y: product(lnp, x, y))(x, y), wanted)
    with disable_jit():
        same_bits(product(lnp, x, y), wanted)
