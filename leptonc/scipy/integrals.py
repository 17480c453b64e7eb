"""Exponential, sine and cosine integrals, and the dilogarithm."""

from __future__ import annotations

from math import factorial, pi
from typing import Any, NamedTuple

import numpy as np

from leptonc import numpy as lnp
from leptonc.elementary import digamma, lgamma
from leptonc.ir.tables import BERNOULLI
from leptonc.numpy.complexes import imag, real
from leptonc.public import publish
from leptonc.scipy.incomplete import EPSILON, gamma_fraction
from leptonc.scipy.operands import wide_function
from leptonc.scipy.slopes import with_slopes
from leptonc.trace import cast
from leptonc.whiles import while_loop

SERIES_TO = 40.0  # beyond it Ei's asymptotic series is right to the last place


class _Sum(NamedTuple):
    k: Any
    x: Any
    term: Any
    total: Any


def _sums_on(s: _Sum) -> Any:
    return lnp.logical_and(s.k < 400, lnp.any(lnp.absolute(s.term) > 0.1 * EPSILON * lnp.absolute(s.total)))


def _next_power(s: _Sum) -> _Sum:
    k = s.k + 1.0
    term = s.term * s.x / k
    return _Sum(k, s.x, term, s.total + term / k)


def _entire(x: Any) -> Any:
    """The sum of x^k / (k k!), k from 1 on."""
    return while_loop(_sums_on, _next_power, _Sum(np.float64(0), x, lnp.ones_like(x), lnp.zeros_like(x))).total


def _next_far(s: _Sum) -> _Sum:
    k = s.k + 1.0
    term = lnp.where(k > s.x, 0.0, s.term * k / s.x)
    return _Sum(k, s.x, term, s.total + term)


def _far(x: Any) -> Any:
    """The sum of k! / x^k, as long as its terms fall."""
    one = lnp.ones_like(x)
    return while_loop(_sums_on, _next_far, _Sum(np.float64(0), x, one, one)).total


def _exp1(x: Any) -> Any:
    """For x > 0: a power series up to 1, then the continued fraction."""
    near, endless = x <= 1, x == np.inf
    small, large = lnp.where(near, x, 0.5), lnp.where(near | endless, 2.0, x)
    series = -np.euler_gamma - lnp.log(small) - _entire(-small)
    far = lnp.exp(-large) * gamma_fraction(lnp.zeros_like(x), large)
    return lnp.where(near, series, lnp.where(endless, 0.0, far))


def _expi(x: Any) -> Any:
    far, middle = x > SERIES_TO, (x > 0) & (x <= SERIES_TO)
    inner, outer = lnp.where(middle, x, 1.0), lnp.where(far, x, 2 * SERIES_TO)
    series = np.euler_gamma + lnp.log(inner) + _entire(inner)
    asymptotic = lnp.exp(outer) / outer * _far(lnp.where(outer < np.inf, outer, 1e300))
    found = lnp.where(far, lnp.where(x == np.inf, np.inf, asymptotic), series)
    found = lnp.where(x < 0, -_exp1(lnp.where(x < 0, -x, 1.0)), found)
    return lnp.where(x == 0, -np.inf, lnp.where(lnp.isnan(x), x, found))


_expi_ruled = with_slopes(_expi, lambda x, y: lnp.exp(x) / x)


@wide_function
def expi(x: Any) -> Any:
    """Ei(x), the integral of e^t / t from -inf to x."""
    return _expi_ruled(x)


@wide_function
def exp1(x: Any) -> Any:
    """E1(x) = -Ei(-x), the integral of e^-t / t from x to inf."""
    return -_expi_ruled(-x)


def _expn(n: Any, x: Any) -> Any:
    """For x <= 1 the power series, with a logarithm in the place of its term n - 1; then the continued fraction."""
    near = x <= 1
    small, large = lnp.where(near & (x > 0), x, 0.5), lnp.where(near | (x == np.inf), 2.0, x)
    order = lnp.maximum(n, 1.0)
    total, power = 0.0, lnp.ones_like(x)
    for m in range(21):
        below = m + 1 - order
        total = total - lnp.where(below == 0, 0.0, power / lnp.where(below == 0, 1.0, below))
        power = power * -small / (m + 1)
    sign = lnp.where(lnp.mod(order, 2.0) == 0, -1.0, 1.0)
    single = sign * lnp.exp((order - 1) * lnp.log(small) - lgamma(order)) * (digamma(order) - lnp.log(small))
    found = lnp.where(near, total + single, lnp.exp(-large) * gamma_fraction(1 - order, large))
    found = lnp.where(x == 0, lnp.where(n > 1, 1 / lnp.where(n > 1, n - 1, 1.0), np.inf), found)
    found = lnp.where(n == 0, lnp.exp(-x) / x, lnp.where(x == np.inf, 0.0, found))
    return lnp.where((n < 0) | (x < 0) | lnp.isnan(x), np.nan, found)


