"""lax.rng_bit_generator gives the bits that XLA gives on CPUs, and its next key."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import lax
from leptonc.errors import ArgumentError, DtypeError

KEY = np.array([1, 2, 3, 4], np.uint32)
THREEFRY, PHILOX = lax.RandomAlgorithm.RNG_THREE_FRY, lax.RandomAlgorithm.RNG_PHILOX
WORDS = {  # of jax 0.10.2
    (THREEFRY, (5,)): ([1, 2, 6, 4], [0x5df433ec, 0x8617198e, 0x2c24a8a8, 0x9094fa5e, 0x91386643]),
    (THREEFRY, (2, 3)): ([1, 2, 6, 4], [0x5df433ec, 0x2c24a8a8, 0x91386643, 0x8617198e, 0x9094fa5e, 0x59491919]),
    (THREEFRY, ()): ([1, 2, 4, 4], [0x5df433ec]),
    (PHILOX, (2, 3)): ([1, 2, 5, 4], [0x1e8fe864, 0x4d5e0bd7, 0x4b87c9be, 0x2d689201, 0x5273487b, 0x61c05696]),
    (PHILOX, ()): ([1, 2, 4, 4], [0x1e8fe864]),
}


@pytest.mark.parametrize("algorithm, shape", WORDS)
def test_bits_are_xlas(algorithm, shape):
    for f in (lax.rng_bit_generator, leptonc.jit(lax.rng_bit_generator, static_argnums=(1, 2, 3))):
        key, bits = f(KEY, shape, np.uint32, algorithm)
        wanted, words = WORDS[algorithm, shape]
        assert (key.dtype, bits.dtype, bits.shape) == (np.uint32, np.uint32, shape)
        assert key.tolist() == wanted and np.ravel(bits).tolist() == words


def test_short_and_long_words():
    for algorithm in (THREEFRY, PHILOX):
        _, words = lax.rng_bit_generator(KEY, (3, 3), algorithm=algorithm)
        for dtype in (np.uint8, np.uint16):
            key, bits = lax.rng_bit_generator(KEY, (3, 3), dtype, algorithm)
            assert bits.dtype == dtype and (bits == words.astype(dtype)).all()
    _, wide = lax.rng_bit_generator(KEY, (2,), np.uint64, THREEFRY)
    assert wide.tolist() == [0x8617198e5df433ec, 0x9094fa5e2c24a8a8]
    key, wide = lax.rng_bit_generator(KEY, (3,), np.uint64)
    assert wide.tolist() == [0x4d5e0bd71e8fe864, 0x2d6892014b87c9be, 0x61c056965273487b] and key.tolist() == [1, 2, 5, 4]


def test_keys_of_two_words_and_counters_that_overflow():
    pair = np.array([1 + (2 << 32), 3 + (4 << 32)], np.uint64)
    for algorithm in (THREEFRY, PHILOX):
        key, bits = lax.rng_bit_generator(pair, (7,), algorithm=algorithm)
        assert key.dtype == np.uint64 and (bits == lax.rng_bit_generator(KEY, (7,), algorithm=algorithm)[1]).all()
    last = np.array([5, 2**64 - 1], np.uint64)
    key, bits = lax.rng_bit_generator(last, (8,))
    assert key.tolist() == [5, 1]
    assert (bits[:4] == lax.rng_bit_generator(last, (4,))[1]).all()


def test_batches_and_nothing():
    keys = np.stack([KEY, KEY + 1])
    moved, bits = leptonc.vmap(lambda k: lax.rng_bit_generator(k, (2, 3)))(keys)
    for n, key in enumerate(keys):
        wanted = lax.rng_bit_generator(key, (2, 3))
        assert (moved[n] == wanted[0]).all() and (bits[n] == wanted[1]).all()
    assert lax.rng_bit_generator(KEY, (0, 3))[1].shape == (0, 3)
    assert (lax.rng_bit_generator(KEY, (0, 3), algorithm=THREEFRY)[0] == KEY).all()


@pytest.mark.parametrize("call, error, said", [
    (lambda: lax.rng_bit_generator(KEY[:2], (2,)), DtypeError, r"key must be u32\[4\] or u64\[2\]"),
    (lambda: lax.rng_bit_generator(KEY.astype(np.int32), (2,)), DtypeError, r"key must be u32\[4\] or u64\[2\]"),
    (lambda: lax.rng_bit_generator(KEY, (2,), np.int32), DtypeError, "must be uint8"),
    (lambda: lax.rng_bit_generator(KEY, (2,), algorithm=7), ArgumentError, "lax.RandomAlgorithm"),
])
def test_wrong_calls(call, error, said):
    with pytest.raises(error, match=said):
        call()
