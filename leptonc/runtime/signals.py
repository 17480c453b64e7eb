"""Signals in the midst of a long step: what native code calls of Python, and raising what a handler has raised.

A step that lasts has signals handled every 50 to 100 ms (``codegen/support/signals.py``). What a handler raises ends it, but not
at once if it overwrites donated arguments: then the first Ctrl-C is raised when the step has come to its end, and a second ends it.
"""

from __future__ import annotations

import ctypes
import functools
import sys

import numpy as np

from leptonc import abi
from leptonc.errors import LeptonError
from leptonc.runtime.system import address, aligned_bytes, keep_for_ever

_FUNCTIONS = {abi.PYTHON_ENSURE: "PyGILState_Ensure", abi.PYTHON_RELEASE: "PyGILState_Release",
              abi.PYTHON_CHECK: "PyErr_CheckSignals", abi.PYTHON_FETCH: "PyErr_Fetch", abi.PYTHON_CLEAR: "PyErr_Clear"}
_restore = ctypes.PYFUNCTYPE(None, *[ctypes.c_void_p] * 3)(("PyErr_Restore", ctypes.pythonapi))


@functools.cache
def python_table(pool: int) -> int:
    """Address of the table of what native code calls, for the pool at an address; 0 where that cannot be called."""
    if sys.implementation.name != "cpython":
        return 0
    table = aligned_bytes(abi.PYTHON_BYTES)
    words = table.view(np.uint64)
    for offset, name in _FUNCTIONS.items():
        words[offset // 8] = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0
    words[abi.PYTHON_POOL // 8] = pool
    keep_for_ever(table)
    return address(table)


def raise_from(shared: np.ndarray) -> bool:
    """Raise what a signal handler raised in the midst of a step; else whether the step was given up, by a child that a handler has
    forked. Leaves ``shared`` as for a new call."""
    words = shared.view(np.uint64)
    error = slice(abi.SHARED_ERROR // 8, abi.SHARED_ERROR // 8 + 3)
    stopped = bool(shared.view(np.int32)[abi.SHARED_STOP // 4])
    shared.view(np.int32)[[abi.SHARED_STOP // 4, abi.SHARED_ARRIVED // 4]] = 0
    if not words[error].any():
        return stopped
    held = [int(word) or None for word in words[error]]
    words[error] = 0
    _restore(*held)
    raise LeptonError("a signal handler raised, and what it raised was lost")  # PyErr_Restore raises
