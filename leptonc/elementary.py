"""``lax``'s names of functions of one element at a time, and of others that NumPy has under the same or another name.

They promote and broadcast as NumPy's do, where JAX's lax takes operands of one type alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from enum import Enum
from math import prod
from typing import Any

import numpy as np

from leptonc import arithmetic, folding
from leptonc.arguments import array, integer, integers
from leptonc.arguments import axes as axes_of
from leptonc.arithmetic import bitwise_and, bitwise_or, bitwise_xor, named_operands
from leptonc.bfloat16 import kind_of
from leptonc.errors import ArgumentError, DtypeError, op_error
from leptonc.ir.scalar import bits_dtype
from leptonc.ir.types import MOST_DIMENSIONS, dtype_of
from leptonc.numpy import complexes, division, elementwise, floatbits, manipulation, reductions, transcendental
from leptonc.numpy.arranging import broadcast_shapes, unstack
from leptonc.numpy.creation import astype, full, full_like, stack
from leptonc.numpy.elementwise import (
    ceil,
    cosh,
    float_function,
    floor,
    reciprocal,
    sign,
    sinh,
    square,
)
from leptonc.numpy.floatbits import clz, nextafter, population_count
from leptonc.numpy.manipulation import expand_dims, squeeze, tile, transpose
from leptonc.numpy.reductions import argmax, argmin
from leptonc.numpy.transcendental import acos, acosh, asin, asinh, atan, atan2, atanh
from leptonc.promotion import numpy_dtype
from leptonc.public import publish
from leptonc.trace import align, bind, cast, promote

# The names of built-in functions among them are for those who import this module: nothing here may use these as built-ins.
abs, add, sub, neg = arithmetic.absolute, arithmetic.add, arithmetic.subtract, arithmetic.negative
pow, bitwise_not, shift_left = arithmetic.power, arithmetic.invert, arithmetic.left_shift
eq, ne, lt = arithmetic.equal, arithmetic.not_equal, arithmetic.less
le, gt, ge = arithmetic.less_equal, arithmetic.greater, arithmetic.greater_equal
max, min, is_finite = elementwise.maximum, elementwise.minimum, elementwise.isfinite
complex, real, imag = complexes.complex_, complexes.real, complexes.imag
div, rem = division.truncated_quotient, division.fmod
concatenate, rev = manipulation.concatenate, manipulation.flip
shift_right_arithmetic, convert_element_type = arithmetic.right_shift, astype
reduce_sum, reduce_prod, reduce_max, reduce_min = reductions.sum, reductions.prod, reductions.max, reductions.min
reduce_and, reduce_or = reductions.all, reductions.any

def check_accuracy(name: str, accuracy: Any) -> None:
    """Raises ArgumentError for an accuracy other than the one there is."""
    if accuracy is not None:
        raise op_error(name, "has one accuracy", {}, "leave accuracy out", ArgumentError)


def _of_one_accuracy(function: Callable[[Any], Any]) -> Callable[..., Any]:
    name = function.__name__

    def of(x: Any, *, accuracy: None = None) -> Any:
        check_accuracy(name, accuracy)
        return function(x)

    of.__name__ = of.__qualname__ = name
    of.__doc__ = f"{function.__doc__} ``accuracy`` must be None."
    return of


exp, exp2, expm1, log, log1p = map(_of_one_accuracy, (elementwise.exp, transcendental.exp2, elementwise.expm1, elementwise.log,
                                                      elementwise.log1p))
sin, cos, tan, tanh = map(_of_one_accuracy, (elementwise.sin, elementwise.cos, elementwise.tan, elementwise.tanh))
sqrt, cbrt = _of_one_accuracy(elementwise.sqrt), _of_one_accuracy(transcendental.cbrt)
logistic = _of_one_accuracy(float_function("logistic", "sigmoid", "1 / (1 + e^-x)."))
erfc = float_function("erfc", "erfc", "1 - erf(x), accurate where that is small.")
lgamma = float_function("lgamma", "lgamma", "The logarithm of |gamma(x)|.")
digamma = float_function("digamma", "digamma", "The derivative of lgamma.")
bessel_i0e = float_function("bessel_i0e", "i0e", "e^-|x| I0(x), a modified Bessel function scaled.")
bessel_i1e = float_function("bessel_i1e", "i1e", "e^-|x| I1(x), a modified Bessel function scaled.")


def mul(x: Any, y: Any, *, out_dtype: Any = None) -> Any:
    """x * y, computed in ``out_dtype`` if it is given."""
    if out_dtype is None:
        return arithmetic.multiply(x, y)
    kind = numpy_dtype(out_dtype, "mul")
    return arithmetic.multiply(cast(array("mul", "x", x), kind), cast(array("mul", "y", y), kind))


def reshape(operand: Any, new_sizes: Any, dimensions: Any = None) -> Any:
    """The same elements in another shape, read with the axes in the order of ``dimensions``, by default their own."""
    x = array("reshape", "operand", operand)
    if dimensions is not None:
        x = transpose(x, integers("reshape", "dimensions", dimensions, {"operand": x}))
    return manipulation.reshape(x, new_sizes)


def conj(x: Any) -> Any:
    """The conjugates; of floats they are complex too, as JAX's. Raises DtypeError for others."""
    operand = array("conj", "x", x)
    return complexes.conj(operand) if operand.dtype.kind == "c" else complex(operand, complexes.imag(operand))


