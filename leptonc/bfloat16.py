"""bfloat16 and floats of 8 bits for NumPy, which has none of its own: those of ml_dtypes, imported when used. A leaf module."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from leptonc.errors import DtypeError


@dataclass(frozen=True)
class Format:
    """A float format of few bits: widths of exponent and mantissa, the exponent's bias, the bits of the greatest finite number and
    of the NaN that an operation makes, whether there are infinities, and whether there is a -0.0 (where there is none, its bits are
    the only NaN)."""

    exponent: int
    mantissa: int
    bias: int
    most: int
    nan: int
    infinite: bool = False
    negative_zero: bool = True

    @property
    def greatest(self) -> float:
        """The greatest finite number."""
        whole, part = divmod(self.most, 1 << self.mantissa)
        return float((1 + part / (1 << self.mantissa)) * 2.0 ** (whole - self.bias))


BFLOAT16 = Format(8, 7, 127, 0x7F7F, 0x7FC0, infinite=True)
EIGHT_BITS = {
    "float8_e4m3fn": Format(4, 3, 7, 0x7E, 0x7F),
    "float8_e5m2": Format(5, 2, 15, 0x7B, 0x7E, infinite=True),
    "float8_e4m3fnuz": Format(4, 3, 8, 0x7F, 0x80, negative_zero=False),
    "float8_e5m2fnuz": Format(5, 2, 16, 0x7F, 0x80, negative_zero=False),
    "float8_e4m3b11fnuz": Format(4, 3, 11, 0x7F, 0x80, negative_zero=False),
    "float8_e4m3": Format(4, 3, 7, 0x77, 0x7C, infinite=True),
    "float8_e3m4": Format(3, 4, 3, 0x6F, 0x78, infinite=True),
}
"""f: no infinities, overflow is NaN; n: one NaN of each sign; uz: no -0.0. Widths and biases are in the names (b11: the bias)."""
FORMATS = {"bfloat16": BFLOAT16, **EIGHT_BITS}


@functools.cache
def low_float(name: str) -> np.dtype:
    """The NumPy dtype of a name in FORMATS. Raises DtypeError if ml_dtypes is not installed."""
    try:
        return np.dtype(getattr(importlib.import_module("ml_dtypes"), name))
    except ImportError:
        raise DtypeError(f"{name} needs the package ml_dtypes; fix: pip install ml_dtypes (or leptonc[low])") from None


def scalar_types() -> dict[str, Callable[[], type]]:
    """What gives the NumPy scalar type of each name."""
    return {name: lambda name=name: low_float(name).type for name in FORMATS}  # type: ignore[misc]


def bfloat16() -> np.dtype:
    """The NumPy dtype. Raises DtypeError if ml_dtypes is not installed."""
    return low_float("bfloat16")


def is_bfloat16(dtype: np.dtype) -> bool:
    """Whether a NumPy dtype is bfloat16, whose kind is V, as that of structs."""
    return dtype.kind == "V" and dtype.name == "bfloat16"


def is_float8(dtype: np.dtype) -> bool:
    """Whether a NumPy dtype is a float of 8 bits, of kind V but for e5m2."""
    return dtype.itemsize == 1 and dtype.kind in "Vf" and dtype.name in EIGHT_BITS


def is_low(dtype: np.dtype) -> bool:
    """Whether a NumPy dtype is a float of ml_dtypes."""
    return is_bfloat16(dtype) or is_float8(dtype)


def is_narrow(dtype: np.dtype) -> bool:
    """Whether it is a float of 16 bits or 8, of the supported dtypes."""
    return dtype.itemsize <= 2 and dtype.kind in "fV"


def kind_of(dtype: np.dtype) -> str:
    """NumPy's letter for the kind of an element type; f for those of ml_dtypes too."""
    return "f" if dtype.kind == "V" and is_low(dtype) else dtype.kind
