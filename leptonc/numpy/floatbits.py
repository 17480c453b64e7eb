"""Functions of the bits of numbers: signs, neighbours, mantissas and exponents, and counts of bits."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from leptonc.arguments import no_out
from leptonc.arithmetic import (
    absolute,
    add,
    bitwise_and,
    bitwise_or,
    equal,
    invert,
    left_shift,
    less,
    multiply,
    named_operands,
    negative,
    not_equal,
    right_shift,
    subtract,
)
from leptonc.bfloat16 import kind_of
from leptonc.errors import DtypeError, op_error
from leptonc.ir.scalar import bits_dtype
from leptonc.ir.types import LOW, dtype_of
from leptonc.numpy.elementwise import as_float, clip, isnan, real_floats, where
from leptonc.trace import align, bind, cast, promote


class Frexp(NamedTuple):
    """``x == mantissa * 2 ** exponent``."""

    mantissa: Any
    exponent: Any


def bits_of(x: Any) -> Any:
    """The bits of floats as signed integers of their width."""
    return bind("to_bits", x)


def float_of(bits: Any, dtype: np.dtype) -> Any:
    """The floats of these bits."""
    return bind("from_bits", bits, dtype=dtype_of(dtype))


@named_operands
def signbit(x: Any) -> Any:
    """Whether the sign is minus, of -0.0 and NaN too. Raises DtypeError for complex numbers."""
    (operand,) = promote(x)
    if kind_of(operand.dtype) == "c":
        raise op_error("signbit", "takes real numbers", {"x": operand}, kind=DtypeError)
    if kind_of(operand.dtype) != "f":
        return less(operand, 0) if operand.dtype.kind == "i" else not_equal(operand, operand)
    return less(bits_of(operand), 0)


@named_operands
def copysign(x: Any, y: Any) -> Any:
    """x with the sign of y, that of zeros too."""
    a, b = real_floats("copysign", x=x, y=y)
    return where(equal(signbit(a), signbit(b)), a, bind("neg", a))


@named_operands
def nextafter(x: Any, y: Any) -> Any:
    """The next float from x towards y; its derivative is taken as 0."""
    a, b = (as_float(v) for v in align("nextafter", x, y))
    bits, target = bits_of(a), bits_of(b)
    whole = bits.dtype
    lowest = np.asarray(np.iinfo(whole).min, whole)
    order, goal = (where(less(v, 0), subtract(lowest, v), v) for v in (bits, target))  # as the floats are ordered; both zeros at 0
    moved = where(less(order, goal), add(order, 1), subtract(order, 1))
    back = where(less(moved, 0), subtract(lowest, moved), moved)
    back = where(equal(order, goal), target, back)
    bad = bitwise_or(isnan(a), isnan(b))
    return where(bad, float("nan"), float_of(back, a.dtype))


@named_operands
def spacing(x: Any) -> Any:
    """The distance to the next float away from 0, below 0 for negative numbers; above 0 for both zeros. Its derivative is 0."""
    operand = bind("stop_gradient", as_float(x))
    away = where(less(operand, 0), -math.inf, math.inf)
    return subtract(nextafter(operand, cast(away, operand.dtype)), operand)


def _parts(dtype: Any) -> tuple[int, int]:
    """(bits of the mantissa, bias of the exponent)."""
    found = dtype_of(dtype)
    if found.name in LOW:
        return found.format.mantissa, found.format.bias
    return {"f16": (10, 15), "f32": (23, 127), "f64": (52, 1023)}[found.name]


def _power_of_two(n: Any, dtype: np.dtype) -> Any:
    """2 ** n for an integer n in the range of normal exponents."""
    mantissa, bias = _parts(dtype)
    return float_of(left_shift(cast(add(n, bias), bits_dtype(dtype_of(dtype))), mantissa), dtype)


@named_operands
def ldexp(x: Any, y: Any) -> Any:
    """x * 2 ** y for ints y, rounded once. Raises DtypeError for a y of floats."""
    exponent = promote(y)[0]
    if kind_of(exponent.dtype) == "f":
        raise op_error("ldexp", "exponents are ints", {"x": x, "y": y}, kind=DtypeError)
    operand = as_float(x)
    if kind_of(operand.dtype) != "f":
        raise op_error("ldexp", "takes real numbers", {"x": x, "y": y}, kind=DtypeError)
    whole = bits_dtype(dtype_of(operand.dtype)).numpy
    _, bias = _parts(operand.dtype)
    left = cast(clip(cast(exponent, np.int64), -4 * bias, 4 * bias), whole if np.dtype(whole).itemsize > 2 else np.int32)
    for _ in range(3):
        step = clip(left, 1 - bias, bias)
        operand, left = multiply(operand, _power_of_two(step, operand.dtype)), subtract(left, step)
    return multiply(operand, _power_of_two(clip(left, 1 - bias, bias), operand.dtype))


@named_operands
def frexp(x: Any) -> Frexp:
    """(mantissa in [1/2, 1) with x's sign, exponent as i32); of 0, infinities and NaN themselves and 0."""
    operand = as_float(x)
    if operand.dtype.kind == "c":
        raise op_error("frexp", "complex numbers have no exponent", {"x": operand}, kind=DtypeError)
    if dtype_of(operand.dtype).is_narrow:
        wide = frexp(cast(operand, np.float32))
        return Frexp(cast(wide.mantissa, operand.dtype), wide.exponent)
    mantissa, bias = _parts(operand.dtype)
    tiny = less(absolute(operand), float(np.finfo(operand.dtype).tiny))
    scaled = where(tiny, multiply(operand, 2.0 ** (mantissa + 1)), operand)
    bits = bits_of(scaled)
    mask = 2 * bias + 1
    exponent = bitwise_and(right_shift(bits, mantissa), mask)
    plain = bitwise_or(equal(operand, 0), equal(exponent, mask))
    down = subtract(bias - 1, exponent)
    half = right_shift(down, 1)  # one factor alone may be no normal number; products are exact, and have a derivative
    normal = multiply(multiply(scaled, _power_of_two(half, operand.dtype)), _power_of_two(subtract(down, half), operand.dtype))
    found = where(plain, operand, normal)
    number = subtract(where(tiny, np.asarray(-mantissa - 1, bits.dtype), np.asarray(0, bits.dtype)), down)
    return Frexp(found, cast(where(plain, np.asarray(0, bits.dtype), number), np.int32))


@named_operands
def modf(x: Any, out: None = None) -> tuple[Any, Any]:
    """(fraction, whole part), both with x's sign."""
    no_out("modf", out)
    operand = as_float(x)
    below = signbit(operand)
    size = where(below, negative(operand), operand)
    rest = where(equal(size, float("inf")), 0.0, subtract(size, bind("trunc", size)))
    return where(below, negative(rest), rest), bind("trunc", operand)


def unsigned_bits(name: str, x: Any) -> Any:
    """Integers as unsigned ones of the same bits."""
    (operand,) = promote(x)
    if operand.dtype.kind not in "iu":
        raise op_error(name, "takes ints only", {"x": x}, kind=DtypeError)
    return cast(operand, np.dtype(f"u{operand.dtype.itemsize}"))


def ones_of(bits: Any) -> Any:
    """How many bits of unsigned integers are 1, by sums of pairs of ever more bits."""
    width = bits.dtype.itemsize * 8

    def every(pattern: int) -> Any:
        return np.asarray(int.from_bytes(bytes([pattern]) * (width // 8), "little"), bits.dtype)

    pairs = subtract(bits, bitwise_and(right_shift(bits, 1), every(0x55)))
    fours = add(bitwise_and(pairs, every(0x33)), bitwise_and(right_shift(pairs, 2), every(0x33)))
    eights = bitwise_and(add(fours, right_shift(fours, 4)), every(0x0F))
    return right_shift(multiply(eights, every(0x01)), width - 8)


@named_operands
def bitwise_count(x: Any) -> Any:
    """How many bits of |x| are 1, as u8."""
    (operand,) = promote(x)
    if operand.dtype.kind == "b":
        return cast(operand, np.uint8)
    return cast(ones_of(unsigned_bits("bitwise_count", absolute(operand))), np.uint8)


@named_operands
def population_count(x: Any) -> Any:
    """How many bits of x are 1, in x's dtype."""
    (operand,) = promote(x)
    return cast(ones_of(unsigned_bits("population_count", operand)), operand.dtype)


@named_operands
def clz(x: Any) -> Any:
    """How many bits before the first 1 are 0, in x's dtype."""
    (operand,) = promote(x)
    bits = unsigned_bits("clz", operand)
    step = 1
    while step < bits.dtype.itemsize * 8:
        bits = bitwise_or(bits, right_shift(bits, step))
        step *= 2
    return cast(ones_of(invert(bits)), operand.dtype)
