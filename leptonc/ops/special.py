"""Special functions: error functions, gamma functions, Bessel functions."""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial, log, nan, pi
from typing import Any

import numpy as np

from leptonc.ir.op import Sample, get_op, register
from leptonc.ir.tables import BERNOULLI, ERFC_EXPONENT, I0E_FAR, I0E_NEAR, I1E_FAR, I1E_NEAR
from leptonc.ir.types import f64
from leptonc.ir.value import Value
from leptonc.ops.doubles import Doubles, chebyshev, horner
from leptonc.ops.elementwise import Smooth, away_from_zero, compare, select


def _zeta_less_one(k: int) -> float:
    """zeta(k) - 1: 39 terms, then Euler and Maclaurin's series."""
    n = 40
    rest, factor = n ** (1 - k) / (k - 1) + 0.5 * n**-k, float(k)
    for m, b in enumerate(BERNOULLI[:4], 1):
        rest += b * factor / factorial(2 * m) * n ** (1 - k - 2 * m)
        factor *= (k + 2 * m - 1) * (k + 2 * m)
    return sum(j**-k for j in range(n - 1, 1, -1)) + rest


# log gamma(2 + e) = e ((1 - Euler's constant) + sum of (-1)^k (zeta(k) - 1) e^(k - 1) / k), highest first
NEAR_TWO = [*((-1) ** k * _zeta_less_one(k) / k for k in range(28, 1, -1)), 1 - 0.5772156649015329]
SHIFT = 10  # asymptotic series in 1 / x are right to the last place from here on


def _tail_of_erfc(s: Any, a: Any) -> tuple[Any, Any, Any]:
    """erfc(a) = t exp(-square) exp(rest) for a >= 0: (t, square, rest), with nothing lost where a^2 is rounded."""
    t = s.div(2, s.add(a, 2))
    square = s.mul(a, a)
    lost = s.fma(a, a, s.neg(square))
    rest = s.sub(horner(s, s.sub(s.add(t, t), 1), ERFC_EXPONENT), lost)
    return t, square, rest


def _erfc(s: Any, x: Any) -> Any:
    t, square, rest = _tail_of_erfc(s, s.min(s.max(x, 0.25), 28.0))
    far = s.mul(s.mul(t, s.exp(rest)), s.exp(s.neg(square)))
    return s.select(s.isnan(x), x, s.select(s.lt(x, 0.5), s.sub(1, s.erf(x)), far))


@register
class erfc(Doubles):
    """1 - erf(x), accurate where that is small."""

    name = "erfc"

    def formula(self, s: Any, x: Any) -> Any:
        return _erfc(s, x)

    def slope(self, x: Value, y: Value) -> Value:
        return get_op("exp")(-(x * x)) * (-2 / np.pi**0.5)


@register
class log_ndtr(Doubles):
    """The logarithm of the normal distribution function, right for any x."""

    name = "log_ndtr"

    def formula(self, s: Any, x: Any) -> Any:
        z = s.mul(x, -(0.5**0.5))
        t, square, rest = _tail_of_erfc(s, s.max(z, 0.25))
        low = s.add(s.log(s.mul(0.5, t)), s.sub(rest, square))
        high = s.log1p(s.mul(-0.5, _erfc(s, s.neg(z))))
        low = s.select(s.eq(x, -np.inf), x, low)
        return s.select(s.isnan(x), x, s.select(s.gt(z, 0.5), low, high))

    def slope(self, x: Value, y: Value) -> Value:
        """The density over the distribution function, by logarithms."""
        return get_op("exp")(-0.5 * (x * x) - y - 0.5 * log(2 * pi))


def _raised(s: Any, x: Any) -> tuple[Any, Any]:
    """(whether x < SHIFT, x raised above it)."""
    low = s.lt(x, SHIFT)
    return low, s.select(low, s.add(x, SHIFT), x)


