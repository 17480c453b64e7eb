"""Shapes and places: reshaping, axes, joining, splitting, padding, repeating."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.keras.src.ops.creation import extents
from leptonc.keras.src.ops.elementwise import known
from leptonc.keras.src.ops.reductions import axes_of, summable
from leptonc.keras.src.ops.tensors import convert_to_tensor, promoted


def reshape(x: Any, newshape: Any) -> Any:
    return lnp.reshape(convert_to_tensor(x), extents(newshape))


def ravel(x: Any) -> Any:
    return lnp.ravel(convert_to_tensor(x))


def transpose(x: Any, axes: Any = None) -> Any:
    return lnp.transpose(convert_to_tensor(x), axes_of(axes))


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    return lnp.swapaxes(convert_to_tensor(x), axis1, axis2)


def moveaxis(x: Any, source: Any, destination: Any) -> Any:
    return lnp.moveaxis(convert_to_tensor(x), axes_of(source), axes_of(destination))


def expand_dims(x: Any, axis: Any) -> Any:
    return lnp.expand_dims(convert_to_tensor(x), axes_of(axis))


def squeeze(x: Any, axis: Any = None) -> Any:
    return lnp.squeeze(convert_to_tensor(x), axes_of(axis))


def broadcast_to(x: Any, shape: Any) -> Any:
    return lnp.broadcast_to(convert_to_tensor(x), extents(shape))


def ndim(x: Any) -> int:
    return len(convert_to_tensor(x).shape)


def size(x: Any) -> int:
    return int(np.prod(convert_to_tensor(x).shape, dtype=np.int64))


def _joined(xs: Any) -> list[Any]:
    return list(promoted(*map(convert_to_tensor, xs)))


def concatenate(xs: Any, axis: int | None = 0) -> Any:
    return lnp.concatenate(_joined(xs), axis)


def append(x1: Any, x2: Any, axis: int | None = None) -> Any:
    return lnp.concatenate(_joined([x1, x2]), axis)


def stack(x: Any, axis: int = 0) -> Any:
    return lnp.stack(_joined(x), axis)


def vstack(xs: Any) -> Any:
    return lnp.vstack(_joined(xs))


def hstack(xs: Any) -> Any:
    return lnp.hstack(_joined(xs))


def dstack(xs: Any) -> Any:
    """Along the third axis, with (n, m) as (n, m, 1) and (n,) as (1, n, 1)."""
    deep = [lnp.reshape(x, (*((1, *x.shape, 1) if len(x.shape) == 1 else x.shape or (1, 1)), 1)[:3]) if len(x.shape) < 3 else x
            for x in _joined(xs)]
    return lnp.concatenate(deep, 2)


def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    return lnp.split(convert_to_tensor(x), _cuts(indices_or_sections), axis)


def _cuts(given: Any) -> Any:
    return given if isinstance(given, int) else [int(n) for n in given] if isinstance(given, list | tuple) else known(
        given, "split").tolist()


def array_split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Parts as equal as they can be, the longer ones first."""
    x, cuts = convert_to_tensor(x), _cuts(indices_or_sections)
    if isinstance(cuts, int):
        short, longer = divmod(x.shape[axis], cuts)
        cuts = np.cumsum([short + (n < longer) for n in range(cuts - 1)], dtype=int).tolist()
    return lnp.split(x, cuts, axis)


def vsplit(x: Any, indices_or_sections: Any) -> list[Any]:
    return split(x, indices_or_sections, 0)


def hsplit(x: Any, indices_or_sections: Any) -> list[Any]:
    return split(x, indices_or_sections, 0 if ndim(x) == 1 else 1)


def dsplit(x: Any, indices_or_sections: Any) -> list[Any]:
    return split(x, indices_or_sections, 2)


def flip(x: Any, axis: Any = None) -> Any:
    return lnp.flip(convert_to_tensor(x), axes_of(axis))


def flipud(x: Any) -> Any:
    return flip(x, 0)


def fliplr(x: Any) -> Any:
    return flip(x, 1)


