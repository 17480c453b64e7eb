"""Draws of ints, bools and elements, by JAX's formulas."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log, prod
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import array, flag, integer
from leptonc.arguments import axis as axis_of
from leptonc.arguments import choice as one_of
from leptonc.arguments import shape as shape_of
from leptonc.bfloat16 import kind_of
from leptonc.errors import ArgumentError, DtypeError, ShapeError, op_error
from leptonc.promotion import is_weak, numpy_dtype
from leptonc.random.continuous import EPS, gumbel
from leptonc.random.draws import bits, parameter, shape_or, uniform
from leptonc.random.keys import pieces
from leptonc.trace import Tracer, broadcast, known


def _ints(name: str, dtype: Any) -> np.dtype:
    kind = numpy_dtype(np.int32 if dtype is None else dtype, name)
    if kind_of(kind) not in "iu":
        raise op_error(name, f"dtype must be an int, got {kind}", {}, kind=DtypeError)
    return kind


def bernoulli(key: Any, p: Any = 0.5, shape: Sequence[int] | None = None, mode: str = "low") -> Any:
    """True with probability p, each element drawn on its own; ``shape`` is that of p if left out. ``mode`` "high" spends two draws
    on small probabilities, which "low" rounds to whole epsilons."""
    chance = p if is_weak(p) else array("bernoulli", "p", p)
    if isinstance(chance, complex) or kind_of(getattr(chance, "dtype", np.dtype(bool))) == "c":
        raise op_error("bernoulli", "p must be real", {"p": chance}, kind=DtypeError)
    if not isinstance(chance, Tracer) and not (np.greater_equal(chance, 0) & np.less_equal(chance, 1)).all():
        raise op_error("bernoulli", "p must be from 0 to 1", {"p": chance}, kind=ArgumentError)
    extents = shape_of("bernoulli", getattr(chance, "shape", ()) if shape is None else shape)
    own = getattr(chance, "dtype", np.dtype(bool))
    kind = own if not is_weak(chance) and kind_of(own) == "f" else np.dtype(np.float32)
    chance = parameter("bernoulli", "p", lnp.asarray(chance, kind), extents, kind)
    if one_of("bernoulli", "mode", mode, ("low", "high")) == "low":
        return lnp.less(uniform(key, extents, kind), chance)
    first, second = uniform(key, (2, *extents), kind)
    return lnp.less(second * EPS[kind.name], chance - first)


def rademacher(key: Any, shape: Sequence[int] = (), dtype: Any = np.int32) -> Any:
    """1 or -1, equally likely."""
    kind = numpy_dtype(np.int32 if dtype is None else dtype, "rademacher")
    return lnp.astype(lnp.where(bernoulli(key, 0.5, shape), np.int32(1), np.int32(-1)), kind)


def geometric(key: Any, p: Any, shape: Sequence[int] | None = None, dtype: Any = np.int32) -> Any:
    """The number of trials up to the first success, each of probability ``p``."""
    kind, extents = _ints("geometric", dtype), shape_or("geometric", shape, p)
    own = array("geometric", "p", p).dtype
    chance = parameter("geometric", "p", p, extents, own if kind_of(own) == "f" and not is_weak(p) else np.dtype(np.float32))
    u = uniform(key, extents, chance.dtype)
    waited = lnp.floor(lnp.log(lnp.where(u == 0, np.ones((), u.dtype), u)) / lnp.log1p(-chance)) + 1
    return lnp.astype(waited, kind)


def randint(key: Any, shape: Sequence[int], minval: Any, maxval: Any, dtype: Any = np.int32) -> Any:
    """Ints in [minval, maxval), which are ints or arrays of them that stretch to ``shape``; minval where there are none.

    Of a dtype's two draws a number of twice its bits (at least 64) is made and reduced: the bias is below the span / 2^bits.
    Raises ArgumentError for known ints outside the dtype, or with none between them.
    """
    kind = _ints("randint", dtype)
    limits = np.iinfo(kind)
    extents = shape_of("randint", shape)
    if not isinstance(minval, Tracer | np.ndarray) and not isinstance(maxval, Tracer | np.ndarray):
        low = integer("randint", "minval", minval, least=int(limits.min), most=int(limits.max))
        integer("randint", "maxval", maxval, least=low + 1, most=int(limits.max) + 1)
    wide = kind if limits.bits >= 32 else np.dtype(np.int32)
    words = np.dtype(f"u{wide.itemsize}")
    low, span = _span(minval, maxval, kind, wide, words, extents)
    higher, lower = (bits(k, extents, words) for k in pieces(key))
    half = words.type(1 << (4 * wide.itemsize))
    factor = _reduced(half, span)
    factor = _reduced(lnp.multiply(factor, factor), span)
    offset = lnp.add(lnp.multiply(_reduced(higher, span), factor), _reduced(lower, span))
    return lnp.astype(lnp.add(low, lnp.astype(_reduced(offset, span), wide)), kind)


def _reduced(x: Any, span: Any) -> Any:
    """x modulo the span, of which 0 stands for all numbers."""
    if isinstance(span, np.ndarray) and not span.shape:
        return x if not int(span) else lnp.remainder(x, span)
    return lnp.where(span == 0, x, lnp.remainder(x, span))


def _span(minval: Any, maxval: Any, kind: np.dtype, wide: np.dtype, words: np.dtype, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """The least number, and how many there are; both known for known bounds."""
    limits = np.iinfo(kind)
    room = np.iinfo(wide)
    low, high = (_bound(what, v, shape) for what, v in (("minval", minval), ("maxval", maxval)))
    beyond = _above(high, int(limits.max))
    low = _clipped(low, int(limits.min), int(limits.max), wide)
    high = _clipped(high, int(limits.min), min(int(limits.max) + (kind != wide), int(room.max)), wide)
    span = lnp.astype(lnp.subtract(high, low), words)
    none = lnp.less_equal(high, low)
    span = lnp.where(none, words.type(1), span)
    if kind == wide:
        span = lnp.where(lnp.logical_and(beyond, lnp.greater(high, low)), lnp.add(span, words.type(1)), span)
    return low, span


def _bound(what: str, value: Any, shape: tuple[int, ...]) -> Any:
    if type(value) is int and value >= 2**63:
        return np.asarray(value, np.uint64) if value < 2**64 else value
    found = array("randint", what, value)
    if found.dtype.kind not in "iu":
        raise op_error("randint", f"{what} must be ints", {what: found}, kind=DtypeError)
    return broadcast(found, shape) if found.shape else found


def _above(x: Any, limit: int) -> Any:
    if type(x) is int:
        return np.asarray(True)
    return lnp.greater(x, limit) if int(np.iinfo(x.dtype).max) > limit else np.asarray(False)


def _clipped(x: Any, least: int, most: int, dtype: np.dtype) -> Any:
    """x within limits and its own dtype's, in ``dtype``."""
    if type(x) is int:
        return np.asarray(most, dtype)
    own = np.iinfo(x.dtype)
    low, high = (np.asarray(n, x.dtype) for n in (max(least, int(own.min)), min(most, int(own.max))))
    return lnp.astype(lnp.minimum(lnp.maximum(x, low), high), dtype)


