"""Distributions of real numbers, with ``loc`` and ``scale`` where SciPy's have them."""

from __future__ import annotations

from math import log, pi
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.elementary import lgamma
from leptonc.scipy import gaussian
from leptonc.scipy.entropies import xlog1py, xlogy
from leptonc.scipy.incomplete import betainc, igamma, igammac, log_beta
from leptonc.scipy.stats.distribution import Distribution
from leptonc.trace import bind


def _in(x: Any, inside: Any, found: Any, beyond: Any = -np.inf) -> Any:
    """``found`` where x is ``inside``, else ``beyond``; NaN stays."""
    return lnp.where(inside, found, lnp.where(lnp.isnan(x), x, beyond))


def _within(x: Any, low: Any, high: Any, found: Any) -> Any:
    """A distribution function: 0 below, 1 above."""
    return lnp.where(x < low, 0.0, lnp.where(x > high, 1.0, found))


def _quantile(q: Any, found: Any) -> Any:
    """NaN out of [0, 1]."""
    return lnp.where((q >= 0) & (q <= 1), found, np.nan)


norm = Distribution("norm", "The normal distribution.", {
    "logpdf": lambda x, loc=0, scale=1: -0.5 * ((x - loc) / scale) ** 2 - lnp.log(scale) - 0.5 * log(2 * pi),
    "cdf": lambda x, loc=0, scale=1: gaussian.ndtr((x - loc) / scale),
    "logcdf": lambda x, loc=0, scale=1: gaussian.log_ndtr((x - loc) / scale),
    "sf": lambda x, loc=0, scale=1: gaussian.ndtr((loc - x) / scale),
    "logsf": lambda x, loc=0, scale=1: gaussian.log_ndtr((loc - x) / scale),
    "ppf": lambda q, loc=0, scale=1: gaussian.ndtri(q) * scale + loc,
    "isf": lambda q, loc=0, scale=1: loc - gaussian.ndtri(q) * scale,
}, "pdf")

uniform = Distribution("uniform", "Uniform from ``loc`` to ``loc + scale``.", {
    "logpdf": lambda x, loc=0, scale=1: _in(x, (x >= loc) & (x <= loc + scale), -lnp.log(scale)),
    "cdf": lambda x, loc=0, scale=1: _within(x, loc, loc + scale, (x - loc) / scale),
    "ppf": lambda q, loc=0, scale=1: _quantile(q, q * scale + loc),
}, "pdf")

def _log_expon_cdf(z: Any) -> Any:
    none = z == 0
    return lnp.where(none, -np.inf, lnp.log(-lnp.expm1(-lnp.where(none, 1.0, z))))


expon = Distribution("expon", "The exponential distribution from ``loc`` on.", {
    "logpdf": lambda x, loc=0, scale=1: _in(x, x >= loc, -(x - loc) / scale - lnp.log(scale)),
    "cdf": lambda x, loc=0, scale=1: _within(x, loc, np.inf, -lnp.expm1(-(x - loc) / scale)),
    "logcdf": lambda x, loc=0, scale=1: _log_expon_cdf(lnp.where(x <= loc, 0.0, x - loc) / scale),
    "sf": lambda x, loc=0, scale=1: lnp.where(x < loc, 1.0, lnp.exp(-(x - loc) / scale)),
    "logsf": lambda x, loc=0, scale=1: lnp.where(x < loc, 0.0, -(x - loc) / scale),
    "ppf": lambda q, loc=0, scale=1: _quantile(q, loc - lnp.log1p(-q) * scale),
}, "pdf")


def _log_logistic(z: Any) -> Any:
    return -lnp.absolute(z) - 2 * lnp.log1p(lnp.exp(-lnp.absolute(z)))


logistic = Distribution("logistic", "The logistic distribution.", {
    "logpdf": lambda x, loc=0, scale=1: _log_logistic((x - loc) / scale) - lnp.log(scale),
    "cdf": lambda x, loc=0, scale=1: bind("sigmoid", (x - loc) / scale),
    "sf": lambda x, loc=0, scale=1: bind("sigmoid", (loc - x) / scale),
    "ppf": lambda x, loc=0, scale=1: (lnp.log(x) - lnp.log1p(-x)) * scale + loc,
    "isf": lambda x, loc=0, scale=1: (lnp.log1p(-x) - lnp.log(x)) * scale + loc,
}, "pdf")


def _laplace_cdf(z: Any) -> Any:
    half = 0.5 * lnp.exp(-lnp.absolute(z))
    return lnp.where(z <= 0, half, 1 - half)


laplace = Distribution("laplace", "The Laplace distribution.", {
    "logpdf": lambda x, loc=0, scale=1: -lnp.absolute(x - loc) / scale - lnp.log(2 * scale),
    "cdf": lambda x, loc=0, scale=1: _laplace_cdf((x - loc) / scale),
}, "pdf")

