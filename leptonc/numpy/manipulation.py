"""Shapes and places: reshape, transpose, joining, splitting, padding, taking."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from leptonc.arguments import array, choice, extent, flag, integer, integers, is_one, kinds_in, no_out, number
from leptonc.arguments import arrays as arrays_of
from leptonc.arguments import axes as axes_of
from leptonc.arguments import axis as axis_of
from leptonc.arguments import items as items_of
from leptonc.arguments import shape as shape_of
from leptonc.arithmetic import remainder
from leptonc.errors import DtypeError, op_error
from leptonc.numpy.along import fill_of, from_start
from leptonc.numpy.creation import asarray, in_one_dtype
from leptonc.numpy.elementwise import maximum
from leptonc.promotion import attribute_of
from leptonc.trace import Tracer, as_seen, bind, broadcast, broadcast_shapes, cast


def reshape(x: Any, shape: Any, order: str = "C", *, copy: bool | None = None) -> Any:
    """The same elements in row-major order, or with ``order`` "F" read and laid out in column-major order; one extent may be -1.
    Raises ShapeError if they do not fill the shape."""
    operand = array("reshape", "x", x) if copy is None else asarray(x, copy=copy)
    if _is_column_major("reshape", order):
        return transpose(reshape(transpose(operand), integers("reshape", "shape", shape, {"x": operand})[::-1]))
    sizes = list(integers("reshape", "shape", shape, {"x": operand}))
    total = int(np.prod(operand.shape, dtype=np.int64))
    if sizes.count(-1) > 1 or any(n < -1 for n in sizes):
        raise op_error("reshape", f"shape {tuple(sizes)} may have one -1 and nothing below", {"x": operand})
    if -1 in sizes:
        known = int(np.prod([n for n in sizes if n != -1], dtype=np.int64))
        if known == 0 or total % known:
            raise op_error("reshape", f"{total} elements do not fill {tuple(sizes)}", {"x": operand})
        sizes[sizes.index(-1)] = total // known
    return bind("reshape", operand, shape=tuple(sizes))


def _is_column_major(name: str, order: Any) -> bool:
    """Whether ``order`` is "F". "A" and "K" would ask for the memory's layout, which traced values have none of."""
    return choice(name, "order", order, ("C", "F")) == "F"


def ravel(x: Any, order: str = "C") -> Any:
    """All elements in one axis, in row-major order, or for "F" in column-major order."""
    operand = array("ravel", "x", x)
    operand = transpose(operand) if _is_column_major("ravel", order) else operand
    return bind("reshape", operand, shape=(int(np.prod(operand.shape, dtype=np.int64)),))


def transpose(x: Any, axes: Any = None) -> Any:
    """Axes permuted; reversed for None."""
    operand = array("transpose", "x", x)
    rank = len(operand.shape)
    if axes is None:
        perm = tuple(reversed(range(rank)))
    else:
        perm = axes_of("transpose", operand, axes)
    return bind("transpose", operand, perm=perm)


permute_dims = transpose


