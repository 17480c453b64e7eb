"""Distributions drawn by rejection, or built of ones that are: right distributions, of other bits than JAX's.

JAX loops until every element is accepted. Here all candidates of an element are drawn at once and the first that is accepted is
taken: no loop, and so many candidates that none fails in the life of a machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import array, floats, integer, number
from leptonc.arguments import shape as shape_of
from leptonc.bfloat16 import is_narrow, kind_of
from leptonc.errors import DtypeError, ShapeError, op_error
from leptonc.promotion import numpy_dtype
from leptonc.random.continuous import exponential, normal
from leptonc.random.discrete import rademacher
from leptonc.random.draws import parameter, shape_or, stopped, stored, uniform
from leptonc.random.keys import pieces
from leptonc.trace import bind

GAMMA_CANDIDATES = 12  # each accepted with probability 0.95 or more: 2e-16 that none is
POISSON_CANDIDATES = 20  # 0.8 or more for a mean from 10 on: 1e-14
SMALL_MEAN = 10.0  # below it a Poisson draw inverts the distribution function
COUNTS = 64  # terms of that function: what lies beyond has a probability of 1e-30


def _first(accepted: Any, candidates: Any) -> Any:
    """The first accepted of candidates along the first axis."""
    where = lnp.argmax(accepted, 0)
    chosen = np.arange(candidates.shape[0]).reshape(-1, *(1,) * len(where.shape)) == lnp.expand_dims(where, 0)
    return lnp.sum(lnp.where(chosen, candidates, 0), 0)


def _log_gamma(key: Any, a: Any, shape: tuple[int, ...], kind: np.dtype) -> Any:
    """Logarithms of gamma draws (Marsaglia and Tsang 2000), a < 1 by way of a + 1. They have no derivative by a."""
    a = lnp.broadcast_to(a, shape)
    small = lnp.less(a, 1)
    d = lnp.where(small, a + 1, a) - 1 / 3
    for_x, for_u, for_boost = pieces(key, 3)
    x = normal(for_x, (GAMMA_CANDIDATES, *shape), kind)
    v = 1 + x / lnp.sqrt(9 * d)
    positive = v > 0
    log_v = 3 * lnp.log(lnp.where(positive, v, 1))
    log_u = -exponential(for_u, x.shape, kind)
    accepted = positive & (log_u < 0.5 * x * x + d * (1 - lnp.exp(log_v) + log_v))
    boost = -exponential(for_boost, shape, kind) / a
    return lnp.log(d) + _first(accepted, log_v) + lnp.where(small, boost, 0)


def _wide(kind: np.dtype) -> np.dtype:
    return np.dtype(np.float32) if is_narrow(kind) else kind


def _marked(name: str, what: str, value: Any, extents: tuple[int, ...], kind: np.dtype) -> Any:
    """A parameter by which differentiation raises LeptonError."""
    return bind("sampling_parameter", parameter(name, what, value, extents, _wide(kind)), of=name, what=what)


def _gammas(name: str, key: Any, a: Any, shape: Any, dtype: Any) -> tuple[Any, np.dtype]:
    kind = floats(name, "dtype", dtype)
    extents = shape_or(name, shape, a)
    return _log_gamma(key, _marked(name, "a", a, extents, kind), extents, _wide(kind)), kind


def loggamma(key: Any, a: Any, shape: Sequence[int] | None = None, dtype: Any = np.float32) -> Any:
    """Logarithms of gamma draws with exponent ``a``, which do not vanish for a small one. Not JAX's bits; no derivative by a."""
    logs, kind = _gammas("loggamma", key, a, shape, dtype)
    return stored(lnp.astype(logs, kind))


def gamma(key: Any, a: Any, shape: Sequence[int] | None = None, dtype: Any = np.float32) -> Any:
    """Gamma with exponent ``a`` and scale 1. Not JAX's bits; no derivative by a."""
    logs, kind = _gammas("gamma", key, a, shape, dtype)
    return stored(lnp.astype(lnp.exp(logs), kind))


