"""Elements by their positions, and positions by elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras.src.backend.common.backend_utils import vectorize_impl

from leptonc import numpy as lnp
from leptonc import vmap
from leptonc.keras.src.ops.creation import linspace
from leptonc.keras.src.ops.tensors import as_float, convert_to_tensor, promoted


def positions(indices: Any) -> Any:
    """Integers; floats, as Keras's layers give them, are cut."""
    indices = convert_to_tensor(indices)
    return indices if indices.dtype.kind in "iu" else lnp.astype(indices, "int32")


def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    return lnp.take(convert_to_tensor(x), positions(indices), axis)


def take_along_axis(x: Any, indices: Any, axis: int | None = None) -> Any:
    """x[..., indices[..., i, ...], ...]: of each row along the axis, those at the row of ``indices``."""
    x, index = convert_to_tensor(x), positions(indices)
    if axis is None:
        return lnp.take(lnp.ravel(x), lnp.ravel(index))
    return lnp.take_along_axis(x, index, axis)


def unravel_index(indices: Any, shape: Any) -> tuple[Any, ...]:
    """Flat positions as one for each axis."""
    rest = positions(indices)
    total = int(np.prod(shape))
    rest = lnp.where(lnp.less(rest, 0), lnp.add(rest, total), rest)
    found = []
    for n in reversed(shape):
        found.append(lnp.mod(rest, n))
        rest = lnp.floor_divide(rest, n)
    return tuple(found[::-1])


def searchsorted(sorted_sequence: Any, values: Any, side: str = "left") -> Any:
    """Where to put values into a sorted sequence that it stays sorted, by halving: log2(n) steps."""
    sequence, wanted = promoted(convert_to_tensor(sorted_sequence), convert_to_tensor(values))
    if len(sequence.shape) != 1:
        raise ValueError("`searchsorted` only supports 1-D sorted sequences. "
                         f"Received: sorted_sequence.shape={sequence.shape}")
    behind = lnp.less if side == "left" else lnp.less_equal
    low = lnp.zeros_like(wanted, "int32")
    for step in _halvings(sequence.shape[0]):
        there = lnp.minimum(lnp.add(low, step), sequence.shape[0])
        low = lnp.where(behind(lnp.take(sequence, lnp.subtract(there, 1)), wanted), there, low)
    return lnp.astype(low, "int32")


def _halvings(n: int) -> list[int]:
    """Powers of 2 from the greatest within n down to 1."""
    return [1 << bit for bit in range(n.bit_length() - 1, -1, -1)] if n else []


def digitize(x: Any, bins: Any) -> Any:
    """The number of the bin of each element, with bins that increase."""
    return searchsorted(bins, x, "right")


def isin(x1: Any, x2: Any, assume_unique: bool = False, invert: bool = False) -> Any:
    """Whether each element of x1 is one of x2's."""
    a, b = promoted(convert_to_tensor(x1), convert_to_tensor(x2))
    found = lnp.any(lnp.equal(lnp.expand_dims(a, -1), lnp.ravel(b)), -1)
    return lnp.logical_not(found) if invert else found


def histogram(x: Any, bins: Any = 10, range: Any = None) -> tuple[Any, Any]:
    """How many elements fall between each two edges, and the edges; ``bins`` of them from the least element to the greatest unless
    ``range`` has other ends."""
    x = lnp.ravel(convert_to_tensor(x))
    edges = convert_to_tensor(bins) if np.ndim(bins) else _edges(as_float(x), int(bins), range)
    counted, edges = promoted(x, edges, also="float32")
    n = edges.shape[0] - 1
    place = lnp.subtract(searchsorted(edges, counted, "right"), 1)
    place = lnp.where(lnp.equal(counted, edges[-1]), n - 1, place)
    hit = lnp.equal(lnp.expand_dims(place, 0), np.arange(n, dtype=np.int32)[:, None])
    return lnp.sum(hit, 1, dtype="int32"), edges


def _edges(x: Any, count: int, ends: Any) -> Any:
    if ends is not None:
        low, high = (convert_to_tensor(end, x.dtype) for end in ends)
    elif x.shape[0]:
        low, high = lnp.min(x), lnp.max(x)
    else:
        low, high = lnp.zeros((), x.dtype), lnp.ones((), x.dtype)
    same = lnp.equal(low, high)
    return linspace(lnp.where(same, lnp.subtract(low, 0.5), low), lnp.where(same, lnp.add(high, 0.5), high), count + 1)


def vectorize(pyfunc: Callable[..., Any], *, excluded: Any = None, signature: str | None = None) -> Callable[..., Any]:
    out: Callable[..., Any] = vectorize_impl(pyfunc, vmap, excluded=excluded, signature=signature)
    return out


def sort(x: Any, axis: int | None = -1) -> Any:
    return lnp.sort(convert_to_tensor(x), axis)


def argsort(x: Any, axis: int | None = -1) -> Any:
    tensor = convert_to_tensor(x)
    return lnp.astype(lnp.argsort(tensor, axis if tensor.shape else None), "int32")


def argpartition(x: Any, kth: Any, axis: int | None = -1) -> Any:
    return lnp.astype(lnp.argpartition(convert_to_tensor(x), kth, axis), "int32")


def unique(x: Any, sorted: bool = True, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False,
           axis: int | None = None, size: int | None = None, fill_value: Any = None) -> Any:
    """The distinct elements, always sorted. In a compiled step it needs a ``size``."""
    found: Any = lnp.unique(convert_to_tensor(x), return_index, return_inverse, return_counts, axis, equal_nan=False, size=size,
                            fill_value=fill_value)
    return found


__all__ = [
    "argpartition", "argsort", "digitize", "histogram", "isin", "searchsorted", "sort", "take", "take_along_axis", "unique",
    "unravel_index", "vectorize",
]
