"""Transcendental functions as polynomial code over vectors, lane by lane, without control flow or table look-ups.

Each function is the same algorithm in f32 and f64 with as many terms as the type needs; those whose f32 result wants
more than f32 arithmetic (erf, sin, cos, pow, atan2) run in f64 lanes. The polynomials are the functions' own power
series after range reduction, except erfc's exponent, which is a Chebyshev interpolation.
``benchmarks/ulp.py`` measures the errors.
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial, pi

from leptonc.codegen.llvm.lanes import Lanes
from leptonc.codegen.llvm.rangereduction import large_quadrant
from leptonc.ir.types import f32

LN2 = 0.6931471805599453
# ln 2 = high + low, the high part with enough trailing zeros that its product with an exponent is exact
LN2_HIGH = {23: 0.693359375, 52: 0.6931471803691238}
LN2_LOW = {23: -2.12194440054690583e-4, 52: 1.9082149292705877e-10}


def _taylor_exp(v: Lanes) -> list[float]:
    """Coefficients of (e^r - 1 - r) / r^2, highest first."""
    degree = 7 if v.dtype == f32 else 13
    return [1 / factorial(k) for k in range(degree, 1, -1)]


def _reduce_exp(v: Lanes, x: str) -> tuple[str, str, str]:
    """x = n ln2 + r with |r| <= ln2 / 2: (n as integer, n as float, r)."""
    n, bits = v.round_to_int(v.mul(x, v.const(1 / LN2)))
    r = v.fma(n, v.const(-LN2_HIGH[v.mantissa]), x)
    return bits, n, v.fma(n, v.const(-LN2_LOW[v.mantissa]), r)


def _clamp(v: Lanes, x: str, low: float, high: float) -> str:
    """x within [low, high]; NaN stays."""
    x = v.select(v.compare("ogt", x, v.const(high)), v.const(high), x)
    return v.select(v.compare("olt", x, v.const(low)), v.const(low), x)


def _scale(v: Lanes, x: str, n: str) -> str:
    """x * 2^n in two steps, so that the result may overflow or underflow where neither factor does."""
    half = v.int_op("ashr", n, v.int_const(1))
    rest = v.int_op("sub", n, half)
    return v.mul(v.mul(x, v.power_of_two(half)), v.power_of_two(rest))


def exp(v: Lanes, x: str) -> str:
    """e^x: overflow gives inf, underflow 0."""
    x = _clamp(v, x, -104.0, 89.0) if v.dtype == f32 else _clamp(v, x, -746.0, 710.0)
    n, _, r = _reduce_exp(v, x)
    tail = v.mul(v.mul(r, r), v.horner(r, _taylor_exp(v)))
    return _scale(v, v.add(v.const(1), v.add(r, tail)), n)


def expm1(v: Lanes, x: str) -> str:
    """e^x - 1, accurate near 0: 2^n (e^r - 1) + (2^n - 1), halved inside so that n = max exponent does not overflow."""
    low, high = (-18.0, 89.0) if v.dtype == f32 else (-38.0, 710.0)
    clamped = _clamp(v, x, low, high)
    n, _, r = _reduce_exp(v, clamped)
    near = v.fma(v.mul(r, r), v.horner(r, _taylor_exp(v)), r)
    half = v.power_of_two(v.int_op("sub", n, v.int_const(1)))
    large = v.mul(v.const(2), v.fma(half, near, v.sub(half, v.const(0.5))))
    result = v.select(v.int_compare("eq", n, v.int_const(0)), near, large)
    return v.select(v.compare("oeq", x, v.const(0)), x, result)  # keeps -0.0


def _split_log(v: Lanes, x: str) -> tuple[str, str]:
    """x = 2^k m with m in [sqrt(1/2), sqrt(2)), subnormals included: (k as float, m)."""
    tiny = v.compare("olt", x, v.const(2.0 ** (1 - v.bias)))
    scaled = v.select(tiny, v.mul(x, v.const(2.0**v.mantissa)), x)
    bits = v.to_bits(scaled)
    root_half = v.int_const(v._bits_of(0.5**0.5))
    above = v.int_op("sub", bits, root_half)
    exponent = v.int_op("ashr", above, v.int_const(v.mantissa))
    m = v.from_bits(v.int_op("sub", bits, v.int_op("shl", exponent, v.int_const(v.mantissa))))
    k = v.int_to_float(exponent)
    return v.select(tiny, v.sub(k, v.const(v.mantissa)), k), m


def _log_series(v: Lanes) -> list[float]:
    """(log((1 + s) / (1 - s)) - 2 s) / s = sum of 2 z^i / (2i + 1), z = s^2, without its factor z; highest first."""
    return [2 / (2 * i + 1) for i in range(5 if v.dtype == f32 else 11, 0, -1)]


def log(v: Lanes, x: str) -> str:
    """Natural logarithm; log(0) = -inf, log(negative) = NaN."""
    k, m = _split_log(v, x)
    f = v.sub(m, v.const(1))
    s = v.div(f, v.add(m, v.const(1)))
    z = v.mul(s, s)
    series = v.mul(z, v.horner(z, _log_series(v)))
    half = v.mul(v.mul(f, f), v.const(0.5))
    # log(1 + f) = f - (f^2/2 - s (f^2/2 + series)): the leading term is exact
    low = v.fma(k, v.const(LN2_LOW[v.mantissa]), v.mul(s, v.add(half, series)))
    result = v.fma(k, v.const(LN2_HIGH[v.mantissa]), v.sub(f, v.sub(half, low)))
    return _log_edges(v, x, result)


def _log_edges(v: Lanes, x: str, result: str) -> str:
    infinity, nan = v.const(float("inf")), v.const(float("nan"))
    result = v.select(v.compare("oeq", x, infinity), infinity, result)
    result = v.select(v.compare("oeq", x, v.const(0)), v.const(float("-inf")), result)
    return v.select(v.compare("ult", x, v.const(0)), nan, result)


def log1p(v: Lanes, x: str) -> str:
    """log(1 + x): the rounding of 1 + x is put right to first order."""
    one = v.const(1)
    u = v.add(one, x)
    lost = v.sub(x, v.sub(u, one))
    result = v.add(log(v, u), v.div(lost, u))
    plain = v.either(v.compare("oeq", u, v.const(float("inf"))), v.compare("oeq", u, v.const(0)))
    result = v.select(plain, log(v, u), result)
    return v.select(v.compare("oeq", u, one), x, result)


def tanh(v: Lanes, x: str) -> str:
    """(e^{2|x|} - 1) / (e^{2|x|} + 1) through expm1, with the sign put back."""
    limit = 10.0 if v.dtype == f32 else 20.0
    a = _clamp(v, v.abs(x), 0.0, limit)
    e = expm1(v, v.mul(a, v.const(2)))
    return v.copysign(v.div(e, v.add(e, v.const(2))), x)


def _in_doubles(function: Callable[..., str]) -> Callable[..., str]:
    """Run an f64 algorithm for f32 operands in f64 lanes."""
    def run(v: Lanes, *args: str) -> str:
        if v.dtype != f32:
            return function(v, *args)
        return v.narrow(function(v.doubles(), *(v.widen(x) for x in args)))

    run.__doc__ = function.__doc__
    return run


# erfc(x) = t exp(-x^2 + P(y)), t = 2 / (2 + x), y = 2t - 1 in [-1, 1]: P interpolated at Chebyshev points
ERFC_EXPONENT = [
    2.9771581466775388e-08, 7.987485635870447e-10, -2.89362583316688e-07, 1.5975717625830537e-07,
    1.2828732271448947e-06, -1.7128830388439079e-06, -2.9627032681389664e-06, 8.952697742614646e-06,
    1.3915283905892769e-07, -3.042110037142128e-05, 3.174739923359482e-05, 7.149530983246629e-05,
    -0.00017430432334210785, -9.376035669702761e-05, 0.0006736791882914114, -0.00014624252451458838,
    -0.002345812562183915, 0.0017589331172806796, 0.008824938562245368, -0.009872689343216038,
    -0.04689561023137698, 0.04734330684142671, 0.6726432239776592, -0.6717940840566907,
]


@_in_doubles
def erf(v: Lanes, x: str) -> str:
    """Error function: power series below 1, 1 - erfc(|x|) above."""
    z = v.mul(x, x)
    series = [(-1) ** k / (factorial(k) * (2 * k + 1)) for k in range(18, -1, -1)]
    near = v.mul(v.mul(x, v.const(2 / pi**0.5)), v.horner(v.select(v.compare("olt", z, v.const(1)), z, v.const(1)), series))
    a = _clamp(v, v.abs(x), 0.0, 6.5)
    t = v.div(v.const(2), v.add(v.const(2), a))
    y = v.sub(v.mul(t, v.const(2)), v.const(1))
    power = v.fma(v.neg(a), a, v.horner(y, ERFC_EXPONENT))
    far = v.copysign(v.sub(v.const(1), v.mul(t, exp(v, power))), x)
    return v.select(v.compare("olt", v.abs(x), v.const(1)), near, far)


# pi/2 as a sum of four parts: the first three leave room for an exact product with a 20-bit quotient
HALF_PI = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21, 8.478427660368899e-32)


def _quadrant(v: Lanes, x: str) -> tuple[str, str]:
    """x = n pi/2 + r, |r| <= pi/4: (n as integer, r). From 2^20 on lane by lane, in a branch that is rarely taken."""
    n, bits = v.round_to_int(v.mul(x, v.const(2 / pi)))
    r = x
    for part in HALF_PI:
        r = v.fma(n, v.const(-part), r)
    a = v.abs(x)
    large = v.both(v.compare("oge", a, v.const(2.0**20)), v.compare("olt", a, v.const(float("inf"))))
    times = v.e.let(f"zext i1 {v.any(large)} to i64", "times")
    with v.e.reduce_loop("large", "0", times, 1, [(v.int_type, bits), (v.type, r)]) as (_, phis, following):
        following += _large_lanes(v, x, large, *phis)
    return phis[0], phis[1]


def _large_lanes(v: Lanes, x: str, large: str, n: str, r: str) -> tuple[str, str]:
    """n and r with the lanes of large arguments replaced."""
    for lane in range(v.lanes):
        argument = v.select(large, x, v.const(2.0**20))  # the others need not be finite
        reduced = large_quadrant(v.e, v.lane(argument, lane))
        number = v.e.let(f"extractvalue {{ i64, double }} {reduced}, 0", "n")
        angle = v.e.let(f"extractvalue {{ i64, double }} {reduced}, 1", "r")
        n = v.int_select(large, v.with_lane(n, number, lane, integer=True), n)
        r = v.select(large, v.with_lane(r, angle, lane), r)
    return n, r


def _sine_of(v: Lanes, n: str, r: str) -> str:
    """sin(n pi/2 + r)."""
    z = v.mul(r, r)
    sine = v.fma(v.mul(z, r), v.horner(z, [(-1) ** k / factorial(2 * k + 1) for k in range(8, 0, -1)]), r)
    tail = v.horner(z, [(-1) ** k / factorial(2 * k) for k in range(9, 1, -1)])
    cosine = v.add(v.fma(z, v.const(-0.5), v.const(1)), v.mul(v.mul(z, z), tail))
    odd = v.int_compare("ne", v.int_op("and", n, v.int_const(1)), v.int_const(0))
    value = v.select(odd, cosine, sine)
    negative = v.int_compare("ne", v.int_op("and", n, v.int_const(2)), v.int_const(0))
    return v.select(negative, v.neg(value), value)


@_in_doubles
def sin(v: Lanes, x: str) -> str:
    """Sine; NaN for infinities."""
    n, r = _quadrant(v, x)
    return v.select(v.compare("oeq", x, v.const(0)), x, _sine_of(v, n, r))


@_in_doubles
def cos(v: Lanes, x: str) -> str:
    """Cosine; NaN for infinities."""
    n, r = _quadrant(v, x)
    return _sine_of(v, v.int_op("add", n, v.int_const(1)), r)


TWO_THIRDS_LOW = 3.7007434154171886e-17  # 2/3 less what 2 / 3 is


def _log_pair(v: Lanes, x: str) -> tuple[str, str]:
    """log(x) for positive finite x as an unevaluated sum, so near that 700 of it, as an exponent, are right to a rounding."""
    k, m = _split_log(v, x)
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
    series = v.mul(v.mul(cube, z), v.horner(z, _log_series(v)[:-1]))
    twice, slope = v.mul(s, v.const(2)), v.fma(z, v.const(2), v.const(2))
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


@_in_doubles
def power(v: Lanes, x: str, y: str) -> str:
    """x^y as C's pow: exp(y log|x|) in twice the precision, then the special cases."""
    a = v.abs(x)
    usable = v.both(v.compare("ogt", a, v.const(0)), v.compare("olt", a, v.const(float("inf"))))
    high, low = _log_pair(v, v.select(usable, a, v.const(1)))
    bounded = _clamp(v, y, -1e20, 1e20)
    product, rest = v.two_product(high, bounded)
    rest = v.fma(low, bounded, rest)
    product_in_range = _clamp(v, product, -750.0, 715.0)
    rest = v.select(v.compare("oeq", product, product_in_range), rest, v.const(0))
    base = exp(v, product_in_range)
    result = v.fma(base, rest, base)
    result = v.select(v.compare("oeq", v.abs(base), v.const(float("inf"))), base, result)
    return _power_edges(v, x, y, a, result)


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


