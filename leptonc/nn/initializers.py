"""Initial weights, by JAX's names: factories of ``init(key, shape, dtype)``; ``zeros`` and ``ones`` are such functions themselves.

By a key of ``leptonc.random``, traced or not, they give JAX's numbers for the same key, shape and dtype; instead of one a
``numpy.random.Generator`` or an int seed may be given, for other numbers of the same distributions. Fans are those of a kernel
[window..., in, out] if no axes are named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from leptonc import random
from leptonc.arguments import axis as axis_of
from leptonc.arguments import choice, floats, integer, integers, is_one, number
from leptonc.arguments import shape as shape_of
from leptonc.errors import ShapeError, op_error
from leptonc.memory import placed
from leptonc.promotion import numpy_dtype
from leptonc.public import public, publish
from leptonc.trace import known
from leptonc.tracer import Tracer

Initializer = Callable[..., Any]
Axes = int | Sequence[int]

_DEFAULT = "float32"
_TRUNCATED = 0.87962566103423978  # the standard deviation of a standard normal number between -2 and 2


def _is_key(key: Any) -> bool:
    return isinstance(key, Tracer | np.ndarray) and bool(key.shape)


def _generator(rng: Any) -> np.random.Generator:
    if isinstance(rng, np.random.Generator):
        return rng
    return np.random.default_rng(integer("initializers", "rng", rng, least=0))


def _extents(shape: Any) -> tuple[int, ...]:
    return shape_of("initializers", shape)


def constant(value: float, dtype: Any = None) -> Initializer:
    """``value`` in every element."""
    number("initializers.constant", "value", value)
    default = _DEFAULT if dtype is None else dtype

    def init(key: Any, shape: Sequence[int], dtype: Any = default) -> np.ndarray:
        return known(placed(np.full(_extents(shape), value, numpy_dtype(default if dtype is None else dtype, "initializers"))))

    return public(init, "initializers.constant")


def zeros(key: Any = None, shape: Any = None, dtype: Any = None) -> Any:
    """Zeros of a shape; the key is not used. Without arguments the initializer."""
    return constant(0) if shape is None else constant(0)(key, shape, dtype)


def ones(key: Any = None, shape: Any = None, dtype: Any = None) -> Any:
    """Ones of a shape; the key is not used. Without arguments the initializer."""
    return constant(1) if shape is None else constant(1)(key, shape, dtype)


Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
DrawByKey = Callable[[Any, tuple[int, ...], np.dtype], Any]


def _drawn(draw: Draw, draw_by_key: DrawByKey, default: Any = None) -> Initializer:
    """An initializer of two ways to draw."""
    default = _DEFAULT if default is None else floats("initializers", "dtype", default)

    def init(key: Any, shape: Sequence[int], dtype: Any = default) -> Any:
        kind = floats("initializers", "dtype", default if dtype is None else dtype)
        if _is_key(key):
            return draw_by_key(key, _extents(shape), kind)
        return placed(draw(_generator(key), _extents(shape)).astype(kind))

    return public(init, "initializers")


def uniform(scale: float = 0.01, dtype: Any = None) -> Initializer:
    """Uniform in [0, ``scale``)."""
    number("initializers.uniform", "scale", scale)
    return _drawn(lambda rng, shape: rng.uniform(0, 1, shape) * scale,
                  lambda key, shape, kind: random.uniform(key, shape, kind) * kind.type(scale), dtype)


def between(low: float, high: float, dtype: Any = None) -> Initializer:
    """Uniform in [low, high)."""
    number("initializers.between", "high", high, least=number("initializers.between", "low", low))
    return _drawn(lambda rng, shape: rng.uniform(low, high, shape),
                  lambda key, shape, kind: random.uniform(key, shape, kind, low, high), dtype)


def normal(stddev: float = 0.01, dtype: Any = None) -> Initializer:
    """Normal about 0 with this standard deviation."""
    number("initializers.normal", "stddev", stddev, least=0)
    return _drawn(lambda rng, shape: rng.normal(0, stddev, shape),
                  lambda key, shape, kind: random.normal(key, shape, kind) * kind.type(stddev), dtype)


def truncated_normal(stddev: float = 0.01, dtype: Any = None, lower: float = -2.0, upper: float = 2.0) -> Initializer:
    """Standard normal between ``lower`` and ``upper``, times ``stddev``, which is not that of the result."""
    number("initializers.truncated_normal", "stddev", stddev, least=0)
    number("initializers.truncated_normal", "upper", upper, least=number("initializers.truncated_normal", "lower", lower))
    return _drawn(lambda rng, shape: _within(rng, lower, upper, shape) * stddev,
                  lambda key, shape, kind: random.truncated_normal(key, lower, upper, shape, kind) * kind.type(stddev), dtype)


def _within(rng: np.random.Generator, lower: float, upper: float, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers, those beyond the bounds drawn again."""
    found = rng.normal(size=shape)
    while True:
        beyond = (found < lower) | (found > upper)
        if not beyond.any():
            return found
        found[beyond] = rng.normal(size=int(beyond.sum()))


