"""Sine, cosine and tangent after Cody and Waite's range reduction, from 2^20 on Payne and Hanek's, and the arc tangent."""

from __future__ import annotations

from math import factorial, pi

from leptonc.codegen.llvm.lanes import Lanes
from leptonc.codegen.llvm.rangereduction import HALF_PI_LOW, large_quadrant
from leptonc.codegen.llvm.vectormath import in_doubles

# pi/2 as a sum of four parts: the first three leave room for an exact product with a 20-bit quotient
HALF_PI = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21, 8.478427660368899e-32)


def _quadrant(v: Lanes, x: str, exact: bool = True) -> tuple[str, str, str]:
    """x = n pi/2 + r + low, |r| <= pi/4: (n as integer, r, low). From 2^20 on lane by lane, in a branch that is rarely taken.

    Not ``exact``: low is 0 below 2^20.
    """
    n, bits = v.round_to_int(v.mul(x, v.const(2 / pi)))
    r, low = _exact_rest(v, x, n) if exact else _rest(v, x, n)
    a = v.abs(x)
    large = v.both(v.compare("oge", a, v.const(2.0**20)), v.compare("olt", a, v.const(float("inf"))))
    times = v.e.let(f"zext i1 {v.any(large)} to i64", "times")
    carried = [(v.int_type, bits), (v.type, r), (v.type, low)]
    with v.e.reduce_loop("large", "0", times, 1, carried) as (_, phis, following):
        following += _large_lanes(v, x, large, *phis)
    return phis[0], phis[1], phis[2]


def _rest(v: Lanes, x: str, n: str) -> tuple[str, str]:
    for part in HALF_PI:
        x = v.fma(n, v.const(-part), x)
    return x, v.const(0)


def _exact_rest(v: Lanes, x: str, n: str) -> tuple[str, str]:
    """x - n pi/2 as a pair: the products with the first three parts are exact, and so is the first difference."""
    first = v.fma(n, v.const(-HALF_PI[0]), x)
    high, low = v.two_sum(first, v.mul(n, v.const(-HALF_PI[1])))
    for part in HALF_PI[2:]:
        low = v.fma(n, v.const(-part), low)
    return v.two_sum(high, low)


def _large_lanes(v: Lanes, x: str, large: str, n: str, r: str, low: str) -> tuple[str, str, str]:
    """n, r and low with the lanes of large arguments replaced."""
    turn, turn_low = v.const(0), v.const(0)
    for lane in range(v.lanes):
        argument = v.select(large, x, v.const(2.0**20))  # the others need not be finite
        reduced = large_quadrant(v.e, v.lane(argument, lane))
        number, high, rest = (v.e.let(f"extractvalue {{ i64, double, double }} {reduced}, {k}", "part") for k in range(3))
        n = v.int_select(large, v.with_lane(n, number, lane, integer=True), n)
        turn, turn_low = v.with_lane(turn, high, lane), v.with_lane(turn_low, rest, lane)
    angle, rest = v.two_product(turn, v.const(pi / 2))
    rest = v.fma(turn_low, v.const(pi / 2), v.fma(turn, v.const(HALF_PI_LOW), rest))
    angle, rest = v.ordered_two_sum(angle, rest)
    return n, v.select(large, angle, r), v.select(large, rest, low)


SINE = [(-1) ** k / factorial(2 * k + 1) for k in range(8, 0, -1)]
COSINE = [(-1) ** k / factorial(2 * k) for k in range(9, 1, -1)]


def _sine_pair(v: Lanes, r: str, low: str) -> tuple[str, str]:
    """sin(r + low), right to an eighth of a rounding."""
    z = v.mul(r, r)
    cosine = v.fma(z, v.const(-0.5), v.const(1))
    return v.ordered_two_sum(r, v.fma(v.mul(z, r), v.horner(z, SINE), v.mul(low, cosine)))


def _cosine_pair(v: Lanes, r: str, low: str) -> tuple[str, str]:
    """cos(r + low), right to an eighth of a rounding."""
    z, z_low = v.two_product(r, r)
    high, rest = v.ordered_two_sum(v.const(1), v.mul(z, v.const(-0.5)))
    rest = v.sub(rest, v.fma(r, low, v.mul(z_low, v.const(0.5))))
    return v.ordered_two_sum(high, v.fma(v.mul(z, z), v.horner(z, COSINE), rest))


def _sine_of(v: Lanes, n: str, r: str, low: str) -> str:
    """sin(n pi/2 + r + low)."""
    odd = _bit(v, n, 1)
    sine, cosine = v.add(*_sine_pair(v, r, low)), v.add(*_cosine_pair(v, r, low))
    value = v.select(odd, cosine, sine)
    return v.select(_bit(v, n, 2), v.neg(value), value)


