"""``lax``'s slices: windows of a known size at known or traced starts, along all axes or along one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.arguments import array, flag, integer, integers, is_one, items
from leptonc.arguments import axis as axis_of
from leptonc.bfloat16 import kind_of
from leptonc.errors import DtypeError, RangeError, ShapeError, op_error
from leptonc.gathering import GatherDimensionNumbers, gather
from leptonc.promotion import result_dtype
from leptonc.public import publish
from leptonc.trace import Tracer, bind, cast

Flags = bool | Sequence[bool]


def _starts(name: str, x: Any, starts: Any, negative: Flags) -> list[Any]:
    """One i64 scalar for each axis of x; negative ones count from the end."""
    listed = isinstance(starts, list | tuple) or (isinstance(starts, np.ndarray | Tracer) and len(starts.shape) == 1)
    given = list(starts) if listed else [starts]
    found = [array(name, f"start_indices[{n}]", s) for n, s in enumerate(given)]
    if len(found) != len(x.shape) or any(s.shape for s in found):
        raise op_error(name, f"wants {len(x.shape)} starts that are scalars, got {len(found)}", {"x": x}, kind=ShapeError)
    for s in found:
        if s.dtype.kind not in "iu":
            raise op_error(name, "starts must be ints", {"x": x, "start": s}, kind=DtypeError)
    flags = items(negative)
    turns = [flag(name, "allow_negative_indices", f) for f in (flags * len(found) if is_one(negative) else flags)]
    if len(turns) != len(found):
        raise op_error(name, f"allow_negative_indices must be one flag, or one for each of {len(found)} axes", {"x": x})
    return [_from_the_end(cast(s, np.int64), n) if turn and s.dtype.kind == "i" else cast(s, np.int64)
            for s, n, turn in zip(found, x.shape, turns)]


def _from_the_end(start: Any, extent: int) -> Any:
    if not isinstance(start, Tracer):
        return start + extent if start < 0 else start
    return bind("select", start < 0, start + extent, start)


def dynamic_slice(operand: Any, start_indices: Sequence[Any], slice_sizes: Sequence[int], *,
                  allow_negative_indices: Flags = True) -> Any:
    """A window of fixed size at starts that may be traced. A negative start counts from the end of its axis, unless that is not
    allowed; then all are clamped so that the window lies inside."""
    x = array("dynamic_slice", "operand", operand)
    sizes = integers("dynamic_slice", "slice_sizes", slice_sizes, {"x": x}, count=len(x.shape), least=0)
    return bind("dynamic_slice", x, *_starts("dynamic_slice", x, start_indices, allow_negative_indices), size=sizes)


def dynamic_update_slice(operand: Any, update: Any, start_indices: Sequence[Any], *, allow_negative_indices: Flags = True) -> Any:
    """operand with a window replaced, at starts as in ``dynamic_slice``. Raises DtypeError for floats into ints."""
    x = array("dynamic_update_slice", "operand", operand)
    new = update if type(update) in (bool, int, float) else array("dynamic_update_slice", "update", update)
    if "biufc".index(kind_of(result_dtype((x, new)))) > "biufc".index(kind_of(x.dtype)):
        raise op_error("dynamic_update_slice", "operand cannot hold update", {"x": x, "update": new}, "cast one", DtypeError)
    starts = _starts("dynamic_update_slice", x, start_indices, allow_negative_indices)
    return bind("dynamic_update_slice", x, cast(new, x.dtype), *starts)


def slice(operand: Any, start_indices: Sequence[int], limit_indices: Sequence[int], strides: Sequence[int] | None = None) -> Any:
    """Elements start, start + stride ... below limit of every axis. Raises ShapeError unless 0 <= start <= limit <= extent."""
    x = array("slice", "operand", operand)
    rank, named = len(x.shape), {"x": x}
    starts, limits = (integers("slice", what, value, named, count=rank, least=0) for what, value in (
        ("start_indices", start_indices), ("limit_indices", limit_indices)))
    steps = (1,) * rank if strides is None else integers("slice", "strides", strides, named, count=rank, repeat=True, least=1)
    if any(not a <= b <= n for a, b, n in zip(starts, limits, x.shape)):
        raise op_error("slice", f"start {starts} and limit {limits} leave x", named)
    sizes = tuple(-(-(b - a) // s) for a, b, s in zip(starts, limits, steps))
    return bind("slice", x, start=tuple(a if n else 0 for a, n in zip(starts, sizes)), size=sizes, step=steps)


def slice_in_dim(operand: Any, start_index: int | None, limit_index: int | None, stride: int = 1, axis: int = 0) -> Any:
    """Elements start, start + stride ... below limit of one axis; negative bounds count from its end, None is the end itself."""
    name = "slice_in_dim"
    x = array(name, "operand", operand)
    at = axis_of(name, x, axis)
    extent = x.shape[at]
    first, last = (default if value is None else integer(name, what, value, {"x": x}) for what, value, default in (
        ("start_index", start_index, 0), ("limit_index", limit_index, extent)))
    starts, limits, strides = [0] * len(x.shape), list(x.shape), [1] * len(x.shape)
    starts[at], limits[at] = first + extent * (first < 0), last + extent * (last < 0)
    strides[at] = integer(name, "stride", stride, {"x": x}, least=1)
    return slice(x, starts, limits, strides)


def index_in_dim(operand: Any, index: int, axis: int = 0, keepdims: bool = True) -> Any:
    """One place along an axis, which is known; the axis stays, of extent 1, unless ``keepdims`` is False. Raises RangeError."""
    x = array("index_in_dim", "operand", operand)
    at, place = axis_of("index_in_dim", x, axis), integer("index_in_dim", "index", index)
    extent = x.shape[at]
    if not -extent <= place < extent:
        raise op_error("index_in_dim", f"index {place} is out of bounds for axis {at} of {extent}", {"x": x}, kind=RangeError)
    found = slice_in_dim(x, place % extent, place % extent + 1, axis=at)
    return found if flag("index_in_dim", "keepdims", keepdims) else _without(found, at)


def _without(x: Any, at: int) -> Any:
    """x without an axis of extent 1."""
    return bind("reshape", x, shape=(*x.shape[:at], *x.shape[at + 1:]))


def _along(x: Any, at: int, start: Any) -> list[Any]:
    """The starts of a window that begins at ``start`` along one axis."""
    return [start if d == at else 0 for d in range(len(x.shape))]


def dynamic_slice_in_dim(operand: Any, start_index: Any, slice_size: int, axis: int = 0, *,
                         allow_negative_indices: bool = True) -> Any:
    """``slice_size`` places along an axis, from one on that may be traced: ``dynamic_slice`` along one axis."""
    name = "dynamic_slice_in_dim"
    x = array(name, "operand", operand)
    at = axis_of(name, x, axis)
    size = integer(name, "slice_size", slice_size, {"x": x}, least=0)
    sizes = [size if d == at else n for d, n in enumerate(x.shape)]
    return dynamic_slice(x, _along(x, at, start_index), sizes, allow_negative_indices=allow_negative_indices)


def dynamic_index_in_dim(operand: Any, index: Any, axis: int = 0, keepdims: bool = True, *,
                         allow_negative_indices: bool = True) -> Any:
    """One place along an axis, which may be traced and is clamped; the axis stays unless ``keepdims`` is False."""
    x = array("dynamic_index_in_dim", "operand", operand)
    at = axis_of("dynamic_index_in_dim", x, axis)
    found = dynamic_slice_in_dim(x, index, 1, at, allow_negative_indices=allow_negative_indices)
    return found if flag("dynamic_index_in_dim", "keepdims", keepdims) else _without(found, at)


def dynamic_update_slice_in_dim(operand: Any, update: Any, start_index: Any, axis: int, *,
                                allow_negative_indices: bool = True) -> Any:
    """operand with what begins at a place along an axis replaced: ``dynamic_update_slice`` along one axis."""
    x = array("dynamic_update_slice_in_dim", "operand", operand)
    at = axis_of("dynamic_update_slice_in_dim", x, axis)
    return dynamic_update_slice(x, update, _along(x, at, start_index), allow_negative_indices=allow_negative_indices)


def dynamic_update_index_in_dim(operand: Any, update: Any, index: Any, axis: int, *, allow_negative_indices: bool = True) -> Any:
    """operand with one place along an axis replaced, by an update with that axis, of extent 1, or without it."""
    name = "dynamic_update_index_in_dim"
    x, new = array(name, "operand", operand), array(name, "update", update)
    at = axis_of(name, x, axis)
    if len(new.shape) != len(x.shape):
        new = bind("reshape", new, shape=(*new.shape[:at], 1, *new.shape[at:]))
    return dynamic_update_slice_in_dim(x, new, index, at, allow_negative_indices=allow_negative_indices)


def index_take(src: Any, idxs: Any, axes: Sequence[int]) -> Any:
    """src at places along ``axes``, a vector of ints for each of them: [n, ...], the other axes behind. Places wrap around."""
    x = array("index_take", "src", src)
    places = tuple(axis_of("index_take", x, n) for n in items(axes))
    columns = [array("index_take", "idxs", i) for i in (idxs if isinstance(idxs, Sequence | np.ndarray | Tracer) else [idxs])]
    if len(columns) != len(places) or any(len(c.shape) != 1 for c in columns):
        raise op_error("index_take", f"idxs must be {len(places)} vectors, one for each of the axes", {"src": x}, kind=ShapeError)
    wrapped = [bind("reshape", cast(c, np.int64) % x.shape[d], shape=(c.shape[0], 1)) for c, d in zip(columns, places)]
    numbers = GatherDimensionNumbers(tuple(range(1, len(x.shape) - len(places) + 1)), places, places)
    sizes = [1 if d in places else n for d, n in enumerate(x.shape)]
    return gather(x, bind("concatenate", *wrapped, axis=1), numbers, sizes)


__all__ = [
    "dynamic_index_in_dim", "dynamic_slice", "dynamic_slice_in_dim", "dynamic_update_index_in_dim", "dynamic_update_slice",
    "dynamic_update_slice_in_dim", "index_in_dim", "index_take", "slice", "slice_in_dim",
]

publish(globals(), __all__)