cauchy = Distribution("cauchy", "The Cauchy distribution.", {
    "logpdf": lambda x, loc=0, scale=1: -log(pi) - lnp.log(scale) - lnp.log1p(((x - loc) / scale) ** 2),
    "cdf": lambda x, loc=0, scale=1: lnp.arctan2(lnp.ones_like(x), (loc - x) / scale) / pi,
    "sf": lambda x, loc=0, scale=1: lnp.arctan2(lnp.ones_like(x), (x - loc) / scale) / pi,
    "ppf": lambda q, loc=0, scale=1: loc + scale * lnp.tan(pi * (q - 0.5)),
    "isf": lambda q, loc=0, scale=1: loc + scale * lnp.tan(pi * (0.5 - q)),
}, "pdf logcdf logsf")

gumbel_r = Distribution("gumbel_r", "The Gumbel distribution of maxima.", {
    "logpdf": lambda x, loc=0, scale=1: -(x - loc) / scale - lnp.exp(-(x - loc) / scale) - lnp.log(scale),
    "logcdf": lambda x, loc=0, scale=1: -lnp.exp(-(x - loc) / scale),
    "cdf": lambda x, loc=0, scale=1: lnp.exp(-lnp.exp(-(x - loc) / scale)),
    "sf": lambda x, loc=0, scale=1: -lnp.expm1(-lnp.exp(-(x - loc) / scale)),
    "ppf": lambda p, loc=0, scale=1: loc - scale * lnp.log(-lnp.log(p)),
}, "pdf logsf")

gumbel_l = Distribution("gumbel_l", "The Gumbel distribution of minima.", {
    "logpdf": lambda x, loc=0, scale=1: (x - loc) / scale - lnp.exp((x - loc) / scale) - lnp.log(scale),
    "cdf": lambda x, loc=0, scale=1: -lnp.expm1(-lnp.exp((x - loc) / scale)),
    "logsf": lambda x, loc=0, scale=1: -lnp.exp((x - loc) / scale),
    "sf": lambda x, loc=0, scale=1: lnp.exp(-lnp.exp((x - loc) / scale)),
    "ppf": lambda p, loc=0, scale=1: loc + scale * lnp.log(-lnp.log1p(-p)),
}, "pdf logcdf")


def _t_logpdf(x: Any, df: Any, loc: Any, scale: Any) -> Any:
    z = (x - loc) / scale
    half = 0.5 * (df + 1)
    return -0.5 * lnp.log(df) - log_beta(0.5 * df, lnp.full_like(df, 0.5)) - lnp.log(scale) - half * lnp.log1p(z * z / df)


t = Distribution("t", "Student's t.", {
    "logpdf": lambda x, df, loc=0, scale=1: _t_logpdf(x, df, loc, scale),
}, "pdf", wide="logpdf")


def _gamma_logpdf(x: Any, a: Any, loc: Any, scale: Any) -> Any:
    z = (x - loc) / scale
    safe = lnp.where(z < 0, 1.0, z)
    return _in(x, z >= 0, xlogy(a - 1, safe) - safe - lgamma(a) - lnp.log(scale))


def _above(x: Any, loc: Any, scale: Any) -> Any:
    """(x - loc) / scale, 0 below 0."""
    return lnp.maximum((x - loc) / scale, 0.0)


gamma = Distribution("gamma", "The gamma distribution.", {
    "logpdf": lambda x, a, loc=0, scale=1: _gamma_logpdf(x, a, loc, scale),
    "cdf": lambda x, a, loc=0, scale=1: igamma(a, _above(x, loc, scale)),
    "sf": lambda x, a, loc=0, scale=1: igammac(a, _above(x, loc, scale)),
}, "pdf logcdf logsf", wide="logpdf")

chi2 = Distribution("chi2", "The chi-squared distribution.", {
    "logpdf": lambda x, df, loc=0, scale=1: _gamma_logpdf(x, df / 2, loc, 2 * scale),
    "cdf": lambda x, df, loc=0, scale=1: igamma(df / 2, _above(x, loc, 2 * scale)),
    "sf": lambda x, df, loc=0, scale=1: igammac(df / 2, _above(x, loc, 2 * scale)),
}, "pdf logcdf logsf", wide="logpdf")


def _beta_logpdf(x: Any, a: Any, b: Any, loc: Any, scale: Any) -> Any:
    z = (x - loc) / scale
    inside = (z >= 0) & (z <= 1)
    safe = lnp.where(inside, z, 0.5)
    return _in(x, inside, xlogy(a - 1, safe) + xlog1py(b - 1, -safe) - log_beta(a, b) - lnp.log(scale))


def _unit(x: Any, loc: Any, scale: Any) -> Any:
    return lnp.clip((x - loc) / scale, 0.0, 1.0)


beta = Distribution("beta", "The beta distribution.", {
    "logpdf": lambda x, a, b, loc=0, scale=1: _beta_logpdf(x, a, b, loc, scale),
    "cdf": lambda x, a, b, loc=0, scale=1: betainc(a, b, _unit(x, loc, scale)),
    "sf": lambda x, a, b, loc=0, scale=1: betainc(b, a, 1 - _unit(x, loc, scale)),
}, "pdf logcdf logsf", wide="logpdf")