def rot90(array: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    """k quarter turns from the first axis towards the second."""
    x = convert_to_tensor(array)
    if len(x.shape) < 2:
        raise ValueError(f"Input array must have at least 2 dimensions. Received: array.ndim={len(x.shape)}")
    if len(axes) != 2 or axes[0] == axes[1]:
        raise ValueError(f"Invalid axes: {axes}. Axes must be a tuple of two different dimensions.")
    turns = k % 4
    if turns == 2:
        return lnp.flip(x, tuple(axes))
    turned = lnp.flip(x, axes[1]) if turns == 1 else x
    turned = lnp.swapaxes(turned, *axes) if turns else turned
    return lnp.flip(turned, axes[1]) if turns == 3 else turned


def roll(x: Any, shift: Any, axis: Any = None) -> Any:
    """Elements moved on, those beyond the end to the front; the shifts must be known."""
    x = convert_to_tensor(x)
    if axis is None:
        return lnp.reshape(roll(lnp.ravel(x), shift, 0), x.shape)
    shifts, axes = np.broadcast_arrays(np.atleast_1d(known(shift, "roll")), np.atleast_1d(axis))
    for by, at in zip(shifts.tolist(), axes.tolist()):
        cut = -by % x.shape[at] if x.shape[at] else 0
        x = lnp.concatenate(lnp.split(x, [cut], at)[::-1], at)
    return x


COPYING_MODES = ("reflect", "symmetric", "edge", "wrap")


def pad(x: Any, pad_width: Any, mode: Any = "constant", constant_values: Any = None) -> Any:
    """Elements added at the edges: of one value, or those that NumPy's ``mode`` takes from x."""
    x = convert_to_tensor(x)
    if mode == "constant":
        value = 0 if constant_values is None else known(constant_values, "pad").item()
        return lnp.pad(x, known(pad_width, "pad"), constant_values=value)
    if constant_values is not None:
        raise ValueError(f"Argument `constant_values` can only be provided when `mode == 'constant'`. Received: mode={mode}")
    if mode not in COPYING_MODES:
        raise ValueError(f"`mode` must be 'constant' or one of {COPYING_MODES}. Received: mode={mode}")
    widths = np.broadcast_to(known(pad_width, "pad"), (len(x.shape), 2)).tolist()
    for axis, width in enumerate(widths):
        if any(width):
            x = lnp.take(x, np.pad(np.arange(x.shape[axis]), width, mode), axis)
    return x


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Any:
    """Each element so many times in a row; numbers that differ must be known."""
    x, counts = convert_to_tensor(x), known(repeats, "repeat")
    if counts.size == 1:
        return lnp.repeat(x, counts.item(), axis)
    x, axis = (lnp.ravel(x), 0) if axis is None else (x, axis)
    return lnp.take(x, np.repeat(np.arange(x.shape[axis]), counts), axis)


def tile(x: Any, repeats: Any) -> Any:
    return lnp.tile(convert_to_tensor(x), extents(repeats))


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The elements (i, i + offset) of two axes, as the last axis."""
    x = lnp.moveaxis(convert_to_tensor(x), (axis1, axis2), (-2, -1))
    rows, columns = x.shape[-2:]
    first = offset if offset >= 0 else -offset * columns
    count = max(min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns), 0)
    flat = lnp.reshape(x, (*x.shape[:-2], rows * columns))
    return flat[..., first:first + count * (columns + 1):columns + 1] if count else flat[..., :0]


def diag(x: Any, k: int = 0) -> Any:
    """A vector as the k-th diagonal of a matrix, or that of a matrix."""
    x = convert_to_tensor(x)
    if len(x.shape) == 2:
        return diagonal(x, k)
    if len(x.shape) != 1:
        raise ValueError(f"`x` must be 1-D or 2-D. Received: x.shape={x.shape}")
    long = lnp.pad(x, (0, abs(k)))
    wide = lnp.expand_dims(long, 1 if k >= 0 else 0)
    return lnp.where(np.eye(long.shape[0], k=k, dtype=bool), wide, lnp.zeros((), x.dtype))


def diagflat(x: Any, k: int = 0) -> Any:
    return diag(ravel(x), k)


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    x, dtype = summable(diagonal(x, offset, axis1, axis2))
    return lnp.sum(x, -1, dtype=dtype)


def diff(a: Any, n: int = 1, axis: int = -1) -> Any:
    """Differences of neighbours, n times over; of bools: whether they differ."""
    x = convert_to_tensor(a)
    for _ in range(n):
        low, high = (lnp.moveaxis(lnp.moveaxis(x, axis, 0)[part], 0, axis) for part in (slice(None, -1), slice(1, None)))
        x = lnp.not_equal(high, low) if x.dtype.kind == "b" else lnp.subtract(high, low)
    return x


__all__ = [
    "append", "array_split", "broadcast_to", "concatenate", "diag", "diagflat", "diagonal", "diff", "dsplit", "dstack",
    "expand_dims", "flip", "fliplr", "flipud", "hsplit", "hstack", "moveaxis", "ndim", "pad", "ravel", "repeat", "reshape",
    "roll", "rot90", "size", "split", "squeeze", "stack", "swapaxes", "tile", "trace", "transpose", "vsplit", "vstack",
]
