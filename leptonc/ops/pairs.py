"""Arithmetic and elementary functions of complex numbers, in ops on their real and imaginary parts.

Branch cuts and zeros of either sign are those of C's <complex.h>, as NumPy's, and so are infinities and NaN, but that a NaN in one
part may make one of the other. A product is the plain one of four. Quotients are by Smith (1962), inverse functions
by Kahan, "Branch cuts for complex elementary functions" (1987).
"""

from __future__ import annotations

from math import exp as exp_of
from math import log as log_of
from typing import Any

import numpy as np

from leptonc.ir.op import get_op
from leptonc.ir.pair import Pair
from leptonc.ir.types import TensorType
from leptonc.ir.value import Value

SHIFTS = {"f32": 40.0, "f64": 350.0}  # taken off an exponent twice as large, so that e^x times a cosine overflows when it must


def _op(name: str, *operands: Value, **attrs: Any) -> Value:
    return get_op(name)(*operands, **attrs)


def _full(x: Value, number: float) -> Value:
    return x.builder.full(x.type, number)


def _compare(op: str, x: Value, y: Value | float) -> Value:
    return _op(op, x, y if isinstance(y, Value) else _full(x, y))


def _choose(condition: Value, a: Value | float, b: Value | float) -> Value:
    like = a if isinstance(a, Value) else b
    assert isinstance(like, Value)
    return _op("select", condition, *(v if isinstance(v, Value) else _full(like, v) for v in (a, b)))


def _is_negative(x: Value) -> Value:
    """Whether its sign bit is set, that of a zero too."""
    bits = _op("to_bits", x)
    return _compare("lt", bits, 0)


def _copysign(magnitude: Value, x: Value) -> Value:
    """A number that is not negative with the sign of x."""
    return _choose(_is_negative(x), -magnitude, magnitude)


def _product(x: Value, y: Value) -> Value:
    """x y, but 0 where y is, even if x is infinite or NaN: factors such as e^x sin(0)."""
    return _choose(_compare("eq", y, 0), _choose(_is_negative(x), -y, y), x * y)


def _is_endless(x: Value) -> Value:
    return _compare("eq", _op("abs", x), np.inf)


def _is_turn_of_nan(x: Value, y: Value) -> Value:
    """Whether x is 0 and y NaN: beside a zero some functions are known all the same."""
    return _op("and", _compare("eq", x, 0), _op("isnan", y))


def _grown(x: Value, turn: Value, exponent: Value) -> Value:
    """x times a cosine; an infinity, whose sign is not known, where x is of an infinite exponent and the cosine is none."""
    return _choose(_op("and", _is_endless(exponent), _op("isnan", turn)), _op("abs", x), x * turn)


def _max(a: Value, b: Value) -> Value:
    return _op("max", a, b)


# Arithmetic


def negative(z: Pair) -> Pair:
    return Pair(-z.re, -z.im)


def conjugate(z: Pair) -> Pair:
    return Pair(z.re, -z.im)


def add(a: Pair, b: Pair) -> Pair:
    return Pair(a.re + b.re, a.im + b.im)


def subtract(a: Pair, b: Pair) -> Pair:
    return Pair(a.re - b.re, a.im - b.im)


def multiply(a: Pair, b: Pair) -> Pair:
    return Pair(a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re)


def divide(a: Pair, b: Pair) -> Pair:
    """Smith's algorithm; by zero each part over |0|."""
    large = _compare("ge", _op("abs", b.re), _op("abs", b.im))
    p, q = _choose(large, b.re, b.im), _choose(large, b.im, b.re)
    none = _compare("eq", p, 0)
    p = _choose(none, _op("abs", p), p)
    ratio = _choose(none, 0.0, q / p)
    scale = 1 / (p + q * ratio)
    x, y = _choose(large, a.re, a.im), _choose(large, a.im, a.re)
    across = x * ratio
    return Pair((x + y * ratio) * scale, _choose(large, y - across, across - y) * scale)


