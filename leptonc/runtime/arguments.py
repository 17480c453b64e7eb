"""Which arrays a program takes, checked and written into its argument table by native code (``leptonc_bind``).

That code reads NumPy's array struct, whose layout is part of NumPy's C interface, and CPython's list. Whether both are what
``abi.py`` says is looked up once; if not, or if an array is not exactly what is wanted, the caller goes the long way.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc import abi
from leptonc.runtime.code import Slot
from leptonc.runtime.pool import support
from leptonc.runtime.system import aligned_bytes

_BIND = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)  # keeps the GIL


class Binding:
    """The records of one program's inputs, and of those results that are made anew for each call.

    ``args`` is the address of its argument table: inputs, outputs. The table's entries for donated inputs are also those
    of the outputs that take them.
    """

    def __init__(self, inputs: Sequence[Slot], outputs: Sequence[Slot], args: int):
        self._bind = _BIND(support().address("leptonc_bind"))
        self._args = args
        alias = {slot.donated: len(inputs) + n for n, slot in enumerate(outputs) if slot.donated is not None}
        rows = [_record(slot, abi.KIND_DONATED if slot.donated else abi.KIND_READ, n, alias.get(n, n))
                for n, slot in enumerate(inputs)]
        rows += [_record(slot, abi.KIND_RESULT, len(inputs) + n, len(inputs) + n)
                 for n, slot in enumerate(outputs) if slot.donated is None]
        self._shapes = [np.array(slot.shape, np.int64) for slot in (*inputs, *(s for s in outputs if s.donated is None))]
        self._count = len(rows)
        self._memory = aligned_bytes(abi.BINDING_HEAD + max(len(rows), 1) * abi.RECORD_BYTES)
        words = self._memory.view(np.int64)
        words[abi.BINDING_TYPE // 8] = id(np.ndarray)
        table = words[abi.BINDING_HEAD // 8:].reshape(-1, abi.RECORD_BYTES // 8)
        for row, record, shape in zip(table, rows, self._shapes):
            for offset, value in record.items():
                row[offset // 8] = value
            row[abi.RECORD_SHAPE // 8] = shape.__array_interface__["data"][0]
        self._address = words.__array_interface__["data"][0]

    def __call__(self, arrays: list[Any]) -> bool:
        """Write the addresses of inputs and new results into the table; False, and nothing written, if any is not exactly what
        its slot says, in C order, aligned, and writable where it must be, or if donated memory is not the argument's alone."""
        return self._bind(id(arrays), self._address, self._count, self._args) != 0


def _record(slot: Slot, kind: int, place: int, alias: int) -> dict[int, int]:
    flags = abi.ARRAY_C_CONTIGUOUS | abi.ARRAY_ALIGNED | (0 if kind == abi.KIND_READ else abi.ARRAY_WRITEABLE)
    dtype = _word(id(slot.dtype) + abi.DTYPE_WORD) & abi.DTYPE_MASK
    return {abi.RECORD_DTYPE: dtype, abi.RECORD_NDIM: len(slot.shape), abi.RECORD_NBYTES: slot.nbytes,
            abi.RECORD_FLAGS: flags, abi.RECORD_KIND: kind, abi.RECORD_SLOT: place, abi.RECORD_ALIAS: alias}


@functools.cache
def layout_is_known() -> bool:
    """Whether lists and arrays lie in memory as ``abi.py`` says; every field that is read stands inside the smallest of either."""
    if sys.implementation.name != "cpython" or sys.byteorder != "little" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return False
    x = np.zeros((3, 5), np.float32)
    items: list[Any] = [x, x, x]
    if sys.getsizeof(items) < abi.LIST_ITEMS + 8 or np.ndarray.__basicsize__ < abi.ARRAY_FLAGS + 4:
        return False
    flags = abi.ARRAY_C_CONTIGUOUS | abi.ARRAY_ALIGNED | abi.ARRAY_WRITEABLE
    x.flags.writeable = False
    read_only = _word(id(x) + abi.ARRAY_FLAGS, ctypes.c_int32) & flags
    x.flags.writeable = True
    return (_word(id(items) + abi.LIST_SIZE) == 3 and _word(_word(id(items) + abi.LIST_ITEMS)) == id(x)
            and _word(id(x) + abi.OBJECT_TYPE) == id(np.ndarray)
            and _word(id(x) + abi.ARRAY_DATA) == x.__array_interface__["data"][0]
            and _word(id(x) + abi.ARRAY_NDIM, ctypes.c_int32) == 2 and _word(id(x) + abi.ARRAY_DTYPE) == id(x.dtype)
            and _word(id(x) + abi.ARRAY_FLAGS, ctypes.c_int32) & flags == flags
            and _dtype_is_known(x.dtype) and _dtype_is_known(np.dtype(bool)) and read_only == flags & ~abi.ARRAY_WRITEABLE
            and [_word(_word(id(x) + abi.ARRAY_SHAPE) + 8 * k) for k in range(2)] == [3, 5])


def _dtype_is_known(dtype: np.dtype) -> bool:
    """dtypes that are equal need not be one object: after unpickling they are not."""
    word = _word(id(dtype) + abi.DTYPE_WORD)
    return word & 0xFFFFFF == int.from_bytes((dtype.kind + dtype.char + dtype.byteorder).encode(), "little") and (
        word >> 32 == dtype.num)


def _word(address: int, kind: Any = ctypes.c_int64) -> int:
    value: int = kind.from_address(address).value
    return value