def _turn(s: Any, x: Any) -> Any:
    """pi times the fraction of x, less than pi / 2 in size."""
    return s.mul(s.sub(x, s.round(x)), pi)


@register
class lgamma(Doubles):
    """log |gamma(x)|, inf at 0 and the negative integers: the series at 1 and 2, beyond 2.5 Stirling's, reflected for x < 1/2."""

    name = "lgamma"

    def formula(self, s: Any, x: Any) -> Any:
        mirrored = s.lt(x, 0.5)
        given = s.select(mirrored, s.sub(1, x), x)
        low, z = _raised(s, given)
        factors = given
        for k in range(1, SHIFT):
            factors = s.mul(factors, s.add(given, k))
        inverse = s.div(1, z)
        terms = [b / (2 * n * (2 * n - 1)) for n, b in enumerate(BERNOULLI[:8], 1)]
        series = s.mul(inverse, horner(s, s.mul(inverse, inverse), terms[::-1]))
        half = s.sub(z, 0.5)
        found = s.sub(s.mul(half, s.sub(s.log(z), 1)), s.sub(0.5 - 0.5 * log(2 * pi), series))
        found = s.sub(found, s.select(low, s.log(factors), s.const(0.0, f64)))
        sine = s.abs(s.sin(_turn(s, x)))
        one = s.lt(given, 1.5)
        off = s.sub(s.min(given, 2.5), s.select(one, s.const(1.0, f64), s.const(2.0, f64)))
        near = s.mul(off, horner(s, off, NEAR_TWO))
        near = s.select(one, s.sub(near, s.log1p(off)), near)
        found = s.select(s.lt(given, 2.5), near, found)
        reflected = s.sub(s.log(s.div(pi, sine)), found)
        found = s.select(mirrored, reflected, found)
        return s.select(s.eq(s.abs(x), np.inf), s.const(np.inf, f64), found)

    def slope(self, x: Value, y: Value) -> Value:
        return get_op("digamma")(x)

    def domain(self, x: np.ndarray) -> np.ndarray:
        return _between_poles(x)


def _between_poles(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.where(x < 0, np.floor(x) + 0.5 + 0.2 * np.sin(x), x + 0.3))


@register
class digamma(Doubles):
    """The derivative of lgamma; NaN at 0 and the negative integers."""

    name = "digamma"

    def formula(self, s: Any, x: Any) -> Any:
        mirrored = s.lt(x, 0.5)
        given = s.select(mirrored, s.sub(1, x), x)
        low, z = _raised(s, given)
        steps = s.div(1, given)
        for k in range(1, SHIFT):
            steps = s.add(steps, s.div(1, s.add(given, k)))
        square = s.div(1, s.mul(z, z))
        series = s.mul(square, horner(s, square, [b / (2 * n) for n, b in enumerate(BERNOULLI[:8], 1)][::-1]))
        found = s.sub(s.sub(s.log(z), s.div(0.5, z)), series)
        found = s.sub(found, s.select(low, steps, s.const(0.0, f64)))
        turn = _turn(s, x)
        reflected = s.sub(found, s.div(pi, s.tan(turn)))
        pole = s.and_(s.le(x, 0), s.eq(turn, 0))
        found = s.select(mirrored, reflected, found)
        return s.select(s.or_(pole, s.eq(x, -np.inf)), s.const(nan, f64), found)

    def slope(self, x: Value, y: Value) -> Value:
        """zeta(2, x), reflected for x < 0."""
        mirrored = compare("lt", x, 0)
        above = get_op("hurwitz")(select(mirrored, 1 - x, x), order=2)
        ratio = np.pi / get_op("sin")(np.pi * (x - get_op("round")(x)))
        return select(mirrored, ratio * ratio - above, above)

    def domain(self, x: np.ndarray) -> np.ndarray:
        return _between_poles(x)


