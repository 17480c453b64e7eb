"""``lax.reduce_precision``: floats as a format of fewer bits would have them."""

from __future__ import annotations

from typing import Any

from leptonc.arguments import array, integer
from leptonc.bfloat16 import kind_of
from leptonc.custom import custom_jvp
from leptonc.errors import DtypeError, op_error
from leptonc.ir.types import DTYPES, LOW, dtype_of
from leptonc.numpy.elementwise import isnan, where
from leptonc.numpy.floatbits import bits_of, float_of
from leptonc.public import public

WIDTHS = {"f16": (5, 10), "f32": (8, 23), "f64": (11, 52),  # bits of exponent and mantissa
          **{name: (DTYPES[name].format.exponent, DTYPES[name].format.mantissa) for name in LOW}}


@public
def reduce_precision(operand: Any, exponent_bits: int, mantissa_bits: int) -> Any:
    """Floats rounded to the nearest (of two to the even one) with so many bits of exponent and mantissa, in their own dtype.

    What is too large becomes infinite, what would be no normal number 0; signs stay, NaN stays NaN. The derivative is 1: tangents
    are not rounded, as JAX's are. Raises DtypeError for what are no floats.
    """
    x = array("reduce_precision", "operand", operand)
    if kind_of(x.dtype) != "f":
        raise op_error("reduce_precision", "takes floats", {"operand": x}, kind=DtypeError)
    exponent = integer("reduce_precision", "exponent_bits", exponent_bits, {"operand": x}, least=1)
    mantissa = integer("reduce_precision", "mantissa_bits", mantissa_bits, {"operand": x}, least=0)
    return _reduced(x, exponent, mantissa)


def _rounded(x: Any, exponent: int, mantissa: int) -> Any:
    most, kept = WIDTHS[dtype_of(x.dtype).name]
    whole, sign = bits_of(x), -(1 << (most + kept))
    size = whole & ~sign
    if mantissa < kept:
        drop = kept - mantissa
        size = (size + ((1 << (drop - 1)) - 1) + ((size >> drop) & 1)) & -(1 << drop)
    if exponent < most:
        bias, inner = (1 << (most - 1)) - 1, (1 << (exponent - 1)) - 1
        size = where(size >= (bias + inner + 1) << kept, ((1 << most) - 1) << kept, size)
        size = where(size < (bias - inner + 1) << kept, 0, size)
    return where(isnan(x), x, float_of(size | (whole & sign), x.dtype))


_reduced = custom_jvp(_rounded, nondiff_argnums=(1, 2))


@_reduced.defjvp
def _reduced_jvp(exponent: int, mantissa: int, primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
    return _reduced(primals[0], exponent, mantissa), tangents[0]


__all__ = ["reduce_precision"]