def _beyond(x: Any, loc: Any, scale: Any) -> tuple[Any, Any]:
    """(whether (x - loc) / scale >= 1, its logarithm, 0 elsewhere)."""
    z = (x - loc) / scale
    return z >= 1, lnp.log(lnp.where(z >= 1, z, 1.0))


def _pareto_logpdf(x: Any, b: Any, loc: Any, scale: Any) -> Any:
    inside, size = _beyond(x, loc, scale)
    return _in(x, inside, lnp.log(b) - lnp.log(scale) - (b + 1) * size)


pareto = Distribution("pareto", "The Pareto distribution.", {
    "logpdf": lambda x, b, loc=0, scale=1: _pareto_logpdf(x, b, loc, scale),
    "cdf": lambda x, b, loc=0, scale=1: -lnp.expm1(-b * _beyond(x, loc, scale)[1]),
    "sf": lambda x, b, loc=0, scale=1: lnp.exp(-b * _beyond(x, loc, scale)[1]),
    "logsf": lambda x, b, loc=0, scale=1: -b * _beyond(x, loc, scale)[1],
    "ppf": lambda q, b, loc=0, scale=1: _quantile(q, loc + scale * lnp.exp(-lnp.log1p(-q) / b)),
}, "pdf logcdf")


def _log_between(low: Any, high: Any) -> Any:
    """log(Phi(high) - Phi(low)), on the side where both are small."""
    turned = low > 0
    first, second = lnp.where(turned, -high, low), lnp.where(turned, -low, high)
    less, more = gaussian.log_ndtr(first), gaussian.log_ndtr(second)
    gap = lnp.where(less < more, less - more, -np.inf)
    crossing = (first <= 0) & (second > 0)
    wide = lnp.log1p(-gaussian.ndtr(first) - gaussian.ndtr(-second))
    return lnp.where(crossing, wide, more + lnp.log(-lnp.expm1(lnp.where(crossing, -1.0, gap))))


def _truncnorm_logpdf(x: Any, a: Any, b: Any, loc: Any, scale: Any) -> Any:
    z = (x - loc) / scale
    found = -0.5 * z * z - 0.5 * log(2 * pi) - lnp.log(scale) - _log_between(a, b)
    return _in(x, (z >= a) & (z <= b), found)


def _truncnorm_logcdf(x: Any, a: Any, b: Any, loc: Any, scale: Any, upper: bool) -> Any:
    z = lnp.clip((x - loc) / scale, a, b)
    share = _log_between(z, b) if upper else _log_between(a, z)
    none, whole = (z >= b, z <= a) if upper else (z <= a, z >= b)
    return lnp.where(none, -np.inf, lnp.where(whole, 0.0, share - _log_between(a, b)))


truncnorm = Distribution("truncnorm", "Standard normal between ``a`` and ``b``, then moved and scaled.", {
    "logpdf": lambda x, a, b, loc=0, scale=1: _truncnorm_logpdf(x, a, b, loc, scale),
    "logcdf": lambda x, a, b, loc=0, scale=1: _truncnorm_logcdf(x, a, b, loc, scale, False),
    "cdf": lambda x, a, b, loc=0, scale=1: lnp.exp(_truncnorm_logcdf(x, a, b, loc, scale, False)),
    "logsf": lambda x, a, b, loc=0, scale=1: _truncnorm_logcdf(x, a, b, loc, scale, True),
    "sf": lambda x, a, b, loc=0, scale=1: lnp.exp(_truncnorm_logcdf(x, a, b, loc, scale, True)),
}, "pdf", wide="logpdf logcdf cdf logsf sf")

gennorm = Distribution("gennorm", "Density proportional to exp(-|x|^beta).", {
    "logpdf": lambda x, beta: lnp.log(beta / 2) - lgamma(1 / beta) - lnp.power(lnp.absolute(x), beta),
    "cdf": lambda x, beta: 0.5 + 0.5 * lnp.sign(x) * igamma(1 / beta, lnp.power(lnp.absolute(x), beta)),
}, "pdf")

vonmises = Distribution("vonmises", "The von Mises distribution of angles.", {
    "logpdf": lambda x, kappa: kappa * (lnp.cos(x) - 1) - log(2 * pi) - lnp.log(bind("i0e", kappa)),
}, "pdf")


def _wrapcauchy(x: Any, c: Any) -> Any:
    inside = (x >= 0) & (x <= 2 * pi) & (c > 0) & (c < 1)
    return _in(x, inside, lnp.log1p(-c * c) - log(2 * pi) - lnp.log(1 + c * c - 2 * c * lnp.cos(x)))


wrapcauchy = Distribution("wrapcauchy", "The Cauchy distribution around a circle, from 0 to 2 pi.", {
    "logpdf": lambda x, c: _wrapcauchy(x, c),
}, "pdf")

__all__ = ["beta", "cauchy", "chi2", "expon", "gamma", "gennorm", "gumbel_l", "gumbel_r", "laplace", "logistic", "norm",
           "pareto", "t", "truncnorm", "uniform", "vonmises", "wrapcauchy"]
