"""What the operating system decides: memory mappings and their protection, and how threads sleep."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import platform
import sys

import numpy as np

from leptonc.errors import CompileError
from leptonc.memory import ALIGN

LINUX = sys.platform == "linux"
HUGE_PAGE = 2 << 20

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform != "win32" else None


def syscall_address() -> int:
    """Address of libc's ``syscall``, for futexes on Linux x86-64; 0 elsewhere: waiting threads then spin."""
    if not (LINUX and platform.machine() == "x86_64") or _libc is None:
        return 0
    return ctypes.cast(_libc.syscall, ctypes.c_void_p).value or 0


_interface = np.ndarray.__dict__["__array_interface__"].__get__  # NumPy's numbers have one too, of memory that is gone by then


def address(array: np.ndarray) -> int:
    """Address of the first element; cheaper than ``array.ctypes.data``. Raises TypeError for what is no array."""
    out: int = _interface(array)["data"][0]
    return out


def keep_for_ever(kept: object) -> None:
    """Never free ``kept``, not even when the interpreter ends: threads outside of it still look at that memory."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))


def mapping(nbytes: int, **options: int) -> mmap.mmap:
    """Memory of its own, zeroed. Raises MemoryError where ``mmap`` has an OSError or an OverflowError for too little of it."""
    try:
        return mmap.mmap(-1, nbytes, **options)
    except (OSError, OverflowError) as error:
        raise MemoryError(f"cannot map {nbytes} bytes: {error}") from None


def aligned_bytes(nbytes: int) -> np.ndarray:
    """Zeroed bytes at a multiple of 64; large blocks are mapped on their own with huge pages asked for.

    The mapping is freed with the last array that looks into it. Raises MemoryError. Imports nothing: finalizers call it at exit.
    """
    if nbytes >= HUGE_PAGE:
        return _mapped(nbytes)
    raw = np.zeros(nbytes + ALIGN, np.uint8)
    start = -address(raw) % ALIGN
    return raw[start:start + nbytes]


def _mapped(nbytes: int) -> np.ndarray:
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_ANONYMOUS") else {}
    block = mapping(nbytes + HUGE_PAGE, **private)  # shared mappings, Python's default, get no huge pages
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel built without them: it was but a hint
            block.madvise(mmap.MADV_HUGEPAGE)
    raw = np.frombuffer(block, np.uint8)
    start = -address(raw) % HUGE_PAGE
    return raw[start:start + nbytes]


class CodeMemory:
    """A mapping that is first written, then executed, never both."""

    def __init__(self, image: bytes):
        self._map = mapping(max(len(image), 1))
        self._map.write(image)
        self._view = (ctypes.c_char * len(self._map)).from_buffer(self._map)
        self.address = ctypes.addressof(self._view)
        self._protect(mmap.PROT_READ | mmap.PROT_EXEC)

    @staticmethod
    def reserve(nbytes: int) -> CodeMemory:
        """Zeroed, readable and executable: relocations need the address before the contents are known."""
        return CodeMemory(bytes(nbytes))

    def write(self, image: bytes) -> None:
        self._protect(mmap.PROT_READ | mmap.PROT_WRITE)
        ctypes.memmove(self.address, image, len(image))
        self._protect(mmap.PROT_READ | mmap.PROT_EXEC)

    def _protect(self, flags: int) -> None:
        if _libc is None:
            raise CompileError("this system has no mprotect: native code cannot be loaded here")
        size = -(-len(self._map) // mmap.PAGESIZE) * mmap.PAGESIZE
        if _libc.mprotect(ctypes.c_void_p(self.address), ctypes.c_size_t(size), flags):
            if ctypes.get_errno() == errno.ENOMEM:
                raise MemoryError("no memory to protect native code with")
            raise CompileError(f"mprotect failed with errno {ctypes.get_errno()}: native code may not be run here")
