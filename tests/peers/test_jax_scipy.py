"""leptonc.scipy against jax.scipy, and special functions against SciPy's own, where it is installed."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import leptonc
from leptonc.scipy import ndimage, special, stats

jax = pytest.importorskip("jax")

pytestmark = pytest.mark.usefixtures("double_precision")
SIZE = 60
DISTRIBUTIONS = [name for name in dir(stats) if hasattr(getattr(stats, name), "_functions")]
VECTORS = {"dirichlet", "multinomial", "multivariate_normal"}
RNG = np.random.default_rng(12)
BOTH, POSITIVE, OTHER = RNG.normal(size=SIZE) * 4, 10 ** RNG.uniform(-3, 2, SIZE), 10 ** RNG.uniform(-3, 2, SIZE)
SHARES = RNG.uniform(0, 1, SIZE)
OF_ONE = {
    **dict.fromkeys("erf erfc erfcx gammaln gammasgn gamma ndtr log_ndtr dawsn expi expit i0 i0e i1 i1e digamma".split(), BOTH),
    **dict.fromkeys("ndtri logit entr".split(), SHARES), "erfinv": 2 * SHARES - 1,
    **dict.fromkeys("exp1 spence".split(), POSITIVE),
}
OF_TWO = "beta betaln poch xlogy xlog1py rel_entr kl_div boxcox boxcox1p gammainc gammaincc owens_t".split()


def operand(name: str, function: str, what: str, drawn: list[np.ndarray]) -> np.ndarray:
    """Values that a parameter of a distribution may have."""
    rng = np.random.default_rng(len(drawn) + len(name))
    share = rng.uniform(0.02, 0.98, SIZE)
    if what in ("q", "p", "c") or (name == "logistic" and function in ("ppf", "isf") and what == "x"):
        return share
    if what == "loc":
        return np.zeros(SIZE) if function.endswith(("pmf", "entropy")) or name == "poisson" else share - 0.5
    if name == "truncnorm" and what in "ab":
        return share - 1.5 if what == "a" else share
    whole = {"k": rng.integers(-1, 9, SIZE), "n": rng.integers(4, 9, SIZE)}
    return whole[what].astype(float) if what in whole else rng.normal(size=SIZE) * 2 if what == "x" else 4 * share


@pytest.mark.parametrize("name", [name for name in DISTRIBUTIONS if name not in VECTORS])
def test_distributions(name):
    theirs, ours = getattr(jax.scipy.stats, name), getattr(stats, name)
    functions = [f for f in dir(ours) if hasattr(theirs, f)]
    assert [f for f in dir(theirs) if not f.startswith("_") and callable(getattr(theirs, f))] == functions
    for function in functions:
        values: list[np.ndarray] = []
        for what in inspect.signature(getattr(theirs, function)).parameters:
            values.append(operand(name, function, what, values))
        want = getattr(theirs, function)(*values)
        rtol = 1e-5 if name == "betabinom" else 1e-8  # JAX's betaln is good to six places for small numbers
        np.testing.assert_allclose(getattr(ours, function)(*values), want, rtol=rtol, atol=1e-12, err_msg=function)


def test_vectors():
    x, cov = RNG.normal(size=(5, 3)), np.cov(RNG.normal(size=(3, 9)))
    for name, args in (("multivariate_normal", (x, x[0], cov)), ("dirichlet", (np.array([0.2, 0.3, 0.5]), np.array([1.0, 2, 3])))):
        np.testing.assert_allclose(getattr(stats, name).logpdf(*args), getattr(jax.scipy.stats, name).logpdf(*args), rtol=1e-10)


INEXACT = {"log_ndtr", "beta", "betaln"}  # JAX's, by 1e-4 to 1e-6: of small results, and of one large operand


@pytest.mark.parametrize("name, peer", [(name, peer) for name in (*OF_ONE, *OF_TWO) for peer in ("jax", "scipy")
                                        if peer == "scipy" or name not in INEXACT])
def test_special_functions(name, peer):
    theirs = jax.scipy.special if peer == "jax" else pytest.importorskip("scipy.special")
    args = (OF_ONE[name],) if name in OF_ONE else (POSITIVE, OTHER)
    with np.errstate(all="ignore"):
        want = np.asarray(getattr(theirs, name)(*args))
    np.testing.assert_allclose(getattr(special, name)(*args), want, rtol=1e-11 if peer == "scipy" else 1e-7, atol=1e-290)


def test_samples():
    a = RNG.integers(0, 5, (6, 7)).astype(float)
    for options in ({}, {"axis": None}, {"axis": 1, "keepdims": True}):
        for got, want in zip(stats.mode(a, **options), jax.scipy.stats.mode(a, **options)):
            np.testing.assert_array_equal(got, want)
    for method in ("average", "min", "max", "dense", "ordinal"):
        for axis in (None, 0, 1):
            np.testing.assert_array_equal(stats.rankdata(a, method, axis=axis), jax.scipy.stats.rankdata(a, method, axis=axis))
    np.testing.assert_allclose(stats.sem(a), jax.scipy.stats.sem(a))


@pytest.mark.parametrize("mode", ndimage.MODES)
@pytest.mark.parametrize("order", [0, 1])
def test_map_coordinates(mode, order, rng):
    places = [rng.uniform(-9, 12, (4, 3)), rng.uniform(-9, 12, (4, 3))]
    for x in (rng.standard_normal((5, 7)), rng.integers(0, 255, (5, 7)).astype(np.uint8)):
        for coordinates in (places, [p.astype(int) for p in places]):
            want = jax.scipy.ndimage.map_coordinates(x, coordinates, order, mode, 2)
            got = leptonc.jit(lambda x, c: ndimage.map_coordinates(x, c, order, mode, 2))(x, coordinates)
            assert got.dtype == want.dtype
            np.testing.assert_allclose(got, want, rtol=1e-12)

    def slopes(grad, module):
        return grad(lambda x, c: (module.map_coordinates(x, c, order, mode) ** 2).sum(), (0, 1))(image, places)

    image = rng.standard_normal((5, 7))
    for got, want in zip(leptonc.tree.leaves(slopes(leptonc.grad, ndimage)), jax.tree.leaves(slopes(jax.grad, jax.scipy.ndimage))):
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)
