"""Rolling and turning, joining and cutting in NumPy's many ways, inserting and deleting."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from leptonc.arguments import array, choice, flag, integer, ints, is_one, items, known_array, listed
from leptonc.arguments import arrays as arrays_of
from leptonc.arguments import axes as axes_of
from leptonc.arguments import axis as axis_of
from leptonc.arguments import shape as shape_of
from leptonc.arithmetic import add, remainder, subtract
from leptonc.errors import ArgumentError, DtypeError, RangeError, ShapeError, op_error
from leptonc.numpy.creation import asarray, zeros
from leptonc.numpy.elementwise import clip, where
from leptonc.numpy.manipulation import broadcast_to, concatenate, expand_dims, flip, moveaxis, ravel, reshape, split, swapaxes, take
from leptonc.numpy.positions import numbers
from leptonc.numpy.reductions import sum as total
from leptonc.numpy.sorting import sort_rows
from leptonc.trace import Tracer, as_seen, cast


def roll(x: Any, shift: Any, axis: Any = None) -> Any:
    """Elements moved along axes, those that leave come in at the other end; without an axis along the flattened array."""
    operand = array("roll", "x", x)
    if axis is None:
        return reshape(roll(ravel(operand), shift, 0), operand.shape)
    places = items(axis)
    shifts = items(shift)
    if len(places) != len(shifts) and 1 not in (len(places), len(shifts)):
        raise op_error("roll", f"shift {shift} and axis {axis} do not pair", {"x": operand})
    for place, by in zip(places * (len(shifts) if len(places) == 1 else 1), shifts * (len(places) if len(shifts) == 1 else 1)):
        operand = _rolled(operand, by, axis_of("roll", operand, place))
    return operand


def _rolled(x: Any, by: Any, axis: int) -> Any:
    n = x.shape[axis]
    if not n:
        return x
    if isinstance(by, Tracer):
        return take(x, remainder(subtract(numbers(by, n), by), n), axis)
    start = -integer("roll", "shift", int(by) if isinstance(by, bool | np.bool_) else by, {"x": x}) % n
    return concatenate(split(x, [start], axis)[::-1], axis) if start else x


def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    """An axis moved in front of another."""
    operand = array("rollaxis", "a", a)
    rank = len(operand.shape)
    from_, to = axis_of("rollaxis", operand, axis), integer("rollaxis", "start", start, {"a": operand}, least=-rank, most=rank)
    to = to % (rank + 1) if to >= 0 else to + rank
    return moveaxis(operand, from_, to - (to > from_))


def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    """Turned by 90 degrees ``k`` times, from the first of two axes towards the second."""
    operand = array("rot90", "m", m)
    pair = axes_of("rot90", operand, axes)
    if len(pair) != 2:
        raise op_error("rot90", f"axes {axes} must be two", {"m": operand})
    turns = integer("rot90", "k", k) % 4
    if turns == 2:
        return flip(operand, pair)
    if turns == 1:
        return swapaxes(flip(operand, pair[1]), *pair)
    return flip(swapaxes(operand, *pair), pair[1]) if turns else as_seen(operand)


def fliplr(m: Any) -> Any:
    """The second axis turned round."""
    return flip(m, 1)


def flipud(m: Any) -> Any:
    """The first axis turned round."""
    return flip(m, 0)


def _at_least(name: str, rank: int, given: tuple[Any, ...]) -> Any:
    out = [_raised(array(name, f"x{n}", x), rank) for n, x in enumerate(given)]
    return out[0] if len(out) == 1 else out


def _raised(x: Any, rank: int) -> Any:
    """New axes in front; the third one behind, as NumPy."""
    shape = x.shape
    if len(shape) >= rank:
        return as_seen(x)
    front = {0: (1,) * rank, 1: (1, *shape, 1)[:rank] if shape else (), 2: (*shape, 1)}[len(shape)]
    return reshape(x, front)


def atleast_1d(*arys: Any) -> Any:
    """With at least one axis; a list for several arrays."""
    return _at_least("atleast_1d", 1, arys)


def atleast_2d(*arys: Any) -> Any:
    """With at least two axes, the new ones in front; a list for several arrays."""
    return _at_least("atleast_2d", 2, arys)


def atleast_3d(*arys: Any) -> Any:
    """With at least three axes: (n,) is (1, n, 1), (n, m) is (n, m, 1); a list for several arrays."""
    return _at_least("atleast_3d", 3, arys)


def column_stack(tup: Sequence[Any]) -> Any:
    """Vectors as columns, beside each other and beside matrices."""
    given = arrays_of("column_stack", "tup", tup)
    return concatenate([reshape(x, (-1, 1)) if len(x.shape) < 2 else x for x in given], 1)


def dstack(tup: Sequence[Any], dtype: Any = None) -> Any:
    """Along the third axis."""
    return concatenate([_raised(x, 3) for x in arrays_of("dstack", "tup", tup)], 2, dtype)


def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Parts as equal as they can be, the longer ones first; or cut at the given indices."""
    operand = array("array_split", "ary", ary)
    at = axis_of("array_split", operand, axis)
    if not is_one(indices_or_sections):
        return split(operand, indices_or_sections, at)
    parts = integer("array_split", "indices_or_sections", indices_or_sections, {"ary": operand}, least=1)
    short, longer = divmod(operand.shape[at], parts)
    return split(operand, np.cumsum([short + (n < longer) for n in range(parts - 1)], dtype=int).tolist(), at)


def hsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """Along the second axis, of a vector along its only one."""
    return split(ary, indices_or_sections, 0 if len(array("hsplit", "ary", ary).shape) == 1 else 1)


def vsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """Along the first axis."""
    return split(ary, indices_or_sections, 0)


def dsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """Along the third axis."""
    return split(ary, indices_or_sections, 2)


def unstack(x: Any, axis: int = 0) -> tuple[Any, ...]:
    """The arrays along an axis."""
    operand = array("unstack", "x", x)
    if not operand.shape:
        raise op_error("unstack", "needs an axis", {"x": operand})
    front = moveaxis(operand, axis_of("unstack", operand, axis), 0)
    return tuple(front[n] for n in range(front.shape[0]))


def block(arrays: Any) -> Any:
    """Nested lists of arrays as one: the innermost lists along the last axis, the next along the one before ..."""
    depth = _depth(arrays)
    return _blocks(arrays, depth, max(depth, _greatest_rank(arrays)))


def _depth(arrays: Any) -> int:
    if not isinstance(arrays, list):
        return 0
    depths = {_depth(a) for a in arrays}
    if len(depths) != 1:
        raise op_error("block", "lists must be nested equally deep, and none be empty", {}, kind=ArgumentError)
    return 1 + depths.pop()


def _greatest_rank(arrays: Any) -> int:
    return max(map(_greatest_rank, arrays)) if isinstance(arrays, list) else len(array("block", "arrays", arrays).shape)


def _blocks(arrays: Any, depth: int, rank: int) -> Any:
    if not isinstance(arrays, list):
        found = array("block", "arrays", arrays)
        return reshape(found, (1,) * (rank - len(found.shape)) + found.shape)
    return concatenate([_blocks(a, depth - 1, rank) for a in arrays], -depth)


def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    """``values`` behind ``arr`` along an axis; both flattened for None."""
    if axis is None:
        return concatenate([ravel(arr), ravel(values)])
    return concatenate([array("append", "arr", arr), array("append", "values", values)], axis)


def _known_places(name: str, obj: Any, n: int, extra: int) -> tuple[np.ndarray, bool]:
    """(places within [0, n + extra), whether it is one). Raises RangeError for others."""
    if isinstance(obj, Tracer):
        obj.__index__()  # raises: the shape of the result depends on it
    if isinstance(obj, slice):
        return np.arange(*obj.indices(n)), False
    empty = isinstance(obj, list | tuple) and not obj
    given = np.zeros(0, np.int64) if empty else known_array(name, "obj", obj, "iub")
    if given.dtype.kind == "b":
        given = np.flatnonzero(given)
    places = given.astype(np.int64)
    if ((places < -n) | (places >= n + extra)).any():
        raise op_error(name, f"index {obj} is out of bounds for {n} elements", {}, kind=RangeError)
    return np.where(places < 0, places + n, places), given.ndim == 0


def delete(arr: Any, obj: Any, axis: int | None = None, *, assume_unique_indices: bool = False) -> Any:
    """Without the elements at ``obj``, an int, a slice or a mask, known while tracing, or ints, which with
    ``assume_unique_indices`` may be traced."""
    if flag("delete", "assume_unique_indices", assume_unique_indices) and isinstance(obj, Tracer):
        return _without_unique(arr, obj, axis)
    operand = ravel(arr) if axis is None else array("delete", "arr", arr)
    at = axis_of("delete", operand, 0 if axis is None else axis)
    places, _ = _known_places("delete", obj, operand.shape[at], 0)
    left = np.setdiff1d(np.arange(operand.shape[at]), places)
    return take(operand, left, at)


def _without_unique(arr: Any, obj: Any, axis: int | None) -> Any:
    """Without the elements at traced places, no two of which are one: each index is raised by the places at or before it."""
    operand = ravel(arr) if axis is None else array("delete", "arr", arr)
    at = axis_of("delete", operand, 0 if axis is None else axis)
    n = operand.shape[at]
    if obj.dtype.kind not in "iu":
        raise op_error("delete", "traced places must be ints: of a mask the number of places is not known", {"obj": obj},
                       kind=DtypeError)
    places = cast(ravel(obj), np.int64)
    (places,) = sort_rows([where(places < 0, places + n, places)], 0)
    left = subtract(places, numbers(places, places.shape[0]))
    kept = numbers(places, max(n - places.shape[0], 0))
    return take(operand, add(kept, total(cast(left <= expand_dims(kept, 1), np.int64), 1)), at)


