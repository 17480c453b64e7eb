"""Distributions of counts, and of vectors."""

from __future__ import annotations

from math import log, pi
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import array
from leptonc.elementary import lgamma
from leptonc.errors import ShapeError, op_error
from leptonc.numpy.elementwise import as_float, floats_of_one_dtype, real_floats
from leptonc.numpy.linalg.factorizations import cholesky, triangular_solve
from leptonc.scipy.entropies import xlog1py, xlogy
from leptonc.scipy.incomplete import igammac, log_beta
from leptonc.scipy.stats.distribution import Distribution


def _count(k: Any, inside: Any, found: Any) -> Any:
    """A log probability: -inf for what is no count, or out of range."""
    return lnp.where(inside & (k == lnp.floor(k)), found, lnp.where(lnp.isnan(k), k, -np.inf))


def _choices(n: Any, k: Any) -> Any:
    """log of n over k, for 0 <= k <= n."""
    return -lnp.log(n + 1) - log_beta(n - k + 1, k + 1)


def _bernoulli_logpmf(k: Any, p: Any, loc: Any) -> Any:
    x = k - loc
    return _count(x, (x == 0) | (x == 1), xlogy(x, p) + xlog1py(1 - x, -p))


def _bernoulli_cdf(k: Any, p: Any) -> Any:
    found = lnp.where(k < 0, 0.0, lnp.where(k < 1, 1 - p, 1.0))
    return lnp.where((p >= 0) & (p <= 1) & ~lnp.isnan(k), found, np.nan)


bernoulli = Distribution("bernoulli", "1 with probability p, else 0.", {
    "logpmf": lambda k, p, loc=0: _bernoulli_logpmf(k, p, loc),
    "cdf": lambda k, p: _bernoulli_cdf(k, p),
    "ppf": lambda q, p: lnp.where((q >= 0) & (q <= 1) & (p >= 0) & (p <= 1), lnp.astype(q > 1 - p, q.dtype), np.nan),
}, "pmf")


def _binom(k: Any, n: Any, p: Any, loc: Any) -> Any:
    x = k - loc
    inside = (x >= 0) & (x <= n)
    safe = lnp.where(inside, x, 0.0)
    return _count(x, inside, _choices(n, safe) + xlogy(safe, p) + xlog1py(n - safe, -p))


binom = Distribution("binom", "The number of successes in n trials.", {
    "logpmf": lambda k, n, p, loc=0: _binom(k, n, p, loc)}, "pmf", wide="logpmf")


def _betabinom(k: Any, n: Any, a: Any, b: Any, loc: Any) -> Any:
    x = k - lnp.floor(loc)
    inside = (x >= 0) & (x <= n)
    safe = lnp.where(inside, x, 0.0)
    return _count(x, inside, _choices(n, safe) + log_beta(safe + a, n - safe + b) - log_beta(a, b))


betabinom = Distribution("betabinom", "Successes in n trials with a probability that is beta distributed.", {
    "logpmf": lambda k, n, a, b, loc=0: _betabinom(k, n, a, b, loc)}, "pmf", wide="logpmf")


def _nbinom(k: Any, n: Any, p: Any, loc: Any) -> Any:
    x = k - loc
    safe = lnp.where(x >= 0, x, 0.0)
    return _count(x, x >= 0, lgamma(safe + n) - lgamma(n) - lgamma(safe + 1) + xlogy(n, p) + xlog1py(safe, -p))


nbinom = Distribution("nbinom", "Failures before the n-th success.", {
    "logpmf": lambda k, n, p, loc=0: _nbinom(k, n, p, loc)}, "pmf", wide="logpmf")

geom = Distribution("geom", "Trials up to the first success.", {
    "logpmf": lambda k, p, loc=0: _count(k - loc, k - loc >= 1, xlog1py(k - loc - 1, -p) + lnp.log(p))}, "pmf")


def _poisson(k: Any, mu: Any, loc: Any) -> Any:
    x = k - loc
    safe = lnp.where(x >= 0, x, 0.0)
    return _count(x, x >= 0, xlogy(safe, mu) - lgamma(safe + 1) - mu)


def _poisson_entropy(mu: Any, loc: Any) -> Any:
    """A sum over counts up to some twelve standard deviations above; beyond 60 a series in 1 / mu."""
    few = mu < 60
    mean = lnp.where(few, mu, 1.0)
    counts = np.arange(160.0).reshape(-1, *(1,) * len(mu.shape))
    logs = xlogy(counts, lnp.expand_dims(mean, 0)) - lgamma(counts + 1) - lnp.expand_dims(mean, 0)
    total = -lnp.sum(lnp.exp(logs) * logs, 0)
    large = lnp.where(few, 100.0, mu)
    series = 0.5 * lnp.log(2 * pi * np.e * large) - (1 / 12 + (1 / 24 + 19 / 360 / large) / large) / large
    return lnp.where(mu < 0, np.nan, lnp.where(few, total, series))


