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

from leptonc.bfloat16 import kind_of
from leptonc.errors import DtypeError, LeptonError, describe, op_error
from leptonc.operators import ArrayMethods, install
from leptonc.promotion import PYTHON_SCALARS, SUPPORTED, asarray, float_of_ints
from leptonc.trace import Tracer, align, bind, broadcast, cast, current_trace, is_weak, promote, result_dtype, weakened


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
    """x / y in floats; ints and bools divide as f64, with JAX's promotion in the default float dtype."""
    if kind_of(result_dtype((x, y))) in "fc":
        return _apply("divide", "div", x, y)
    return _apply("divide", "div", cast(x, float_of_ints()), cast(y, float_of_ints()))


def _as_numbers(name: str, op: str, x: Any, y: Any) -> Any:
    """Two bools are i8, as in NumPy."""
    if _bools(x, y):
        x, y = cast(x, np.int8), cast(y, np.int8)
    return _apply(name, op, x, y)


@named_operands
def floor_divide(x: Any, y: Any) -> Any:
    """floor(x / y); of two bools in i8."""
    return _as_numbers("floor_divide", "floordiv", x, y)


@named_operands
def remainder(x: Any, y: Any) -> Any:
    """x - floor(x / y) * y, which has the sign of y; of two bools in i8."""
    return _as_numbers("remainder", "mod", x, y)


@named_operands
def divmod(x: Any, y: Any) -> tuple[Any, Any]:
    """(floor_divide, remainder)."""
    return floor_divide(x, y), remainder(x, y)


@named_operands
def power(x: Any, y: Any) -> Any:
    """x ** y; of two bools in i8. Raises DtypeError for ints to a negative power known while tracing, as NumPy does."""
    if not isinstance(y, Tracer):
        if type(y) is int and y == 2 and not _bools(x, x):
            return multiply(x, x)  # NumPy squares here too; exact, and so is its derivative
        if type(y) is float and y == 0.5:
            return bind("sqrt", cast(x, result_dtype((x, y))))  # as NumPy, whose powers of -0.0 and -inf are its roots
        if type(y) is int and abs(y) <= MOST_PRODUCTS and result_dtype((x, y)).kind == "c":
            return _product_of(x, y)
        if result_dtype((x, y)).kind in "iu" and np.less(y, 0).any():
            raise _fail("power", "an int to a negative power is no int", {"x": x, "y": y}, "cast x to a float")
    return _as_numbers("power", "pow", x, y)


MOST_PRODUCTS = 100  # of a complex number to a known whole power, as NumPy: a power by logarithms would not be exact


def _product_of(x: Any, y: int) -> Any:
    """A complex x ** y by squaring."""
    x = cast(x, result_dtype((x, y)))
    power, found = x, None
    for n in range(abs(y).bit_length()):
        if abs(y) >> n & 1:
            found = power if found is None else multiply(found, power)
        power = multiply(power, power) if abs(y) >> (n + 1) else power
    if found is None:
        return _ones_like(x)
    return found if y > 0 else divide(1, found)


def _ones_like(x: Any) -> Any:
    trace, one = current_trace(x), np.asarray(1, x.dtype)
    return broadcast(one if trace is None else trace.lift(one), x.shape)


def _bools(x: Any, y: Any) -> bool:
    return result_dtype((x, y)).kind == "b"


def _only_bits(name: str, x: Any, y: Any) -> None:
    if kind_of(result_dtype((x, y))) in "fc":
        raise _fail(name, "takes ints and bools only", {"x": x, "y": y})


def _bitwise(name: str, op: str, x: Any, y: Any) -> Any:
    _only_bits(name, x, y)
    return _apply(name, op, x, y)


def _shift(name: str, op: str, x: Any, y: Any) -> Any:
    _only_bits(name, x, y)
    return _as_numbers(name, op, x, y)


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
    """x << y of ints, bools as i8; a shift by the width or more gives 0."""
    return _shift("left_shift", "shl", x, y)


@named_operands
def right_shift(x: Any, y: Any) -> Any:
    """x >> y of ints, bools as i8, keeping the sign; a shift by the width or more gives 0 or -1."""
    return _shift("right_shift", "shr", x, y)


def _comparable(x: Any, y: Any) -> tuple[Any, Any]:
    """A Python int that the other side's dtype cannot hold still compares, in NumPy too: both as i64, or, where that has no room
    for one of them, by the int's sign."""
    dtype = result_dtype((x, y))
    if dtype.kind not in "iu" or all(type(v) is not int or _holds(dtype, v) for v in (x, y)):
        return x, y
    if dtype != np.uint64 and all(type(v) is not int or _holds(np.dtype(np.int64), v) for v in (x, y)):
        return cast(x, np.int64), cast(y, np.int64)
    return _sign_of_int(x), _sign_of_int(y)


def _holds(dtype: np.dtype, number: int) -> bool:
    limits = np.iinfo(dtype)
    return bool(limits.min <= number <= limits.max)


def _sign_of_int(x: Any) -> Any:
    """-1 or 1 for a Python int, 0 for the elements of an array."""
    return np.int64(1 if x > 0 else -1) if type(x) is int else cast(_apply("bitwise_and", "and", x, 0), np.int64)


def _kind(x: Any) -> str:
    """NumPy's letter; of a weak operand none."""
    return "" if is_weak(x) else str(x.dtype.kind)


def _of_two_signs(name: str, op: str, x: Any, y: Any) -> Any:
    """u64 beside signed ints, which f64, their common dtype, does not tell apart: as u64, but where one is negative."""
    negative = _apply(name, "lt", x if _kind(x) == "i" else y, 0)
    others = _apply(name, op, cast(x, np.uint64), cast(y, np.uint64))
    if op in ("ne", *(("lt", "le") if _kind(x) == "i" else ("gt", "ge"))):  # holds where one is negative
        return _apply(name, "or", negative, others)
    return _apply(name, "and", bind("not", negative), others)


def _comparison(name: str, op: str) -> Callable[[Any, Any], Any]:
    def compare(x: Any, y: Any) -> Any:
        if {_kind(x), _kind(y)} == {"i", "u"} and kind_of(result_dtype((x, y))) == "f":
            return _of_two_signs(name, op, x, y)
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
    """abs(x); of complex numbers their moduli, which are real."""
    (operand,) = promote(x)
    if operand.dtype.kind == "c":
        return bind("complex_abs", operand)
    return operand if operand.dtype.kind in "bu" else bind("abs", operand)


@named_operands
def invert(x: Any) -> Any:
    """~x of ints or bools."""
    (operand,) = promote(x)
    if kind_of(operand.dtype) in "fc":
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
    return tuple(map(weakened, out)) if isinstance(out, tuple) else weakened(out)


def _as_python(function: Callable[..., Any]) -> Callable[..., Any]:
    def operator(*operands: Any) -> Any:
        out = function(*operands)
        return _weaken(out) if all(is_weak(x) for x in operands) else out

    return operator


install({name: _as_python(function) for name, function in OPERATORS.items()} | {"cast": cast})
