"""Functions of one element at a time: arithmetic, comparisons, roundings, exponentials, trigonometry.

Each table names leptonc's functions by what Keras's dtype rules do with their operands.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.bfloat16 import kind_of
from leptonc.elementary import bitcast_convert_type
from leptonc.keras.src.missing import MissingOpError
from leptonc.keras.src.ops.control import while_loop
from leptonc.keras.src.ops.tensors import as_float, convert_to_tensor, promoted

Unary = Callable[[Any], Any]
Binary = Callable[[Any, Any], Any]


def _named(function: Any, name: str, doc: str = "") -> Any:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc or f"NumPy's {name}, of the dtype that Keras gives it."
    return function


def numeric(x: Any) -> Any:
    """A tensor of numbers: bools count."""
    x = convert_to_tensor(x)
    return lnp.astype(x, "int32") if x.dtype.kind == "b" else x


def _of(prepare: Unary, name: str, function: Unary) -> Unary:
    return _named(lambda x: function(prepare(x)), name)


def _of_two(name: str, function: Binary, also: Any = None, prepare: Unary | None = None) -> Binary:
    def call(x1: Any, x2: Any) -> Any:
        a, b = promoted(x1, x2, also=also)
        return function(a, b) if prepare is None else function(prepare(a), prepare(b))

    return _named(call, name)


# Of one dtype: the operands' common one.
add = _of_two("add", lnp.add)
subtract = _of_two("subtract", lnp.subtract)
multiply = _of_two("multiply", lnp.multiply)
maximum = _of_two("maximum", lnp.maximum)
minimum = _of_two("minimum", lnp.minimum)
equal = _of_two("equal", lnp.equal)
not_equal = _of_two("not_equal", lnp.not_equal)
less = _of_two("less", lnp.less)
less_equal = _of_two("less_equal", lnp.less_equal)
greater = _of_two("greater", lnp.greater)
greater_equal = _of_two("greater_equal", lnp.greater_equal)

# Of numbers: bools count as int32.
power = _of_two("power", lnp.power, prepare=numeric)
floor_divide = _of_two("floor_divide", lnp.floor_divide, prepare=numeric)
mod = _of_two("mod", lnp.mod, prepare=numeric)

# Of floats.
divide = true_divide = _of_two("divide", lnp.divide, also=float)
arctan2 = _of_two("arctan2", lnp.arctan2, also=float)
logaddexp = _of_two("logaddexp", lnp.logaddexp, also=float)

exp, expm1, log, log2, log10, log1p, sqrt = (
    _of(as_float, f.__name__, f) for f in (lnp.exp, lnp.expm1, lnp.log, lnp.log2, lnp.log10, lnp.log1p, lnp.sqrt))
sin, cos, tan, sinh, cosh, tanh = (
    _of(as_float, f.__name__, f) for f in (lnp.sin, lnp.cos, lnp.tan, lnp.sinh, lnp.cosh, lnp.tanh))
floor, ceil = _of(as_float, "floor", lnp.floor), _of(as_float, "ceil", lnp.ceil)
trunc = _of(convert_to_tensor, "trunc", lnp.trunc)
square, negative = _of(numeric, "square", lnp.square), _of(convert_to_tensor, "negative", lnp.negative)
abs = absolute = _of(convert_to_tensor, "absolute", lnp.absolute)
fabs = _of(as_float, "fabs", lnp.absolute)
sign, reciprocal = _of(convert_to_tensor, "sign", lnp.sign), _of(as_float, "reciprocal", lnp.reciprocal)
isnan, isinf, isfinite = (_of(convert_to_tensor, f.__name__, f) for f in (lnp.isnan, lnp.isinf, lnp.isfinite))

logical_not = _of(convert_to_tensor, "logical_not", lnp.logical_not)
bitwise_not = bitwise_invert = _of(convert_to_tensor, "bitwise_not", lnp.invert)


def _logical(name: str, function: Binary) -> Binary:
    return _named(lambda x1, x2: function(convert_to_tensor(x1), convert_to_tensor(x2)), name)


logical_and = _logical("logical_and", lnp.logical_and)
logical_or = _logical("logical_or", lnp.logical_or)
logical_xor = _logical("logical_xor", lnp.logical_xor)


def _bitwise(name: str, function: Binary) -> Binary:
    return _named(lambda x, y: function(*promoted(x, y)), name)


bitwise_and = _bitwise("bitwise_and", lnp.bitwise_and)
bitwise_or = _bitwise("bitwise_or", lnp.bitwise_or)
bitwise_xor = _bitwise("bitwise_xor", lnp.bitwise_xor)
left_shift = bitwise_left_shift = _bitwise("left_shift", lnp.left_shift)
right_shift = bitwise_right_shift = _bitwise("right_shift", lnp.right_shift)


def where(condition: Any, x1: Any = None, x2: Any = None) -> Any:
    """x1 where the condition holds, else x2; the positions where it holds if neither is given."""
    test = convert_to_tensor(condition)
    if x1 is None or x2 is None:
        return nonzero(test)
    a, b = promoted(x1, x2)
    return lnp.where(test, a, b)


def nonzero(x: Any) -> tuple[Any, ...]:
    """Positions of the elements that are not 0, an array for each axis: their number depends on data, so x must be known."""
    return tuple(lnp.astype(axis, "int32") for axis in np.nonzero(known(x, "nonzero")))


def known(x: Any, what: str) -> np.ndarray:
    """The elements of a tensor that is not traced. Raises MissingOpError: leptonc has no shapes that depend on data."""
    x = convert_to_tensor(x)
    if not isinstance(x, np.ndarray):
        raise MissingOpError(f"keras.ops.{what} on a traced value: leptonc has no shapes that depend on data")
    return x.view(np.ndarray)


def clip(x: Any, x_min: Any, x_max: Any) -> Any:
    """x within [x_min, x_max], in x's dtype; either bound may be None."""
    x = numeric(x)
    bounded = x
    for bound, extreme in ((x_min, maximum), (x_max, minimum)):
        bounded = bounded if bound is None else extreme(bounded, bound)
    return lnp.astype(bounded, x.dtype)


