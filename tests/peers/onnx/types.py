"""Element types that leptonc has not, held in wider ones: ints of 2 and 4 bits in 8, floats of 4 and 8 bits in f32, those that
are exponents alone in f64 (2 ** -127 is no normal number of f32).

A value of such a type is exact in the wider one, and what becomes one is rounded to it first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from onnx import TensorProto, helper

import leptonc.numpy as lnp
from leptonc import lax
from leptonc.promotion import SUPPORTED
from tests.peers.onnx.registry import NotImportedError

T = TensorProto
INTS = {T.INT4: (4, True), T.UINT4: (4, False), T.INT2: (2, True), T.UINT2: (2, False)}


@dataclass(frozen=True)
class Small:
    """A float of few bits. ``least``: the exponent of the least normal number; ``greatest``: the largest finite one; ``beyond``:
    what greater ones become without saturation."""

    mantissa: int
    least: int
    greatest: float
    beyond: float = np.nan
    signed_zero: bool = True


FLOATS = {
    T.FLOAT8E4M3FN: Small(3, -6, 448.0),
    T.FLOAT8E4M3FNUZ: Small(3, -7, 240.0, signed_zero=False),
    T.FLOAT8E5M2: Small(2, -14, 57344.0, np.inf),
    T.FLOAT8E5M2FNUZ: Small(2, -15, 57344.0, signed_zero=False),
    T.FLOAT4E2M1: Small(1, 0, 6.0, 6.0),
}


def is_small(element_type: int | None) -> bool:
    return element_type in INTS or element_type in FLOATS or element_type == T.FLOAT8E8M0


def held(x: Any) -> Any:
    """An array of NumPy's or ml_dtypes' in a dtype of leptonc's, the values being the same. Raises NotImportedError."""
    array = np.asarray(x)
    if array.dtype.kind in "OUST":
        raise NotImportedError("strings")
    if array.dtype in SUPPORTED or array.dtype == ml_dtypes.bfloat16:
        return array
    if "int" in array.dtype.name:
        return array.astype(np.uint8 if "uint" in array.dtype.name else np.int8)
    return array.astype(np.float64 if "e8m0" in array.dtype.name else np.float32)


def dtype(element_type: int) -> np.dtype:
    """The dtype that values of an element type are held in."""
    if element_type in INTS:
        return np.dtype(np.int8 if INTS[element_type][1] else np.uint8)
    if is_small(element_type):
        return np.dtype(np.float64 if element_type == T.FLOAT8E8M0 else np.float32)
    if element_type == T.STRING:
        raise NotImportedError("strings")
    return np.dtype(helper.tensor_dtype_to_np_dtype(element_type))


def cast(x: Any, element_type: int, saturate: bool = True, round_mode: str = "up") -> Any:
    """Values of another element type."""
    if element_type in INTS:
        return _small_int(x, *INTS[element_type])
    if element_type == T.FLOAT8E8M0:
        return _power_of_two(lnp.astype(x, np.float32), saturate, round_mode)
    if element_type in FLOATS:
        return _small_float(lnp.astype(x, np.float32), FLOATS[element_type], saturate)
    return lnp.astype(x, dtype(element_type))


def _small_int(x: Any, bits: int, signed: bool) -> Any:
    """The low bits, which wrap around."""
    whole = lnp.astype(x, np.int32)
    low = lnp.left_shift(whole, 32 - bits)
    return lnp.astype(lnp.right_shift(low, 32 - bits) if signed else lax.shift_right_logical(low, 32 - bits),
                      np.int8 if signed else np.uint8)


def _small_float(x: Any, kind: Small, saturate: bool) -> Any:
    """The nearest number of the type, the even one of two."""
    _, exponent = lnp.frexp(x)
    step = lnp.maximum(exponent - 1, kind.least) - kind.mantissa
    y = lnp.ldexp(lnp.rint(lnp.ldexp(x, -step)), step)
    y = lnp.where(lnp.isfinite(x), y, x)
    greatest = np.float32(kind.greatest)
    beyond = np.copysign(greatest, 1) if saturate else np.float32(kind.beyond)
    infinite = beyond if not (saturate and np.isinf(kind.beyond)) else greatest
    y = lnp.where(lnp.abs(y) > greatest, lnp.where(lnp.isinf(x), infinite, beyond) * lnp.sign(x), y)
    if kind.beyond == kind.greatest:  # there is no NaN: the judge, ml_dtypes, makes it -0
        y = lnp.where(lnp.isnan(x), np.float32(-0.0), y)
    return y if kind.signed_zero else lnp.where(y == 0, np.float32(0), y)


def _power_of_two(x: Any, saturate: bool, round_mode: str) -> Any:
    """Scales, 2 ** -127 to 2 ** 127, of positive numbers: the exponents of f32 alone."""
    mantissa, exponent = lnp.frexp(x)
    bound = {"up": 0.5, "nearest": 0.75, "down": 1.0}[round_mode]
    power = exponent - 1 + lnp.astype(mantissa >= bound if round_mode == "nearest" else mantissa > bound, np.int32)
    power = lnp.where(x == 0, -128, lnp.where(lnp.isinf(x), 128, power))
    y = lnp.ldexp(lnp.ones(x.shape, np.float64), lnp.clip(power, -127, 127))
    return lnp.where(lnp.isnan(x) | ((lnp.abs(power) > 127) & (not saturate)), np.nan, y)
