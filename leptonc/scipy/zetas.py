"""Hurwitz's zeta function of any order, and polygamma functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.elementary import digamma, lgamma
from leptonc.ir.tables import BERNOULLI
from leptonc.numpy.elementwise import as_float, real_floats
from leptonc.public import publish
from leptonc.scipy.operands import wide_function
from leptonc.trace import bind

SHIFT = 10  # from where on the series is right to the last place
MOST_ORDER = 170  # of the op: beyond, factorials are no f64


def zeta(x: Any, q: Any = None) -> Any:
    """Hurwitz's zeta function, the sum of (q + k) ** -x for x > 1 and q > 0; Riemann's without q. Infinite for x = 1 and for q = 0
    and below where it has a pole, NaN for other x < 1."""
    q = 1.0 if q is None else q
    if type(x) is int and 2 <= x <= MOST_ORDER:
        return bind("hurwitz", *real_floats("zeta", q=q), order=x)
    return _zeta(x, q)


@wide_function
def _zeta(x: Any, q: Any) -> Any:
    """Ten terms, then Euler and Maclaurin's series for the rest."""
    order, start = lnp.where(x > 1, x, 2.0), lnp.where(q > 0, q, 1.0)
    total = lnp.power(start, -order)
    for k in range(1, SHIFT):
        total = total + lnp.power(start + k, -order)
    z = start + SHIFT
    last = lnp.power(z, -order)
    rest = z * last / (order - 1) + 0.5 * last
    factor, term = order / 2, last / z
    for n, b in enumerate(BERNOULLI, 1):
        rest = rest + b * factor * term
        factor = factor * ((order + (2 * n - 1)) * (order + 2 * n) / ((2 * n + 1) * (2 * n + 2)))
        term = term / (z * z)
    found = lnp.where(last > 0, total + rest, total)
    found = lnp.where(q == np.inf, 0.0, found)
    pole = lnp.where((q == lnp.floor(q)) | (q == 0), np.inf, np.nan)
    found = lnp.where(q > 0, found, pole)
    return lnp.where(x > 1, found, lnp.where(x == 1, np.inf, np.nan))


def polygamma(n: Any, x: Any) -> Any:
    """The derivative of order n of ``digamma``, for whole n >= 0: of any x for n = 0, else of x > 0."""
    if type(n) is int and 0 <= n < MOST_ORDER:
        return digamma(as_float(x)) if n == 0 else _of_order(float(n), x)
    return _polygamma(n, x)


def _of_order(n: float, x: Any) -> Any:
    (operand,) = real_floats("polygamma", x=x)
    found = bind("hurwitz", operand, order=int(n) + 1)
    sign = 1.0 if n % 2 else -1.0
    if n <= 20:
        return lnp.multiply(found, sign * float(np.prod(np.arange(1.0, n + 1))))
    return lnp.multiply(lnp.exp(lnp.add(lnp.log(found), float(lgamma(n + 1)))), sign)


@wide_function
def _polygamma(n: Any, x: Any) -> Any:
    sign = lnp.where(lnp.mod(n, 2.0) == 0, -1.0, 1.0)
    higher = sign * lnp.exp(lgamma(n + 1)) * zeta(n + 1, x)
    return lnp.where((n < 0) | (n != lnp.floor(n)), np.nan, lnp.where(n == 0, digamma(x), higher))


__all__ = ["polygamma", "zeta"]

publish(globals(), __all__)
