"""``x[index]`` on traced values; what an index means is here for ``x.at[index]`` as well.

An index is a tuple of ints, slices, None, Ellipsis, integer arrays and known bool arrays, with NumPy's meaning. Arrays
and ints known while tracing are checked; a traced index out of range reads the nearest element, and writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from leptonc.arithmetic import add, less, multiply
from leptonc.bfloat16 import kind_of
from leptonc.eager import is_given
from leptonc.errors import DtypeError, LeptonError, RangeError, ShapeError, TracerError, op_error
from leptonc.operators import install
from leptonc.trace import Tracer, asarray, bind, broadcast, broadcast_shapes, cast


def fail(reason: str, x: Any, fix: str | None = None, kind: type[LeptonError] = ShapeError) -> LeptonError:
    return op_error("index", reason, {"x": x}, fix, kind)


@dataclass(frozen=True)
class Window:
    """One axis cut by an int or a slice: elements start, start + step, ...; ``size`` None drops the axis."""

    start: int
    step: int
    size: int | None

    @property
    def count(self) -> int:
        return 1 if self.size is None else self.size


@dataclass(frozen=True)
class Index:
    """A full index: per axis of x a Window or an integer array; ``new`` are positions of None among the entries."""

    entries: tuple[Any, ...]  # Window | ndarray | Tracer | None (a new axis), in order

    @property
    def axes(self) -> list[Any]:
        """The entries that use up an axis of x."""
        return [e for e in self.entries if e is not None]

    @property
    def arrays(self) -> list[int]:
        """Axes of x indexed by arrays."""
        return [axis for axis, e in enumerate(self.axes) if not isinstance(e, Window)]


def parse(x: Any, index: Any, checked: bool = True) -> Index:
    """Normalise ``index`` for ``x``; known positions out of range are errors if ``checked``, else they stay.

    Raises ShapeError, RangeError, DtypeError or (a traced bool mask) TracerError."""
    given = [_item(x, item) for item in (index if isinstance(index, tuple) else (index,))]
    used = sum(map(_axes_used, given))
    if used > len(x.shape):
        raise fail(f"{used} indices for {len(x.shape)} axes", x)
    dots = [i for i, item in enumerate(given) if item is Ellipsis]
    if len(dots) > 1:
        raise fail("more than one ellipsis", x)
    at = dots[0] if dots else len(given)
    given[at:at + 1] = [slice(None)] * (len(x.shape) - used)
    return Index(_entries(x, _without_masks(x, given), checked))


def is_traced(item: Any) -> bool:
    """Whether an entry of an index is traced, or would be if the function did not run op by op: it is not checked."""
    return isinstance(item, Tracer) or is_given(item)


def _axes_used(item: Any) -> int:
    """How many axes of x an item of the index uses up."""
    if item is None or item is Ellipsis:
        return 0
    return item.ndim if isinstance(item, np.ndarray) and item.dtype.kind == "b" else 1


def _without_masks(x: Any, items: list[Any]) -> list[Any]:
    """Each mask as an integer array for each of its axes. Raises RangeError for one of another shape than x's axes there."""
    out: list[Any] = []
    axis = 0
    for item in items:
        if isinstance(item, np.ndarray) and item.dtype.kind == "b":
            wanted = x.shape[axis:axis + item.ndim]
            if item.shape != wanted:
                raise fail(f"a mask of shape {item.shape} where x has extents {wanted}", x, kind=RangeError)
            out += np.nonzero(item)
        else:
            out.append(item)
        axis += _axes_used(item)
    return out


def _entries(x: Any, items: list[Any], checked: bool) -> tuple[Any, ...]:
    # An int beside arrays is one of them for NumPy: it decides where their axes go.
    advanced = any(isinstance(item, np.ndarray | Tracer) for item in items)
    entries: list[Any] = []
    axis = 0
    for item in items:
        entries.append(None if item is None else _entry(x, axis, item, advanced, checked))
        axis += item is not None
    return tuple(entries)


def _entry(x: Any, axis: int, item: Any, advanced: bool, checked: bool) -> Any:
    n = x.shape[axis]
    if isinstance(item, slice):
        return _slice_window(x, item, n)
    if is_traced(item):
        return item
    position = np.where(np.asarray(item) < 0, np.asarray(item) + n, item)
    outside = bool(((position < 0) | (position >= n)).any())
    if outside and checked:
        raise fail(f"index {item} is out of range for axis {axis} of {n} elements", x, kind=RangeError)
    if isinstance(item, np.ndarray) or advanced or outside:
        return position.astype(np.int64)
    return Window(int(position), 1, None)


def _slice_window(x: Any, item: slice, n: int) -> Window:
    if any(isinstance(part, Tracer) for part in (item.start, item.stop, item.step)):
        raise fail("a slice with traced bounds has a shape that depends on data", x,
                    "use leptonc.lax.dynamic_slice(x, starts, sizes)", TracerError)
    try:
        start, stop, step = item.indices(n)
    except (TypeError, ValueError) as error:
        raise fail(f"{item}: {error}", x, kind=DtypeError) from None
    size = len(range(start, stop, step))
    return Window(start, step, size) if size else Window(0, 1, 0)


