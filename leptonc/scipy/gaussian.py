"""The normal distribution function, its inverse, and the error functions of real and complex numbers."""

from __future__ import annotations

from functools import cache
from math import pi, sqrt
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.elementary import erfc
from leptonc.ir.tables import ERFC_EXPONENT
from leptonc.numpy.complexes import imag, real
from leptonc.numpy.elementwise import as_float, real_floats
from leptonc.public import publish
from leptonc.scipy.operands import real_function, wide_function
from leptonc.scipy.slopes import with_slopes
from leptonc.trace import bind, cast

ROOT_PI = sqrt(pi)
WEIDEMAN = 40  # terms: errors of 1e-14


@real_function
def erf(x: Any) -> Any:
    """The error function."""
    return bind("erf", x)


@real_function
def erfinv(x: Any) -> Any:
    """The inverse of the error function: infinite at -1 and 1, NaN beyond."""
    return bind("erf_inv", x)


@real_function
def ndtr(x: Any) -> Any:
    """The normal distribution function, right where it is small."""
    return erfc(x * (-(0.5**0.5))) * 0.5


def log_ndtr(x: Any, series_order: int = 3) -> Any:
    """The logarithm of the normal distribution function, right for any x; ``series_order`` changes nothing."""
    return bind("log_ndtr", *real_floats("log_ndtr", x=x))


def _scaled_erfc(x: Any) -> Any:
    """e^(x^2) erfc(x) for x >= 0: t exp of a polynomial of t = 2 / (2 + x)."""
    t = 2 / (x + 2)
    y, total = 2 * t - 1, ERFC_EXPONENT[0]
    for c in ERFC_EXPONENT[1:]:
        total = total * y + c
    return t * lnp.exp(total)


def _erfcx(x: Any) -> Any:
    found = _scaled_erfc(lnp.absolute(x))
    return lnp.where(x < 0, 2 * lnp.exp(x * x) - found, found)


_erfcx_ruled = with_slopes(_erfcx, lambda x, y: 2 * x * y - 2 / ROOT_PI)


@wide_function
def erfcx(x: Any) -> Any:
    """e^(x^2) erfc(x)."""
    return _erfcx_ruled(x)


def _ndtri(p: Any) -> Any:
    """In the middle by the inverse error function; in the tails Newton's steps for log Phi(x) = log p."""
    low = lnp.minimum(p, 1 - p)
    middle = low > 0.02
    near = bind("erf_inv", 2 * lnp.where(middle, p, 0.5) - 1) * sqrt(2)
    wanted = lnp.log(lnp.where((low > 0) & ~middle, low, 0.01))
    size = lnp.sqrt(-2 * wanted)
    x = -lnp.sqrt(-2 * wanted - lnp.log(2 * pi) - 2 * lnp.log(size))
    for _ in range(4):
        got = bind("log_ndtr", x)
        x = x - (got - wanted) / lnp.exp(-0.5 * x * x - 0.5 * np.log(2 * pi) - got)
    found = lnp.where(middle, near, lnp.where(p > 0.5, -x, x))
    found = lnp.where(p == 0, -np.inf, lnp.where(p == 1, np.inf, found))
    return lnp.where((p >= 0) & (p <= 1), found, np.nan)


_ndtri_ruled = with_slopes(_ndtri, lambda p, x: sqrt(2 * pi) * lnp.exp(0.5 * x * x))


@wide_function
def ndtri(p: Any) -> Any:
    """The inverse of the normal distribution function: infinite at 0 and 1, NaN beyond."""
    return _ndtri_ruled(p)


@cache
def _weideman(terms: int) -> tuple[float, tuple[float, ...]]:
    """(L, coefficients, highest first) of Weideman's series for w(z) (1994): a Fourier transform of e^(-t^2) (L^2 + t^2)."""
    points = 2 * terms
    scale = sqrt(terms / sqrt(2))
    t = scale * np.tan(np.arange(-points + 1, points) * (pi / points) / 2)
    f = np.concatenate([[0.0], np.exp(-t * t) * (scale**2 + t * t)])
    a = np.real(np.fft.fft(np.fft.fftshift(f))) / (2 * points)
    return scale, tuple(a[1:terms + 1][::-1].tolist())


def upper_wofz(z: Any) -> Any:
    """w(z) of complex z above the real axis, or on it."""
    scale, coefficients = _weideman(WEIDEMAN)
    below = 1 / (scale - 1j * z)
    ratio = (scale + 1j * z) * below
    total: Any = coefficients[0] * lnp.ones_like(ratio)
    for c in coefficients[1:]:
        total = total * ratio + c
    return 2 * total * below * below + below * (1 / ROOT_PI)


def wofz(z: Any) -> Any:
    """Faddeeva's function e^(-z^2) erfc(-i z), complex."""
    operand = as_float(lnp.asarray(z))
    narrow = operand.dtype in (np.complex64, np.float32, np.float16)
    x = cast(operand, np.complex128)
    with np.errstate(all="ignore"):
        below = lnp.less(imag(x), 0)
        found = upper_wofz(lnp.where(below, -x, x))
        found = lnp.where(below, 2 * lnp.exp(-x * x) - found, found)
    return cast(found, np.complex64) if narrow else found


