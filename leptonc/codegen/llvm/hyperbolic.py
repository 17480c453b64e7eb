"""Hyperbolic functions, from e^|x| - 1 as a pair of floats."""

from __future__ import annotations

from leptonc.codegen.llvm.lanes import Lanes
from leptonc.codegen.llvm.vectormath import clamp, expm1, expm1_pair, scale
from leptonc.ir.types import f32


def tanh(v: Lanes, x: str) -> str:
    """e / (e + 2) with e = e^{2|x|} - 1, with the sign put back; in pairs in f64."""
    limit = 10.0 if v.dtype == f32 else 20.0
    twice = v.mul(clamp(v, v.abs(x), 0.0, limit), v.const(2))
    if v.dtype == f32:
        e = expm1(v, twice)
        return v.copysign(v.div(e, v.add(e, v.const(2))), x)
    high, low = _expm1(v, *expm1_pair(v, twice))
    below, below_low = v.two_sum(high, v.const(2))
    return v.copysign(v.add(*v.pair_quotient((high, low), (below, v.add(below_low, low)))), x)


def _expm1(v: Lanes, n: str, near: str, near_low: str) -> tuple[str, str]:
    """2^n (1 + near) - 1 of a pair and 0 <= n < 60."""
    power = v.power_of_two(n)
    high, low = v.two_sum(v.sub(power, v.const(1)), v.mul(power, near))
    return high, v.fma(power, near_low, low)


def _exp(v: Lanes, n: str, near: str, near_low: str) -> tuple[str, str]:
    """2^n (1 + near) of a pair and 0 <= n < 60."""
    power = v.power_of_two(n)
    high, low = v.ordered_two_sum(v.const(1), near)
    return v.mul(power, high), v.mul(power, v.add(low, near_low))


FAR = {23: 11.0, 52: 22.0}  # from there on e^-|x| is less than a quarter of e^|x|'s last place
LARGEST = {23: 90.0, 52: 711.0}  # beyond, both are infinite


def _far(v: Lanes, a: str) -> str:
    """e^a / 2, which overflows no earlier than it must."""
    n, near, near_low = expm1_pair(v, clamp(v, a, 0.0, LARGEST[v.mantissa]))
    high, low = v.ordered_two_sum(v.const(1), near)
    return scale(v, v.add(high, v.add(low, near_low)), v.int_op("sub", n, v.int_const(1)))


def sinh(v: Lanes, x: str) -> str:
    """(e + e / (e + 1)) / 2 with e = e^|x| - 1, which loses nothing near 0."""
    a, far = v.abs(x), FAR[v.mantissa]
    pair = expm1_pair(v, clamp(v, a, 0.0, far))
    e, e_low = _expm1(v, *pair)
    quotient, quotient_low = v.pair_quotient((e, e_low), _exp(v, *pair))
    high, low = v.two_sum(e, quotient)
    near = v.mul(v.const(0.5), v.add(high, v.add(low, v.add(e_low, quotient_low))))
    return v.copysign(v.select(v.compare("olt", a, v.const(far)), near, _far(v, a)), x)


def cosh(v: Lanes, x: str) -> str:
    """(e + 1 / e) / 2 with e = e^|x|."""
    a, far = v.abs(x), FAR[v.mantissa]
    e, e_low = _exp(v, *expm1_pair(v, clamp(v, a, 0.0, far)))
    inverse, inverse_low = v.pair_quotient((v.const(1), v.const(0)), (e, e_low))
    high, low = v.ordered_two_sum(e, inverse)
    near = v.mul(v.const(0.5), v.add(high, v.add(low, v.add(e_low, inverse_low))))
    return v.select(v.compare("olt", a, v.const(far)), near, _far(v, a))
