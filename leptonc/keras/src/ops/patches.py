"""Pixels moved between windows, blocks and channels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from leptonc import lax
from leptonc import numpy as lnp
from leptonc.keras.src.ops.layout import is_channels_first
from leptonc.keras.src.ops.tensors import convert_to_tensor

__all__ = ["depth_to_space", "fold", "space_to_depth", "unfold"]

Pair = tuple[int, int]


def _pair(value: Any) -> Pair:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def _counts(extents: Pair, kernel: Pair, dilation: Pair, padding: Pair, stride: Pair) -> Pair:
    """Windows on each axis."""
    rows, columns = ((n + 2 * p - d * (k - 1) - 1) // s + 1
                     for n, k, d, p, s in zip(extents, kernel, dilation, padding, stride))
    return rows, columns


def _offsets(kernel: Pair, dilation: Pair) -> Iterator[Pair]:
    """Where the elements of a window are, seen from its first one."""
    return ((i * dilation[0], j * dilation[1]) for i in range(kernel[0]) for j in range(kernel[1]))


def unfold(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """[n, c * window, windows] of [n, c, h, w]."""
    x = convert_to_tensor(input)
    kernel, gap, pad, step = (_pair(v) for v in (kernel_size, dilation, padding, stride))
    rows, columns = _counts(x.shape[2:], kernel, gap, pad, step)
    x = lnp.pad(x, ((0, 0), (0, 0), (pad[0], pad[0]), (pad[1], pad[1])))
    parts = [x[:, :, i:i + (rows - 1) * step[0] + 1:step[0], j:j + (columns - 1) * step[1] + 1:step[1]]
             for i, j in _offsets(kernel, gap)]
    return lnp.reshape(lnp.stack(parts, 2), (x.shape[0], x.shape[1] * kernel[0] * kernel[1], rows * columns))


def fold(x: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """[n, c, h, w] of [n, c * window, windows], added where windows overlap."""
    x = convert_to_tensor(x)
    out, kernel, gap, pad, step = (_pair(v) for v in (output_size, kernel_size, dilation, padding, stride))
    rows, columns = _counts(out, kernel, gap, pad, step)
    channels = x.shape[1] // (kernel[0] * kernel[1])
    parts = lnp.reshape(x, (x.shape[0], channels, kernel[0] * kernel[1], rows, columns))
    spread = [lax.pad(parts[:, :, n], 0, ((0, 0, 0), (0, 0, 0), *(
        (at - p, size + p - at - (count - 1) * s - 1, s - 1)
        for at, p, size, count, s in zip(offset, pad, out, (rows, columns), step))))
        for n, offset in enumerate(_offsets(kernel, gap))]
    return sum(spread[1:], spread[0])


def depth_to_space(x: Any, block_size: int, data_format: str = "channels_last") -> Any:
    """Blocks of pixels out of the channels, which hold [block, block, c], or [c, block, block] if they are first."""
    x, b = convert_to_tensor(x), block_size
    if is_channels_first(data_format):
        n, c, h, w = x.shape
        parts = lnp.transpose(lnp.reshape(x, (n, c // b**2, b, b, h, w)), (0, 1, 4, 2, 5, 3))
        return lnp.reshape(parts, (n, c // b**2, h * b, w * b))
    n, h, w, c = x.shape
    parts = lnp.transpose(lnp.reshape(x, (n, h, w, b, b, c // b**2)), (0, 1, 3, 2, 4, 5))
    return lnp.reshape(parts, (n, h * b, w * b, c // b**2))


def space_to_depth(x: Any, block_size: int, data_format: str = "channels_last") -> Any:
    """Blocks of pixels into the channels: the inverse of ``depth_to_space``."""
    x, b = convert_to_tensor(x), block_size
    if is_channels_first(data_format):
        n, c, h, w = x.shape
        parts = lnp.transpose(lnp.reshape(x, (n, c, h // b, b, w // b, b)), (0, 1, 3, 5, 2, 4))
        return lnp.reshape(parts, (n, c * b**2, h // b, w // b))
    n, h, w, c = x.shape
    parts = lnp.transpose(lnp.reshape(x, (n, h // b, b, w // b, b, c)), (0, 1, 3, 2, 4, 5))
    return lnp.reshape(parts, (n, h // b, w // b, c * b**2))
