"""Keys, and what makes keys of keys. A key is an array u32[2]; JAX's new-style key arrays have no type of their own here."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import array, choice, integer
from leptonc.arguments import shape as shape_of
from leptonc.bfloat16 import kind_of
from leptonc.errors import DtypeError, op_error
from leptonc.trace import Tracer, align, bind, known

Key = Any


def _check_impl(name: str, impl: Any) -> None:
    if impl is not None:
        choice(name, "impl", impl, ("threefry2x32",))


def key(seed: Any, *, impl: str | None = None) -> Key:
    """u32[2] from an int seed of up to 64 bits, known or traced: its high and its low half, as JAX with 64-bit types enabled.
    ``impl``: "threefry2x32", the only one."""
    _check_impl("key", impl)
    if isinstance(seed, Tracer) and not seed.shape and seed.dtype.kind in "iu":
        wide = lnp.astype(seed, np.uint64)
        return lnp.stack(halves(wide), 0)
    number = integer("key", "seed", np.asarray(seed) if isinstance(seed, np.ndarray) else seed) % 2**64
    return known(np.array([number >> 32, number & 0xFFFFFFFF], np.uint32), (seed,))


def PRNGKey(seed: Any, *, impl: str | None = None) -> Key:
    """JAX's older name of ``key``: the same array."""
    return key(seed, impl=impl)


def key_data(keys: Any) -> Any:
    """The words of keys, u32[..., 2]: keys are their words."""
    return _checked("key_data", keys)


def wrap_key_data(key_bits_array: Any, *, impl: str | None = None) -> Any:
    """Keys of words u32[..., 2], which they are."""
    _check_impl("wrap_key_data", impl)
    return _checked("wrap_key_data", key_bits_array)


def clone(key: Key) -> Key:
    """The key again: there are no checks of whether one is used twice."""
    return _checked("clone", key)


def key_impl(keys: Any) -> str:
    """How keys make bits: there is one way, "threefry2x32"."""
    _checked("key_impl", keys)
    return "threefry2x32"


def _checked(name: str, keys: Any) -> Any:
    words = array(name, "keys", keys)
    if words.dtype != np.uint32 or tuple(words.shape[-1:]) != (2,):
        raise op_error(name, "keys must be u32[..., 2]", {"keys": words}, kind=DtypeError)
    return words


def check_key(name: str, key: Any) -> None:
    if not isinstance(key, Tracer | np.ndarray) or tuple(key.shape) != (2,) or key.dtype != np.uint32:
        raise op_error(name, "key must be u32[2]", {"key": key}, "make one with leptonc.random.key(seed)", DtypeError)


def encrypted(key: Key, x0: Any, x1: Any) -> Any:
    """u64: the words made of two u32 counters, the first in the high half."""
    return bind("threefry2x32", *align("threefry2x32", key[0], key[1], x0, x1))


def halves(words: Any) -> tuple[Any, Any]:
    """The high and low u32 of u64."""
    return lnp.astype(lnp.right_shift(words, np.uint64(32)), np.uint32), lnp.astype(words, np.uint32)


def threefry(key: Key, x0: Any, x1: Any) -> tuple[Any, Any]:
    """Two u32 arrays encrypted with a key u32[2]."""
    check_key("threefry", key)
    x0, x1 = (array("threefry", what, x) for what, x in (("x0", x0), ("x1", x1)))
    if x0.dtype != np.uint32 or x1.dtype != np.uint32:
        raise op_error("threefry", "encrypts u32", {"x0": x0, "x1": x1}, kind=DtypeError)
    return halves(encrypted(key, x0, x1))


def split(key: Key, num: Any = 2) -> Any:
    """u32[num, 2], or u32[*num, 2] for a tuple: independent keys."""
    check_key("split", key)
    extents = shape_of("split", num if isinstance(num, tuple | list) else (integer("split", "num", num, least=0),), what="num")
    counters = np.arange(prod(extents), dtype=np.uint32)
    return lnp.reshape(lnp.stack(halves(encrypted(key, np.uint32(0), counters)), 1), (*extents, 2))


def pieces(key: Key, num: int = 2) -> tuple[Key, ...]:
    """The keys of ``split``, one by one."""
    keys = split(key, num)
    return tuple(keys[n] for n in range(num))


def fold_in(key: Key, data: Any) -> Key:
    """A key that depends on ``data``, an int, too."""
    check_key("fold_in", key)
    data = array("fold_in", "data", data)
    if kind_of(data.dtype) not in "iu" or data.shape:
        raise op_error("fold_in", "data must be one int", {"data": data}, kind=DtypeError)
    return lnp.stack(halves(encrypted(key, np.uint32(0), lnp.astype(data, np.uint32))), 0)