def fans(shape: Sequence[int], in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = ()) -> tuple[float, float]:
    """(inputs, outputs) of one unit of a kernel; axes that are not named are its window. Raises ShapeError for fewer than two axes,
    if they are not named."""
    shape = shape_of("initializers", shape)
    if len(shape) < 2 and is_one(in_axis) and in_axis == -2:
        raise ShapeError(f"initializers: a shape of at least two axes has fans, {tuple(shape)} has not; fix: use zeros or normal()")
    inputs, outputs, batch = (prod(shape[d] for d in _places(shape, axes)) for axes in (in_axis, out_axis, batch_axis))
    field = prod(shape) / max(inputs, 1) / max(outputs, 1) / max(batch, 1)
    return inputs * field, outputs * field


def _places(shape: Sequence[int], axes: Axes) -> list[int]:
    found = integers("initializers", "an axis", axes)
    if any(not -len(shape) <= d < len(shape) for d in found):
        raise op_error("initializers", f"axes {found} are out of bounds for shape {tuple(shape)}", {}, kind=ShapeError)
    return list(found)


def variance_scaling(scale: float, mode: str, distribution: str, in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (),
                     dtype: Any = None) -> Initializer:
    """Variance ``scale`` over the fan (Glorot and Bengio 2010, He et al. 2015).

    ``mode``: "fan_in", "fan_out", "fan_avg" or "fan_geo_avg", the geometric mean. ``distribution``: "normal", "uniform", or
    "truncated_normal", cut at two standard deviations. Raises ShapeError or ArgumentError.
    """
    name = "variance_scaling"
    number(name, "scale", scale, least=0)
    choice(name, "mode", mode, ("fan_in", "fan_out", "fan_avg", "fan_geo_avg"))
    choice(name, "distribution", distribution, ("truncated_normal", "normal", "uniform"))
    default = _DEFAULT if dtype is None else dtype

    def init(key: Any, shape: Sequence[int], dtype: Any = default) -> Any:
        kind = floats("initializers", "dtype", default if dtype is None else dtype)
        inputs, outputs = fans(_extents(shape), in_axis, out_axis, batch_axis)
        fan = {"fan_in": inputs, "fan_out": outputs, "fan_avg": (inputs + outputs) / 2,
               "fan_geo_avg": (inputs * outputs) ** 0.5}[mode]
        variance = (kind.type if _is_key(key) else np.float64)(scale / max(fan, 1))  # JAX's numbers of a key are of its roundings
        return _SCALED[distribution](variance)(key, shape, kind)

    return public(init, "initializers")


def _scaled_truncated(variance: Any) -> Initializer:
    return truncated_normal(np.sqrt(variance) / variance.dtype.type(_TRUNCATED))


def _scaled_uniform(variance: Any) -> Initializer:
    limit = np.sqrt(variance.dtype.type(3) * variance)
    return _drawn(lambda rng, shape: rng.uniform(-limit, limit, shape),
                  lambda key, shape, kind: random.uniform(key, shape, kind, -1) * limit)


_SCALED: dict[str, Callable[[Any], Initializer]] = {
    "truncated_normal": _scaled_truncated, "uniform": _scaled_uniform, "normal": lambda variance: normal(np.sqrt(variance)),
}


