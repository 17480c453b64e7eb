"""Transcendental functions as polynomial code over vectors, lane by lane, without control flow or table look-ups.

Each function is the same algorithm in f32 and f64 with as many terms as the type needs; those whose f32 result wants
more than f32 arithmetic (erf, sin, cos, tan, log2, log10, pow, atan2) run in f64 lanes. The polynomials are the functions'
own power series after range reduction, except erfc's exponent, which is a Chebyshev interpolation.
Where an f64 result is to be right to a unit of its last place, the sums before the last are pairs of floats. Here are the
exponential, the logarithm, erf and the exact remainder; ``powers``, ``hyperbolic`` and ``trigonometry`` stand on these.
``benchmarks/ulp.py`` measures the errors.
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial, pi

from leptonc.codegen.llvm.lanes import Lanes, no_lane
from leptonc.ir.tables import ERFC_EXPONENT
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


def expm1_pair(v: Lanes, x: str, low: str | None = None) -> tuple[str, str, str]:
    """e^(x + low) = 2^n (1 + high + low'): (n as integer, high, low'), for x within the exponent's range.

    The pair is right to an eighth of a rounding of the sum: 1 + high + low' is, rounded, right to 0.7 units.
    """
    n, bits = v.round_to_int(v.mul(x, v.const(1 / LN2)))
    first = v.fma(n, v.const(-LN2_HIGH[v.mantissa]), x)  # exact
    r, r_low = v.two_sum(first, v.mul(n, v.const(-LN2_LOW[v.mantissa])))
    if low is not None:  # it may be a thousand times what r is rounded by
        r, r_low = v.ordered_two_sum(r, v.add(r_low, low))
    tail = v.fma(v.mul(r, r), v.horner(r, _taylor_exp(v)), v.fma(r, r_low, r_low))
    return bits, *v.ordered_two_sum(r, tail)


def clamp(v: Lanes, x: str, low: float, high: float) -> str:
    """x within [low, high]; NaN stays."""
    x = v.select(v.compare("ogt", x, v.const(high)), v.const(high), x)
    return v.select(v.compare("olt", x, v.const(low)), v.const(low), x)


def scale(v: Lanes, x: str, n: str) -> str:
    """x * 2^n in two steps, so that the result may overflow or underflow where neither factor does."""
    half = v.int_op("ashr", n, v.int_const(1))
    rest = v.int_op("sub", n, half)
    return v.mul(v.mul(x, v.power_of_two(half)), v.power_of_two(rest))


def exp(v: Lanes, x: str) -> str:
    """e^x: overflow gives inf, underflow 0."""
    x = clamp(v, x, -104.0, 89.0) if v.dtype == f32 else clamp(v, x, -746.0, 710.0)
    n, _, r = _reduce_exp(v, x)
    tail = v.mul(v.mul(r, r), v.horner(r, _taylor_exp(v)))
    return scale(v, v.add(v.const(1), v.add(r, tail)), n)


def expm1(v: Lanes, x: str) -> str:
    """e^x - 1, accurate near 0: 2^n (e^r - 1) + (2^n - 1), halved inside so that n = max exponent does not overflow."""
    low, high = (-18.0, 89.0) if v.dtype == f32 else (-38.0, 710.0)
    clamped = clamp(v, x, low, high)
    n, _, r = _reduce_exp(v, clamped)
    near = v.fma(v.mul(r, r), v.horner(r, _taylor_exp(v)), r)
    half = v.power_of_two(v.int_op("sub", n, v.int_const(1)))
    large = v.mul(v.const(2), v.fma(half, near, v.sub(half, v.const(0.5))))
    result = v.select(v.int_compare("eq", n, v.int_const(0)), near, large)
    return v.select(v.compare("oeq", x, v.const(0)), x, result)  # keeps -0.0


def split_log(v: Lanes, x: str) -> tuple[str, str]:
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


def log_series(v: Lanes) -> list[float]:
    """(log((1 + s) / (1 - s)) - 2 s) / s = sum of 2 z^i / (2i + 1), z = s^2, without its factor z; highest first."""
    return [2 / (2 * i + 1) for i in range(5 if v.dtype == f32 else 11, 0, -1)]


def log(v: Lanes, x: str) -> str:
    """Natural logarithm; log(0) = -inf, log(negative) = NaN."""
    k, m = split_log(v, x)
    f = v.sub(m, v.const(1))
    s = v.div(f, v.add(m, v.const(1)))
    z = v.mul(s, s)
    series = v.mul(z, v.horner(z, log_series(v)))
    half = v.mul(v.mul(f, f), v.const(0.5))
    # log(1 + f) = f - (f^2/2 - s (f^2/2 + series)): the leading term is exact
    low = v.fma(k, v.const(LN2_LOW[v.mantissa]), v.mul(s, v.add(half, series)))
    result = v.fma(k, v.const(LN2_HIGH[v.mantissa]), v.sub(f, v.sub(half, low)))
    return log_edges(v, x, result)


def log_edges(v: Lanes, x: str, result: str) -> str:
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


def in_doubles(function: Callable[..., str], brief: Callable[..., str] | None = None) -> Callable[..., str]:
    """Run an f64 algorithm for f32 operands in f64 lanes: ``brief``, if there is one, which needs no more than f32's digits."""
    def run(v: Lanes, *args: str) -> str:
        if v.dtype != f32:
            return function(v, *args)
        return v.narrow((brief or function)(v.doubles(), *(v.widen(x) for x in args)))

    run.__doc__ = function.__doc__
    return run


