"""Random numbers from counters: a key and a shape decide every bit, traced or not, on any number of threads.

Threefry-2x32 with 20 rounds (Salmon et al. 2011). A key is two u32.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.errors import DtypeError, op_error
from leptonc.memory import placed
from leptonc.promotion import numpy_dtype
from leptonc.trace import bind, locate

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


def key(seed: int) -> np.ndarray:
    """u32[2] from an int seed of up to 64 bits."""
    seed = int(seed) % 2**64
    return np.array([seed >> 32, seed & 0xFFFFFFFF], np.uint32)


def _rotate(x: Any, bits: int) -> Any:
    return lnp.bitwise_or(lnp.left_shift(x, np.uint32(bits)), lnp.right_shift(x, np.uint32(32 - bits)))


def threefry(key: Any, x0: Any, x1: Any) -> tuple[Any, Any]:
    """Two u32 arrays encrypted with a key u32[2]."""
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
    pair = threefry(key, _counters(num), np.full(num, 0xFFFFFFFF, np.uint32))
    return lnp.stack(pair, 1)


def fold_in(key: Any, data: Any) -> Any:
    """A key that depends on ``data``, an int, too."""
    _check(key, "fold_in")
    number = lnp.astype(data, np.uint32)
    return lnp.stack(threefry(key, number, np.uint32(0xFFFFFFFE)), 0)


def _check(key: Any, name: str) -> None:
    if tuple(key.shape) != (2,) or key.dtype != np.uint32:
        raise op_error(name, "key must be u32[2]", {"key": key}, locate(), "make one with leptonc.random.key(seed)", DtypeError)


def bits(key: Any, shape: Sequence[int] = ()) -> Any:
    """Uniform u32 of a shape."""
    _check(key, "bits")
    size = prod(shape)
    half = -(-size // 2)
    pair = lnp.concatenate(threefry(key, _counters(half), np.arange(half, 2 * half, dtype=np.uint32)), 0)
    return lnp.reshape(pair[:size], tuple(shape))


def uniform(key: Any, shape: Sequence[int] = (), dtype: Any = np.float32, minval: float = 0.0, maxval: float = 1.0) -> Any:
    """Uniform in [minval, maxval), in steps of 2^-24 (f32) or 2^-32 (f64)."""
    kind = _float(dtype, "uniform")
    raw = bits(key, shape)
    if kind == np.float32:
        unit = lnp.multiply(lnp.astype(lnp.right_shift(raw, np.uint32(8)), np.float32), np.float32(2.0**-24))
    else:
        unit = lnp.multiply(lnp.astype(raw, np.float64), 2.0**-32)
    return _placed(unit * (maxval - minval) + minval if (minval, maxval) != (0.0, 1.0) else unit)


def _placed(x: Any) -> Any:
    return placed(x) if isinstance(x, np.ndarray) else x


def _float(dtype: Any, name: str) -> np.dtype:
    kind = numpy_dtype(dtype, name)
    if kind.kind != "f":
        raise op_error(name, f"dtype must be a float, got {kind}", {}, locate(), kind=DtypeError)
    return kind


def normal(key: Any, shape: Sequence[int] = (), dtype: Any = np.float32) -> Any:
    """Standard normal (Box and Muller 1958)."""
    kind = _float(dtype, "normal")
    first, second = (uniform(k, shape, kind) for k in _pair(key))
    radius = lnp.sqrt(-2 * lnp.log1p(-first))
    return _placed(radius * lnp.cos(second * (2 * np.pi)))


def _pair(key: Any) -> tuple[Any, Any]:
    keys = split(key)
    return keys[0], keys[1]


def bernoulli(key: Any, p: Any = 0.5, shape: Sequence[int] = ()) -> Any:
    """True with probability p."""
    return lnp.less(uniform(key, shape), p)


def randint(key: Any, shape: Sequence[int], minval: int, maxval: int) -> Any:
    """Ints (i32) in [minval, maxval); the bias is below (maxval - minval) / 2^32."""
    span = np.uint32(int(maxval) - int(minval))
    return lnp.astype(lnp.remainder(bits(key, shape), span), np.int32) + np.int32(minval)


def exponential(key: Any, shape: Sequence[int] = (), dtype: Any = np.float32) -> Any:
    """Exponential with mean 1."""
    return bind("neg", lnp.log1p(-uniform(key, shape, dtype)))


__all__ = ["bernoulli", "bits", "exponential", "fold_in", "key", "normal", "randint", "split", "threefry", "uniform"]
