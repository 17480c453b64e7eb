"""Arrays of random words, and what is a function of one word each.

Element n of a draw is made of counter n, split into two u32: JAX's ``jax_threefry_partitionable``. So large known draws can be made
in blocks by one compiled program for every size.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import array, floats
from leptonc.arguments import shape as shape_of
from leptonc.bfloat16 import FORMATS, is_narrow, kind_of
from leptonc.eager import jit_disabled, plain
from leptonc.errors import ArgumentError, DtypeError, op_error
from leptonc.memory import placed
from leptonc.promotion import numpy_dtype
from leptonc.random.keys import check_key, encrypted, halves
from leptonc.scan import scan
from leptonc.trace import Tracer, align, bind, broadcast, cast, known, tracing

BLOCK = 1 << 16  # counters in a call of compiled code; divides 2^32, so that no block carries from the low word to the high one
LARGE = 2 * BLOCK  # elements from which it is worth compiling
MANTISSA = {"float16": 10, "float32": 23, "float64": 52, **{name: f.mantissa for name, f in FORMATS.items()}}

Form = Callable[..., Any]


def draw(name: str, key: Any, shape: Any, kind: np.dtype, form: Form, *numbers: Any) -> Any:
    """``form`` of an array of u64 words, a dtype and numbers: elementwise, and a function of a module, for it is compiled once."""
    check_key(name, key)
    extents = shape_of(name, shape)
    size = prod(extents)
    if size >= LARGE and not isinstance(key, Tracer) and not tracing() and not jit_disabled():
        return known(_in_blocks(plain(key), size, kind, form, numbers).reshape(extents))
    return stored(lnp.reshape(form(_words(key, size), kind, *numbers), extents))


def stored(x: Any) -> Any:
    """A known array where the runtime wants it."""
    return known(placed(plain(x)), (x,)) if isinstance(x, np.ndarray) else x


def _words(key: Any, size: int) -> Any:
    if size <= 2**32:
        return encrypted(key, np.uint32(0), np.arange(size, dtype=np.uint32))
    return encrypted(key, *halves(np.arange(size, dtype=np.uint64)))


def _in_blocks(key: np.ndarray, size: int, kind: np.dtype, form: Form, numbers: tuple[Any, ...]) -> np.ndarray:
    """One native run that writes block after block where it belongs; the last one is cut."""
    starts = np.arange(0, size, BLOCK, dtype=np.uint64)
    halved = (starts >> np.uint64(32)).astype(np.uint32), starts.astype(np.uint32)
    _, blocks = scan(_block(kind, form), (key, *plain(numbers)), halved)
    out: np.ndarray = blocks.reshape(-1)[:size]
    return out


@functools.cache
def _block(kind: np.dtype, form: Form) -> Any:
    def block(carry: Any, start: Any) -> Any:
        key, *numbers = carry
        high, low = start
        return carry, form(encrypted(key, high, lnp.add(np.arange(BLOCK, dtype=np.uint32), low)), kind, *numbers)

    return block


def words_of(words: Any, kind: np.dtype) -> Any:
    """Unsigned ints of 8 to 64 bits."""
    if kind.itemsize == 8:
        return words
    return lnp.astype(lnp.bitwise_xor(*halves(words)), kind)


def unit_of(words: Any, kind: np.dtype) -> Any:
    """Floats in [0, 1) in steps of the dtype's epsilon: the mantissas of numbers in [1, 2), less 1."""
    digits = MANTISSA[kind.name]
    width = 8 if kind.name in FORMATS else 8 * kind.itemsize
    word = words_of(words, np.dtype(f"u{width // 8}"))
    high = lnp.right_shift(word, word.dtype.type(width - digits))
    wide = np.dtype(np.float64 if kind == np.float64 else np.float32)
    # The sign is never set: signed ints become floats in one instruction.
    signed = lnp.astype(high, np.int64 if kind == np.float64 else np.int32)
    return lnp.astype(lnp.multiply(lnp.astype(signed, wide), wide.type(2.0**-digits)), kind)


def between(unit: Any, low: Any, high: Any) -> Any:
    """``unit`` scaled from [0, 1) to [low, high), rounded as JAX does: once, but floats of 16 bits and 8 after each step."""
    span = lnp.subtract(high, low)
    if is_narrow(unit.dtype):
        return lnp.maximum(low, lnp.add(lnp.multiply(unit, span), low))
    return lnp.maximum(low, bind("fma", *align("fma", unit, span, low)))


def bits(key: Any, shape: Sequence[int] = (), dtype: Any = np.uint32) -> Any:
    """Uniform unsigned ints of a shape; dtype u8 to u64."""
    kind = numpy_dtype(np.uint32 if dtype is None else dtype, "bits")
    if kind_of(kind) != "u":
        raise op_error("bits", f"dtype must be an unsigned int, got {kind}", {}, kind=DtypeError)
    return draw("bits", key, shape, kind, words_of)


def uniform(key: Any, shape: Sequence[int] = (), dtype: Any = np.float32, minval: Any = 0.0, maxval: Any = 1.0) -> Any:
    """Uniform in [minval, maxval), numbers or arrays that stretch to ``shape``, in steps of (maxval - minval) times the dtype's
    epsilon: 2^-23 (f32), 2^-52 (f64), 2^-10 (f16) or 2^-7 (bf16)."""
    kind = floats("uniform", "dtype", dtype)
    if all(type(v) in (int, float) for v in (minval, maxval)) and (minval, maxval) == (0, 1):
        return draw("uniform", key, shape, kind, unit_of)
    extents = shape_of("uniform", shape)
    low, high = (parameter("uniform", what, v, extents, kind) for what, v in (("minval", minval), ("maxval", maxval)))
    if not low.shape and not high.shape:
        return draw("uniform", key, extents, kind, _between_of, low, high)
    return stored(between(draw("uniform", key, extents, kind, unit_of), low, high))


def _between_of(words: Any, kind: np.dtype, low: Any, high: Any) -> Any:
    return between(unit_of(words, kind), low, high)


def parameter(name: str, what: str, value: Any, shape: Any, kind: np.dtype) -> Any:
    """A number, or an array that stretches to ``shape``, in the dtype drawn. Raises DtypeError or ShapeError."""
    found = array(name, what, value)
    if kind_of(found.dtype) not in "iuf":
        raise op_error(name, f"{what} must be numbers", {what: found}, kind=DtypeError)
    found = cast(found, kind)
    return broadcast(found, tuple(shape)) if found.shape else found


def shape_or(name: str, shape: Any, *parameters: Any) -> tuple[int, ...]:
    """``shape``, or for None that of the parameters stretched to one another."""
    if shape is not None:
        return shape_of(name, shape)
    try:
        return np.broadcast_shapes(*(array(name, f"parameter {n}", p).shape for n, p in enumerate(parameters)))
    except ValueError:
        raise op_error(name, "parameters do not broadcast together", dict(zip("abcd", parameters)), kind=ArgumentError) from None


def stopped(x: Any) -> Any:
    """x as a constant to differentiation."""
    return bind("stop_gradient", x)