def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    """``values`` put in front of the elements at ``obj``, an int, a slice or ints, which must be known while tracing."""
    operand = ravel(arr) if axis is None else array("insert", "arr", arr)
    at = axis_of("insert", operand, 0 if axis is None else axis)
    n, shape = operand.shape[at], list(operand.shape)
    places, single = _known_places("insert", obj, n, 1)
    new = cast(asarray(values), operand.dtype)
    if single and new.shape:
        new = moveaxis(reshape(new, (1,) * (len(shape) - len(new.shape)) + new.shape), 0, at)
    count = new.shape[at] if single and new.shape else max(places.size, 1)
    places = np.repeat(places.reshape(-1), count) if single else places.reshape(-1)
    if not single and places.size == 1 and new.shape and new.shape[-1 if len(shape) == 1 else at - len(shape)] != 1:
        places = np.repeat(places, new.shape[-1 if len(shape) == 1 else at - len(shape)])
    shape[at] = places.size
    new = broadcast_to(new, tuple(shape))
    order = np.argsort(np.concatenate([2 * np.arange(n) + 1, 2 * places]), kind="stable")
    return take(concatenate([operand, new], at), order, at)


def resize(a: Any, new_shape: Any) -> Any:
    """The elements in row-major order, again and again, as many as fill the shape."""
    flat, shape = ravel(a), shape_of("resize", new_shape)
    count = prod(shape)
    if not flat.shape[0] or not count:
        return zeros(shape, flat.dtype)
    return reshape(concatenate([flat] * -(-count // flat.shape[0]))[:count], shape)


def trim_zeros(filt: Any, trim: str = "fb", axis: Any = None) -> Any:
    """Without the slices of zeros in front ("f") and behind ("b") along axes (None: all), of elements that must be known."""
    operand = array("trim_zeros", "filt", filt)
    choice("trim_zeros", "trim", trim, ("f", "b", "fb", "bf"))
    if isinstance(operand, Tracer):
        operand.__array__()  # raises: the shape of the result depends on the elements
    places, axes = np.nonzero(np.atleast_1d(np.asarray(operand))), axes_of("trim_zeros", operand, axis)
    return as_seen(operand)[tuple(_trimmed(places[d], n, trim) if d in axes else slice(None) for d, n in enumerate(operand.shape))]


def _trimmed(places: np.ndarray, n: int, trim: str) -> slice:
    """From the first place that is not 0 to the last, of n; nothing if there is none."""
    if not places.size:
        return slice(n, n)
    return slice(int(places.min()) if "f" in trim else 0, int(places.max()) + 1 if "b" in trim else n)


def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """The shape that all of these broadcast to."""
    given = [shape_of("broadcast_shapes", s) for s in shapes]
    try:
        return tuple(np.broadcast_shapes(*given))
    except ValueError:
        raise op_error("broadcast_shapes", f"{', '.join(map(str, given))} do not broadcast together", {},
                       kind=ShapeError) from None


def ravel_multi_index(multi_index: Sequence[Any], dims: Any, mode: str = "raise", order: str = "C", *, dtype: Any = None) -> Any:
    """Places in the flattened array, in ``dtype``, one of ints (None: i64, which holds any place); "wrap" and "clip" take indices
    out of range, "raise" is for known ones."""
    extents = shape_of("ravel_multi_index", dims)
    name = "ravel_multi_index"
    given = [array(name, f"index {n}", i) for n, i in enumerate(listed(name, "multi_index", multi_index))]
    choice("ravel_multi_index", "mode", mode, ("raise", "wrap", "clip"))
    choice("ravel_multi_index", "order", order, ("C", "F"))
    if len(given) != len(extents):
        raise op_error("ravel_multi_index", f"{len(given)} indices for {len(extents)} axes", {})
    place: Any = 0
    pairs = list(zip(given, extents))
    for index, n in pairs if order == "C" else pairs[::-1]:
        if mode == "raise" and not isinstance(index, Tracer) and ((np.asarray(index) < 0) | (np.asarray(index) >= n)).any():
            raise op_error("ravel_multi_index", f"an index is out of bounds for {n} elements", {"index": index}, kind=RangeError)
        wide = cast(index, np.int64)
        kept = remainder(wide, n) if mode == "wrap" else wide.clip(0, n - 1) if mode == "clip" else wide
        place = place * n + kept
    return place if dtype is None else cast(place, ints(name, dtype))


def unravel_index(indices: Any, shape: Any) -> tuple[Any, ...]:
    """The index along each axis of places in the flattened array; negative ones count from its end, and those beyond an end are
    that end, as in JAX."""
    extents = shape_of("unravel_index", shape)
    left, out = _within(array("unravel_index", "indices", indices), prod(extents)), []
    for n in extents[::-1]:
        out.append(remainder(left, n))
        left = left // n
    return tuple(out[::-1])


def _within(places: Any, size: int) -> Any:
    """Places in [-size, size), as far as their dtype reaches."""
    if not size or places.dtype.kind not in "iu":
        return places
    ends = np.iinfo(places.dtype)
    return clip(places, max(-size, ends.min), min(size - 1, ends.max))


def pairs_along(x: Any, axis: int) -> tuple[Any, Any]:
    """(all but the last, all but the first) along an axis."""
    n = x.shape[axis]
    return split(x, [max(n - 1, 0)], axis)[0], split(x, [min(n, 1)], axis)[1]

