"""bfloat16 for NumPy, which has none of its own: that of ml_dtypes, imported when it is first used. A leaf module."""

from __future__ import annotations

import functools

import numpy as np

from leptonc.errors import DtypeError

GREATEST = float.fromhex("0x1.FEp127")


@functools.cache
def bfloat16() -> np.dtype:
    """The NumPy dtype. Raises DtypeError if ml_dtypes is not installed."""
    try:
        from ml_dtypes import bfloat16 as scalar
    except ImportError:
        raise DtypeError("bfloat16 needs the package ml_dtypes; fix: pip install ml_dtypes (or leptonc[low])") from None
    return np.dtype(scalar)


def is_bfloat16(dtype: np.dtype) -> bool:
    """Whether a NumPy dtype is bfloat16, whose kind is V, as that of structs."""
    return dtype.kind == "V" and dtype.name == "bfloat16"


def is_narrow(dtype: np.dtype) -> bool:
    """Whether it is float16 or bfloat16, of the supported dtypes."""
    return dtype.itemsize == 2 and dtype.kind in "fV"


def kind_of(dtype: np.dtype) -> str:
    """NumPy's letter for the kind of an element type; f for bfloat16 too."""
    return "f" if is_bfloat16(dtype) else dtype.kind
