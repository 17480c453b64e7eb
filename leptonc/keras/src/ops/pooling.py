"""Pooling over windows of one size, and over as many windows as the result wants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from leptonc import nn
from leptonc import numpy as lnp
from leptonc.keras.src.ops.layout import as_format, channels_last, listed
from leptonc.keras.src.ops.tensors import as_float, convert_to_tensor

__all__ = ["adaptive_average_pool", "adaptive_max_pool", "average_pool", "max_pool"]


def max_pool(inputs: Any, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: str | None = None) -> Any:
    return _pooled(nn.max_pool, convert_to_tensor(inputs), pool_size, strides, padding, data_format)


def average_pool(inputs: Any, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: str | None = None) -> Any:
    """Padding does not count."""
    return _pooled(nn.avg_pool, as_float(inputs), pool_size, strides, padding, data_format)


def _pooled(pool: Callable[..., Any], x: Any, pool_size: Any, strides: Any, padding: str, data_format: str | None) -> Any:
    if padding not in ("valid", "same"):
        raise ValueError(f"padding must be 'valid' or 'same', got padding={padding!r}")
    stride = None if strides is None else listed(strides)
    return as_format(pool(channels_last(x, data_format), listed(pool_size), stride=stride, padding=padding), data_format)


def adaptive_max_pool(inputs: Any, output_size: Any, data_format: str | None = None) -> Any:
    return _adapted(nn.max_pool, lnp.max, convert_to_tensor(inputs), output_size, data_format)


def adaptive_average_pool(inputs: Any, output_size: Any, data_format: str | None = None) -> Any:
    return _adapted(nn.avg_pool, lnp.mean, as_float(inputs), output_size, data_format)


def _adapted(pool: Callable[..., Any], reduce: Callable[..., Any], x: Any, output_size: Any, data_format: str | None) -> Any:
    """Windows of one size if the extents divide; else axis by axis: all windows of one place on an axis are of one size."""
    x = channels_last(x, data_format)
    extents = x.shape[1:-1]
    sizes = (output_size,) * len(extents) if isinstance(output_size, int) else tuple(output_size)
    if all(extent % size == 0 for extent, size in zip(extents, sizes)):
        return as_format(pool(x, tuple(extent // size for extent, size in zip(extents, sizes))), data_format)
    for axis, size in enumerate(sizes, 1):
        x = lnp.stack([reduce(_part(x, axis, n, size), axis) for n in range(size)], axis)
    return as_format(x, data_format)


def _part(x: Any, axis: int, n: int, size: int) -> Any:
    """Window ``n`` of ``size`` that cover the axis; neighbours overlap where the extent does not divide."""
    extent = x.shape[axis]
    return x[(*[slice(None)] * axis, slice(n * extent // size, -(-(n + 1) * extent // size)))]
