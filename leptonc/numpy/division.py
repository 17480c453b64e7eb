"""Division that truncates, and common divisors of integers."""

from __future__ import annotations

from typing import Any

from leptonc.arithmetic import (
    absolute,
    add,
    bitwise_and,
    divide,
    equal,
    floor_divide,
    less,
    multiply,
    named_operands,
    negative,
    not_equal,
    remainder,
    subtract,
)
from leptonc.bfloat16 import kind_of
from leptonc.errors import DtypeError, op_error
from leptonc.numpy.elementwise import where
from leptonc.numpy.floatbits import signbit
from leptonc.trace import align, bind, cast


@named_operands
def truncated_quotient(x: Any, y: Any) -> Any:
    """x / y, of ints rounded towards 0; by 0 it is 0."""
    a, b = align("div", x, y)
    if kind_of(a.dtype) in "fc":
        return divide(a, b)
    quotient, rest = floor_divide(a, b), remainder(a, b)
    if a.dtype.kind == "u":
        return quotient
    up = bitwise_and(not_equal(rest, 0), not_equal(less(a, 0), less(b, 0)))
    return add(quotient, cast(up, a.dtype))


@named_operands
def fmod(x: Any, y: Any) -> Any:
    """x - y * trunc(x / y), with the sign of x; of ints by 0 it is 0. Raises DtypeError for bools."""
    a, b = align("fmod", x, y)
    if a.dtype.kind == "b":
        raise op_error("fmod", "takes numbers only", {"x": x, "y": y}, kind=DtypeError)
    if kind_of(a.dtype) == "f":
        below = signbit(a)  # chosen by it, not made of a's magnitude: that has another derivative at zeros
        rest = remainder(where(below, negative(a), a), absolute(b))
        return where(below, negative(rest), rest)
    if a.dtype.kind == "u":
        return remainder(a, b)
    rest = remainder(a, b)
    wrong = bitwise_and(not_equal(rest, 0), not_equal(less(a, 0), less(b, 0)))
    return where(wrong, subtract(rest, b), rest)


@named_operands
def gcd(x: Any, y: Any) -> Any:
    """The greatest common divisor of ints, by Euclid's algorithm; 0 of two zeros."""
    return bind("gcd", *_integers("gcd", x, y))


@named_operands
def lcm(x: Any, y: Any) -> Any:
    """The least common multiple of ints; 0 if one of them is."""
    a, b = (absolute(v) for v in _integers("lcm", x, y))
    divisor = gcd(a, b)
    return multiply(floor_divide(a, where(equal(divisor, 0), 1, divisor)), b)


def _integers(name: str, x: Any, y: Any) -> tuple[Any, ...]:
    found = align(name, x, y)
    if found[0].dtype.kind not in "iu":
        raise op_error(name, "takes ints only", {"x": x, "y": y}, kind=DtypeError)
    return found
