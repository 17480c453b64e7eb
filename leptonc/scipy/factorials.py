"""The gamma function and what is made of it: factorials, the beta function, Bernoulli's numbers."""

from __future__ import annotations

from math import log, pi
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import flag, integer, shape
from leptonc.elementary import lgamma
from leptonc.errors import ArgumentError, op_error
from leptonc.ir.tables import bernoulli as even_numbers
from leptonc.public import publish
from leptonc.scipy.incomplete import log_beta
from leptonc.scipy.operands import real_function, wide_function
from leptonc.trace import known


def _is_pole(x: Any) -> Any:
    return (x <= 0) & (x == lnp.floor(x))


def _sign(x: Any) -> Any:
    odd = lnp.mod(lnp.floor(x), 2.0) != 0
    sign = lnp.where((x < 0) & odd, -1.0, 1.0)
    sign = lnp.where(((x < 0) & _is_pole(x)) | lnp.isnan(x), np.nan, sign)
    return lnp.where(x == 0, lnp.copysign(lnp.ones_like(x), x), sign)


@real_function
def gammasgn(x: Any) -> Any:
    """The sign of gamma(x): NaN at the negative integers, that of x at 0."""
    return lnp.astype(_sign(x), x.dtype)


@real_function
def gammaln(x: Any) -> Any:
    """log |gamma(x)|."""
    return lgamma(x)


@real_function
def loggamma(x: Any) -> Any:
    """log gamma(x) of x > 0; NaN for x < 0, where gamma has both signs."""
    return lnp.where(x < 0, np.nan, lgamma(x))


@wide_function
def gamma(x: Any) -> Any:
    """The gamma function: NaN at the negative integers, infinite with the sign of x at 0."""
    return _sign(x) * lnp.exp(lgamma(x))


@wide_function
def betaln(a: Any, b: Any) -> Any:
    """log |B(a, b)|, right where both are large."""
    return log_beta(a, b)


@wide_function
def beta(a: Any, b: Any) -> Any:
    """B(a, b) = gamma(a) gamma(b) / gamma(a + b)."""
    return _sign(a) * _sign(b) * _sign(a + b) * lnp.exp(log_beta(a, b))


def factorial(n: Any, exact: bool = False) -> Any:
    """gamma(n + 1), 0 for negative n. ``exact`` ones are ints of any length, which arrays do not hold."""
    if flag("factorial", "exact", exact):
        raise op_error("factorial", "exact=True gives ints that no array holds", {}, "use math.factorial", ArgumentError)
    return _factorial(n)


@wide_function
def _factorial(n: Any) -> Any:
    return lnp.where(n < 0, 0.0, lnp.exp(lgamma(lnp.where(n < 0, 0.0, n) + 1)))


def comb(N: Any, k: Any, *, repetition: bool = False) -> Any:
    """The number of ways to choose k of N, in any order; ``repetition``: each as often as one likes. 0 out of 0 <= k <= N."""
    if flag("comb", "repetition", repetition):
        return _comb(lnp.add(N, lnp.subtract(k, 1)), k)
    return _comb(N, k)


@wide_function
def _comb(N: Any, k: Any) -> Any:
    inside = (k >= 0) & (k <= N) & (N >= 0)
    whole, part = lnp.where(inside, N, 1.0), lnp.where(inside, k, 0.0)
    found = lnp.exp(-log_beta(whole - part + 1, part + 1)) / (whole + 1)
    near = lnp.round(found)  # of ints the result is an int
    whole_numbers = (whole == lnp.floor(whole)) & (part == lnp.floor(part)) & (near < 2.0**40)
    return lnp.where(inside, lnp.where(whole_numbers, near, found), 0.0)


@wide_function
def poch(z: Any, m: Any) -> Any:
    """gamma(z + m) / gamma(z), Pochhammer's symbol."""
    found = _sign(z + m) * _sign(z) * lnp.exp(lgamma(z + m) - lgamma(z))
    return lnp.where(m == 0, 1.0, found)


def multigammaln(a: Any, d: int) -> Any:
    """The logarithm of the multivariate gamma function of dimension ``d``, an int, of a > (d - 1) / 2."""
    return _multigammaln(a, integer("multigammaln", "d", d, least=1))


def _multigammaln(a: Any, d: int) -> Any:
    @wide_function
    def multigammaln(a: Any) -> Any:
        total = lgamma(a)
        for n in range(1, d):
            total = total + lgamma(a - n / 2)
        return total + d * (d - 1) / 4 * log(pi)

    return multigammaln(a)


def bernoulli(n: int) -> Any:
    """f64[n + 1], at least f64[3]: Bernoulli's numbers B0, B1 ... Bn."""
    count = integer("bernoulli", "n", n, least=0)
    found = np.zeros(shape("bernoulli", (max(count, 2) + 1,)))
    found[:2] = 1, -0.5
    found[2::2] = even_numbers(len(found[2::2]))
    return known(found[:count + 1] if count > 2 else found[:3])


__all__ = ["bernoulli", "beta", "betaln", "comb", "factorial", "gamma", "gammaln", "gammasgn", "loggamma", "multigammaln", "poch"]

publish(globals(), __all__)