# Order


def ascending(keys: Any) -> Any:
    """Where the elements stand in ascending order along the last axis; equal ones stay in order."""
    return lnp.argsort(keys, -1)


def _picked(x: Any, order: Any) -> Any:
    """x's elements in an order along the last axis, each row's its own."""
    n = x.shape[-1]
    rows = prod(x.shape[:-1])
    first = np.arange(rows, dtype=np.int64)[:, None] * n
    places = lnp.reshape(lnp.reshape(order, (rows, n)) + first, (-1,))
    return lnp.reshape(lnp.take(lnp.reshape(x, (-1,)), places, 0), x.shape)


def _shuffled(key: Any, x: Any, axis: int) -> Any:
    """x sorted along an axis by random words, as often as leaves no ties that matter."""
    size = prod(x.shape)
    for _ in range(ceil(3 * log(max(1, size)) / log(2**32 - 1))):
        key, own = pieces(key)
        order = ascending(lnp.moveaxis(bits(own, x.shape), axis, -1))
        x = lnp.moveaxis(_picked(lnp.moveaxis(x, axis, -1), order), -1, axis)
    return x


def permutation(key: Any, x: Any, axis: int = 0, independent: bool = False) -> Any:
    """The elements of x along ``axis`` in random order, or 0 ... x - 1 (i32) for an int.

    ``independent``: each row in its own order.
    """
    found = x if isinstance(x, Tracer | np.ndarray) else array("permutation", "x", x)
    if not found.shape:
        count = integer("permutation", "x", x if not isinstance(x, np.ndarray) else x.item(), least=0)
        return _shuffled(key, known(np.arange(count, dtype=np.int32)), 0)
    along = axis_of("permutation", found, axis)
    if flag("permutation", "independent", independent) or len(found.shape) == 1:
        return _shuffled(key, found, along)
    order = _shuffled(key, known(np.arange(found.shape[along], dtype=np.int32)), 0)
    return lnp.take(found, order, axis=along)