def absolute(z: Pair) -> Value:
    return _op("hypot", z.re, z.im)


def angle(z: Pair) -> Value:
    return _op("atan2", z.im, z.re)


def sign(z: Pair) -> Pair:
    """z / |z|; of zeros of any signs 0, with one infinite part the sign of that."""
    size = absolute(z)
    none = _compare("eq", size, 0)
    safe = _choose(none, 1.0, size)
    endless, both = _is_endless(size), _op("and", *map(_is_endless, z))
    parts = (_choose(_is_endless(part), _copysign(_full(part, 1), part), 0.0) for part in z)
    return Pair(*(_choose(none, 0.0, _choose(endless, _choose(both, np.nan, one), part / safe)) for part, one in zip(z, parts)))


def equal(a: Pair, b: Pair) -> Value:
    return _op("and", _op("eq", a.re, b.re), _op("eq", a.im, b.im))


def not_equal(a: Pair, b: Pair) -> Value:
    return _op("or", _op("ne", a.re, b.re), _op("ne", a.im, b.im))


def isnan(z: Pair) -> Value:
    return _op("or", _op("isnan", z.re), _op("isnan", z.im))


def _scaled(z: Pair, factor: float) -> Pair:
    return Pair(z.re * factor, z.im * factor)


def _times_i(z: Pair) -> Pair:
    return Pair(-z.im, z.re)


def _over_i(z: Pair) -> Pair:
    return Pair(z.im, -z.re)


def _one_plus(z: Pair) -> Pair:
    return Pair(1 + z.re, z.im)


def _one_minus(z: Pair) -> Pair:
    return Pair(1 - z.re, -z.im)


# Exponentials, logarithms, powers


def exp(z: Pair) -> Pair:
    shift = SHIFTS[z.re.dtype.name]
    large = _compare("gt", z.re, 2 * shift)
    size = _op("exp", _choose(large, z.re - shift, z.re))
    rest = _choose(large, exp_of(shift), _full(z.re, 1.0))
    gone = _compare("eq", z.re, -np.inf)  # 0, whatever the angle
    turn = _choose(gone, 0.0, z.im)
    real = _compare("eq", turn, 0)
    re = _choose(real, size, _grown(size, _op("cos", turn), z.re)) * rest
    return Pair(re, _choose(real, turn, size * _op("sin", turn) * rest))


def expm1(z: Pair) -> Pair:
    half = _op("sin", z.im * 0.5)
    whole = exp(z)
    near = _op("expm1", z.re) * _op("cos", z.im) - 2.0 * half * half
    return Pair(_choose(_compare("lt", _op("abs", z.re), 1.0), near, whole.re - 1.0), whole.im)


def log(z: Pair) -> Pair:
    """log |z| by way of |z|^2 - 1 where that is small."""
    a, b = _op("abs", z.re), _op("abs", z.im)
    large, small = _max(a, b), _op("min", a, b)
    near = 0.5 * _op("log1p", (large - 1.0) * (large + 1.0) + small * small)
    by_unit = _op("and", _compare("gt", large, 0.5), _compare("lt", large, 1.5))
    return Pair(_choose(by_unit, near, _op("log", absolute(z))), angle(z))


def log_to(base: float, z: Pair) -> Pair:
    return _scaled(log(z), 1 / log_of(base))


def log1p(z: Pair) -> Pair:
    whole = _one_plus(z)
    size = _max(_op("abs", z.re), _op("abs", z.im))
    near = 0.5 * _op("log1p", z.re * (2.0 + z.re) + z.im * z.im)
    return Pair(_choose(_compare("lt", size, 0.5), near, log(whole).re), angle(whole))


def exp2(z: Pair) -> Pair:
    return exp(_scaled(z, log_of(2)))