def glorot_uniform(in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None) -> Initializer:
    """Uniform within sqrt(6 / (fan_in + fan_out)); Keras' default."""
    return variance_scaling(1.0, "fan_avg", "uniform", in_axis, out_axis, batch_axis, dtype)


def glorot_normal(in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None) -> Initializer:
    """Truncated normal with variance 2 / (fan_in + fan_out)."""
    return variance_scaling(1.0, "fan_avg", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


def he_uniform(in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None) -> Initializer:
    """Uniform with variance 2 / fan_in."""
    return variance_scaling(2.0, "fan_in", "uniform", in_axis, out_axis, batch_axis, dtype)


def he_normal(in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None) -> Initializer:
    """Truncated normal with variance 2 / fan_in."""
    return variance_scaling(2.0, "fan_in", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


def lecun_uniform(in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None) -> Initializer:
    """Uniform with variance 1 / fan_in."""
    return variance_scaling(1.0, "fan_in", "uniform", in_axis, out_axis, batch_axis, dtype)


def lecun_normal(in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None) -> Initializer:
    """Truncated normal with variance 1 / fan_in."""
    return variance_scaling(1.0, "fan_in", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


kaiming_uniform, kaiming_normal = he_uniform, he_normal
xavier_uniform, xavier_normal = glorot_uniform, glorot_normal


def orthogonal(scale: float = 1.0, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """Matrices with orthonormal rows or columns, whichever are fewer, times ``scale``; all axes but ``column_axis`` are rows. JAX's
    numbers but for rounding. Raises ShapeError for fewer than two axes."""
    number("initializers.orthogonal", "scale", scale)

    def shaped(draw: Callable[[int, int], Any], shape: tuple[int, ...]) -> Any:
        if len(shape) < 2:
            raise ShapeError(f"initializers.orthogonal: wants at least two axes, got {shape}")
        at = axis_of("initializers.orthogonal", np.broadcast_to(0, shape), column_axis)
        columns, rest = shape[at], (*shape[:at], *shape[at + 1:])
        if 0 in shape:
            return np.zeros(shape)
        matrix = draw(prod(rest), columns).reshape(*rest, columns)
        order = list(range(len(rest)))
        return matrix.transpose(*order[:at], len(rest), *order[at:])

    def by_key(key: Any, shape: tuple[int, ...], kind: np.dtype) -> Any:
        return shaped(lambda n, m: random.orthogonal(key, n, (), kind, m), shape) * kind.type(scale)

    return _drawn(lambda rng, shape: shaped(lambda n, m: _orthonormal(rng, n, m), shape) * scale, by_key, dtype)


def _orthonormal(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
    found = q * np.sign(np.diagonal(r))
    return found.T if rows < columns else found


def delta_orthogonal(scale: float = 1.0, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """Kernels [window..., in, out] of convolutions that are ``orthogonal`` in the middle of the window and 0 around it (Xiao et al.
    2018). Raises ShapeError unless there are one to three window axes and no more inputs than outputs."""
    square = orthogonal(scale, column_axis)
    default = _DEFAULT if dtype is None else dtype

    def init(key: Any, shape: Sequence[int], dtype: Any = default) -> Any:
        extents, kind = _extents(shape), floats("initializers", "dtype", default if dtype is None else dtype)
        if len(extents) not in (3, 4, 5) or extents[-1] < extents[-2]:
            raise ShapeError(f"initializers.delta_orthogonal: wants [window..., in, out] with in <= out, got {extents}")
        middle = np.zeros((*extents[:-2], 1, 1), kind)
        middle[tuple((n - 1) // 2 for n in extents[:-2])] = 1
        return square(key, extents[-2:], kind) * middle

    return public(init, "initializers.delta_orthogonal")


__all__ = [
    "Initializer", "between", "constant", "delta_orthogonal", "fans", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform",
    "kaiming_normal", "kaiming_uniform", "lecun_normal", "lecun_uniform", "normal", "ones", "orthogonal", "truncated_normal",
    "uniform", "variance_scaling", "xavier_normal", "xavier_uniform", "zeros",
]

publish(globals(), __all__)
