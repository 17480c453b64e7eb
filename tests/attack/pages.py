"""Arrays between pages that nobody may touch."""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

import numpy as np

PAGE = mmap.PAGESIZE
_libc = ctypes.CDLL(None, use_errno=True)
_kept: list[Any] = []  # the mappings of the attempt that runs
ends = [True]  # arrays end at a guard page; else they begin at one


def guarded(nbytes: int) -> np.ndarray:
    """Zeroed bytes between two pages that nobody may touch."""
    inner = max(-(-nbytes // PAGE), 1) * PAGE
    block = mmap.mmap(-1, inner + 2 * PAGE)
    begin = ctypes.addressof(ctypes.c_char.from_buffer(block))
    for page in (begin, begin + PAGE + inner):
        protect(page, PAGE, mmap.PROT_NONE if hasattr(mmap, "PROT_NONE") else 0)
    _kept.append((block, begin, inner))
    start = PAGE + (inner - nbytes if ends[0] else 0)
    return np.frombuffer(block, np.uint8)[start:start + nbytes]


def protect(start: int, nbytes: int, flags: int) -> None:
    assert _libc.mprotect(ctypes.c_void_p(start), ctypes.c_size_t(nbytes), flags) == 0


def release() -> None:
    for _, begin, inner in _kept:
        protect(begin, inner + 2 * PAGE, mmap.PROT_READ | mmap.PROT_WRITE)
    _kept.clear()


def guarded_copy(array: np.ndarray, read_only: bool = False) -> np.ndarray:
    found = guarded(array.nbytes).view(array.dtype).reshape(array.shape)
    found[...] = array
    if read_only:
        _, begin, inner = _kept[-1]
        protect(begin + PAGE, inner, mmap.PROT_READ)
    return found
