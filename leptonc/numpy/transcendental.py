"""Arc functions, roots, angles, and logarithms of sums: functions of floats beside the exponentials of ``elementwise``."""

from __future__ import annotations

from math import log, pi
from typing import Any

import numpy as np

from leptonc.arguments import array, number
from leptonc.arguments import axis as axis_of
from leptonc.arithmetic import absolute, add, divide, equal, less, multiply, named_operands, power, subtract
from leptonc.numpy.elementwise import arctan2, as_float, exp, float_function, logaddexp, real_floats, sign, sin, where
from leptonc.trace import align, bind, cast, promote

asin = float_function("asin", "asin", "Inverse sine in [-pi/2, pi/2]; NaN beyond [-1, 1].")
acos = float_function("acos", "acos", "Inverse cosine in [0, pi]; NaN beyond [-1, 1].")
atan = float_function("atan", "atan", "Inverse tangent in [-pi/2, pi/2].")
asinh = float_function("asinh", "asinh", "Inverse hyperbolic sine.")
acosh = float_function("acosh", "acosh", "Inverse hyperbolic cosine; NaN below 1.")
atanh = float_function("atanh", "atanh", "Inverse hyperbolic tangent; infinite at -1 and 1, NaN beyond.")
cbrt = float_function("cbrt", "cbrt", "Cube root, of negative numbers too.")
exp2 = float_function("exp2", "exp2", "2 ** x; whole for whole x.")
arcsin, arccos, arctan, arcsinh, arccosh, arctanh, atan2 = asin, acos, atan, asinh, acosh, atanh, arctan2


@named_operands
def hypot(x: Any, y: Any) -> Any:
    """sqrt(x ** 2 + y ** 2), without overflow."""
    return bind("hypot", *(as_float(v) for v in align("hypot", x, y)))


@named_operands
def logaddexp2(x: Any, y: Any) -> Any:
    """log2(2 ** x + 2 ** y) without overflow."""
    a, b = (as_float(v) for v in align("logaddexp2", x, y))
    return multiply(logaddexp(multiply(a, log(2)), multiply(b, log(2))), 1 / log(2))


@named_operands
def deg2rad(x: Any) -> Any:
    """Degrees as radians."""
    return multiply(as_float(x), pi / 180)


@named_operands
def rad2deg(x: Any) -> Any:
    """Radians as degrees."""
    return multiply(as_float(x), 180 / pi)


radians, degrees = deg2rad, rad2deg
SINC_SERIES = [(-1) ** k * pi ** (2 * k) / float(np.prod(np.arange(1.0, 2 * k + 2))) for k in range(7, -1, -1)]


_scaled_i0 = float_function("i0", "i0e", "e^-|x| I0(x).")


@named_operands
def i0(x: Any) -> Any:
    """The modified Bessel function of the first kind, of order 0; e^|x| in two factors, of which none overflows before it does."""
    operand = as_float(x)
    grown = exp(multiply(multiply(operand, sign(operand)), 0.5))  # |x| with the derivative 0 at 0
    return multiply(multiply(grown, _scaled_i0(operand)), grown)


@named_operands
def sinc(x: Any) -> Any:
    """sin(pi x) / (pi x), 1 at 0: a power series near it, so that derivatives of any order are right there."""
    operand = as_float(x)
    near = less(absolute(operand), 0.1)
    small, turn = where(near, operand, 0.0), multiply(where(near, 1.0, operand), pi)
    square = multiply(small, small)
    series: Any = SINC_SERIES[0]
    for c in SINC_SERIES[1:]:
        series = add(multiply(series, square), c)
    return where(near, series, divide(sin(turn), turn))


@named_operands
def heaviside(x: Any, y: Any) -> Any:
    """0 for negative x, y at 0, 1 for positive x; NaN stays."""
    a, b = real_floats("heaviside", x=x, y=y)
    step = where(less(a, 0), 0.0, multiply(equal(a, a), 1.0))
    return where(equal(a, 0), b, where(equal(a, a), cast(step, a.dtype), a))


@named_operands
def float_power(x: Any, y: Any) -> Any:
    """x ** y in floats: ints and bools as f64."""
    a, b = promote(x, y)
    return power(as_float(a), as_float(b))


def unwrap(p: Any, discont: Any = None, axis: int = -1, period: float = 2 * pi) -> Any:
    """Angles along ``axis`` made continuous: jumps of more than ``discont`` (half the ``period``) are taken back by periods."""
    from_ = as_float(array("unwrap", "p", p))
    at = axis_of("unwrap", from_, axis)
    number("unwrap", "period", period, least=1e-300)
    discont = None if discont is None else number("unwrap", "discont", discont)
    rows = [slice(None)] * len(from_.shape)
    jumps = subtract(from_[(*rows[:at], slice(1, None))], from_[(*rows[:at], slice(None, -1))])
    half = period / 2
    turned = subtract(bind("mod", *align("unwrap", add(jumps, half), period)), half)
    turned = where(equal(turned, -half), where(less(0, jumps), half, turned), turned)
    correction = where(less(absolute(jumps), half if discont is None else discont), 0.0, subtract(turned, jumps))
    total = bind("cumsum", correction, axis=at, reverse=False)
    first = bind("pad", total, low=tuple(int(d == at) for d in range(len(total.shape))), high=(0,) * len(total.shape),
                 interior=(0,) * len(total.shape), value=0.0)
    return add(from_, first)