def chisquare(key: Any, df: Any, shape: Sequence[int] | None = None, dtype: Any = np.float32) -> Any:
    """Chi-square with ``df`` degrees of freedom. Not JAX's bits; no derivative by df."""
    kind, extents = floats("chisquare", "dtype", dtype), shape_or("chisquare", shape, df)
    return stored(lnp.astype(_chisquares(key, _marked("chisquare", "df", df, extents, kind), extents, _wide(kind)), kind))


def _chisquares(key: Any, df: Any, shape: tuple[int, ...], kind: np.dtype) -> Any:
    return 2 * lnp.exp(_log_gamma(key, df / 2, shape, kind))


def f(key: Any, dfnum: Any, dfden: Any, shape: Sequence[int] | None = None, dtype: Any = np.float32) -> Any:
    """F with ``dfnum`` and ``dfden`` degrees of freedom. Not JAX's bits; no derivative by them."""
    kind, extents = floats("f", "dtype", dtype), shape_or("f", shape, dfnum, dfden)
    above, below = (_marked("f", what, v, extents, kind) for what, v in (("dfnum", dfnum), ("dfden", dfden)))
    first, second = pieces(key)
    wide = _wide(kind)
    ratio = (_chisquares(second, above, extents, wide) / above) / (_chisquares(first, below, extents, wide) / below)
    return stored(lnp.astype(ratio, kind))


def t(key: Any, df: Any, shape: Sequence[int] | None = None, dtype: Any = np.float32) -> Any:
    """Student's t with ``df`` degrees of freedom. Not JAX's bits; no derivative by df."""
    kind, extents = floats("t", "dtype", dtype), shape_or("t", shape, df)
    half = _marked("t", "df", df, extents, kind) / 2
    first, second = pieces(key)
    out = normal(first, extents, _wide(kind)) * lnp.sqrt(half / lnp.exp(_log_gamma(second, half, extents, _wide(kind))))
    return stored(lnp.astype(out, kind))


def beta(key: Any, a: Any, b: Any, shape: Sequence[int] | None = None, dtype: Any = np.float32) -> Any:
    """Beta with exponents ``a`` and ``b``. Not JAX's bits; no derivative by them."""
    kind, extents = floats("beta", "dtype", dtype), shape_or("beta", shape, a, b)
    logs = [_log_gamma(k, _marked("beta", what, v, extents, kind), extents, _wide(kind))
            for k, what, v in zip(pieces(key), "ab", (a, b))]
    return stored(lnp.astype(bind("sigmoid", logs[0] - logs[1]), kind))


def dirichlet(key: Any, alpha: Any, shape: Sequence[int] | None = None, dtype: Any = np.float32) -> Any:
    """Dirichlet: [*shape, n] that sum to 1 along the last axis, for exponents ``alpha`` [..., n]. Not JAX's bits; no
    derivative by alpha."""
    kind, found = floats("dirichlet", "dtype", dtype), array("dirichlet", "alpha", alpha)
    if not found.shape:
        raise op_error("dirichlet", "alpha needs an axis", {"alpha": found}, kind=ShapeError)
    extents = (*(tuple(found.shape[:-1]) if shape is None else shape_of("dirichlet", shape)), found.shape[-1])
    logs = _log_gamma(key, _marked("dirichlet", "alpha", found, extents, kind), extents, _wide(kind))
    return stored(lnp.astype(bind("softmax", logs, axis=logs.ndim - 1), kind))


def generalized_normal(key: Any, p: float, shape: Sequence[int] = (), dtype: Any = np.float32) -> Any:
    """Density proportional to exp(-|x|^p). Not JAX's bits."""
    kind, extents = floats("generalized_normal", "dtype", dtype), shape_of("generalized_normal", shape)
    power = float(number("generalized_normal", "p", p, least=0))
    first, second = pieces(key)
    size = lnp.exp(loggamma(first, 1 / power, extents, _wide(kind)) / power)
    return stored(lnp.astype(size * rademacher(second, extents, _wide(kind)), kind))


