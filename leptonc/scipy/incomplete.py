"""The incomplete gamma and beta functions: a power series or a continued fraction, whichever converges, until all elements have.

Both are loops of array operations in f64. What an element does not need of the two is computed for a harmless one in its place.
Derivatives by x are densities, those by a and b forward derivatives of the loops.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import pi
from typing import Any, NamedTuple

import numpy as np

from leptonc import numpy as lnp
from leptonc.custom import custom_jvp
from leptonc.elementary import digamma, lgamma
from leptonc.forward import jvp
from leptonc.ir.tables import BERNOULLI
from leptonc.public import publish
from leptonc.scipy.operands import wide_function
from leptonc.whiles import while_loop

EPSILON = float(np.finfo(np.float64).eps)
TINY = 1e-300  # takes the place of a zero in a continued fraction
MOST_TERMS = 20_000  # enough for a of 10^7; near x = a the number grows as sqrt(a)
STIRLING = [b / (2 * n * (2 * n - 1)) for n, b in enumerate(BERNOULLI[:9], 1)]
STIRLING_FROM = 10.0  # where the series is right to the last place


class _Series(NamedTuple):
    """1 + x / (a + 1) + x^2 / (a + 1)(a + 2) + ..."""

    n: Any
    a: Any
    x: Any
    term: Any
    total: Any


def _series_goes_on(s: _Series) -> Any:
    return lnp.logical_and(s.n < MOST_TERMS, lnp.any(s.term > EPSILON * s.total))


def _next_of_series(s: _Series) -> _Series:
    n = s.n + 1.0
    term = s.term * (s.x / (s.a + n))
    return _Series(n, s.a, s.x, term, s.total + term)


def _series(a: Any, x: Any) -> Any:
    one = lnp.ones_like(x)
    return while_loop(_series_goes_on, _next_of_series, _Series(np.float64(0), a, x, one, one)).total


class _Fraction(NamedTuple):
    """Lentz's algorithm: ``found`` is the value of the fraction so far, ``ratio`` what the last step multiplied it by."""

    n: Any
    a: Any
    b: Any
    x: Any
    c: Any
    d: Any
    found: Any
    ratio: Any


def _moves(s: _Fraction) -> Any:
    return lnp.absolute(s.ratio - 1) > 3 * EPSILON


def _fraction_goes_on(s: _Fraction) -> Any:
    return lnp.logical_and(s.n < MOST_TERMS, lnp.any(_moves(s)))


def _settled(before: _Fraction, after: _Fraction) -> _Fraction:
    """``after``, but what stood still ``before``, where it was: thousands of factors of nearly 1, which others need, add up."""
    moves = _moves(before)
    return after._replace(found=lnp.where(moves, after.found, before.found), ratio=lnp.where(
        moves, after.ratio, 1.0))


def _kept(x: Any) -> Any:
    return lnp.where(lnp.absolute(x) < TINY, TINY, x)


def _stepped(s: _Fraction, above: Any, below: Any) -> _Fraction:
    """The fraction with one more level: ``above / (below + ...)``."""
    d = 1 / _kept(above * s.d + below)
    c = _kept(below + above / s.c)
    return s._replace(c=c, d=d, found=s.found * (c * d), ratio=c * d)


Step = Callable[[_Fraction], _Fraction]


class _Dual(NamedTuple):
    """A fraction and its tangent; ``moved`` is what the last step added to that."""

    at: _Fraction
    by: _Fraction
    moved: Any


def _dual_moves(s: _Dual) -> Any:
    return lnp.logical_or(_moves(s.at), lnp.absolute(s.moved) > 3 * EPSILON * lnp.absolute(s.by.found))


def _dual_goes_on(s: _Dual) -> Any:
    return lnp.logical_and(s.at.n < MOST_TERMS, lnp.any(_dual_moves(s)))


def _dual_step(step: Step, s: _Dual) -> _Dual:
    """One more level of both: a fraction that ends, as that of a whole a does, has a tangent that does not."""
    at, by = jvp(step, (s.at,), (s.by,))
    moves = _dual_moves(s)
    at, by = (new._replace(found=lnp.where(moves, new.found, old.found)) for new, old in ((at, s.at), (by, s.by)))
    return _Dual(at._replace(ratio=lnp.where(moves, at.ratio, 1.0)), by, by.found - s.by.found)