def matrix_transpose(x: Any) -> Any:
    """The last two axes swapped."""
    return swapaxes(x, -1, -2)


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Two axes exchanged."""
    operand = array("swapaxes", "x", x)
    a, b = axis_of("swapaxes", operand, axis1), axis_of("swapaxes", operand, axis2)
    perm = list(range(len(operand.shape)))
    perm[a], perm[b] = b, a
    return bind("transpose", operand, perm=tuple(perm))


def moveaxis(x: Any, source: Any, destination: Any) -> Any:
    """Axes moved to other positions, the rest in order."""
    operand = array("moveaxis", "x", x)
    from_, to = axes_of("moveaxis", operand, items_of(source)), axes_of(
        "moveaxis", operand, items_of(destination))
    if len(from_) != len(to):
        raise op_error("moveaxis", f"source {source} and destination {destination} do not pair", {"x": operand})
    order = [d for d in range(len(operand.shape)) if d not in from_]
    for d, s in sorted(zip(to, from_)):
        order.insert(d, s)
    return bind("transpose", operand, perm=tuple(order))


def squeeze(x: Any, axis: Any = None) -> Any:
    """Axes of extent 1 dropped: all, or those named. Raises ShapeError for one of another extent."""
    operand = array("squeeze", "x", x)
    axes = tuple(d for d, n in enumerate(operand.shape) if n == 1) if axis is None else axes_of("squeeze", operand, axis)
    if any(operand.shape[a] != 1 for a in axes):
        raise op_error("squeeze", f"axis {axis} has not extent 1", {"x": operand})
    return bind("reshape", operand, shape=tuple(n for d, n in enumerate(operand.shape) if d not in axes))


def expand_dims(x: Any, axis: Any) -> Any:
    """New axes of extent 1 at these positions of the result."""
    operand = array("expand_dims", "x", x)
    given = items_of(axis)
    rank = len(operand.shape) + len(given)
    places = axes_of("expand_dims", operand, given, rank)
    rest = iter(operand.shape)
    return bind("reshape", operand, shape=tuple(1 if d in places else next(rest) for d in range(rank)))


def broadcast_to(x: Any, shape: Any) -> Any:
    """x stretched to ``shape`` by NumPy's rules."""
    operand = array("broadcast_to", "x", x)
    return as_seen(broadcast(operand, shape_of("broadcast_to", shape, operand.dtype.itemsize)))


def broadcast_arrays(*arrays: Any) -> list[Any]:
    """All stretched to their common shape."""
    shape = broadcast_shapes("broadcast_arrays", *arrays)
    return [broadcast_to(x, shape) for x in arrays]


def concatenate(arrays: Sequence[Any], axis: int | None = 0, dtype: Any = None) -> Any:
    """Arrays one after the other along an axis (flattened for None), in ``dtype``, by default promoted to one."""
    given = arrays_of("concatenate", "arrays", arrays)
    if not given:
        raise op_error("concatenate", "needs at least one array", {})
    items = in_one_dtype(given, dtype)
    if axis is None:
        items, axis = tuple(ravel(x) for x in items), 0
    return bind("concatenate", *items, axis=axis_of("concatenate", items[0], axis))