poisson = Distribution("poisson", "Counts of mean mu.", {
    "logpmf": lambda k, mu, loc=0: _poisson(k, mu, loc),
    "cdf": lambda k, mu, loc=0: lnp.where(k - loc >= 0, igammac(lnp.floor(lnp.maximum(k - loc, 0.0)) + 1, mu), 0.0),
    "entropy": lambda mu, loc=0: _poisson_entropy(mu, loc),
}, "pmf", wide="logpmf entropy")


def _multinomial(x: Any, n: Any, p: Any) -> Any:
    """Counts x [..., k] of n draws with probabilities p [..., k]."""
    counts, shares = real_floats("multinomial.logpmf", x=x, p=p)
    _, total = floats_of_one_dtype("multinomial.logpmf", x=counts, n=n)
    found = lgamma(total + 1) + lnp.sum(xlogy(counts, shares) - lgamma(counts + 1), -1)
    return lnp.where(lnp.sum(counts, -1) == total, found, -np.inf)


multinomial = Distribution("multinomial", "Counts of n draws among several.", {"logpmf": _multinomial}, "pmf", plain="logpmf")


def _dirichlet(x: Any, alpha: Any) -> Any:
    """x [k, ...] or [k - 1, ...], shares along the first axis that sum to 1, for alpha [k]."""
    name = "dirichlet.logpdf"
    shares, exponents = as_float(array(name, "x", x)), as_float(array(name, "alpha", alpha))
    if len(exponents.shape) != 1 or not shares.shape or shares.shape[0] not in (exponents.shape[0], exponents.shape[0] - 1):
        raise op_error(name, "x must be [k, ...] or [k - 1, ...], alpha [k]", {"x": shares, "alpha": exponents}, kind=ShapeError)
    if shares.shape[0] < exponents.shape[0]:
        shares = lnp.concatenate([shares, 1 - lnp.sum(shares, 0, keepdims=True)])
    shaped = lnp.reshape(exponents, (-1, *(1,) * (len(shares.shape) - 1)))
    constant = lgamma(lnp.sum(exponents)) - lnp.sum(lgamma(exponents))
    found = lnp.sum(xlogy(shaped - 1, lnp.where(shares > 0, shares, 1.0)), 0) + constant
    inside = lnp.all(shares > 0, 0) & (lnp.absolute(lnp.sum(shares, 0) - 1) < 1e-6)
    return lnp.where(inside, found, -np.inf)


dirichlet = Distribution("dirichlet", "Shares that sum to 1.", {"logpdf": _dirichlet}, "pdf", plain="logpdf")


def _multivariate_normal(x: Any, mean: Any, cov: Any, allow_singular: Any = None) -> Any:
    """x [..., n] about mean [..., n] with covariance cov [..., n, n], or a number for that times the identity."""
    name = "multivariate_normal.logpdf"
    if allow_singular is not None:
        raise op_error(name, "allow_singular is not supported", {})
    point, center, square = floats_of_one_dtype(name, x=x, mean=mean, cov=cov)
    if not center.shape:
        gap = point - center
        spread = square if not square.shape else lnp.reshape(square, ())
        return -0.5 * (gap * gap / spread + lnp.log(2 * pi * spread))
    n = center.shape[-1]
    if not square.shape:
        gap = point - center
        return -0.5 * (lnp.sum(gap * gap, -1) / square + n * lnp.log(2 * pi * square))
    if tuple(square.shape[-2:]) != (n, n):
        raise op_error(name, "mean must be [..., n] and cov [..., n, n]", {"mean": center, "cov": square}, kind=ShapeError)
    factor, gap = cholesky(square), point - center
    shape = np.broadcast_shapes(tuple(gap.shape[:-1]), tuple(square.shape[:-2]))
    gap = lnp.broadcast_to(gap, (*shape, n))
    whole = lnp.broadcast_to(factor, (*shape, n, n))
    y = triangular_solve(whole, lnp.expand_dims(gap, -1), left_side=True, lower=True)[..., 0]
    return -0.5 * lnp.sum(y * y, -1) - 0.5 * n * log(2 * pi) - lnp.sum(lnp.log(lnp.diagonal(factor, axis1=-2, axis2=-1)), -1)


multivariate_normal = Distribution("multivariate_normal", "Normal vectors.", {
    "logpdf": _multivariate_normal, "pdf": lambda x, mean, cov: lnp.exp(_multivariate_normal(x, mean, cov)),
}, plain="logpdf pdf")

__all__ = ["bernoulli", "betabinom", "binom", "dirichlet", "geom", "multinomial", "multivariate_normal", "nbinom", "poisson"]
