"""Distributions of leptonc.scipy.stats against closed forms, sums to 1, and each other's functions."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc.scipy import special, stats

X = np.linspace(-6, 6, 4001)
DENSITIES = {
    "norm": (0.3, 0.5), "logistic": (0.3, 0.3), "laplace": (0.3, 0.4), "gumbel_r": (-1, 0.5), "gumbel_l": (1, 0.4),
    "t": (9, 0.2, 0.3),
    "expon": (-1, 0.5), "gamma": (2.5, -1, 0.3), "chi2": (5, -2, 0.2), "beta": (2.5, 3.5, -1, 3), "uniform": (-1, 2),
    "truncnorm": (-1.5, 0.7, 0.2, 1.3), "gennorm": (1.5,),
}
KINKS = {"uniform": 2e-3, "truncnorm": 2e-3, "laplace": 1e-4, "expon": 4e-3}  # by trapezoids, which miss jumps


@pytest.mark.parametrize("name", DENSITIES)
def test_densities_are_those_of_the_distribution_function(name):
    """They sum to 1 from the left to the right, and to cdf up to anywhere."""
    found, given = getattr(stats, name), DENSITIES[name]
    density = found.pdf(X, *given)
    sums = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2 * (X[1] - X[0]))])
    np.testing.assert_allclose(sums[-1], 1, atol=KINKS.get(name, 2e-5))
    np.testing.assert_allclose(density, np.exp(found.logpdf(X, *given)), rtol=1e-12)
    if "cdf" in dir(found):
        np.testing.assert_allclose(found.cdf(X, *given), sums, atol=KINKS.get(name, 2e-5))
    if "sf" in dir(found):
        np.testing.assert_allclose(found.sf(X, *given) + found.cdf(X, *given), 1, rtol=1e-12)


@pytest.mark.parametrize("name", ["norm", "logistic", "cauchy", "expon", "uniform", "gumbel_r", "gumbel_l", "pareto"])
def test_quantiles(name):
    q, given = np.array([1e-6, 0.01, 0.3, 0.5, 0.99]), (3.0,) * (name == "pareto")
    found = getattr(stats, name)
    np.testing.assert_allclose(found.cdf(found.ppf(q, *given), *given), q, rtol=1e-9)
    if "isf" in dir(found):
        np.testing.assert_allclose(found.sf(found.isf(q)), q, rtol=1e-9)


@pytest.mark.parametrize("name, given", [("poisson", (3.5,)), ("binom", (7.0, 0.3)), ("geom", (0.4,)), ("nbinom", (3.0, 0.6)),
                                         ("bernoulli", (0.3,)), ("betabinom", (6.0, 2.0, 3.0))])
def test_probabilities_sum_to_one(name, given):
    k = np.arange(-2.0, 80)
    found = getattr(stats, name)
    np.testing.assert_allclose(found.pmf(k, *given).sum(), 1, rtol=1e-12)
    np.testing.assert_array_equal(found.pmf(k[:2], *given), 0)
    np.testing.assert_array_equal(found.logpmf(1.5, *given), -np.inf)
    if "cdf" in dir(found):
        np.testing.assert_allclose(found.cdf(k, *given), np.cumsum(found.pmf(k, *given)), rtol=1e-12, atol=1e-14)


def test_vectors():
    cov, x = np.array([[2.0, 0.5], [0.5, 1]]), np.array([0.3, -0.7])
    want = -0.5 * x @ np.linalg.solve(cov, x) - np.log(2 * np.pi) - 0.5 * np.log(np.linalg.det(cov))
    run = leptonc.jit(lambda x, cov: stats.multivariate_normal.logpdf(x, np.zeros(2), cov))
    np.testing.assert_allclose(run(x, cov), want, rtol=1e-12)
    np.testing.assert_allclose(stats.multivariate_normal.logpdf(np.stack([x, x]), np.zeros(2), cov), [want, want], rtol=1e-12)
    np.testing.assert_allclose(stats.dirichlet.pdf(np.array([0.2, 0.3, 0.5]), np.array([1.0, 2, 3])), 60 * 0.3 * 0.25, rtol=1e-12)
    np.testing.assert_allclose(stats.multinomial.pmf(np.array([1, 2, 3]), 6, np.array([0.2, 0.3, 0.5])), 60 * 0.2 * 0.09 * 0.125)


def test_under_jit_grad_and_vmap():
    slope = leptonc.jit(leptonc.vmap(leptonc.grad(stats.norm.logpdf), (0, None, None)))(X[::500], 0.5, 2.0)
    np.testing.assert_allclose(slope, -(X[::500] - 0.5) / 4, rtol=1e-12)
    by_a = leptonc.grad(lambda a: stats.gamma.logpdf(2.0, a))(3.0)
    np.testing.assert_allclose(by_a, np.log(2) - special.digamma(3.0), rtol=1e-12)
    assert stats.norm.cdf(np.float32(0.5)).dtype == np.float32
    np.testing.assert_allclose(stats.norm.logcdf(-40.0), -804.6084420137538, rtol=1e-13)


def test_samples():
    a = np.array([[3.0, 1, 1, 2], [2, 2, 3, 3]])
    assert stats.mode(a, axis=1).mode.tolist() == [1, 2] and stats.mode(a, axis=None).count == 3
    assert stats.rankdata(a[0]).tolist() == [4, 1.5, 1.5, 3] and stats.rankdata(a[0], "dense").tolist() == [3, 1, 1, 2]
    assert leptonc.jit(lambda x: stats.rankdata(x, "ordinal"))(a[0]).tolist() == [4, 1, 2, 3]
    np.testing.assert_allclose(stats.sem(a, axis=1), a.std(1, ddof=1) / 2)


@pytest.mark.parametrize("wrong", [
    lambda: stats.norm.logpdf(), lambda: stats.norm.cdff, lambda: stats.norm.logpdf("a"), lambda: stats.rankdata(X, "best"),
    lambda: stats.dirichlet.logpdf(np.ones(3), np.ones(5)), lambda: stats.multivariate_normal.logpdf(X, X[:2], X[:3]),
    lambda: stats.norms])
def test_wrong_calls(wrong):
    with pytest.raises(leptonc.LeptonError):
        wrong()


def test_gaussian_kde():
    """Against the mixture written out, and what it integrates to."""
    rng = np.random.default_rng(4)
    points, weights, at = rng.standard_normal((2, 12)), rng.random(12), rng.standard_normal((2, 5))
    kde = stats.gaussian_kde(points, 0.4, weights)
    share = weights / weights.sum()
    np.testing.assert_allclose(kde.covariance, 0.16 * np.cov(points, aweights=share))
    apart = at[:, :, None] - points[:, None]
    exponents = np.einsum("imn,ij,jmn->mn", apart, np.linalg.inv(kde.covariance), apart)
    wanted = np.exp(-exponents / 2) @ share / (2 * np.pi * np.sqrt(np.linalg.det(kde.covariance)))
    for got in (kde(at), leptonc.jit(lambda p: stats.gaussian_kde(p, 0.4, weights).pdf(at))(points), np.exp(kde.logpdf(at))):
        np.testing.assert_allclose(got, wanted)
    line = stats.gaussian_kde(points[0])
    grid = np.linspace(-8, 8, 2001)
    density = line(grid)
    np.testing.assert_allclose(line.integrate_box_1d(-8, 8), 1)
    np.testing.assert_allclose(line.integrate_kde(line), np.trapezoid(density**2, grid))
    np.testing.assert_allclose(line.integrate_gaussian(0.5, 0.3), np.trapezoid(density * stats.norm.pdf(grid, 0.5, 0.3**0.5), grid))
    drawn = kde.resample(leptonc.random.key(1), (3000,))
    assert drawn.shape == (2, 3000)
    np.testing.assert_allclose(drawn.mean(1), points @ share, atol=0.1)
    with pytest.raises(leptonc.errors.ShapeError, match=r"x must be points \[2, m\]"):
        kde(np.ones((3, 4)))
