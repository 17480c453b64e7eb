"""Where arrays that leptonc makes lie in memory. A leaf module.

NumPy puts a large array 16 bytes behind the start of a page, so that every full vector register of it crosses a cache line, at
about half the speed. Weights stay where they were made (steps update them in place), so they are made well.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

ALIGN = 64  # bytes of a cache line, and of the widest vector register
SMALL = 4096  # bytes from which it is worth a copy


def aligned(nbytes: int) -> int:
    """``nbytes`` rounded up to whole cache lines."""
    return -(-nbytes // ALIGN) * ALIGN


def uninitialized_bytes(nbytes: int) -> np.ndarray:
    """Bytes at a multiple of 64 with any contents, from NumPy's allocator: it gives memory freed lately out again."""
    return _lying_well(np.empty(nbytes + ALIGN, np.uint8), nbytes)


def _lying_well(raw: np.ndarray, nbytes: int) -> np.ndarray:
    start = -raw.__array_interface__["data"][0] % ALIGN
    return raw[start:start + nbytes]


def zeros(shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
    """Zeros at a multiple of 64 bytes. Pages of a large array come from the system when they are first touched."""
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    return _lying_well(np.zeros(size + ALIGN, np.uint8), size).view(dtype).reshape(shape)


def empty(shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
    """An array at a multiple of 64 bytes with any contents."""
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    return uninitialized_bytes(size).view(dtype).reshape(shape)


def copied(array: np.ndarray) -> np.ndarray:
    """A copy at a multiple of 64 bytes, C-contiguous."""
    out = empty(array.shape, array.dtype)
    out[...] = array
    return out


def placed(array: np.ndarray) -> np.ndarray:
    """A fresh array as it is if it is small or lies well, else its copy."""
    if array.nbytes < SMALL or array.__array_interface__["data"][0] % ALIGN == 0:
        return array
    return copied(array)
