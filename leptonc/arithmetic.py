"""NumPy's arithmetic, comparison and bit operators on tracers and arrays, by NumPy's names.

Each promotes its operands (NEP 50), stretches them to one shape and binds one op. Importing this module gives them to
``Tracer``, whose operators add one thing: what they make of traced Python scalars alone stays as weak as those, for
``(2.0 * 3.0) * x`` is f32 if x is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from leptonc.eager import EagerArray
from leptonc.errors import DtypeError, LeptonError, describe, op_error
from leptonc.operators import ArrayMethods, install
from leptonc.promotion import PYTHON_SCALARS, SUPPORTED, asarray
from leptonc.trace import Tracer, align, bind, cast, is_weak, promote, result_dtype


def _fail(name: str, reason: str, operands: dict[str, Any], fix: str | None = None) -> LeptonError:
    return op_error(name, reason, operands, fix, DtypeError)


def named_operands(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: whatever is no array is an error that names the function and the operand."""
    @functools.wraps(function)
    def checked(*operands: Any, **settings: Any) -> Any:
        return function(*[_operand(function.__name__, n, x) for n, x in enumerate(operands)], **settings)

    return checked


def _operand(name: str, n: int, x: Any) -> Any:
    if isinstance(x, ArrayMethods) or type(x) in PYTHON_SCALARS or (type(x) is np.ndarray and x.dtype in SUPPORTED):
        return x
    return asarray(x, f"{name}: {'xyz'[n]}" + (f"={describe(x)}" if isinstance(x, np.ndarray) else ""))


def _apply(name: str, op: str, *operands: Any) -> Any:
    return bind(op, *align(name, *operands))


@named_operands
def add(x: Any, y: Any) -> Any:
    """x + y; of bools: x or y."""
    return _apply("add", "or" if _bools(x, y) else "add", x, y)


@named_operands
def multiply(x: Any, y: Any) -> Any:
    """x * y; of bools: x and y."""
    return _apply("multiply", "and" if _bools(x, y) else "mul", x, y)


@named_operands
def subtract(x: Any, y: Any) -> Any:
    """x - y. Raises DtypeError for two bools, as NumPy does."""
    if _bools(x, y):
        raise _fail("subtract", "bools do not subtract", {"x": x, "y": y}, "use ^ (exclusive or)")
    return _apply("subtract", "sub", x, y)


@named_operands
def divide(x: Any, y: Any) -> Any:
    """x / y in floats; ints and bools divide as f64."""
    if result_dtype((x, y)).kind == "f":
        return _apply("divide", "div", x, y)
    return _apply("divide", "div", cast(x, np.float64), cast(y, np.float64))


def _no_bools(name: str, op: str, x: Any, y: Any) -> Any:
    if _bools(x, y):
        raise _fail(name, "NumPy's result of two bools is int8, which is not supported", {"x": x, "y": y},
                    "cast one with .astype('i32')")
    return _apply(name, op, x, y)


@named_operands
def floor_divide(x: Any, y: Any) -> Any:
    """floor(x / y). Raises DtypeError for two bools."""
    return _no_bools("floor_divide", "floordiv", x, y)


@named_operands
def remainder(x: Any, y: Any) -> Any:
    """x - floor(x / y) * y, which has the sign of y. Raises DtypeError for two bools."""
    return _no_bools("remainder", "mod", x, y)


@named_operands
def divmod(x: Any, y: Any) -> tuple[Any, Any]:
    """(floor_divide, remainder)."""
    return floor_divide(x, y), remainder(x, y)


@named_operands
def power(x: Any, y: Any) -> Any:
    """x ** y. Raises DtypeError for two bools, and for ints to a negative power known while tracing, as NumPy does."""
    if not isinstance(y, Tracer):
        if type(y) is int and y == 2 and not _bools(x, x):
            return multiply(x, x)  # NumPy squares here too; exact, and so is its derivative
        if type(y) is float and y == 0.5:
            return bind("sqrt", cast(x, result_dtype((x, y))))  # as NumPy, whose powers of -0.0 and -inf are its roots
        if result_dtype((x, y)).kind in "iu" and np.less(y, 0).any():
            raise _fail("power", "an int to a negative power is no int", {"x": x, "y": y}, "cast x to a float")
    return _no_bools("power", "pow", x, y)