@named_operands
def shift_right_logical(x: Any, y: Any) -> Any:
    """x >> y of ints with zeros coming in; a shift by the width or more gives 0."""
    a, b = align("shift_right_logical", x, y)
    if a.dtype.kind not in "iu":
        raise op_error("shift_right_logical", "takes ints only", {"x": x, "y": y}, kind=DtypeError)
    unsigned = np.dtype(f"u{a.dtype.itemsize}")
    return cast(arithmetic.right_shift(cast(a, unsigned), cast(b, unsigned)), a.dtype)


class RoundingMethod(Enum):
    """What ``round`` makes of halves."""

    AWAY_FROM_ZERO = 0
    TO_NEAREST_EVEN = 1


def round(x: Any, rounding_method: Any = RoundingMethod.AWAY_FROM_ZERO) -> Any:
    """The nearest whole number, of two the one away from 0; with ``RoundingMethod.TO_NEAREST_EVEN`` the even one."""
    operand = array("round", "x", x)
    if not hasattr(RoundingMethod, getattr(rounding_method, "name", "")):
        raise op_error("round", f"rounding_method={rounding_method!r} must be one of leptonc.lax.RoundingMethod", {"x": operand},
                       kind=ArgumentError)
    if rounding_method.name == "TO_NEAREST_EVEN" or kind_of(operand.dtype) != "f":
        return elementwise.rint(operand)
    operand = bind("stop_gradient", operand)  # no slope, at infinities and NaN neither
    size = arithmetic.absolute(operand)
    whole = floor(size)
    up = arithmetic.add(whole, cast(arithmetic.greater_equal(arithmetic.subtract(size, whole), 0.5), operand.dtype))
    return floatbits.copysign(elementwise.where(elementwise.isfinite(size), up, size), operand)