def _bit(v: Lanes, n: str, bit: int) -> str:
    return v.int_compare("ne", v.int_op("and", n, v.int_const(bit)), v.int_const(0))


def _brief_sine_of(v: Lanes, n: str, r: str) -> str:
    """sin(n pi/2 + r), right to four units of the last place."""
    z = v.mul(r, r)
    sine = v.fma(v.mul(z, r), v.horner(z, SINE), r)
    cosine = v.add(v.fma(z, v.const(-0.5), v.const(1)), v.mul(v.mul(z, z), v.horner(z, COSINE)))
    value = v.select(_bit(v, n, 1), cosine, sine)
    return v.select(_bit(v, n, 2), v.neg(value), value)


def _sin(v: Lanes, x: str) -> str:
    """Sine; NaN for infinities."""
    return v.select(v.compare("oeq", x, v.const(0)), x, _sine_of(v, *_quadrant(v, x)))


def _brief_sin(v: Lanes, x: str) -> str:
    n, r, _ = _quadrant(v, x, exact=False)
    return v.select(v.compare("oeq", x, v.const(0)), x, _brief_sine_of(v, n, r))


def _cos(v: Lanes, x: str) -> str:
    """Cosine; NaN for infinities."""
    n, r, low = _quadrant(v, x)
    return _sine_of(v, v.int_op("add", n, v.int_const(1)), r, low)


def _brief_cos(v: Lanes, x: str) -> str:
    n, r, _ = _quadrant(v, x, exact=False)
    return _brief_sine_of(v, v.int_op("add", n, v.int_const(1)), r)


def _tan(v: Lanes, x: str) -> str:
    """Tangent, sin / cos or -cos / sin; NaN for infinities."""
    n, r, low = _quadrant(v, x)
    odd = _bit(v, n, 1)
    sine, cosine = _sine_pair(v, r, low), _cosine_pair(v, r, low)
    above = [v.select(odd, v.neg(c), s) for s, c in zip(sine, cosine)]
    below = [v.select(odd, s, c) for s, c in zip(sine, cosine)]
    quotient = v.add(*v.pair_quotient((above[0], above[1]), (below[0], below[1])))
    return v.select(v.compare("oeq", x, v.const(0)), x, quotient)


def _brief_tan(v: Lanes, x: str) -> str:
    n, r, _ = _quadrant(v, x, exact=False)
    cosine = _brief_sine_of(v, v.int_op("add", n, v.int_const(1)), r)
    return v.select(v.compare("oeq", x, v.const(0)), x, v.div(_brief_sine_of(v, n, r), cosine))


sin = in_doubles(_sin, _brief_sin)
cos = in_doubles(_cos, _brief_cos)
tan = in_doubles(_tan, _brief_tan)


@in_doubles
def atan2(v: Lanes, y: str, x: str) -> str:
    """Angle of (x, y) in [-pi, pi], signed zeros and infinities as C's atan2."""
    a, b = v.abs(y), v.abs(x)
    steep = v.compare("ogt", a, b)
    small, large = v.select(steep, b, a), v.select(steep, a, b)
    both_infinite = v.compare("oeq", small, v.const(float("inf")))
    ratio = v.select(both_infinite, v.const(1), v.div(small, large))
    ratio = v.select(v.compare("oeq", large, v.const(0)), v.const(0), ratio)
    far = v.compare("ogt", ratio, v.const(2**0.5 - 1))  # beyond tan(pi/8): turn by pi/4
    t = v.select(far, v.div(v.sub(ratio, v.const(1)), v.add(ratio, v.const(1))), ratio)
    z = v.mul(t, t)
    series = [(-1) ** k / (2 * k + 1) for k in range(22, 0, -1)]
    angle = v.fma(v.mul(t, z), v.horner(z, series), t)
    angle = v.add(angle, v.select(far, v.const(pi / 4), v.const(0)))
    angle = v.select(steep, v.add(v.sub(v.const(pi / 2), angle), v.const(6.123233995736766e-17)), angle)
    behind = v.int_compare("slt", v.to_bits(x), v.int_const(0))
    angle = v.select(behind, v.add(v.sub(v.const(pi), angle), v.const(1.2246467991473532e-16)), angle)
    angle = v.copysign(angle, y)
    return v.select(v.either(v.compare("uno", x, x), v.compare("uno", y, y)), v.const(float("nan")), angle)
