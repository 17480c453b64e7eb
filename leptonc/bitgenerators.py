"""``lax.rng_bit_generator``: bits of XLA's two counter-based generators, and the key with its counter moved on.

A key is two u64: what encrypts, and where the counter stands.
"""

from __future__ import annotations

import enum
from math import prod
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import array
from leptonc.arguments import shape as shape_of
from leptonc.errors import ArgumentError, DtypeError, op_error
from leptonc.promotion import numpy_dtype
from leptonc.public import publish
from leptonc.trace import bind

LOW = np.uint64(0xFFFFFFFF)
ROUNDS = 10
KEY_STEPS = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)
MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)


class RandomAlgorithm(enum.IntEnum):
    """Generators of ``rng_bit_generator``; the default is Philox, as XLA's is on CPUs."""

    RNG_DEFAULT = 0
    RNG_THREE_FRY = 1
    RNG_PHILOX = 2


def rng_bit_generator(key: Any, shape: Any, dtype: Any = np.uint32,
                      algorithm: RandomAlgorithm = RandomAlgorithm.RNG_DEFAULT) -> tuple[Any, Any]:
    """(the next key, random bits of a ``shape``) of a key u32[4] or u64[2]: XLA's bits on CPUs, of Philox 4x32 in 10 rounds or
    Threefry 2x32 in 20 (Salmon and others 2011). ``dtype`` is one of u8 ... u64, of which the short ones take the low bits of u32.

    Raises ArgumentError or DtypeError.
    """
    name = "rng_bit_generator"
    given, wanted = array(name, "key", key), numpy_dtype(dtype, name)
    if (given.dtype, tuple(given.shape)) not in ((np.dtype(np.uint32), (4,)), (np.dtype(np.uint64), (2,))):
        raise op_error(name, "key must be u32[4] or u64[2]", {"key": given}, kind=DtypeError)
    if wanted.kind != "u":
        raise op_error(name, f"dtype {wanted} must be uint8, uint16, uint32 or uint64", {}, kind=DtypeError)
    if not isinstance(algorithm, int) or algorithm not in tuple(RandomAlgorithm):
        raise op_error(name, f"algorithm={algorithm!r} must be one of lax.RandomAlgorithm", {}, kind=ArgumentError)
    sizes = shape_of(name, shape, wanted.itemsize)
    pair = [given[n:n + 1] for n in range(given.shape[0])]  # arrays: NumPy warns of numbers that overflow
    secret, counter = pair if len(pair) == 2 else (_joined(*pair[:2]), _joined(*pair[2:]))
    make = _threefry if algorithm == RandomAlgorithm.RNG_THREE_FRY else _philox
    bits, used = make(secret, counter, sizes, wanted.itemsize == 8)
    moved = counter + np.uint64(used)
    words = (secret, moved) if len(pair) == 2 else (*_words(secret), *_words(moved))
    return lnp.concatenate(words), lnp.astype(bits, wanted)


def _joined(low: Any, high: Any) -> Any:
    """u64 of two u32."""
    return lnp.astype(low, np.uint64) | (lnp.astype(high, np.uint64) << np.uint64(32))


def _words(x: Any) -> tuple[Any, Any]:
    """Of u64 the low u32 and the high one."""
    return lnp.astype(x & LOW, np.uint32), lnp.astype(x >> np.uint64(32), np.uint32)


def _counted(counter: Any, count: int) -> Any:
    return counter + np.arange(count, dtype=np.uint64)


def _threefry(secret: Any, counter: Any, shape: tuple[int, ...], wide: bool) -> tuple[Any, int]:
    """Bits of a shape, u32 or, if ``wide``, u64, and how far the counter moves. For u32 both words are used, side by side along the
    first axis of an even length, or else the longest one."""
    sizes = list(shape or (1,))
    axis = next((n for n, size in enumerate(sizes) if size % 2 == 0), int(np.argmax(sizes)))
    half = [-(-size // 2) if n == axis and not wide else size for n, size in enumerate(sizes)]
    (x0, x1), (k0, k1) = _words(_counted(counter, prod(half))), _words(secret)
    both = bind("threefry2x32", *(lnp.broadcast_to(x, (prod(half),)) for x in (k0, k1, x0, x1)))
    second, first = _words(both)
    if wide:
        return lnp.reshape(_joined(first, second), shape), prod(half)
    pairs = lnp.stack([lnp.reshape(first, half), lnp.reshape(second, half)], axis=axis + 1)
    whole = lnp.reshape(pairs, [2 * size if n == axis else size for n, size in enumerate(half)])
    cut = tuple(slice(0, size) for size in sizes)
    return lnp.reshape(whole[cut], shape), prod(half)


def _philox(secret: Any, counter: Any, shape: tuple[int, ...], wide: bool) -> tuple[Any, int]:
    """Bits of a shape, u32 or, if ``wide``, u64, and how far the counter moves: 128 bits at each place of it, in order. The key
    stands in the upper half of the counter too."""
    count = prod(shape)
    blocks = -(-count // (2 if wide else 4))
    low = _counted(counter, blocks)
    high = secret + lnp.astype(low < counter, np.uint64)
    x, key = [*_words(low), *_words(high)], list(_words(secret))
    for _ in range(ROUNDS):
        first, second = (lnp.astype(x[n], np.uint64) * by for n, by in zip((0, 2), MULTIPLIERS))
        (low0, high0), (low1, high1) = _words(first), _words(second)
        x = [high1 ^ x[1] ^ key[0], low1, high0 ^ x[3] ^ key[1], low0]
        key = [k + step for k, step in zip(key, KEY_STEPS)]
    lines = [_joined(x[0], x[1]), _joined(x[2], x[3])] if wide else x
    return lnp.reshape(lnp.reshape(lnp.stack(lines, axis=1), (-1,))[:count], shape), blocks


__all__ = ["RandomAlgorithm", "rng_bit_generator"]

publish(globals(), __all__)