@in_doubles
def erf(v: Lanes, x: str) -> str:
    """Error function: power series below 1, 1 - erfc(|x|) above."""
    z = v.mul(x, x)
    series = [(-1) ** k / (factorial(k) * (2 * k + 1)) for k in range(18, -1, -1)]
    near = v.mul(v.mul(x, v.const(2 / pi**0.5)), v.horner(v.select(v.compare("olt", z, v.const(1)), z, v.const(1)), series))
    a = clamp(v, v.abs(x), 0.0, 6.5)
    t = v.div(v.const(2), v.add(v.const(2), a))
    y = v.sub(v.mul(t, v.const(2)), v.const(1))
    power = v.fma(v.neg(a), a, v.horner(y, ERFC_EXPONENT))
    far = v.copysign(v.sub(v.const(1), v.mul(t, exp(v, power))), x)
    return v.select(v.compare("olt", v.abs(x), v.const(1)), near, far)


@in_doubles
def fmod(v: Lanes, x: str, y: str) -> str:
    """x - y trunc(x / y), exactly, with x's sign. NaN for y = 0 or infinite x.

    Long division: each round takes as many bits of the quotient off as keep the product exact. One is enough as a rule.
    """
    digits, one_round = (FMA_DIGITS, _fmod_round) if v.e.fma else (1, _fmod_bit)
    rounds = -(-2100 // digits)
    a, b = v.abs(x), v.abs(y)

    def done(state: list[str]) -> str:
        return no_lane(v.e, v.compare("oge", state[0], b), v.lanes)

    with v.e.reduce_loop("round", "0", str(rounds), 1, [(v.type, a)], done) as (_, phis, following):
        following.append(v.select(v.compare("oge", phis[0], b), one_round(v, phis[0], b), phis[0]))
    result = v.copysign(phis[0], x)
    result = v.select(v.compare("oeq", b, v.const(float("inf"))), x, result)
    bad = v.either(v.compare("uno", x, y), v.either(v.compare("oeq", b, v.const(0)),
                                                    v.compare("oeq", a, v.const(float("inf")))))
    return v.select(bad, v.const(float("nan")), result)


FMA_DIGITS = 50  # bits of a quotient whose product with the divisor is taken off exactly


def _fmod_round(v: Lanes, rest: str, b: str) -> str:
    """rest - q (b 2^shift) for the greatest shift that leaves a quotient of so many bits."""
    shift = v.int_op("sub", _exponent_gap(v, rest, b), v.int_const(FMA_DIGITS))
    scaled = _shifted(v, b, shift)
    left = v.fma(v.neg(v.trunc(v.div(rest, scaled))), scaled, rest)
    return v.select(v.compare("olt", left, v.const(0)), v.add(left, scaled), left)


def _fmod_bit(v: Lanes, rest: str, b: str) -> str:
    """rest less the greatest b 2^shift that is in it, which is more than its half: so the difference is exact (Sterbenz)."""
    scaled = _shifted(v, b, _exponent_gap(v, rest, b))
    return v.sub(rest, v.select(v.compare("oge", rest, scaled), scaled, v.mul(scaled, v.const(0.5))))


def _exponent_gap(v: Lanes, x: str, y: str) -> str:
    mantissa = v.int_const(v.mantissa)
    return v.int_op("sub", v.int_op("lshr", v.to_bits(x), mantissa), v.int_op("lshr", v.to_bits(y), mantissa))


def _shifted(v: Lanes, x: str, shift: str) -> str:
    """x times a power of two; not a negative one."""
    shift = v.int_select(v.int_compare("sgt", shift, v.int_const(0)), shift, v.int_const(0))
    return v.from_bits(v.int_op("add", v.to_bits(x), v.int_op("shl", shift, v.int_const(v.mantissa))))
