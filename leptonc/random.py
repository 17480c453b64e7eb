"""Random numbers from counters: a key and a shape decide every bit, traced or not, on any number of threads.

Threefry-2x32 with 20 rounds (Salmon et al. 2011). A key is two u32.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import array, floats, integer, scalar
from leptonc.arguments import shape as shape_of
from leptonc.bfloat16 import is_narrow
from leptonc.eager import jit_disabled, plain
from leptonc.errors import ArgumentError, DtypeError, op_error
from leptonc.jit import jit
from leptonc.memory import empty, placed
from leptonc.promotion import is_weak
from leptonc.public import publish
from leptonc.trace import Tracer, bind, known, tracing

_DIGITS = {"float16": 11, "bfloat16": 8}
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
BLOCK = 1 << 16  # counters in a call of compiled code
LARGE = 2 * BLOCK  # pairs of numbers from which it is worth compiling


def key(seed: int) -> Any:
    """u32[2] from an int seed of up to 64 bits."""
    number = integer("key", "seed", seed) % 2**64
    return known(np.array([number >> 32, number & 0xFFFFFFFF], np.uint32))


def _rotate(x: Any, bits: int) -> Any:
    return lnp.bitwise_or(lnp.left_shift(x, np.uint32(bits)), lnp.right_shift(x, np.uint32(32 - bits)))


def threefry(key: Any, x0: Any, x1: Any) -> tuple[Any, Any]:
    """Two u32 arrays encrypted with a key u32[2]."""
    _check(key, "threefry")
    x0, x1 = (array("threefry", what, x) for what, x in (("x0", x0), ("x1", x1)))
    if x0.dtype != np.uint32 or x1.dtype != np.uint32:
        raise op_error("threefry", "encrypts u32", {"x0": x0, "x1": x1}, kind=DtypeError)
    k0, k1 = key[0], key[1]
    schedule = (k0, k1, lnp.bitwise_xor(lnp.bitwise_xor(k0, k1), np.uint32(_PARITY)))
    x0, x1 = lnp.add(x0, k0), lnp.add(x1, k1)
    for turn in range(5):
        for bits in _ROTATIONS[turn % 2]:
            x0 = lnp.add(x0, x1)
            x1 = lnp.bitwise_xor(_rotate(x1, bits), x0)
        x0 = lnp.add(x0, schedule[(turn + 1) % 3])
        x1 = lnp.add(lnp.add(x1, schedule[(turn + 2) % 3]), np.uint32(turn + 1))
    return x0, x1


def _counters(size: int) -> Any:
    return np.arange(size, dtype=np.uint32)


def split(key: Any, num: int = 2) -> Any:
    """u32[num, 2]: independent keys."""
    _check(key, "split")
    shape_of("split", integer("split", "num", num, least=0))
    pair = threefry(key, _counters(num), np.full(num, 0xFFFFFFFF, np.uint32))
    return lnp.stack(pair, 1)


def fold_in(key: Any, data: Any) -> Any:
    """A key that depends on ``data``, an int, too."""
    _check(key, "fold_in")
    data = array("fold_in", "data", data)
    if data.dtype.kind not in "iu" or data.shape:
        raise op_error("fold_in", "data must be one int", {"data": data}, kind=DtypeError)
    number = lnp.astype(data, np.uint32)
    return lnp.stack(threefry(key, number, np.uint32(0xFFFFFFFE)), 0)


def _check(key: Any, name: str) -> None:
    if not isinstance(key, Tracer | np.ndarray) or tuple(key.shape) != (2,) or key.dtype != np.uint32:
        raise op_error(name, "key must be u32[2]", {"key": key}, "make one with leptonc.random.key(seed)", DtypeError)


def bits(key: Any, shape: Sequence[int] = ()) -> Any:
    """Uniform u32 of a shape."""
    return _drawn("bits", key, shape, np.dtype(np.uint32))


def _drawn(name: str, key: Any, shape: Sequence[int], kind: np.dtype, digits: int = 24) -> Any:
    """u32 of all bits, or f64 or f32 in [0, 1), the latter in steps of 2^-``digits``."""
    _check(key, name)
    extents = shape_of(name, shape)
    size = prod(extents)
    half = -(-size // 2)
    if half >= LARGE and not isinstance(key, Tracer) and not tracing() and not jit_disabled():
        return known(_in_blocks(plain(key), half, kind, digits)[:size].reshape(extents))
    pair = lnp.concatenate(threefry(key, _counters(half), np.arange(half, 2 * half, dtype=np.uint32)), 0)
    return _placed(_unit(lnp.reshape(pair[:size], extents), kind, digits))


def _unit(raw: Any, kind: np.dtype, digits: int) -> Any:
    """u32 as it is, or as a float in [0, 1)."""
    if kind == np.float32:
        return lnp.multiply(lnp.astype(lnp.right_shift(raw, np.uint32(32 - digits)), np.float32), np.float32(2.0**-digits))
    return raw if kind == np.uint32 else lnp.multiply(lnp.astype(raw, np.float64), 2.0**-32)


def _in_blocks(key: np.ndarray, half: int, kind: np.dtype, digits: int) -> np.ndarray:
    """What 2 * half counters give, by compiled code: one program for every size."""
    out = empty((2 * half,), kind)
    block = _block(kind, digits)
    for start in range(0, half, BLOCK):
        first, second = block(key, np.uint32(start), np.uint32(half))
        stop = min(start + BLOCK, half)
        out[start:stop] = first[:stop - start]
        out[half + start:half + stop] = second[:stop - start]
    return out


@functools.cache
def _block(kind: np.dtype, digits: int) -> Any:
    @jit
    def block(key: Any, start: Any, half: Any) -> Any:
        places = lnp.add(_counters(BLOCK), start)
        return [_unit(x, kind, digits) for x in threefry(key, places, lnp.add(places, half))]

    return block


def uniform(key: Any, shape: Sequence[int] = (), dtype: Any = np.float32, minval: float = 0.0, maxval: float = 1.0) -> Any:
    """Uniform in [minval, maxval), in steps of 2^-24 (f32), 2^-32 (f64), 2^-11 (f16) or 2^-8 (bf16)."""
    kind = floats("uniform", "dtype", dtype)
    scalar("uniform", "minval", minval)
    scalar("uniform", "maxval", maxval)
    whole = all(type(v) in (int, float) for v in (minval, maxval)) and (minval, maxval) == (0, 1)
    # So many digits that the greatest number is less than 1 in the dtype asked for.
    unit = _drawn("uniform", key, shape, np.dtype(np.float32) if is_narrow(kind) else kind, _DIGITS.get(kind.name, 24))
    scaled = unit if whole else unit * (maxval - minval) + minval
    if is_narrow(kind):
        scaled = lnp.astype(scaled, kind)
    return scaled if whole and not is_narrow(kind) else _placed(scaled)


def _placed(x: Any) -> Any:
    return known(placed(plain(x))) if isinstance(x, np.ndarray) else x


def normal(key: Any, shape: Sequence[int] = (), dtype: Any = np.float32) -> Any:
    """Standard normal (Box and Muller 1958)."""
    kind = floats("normal", "dtype", dtype)
    if is_narrow(kind):
        return _placed(lnp.astype(normal(key, shape), kind))
    first, second = (uniform(k, shape, kind) for k in _pair(key))
    radius = lnp.sqrt(-2 * lnp.log1p(-first))
    return _placed(radius * lnp.cos(second * (2 * np.pi)))


def _pair(key: Any) -> tuple[Any, Any]:
    keys = split(key)
    return keys[0], keys[1]


def bernoulli(key: Any, p: Any = 0.5, shape: Sequence[int] | None = None) -> Any:
    """True with probability p, each element drawn on its own; ``shape`` is that of p if left out."""
    chance = p if is_weak(p) else array("bernoulli", "p", p)
    if not isinstance(chance, Tracer) and not (np.greater_equal(chance, 0) & np.less_equal(chance, 1)).all():
        raise op_error("bernoulli", "p must be from 0 to 1", {"p": chance}, kind=ArgumentError)
    return lnp.less(uniform(key, getattr(chance, "shape", ()) if shape is None else shape), chance)


def randint(key: Any, shape: Sequence[int], minval: int, maxval: int) -> Any:
    """Ints (i32) in [minval, maxval); the bias is below (maxval - minval) / 2^32. Raises ShapeError if there are none."""
    low = integer("randint", "minval", minval, least=-(2**31), most=2**31 - 1)
    high = integer("randint", "maxval", maxval, least=low + 1, most=2**31)
    raw = bits(key, shape)
    within = raw if high - low == 2**32 else lnp.remainder(raw, np.uint32(high - low))
    return lnp.astype(within, np.int32) + np.int32(low)


def exponential(key: Any, shape: Sequence[int] = (), dtype: Any = np.float32) -> Any:
    """Exponential with mean 1."""
    kind = floats("exponential", "dtype", dtype)
    if is_narrow(kind):
        return _placed(lnp.astype(exponential(key, shape), kind))
    return bind("neg", lnp.log1p(-uniform(key, shape, dtype)))


__all__ = ["bernoulli", "bits", "exponential", "fold_in", "key", "normal", "randint", "split", "threefry", "uniform"]

publish(globals(), __all__)