@_in_doubles
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


@_in_doubles
def fmod(v: Lanes, x: str, y: str) -> str:
    """x - y trunc(x / y), exactly, with x's sign. NaN for y = 0 or infinite x.

    Long division: each round takes as many bits of the quotient off as keep the product exact.
    """
    digits = 50 if v.e.fma else 1
    rounds = -(-2100 // digits) if v.e.fma else 3 * 2100  # one bit may take three subtractions
    a, b = v.abs(x), v.abs(y)
    with v.e.reduce_loop("round", "0", str(rounds), 1, [(v.type, a)]) as (_, phis, following):
        following.append(_fmod_round(v, phis[0], b, digits))
    result = v.copysign(phis[0], x)
    result = v.select(v.compare("oeq", b, v.const(float("inf"))), x, result)
    bad = v.either(v.compare("uno", x, y), v.either(v.compare("oeq", b, v.const(0)),
                                                    v.compare("oeq", a, v.const(float("inf")))))
    return v.select(bad, v.const(float("nan")), result)


def _fmod_round(v: Lanes, rest: str, b: str, digits: int) -> str:
    """rest - q (b 2^shift) for the greatest shift that leaves a quotient of ``digits`` bits."""
    mantissa = v.int_const(v.mantissa)
    gap = v.int_op("sub", v.int_op("lshr", v.to_bits(rest), mantissa), v.int_op("lshr", v.to_bits(b), mantissa))
    shift = v.int_op("sub", gap, v.int_const(digits))
    shift = v.int_select(v.int_compare("sgt", shift, v.int_const(0)), shift, v.int_const(0))
    scaled = v.from_bits(v.int_op("add", v.to_bits(b), v.int_op("shl", shift, mantissa)))
    quotient = v.trunc(v.div(rest, scaled))
    if digits == 1:
        quotient = v.select(v.compare("oge", rest, scaled), v.const(1), v.const(0))
    left = v.fma(v.neg(quotient), scaled, rest)
    left = v.select(v.compare("olt", left, v.const(0)), v.add(left, scaled), left)
    return v.select(v.compare("oge", rest, b), left, rest)

