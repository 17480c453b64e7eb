"""Hypergeometric functions by their power series, and Bessel functions of whole order by their recurrence."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import integer
from leptonc.numpy.elementwise import real_floats
from leptonc.public import publish
from leptonc.scipy.factorials import gamma
from leptonc.scipy.incomplete import EPSILON
from leptonc.scipy.operands import wide_function
from leptonc.scipy.slopes import with_slopes
from leptonc.trace import cast
from leptonc.whiles import while_loop

MOST_TERMS = 20_000


class _Series(NamedTuple):
    """The sum of (a)_k (b)_k / (c)_k x^k / k!."""

    k: Any
    a: Any
    b: Any
    c: Any
    x: Any
    term: Any
    total: Any


def _goes_on(s: _Series) -> Any:
    return lnp.logical_and(s.k < MOST_TERMS, lnp.any(lnp.absolute(s.term) > 0.1 * EPSILON * lnp.absolute(s.total)))


def _next_of_two(s: _Series) -> _Series:
    term = s.term * ((s.a + s.k) * (s.b + s.k) / ((s.c + s.k) * (s.k + 1)) * s.x)
    return s._replace(k=s.k + 1, term=term, total=s.total + term)


def _next_of_one(s: _Series) -> _Series:
    term = s.term * ((s.a + s.k) / ((s.c + s.k) * (s.k + 1)) * s.x)
    return s._replace(k=s.k + 1, term=term, total=s.total + term)


def _confluent(a: Any, b: Any, x: Any) -> Any:
    """Kummer's transformation for x < 0, so that terms do not cancel."""
    turned = x < 0
    one = lnp.ones_like(x)
    first = lnp.where(turned, b - a, a)
    series = while_loop(_goes_on, _next_of_one, _Series(np.float64(0), first, one, b, lnp.absolute(x), one, one)).total
    return lnp.where(turned, lnp.exp(x) * series, series)


def _no_slope(*operands: Any) -> Any:
    return lnp.full_like(operands[-1], np.nan)


_confluent_ruled = with_slopes(_confluent, _no_slope, _no_slope, lambda a, b, x, y: a / b * _confluent(a + 1, b + 1, x))


@wide_function
def hyp1f1(a: Any, b: Any, x: Any) -> Any:
    """Kummer's confluent hypergeometric function 1F1(a; b; x). Its derivatives by a and b are NaN."""
    return _confluent_ruled(a, b, x)


def _gauss(a: Any, b: Any, c: Any, x: Any) -> Any:
    """The series for |x| < 1, for x < 0 that of x / (x - 1); gamma functions at x = 1."""
    turned = x < 0
    at = lnp.where(turned, x / lnp.where(turned, x - 1, 1.0), x)
    inside = at < 1
    second = lnp.where(turned, c - b, b)
    one = lnp.ones_like(x)
    start = _Series(np.float64(0), a, second, c, lnp.where(inside, at, 0.0), one, one)
    series = while_loop(_goes_on, _next_of_two, start).total
    found = lnp.where(turned, lnp.power(lnp.where(turned, 1 - x, 1.0), -a) * series, series)
    edge = gamma(c) * gamma(c - a - b) / (gamma(c - a) * gamma(c - b))
    edge = lnp.where(c - a - b > 0, edge, np.inf)
    return lnp.where(x == 1, edge, lnp.where(x > 1, np.nan, found))


_gauss_ruled = with_slopes(_gauss, _no_slope, _no_slope, _no_slope,
                           lambda a, b, c, x, y: a * b / c * _gauss(a + 1, b + 1, c + 1, x))


@wide_function
def hyp2f1(a: Any, b: Any, c: Any, x: Any) -> Any:
    """Gauss's hypergeometric function 2F1(a, b; c; x) for x <= 1, slowly near 1; NaN beyond. Its derivatives by a, b and c are
    NaN."""
    return _gauss_ruled(a, b, c, x)


def bessel_jn(z: Any, *, v: int, n_iter: int = 50) -> Any:
    """[v + 1, ...]: J0(z) ... Jv(z), Bessel functions of the first kind, by the recurrence from order ``n_iter`` down (Miller).

    ``n_iter``, an even int above v, must exceed |z| by some twenty.
    """
    (operand,) = real_floats("bessel_jn", z=z)
    top = integer("bessel_jn", "v", v, least=0)
    first = integer("bessel_jn", "n_iter", n_iter, least=top + 1)
    with np.errstate(all="ignore"):
        x = cast(operand, np.float64)
        return cast(_downwards(lnp.where(x == 0, 1.0, x), x == 0, top, first), operand.dtype)


def _downwards(x: Any, zero: Any, top: int, first: int) -> Any:
    above, here = lnp.zeros_like(x), lnp.full_like(x, 1e-300)
    total, kept = lnp.zeros_like(x), {}
    for n in range(first, -1, -1):
        if n <= top:
            kept[n] = here
        if n % 2 == 0:
            total = total + (here if n == 0 else 2 * here)
        above, here = here, 2 * n / x * here - above
    found = lnp.stack([kept[n] / total for n in range(top + 1)], 0)
    orders = np.arange(top + 1).reshape(-1, *(1,) * len(x.shape))
    return lnp.where(lnp.expand_dims(zero, 0), (orders == 0) * 1.0, found)


__all__ = ["bessel_jn", "hyp1f1", "hyp2f1"]

publish(globals(), __all__)
