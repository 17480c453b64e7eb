"""Arrays that end where a page begins that nobody may touch: a read or write behind one is a crash, not a wrong number."""

from __future__ import annotations

import ctypes
import mmap

import numpy as np

PAGE = mmap.PAGESIZE
_PROTECT = getattr(ctypes.CDLL(None, use_errno=True), "mprotect", None)


def guarded(array: np.ndarray) -> np.ndarray:
    """A copy that ends at a page without access; before it lies one as well. Plain copies where the system has no mprotect."""
    if _PROTECT is None or not array.size:
        return np.array(array)
    pages = -(-array.nbytes // PAGE)
    memory = mmap.mmap(-1, (pages + 2) * PAGE)
    whole = np.frombuffer(memory, np.uint8)
    start = whole.__array_interface__["data"][0]
    for at in (start, start + (pages + 1) * PAGE):
        if _PROTECT(ctypes.c_void_p(at), ctypes.c_size_t(PAGE), mmap.PROT_NONE if hasattr(mmap, "PROT_NONE") else 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    end = (pages + 1) * PAGE
    out = whole[end - array.nbytes:end].view(array.dtype).reshape(array.shape)
    out[...] = array
    return out