def _bools(x: Any, y: Any) -> bool:
    return result_dtype((x, y)).kind == "b"


def _bitwise(name: str, op: str, x: Any, y: Any, bools: bool = True) -> Any:
    kind = result_dtype((x, y)).kind
    if kind == "f" or (kind == "b" and not bools):
        raise _fail(name, f"takes ints{' and bools' if bools else ''} only", {"x": x, "y": y})
    return _apply(name, op, x, y)


@named_operands
def bitwise_and(x: Any, y: Any) -> Any:
    """x & y of ints or bools."""
    return _bitwise("bitwise_and", "and", x, y)


@named_operands
def bitwise_or(x: Any, y: Any) -> Any:
    """x | y of ints or bools."""
    return _bitwise("bitwise_or", "or", x, y)


@named_operands
def bitwise_xor(x: Any, y: Any) -> Any:
    """x ^ y of ints or bools."""
    return _bitwise("bitwise_xor", "xor", x, y)


@named_operands
def left_shift(x: Any, y: Any) -> Any:
    """x << y of ints; a shift by the width or more gives 0."""
    return _bitwise("left_shift", "shl", x, y, bools=False)


@named_operands
def right_shift(x: Any, y: Any) -> Any:
    """x >> y of ints, keeping the sign; a shift by the width or more gives 0 or -1."""
    return _bitwise("right_shift", "shr", x, y, bools=False)


def _comparable(x: Any, y: Any) -> tuple[Any, Any]:
    """A Python int that the other side's dtype cannot hold still compares, in NumPy too: both as i64."""
    dtype = result_dtype((x, y))
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if any(type(v) is int and not limits.min <= v <= limits.max for v in (x, y)):
            return cast(x, np.int64), cast(y, np.int64)
    return x, y


def _comparison(name: str, op: str) -> Callable[[Any, Any], Any]:
    def compare(x: Any, y: Any) -> Any:
        return _apply(name, op, *_comparable(x, y))

    compare.__name__ = name
    compare.__doc__ = f"NumPy's {name}, a bool array."
    return named_operands(compare)


equal = _comparison("equal", "eq")
not_equal = _comparison("not_equal", "ne")
less = _comparison("less", "lt")
less_equal = _comparison("less_equal", "le")
greater = _comparison("greater", "gt")
greater_equal = _comparison("greater_equal", "ge")


@named_operands
def negative(x: Any) -> Any:
    """-x. Raises DtypeError for bools, as NumPy does."""
    (operand,) = promote(x)
    if operand.dtype.kind == "b":
        raise _fail("negative", "bools have no negative", {"x": x}, "use ~")
    return bind("neg", operand)


@named_operands
def positive(x: Any) -> Any:
    """x itself. Raises DtypeError for bools, as NumPy does."""
    (operand,) = promote(x)
    if operand.dtype.kind == "b":
        raise _fail("positive", "takes numbers only", {"x": x})
    return operand


@named_operands
def absolute(x: Any) -> Any:
    """abs(x)."""
    (operand,) = promote(x)
    return operand if operand.dtype.kind in "bu" else bind("abs", operand)


@named_operands
def invert(x: Any) -> Any:
    """~x of ints or bools."""
    (operand,) = promote(x)
    if operand.dtype.kind == "f":
        raise _fail("invert", "takes ints and bools only", {"x": x})
    return bind("not", operand)


OPERATORS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        add, subtract, multiply, divide, floor_divide, remainder, divmod, power,
        bitwise_and, bitwise_or, bitwise_xor, left_shift, right_shift,
        equal, not_equal, less, less_equal, greater, greater_equal,
        negative, positive, absolute, invert,
    )
}


def _weaken(out: Any) -> Any:
    if isinstance(out, tuple):
        return tuple(_weaken(x) for x in out)
    if isinstance(out, EagerArray):
        out.weak = True
    return Tracer(out.trace, out.value, out.loc, True) if isinstance(out, Tracer) else out


def _as_python(function: Callable[..., Any]) -> Callable[..., Any]:
    def operator(*operands: Any) -> Any:
        out = function(*operands)
        return _weaken(out) if all(is_weak(x) for x in operands) else out

    return operator


install({name: _as_python(function) for name, function in OPERATORS.items()} | {"cast": cast})
