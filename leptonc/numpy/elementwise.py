"""Functions of one element at a time, beyond the operators of ``leptonc.arithmetic``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from leptonc.arguments import array, flag, integer, no_out, number
from leptonc.arguments import operand as operand_of
from leptonc.arithmetic import (
    absolute,
    bitwise_and,
    bitwise_or,
    bitwise_xor,
    divide,
    equal,
    invert,
    less,
    multiply,
    named_operands,
    not_equal,
)
from leptonc.bfloat16 import kind_of
from leptonc.errors import DtypeError, op_error
from leptonc.ir.types import dtype_of
from leptonc.promotion import float_of_ints
from leptonc.trace import (
    Tracer,
    align,
    as_seen,
    asarray,
    bind,
    broadcast,
    broadcast_shapes,
    cast,
    current_trace,
    promote,
    result_dtype,
)


def as_float(x: Any) -> Any:
    """x as an array of floats or complex numbers: ints and bools become f64, as in NumPy, or what
    ``float_of_ints`` says."""
    (operand,) = promote(x)
    return operand if kind_of(operand.dtype) in "fc" else cast(operand, float_of_ints())


def floats_of_one_dtype(name: str, **operands: Any) -> list[Any]:
    """Arrays of floats or complex numbers of one dtype and their own shapes; a Python number takes the dtype of those beside it."""
    return [as_float(x) for x in promote(*(operand_of(name, what, x) for what, x in operands.items()))]


def real_floats(name: str, **operands: Any) -> tuple[Any, ...]:
    """Arrays of floats of one dtype and shape, ints as f64. Raises DtypeError for complex numbers."""
    aligned = tuple(as_float(x) for x in align(name, *(operand_of(name, what, x) for what, x in operands.items())))
    if aligned and kind_of(aligned[0].dtype) != "f":
        raise op_error(name, "takes real numbers", dict(zip(operands, aligned)), kind=DtypeError)
    return aligned


def float_function(name: str, op: str, doc: str) -> Callable[[Any], Any]:
    def function(x: Any) -> Any:
        return bind(op, as_float(x))

    function.__name__ = name
    function.__doc__ = doc
    return named_operands(function)


exp = float_function("exp", "exp", "e ** x.")
expm1 = float_function("expm1", "expm1", "e ** x - 1, accurate near 0.")
log = float_function("log", "log", "Natural logarithm; log(0) is -inf, of negatives NaN.")
log2 = float_function("log2", "log2", "Logarithm to base 2; whole for powers of 2.")
log10 = float_function("log10", "log10", "Logarithm to base 10; whole for powers of 10.")
log1p = float_function("log1p", "log1p", "log(1 + x), accurate near 0.")
sqrt = float_function("sqrt", "sqrt", "Square root; NaN for negatives.")
tanh = float_function("tanh", "tanh", "Hyperbolic tangent.")
sinh = float_function("sinh", "sinh", "Hyperbolic sine.")
cosh = float_function("cosh", "cosh", "Hyperbolic cosine.")
sin = float_function("sin", "sin", "Sine.")
cos = float_function("cos", "cos", "Cosine.")
tan = float_function("tan", "tan", "Tangent.")


@named_operands
def arctan2(y: Any, x: Any) -> Any:
    """The angle of the point (x, y), in [-pi, pi]."""
    return bind("atan2", *(as_float(v) for v in align("arctan2", y, x)))


@named_operands
def square(x: Any) -> Any:
    """x * x."""
    return multiply(x, x)


@named_operands
def reciprocal(x: Any) -> Any:
    """1 / x of floats."""
    return divide(1, x)


@named_operands
def sign(x: Any) -> Any:
    """-1, 0 or 1; NaN stays. Raises DtypeError for bools."""
    (operand,) = promote(x)
    if operand.dtype.kind == "b":
        raise op_error("sign", "takes numbers only", {"x": x}, kind=DtypeError)
    return bind("sign", operand)


def _in_parts(function: Callable[[Any], Any], x: Any) -> Any:
    """A function of floats of both parts of complex numbers."""
    return bind("complex", function(bind("real", x)), function(bind("imag", x)))


def _rounding(name: str, op: str, doc: str) -> Callable[[Any], Any]:
    def function(x: Any) -> Any:
        (operand,) = promote(x)
        return bind(op, operand) if kind_of(operand.dtype) in "fc" else operand

    function.__name__ = name
    function.__doc__ = doc
    return named_operands(function)


floor = _rounding("floor", "floor", "The next whole number at or below; ints are themselves.")
ceil = _rounding("ceil", "ceil", "The next whole number at or above; ints are themselves.")
trunc = _rounding("trunc", "trunc", "The whole part; ints are themselves.")
_rint = float_function("rint", "round", "")


@named_operands
def rint(x: Any) -> Any:
    """The nearest whole number as a float, halves to even; of complex numbers that of both parts."""
    return _in_parts(_rint, x) if result_dtype((x,)).kind == "c" else _rint(x)


_round = _rounding("round", "round", "")


def round(x: Any, decimals: int = 0, out: None = None) -> Any:
    """Halves to even. Ints stay ints: they are themselves unless ``decimals`` is negative."""
    no_out("round", out)
    integer("round", "decimals", decimals, {"x": x}, least=-300, most=300)
    kind = result_dtype((x,))
    if decimals == 0 or (decimals > 0 and kind.kind in "iu"):
        return rint(x) if kind.kind == "c" else _round(x)
    if kind.kind in "iu":
        return cast(round(cast(x, np.float64), decimals), kind)
    scale = 10.0**decimals
    return divide(rint(multiply(x, scale)), scale)


def _extreme(name: str, op: str, on_bools: str, doc: str) -> Callable[[Any, Any], Any]:
    def function(x: Any, y: Any) -> Any:
        return bind(on_bools if result_dtype((x, y)).kind == "b" else op, *align(name, x, y))

    function.__name__ = name
    function.__doc__ = doc
    return named_operands(function)


maximum = _extreme("maximum", "max", "or", "The greater element; NaN if either is.")
minimum = _extreme("minimum", "min", "and", "The lesser element; NaN if either is.")


def clip(x: Any, min: Any = None, max: Any = None) -> Any:
    """x within [min, max]; either may be None. Raises DtypeError for complex numbers, as in JAX."""
    if min is None and max is None:
        return as_seen(array("clip", "x", x))
    given = {name: v for name, v in (("x", x), ("min", min), ("max", max)) if v is not None}
    if result_dtype(given.values()).kind == "c":
        raise op_error("clip", "takes no complex numbers", given, "clip their parts: .real, .imag", DtypeError)
    if min is not None:
        x = maximum(x, min)
    return x if max is None else minimum(x, max)


@named_operands
def where(condition: Any, x: Any, y: Any) -> Any:
    """x where the condition holds (is not 0), else y."""
    shape = broadcast_shapes("where", condition, x, y)
    a, b = promote(x, y)
    test = condition if isinstance(condition, Tracer) else asarray(condition, "condition")
    if test.dtype.kind != "b":
        test = not_equal(test, 0)
    operands: tuple[Any, ...] = (test, a, b)
    trace = current_trace(*operands)
    if trace is not None:
        operands = tuple(trace.lift(v) for v in operands)
    return bind("select", *(broadcast(v, shape) for v in operands))


@named_operands
def isnan(x: Any) -> Any:
    """Whether each element is NaN."""
    (operand,) = promote(x)
    return bind("isnan", operand) if kind_of(operand.dtype) in "fc" else not_equal(operand, operand)


@named_operands
def isinf(x: Any) -> Any:
    """Whether each element is an infinity, or has one as a part."""
    return equal(absolute(as_float(x)), np.inf)


@named_operands
def isfinite(x: Any) -> Any:
    """Whether each element is neither NaN nor an infinity."""
    operand = as_float(x)
    if operand.dtype.kind == "c":
        return bitwise_and(*(less(absolute(bind(part, operand)), np.inf) for part in ("real", "imag")))
    return less(absolute(operand), np.inf)


@named_operands
def isposinf(x: Any, out: None = None) -> Any:
    """Whether each element is inf."""
    no_out("isposinf", out)
    return equal(as_float(x), np.inf)


@named_operands
def isneginf(x: Any, out: None = None) -> Any:
    """Whether each element is -inf."""
    no_out("isneginf", out)
    return equal(as_float(x), -np.inf)


@named_operands
def fabs(x: Any) -> Any:
    """abs(x) in floats."""
    return absolute(as_float(x))


@named_operands
def fmax(x: Any, y: Any) -> Any:
    """The greater element; of a NaN and a number the number."""
    a, b = align("fmax", x, y)
    return where(isnan(a), b, where(isnan(b), a, maximum(a, b)))


@named_operands
def fmin(x: Any, y: Any) -> Any:
    """The lesser element; of a NaN and a number the number."""
    a, b = align("fmin", x, y)
    return where(isnan(a), b, where(isnan(b), a, minimum(a, b)))


def as_bool(x: Any) -> Any:
    """Whether each element is not 0."""
    operand = x if isinstance(x, Tracer) else asarray(x, "operand")
    return operand if operand.dtype.kind == "b" else not_equal(operand, 0)


@named_operands
def logical_and(x: Any, y: Any) -> Any:
    """Whether both are not 0."""
    return bitwise_and(as_bool(x), as_bool(y))


@named_operands
def logical_or(x: Any, y: Any) -> Any:
    """Whether either is not 0."""
    return bitwise_or(as_bool(x), as_bool(y))


@named_operands
def logical_xor(x: Any, y: Any) -> Any:
    """Whether exactly one is not 0."""
    return bitwise_xor(as_bool(x), as_bool(y))


@named_operands
def logical_not(x: Any) -> Any:
    """Whether each element is 0."""
    return invert(as_bool(x))


def nan_to_num(x: Any, copy: bool = True, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
    """NaN and infinities replaced, these by the dtype's greatest and lowest numbers unless told otherwise; ints and bools stay."""
    (operand,) = promote(x)
    flag("nan_to_num", "copy", copy)
    number("nan_to_num", "nan", nan, {"x": x})
    if operand.dtype.kind == "c":
        return _in_parts(lambda part: nan_to_num(part, copy, nan, posinf, neginf), operand)
    if kind_of(operand.dtype) != "f":
        return operand
    greatest = dtype_of(operand.dtype).greatest
    bounded = clip(operand, -greatest, greatest)
    for what, given, infinity in (("posinf", posinf, math.inf), ("neginf", neginf, -math.inf)):
        if given is not None:
            bounded = where(equal(operand, infinity), number("nan_to_num", what, given, {"x": x}), bounded)
    return where(isnan(operand), nan, bounded)


@named_operands
def logaddexp(x: Any, y: Any) -> Any:
    """log(exp(x) + exp(y)) without overflow."""
    return bind("logaddexp", *(as_float(v) for v in align("logaddexp", x, y)))
