"""The inverse error function, and the multiply-add that rounds once, in NumPy; with the tables that code generators read.

Polynomials in w = -log(1 - x^2) (Giles 2010, "Approximating the erfinv function"). The order of operations is that of XLA's CPU
code, and so are the bits in f32: the normal numbers of a key are those that JAX draws.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Tables(NamedTuple):
    """Coefficients, highest first: ``near`` of w - ``shift`` for w < ``limits[0]``; others of sqrt(w) less a number of ``roots``.

    ``numerator`` / ``denominator`` is (log(1 + y) - y + y^2 / 2) / y^3 for |y| < sqrt 2 - 1 (Cephes).
    """

    shift: float
    near: tuple[float, ...]
    limits: tuple[float, ...]
    roots: tuple[float, ...]
    far: tuple[tuple[float, ...], ...]
    numerator: tuple[float, ...]
    denominator: tuple[float, ...]


SMALL = 2**0.5 - 1  # |y| from which log(1 + y) is the logarithm of the sum
NUMERATOR = (4.5270000862445199635215e-5, 4.9854102823193375972212e-1, 6.5787325942061044846969e0, 2.9911919328553073277375e1,
             6.0949667980987787057556e1, 5.7112963590585538103336e1, 2.0039553499201281259648e1)
DENOMINATOR = (1.0, 1.5062909083469192043167e1, 8.3047565967967209469434e1, 2.2176239823732856465394e2, 3.0909872225312059774938e2,
               2.1642788614495947685003e2, 6.0118660497603843919306e1)
SINGLE = Tables(
    2.5,
    (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164, 0.246640727,
     1.50140941),
    (5.0,), (3.0,),
    ((-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047, 1.00167406,
      2.83297682),),
    NUMERATOR, DENOMINATOR)
DOUBLE = Tables(
    3.125,
    (-3.64441206401782e-21, -1.6850591381820166e-19, 1.28584807152564e-18, 1.1157877678025181e-17, -1.333171662854621e-16,
     2.0972767875968562e-17, 6.637638134358324e-15, -4.054566272975207e-14, -8.151934197605472e-14, 2.6335093153082323e-12,
     -1.2975133253453532e-11, -5.415412054294628e-11, 1.0512122733215323e-09, -4.112633980346984e-09, -2.9070369957882005e-08,
     4.2347877827932404e-07, -1.3654692000834679e-06, -1.3882523362786469e-05, 0.00018673420803405714, -0.000740702534166267,
     -0.006033670871430149, 0.24015818242558962, 1.6536545626831027),
    (6.25, 16.0), (3.25, 5.0),
    ((2.2137376921775787e-09, 9.075656193888539e-08, -2.7517406297064545e-07, 1.8239629214389228e-08, 1.5027403968909828e-06,
      -4.013867526981546e-06, 2.9234449089955446e-06, 1.2475304481671779e-05, -4.7318229009055734e-05, 6.828485145957318e-05,
      2.4031110387097894e-05, -0.0003550375203628475, 0.0009532893797373805, -0.0016882755560235047, 0.002491442096107851,
      -0.003751208507569241, 0.005370914553590064, 1.0052589676941592, 3.0838856104922208),
     (-2.7109920616438573e-11, -2.555641816996525e-10, 1.5076572693500548e-09, -3.789465440126737e-09, 7.61570120807834e-09,
      -1.496002662714924e-08, 2.914795345090108e-08, -6.771199775845234e-08, 2.2900482228026655e-07, -9.9298272942317e-07,
      4.526062597223154e-06, -1.968177810553167e-05, 7.599527703001776e-05, -0.00021503011930044477, -0.00013871931833623122,
      1.0103004648645344, 4.849906401408584)),
    NUMERATOR, DENOMINATOR)
# log(1 + f) = f - f^2 / 2 + f^3 p(f) in f32 (Cephes): p as three polynomials, which are the coefficients of one in f^3
LOG = ((7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1), (-1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1),
       (2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1))
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4


def fma(x: Any, y: Any, z: Any) -> np.ndarray:
    """x * y + z, rounded once: f32 by way of f64, which holds the product; f64 by sums that lose nothing (Dekker, Knuth)."""
    if np.asarray(x).dtype == np.float32:
        return np.asarray(np.multiply(x, y, dtype=np.float64) + z).astype(np.float32)
    product, lost = _two_product(x, y)
    total = product + z
    back = total - product
    rest = (product - (total - back)) + (z - back) + lost
    return np.asarray(np.where(np.isfinite(rest) & (rest != 0), total + rest, x * y + z))  # the latter keeps -0.0


def _two_product(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    product = x * y
    (xh, xl), (yh, yl) = _halves(x), _halves(y)
    return product, ((xh * yh - product) + xh * yl + xl * yh) + xl * yl


def _halves(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scaled = x * 134217729.0  # 2^27 + 1
    high = scaled - (scaled - x)
    return high, x - high


def erf_inv(x: np.ndarray) -> np.ndarray:
    """The y of which x is the error function; inf at 1, NaN beyond.

    Right to 3 units of the last place in f32; to 24 in f64, where log(1 + y) has few terms beside the ends of its range.
    """
    x = np.asarray(x)
    tables = SINGLE if x.dtype == np.float32 else DOUBLE
    w = -_log1p(x * -x, tables)
    p = _polynomial(w, tables)
    p = np.where(np.abs(x) == 1, np.inf, p)
    return np.asarray(np.where(np.abs(x) > 1, np.nan, p * x)).astype(x.dtype)


def _polynomial(w: np.ndarray, tables: Tables) -> np.ndarray:
    """erf_inv(x) / x; where one has fewer terms it is done earlier."""
    number = w.dtype.type
    ranges = [w < limit for limit in tables.limits]
    root = np.sqrt(w)
    places = [w - number(tables.shift), *(root - number(r) for r in tables.roots)]
    t = np.select(ranges, places[:-1], places[-1])
    p = np.zeros_like(w)
    for terms in zip_terms(tables):
        sums = [p if c is None else np.full_like(w, c) if n == 0 else fma(p, t, number(c)) for n, c in terms]
        p = np.select(ranges, sums[:-1], sums[-1])
    return p


def zip_terms(tables: Tables) -> list[list[tuple[int, float | None]]]:
    """For each step of the sums: its number, and the coefficient of each range, None where a polynomial is at its end."""
    rows = (tables.near, *tables.far)
    return [[(n, row[n] if n < len(row) else None) for row in rows] for n in range(max(map(len, rows)))]


def _log1p(y: np.ndarray, tables: Tables) -> np.ndarray:
    number = y.dtype.type
    above, below = np.full_like(y, tables.numerator[0]), np.full_like(y, tables.denominator[0])
    for a, b in zip(tables.numerator[1:], tables.denominator[1:]):
        above, below = fma(above, y, number(a)), fma(below, y, number(b))
    square = y * y
    near = y + fma(square, number(-0.5), y * square * (above / below))
    far = _log(number(1) + y) if y.dtype == np.float32 else np.log(number(1) + y)
    return np.asarray(np.where(np.abs(y) < number(SMALL), near, far))


def _log(x: np.ndarray) -> np.ndarray:
    """The logarithm of positive f32."""
    number = np.float32
    m, exponent = np.frexp(x)
    low = m < number(0.5**0.5)
    f = np.where(low, m + m, m) - number(1)
    k = (exponent - low).astype(number)
    square = f * f
    cube = square * f
    total = np.zeros_like(f)
    for n, (a, b, c) in enumerate(LOG):
        part = fma(fma(number(a), f, number(b)), f, number(c))
        total = part if n == 0 else fma(total, cube, part)
    rest = fma(total, cube, k * number(LN2_LOW))
    return fma(k, number(LN2_HIGH), (f - square * number(0.5)) + rest)