def ball(key: Any, d: int, p: float = 2, shape: Sequence[int] = (), dtype: Any = np.float32) -> Any:
    """[*shape, d] uniform in the unit ball of the p-norm (Barthe et al. 2005). Not JAX's bits."""
    kind, extents = floats("ball", "dtype", dtype), shape_of("ball", shape)
    first, second = pieces(key)
    x = generalized_normal(first, p, (*extents, integer("ball", "d", d, least=1)), _wide(kind))
    length = lnp.power(lnp.sum(lnp.power(lnp.absolute(x), float(p)), -1) + exponential(second, extents, _wide(kind)), 1 / float(p))
    return stored(lnp.astype(x / lnp.expand_dims(length, -1), kind))


# Counts


def poisson(key: Any, lam: Any, shape: Sequence[int] | None = None, dtype: Any = np.int32) -> Any:
    """Poisson with mean ``lam``. Not JAX's bits."""
    kind = numpy_dtype(np.int32 if dtype is None else dtype, "poisson")
    if kind_of(kind) not in "iu":
        raise op_error("poisson", f"dtype must be an int, got {kind}", {}, kind=DtypeError)
    extents = shape_or("poisson", shape, lam)
    mean = stopped(lnp.broadcast_to(parameter("poisson", "lam", lam, extents, np.dtype(np.float64)), extents))
    first, second = pieces(key)
    small = mean < SMALL_MEAN
    few = _by_inversion(first, lnp.where(small, mean, 1), extents)
    many = _by_rejection(second, lnp.where(small, 1e5, mean), extents)
    return lnp.astype(lnp.where(small, few, many), kind)


def _by_inversion(key: Any, mean: Any, shape: tuple[int, ...]) -> Any:
    """How many values of the distribution function a uniform number exceeds."""
    counts = np.arange(COUNTS, dtype=np.float64)
    log_factorials = np.concatenate([[0.0], np.cumsum(np.log(counts[1:]))])
    by_mean = lnp.expand_dims(mean, -1)
    logs = counts * lnp.log(lnp.maximum(by_mean, 1e-300)) - by_mean - log_factorials
    below = lnp.cumsum(lnp.exp(logs), -1)
    return lnp.sum(lnp.astype(lnp.expand_dims(uniform(key, shape, np.float64), -1) >= below, np.float64), -1)


def _log_factorial(k: Any) -> Any:
    """log(k!), by Stirling's series for k + 8, less the factors between; right to 1e-12."""
    n = k + 8
    series = (n + 0.5) * lnp.log(n) - n + 0.5 * np.log(2 * np.pi) + (1 / 12 - (1 / 360 - 1 / 1260 / (n * n)) / (n * n)) / n
    between = k + 1
    for step in range(2, 9):
        between = between * (k + step)
    return series - lnp.log(between)


def _by_rejection(key: Any, mean: Any, shape: tuple[int, ...]) -> Any:
    """Transformed rejection with squeeze (Hoermann 1993, PTRS), for means from 10 on."""
    b = 0.931 + 2.53 * lnp.sqrt(mean)
    a = -0.059 + 0.02483 * b
    first, second = pieces(key)
    u = uniform(first, (POISSON_CANDIDATES, *shape), np.float64) - 0.5
    v = 1 - uniform(second, u.shape, np.float64)
    distance = 0.5 - lnp.absolute(u)
    off = distance > 0
    distance = lnp.where(off, distance, 0.5)
    k = lnp.floor((2 * a / distance + b) * u + mean + 0.43)
    inside = off & (k >= 0) & ~((distance < 0.013) & (v > distance))
    known_k = lnp.where(inside, k, 0)
    left = lnp.log(v * (1.1239 + 1.1328 / (b - 3.4)) / (a / (distance * distance) + b))
    right = -mean + known_k * lnp.log(mean) - _log_factorial(known_k)
    squeezed = (distance >= 0.07) & (v <= 0.9277 - 3.6224 / (b - 2))
    return _first(inside & (squeezed | (left <= right)), k)