def sqrt(z: Pair) -> Pair:
    """In the right half plane; the sign of the imaginary part is that of z's."""
    size = _op("sqrt", _op("abs", z.re) * 0.5 + absolute(z) * 0.5)
    none = _compare("eq", size, 0)
    other = _op("abs", z.im) * 0.5 / _choose(none, 1.0, size)
    right = _op("not", _is_negative(z.re))
    endless = _compare("eq", _op("abs", z.im), np.inf)
    re = _choose(endless, np.inf, _choose(right, size, other))
    im = _choose(endless, np.inf, _choose(right, other, size))
    return Pair(re, _copysign(im, z.im))


def reciprocal(z: Pair) -> Pair:
    return divide(Pair(_full(z.re, 1), _full(z.re, 0)), z)


def rsqrt(z: Pair) -> Pair:
    return reciprocal(sqrt(z))


def power(a: Pair, b: Pair) -> Pair:
    """e^(b log a); 1 to the power 0, and of 0 to a power with a positive real part 0, else NaN."""
    found = exp(multiply(b, log(a)))
    whole = _op("and", _compare("eq", b.re, 0), _compare("eq", b.im, 0))
    none = _op("and", _compare("eq", a.re, 0), _compare("eq", a.im, 0))
    at_zero = _choose(_compare("gt", b.re, 0), 0.0, _full(a.re, np.nan))
    re, im = (_choose(none, at_zero, part) for part in found)
    return Pair(_choose(whole, 1.0, re), _choose(whole, 0.0, im))


def sigmoid(z: Pair) -> Pair:
    return reciprocal(_one_plus(exp(negative(z))))


# Trigonometric and hyperbolic functions


def sinh(z: Pair) -> Pair:
    size, turn = _op("sinh", z.re), _op("cos", z.im)
    re = _choose(_compare("eq", size, 0), _product(turn, size), _grown(size, turn, z.re))
    return Pair(re, _product(_op("cosh", z.re), _op("sin", z.im)))


def cosh(z: Pair) -> Pair:
    size, turn = _op("sinh", z.re), _op("sin", z.im)
    im = _choose(_compare("eq", size, 0), _product(turn, size), _product(size, turn))
    return Pair(_grown(_op("cosh", z.re), _op("cos", z.im), z.re), im)


def tanh(z: Pair) -> Pair:
    """With t = tanh(re) and s = tan(im): (t (1 + s^2) + i s / cosh(re)^2) / (1 + t^2 s^2)."""
    t, s, c = _op("tanh", z.re), _op("tan", z.im), _op("cosh", z.re)
    below = 1.0 + t * t * (s * s)
    end = _is_endless(z.re)
    re = _choose(_is_turn_of_nan(z.re, s), z.re, t * (1.0 + s * s) / below)
    im = _choose(_compare("eq", z.im, 0), z.im, s / c / c / below)
    return Pair(_choose(end, t, re), _choose(end, _copysign(_full(s, 0.0), s), im))


def sin(z: Pair) -> Pair:
    return _over_i(sinh(_times_i(z)))


def cos(z: Pair) -> Pair:
    return cosh(_times_i(z))


def tan(z: Pair) -> Pair:
    return _over_i(tanh(_times_i(z)))


# Inverse functions


def _roots(z: Pair) -> tuple[Pair, Pair]:
    """sqrt(1 - z), sqrt(1 + z)."""
    return sqrt(_one_minus(z)), sqrt(_one_plus(z))


def asin(z: Pair) -> Pair:
    below, above = _roots(z)
    cross = below.re * above.im - below.im * above.re
    re, im = _op("atan2", z.re, below.re * above.re - below.im * above.im), _op("asinh", cross)
    endless = _op("or", _is_endless(z.re), _is_endless(z.im))
    re = _choose(endless, _op("atan2", z.re, _op("abs", z.im)), _choose(_is_turn_of_nan(z.re, z.im), z.re, re))
    return Pair(re, _choose(endless, _copysign(_full(z.im, np.inf), z.im), im))


