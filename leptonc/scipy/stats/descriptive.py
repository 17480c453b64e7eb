"""Statistics of samples: the most frequent value, ranks, the standard error of a mean."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import array, choice, flag
from leptonc.arguments import axis as axis_of
from leptonc.numpy.elementwise import as_float
from leptonc.trace import cast


class ModeResult(NamedTuple):
    """The most frequent values, and how often they occur."""

    mode: Any
    count: Any


def _flat(name: str, a: Any, axis: int | None) -> tuple[Any, int]:
    x = array(name, "a", a)
    return (lnp.ravel(x), 0) if axis is None else (x, axis_of(name, x, axis))


def mode(a: Any, axis: int | None = 0, nan_policy: str = "propagate", keepdims: bool = False) -> ModeResult:
    """The most frequent value along an axis (None: of all), of several the least, and its count."""
    choice("mode", "nan_policy", nan_policy, ("propagate",))
    x, at = _flat("mode", a, axis)
    rows = lnp.sort(lnp.moveaxis(x, at, -1), -1)
    counts = lnp.sum(lnp.equal(lnp.expand_dims(rows, -1), lnp.expand_dims(rows, -2)), -1)
    place = lnp.expand_dims(lnp.argmax(counts, -1), -1)
    found, count = (lnp.take_along_axis(v, place, -1) for v in (rows, counts))
    if not np.issubdtype(rows.dtype, np.inexact):
        keep = found
    else:
        keep = lnp.where(lnp.any(lnp.isnan(rows), -1, keepdims=True), np.nan, found)
    keep, count = (lnp.moveaxis(v, -1, at) for v in (keep, count))
    if axis is None and flag("mode", "keepdims", keepdims):
        shape = (1,) * len(array("mode", "a", a).shape)
        return ModeResult(lnp.reshape(keep, shape), lnp.reshape(count, shape))
    return ModeResult(keep, count) if keepdims else ModeResult(lnp.squeeze(keep, at), lnp.squeeze(count, at))


def rankdata(a: Any, method: str = "average", *, axis: int | None = None, nan_policy: str = "propagate") -> Any:
    """The ranks from 1 on along an axis (None: of all). Equals get the "average", "min" or "max" of theirs, the same one with no
    gap behind ("dense"), or their own ones in order ("ordinal")."""
    by = choice("rankdata", "method", method, ("average", "min", "max", "dense", "ordinal"))
    choice("rankdata", "nan_policy", nan_policy, ("propagate",))
    x, at = _flat("rankdata", a, axis)
    rows = lnp.moveaxis(x, at, -1)
    order = lnp.argsort(rows, -1)
    place = lnp.argsort(order, -1)
    if by == "ordinal":
        return lnp.moveaxis(place + 1, -1, at)
    ordered = lnp.take_along_axis(rows, order, -1)
    first = lnp.concatenate([lnp.ones_like(ordered[..., :1], bool), lnp.not_equal(ordered[..., 1:], ordered[..., :-1])], -1)
    dense = lnp.take_along_axis(lnp.cumsum(cast(first, np.int64), -1), place, -1)
    if by == "dense":
        return lnp.moveaxis(dense, -1, at)
    below = lnp.sum(cast(lnp.expand_dims(rows, -2) < lnp.expand_dims(rows, -1), np.int64), -1)
    same = lnp.sum(cast(lnp.equal(lnp.expand_dims(rows, -2), lnp.expand_dims(rows, -1)), np.int64), -1)
    ranks = {"min": lambda: below + 1, "max": lambda: below + same, "average": lambda: below + (same + 1) / 2}[by]()
    return lnp.moveaxis(ranks, -1, at)


def sem(a: Any, axis: int | None = 0, ddof: int = 1, nan_policy: str = "propagate", *, keepdims: bool = False) -> Any:
    """The standard error of the mean along an axis (None: of all). ``nan_policy`` "omit" leaves NaN out."""
    policy = choice("sem", "nan_policy", nan_policy, ("propagate", "omit"))
    x, at = _flat("sem", a, axis)
    x = as_float(x)
    keep = flag("sem", "keepdims", keepdims) and axis is not None
    if policy == "omit":
        count = lnp.sum(lnp.logical_not(lnp.isnan(x)), at, keepdims=keep)
        return lnp.nanstd(x, at, ddof=ddof, keepdims=keep) / lnp.sqrt(cast(count, x.dtype))
    return lnp.std(x, at, ddof=ddof, keepdims=keep) / x.shape[at] ** 0.5