def concat(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    """The array API's ``concatenate``."""
    return concatenate(arrays, axis)


def vstack(tup: Sequence[Any], dtype: Any = None) -> Any:
    """Rows one below the other."""
    return concatenate([reshape(x, (1, -1)) if len(x.shape) < 2 else x for x in arrays_of("vstack", "tup", tup)], 0, dtype)


def hstack(tup: Sequence[Any], dtype: Any = None) -> Any:
    """Along the second axis; of 1-D arrays along their only one."""
    items = [ravel(x) if not x.shape else x for x in arrays_of("hstack", "tup", tup)]
    return concatenate(items, 0 if not items or len(items[0].shape) < 2 else 1, dtype)


def split(x: Any, sections: Any, axis: int = 0) -> list[Any]:
    """Equal parts, or cut at the given indices. Raises ShapeError if x does not divide."""
    operand = array("split", "x", x)
    at = axis_of("split", operand, axis)
    n = operand.shape[at]
    if is_one(sections):
        parts = integer("split", "sections", sections, {"x": operand}, least=1)
        if n % parts:
            raise op_error("split", f"axis {axis} of {n} does not divide into {parts} parts", {"x": operand})
        cuts = tuple(n // parts * i for i in range(1, parts))
    else:
        cuts = integers("split", "sections", sections, {"x": operand})
    bounds = [0, *(min(max(b + (n if b < 0 else 0), 0), n) for b in cuts), n]
    return [_window(operand, at, low, max(high - low, 0)) for low, high in pairwise(bounds)]


def _window(x: Any, axis: int, start: int, size: int) -> Any:
    rank = len(x.shape)
    sizes = tuple(size if d == axis else n for d, n in enumerate(x.shape))
    return bind("slice", x, start=tuple(start if d == axis and size else 0 for d in range(rank)), size=sizes, step=(1,) * rank)


def flip(x: Any, axis: Any = None) -> Any:
    """Axes turned round; all of them for None."""
    operand = array("flip", "x", x)
    axes, rank = axes_of("flip", operand, axis), len(operand.shape)
    start = tuple(n - 1 if d in axes and n else 0 for d, n in enumerate(operand.shape))
    return bind("slice", operand, start=start, size=operand.shape, step=tuple(-1 if d in axes else 1 for d in range(rank)))


def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    """Elements added at the edges: ``pad_width`` is n, (low, high), or such a pair for every axis."""
    operand = array("pad", "x", x)
    choice("pad", "mode", mode, ("constant",), {"x": operand})
    low, high = pad_widths(operand, pad_width)
    shape_of("pad", [n + a + b for n, a, b in zip(operand.shape, low, high)], operand.dtype.itemsize)
    value = attribute_of(cast(number("pad", "constant_values", constant_values, {"x": operand}, kinds=kinds_in(operand.dtype)),
                              operand.dtype))
    return bind("pad", operand, low=low, high=high, interior=(0,) * len(operand.shape), value=value)


def pad_widths(x: Any, pad_width: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Elements to add in front of each axis, and behind."""
    rank = len(x.shape)
    pairs = [integers("pad", "pad_width", pair, {"x": x}, least=0) for pair in items_of(_as_lists(pad_width))]
    flat = all(is_one(pair) for pair in items_of(_as_lists(pad_width)))
    if flat and len(pairs) in (1, 2):
        pairs = [(pairs[0][0], pairs[-1][0])] * rank
    elif len(pairs) == 1:
        pairs = pairs * rank
    if len(pairs) != rank or any(len(pair) not in (1, 2) for pair in pairs):
        raise op_error("pad", f"pad_width {pad_width!r} gives no pair for each axis", {"x": x})
    return tuple(pair[0] for pair in pairs), tuple(pair[-1] for pair in pairs)


def _as_lists(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def repeat(x: Any, repeats: Any, axis: int | None = None, *, total_repeat_length: int | None = None) -> Any:
    """Every element ``repeats`` times in a row, a number or, known while tracing, one for each element along the axis.

    With ``total_repeat_length`` the result has so many: the last ones are left out, or the last is repeated, and ``repeats`` may
    be traced."""
    operand = array("repeat", "x", x)
    if axis is None:
        operand, axis = ravel(operand), 0
    if total_repeat_length is not None:
        length = extent("repeat", "total_repeat_length", total_repeat_length)
        return _repeated_to(operand, repeats, axis_of("repeat", operand, axis), length)
    if not is_one(repeats):
        return _repeated(operand, repeats, axis_of("repeat", operand, axis))
    at, count = axis_of("repeat", operand, axis), integer("repeat", "repeats", repeats, {"x": operand}, least=0)
    shape = operand.shape
    shape_of("repeat", [n * count if d == at else n for d, n in enumerate(shape)], operand.dtype.itemsize)
    wide = bind("reshape", operand, shape=(*shape[:at + 1], 1, *shape[at + 1:]))
    stretched = broadcast(wide, (*shape[:at + 1], count, *shape[at + 1:]))
    return bind("reshape", stretched, shape=(*shape[:at], shape[at] * count, *shape[at + 1:]))


def _repeated(x: Any, repeats: Any, axis: int) -> Any:
    """Each place along the axis as often as its own number says."""
    counts = array("repeat", "repeats", repeats)
    if isinstance(counts, Tracer):
        counts.__index__()  # raises: the shape of the result depends on it
    if counts.ndim != 1 or counts.shape[0] not in (1, x.shape[axis]) or counts.dtype.kind not in "iu" or (counts < 0).any():
        raise op_error("repeat", f"repeats of shape {counts.shape} must be one int, or one for each of {x.shape[axis]} elements",
                       {"x": x})
    return take(x, np.repeat(np.arange(x.shape[axis]), counts), axis)


def _repeated_to(x: Any, repeats: Any, axis: int, length: int) -> Any:
    """As ``_repeated``, of a known length: a place reads the element which as many begin before, or at it."""
    counts, n = array("repeat", "repeats", repeats), x.shape[axis]
    if counts.shape not in ((), (1,), (n,)) or counts.dtype.kind not in "iu" or not n:
        raise op_error("repeat", f"repeats of shape {counts.shape} must be one int, or one for each of {n} elements", {"x": x})
    counts = broadcast(cast(counts, np.int64), (n,))
    begins = bind("cumsum", counts, axis=0, reverse=False) - counts
    ones = bind("broadcast", np.ones((), np.int64), shape=(n,), dims=())
    begun = bind("scatter_add", np.zeros(length, np.int64), begins, ones, axis=0)
    return take(x, bind("cumsum", begun, axis=0, reverse=False) - 1, axis)


def tile(x: Any, reps: Any) -> Any:
    """x laid side by side ``reps`` times along each axis."""
    operand = array("tile", "x", x)
    counts = integers("tile", "reps", reps, {"x": operand}, least=0)
    rank = max(len(counts), len(operand.shape))
    counts = (1,) * (rank - len(counts)) + counts
    shape = (1,) * (rank - len(operand.shape)) + operand.shape
    shape_of("tile", [c * n for c, n in zip(counts, shape)], operand.dtype.itemsize)
    pairs = tuple(m for n in shape for m in (1, n))
    wide = broadcast(bind("reshape", operand, shape=pairs), tuple(m for c, n in zip(counts, shape) for m in (c, n)))
    return bind("reshape", wide, shape=tuple(c * n for c, n in zip(counts, shape)))


def take(x: Any, indices: Any, axis: int | None = None, out: None = None, mode: Any = None, unique_indices: bool = False,
         indices_are_sorted: bool = False, fill_value: Any = None) -> Any:
    """Elements at ``indices``; negative ones count from the end, what is still outside reads the nearest end.

    ``mode`` "clip": negative ones read the first element; "wrap": all count modulo the extent; "fill": what is outside reads
    ``fill_value``, else NaN, the least signed int, the greatest unsigned one or True. What is said of the indices changes nothing.
    """
    no_out("take", out)
    flag("take", "unique_indices", unique_indices), flag("take", "indices_are_sorted", indices_are_sorted)
    operand = array("take", "x", x)
    index = asarray(indices)
    if index.dtype.kind not in "iu":
        raise op_error("take", "indices must be ints", {"x": operand, "indices": index}, kind=DtypeError)
    if axis is None:
        operand, axis = ravel(operand), 0
    if index.dtype not in (np.int32, np.int64):
        index = cast(index, np.int64)
    at = axis_of("take", operand, axis)
    if mode is None and fill_value is None:
        return bind("take", operand, index, axis=at)
    return _take_by(operand, index, at, mode or "fill", fill_value)


def _take_by(x: Any, index: Any, axis: int, mode: str, fill_value: Any) -> Any:
    n = x.shape[axis]
    choice("take", "mode", mode, ("clip", "wrap", "fill", "promise_in_bounds"), {"x": x})
    if mode != "fill":
        index = remainder(index, n) if mode == "wrap" and n else index if mode == "promise_in_bounds" else maximum(index, 0)
        return bind("take", x, index, axis=axis)
    places = from_start(index, n)
    rank = len(index.shape)
    others = tuple(d for d in range(len(x.shape)) if d != axis)
    return bind("gather", x, bind("reshape", places, shape=(*places.shape, 1)), inserted=(axis,), index_dims=(axis,), batch_dims=(),
                window_dims=tuple(d if d < axis else d - 1 + rank for d in others), index_batch_dims=(), mode="drop",
                sizes=tuple(1 if d == axis else m for d, m in enumerate(x.shape)), fill=fill_of("take", x.dtype, fill_value))