@register
class hurwitz(Smooth):
    """Hurwitz's zeta(order, x), the sum of (x + k) ** -order for x > 0 and a whole ``order`` > 1; NaN for x < 0, inf at 0.

    Ten terms, then Euler and Maclaurin's series for the rest.
    """

    name = "hurwitz"

    def body(self, s: Any, x: Any, order: int) -> Any:
        wide = s.cast(x, f64)
        power = s.const(-float(order), f64)
        total = s.pow(wide, power)
        for k in range(1, SHIFT):
            total = s.add(total, s.pow(s.add(wide, k), power))
        z = s.add(wide, SHIFT)
        last = s.pow(z, power)
        rest = s.add(s.div(s.mul(last, z), order - 1), s.mul(0.5, last))
        inverse = s.div(1, z)
        factor, term = order / 2, s.mul(last, inverse)
        for n, b in enumerate(BERNOULLI, 1):
            rest = s.add(rest, s.mul(term, s.const(b * factor, f64)))
            factor *= (order + 2 * n - 1) * (order + 2 * n) / ((2 * n + 1) * (2 * n + 2))
            term = s.mul(term, s.mul(inverse, inverse))
        total = s.add(total, rest)
        total = s.select(s.lt(wide, 0), s.const(nan, f64), s.select(s.eq(wide, np.inf), s.const(0.0, f64), total))
        return s.cast(total, s.dtype(x))

    def slope(self, x: Value, y: Value) -> Value:
        raise NotImplementedError("vjp needs the order")

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        order = attrs["order"]
        return (g * (self(operands[0], order=order + 1) * -order),)

    def samples(self) -> Sequence[Sample]:
        return [Sample(lambda rng: [np.abs(rng.standard_normal((3, 5))) + 0.3], {"order": n}, name=f"order {n}") for n in (2, 3, 7)]


class Bessel(Doubles):
    """e^-|x| I(x), a modified Bessel function scaled."""

    near: tuple[float, ...]
    far: tuple[float, ...]

    def formula(self, s: Any, x: Any) -> Any:
        a = s.abs(x)
        near = self.ending(s, a, chebyshev(s, s.sub(s.mul(s.min(a, 8), 0.25), 1), self.near))
        large = s.max(a, 8)
        far = s.div(chebyshev(s, s.sub(s.div(16, large), 1), self.far), s.sqrt(large))
        found = s.select(s.le(a, 8), near, far)
        return s.select(s.isnan(x), x, self.with_sign(s, x, found))

    def ending(self, s: Any, a: Any, series: Any) -> Any:
        return series

    def with_sign(self, s: Any, x: Any, found: Any) -> Any:
        return found


@register
class i0e(Bessel):
    """e^-|x| I0(x)."""

    name, near, far = "i0e", I0E_NEAR, I0E_FAR

    def slope(self, x: Value, y: Value) -> Value:
        return get_op("i1e")(x) - get_op("sign")(x) * y

    def domain(self, x: np.ndarray) -> np.ndarray:
        return away_from_zero(5 * x)


@register
class i1e(Bessel):
    """e^-|x| I1(x)."""

    name, near, far = "i1e", I1E_NEAR, I1E_FAR

    def ending(self, s: Any, a: Any, series: Any) -> Any:
        return s.mul(a, series)

    def with_sign(self, s: Any, x: Any, found: Any) -> Any:
        return s.select(s.eq(x, 0), x, s.select(s.lt(x, 0), s.neg(found), found))

    def slope(self, x: Value, y: Value) -> Value:
        """e^-|x| I1'(x) = i0e - i1e / x, which at 0 is 1/2; less sign(x) i1e."""
        zero = compare("eq", x, 0)
        at = select(zero, x.builder.full(x.type, 1), x)
        inner = get_op("i0e")(x) - select(zero, x.builder.full(x.type, 0.5), y / at)
        return inner - get_op("sign")(x) * y

    def domain(self, x: np.ndarray) -> np.ndarray:
        return away_from_zero(5 * x)