_expn_ruled = with_slopes(_expn, lambda n, x, y: lnp.full_like(x, np.nan),
                          lambda n, x, y: -lnp.where(n > 0, _expn(lnp.maximum(n - 1, 0.0), x), y + lnp.exp(-x) / (x * x)))


@wide_function
def expn(n: Any, x: Any) -> Any:
    """The integral of e^(-x t) / t^n from 1 to inf, for whole n >= 0 and x >= 0. It has no derivative by n."""
    return _expn_ruled(n, x)


def _series_of_waves(x: Any) -> tuple[Any, Any]:
    """(Si(x), Ci(x) - log x - gamma) by power series: 20 terms are enough up to 4."""
    square, sine_term = -(x * x), x
    sine, cosine = x, lnp.zeros_like(x)
    for k in range(1, 20):
        sine_term = sine_term * square / ((2 * k) * (2 * k + 1))
        sine = sine + sine_term / (2 * k + 1)
    cosine_term = lnp.ones_like(x)
    for k in range(1, 20):
        cosine_term = cosine_term * square / ((2 * k - 1) * (2 * k))
        cosine = cosine + cosine_term / (2 * k)
    return sine, cosine


def _sici(x: Any) -> tuple[Any, Any]:
    """Up to 4 by power series, then by E1(i x) = -Ci(x) + i (Si(x) - pi / 2)."""
    size = lnp.absolute(x)
    near, endless = size <= 4, size == np.inf
    small, large = lnp.where(near & (size > 0), size, 1.0), lnp.where(near | endless, 5.0, size)
    sine, cosine = _series_of_waves(small)
    z = 1j * cast(large, np.complex128)
    e1 = lnp.exp(-z) * gamma_fraction(lnp.zeros_like(z), z)
    si = lnp.where(near, lnp.where(size > 0, sine, 0.0), pi / 2 + imag(e1))
    ci = lnp.where(near, np.euler_gamma + lnp.log(small) + cosine, -real(e1))
    si = lnp.where(endless, pi / 2, si)
    ci = lnp.where(x == 0, -np.inf, lnp.where(endless, 0.0, ci))
    return lnp.where(lnp.isnan(x), x, lnp.where(x < 0, -si, si)), lnp.where(lnp.isnan(x), x, ci)


_si = with_slopes(lambda x: _sici(x)[0], lambda x, y: lnp.sinc(x / pi))
_ci = with_slopes(lambda x: _sici(x)[1], lambda x, y: lnp.cos(x) / x)


@wide_function
def sici(x: Any) -> tuple[Any, Any]:
    """(Si, Ci): the integrals of sin(t) / t from 0, and of cos(t) / t from inf, to x. Ci(-x) is taken as Ci(x)."""
    return _si(x), _ci(x)


_DILOGARITHM = [b / factorial(2 * n + 1) for n, b in enumerate(BERNOULLI[:9], 1)]


def _dilogarithm(z: Any) -> Any:
    """The dilogarithm of 1 - z for 1/2 <= z <= 2, in powers of u = -log z."""
    u = -lnp.log(z)
    square, total = u * u, _DILOGARITHM[-1]
    for c in _DILOGARITHM[-2::-1]:
        total = total * square + c
    return u - 0.25 * square + total * square * u


def _spence(z: Any) -> Any:
    """Elsewhere reflected: f(z) + f(1 - z) = pi^2 / 6 - log z log(1 - z), f(z) + f(1 / z) = -log(z)^2 / 2."""
    large = z > 2
    inner = lnp.where(large, 1 / lnp.where(large, z, 1.0), z)
    low = inner < 0.5
    near = _dilogarithm(lnp.where(low, 1 - inner, lnp.where(inner > 2, 1.0, inner)))
    edge = lnp.where(inner > 0, inner, 1.0)
    both = lnp.where(inner > 0, lnp.log(edge) * lnp.log1p(-lnp.where(low, inner, 0.0)), 0.0)
    found = lnp.where(low, pi * pi / 6 - both - near, near)
    turned = -0.5 * lnp.log(lnp.where(large, z, 1.0)) ** 2 - found
    return lnp.where(z < 0, np.nan, lnp.where(large, turned, found))


_spence_ruled = with_slopes(_spence, lambda z, y: lnp.where(z == 1, -1.0, lnp.log(z) / (1 - lnp.where(z == 1, 0.0, z))))


@wide_function
def spence(x: Any) -> Any:
    """The integral of log(t) / (1 - t) from 1 to x: the dilogarithm of 1 - x. NaN for x < 0."""
    return _spence_ruled(x)


__all__ = ["exp1", "expi", "expn", "sici", "spence"]

publish(globals(), __all__)