def acos(z: Pair) -> Pair:
    below, above = _roots(z)
    re, im = 2.0 * _op("atan2", below.re, above.re), _op("asinh", above.re * below.im - above.im * below.re)
    endless = _op("or", _is_endless(z.re), _is_endless(z.im))
    re = _choose(endless, _op("atan2", _op("abs", z.im), z.re), _choose(_is_turn_of_nan(z.re, z.im), np.pi / 2, re))
    return Pair(re, _choose(endless, -_copysign(_full(z.im, np.inf), z.im), im))


def acosh(z: Pair) -> Pair:
    below, above = sqrt(Pair(z.re - 1, z.im)), sqrt(_one_plus(z))
    re, im = _op("asinh", below.re * above.re + below.im * above.im), 2.0 * _op("atan2", below.im, above.re)
    endless = _op("or", _is_endless(z.re), _is_endless(z.im))
    im = _choose(endless, _op("atan2", z.im, z.re), _choose(_is_turn_of_nan(z.re, z.im), np.pi / 2, im))
    return Pair(_choose(endless, np.inf, re), im)


def asinh(z: Pair) -> Pair:
    return _over_i(asin(_times_i(z)))


def atanh(z: Pair) -> Pair:
    """log1p(4 |x| / ((1 - |x|)^2 + y^2)) / 4 with the sign of x, and half the angle of (1 - x) (1 + x) - y^2 + 2 i y; far from 0
    by way of 1 / z."""
    far = _compare("gt", _max(_op("abs", z.re), _op("abs", z.im)), 1e8)
    small = Pair(_choose(far, 0.0, z.re), _choose(far, 0.0, z.im))
    x, y = small
    a = _op("abs", x)
    near = _copysign(0.25 * _op("log1p", 4.0 * a / ((1.0 - a) * (1.0 - a) + y * y)), x)
    turn = 0.5 * _op("atan2", 2.0 * y, (1.0 - x) * (1.0 + x) - y * y)
    over = reciprocal(z)
    quarter = _copysign(_full(z.im, np.pi / 2), z.im)
    endless = _op("or", _is_endless(z.re), _is_endless(z.im))
    far = _op("or", far, endless)  # also beside a NaN
    re = _copysign(_choose(endless, 0.0, _op("abs", over.re)), z.re)
    re = _choose(far, re, _choose(_is_turn_of_nan(z.re, z.im), z.re, near))
    return Pair(re, _choose(_op("isnan", z.im), z.im, _choose(far, quarter, turn)))


def atan(z: Pair) -> Pair:
    return _over_i(atanh(_times_i(z)))


# Sums and products of many


def bilinear(op: Any, a: Pair, b: Pair, **attrs: Any) -> Pair:
    """An op that is linear in each of two operands, by four products."""
    return Pair(op(a.re, b.re, **attrs) - op(a.im, b.im, **attrs), op(a.re, b.im, **attrs) + op(a.im, b.re, **attrs))


def product_over(z: Pair, axes: tuple[int, ...]) -> Pair:
    """The product over axes, by halves: rows [n, m] times their second halves until m is 1."""
    kept = tuple(d for d in range(z.re.type.rank) if d not in axes)
    rows = tuple(z.re.shape[d] for d in kept)
    many = int(np.prod([z.re.shape[d] for d in axes], dtype=np.int64))
    count = int(np.prod(rows, dtype=np.int64))
    if not many:
        return Pair(*(z.re.builder.full(TensorType(rows, z.re.dtype), n) for n in (1, 0)))
    flat = Pair(*(_op("reshape", _op("transpose", x, perm=(*kept, *axes)), shape=(count, many)) for x in z))
    while many > 1:
        half = many // 2
        both = multiply(_columns(flat, 0, half), _columns(flat, half, half))
        rest = _columns(flat, 2 * half, many - 2 * half)
        flat = both if many == 2 * half else Pair(*(_op("concatenate", x, y, axis=1) for x, y in zip(both, rest)))
        many -= half
    return Pair(*(_op("reshape", x, shape=rows) for x in flat))


def _columns(z: Pair, start: int, size: int) -> Pair:
    return Pair(*(_op("slice", x, start=(0, start), size=(x.shape[0], size), step=(1, 1)) for x in z))