def round(x: Any, decimals: int = 0) -> Any:
    """Halves to even, in x's dtype."""
    x = convert_to_tensor(x)
    if kind_of(x.dtype) != "f" and decimals >= 0:
        return x
    return lnp.astype(lnp.round(x, decimals), x.dtype)


def divide_no_nan(x1: Any, x2: Any) -> Any:
    """x1 / x2, and 0 where x2 is 0."""
    a, b = promoted(x1, x2, also=float)
    none = lnp.equal(b, 0)
    return lnp.where(none, 0, lnp.divide(a, lnp.where(none, 1, b)))


def nan_to_num(x: Any, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """NaN and infinities replaced: by 0, the dtype's greatest and lowest numbers unless told otherwise."""
    x = convert_to_tensor(x)
    if kind_of(x.dtype) != "f":
        return x
    limits = lnp.finfo(x.dtype)
    high, low = float(limits.max) if posinf is None else posinf, float(limits.min) if neginf is None else neginf
    for found, new in ((lnp.isnan(x), nan), (lnp.equal(x, math.inf), high), (lnp.equal(x, -math.inf), low)):
        x = lnp.where(found, convert_to_tensor(new, x.dtype), x)
    return x


def fmod(x1: Any, x2: Any) -> Any:
    """The remainder that has the sign of x1."""
    a, b = promoted(x1, x2)
    a, b = numeric(a), numeric(b)
    rest = lnp.mod(lnp.absolute(a), lnp.absolute(b))
    return lnp.where(lnp.less(a, 0), lnp.negative(rest), rest) if a.dtype.kind != "u" else rest


def _ignoring_nan(name: str, function: Binary) -> Binary:
    def call(x1: Any, x2: Any) -> Any:
        a, b = promoted(x1, x2)
        return lnp.where(lnp.isnan(a), b, lnp.where(lnp.isnan(b), a, function(a, b)))

    return _named(call, name, f"The {name[1:]}imum of two, the other one where one is NaN.")


fmax, fmin = _ignoring_nan("fmax", lnp.maximum), _ignoring_nan("fmin", lnp.minimum)


def exp2(x: Any) -> Any:
    x = as_float(x)
    return lnp.power(lnp.full_like(x, 2), x)


def logaddexp2(x1: Any, x2: Any) -> Any:
    """log2(2**x1 + 2**x2) without overflow."""
    a, b = promoted(x1, x2, also=float)
    return lnp.divide(lnp.logaddexp(lnp.multiply(a, math.log(2)), lnp.multiply(b, math.log(2))), math.log(2))


def ldexp(x1: Any, x2: Any) -> Any:
    """x1 * 2**x2."""
    a = as_float(x1)
    return lnp.multiply(a, lnp.power(lnp.full_like(a, 2), lnp.astype(convert_to_tensor(x2), a.dtype)))


def arctan(x: Any) -> Any:
    x = as_float(x)
    return lnp.arctan2(x, lnp.ones_like(x))


def arcsin(x: Any) -> Any:
    x = as_float(x)
    return lnp.arctan2(x, _cathetus(x))


def arccos(x: Any) -> Any:
    x = as_float(x)
    return lnp.arctan2(_cathetus(x), x)


def _cathetus(x: Any) -> Any:
    """sqrt(1 - x**2), accurate near 1; as two roots its derivative is infinite there, and not NaN."""
    return lnp.multiply(lnp.sqrt(lnp.subtract(1, x)), lnp.sqrt(lnp.add(1, x)))


def arctanh(x: Any) -> Any:
    x = as_float(x)
    return lnp.multiply(lnp.subtract(lnp.log1p(x), lnp.log1p(lnp.negative(x))), 0.5)


_HUGE = 1e9  # from there on, sqrt(x**2 + 1) is x in float64, and its square still fits float32


def arcsinh(x: Any) -> Any:
    x = as_float(x)
    below = lnp.less(x, 0)
    size = lnp.where(below, lnp.negative(x), x)
    huge = lnp.greater(size, _HUGE)
    m = lnp.where(huge, 1, size)
    squared = lnp.square(m)
    moderate = lnp.log1p(lnp.add(m, lnp.divide(squared, lnp.add(1, lnp.sqrt(lnp.add(1, squared))))))
    found = lnp.where(huge, _log_of_double(size, huge), moderate)
    return lnp.where(below, lnp.negative(found), found)


def arccosh(x: Any) -> Any:
    x = as_float(x)
    huge = lnp.greater(x, _HUGE)
    t = lnp.subtract(lnp.where(huge, 1, x), 1)
    moderate = lnp.log1p(lnp.add(t, lnp.multiply(lnp.sqrt(t), lnp.sqrt(lnp.add(t, 2)))))
    return lnp.where(huge, _log_of_double(x, huge), moderate)


def _log_of_double(x: Any, huge: Any) -> Any:
    """log(2x) of huge elements; nothing of the others reaches a gradient."""
    return lnp.add(lnp.log(lnp.where(huge, x, 1)), math.log(2))


def cbrt(x: Any) -> Any:
    x = as_float(x)
    below = lnp.less(x, 0)
    root = lnp.power(lnp.where(below, lnp.negative(x), x), 1 / 3)
    return lnp.where(below, lnp.negative(root), root)


def hypot(x1: Any, x2: Any) -> Any:
    """sqrt(x1**2 + x2**2) without overflow; infinite if either is, even beside NaN."""
    a, b = promoted(x1, x2, also=float)
    a, b = lnp.absolute(a), lnp.absolute(b)
    long, short = lnp.maximum(a, b), lnp.minimum(a, b)
    infinite = lnp.logical_or(lnp.isinf(a), lnp.isinf(b))
    edge = lnp.logical_or(lnp.equal(long, 0), infinite)
    ratio = lnp.divide(lnp.where(edge, 0, short), lnp.where(edge, 1, long))
    return lnp.where(infinite, math.inf, lnp.multiply(long, lnp.sqrt(lnp.add(1, lnp.square(ratio)))))


def sinc(x: Any) -> Any:
    """sin(pi x) / (pi x), and 1 at 0."""
    x = as_float(x)
    zero = lnp.equal(x, 0)
    turned = lnp.multiply(lnp.where(zero, 1, x), math.pi)
    return lnp.where(zero, 1, lnp.divide(lnp.sin(turned), turned))


def deg2rad(x: Any) -> Any:
    return lnp.multiply(as_float(x), math.pi / 180)


def rad2deg(x: Any) -> Any:
    return lnp.multiply(as_float(x), 180 / math.pi)


def heaviside(x1: Any, x2: Any) -> Any:
    """0 below 0, 1 above, x2 at 0; NaN stays."""
    a, b = promoted(x1, x2, also=float)
    return lnp.where(lnp.equal(a, 0), b, lnp.where(lnp.isnan(a), a, lnp.astype(lnp.greater(a, 0), a.dtype)))


def signbit(x: Any) -> Any:
    """Whether the sign bit is set, as in -0.0; NaN counts as positive."""
    x = convert_to_tensor(x)
    if kind_of(x.dtype) != "f":
        return lnp.less(x, 0)
    return lnp.logical_or(lnp.less(x, 0), lnp.logical_and(lnp.equal(x, 0), lnp.less(lnp.reciprocal(x), 0)))


def isposinf(x: Any) -> Any:
    return lnp.equal(as_float(x), math.inf)


def isneginf(x: Any) -> Any:
    return lnp.equal(as_float(x), -math.inf)


def isclose(x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """abs(x1 - x2) <= atol + rtol * abs(x2), or equal infinities."""
    a, b = promoted(x1, x2, also=float)
    near = lnp.less_equal(lnp.absolute(lnp.subtract(a, b)), lnp.add(atol, lnp.multiply(rtol, lnp.absolute(b))))
    close = lnp.logical_or(lnp.equal(a, b), lnp.logical_and(near, lnp.logical_and(lnp.isfinite(a), lnp.isfinite(b))))
    return lnp.logical_or(close, lnp.logical_and(lnp.isnan(a), lnp.isnan(b))) if equal_nan else close


def allclose(x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    return lnp.all(isclose(x1, x2, rtol, atol, equal_nan))


real = _of(convert_to_tensor, "real", lnp.real)
conj = conjugate = _of(convert_to_tensor, "conj", lnp.conj)
imag = _of(convert_to_tensor, "imag", lnp.imag)
isreal = _of(convert_to_tensor, "isreal", lnp.isreal)
angle = _of(as_float, "angle", lnp.angle)


def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """For each element, of the first condition that holds its choice, else the default."""
    choices = promoted(*choicelist, default)
    out = choices[-1]
    for condition, choice in reversed(list(zip(condlist, choices))):
        out = lnp.where(convert_to_tensor(condition), choice, out)
    return out


def gcd(x1: Any, x2: Any) -> Any:
    """The greatest common divisor of integers, by Euclid's algorithm."""
    a, b = promoted(x1, x2)
    if a.dtype.kind not in "iu":
        raise TypeError(f"gcd is of integers, got {a.dtype}")
    shape = np.broadcast_shapes(a.shape, b.shape)
    start = lnp.broadcast_to(a, shape), lnp.broadcast_to(b, shape)

    def divided(a: Any, b: Any) -> tuple[Any, Any]:
        ended = b == 0
        return lnp.where(ended, a, b), lnp.where(ended, 0, a % lnp.where(ended, 1, b))

    return lnp.abs(while_loop(lambda a, b: lnp.any(b != 0), divided, start)[0])


def lcm(x1: Any, x2: Any) -> Any:
    """The least common multiple of integers; 0 if one of them is."""
    a, b = promoted(x1, x2)
    divisor = gcd(a, b)
    return lnp.where(divisor == 0, divisor, lnp.abs(a // lnp.maximum(divisor, 1) * b))


def nextafter(x1: Any, x2: Any) -> Any:
    return lnp.nextafter(*promoted(x1, x2, also=float))


def i0(x: Any) -> Any:
    x = convert_to_tensor(x)
    return lnp.i0(convert_to_tensor(x, "float64") if x.dtype == np.int64 else as_float(x))


def view(x: Any, dtype: Any = None) -> Any:
    """The same bytes as elements of another dtype, of which the last axis has more or fewer; the lowest come first.

    Raises ValueError if they do not fill it.
    """
    x = convert_to_tensor(x)
    target = convert_to_tensor(0, dtype).dtype if dtype is not None else x.dtype
    given, wanted = x.dtype.itemsize, target.itemsize
    if x.dtype == target:
        return x
    if given != wanted and (not x.shape or x.shape[-1] * given % wanted):
        raise ValueError(f"view: the bytes of {x.dtype}{list(x.shape)} make no whole elements of {target} in the last axis")
    bits = lnp.astype(x, "uint8") if x.dtype.kind == "b" else bitcast_convert_type(x, f"uint{8 * given}")
    if wanted < given:
        bits = _taken_apart(bits, wanted)
    elif wanted > given:
        bits = _put_together(bits, wanted // given)
    return lnp.not_equal(bits, 0) if target.kind == "b" else bitcast_convert_type(bits, target)


def _taken_apart(bits: Any, size: int) -> Any:
    """Unsigned ints as several of ``size`` bytes each."""
    shifts = np.arange(0, 8 * bits.dtype.itemsize, 8 * size, dtype=bits.dtype)
    parts = lnp.astype(lnp.right_shift(lnp.expand_dims(bits, -1), shifts), f"uint{8 * size}")
    return lnp.reshape(parts, (*bits.shape[:-1], bits.shape[-1] * len(shifts)))


def _put_together(bits: Any, count: int) -> Any:
    """``count`` unsigned ints at a time as a wider one: their bits have none in common, so a sum joins them."""
    wide = np.dtype(f"uint{8 * count * bits.dtype.itemsize}")
    parts = lnp.astype(lnp.reshape(bits, (*bits.shape[:-1], bits.shape[-1] // count, count)), wide)
    shifts = np.arange(count, dtype=wide) * wide.type(8 * bits.dtype.itemsize)
    return lnp.sum(lnp.left_shift(parts, shifts), -1, dtype=wide)


__all__ = [
    "abs", "absolute", "add", "allclose", "angle", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh",
    "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor",
    "cbrt", "ceil", "clip", "conj", "conjugate", "cos", "cosh", "deg2rad", "divide", "divide_no_nan", "equal", "exp", "exp2",
    "expm1", "fabs", "floor", "floor_divide", "fmax", "fmin", "fmod", "gcd", "greater", "greater_equal", "heaviside", "hypot",
    "i0", "imag", "isclose", "isfinite", "isinf", "isnan", "isneginf", "isposinf", "isreal", "lcm", "ldexp", "left_shift",
    "less", "less_equal", "log", "log10", "log1p", "log2", "logaddexp", "logaddexp2", "logical_and", "logical_not",
    "logical_or", "logical_xor", "maximum", "minimum", "mod", "multiply", "nan_to_num", "negative", "nextafter", "nonzero",
    "not_equal", "power", "rad2deg", "real", "reciprocal", "right_shift", "round", "select", "sign", "signbit", "sin", "sinc",
    "sinh", "sqrt", "square", "subtract", "tan", "tanh", "true_divide", "trunc", "view", "where",
]
