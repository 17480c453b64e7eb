"""Special functions of leptonc.scipy against values from tables, eager and compiled, with derivatives against differences."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import lax
from leptonc.errors import ShapeError
from leptonc.scipy import special

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
    "betainc": (lax.betainc, (np.array([0.7, 3, 9]), np.array([2, 0.8, 12]), np.array([0.2, 0.9, 0.4]))),
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


TABLE = {  # Abramowitz and Stegun's tables, or closed forms
    "erfcx": ([0, 1, 30, -1], [1, 0.4275835761558070, 0.018795888861416751, 2 * E - 0.4275835761558070]),
    "ndtri": ([0.5, 0.975, 1e-20, 0, 1, 2], [0, 1.9599639845400545, -9.262340089798408, -np.inf, np.inf, np.nan]),
    "dawsn": ([0, 0.5, 1, 10], [0, 0.4244363835020223, 0.5380795069127684, 0.05025384718759853]),
    "exp1": ([0.5, 1, 2, 10], [0.5597735947761608, 0.21938393439552029, 0.04890051070806112, 4.156968929685324e-06]),
    "expi": ([-1, 0.5, 1, 50], [-0.21938393439552029, 0.4542199048631736, 1.8951178163559368, 1.0585636897131690e20]),
    "spence": ([0, 0.5, 1, 2], [np.pi**2 / 6, np.pi**2 / 12 - np.log(2) ** 2 / 2, 0, -np.pi**2 / 12]),
    "gamma": ([5, 0.5, -0.5, 0, -1], [24, np.pi**0.5, -2 * np.pi**0.5, np.inf, np.nan]),
    "entr": ([0, 1, E, -1], [0, 0, -E, -np.inf]),
    "logit": ([0.5, 0.9], [0, np.log(9)]),
    "i1": ([0, 1, 20], [0, 0.5651591039924851, 4.245497338512777e07]),
    "factorial": ([0, 5, -1], [1, 120, 0]),
}


@pytest.mark.parametrize("name", TABLE)
def test_tables(name):
    x, want = (np.array(v, float) for v in TABLE[name])
    np.testing.assert_allclose(getattr(special, name)(x), want, rtol=2e-13, atol=1e-16)


def test_functions_of_several():
    np.testing.assert_allclose(special.xlogy(np.array([0.0, 2]), np.array([0.0, E])), [0, 2])
    np.testing.assert_allclose(special.kl_div(np.array([0.0, 1]), np.array([1.0, E])), [1, E - 2], rtol=1e-14)
    np.testing.assert_allclose(special.rel_entr(np.array([0.0, 1, -1]), np.array([0.0, E, 1])), [0, -1, np.inf])
    np.testing.assert_allclose(special.betaln(2.0, 3.0), -np.log(12), rtol=1e-14)
    np.testing.assert_allclose(special.comb(np.array([5, 5, 60]), np.array([2, 6, 30])), [10, 0, 118264581564861424], rtol=1e-12)
    np.testing.assert_allclose(special.expn(np.array([0, 1, 3]), 0.5), [
        2 * E**-0.5, 0.5597735947761608, 0.2216043642751785], rtol=1e-13)
    np.testing.assert_allclose(special.sici(np.array([1.0, 10])), [
        [0.946083070367183, 1.6583475942188740], [0.3374039229009681, -0.04545643300445537]], rtol=1e-13)
    np.testing.assert_allclose(special.fresnel(np.array([0.5, 2])), [
        [0.06473243285999929, 0.3434156783636982], [0.4923442258714464, 0.4882534060753408]], rtol=1e-13)
    np.testing.assert_allclose(special.wofz(np.array([1 + 1j, 1 - 1j])), [
        0.3047442052569126 + 0.2082189382028316j, -1.1370378783511972 + 2.026813791854195j], rtol=1e-12)
    np.testing.assert_allclose(special.bessel_jn(np.array([0.0, 2]), v=2), [
        [1, 0.2238907791412357], [0, 0.5767248077568734], [0, 0.3528340286156377]], rtol=1e-13)
    np.testing.assert_allclose(special.hyp2f1(1.0, 1.0, 2.0, np.array([0.5, -1])), [2 * np.log(2), np.log(2)], rtol=1e-14)
    np.testing.assert_allclose(special.hyp1f1(1.0, 2.0, np.array([1.0, -1])), [E - 1, 1 - 1 / E], rtol=1e-14)
    np.testing.assert_allclose(special.owens_t(np.array([0.0, 1]), np.array([1.0, 2])), [0.125, 0.0784681869930841], rtol=1e-13)
    np.testing.assert_allclose(special.bernoulli(4), [1, -0.5, 1 / 6, 0, -1 / 30])
    with pytest.raises(ShapeError, match=r"bernoulli: .* must be at most"):
        special.bernoulli(2**70)
    np.testing.assert_allclose(special.multigammaln(3.0, 2), np.log(np.pi) / 2 + np.log(2) + np.log(1.329340388179137), rtol=1e-13)
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(special.softmax(x), np.exp(x) / np.exp(x).sum(), rtol=1e-14)
    np.testing.assert_allclose(special.logsumexp(x, 1, b=2.0), np.log(2 * np.exp(x).sum(1)), rtol=1e-14)


@pytest.mark.parametrize("name, x", [("ndtri", 1e-9), ("erfcx", 0.7), ("expi", -0.5), ("spence", 0.4), ("gamma", 2.5), ("i1", 0.5)])
def test_slopes(name, x):
    f = getattr(special, name)
    step = 1e-5 * x
    np.testing.assert_allclose(leptonc.jit(leptonc.grad(f))(x), (f(x + step) - f(x - step)) / (2 * step), rtol=1e-8)


def test_products_with_logarithms_have_the_slopes_of_both_factors():
    assert leptonc.grad(special.xlogy, (0, 1))(0.0, E) == (1.0, 0.0)
    assert leptonc.grad(special.boxcox, (0,))(2.0, 0.0)[0] == 0.5