def _tangent(step: Step, start: Callable[..., _Fraction], primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
    """The fraction that begins with ``start(*primals)``, and its tangent."""
    at, by = jvp(start, primals, tangents)
    end = while_loop(_dual_goes_on, partial(_dual_step, step), _Dual(at, by, lnp.ones_like(at.found)))
    return end.at.found, end.by.found


def _gamma_level(s: _Fraction) -> _Fraction:
    n = s.n + 1.0
    return _stepped(s, -n * (n - s.a), s.x + (2 * n + 1) - s.a)._replace(n=n)


def _next_of_gamma(s: _Fraction) -> _Fraction:
    return _settled(s, _gamma_level(s))


def gamma_fraction(a: Any, x: Any) -> Any:
    """1 / (x + 1 - a - 1 (1 - a) / (x + 3 - a - 2 (2 - a) / ...)): Q(a, x) over its density."""
    return while_loop(_fraction_goes_on, _next_of_gamma, _gamma_start(a, x)).found


def _gamma_start(a: Any, x: Any) -> _Fraction:
    d = 1 / _kept(x + 1 - a)
    return _Fraction(np.float64(0), a, a, x, lnp.full_like(x, 1 / TINY), d, d, lnp.zeros_like(x))


def stirling_rest(a: Any) -> Any:
    """log gamma(a) - ((a - 1/2) log a - a + log(2 pi) / 2), for a >= 10."""
    inverse = 1 / a
    square, total = inverse * inverse, STIRLING[-1]
    for c in STIRLING[-2::-1]:
        total = total * square + c
    return total * inverse


def _log_density(a: Any, x: Any) -> Any:
    """a log x - x - log gamma(a), of whose terms for large a almost nothing is left, in another form."""
    large = a > STIRLING_FROM
    wide = lnp.where(large, a, 2 * STIRLING_FROM)
    off = (x - wide) / wide
    near = lnp.absolute(off) < 0.5
    inner = lnp.where(near, off, 0.0)
    ratio = lnp.where(near, inner - lnp.log1p(inner), off - lnp.log(lnp.where(near, 1.0, x / wide)))
    far = 0.5 * lnp.log(wide / (2 * pi)) - stirling_rest(wide) - wide * ratio
    small = lnp.where(large, 1.0, a)
    return lnp.where(large, far, small * lnp.log(x) - x - lgamma(small))


class _Gammas(NamedTuple):
    """Operands made harmless where they are out of the domain, and which of the two ways is taken."""

    a: Any
    x: Any
    by_series: Any


def _inside(a: Any, x: Any) -> _Gammas:
    proper = (a > 0) & (x > 0) & (a < np.inf) & (x < np.inf)
    a, x = lnp.where(proper, a, 1.0), lnp.where(proper, x, 1.0)
    return _Gammas(a, x, (x <= 1) | (x <= a))


def _of_series(proper: _Gammas) -> tuple[Any, Any]:
    """Operands for the series: P over the density, where it is taken."""
    return lnp.where(proper.by_series, proper.a, 1.0), lnp.where(proper.by_series, proper.x, 0.0)


def _of_fraction(proper: _Gammas) -> tuple[Any, Any]:
    """Operands for the fraction: Q over the density, where it is taken."""
    return lnp.where(proper.by_series, 1.0, proper.a), lnp.where(proper.by_series, 2.0, proper.x)


def _gamma(a: Any, x: Any, upper: bool) -> Any:
    proper = _inside(a, x)
    series, fraction = _series(*_of_series(proper)) / proper.a, gamma_fraction(*_of_fraction(proper))
    density = lnp.exp(_log_density(proper.a, proper.x))
    low, high = density * series, density * fraction
    found = lnp.where(proper.by_series, 1 - low if upper else low, high if upper else 1 - high)
    found = lnp.where((x == 0) & (a > 0), float(upper), lnp.where((x == np.inf) & (a > 0) & (a < np.inf), 1.0 - upper, found))
    found = lnp.where((a == np.inf) & (x >= 0) & (x < np.inf), float(upper), found)
    found = lnp.where((a == 0) & (x > 0), 1.0 - upper, found)
    wrong = lnp.isnan(a) | lnp.isnan(x) | (a < 0) | (x < 0) | ((a == 0) & (x == 0)) | ((a == np.inf) & (x == np.inf))
    return lnp.where(wrong, np.nan, found)


def _gamma_by_a(a: Any, x: Any) -> Any:
    """dP / da."""
    proper = _inside(a, x)
    one, none = lnp.ones_like(x), lnp.zeros_like(x)
    a_series, x_series = _of_series(proper)
    series, by_series = jvp(lambda v: _series(v, x_series) / v, (a_series,), (one,))
    fraction, by_fraction = _tangent(_gamma_level, _gamma_start, _of_fraction(proper), (one, none))
    slope = lnp.log(proper.x) - digamma(proper.a)
    density = lnp.exp(_log_density(proper.a, proper.x))
    found = density * lnp.where(proper.by_series, slope * series + by_series, -(slope * fraction + by_fraction))
    found = lnp.where((x == 0) | (x == np.inf), none, found)
    return lnp.where((a > 0) & (x >= 0), found, np.nan)


def _gamma_density(a: Any, x: Any) -> Any:
    """dP / dx."""
    return lnp.exp(_log_density(a, x)) / x


_lower = custom_jvp(lambda a, x: _gamma(a, x, False))
_upper = custom_jvp(lambda a, x: _gamma(a, x, True))


@_lower.defjvp
def _lower_jvp(primals: tuple[Any, Any], tangents: tuple[Any, Any]) -> tuple[Any, Any]:
    a, x = primals
    return _lower(a, x), _gamma_by_a(a, x) * tangents[0] + _gamma_density(a, x) * tangents[1]


@_upper.defjvp
def _upper_jvp(primals: tuple[Any, Any], tangents: tuple[Any, Any]) -> tuple[Any, Any]:
    a, x = primals
    return _upper(a, x), -(_gamma_by_a(a, x) * tangents[0] + _gamma_density(a, x) * tangents[1])


@wide_function
def igamma(a: Any, x: Any) -> Any:
    """The regularized lower incomplete gamma function P(a, x), for a > 0 and x >= 0; NaN elsewhere."""
    return _lower(a, x)


@wide_function
def igammac(a: Any, x: Any) -> Any:
    """The regularized upper incomplete gamma function Q(a, x) = 1 - P(a, x), right where it is small."""
    return _upper(a, x)


@wide_function
def igamma_grad_a(a: Any, x: Any) -> Any:
    """The derivative of ``igamma`` by a."""
    return _gamma_by_a(a, x)


@wide_function
def random_gamma_grad(a: Any, x: Any) -> Any:
    """The derivative by a of a gamma draw x: how it moves if its place in the distribution stays."""
    return -_gamma_by_a(a, x) / _gamma_density(a, x)


# Beta


def _beta_level(s: _Fraction) -> _Fraction:
    """An even and an odd level."""
    m = s.n + 1.0
    even = m * (s.b - m) * s.x / ((s.a + 2 * m - 1) * (s.a + 2 * m))
    odd = -(s.a + m) * (s.a + s.b + m) * s.x / ((s.a + 2 * m) * (s.a + 2 * m + 1))
    first = _stepped(s, even, 1.0)
    second = _stepped(first, odd, 1.0)
    return second._replace(n=m, ratio=first.ratio * second.ratio)


def _next_of_beta(s: _Fraction) -> _Fraction:
    return _settled(s, _beta_level(s))


def _beta_start(a: Any, b: Any, x: Any) -> _Fraction:
    d = 1 / _kept(1 - (a + b) * x / (a + 1))
    return _Fraction(np.float64(0), a, b, x, lnp.ones_like(x), d, d, lnp.zeros_like(x))


def log_beta(a: Any, b: Any) -> Any:
    """log B(a, b), by what Stirling's series leave where both are large."""
    low, high = lnp.minimum(a, b), lnp.maximum(a, b)
    large = low > STIRLING_FROM
    some = high > STIRLING_FROM
    p, q = lnp.where(large, low, 2 * STIRLING_FROM), lnp.where(some, high, 2 * STIRLING_FROM)
    rest = stirling_rest(p) + stirling_rest(q) - stirling_rest(p + q)
    both = rest + 0.5 * (np.log(2 * pi) - lnp.log(q)) + (p - 0.5) * lnp.log(p / (p + q)) - q * lnp.log1p(p / q)
    small = lnp.where(large, 1.0, low)
    total = small + q
    one = (lgamma(small) + stirling_rest(q) - stirling_rest(total) - (q - 0.5) * lnp.log1p(small / q)
           - small * lnp.log(total) + small)
    first, second = lnp.where(some, 1.0, low), lnp.where(some, 1.0, high)
    none = lgamma(first) + lgamma(second) - lgamma(first + second)
    return lnp.where(large, both, lnp.where(some, one, none))


def _beta_proper(a: Any, b: Any, x: Any) -> tuple[Any, Any, Any, Any]:
    inside = (a > 0) & (b > 0) & (x > 0) & (x < 1) & (a < np.inf) & (b < np.inf)
    a, b, x = (lnp.where(inside, v, other) for v, other in ((a, 1.0), (b, 1.0), (x, 0.5)))
    turned = x > (a + 1) / (a + b + 2)
    return a, b, x, turned


def _lower_side(a: Any, b: Any, x: Any, turned: Any) -> tuple[Any, Any, Any]:
    """Operands of the fraction: of I(a, b, x), or of 1 - I, which is I(b, a, 1 - x), where it is ``turned``."""
    return lnp.where(turned, b, a), lnp.where(turned, a, b), lnp.where(turned, 1 - x, x)


def _log_beta_density(a: Any, b: Any, x: Any) -> Any:
    """log(x^a (1 - x)^b / B(a, b)); for large a and b, of whose terms almost nothing is left, by distances from the mode."""
    large = lnp.minimum(a, b) > STIRLING_FROM
    p, q = (lnp.where(large, v, 2 * STIRLING_FROM) for v in (a, b))
    off = x - p / (p + q)
    far = (0.5 * lnp.log(p / (2 * pi) * (q / (p + q))) - (stirling_rest(p) + stirling_rest(q) - stirling_rest(p + q))
           + _bent(p, off * (p + q) / p, x, p / (p + q)) + _bent(q, -off * (p + q) / q, 1 - x, q / (p + q)))
    first, second = (lnp.where(large, 1.0, v) for v in (a, b))
    return lnp.where(large, far, first * lnp.log(x) + second * lnp.log1p(-x) - log_beta(first, second))


def _bent(a: Any, off: Any, x: Any, mode: Any) -> Any:
    """a (log(1 + off) - off), of which 1 + off is x / mode."""
    return a * (lnp.where(lnp.absolute(off) < 0.5, lnp.log1p(off), lnp.log(x / mode)) - off)


def _beta(a: Any, b: Any, x: Any) -> Any:
    p, q, y, turned = _beta_proper(a, b, x)
    first, second, part = _lower_side(p, q, y, turned)
    fraction = while_loop(_fraction_goes_on, _next_of_beta, _beta_start(first, second, part)).found
    found = lnp.exp(_log_beta_density(p, q, y)) * fraction / first
    found = lnp.where(turned, 1 - found, found)
    found = lnp.where(x == 0, 0.0, lnp.where(x == 1, 1.0, found))
    return lnp.where((a > 0) & (b > 0) & (x >= 0) & (x <= 1), found, np.nan)


_regularized = custom_jvp(_beta)


@_regularized.defjvp
def _beta_jvp(primals: tuple[Any, Any, Any], tangents: tuple[Any, Any, Any]) -> tuple[Any, Any]:
    a, b, x = primals
    p, q, y, turned = _beta_proper(a, b, x)
    density, one, none = lnp.exp(_log_beta_density(p, q, y)), lnp.ones_like(x), lnp.zeros_like(x)
    first, second, part = _lower_side(p, q, y, turned)
    over, by_first = _tangent(_beta_level, _beta_start, (first, second, part), (one, none, none))
    _, by_second = _tangent(_beta_level, _beta_start, (first, second, part), (none, one, none))
    over, by_first, by_second = over / first, by_first / first - over / (first * first), by_second / first
    by_a, by_b = lnp.where(turned, by_second, by_first), lnp.where(turned, by_first, by_second)
    side, whole = lnp.where(turned, -1.0, 1.0), digamma(p + q)
    found = (side * density * ((lnp.log(y) - digamma(p) + whole) * over + by_a) * tangents[0]
             + side * density * ((lnp.log1p(-y) - digamma(q) + whole) * over + by_b) * tangents[1]
             + density / (y * (1 - y)) * tangents[2])
    return _regularized(a, b, x), found


@wide_function
def betainc(a: Any, b: Any, x: Any) -> Any:
    """The regularized incomplete beta function I(a, b, x), for a, b > 0 and x in [0, 1]; NaN elsewhere."""
    return _regularized(a, b, x)


__all__ = ["betainc", "igamma", "igamma_grad_a", "igammac", "log_beta", "random_gamma_grad"]

publish(globals(), __all__)
