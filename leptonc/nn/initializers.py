"""Initial weights: factories of ``init(rng, shape, dtype)``, which returns a NumPy array.

``rng`` is a ``numpy.random.Generator``, an int seed, or a key of ``leptonc.random``, traced or not. Fans are those of a kernel
[window..., in, out].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod, sqrt
from typing import Any

import numpy as np

from leptonc import random
from leptonc.arguments import floats, integer, number
from leptonc.arguments import shape as shape_of
from leptonc.errors import ShapeError
from leptonc.memory import placed
from leptonc.promotion import numpy_dtype
from leptonc.public import public
from leptonc.tracer import Tracer

Initializer = Callable[..., np.ndarray]


def _generator(rng: Any) -> np.random.Generator:
    if isinstance(rng, np.random.Generator):
        return rng
    return np.random.default_rng(integer("initializers", "rng", rng, least=0))


def constant(value: float) -> Initializer:
    """``value`` in every element."""
    number("initializers.constant", "value", value)
    return public(lambda rng, shape, dtype="float32": placed(np.full(_extents(shape), value, numpy_dtype(dtype, "initializers"))),
                  "initializers.constant")


def _extents(shape: Any) -> tuple[int, ...]:
    return shape_of("initializers", shape)


def zeros() -> Initializer:
    return constant(0)


def ones() -> Initializer:
    return constant(1)


def uniform(low: float = -0.05, high: float = 0.05) -> Initializer:
    """Uniform in [low, high)."""
    number("initializers.uniform", "high", high, least=number("initializers.uniform", "low", low))
    return _drawn(lambda rng, shape: rng.uniform(low, high, shape),
                  lambda key, shape, dtype: random.uniform(key, shape, dtype, low, high))


def normal(stddev: float = 0.05, mean: float = 0.0) -> Initializer:
    """Normal with this mean and standard deviation."""
    number("initializers.normal", "stddev", stddev, least=0)
    number("initializers.normal", "mean", mean)
    return _drawn(lambda rng, shape: rng.normal(mean, stddev, shape),
                  lambda key, shape, dtype: random.normal(key, shape, dtype) * stddev + mean)


def _drawn(draw: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray], draw_by_key: Callable[..., Any]) -> Initializer:
    def init(rng: Any, shape: Sequence[int], dtype: Any = "float32") -> Any:
        if isinstance(rng, Tracer | np.ndarray) and rng.shape:
            return draw_by_key(rng, _extents(shape), floats("initializers", "dtype", dtype))
        return placed(draw(_generator(rng), _extents(shape)).astype(floats("initializers", "dtype", dtype)))

    return public(init, "initializers")


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """(inputs, outputs) of one unit of a kernel [window..., in, out]. Raises ShapeError for fewer than two axes."""
    if len(shape) < 2:
        raise ShapeError(f"initializers: a shape of at least two axes has fans, {tuple(shape)} has not; fix: use zeros() or "
                         "normal()")
    field = prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


def _scaled(scale: float, mode: str, distribution: str) -> Initializer:
    """Variance ``scale`` over the fan (Glorot and Bengio 2010, He et al. 2015)."""
    def init(rng: Any, shape: Sequence[int], dtype: Any = "float32") -> np.ndarray:
        fan_in, fan_out = fans(_extents(shape))
        fan = {"in": fan_in, "out": fan_out, "average": (fan_in + fan_out) / 2}[mode]
        variance = scale / max(fan, 1)
        if distribution == "uniform":
            limit = sqrt(3 * variance)
            return uniform(-limit, limit)(rng, shape, dtype)
        return normal(sqrt(variance))(rng, shape, dtype)

    return public(init, "initializers")


def glorot_uniform() -> Initializer:
    """Uniform within sqrt(6 / (fan_in + fan_out)); Keras' default."""
    return _scaled(1, "average", "uniform")


def glorot_normal() -> Initializer:
    """Normal with variance 2 / (fan_in + fan_out)."""
    return _scaled(1, "average", "normal")


def he_uniform() -> Initializer:
    """Uniform with variance 2 / fan_in."""
    return _scaled(2, "in", "uniform")


def he_normal() -> Initializer:
    """Normal with variance 2 / fan_in."""
    return _scaled(2, "in", "normal")


def lecun_uniform() -> Initializer:
    """Uniform with variance 1 / fan_in."""
    return _scaled(1, "in", "uniform")


def lecun_normal() -> Initializer:
    """Normal with variance 1 / fan_in."""
    return _scaled(1, "in", "normal")


kaiming_uniform, kaiming_normal = he_uniform, he_normal
xavier_uniform, xavier_normal = glorot_uniform, glorot_normal
