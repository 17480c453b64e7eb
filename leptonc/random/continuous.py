"""Distributions that are functions of uniform numbers, by JAX's formulas: no rejection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc import lax
from leptonc import numpy as lnp
from leptonc.arguments import choice, floats
from leptonc.arguments import shape as shape_of
from leptonc.bfloat16 import FORMATS, is_narrow
from leptonc.random.draws import between, draw, parameter, shape_or, stored, uniform, unit_of
from leptonc.random.keys import pieces
from leptonc.trace import bind

TINY = {"float16": 2.0**-14, "float32": 2.0**-126, "float64": 2.0**-1022, **{n: 2.0 ** (1 - f.bias) for n, f in FORMATS.items()}}
EPS = {"float16": 2.0**-10, "float32": 2.0**-23, "float64": 2.0**-52, **{n: 2.0**-f.mantissa for n, f in FORMATS.items()}}


def _number(x: float, kind: np.dtype) -> np.ndarray:
    return np.asarray(x).astype(kind)


def _normal_of(words: Any, kind: np.dtype) -> Any:
    # -1 + eps / 2 is the number next to -1: 1 - 2 u, of which every step is exact in f32 and f64.
    low = _number(-1 + EPS[kind.name] / 2, kind)
    return lnp.multiply(lax.erf_inv(between(unit_of(words, kind), low, _number(1, kind))), _number(2**0.5, kind))


def _exponential_of(words: Any, kind: np.dtype) -> Any:
    return lnp.negative(lnp.log1p(lnp.negative(unit_of(words, kind))))


def _above_zero(words: Any, kind: np.dtype) -> Any:
    tiny = _number(TINY[kind.name], kind)
    return lnp.maximum(tiny, lnp.add(unit_of(words, kind), tiny))


def _gumbel_of(words: Any, kind: np.dtype) -> Any:
    return lnp.negative(lnp.log(lnp.negative(lnp.log(_above_zero(words, kind)))))


def _logistic_of(words: Any, kind: np.dtype) -> Any:
    u = _above_zero(words, kind)
    return lnp.subtract(lnp.log(u), lnp.log1p(lnp.negative(u)))


def _laplace_of(words: Any, kind: np.dtype) -> Any:
    u = between(unit_of(words, kind), _number(-1 + EPS[kind.name] / 2, kind), _number(1, kind))
    return lnp.multiply(lnp.sign(u), lnp.log1p(lnp.negative(lnp.absolute(u))))


def _cauchy_of(words: Any, kind: np.dtype) -> Any:
    u = between(unit_of(words, kind), _number(EPS[kind.name], kind), _number(1, kind))
    return lnp.tan(lnp.multiply(lnp.subtract(u, _number(0.5, kind)), _number(np.pi, kind)))


def normal(key: Any, shape: Sequence[int] = (), dtype: Any = np.float32) -> Any:
    """Standard normal, by the inverse error function."""
    return draw("normal", key, shape, floats("normal", "dtype", dtype), _normal_of)


def exponential(key: Any, shape: Sequence[int] = (), dtype: Any = np.float32) -> Any:
    """Exponential with mean 1."""
    return draw("exponential", key, shape, floats("exponential", "dtype", dtype), _exponential_of)


def gumbel(key: Any, shape: Sequence[int] = (), dtype: Any = np.float32, mode: str | None = None) -> Any:
    """Standard Gumbel. ``mode`` "high" spends two draws on the upper tail, which "low", the default, cuts at 16 in f32."""
    kind = floats("gumbel", "dtype", dtype)
    if choice("gumbel", "mode", "low" if mode is None else mode, ("low", "high")) == "low":
        return draw("gumbel", key, shape, kind, _gumbel_of)
    high, low = uniform(key, (2, *shape_of("gumbel", shape)), kind)
    finer = high + _number(EPS[kind.name], kind) * low + _number(TINY[kind.name], kind)
    u = lnp.where(lnp.greater_equal(high, 0.5), high, finer)
    return stored(-lnp.log(-lnp.log1p(-u)))


def logistic(key: Any, shape: Sequence[int] = (), dtype: Any = np.float32) -> Any:
    """Standard logistic."""
    return draw("logistic", key, shape, floats("logistic", "dtype", dtype), _logistic_of)


def laplace(key: Any, shape: Sequence[int] = (), dtype: Any = np.float32) -> Any:
    """Standard Laplace."""
    return draw("laplace", key, shape, floats("laplace", "dtype", dtype), _laplace_of)


def cauchy(key: Any, shape: Sequence[int] = (), dtype: Any = np.float32) -> Any:
    """Standard Cauchy."""
    return draw("cauchy", key, shape, floats("cauchy", "dtype", dtype), _cauchy_of)


def truncated_normal(key: Any, lower: Any, upper: Any, shape: Sequence[int] | None = None, dtype: Any = np.float32) -> Any:
    """Standard normal between ``lower`` and ``upper``, numbers or arrays, exclusive."""
    kind = floats("truncated_normal", "dtype", dtype)
    extents = shape_or("truncated_normal", shape, lower, upper)
    low, high = (parameter("truncated_normal", what, v, extents, kind) for what, v in (("lower", lower), ("upper", upper)))
    root = _number(2**0.5, kind)
    u = uniform(key, extents, kind, lax.erf(lnp.divide(low, root)), lax.erf(lnp.divide(high, root)))
    out = lnp.multiply(root, lax.erf_inv(u))
    return stored(lnp.clip(out, _next(low, kind, 1), _next(high, kind, -1)))


def _next(x: Any, kind: np.dtype, sign: int) -> Any:
    """The number after x, upwards or downwards; for a traced x, or in 16 bits, one or two steps away."""
    if isinstance(x, np.ndarray) and not is_narrow(kind):
        return np.nextafter(x, kind.type(sign * np.inf))
    x = bind("stop_gradient", x)
    return lnp.add(x, lnp.multiply(lnp.maximum(lnp.absolute(x), _number(TINY[kind.name] / EPS[kind.name], kind)),
                                   _number(sign * EPS[kind.name], kind)))


def rayleigh(key: Any, scale: Any, shape: Sequence[int] | None = None, dtype: Any = np.float32) -> Any:
    """Rayleigh with ``scale``."""
    kind, extents = floats("rayleigh", "dtype", dtype), shape_or("rayleigh", shape, scale)
    u = uniform(key, extents, kind)
    return stored(parameter("rayleigh", "scale", scale, extents, kind) * lnp.sqrt(lnp.log(u) * -2))


def pareto(key: Any, b: Any, shape: Sequence[int] | None = None, dtype: Any = np.float32) -> Any:
    """Pareto with exponent ``b``, at least 1."""
    kind, extents = floats("pareto", "dtype", dtype), shape_or("pareto", shape, b)
    return stored(lnp.exp(exponential(key, extents, kind) / parameter("pareto", "b", b, extents, kind)))


def weibull_min(key: Any, scale: Any, concentration: Any, shape: Sequence[int] = (), dtype: Any = np.float32) -> Any:
    """Weibull with ``scale`` and exponent ``concentration``."""
    kind, extents = floats("weibull_min", "dtype", dtype), shape_of("weibull_min", shape)
    size, power = (parameter("weibull_min", what, v, extents, kind) for what, v in (("scale", scale),
                                                                                    ("concentration", concentration)))
    return stored(lnp.power(exponential(key, extents, kind), lnp.divide(_number(1, kind), power)) * size)


def lognormal(key: Any, sigma: Any = 1.0, shape: Sequence[int] | None = None, dtype: Any = np.float32) -> Any:
    """exp of a normal with standard deviation ``sigma``."""
    kind, extents = floats("lognormal", "dtype", dtype), shape_or("lognormal", shape, sigma)
    return stored(lnp.exp(normal(key, extents, kind) * parameter("lognormal", "sigma", sigma, extents, kind)))


def maxwell(key: Any, shape: Sequence[int] = (), dtype: Any = np.float32) -> Any:
    """Maxwell: the length of three standard normals."""
    kind = floats("maxwell", "dtype", dtype)
    x = normal(key, (*shape_of("maxwell", shape), 3), kind)
    return stored(lnp.sqrt(lnp.sum(lnp.square(x), -1)))


def double_sided_maxwell(key: Any, loc: Any, scale: Any, shape: Sequence[int] = (), dtype: Any = np.float32) -> Any:
    """Maxwell times ``scale`` with a random sign, about ``loc``. The result's shape is ``shape`` and then that of the parameters,
    which stands for an empty shape too, as in JAX."""
    kind, own = floats("double_sided_maxwell", "dtype", dtype), shape_or("double_sided_maxwell", None, loc, scale)
    extents = (shape_of("double_sided_maxwell", shape) or own) + own
    first, second = pieces(key)
    sign = lnp.where(lnp.less(uniform(second, extents), np.float32(0.5)), _number(1, kind), _number(-1, kind))
    center, size = (parameter("double_sided_maxwell", what, v, extents, kind) for what, v in (("loc", loc), ("scale", scale)))
    return stored(sign * maxwell(first, extents, kind) * size + center)


def triangular(key: Any, left: Any, mode: Any, right: Any, shape: Sequence[int] | None = None, dtype: Any = np.float32) -> Any:
    """Triangular on [left, right] with its peak at ``mode``."""
    kind, extents = floats("triangular", "dtype", dtype), shape_or("triangular", shape, left, mode, right)
    a, c, b = (parameter("triangular", what, v, extents, kind) for what, v in (("left", left), ("mode", mode), ("right", right)))
    u = uniform(key, extents, kind)
    rising, falling = a + lnp.sqrt(u * (b - a) * (c - a)), b - lnp.sqrt((1 - u) * (b - a) * (b - c))
    return stored(lnp.where(u < (c - a) / (b - a), rising, falling))


def wald(key: Any, mean: Any, shape: Sequence[int] | None = None, dtype: Any = np.float32) -> Any:
    """Wald (inverse Gaussian) with ``mean`` and shape parameter 1 (Michael et al. 1976)."""
    kind, extents = floats("wald", "dtype", dtype), shape_or("wald", shape, mean)
    first, second = pieces(key)
    m, y = parameter("wald", "mean", mean, extents, kind), lnp.square(normal(first, extents, kind))
    x = m + m * m * y / 2 - m / 2 * lnp.sqrt(4 * m * y + m * m * (y * y))
    return stored(lnp.where(uniform(second, extents, kind) <= m / (m + x), x, m * m / x))