def _dawsn(x: Any) -> Any:
    """A power series near 0, elsewhere the imaginary part of w."""
    near = lnp.absolute(x) < 0.6
    small = lnp.where(near, x, 0.0)
    term = total = small
    for k in range(1, 16):
        term = term * (small * small) * (-2 / (2 * k + 1))
        total = total + term
    endless = lnp.absolute(x) == np.inf
    far = imag(upper_wofz(cast(lnp.where(near | endless, 1.0, x), np.complex128))) * (ROOT_PI / 2)
    return lnp.where(near, total, lnp.where(endless, 0.0, far))


_dawsn_ruled = with_slopes(_dawsn, lambda x, y: 1 - 2 * x * y)


@wide_function
def dawsn(x: Any) -> Any:
    """Dawson's integral e^(-x^2) times the integral of e^(t^2) from 0 to x."""
    return _dawsn_ruled(x)


def _fresnel(x: Any) -> tuple[Any, Any]:
    """(S, C) by power series near 0, else by (1 + i) / 2 (1 - e^(i pi x^2 / 2) w(sqrt(pi) (1 + i) x / 2)) = C + i S."""
    size = lnp.absolute(x)
    near = size < 1.0
    small, large = lnp.where(near, size, 0.0), lnp.where(near | (size > 1e8), 1.0, size)
    square = (pi / 2 * small * small) ** 2
    c_term, s_term = small, small**3 * (pi / 2)
    c_total, s_total = c_term, s_term / 3
    for k in range(1, 13):
        c_term = c_term * square * (-1 / ((2 * k - 1) * (2 * k)))
        s_term = s_term * square * (-1 / ((2 * k) * (2 * k + 1)))
        c_total, s_total = c_total + c_term / (4 * k + 1), s_total + s_term / (4 * k + 3)
    angle = pi / 2 * lnp.mod(large * large, 4.0)
    phase = cast(lnp.cos(angle), np.complex128) + 1j * cast(lnp.sin(angle), np.complex128)
    w = upper_wofz(cast(large, np.complex128) * ((1 + 1j) * (ROOT_PI / 2)))
    whole = (1 - phase * w) * (0.5 + 0.5j)
    sign = lnp.where(x < 0, -1.0, 1.0)

    def chosen(series: Any, far: Any) -> Any:
        found = lnp.where(near, series, lnp.where(size > 1e8, 0.5, far))
        return lnp.where(lnp.isnan(x), x, sign * found)

    return chosen(s_total, imag(whole)), chosen(c_total, real(whole))


_fresnel_s = with_slopes(lambda x: _fresnel(x)[0], lambda x, y: lnp.sin(pi / 2 * x * x))
_fresnel_c = with_slopes(lambda x: _fresnel(x)[1], lambda x, y: lnp.cos(pi / 2 * x * x))


@wide_function
def fresnel(x: Any) -> tuple[Any, Any]:
    """(S, C): the integrals of sin(pi t^2 / 2) and cos(pi t^2 / 2) from 0 to x."""
    return _fresnel_s(x), _fresnel_c(x)


NODES, WEIGHTS = np.polynomial.legendre.leggauss(32)


def _owens_part(h: Any, a: Any) -> Any:
    """T(h, a) for 0 <= a <= 1, by Gauss and Legendre's rule."""
    t = lnp.expand_dims(a, -1) * (0.5 * (NODES + 1))
    square = 1 + t * t
    values = lnp.exp(-0.5 * lnp.expand_dims(h * h, -1) * square) / square
    return lnp.sum(values * WEIGHTS, -1) * a * (0.25 / pi)


def _owens_t(h: Any, a: Any) -> Any:
    """Beyond a = 1 by T(h, a) + T(a h, 1 / a) = (Phi(h) + Phi(a h)) / 2 - Phi(h) Phi(a h), for h >= 0."""
    top, side = lnp.absolute(h), lnp.absolute(a)
    turned = side > 1
    inner = _owens_part(lnp.where(turned, top * side, top), lnp.where(turned, 1 / lnp.where(turned, side, 1.0), side))
    first, second = erfc(top * 0.5**0.5) * 0.5, erfc(top * side * 0.5**0.5) * 0.5  # 1 - Phi
    found = lnp.where(turned, 0.5 * (first + second) - first * second - inner, inner)
    return lnp.where(a < 0, -found, found)


_owens_ruled = with_slopes(
    _owens_t,
    lambda h, a, y: -lnp.exp(-0.5 * h * h) * bind("erf", a * h * 0.5**0.5) / (2 * sqrt(2 * pi)),
    lambda h, a, y: lnp.exp(-0.5 * h * h * (1 + a * a)) / ((1 + a * a) * (2 * pi)))


@wide_function
def owens_t(h: Any, a: Any) -> Any:
    """The probability that X > h and 0 < Y < a X for independent standard normal X and Y."""
    return _owens_ruled(h, a)


__all__ = ["dawsn", "erf", "erfc", "erfcx", "erfinv", "fresnel", "log_ndtr", "ndtr", "ndtri", "owens_t", "wofz"]

publish(globals(), __all__)