@named_operands
def mulhi(x: Any, y: Any) -> Any:
    """The upper half of the bits of products of ints of one dtype, signed or not."""
    a, b = align("mulhi", x, y)
    bits = a.dtype.itemsize * 8
    if a.dtype.kind not in "iu":
        raise op_error("mulhi", "takes ints only", {"x": x, "y": y}, kind=DtypeError)
    if bits < 64:
        wide = np.dtype(f"{a.dtype.kind}8")
        return cast(arithmetic.right_shift(arithmetic.multiply(cast(a, wide), cast(b, wide)), bits), a.dtype)
    low = 0xFFFFFFFF
    (a0, a1), (b0, b1) = ((arithmetic.bitwise_and(v, low), arithmetic.right_shift(v, 32)) for v in (a, b))
    # Schoolbook multiplication in digits of 32 bits. Lower digits are never negative: their products are of unsigned ints.
    first = cast(arithmetic.multiply(cast(a0, np.uint64), cast(b0, np.uint64)), np.uint64)
    carry = cast(arithmetic.right_shift(first, 32), a.dtype)
    middle = arithmetic.add(arithmetic.multiply(a1, b0), carry)
    other = arithmetic.add(arithmetic.multiply(a0, b1), arithmetic.bitwise_and(middle, low))
    high = arithmetic.add(arithmetic.right_shift(middle, 32), arithmetic.right_shift(other, 32))
    return arithmetic.add(arithmetic.multiply(a1, b1), high)


def reduce_xor(operand: Any, axes: Any) -> Any:
    """The exclusive or of ints or bools along axes: bits that are set an odd number of times."""
    x = array("reduce_xor", "operand", operand)
    if x.dtype.kind not in "biu":
        raise op_error("reduce_xor", "takes ints and bools", {"operand": x}, kind=DtypeError)
    return folding.reduce(x, np.zeros((), x.dtype), bitwise_xor, axes_of("reduce_xor", x, axes))


def dtype(x: Any) -> np.dtype:
    """The dtype of an array, a traced value or a Python number."""
    return np.dtype(array("dtype", "x", x).dtype)


def empty(shape: Any, dtype: Any) -> Any:
    """An array of zeros: what is not written cannot be seen."""
    return full(shape, 0, dtype)


def broadcast_to_rank(x: Any, rank: int) -> Any:
    """x with axes of extent 1 in front, ``rank`` in all. Raises ShapeError if it has more."""
    operand = array("broadcast_to_rank", "x", x)
    wanted = integer("broadcast_to_rank", "rank", rank, {"x": operand}, least=len(operand.shape), most=MOST_DIMENSIONS)
    return reshape(operand, ((1,) * (wanted - len(operand.shape)) + tuple(operand.shape)))


def collapse(operand: Any, start_dimension: int, stop_dimension: int | None = None) -> Any:
    """The axes from ``start_dimension`` on, and before ``stop_dimension``, as one."""
    x = array("collapse", "operand", operand)
    rank = len(x.shape)
    first, last = (integer("collapse", what, value, {"operand": x}, least=-rank, most=rank) for what, value in (
        ("start_dimension", start_dimension), ("stop_dimension", rank if stop_dimension is None else stop_dimension)))
    first, last = first + rank * (first < 0), last + rank * (last < 0)
    if first >= last:
        raise op_error("collapse", f"no axis lies between {start_dimension} and {stop_dimension}", {"operand": x})
    return reshape(x, (*x.shape[:first], prod(x.shape[first:last]), *x.shape[last:]))


def integer_pow(x: Any, y: int) -> Any:
    """x ** y for a known int y; of ints not below 0."""
    return arithmetic.power(array("integer_pow", "x", x), integer("integer_pow", "y", y))


def bitcast_convert_type(operand: Any, new_dtype: Any) -> Any:
    """The bits of numbers as those of another dtype. Narrower ones are parts along a new last axis, the least significant first;
    such an axis goes where the dtype is wider. Raises DtypeError for bools and for complex numbers as others."""
    x, target = promote(array("bitcast_convert_type", "operand", operand))[0], numpy_dtype(new_dtype, "bitcast_convert_type")
    if "b" in (x.dtype.kind, target.kind) or (x.dtype != target and "c" in (x.dtype.kind, target.kind)):
        raise op_error("bitcast_convert_type", f"{target} has other bits", {"operand": x}, "cast it", DtypeError)
    if x.dtype == target:
        return x
    whole = _resized(floatbits.bits_of(x) if kind_of(x.dtype) == "f" else x, target.itemsize)
    if kind_of(target) != "f":
        return cast(whole, target)
    return floatbits.float_of(cast(whole, bits_dtype(dtype_of(target))), target)


