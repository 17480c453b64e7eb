"""Logarithms to other bases and powers: the logarithm as a pair of floats, so that what is exact comes out exact."""

from __future__ import annotations

from collections.abc import Callable
from math import log as log_of

from leptonc.codegen.llvm.lanes import Lanes
from leptonc.codegen.llvm.vectormath import (
    LN2_HIGH,
    LN2_LOW,
    clamp,
    exp,
    expm1_pair,
    in_doubles,
    log,
    log_edges,
    log_series,
    scale,
    split_log,
)

Function = Callable[..., str]

# What 1 / log(base) is more than its nearest float
LOG2_LOW, LOG10_LOW = 2.0355273740931033e-17, 6.649434773342547e-17
TWO_THIRDS_LOW = 3.7007434154171886e-17  # 2/3 less what 2 / 3 is


def _log_pair(v: Lanes, x: str) -> tuple[str, str]:
    """log(x) for positive finite x as an unevaluated sum, so near that 700 of it, as an exponent, are right to a rounding."""
    k, m = split_log(v, x)
    one = v.const(1)
    f, d = v.sub(m, one), v.add(m, one)
    lost = v.sub(m, v.sub(d, one))
    s = v.div(f, d)
    high, low = v.two_product(s, d)
    rest = v.sub(v.sub(f, high), v.add(low, v.mul(s, lost)))
    s_low = v.div(rest, d)
    # 2 s^3 / 3 in twice the precision too: times y, its last digits would be the result's
    z, z_low = v.two_product(s, s)
    cube, cube_low = v.two_product(s, z)
    cube_low = v.fma(s, z_low, cube_low)
    third, third_low = v.two_product(cube, v.const(2 / 3))
    third_low = v.fma(cube_low, v.const(2 / 3), v.fma(cube, v.const(TWO_THIRDS_LOW), third_low))
    series = v.mul(v.mul(cube, z), v.horner(z, log_series(v)[:-1]))
    twice, slope = v.mul(s, v.const(2)), v.fma(z, v.fma(z, v.const(2), v.const(2)), v.const(2))
    # k ln2 + 2s, the greater first, + 2 s^3 / 3
    main = v.mul(k, v.const(LN2_HIGH[52]))
    first = v.add(main, twice)
    back = v.sub(first, main)
    error = v.add(v.sub(main, v.sub(first, back)), v.sub(twice, back))
    total = v.add(first, third)
    error = v.add(error, v.sub(third, v.sub(total, first)))
    small = v.add(v.fma(k, v.const(LN2_LOW[52]), error), v.fma(s_low, slope, v.add(third_low, series)))
    final = v.add(total, small)
    return final, v.sub(small, v.sub(final, total))


def _log_to_base(base: int, inverse_low: float) -> Function:
    """log(x) / log(base), with 1 / log(base) = ``inverse`` + ``inverse_low``."""
    inverse = 1 / log_of(base)

    def full(v: Lanes, x: str) -> str:
        high, low = _log_pair(v, _usable(v, x))
        product, rest = v.two_product(high, v.const(inverse))
        rest = v.fma(low, v.const(inverse), v.fma(high, v.const(inverse_low), rest))
        return log_edges(v, x, v.add(product, rest))

    def brief(v: Lanes, x: str) -> str:
        return v.mul(log(v, x), v.const(inverse))

    return in_doubles(full, brief)


log2 = _log_to_base(2, LOG2_LOW)
log10 = _log_to_base(10, LOG10_LOW)


def _usable(v: Lanes, a: str) -> str:
    """a where it is positive and finite, else 1."""
    fine = v.both(v.compare("ogt", a, v.const(0)), v.compare("olt", a, v.const(float("inf"))))
    return v.select(fine, a, v.const(1))


def _power(v: Lanes, x: str, y: str) -> str:
    """x^y as C's pow: exp(y log|x|) in twice the precision, then the special cases."""
    a = v.abs(x)
    high, low = _log_pair(v, _usable(v, a))
    bounded = clamp(v, y, -1e20, 1e20)
    product, rest = v.two_product(high, bounded)
    rest = v.fma(low, bounded, rest)
    in_range = clamp(v, product, -750.0, 715.0)
    rest = v.select(v.compare("oeq", product, in_range), rest, v.const(0))
    n, near, near_low = expm1_pair(v, in_range, rest)
    total, total_low = v.ordered_two_sum(v.const(1), near)
    return _power_edges(v, x, y, a, scale(v, v.add(total, v.add(total_low, near_low)), n))


def _brief_power(v: Lanes, x: str, y: str) -> str:
    """The same of f32 numbers: f64's digits are enough without pairs."""
    a = v.abs(x)
    product = v.mul(log(v, _usable(v, a)), clamp(v, y, -1e20, 1e20))
    return _power_edges(v, x, y, a, exp(v, product))


power = in_doubles(_power, _brief_power)


def _power_edges(v: Lanes, x: str, y: str, a: str, result: str) -> str:
    zero, one, infinity, nan = (v.const(c) for c in (0.0, 1.0, float("inf"), float("nan")))
    up = v.compare("ogt", y, zero)
    result = v.select(v.compare("oeq", a, zero), v.select(up, zero, infinity), result)
    result = v.select(v.compare("oeq", a, infinity), v.select(up, infinity, zero), result)
    whole = v.compare("oeq", v.trunc(y), y)
    half = v.mul(y, v.const(0.5))
    odd = v.both(whole, v.both(v.compare("une", v.trunc(half), half), v.compare("olt", v.abs(y), v.const(2.0**53))))
    negative = v.int_compare("slt", v.to_bits(x), v.int_const(0))
    result = v.select(v.both(odd, negative), v.neg(result), result)
    finite = v.both(v.compare("olt", x, zero), v.compare("one", a, infinity))
    result = v.select(v.both(finite, v.compare("une", v.trunc(y), y)), nan, result)
    result = v.select(v.compare("oeq", v.abs(y), infinity), _power_of_infinity(v, y, a), result)
    result = v.select(v.either(v.compare("uno", x, x), v.compare("uno", y, y)), nan, result)
    return v.select(v.either(v.compare("oeq", y, zero), v.compare("oeq", x, one)), one, result)


def _power_of_infinity(v: Lanes, y: str, a: str) -> str:
    """|x|^±inf."""
    grows = v.differ(v.compare("ogt", a, v.const(1)), v.compare("olt", y, v.const(0)))
    result = v.select(grows, v.const(float("inf")), v.const(0))
    return v.select(v.compare("oeq", a, v.const(1)), v.const(1), result)