def _item(x: Any, item: Any) -> Any:
    """One item of an index as an int, a slice, None, Ellipsis, a mask or an integer array."""
    if item is None or item is Ellipsis or isinstance(item, slice):
        return item
    if isinstance(item, Tracer) or (is_given(item) and item.dtype.kind in "iu"):
        return _traced_item(x, item)
    array = np.zeros(0, np.int64) if isinstance(item, list) and not item else asarray(item, "index")
    if array.dtype.kind == "b":
        if not array.ndim:
            raise fail("a mask of 0 axes", x)
        return array
    if kind_of(array.dtype) in "fc":
        raise fail(f"an index must be ints or bools, got {item!r}", x, kind=DtypeError)
    # A 0-d array is an int to NumPy as well.
    return int(array) if array.ndim == 0 else array.astype(np.int64)


def _traced_item(x: Any, item: Any) -> Any:
    if item.dtype.kind == "b":
        raise fail("a traced bool mask gives a shape that depends on data", x,
                    "use leptonc.numpy.where(mask, x, other)", TracerError)
    if kind_of(item.dtype) in "fc":
        raise fail(f"an index must be ints, got {item.origin}", x, kind=DtypeError)
    return cast(item, np.int64)


def getitem(x: Any, index: Any) -> Any:
    """``x[index]``."""
    parsed = parse(x, index)
    out = cut(x, parsed)
    if parsed.arrays:
        return _gather(out, parsed)
    return reshape(out, window_shape(parsed.entries))


def cut(x: Any, parsed: Index) -> Any:
    """The windows of ``x``, dropped axes kept with extent 1; axes indexed by arrays whole."""
    whole = [Window(0, 1, n) for n in x.shape]
    windows = [e if isinstance(e, Window) else w for e, w in zip(parsed.axes, whole)]
    if all((w.start, w.step, w.count) == (0, 1, n) for w, n in zip(windows, x.shape)):
        return x
    start, step, size = zip(*((w.start, w.step, w.count) for w in windows))
    return bind("slice", x, start=start, size=size, step=step)


def window_shape(entries: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(1 if e is None else e.size for e in entries if e is None or e.size is not None)


def reshape(x: Any, shape: tuple[int, ...]) -> Any:
    return x if x.shape == shape else bind("reshape", x, shape=shape)


def _gather(x: Any, parsed: Index) -> Any:
    """``x``, cut already, indexed by the arrays: their axes are brought together, made one, and taken from."""
    front, before = placement(parsed)
    position, rows = _linear_index(x.shape, parsed)
    out = bind("take", _merge_axes(x, parsed.arrays, front), position, axis=front)
    left = window_shape(parsed.entries[:before])
    rest = [e for e in parsed.entries if e is None or isinstance(e, Window)]
    tail = window_shape(tuple(rest))[len(left):]
    return reshape(out, left + rows + tail)


def placement(parsed: Index) -> tuple[int, int]:
    """Where the arrays' axes go: (axis of x, entry of the index). First of all unless the arrays are neighbours."""
    at = [i for i, e in enumerate(parsed.entries) if e is not None and not isinstance(e, Window)]
    if at[-1] - at[0] + 1 != len(at):
        return 0, 0
    return parsed.arrays[0], at[0]


def _merge_axes(x: Any, axes: list[int], front: int) -> Any:
    """Make ``axes`` one, at position ``front`` among the others."""
    others = [a for a in range(len(x.shape)) if a not in axes]
    perm = (*others[:front], *axes, *others[front:])
    moved = x if perm == tuple(range(len(perm))) else bind("transpose", x, perm=perm)
    extents = [x.shape[a] for a in others]
    merged = prod(x.shape[a] for a in axes)
    return reshape(moved, (*extents[:front], merged, *extents[front:]))


def _linear_index(shape: tuple[int, ...], parsed: Index) -> tuple[Any, tuple[int, ...]]:
    """The arrays as one index into their merged axes, i64, and its shape."""
    arrays = [parsed.axes[axis] for axis in parsed.arrays]
    rows = broadcast_shapes("index", *arrays)
    if len(arrays) == 1:
        return arrays[0], rows
    out: Any = np.zeros((), np.int64)
    for axis, array in zip(parsed.arrays, arrays):
        out = add(multiply(out, shape[axis]), _in_range(array, shape[axis]))
    return broadcast(out, rows), rows


def _in_range(index: Any, n: int) -> Any:
    """Negative positions wrapped once, the rest clamped: as ``take`` does for one axis."""
    if not is_traced(index):
        return index
    wrapped = wrap(index, n)
    low = bind("max", wrapped, _full(wrapped, 0))
    return bind("min", low, _full(wrapped, max(n - 1, 0)))


def _full(like: Any, number: Any) -> Any:
    return np.full(like.shape, number, like.dtype)


def wrap(index: Any, n: int) -> Any:
    return bind("select", less(index, 0), add(index, n), index) if is_traced(index) else index


install({"getitem": getitem})