def _resized(bits: Any, size: int) -> Any:
    """Ints as unsigned ones of ``size`` bytes, which a last axis holds, or which a last axis is made one of."""
    given = bits.dtype.itemsize
    if given == size:
        return bits
    unsigned, wanted = cast(bits, np.dtype(f"u{given}")), np.dtype(f"u{size}")
    shifts = np.arange(max(given, size) // min(given, size)) * (8 * min(given, size))
    if size < given:
        parts = arithmetic.right_shift(expand_dims(unsigned, -1), shifts.astype(unsigned.dtype))
        return cast(arithmetic.bitwise_and(parts, unsigned.dtype.type(np.iinfo(wanted).max)), wanted)
    if not bits.shape or bits.shape[-1] != len(shifts):
        raise op_error("bitcast_convert_type", f"{wanted} wants {len(shifts)} parts in the last axis", {"operand": bits})
    return cast(reductions.sum(arithmetic.left_shift(cast(unsigned, wanted), shifts.astype(wanted)), -1, wanted), wanted)


def select_n(which: Any, *cases: Any) -> Any:
    """For each element that of the case number ``which``, bools or ints; there are two cases for bools."""
    index = array("select_n", "which", which)
    if not cases or index.dtype.kind not in "biu" or (index.dtype.kind == "b" and len(cases) > 2):
        raise op_error("select_n", f"which must be ints, or bools for two cases; there are {len(cases)}", {"which": index},
                       kind=DtypeError)
    out, *rest = promote(*(array("select_n", f"case {n}", c) for n, c in enumerate(cases)))
    number = cast(index, np.int64)
    for n, case in enumerate(rest, 1):
        out = elementwise.where(arithmetic.greater_equal(number, n), case, out)
    return out


def broadcast(operand: Any, sizes: Any) -> Any:
    """New axes of these extents in front."""
    x = array("broadcast", "operand", operand)
    front = integers("broadcast", "sizes", sizes, {"operand": x}, least=0)
    return manipulation.broadcast_to(x, (*front, *x.shape))


def split(operand: Any, sizes: Any, axis: int = 0) -> list[Any]:
    """Parts of these extents along an axis. Raises ShapeError if they are not the whole."""
    x = array("split", "operand", operand)
    extents = integers("split", "sizes", sizes, {"operand": x}, least=0)
    ends = list(itertools.accumulate(extents))
    parts = manipulation.split(x, ends[:-1], axis)
    if not extents or x.shape[axis] != ends[-1]:
        raise op_error("split", f"sizes {extents} are not the extent of axis {axis}", {"operand": x})
    return parts


__all__ = [
    "abs", "acos", "acosh", "add", "argmax", "argmin", "asin", "asinh", "atan", "atan2", "atanh", "bessel_i0e", "bessel_i1e",
    "bitcast_convert_type", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "broadcast", "broadcast_shapes",
    "cbrt", "ceil", "clz", "complex", "concatenate", "conj", "convert_element_type", "cos", "cosh", "digamma", "div", "eq",
    "erfc", "exp", "exp2", "expand_dims", "expm1", "floor", "full", "full_like", "ge", "gt", "imag", "integer_pow",
    "is_finite", "le", "lgamma", "log", "log1p", "logistic", "lt", "max", "min", "mul", "ne", "neg", "nextafter",
    "population_count", "pow", "real", "reciprocal", "reduce_and", "reduce_max", "reduce_min", "reduce_or", "reduce_prod",
    "reduce_sum", "rem", "reshape", "rev", "round", "select_n", "shift_left", "shift_right_arithmetic", "shift_right_logical",
    "sign", "sin", "sinh", "split", "sqrt", "square", "squeeze", "stack", "sub", "tan", "tanh", "tile", "transpose",
    "unstack", "RoundingMethod", "broadcast_to_rank", "collapse", "dtype", "empty", "mulhi", "reduce_xor",
]

publish(globals(), __all__)
