"""Special functions of leptonc.scipy against values from tables, eager and compiled, with derivatives against differences."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import lax

MODES = pytest.mark.parametrize("run", [lambda f: f, leptonc.jit], ids=["eager", "compiled"])
# Abramowitz and Stegun, or closed forms: P(1, x) = 1 - exp(-x), P(1/2, x) = erf(sqrt(x)), I(a, 1, x) = x^a
E = np.e


@MODES
def test_incomplete_gamma(run):
    a, x = np.array([1, 1, 0.5, 5, 1e6, 3, 0, 2, 2, -1]), np.array([1, 30, 0.25, 2, 1e6, 0, 1, np.inf, -1, 1])
    want = np.array([1 - 1 / E, 1 - np.exp(-30), 0.5204998778130465, 1 - 7 * np.exp(-2), 0.5001329807, 0, 1, 1, np.nan, np.nan])
    np.testing.assert_allclose(run(lax.igamma)(a, x), want, rtol=1e-9)
    np.testing.assert_allclose(run(lax.igammac)(a, x), 1 - want, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(run(lax.igammac)(1.0, 30.0), np.exp(-30), rtol=1e-13)
    assert run(lax.igamma)(np.float32(2), np.float32(3)).dtype == np.float32


@MODES
def test_incomplete_beta(run):
    a, b, x = np.array([3, 1, 2, 0.5, 4e4, 2]), np.array([1, 4, 2, 0.5, 4e4, 2]), np.array([0.3, 0.3, 0.5, 0.25, 0.5, 1.5])
    want = np.array([0.027, 1 - 0.7**4, 0.5, 1 / 3, 0.5, np.nan])
    np.testing.assert_allclose(run(lax.betainc)(a, b, x), want, rtol=1e-12)


@MODES
def test_zeta_functions(run):
    np.testing.assert_allclose(run(lax.zeta)(np.array([2, 4, 1.5, 1, 0.5]), 1.0), [
        np.pi**2 / 6, np.pi**4 / 90, 2.612375348685488, np.inf, np.nan], rtol=1e-14)
    np.testing.assert_allclose(run(lambda x: lax.polygamma(1, x))(np.array([1, 0.5])), [np.pi**2 / 6, np.pi**2 / 2], rtol=1e-14)
    np.testing.assert_allclose(run(lax.polygamma)(np.array([0, 2.0]), 1.0), [-np.euler_gamma, -2 * 1.2020569031595942], rtol=1e-13)


POINTS = {
    "igamma": (lax.igamma, (np.array([0.7, 3, 40]), np.array([0.5, 5, 38]))),
    "igammac": (lax.igammac, (np.array([0.7, 3, 40]), np.array([0.5, 5, 38]))),
    "betainc": (lax.betainc, (np.array([0.7, 3, 9]), np.array([2, 0.8, 12]), np.array([0.2, 0.9, 0.4]))),
    "zeta": (lax.zeta, (np.array([1.5, 3, 4]), np.array([0.5, 2, 9]))),
}


@pytest.mark.parametrize("name", POINTS)
def test_derivatives_are_those_of_differences(name):
    f, points = POINTS[name]
    found = leptonc.jit(leptonc.grad(lambda *v: f(*v).sum(), tuple(range(len(points)))))(*points)
    for n, got in enumerate(found):
        up, down = ([v + step * (m == n) for m, v in enumerate(points)] for step in (1e-6, -1e-6))
        np.testing.assert_allclose(got, (f(*up) - f(*down)) / 2e-6, rtol=1e-7, atol=1e-8)


def test_a_gamma_draw_moves_with_its_parameter():
    """P(a, x) stays."""
    a, x = np.array([0.8, 3.0]), np.array([0.4, 5.0])
    moved = x + 1e-6 * lax.random_gamma_grad(a, x)
    np.testing.assert_allclose(lax.igamma(a + 1e-6, moved), lax.igamma(a, x), rtol=1e-11)


def test_examples_are_batched():
    x = np.linspace(0.1, 5, 4)
    np.testing.assert_allclose(leptonc.vmap(lambda v: lax.igamma(2.0, v))(x), lax.igamma(2.0, x), rtol=1e-14)


@pytest.mark.parametrize("wrong", [lambda: lax.igamma(1j, 1.0), lambda: lax.betainc(1.0, 2.0), lambda: lax.zeta("a", 1.0)])
def test_wrong_calls(wrong):
    with pytest.raises(leptonc.LeptonError):
        wrong()