def categorical(key: Any, logits: Any, axis: int = -1, shape: Sequence[int] | None = None, replace: bool = True,
                mode: str | None = None) -> Any:
    """Classes (i64) drawn by unnormalised log probabilities along ``axis``, by the Gumbel-max trick.

    ``shape`` ends with that of logits without ``axis``; with ``replace=False`` what stands before is so many distinct classes.
    Raises ShapeError if it does not, or if there are too few.
    """
    x = array("categorical", "logits", logits)
    if kind_of(x.dtype) != "f":
        raise op_error("categorical", "logits must be floats", {"logits": x}, kind=DtypeError)
    along = axis_of("categorical", x, axis)
    batch = tuple(n for d, n in enumerate(x.shape) if d != along)
    extents = batch if shape is None else shape_of("categorical", shape)
    ahead = len(extents) - len(batch)
    if ahead < 0 or extents[ahead:] != batch:
        raise op_error("categorical", f"shape {extents} must end with {batch}", {"logits": x}, kind=ShapeError)
    if flag("categorical", "replace", replace):
        noise = gumbel(key, (*extents[:ahead], *x.shape), x.dtype, mode)
        return lnp.argmax(noise + x, along + ahead)
    count = prod(extents[:ahead])
    if count > x.shape[along]:
        raise op_error("categorical", f"draws {count} of {x.shape[along]} classes without replacement", {"logits": x},
                       kind=ShapeError)
    noisy = lnp.moveaxis(x + gumbel(key, x.shape, x.dtype, mode), along, -1)
    return lnp.reshape(lnp.moveaxis(ascending(-noisy)[..., :count], -1, 0), extents)


def choice(key: Any, a: Any, shape: Sequence[int] = (), replace: bool = True, p: Any = None, axis: int = 0,
           mode: str | None = None) -> Any:
    """Elements of ``a`` along ``axis``, or of 0 ... a - 1 for an int, of probabilities ``p``, equally likely by default.

    Raises ShapeError for more than there are without replacement, or if p has not one number for each.
    """
    given = a if isinstance(a, Tracer | np.ndarray) else array("choice", "a", a)
    extents = shape_of("choice", shape)
    whole = not given.shape
    along = 0 if whole else axis_of("choice", given, axis)
    count = given.shape[along] if not whole else integer("choice", "a", a.item() if isinstance(a, np.ndarray) else a, least=0)
    draws, again = prod(extents), flag("choice", "replace", replace)
    if draws and (not count or (not again and draws > count)):
        raise op_error("choice", f"draws {draws} of {count} elements", {"a": given}, kind=ShapeError)
    if p is None and not again:
        order = permutation(key, count if whole else given, along)
        picked = order[(slice(None),) * along + (slice(draws),)]
    else:
        places = _places(key, count, extents, replace, p, mode)
        picked = lnp.astype(places, np.int32) if whole else lnp.take(given, lnp.reshape(places, (-1,)), axis=along)
    return lnp.reshape(picked, extents if whole else (*given.shape[:along], *extents, *given.shape[along + 1:]))


def _places(key: Any, count: int, shape: tuple[int, ...], replace: bool, p: Any, mode: str | None) -> Any:
    if p is None:
        return randint(key, shape, 0, max(count, 1))
    chances = array("choice", "p", p)
    if kind_of(chances.dtype) != "f" or isinstance(p, list | tuple):
        chances = lnp.astype(chances, np.float32)
    if tuple(chances.shape) != (count,):
        raise op_error("choice", f"p must have {count} numbers", {"p": chances}, kind=ShapeError)
    if not replace:
        return ascending(-(gumbel(key, (count,), chances.dtype, mode) + lnp.log(chances)))[:prod(shape)]
    ends = lnp.cumsum(chances)
    u = ends[-1] * (1 - uniform(key, shape, chances.dtype))
    return lnp.sum(lnp.astype(ends < lnp.expand_dims(u, -1), np.int32), -1)
