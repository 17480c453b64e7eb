"""``x[index]``, ``x.at[index].set(v)`` and ``.add(v)`` on traced values.

An index is a tuple of ints, slices, None, Ellipsis, integer arrays and known bool arrays, with NumPy's meaning. Arrays
and ints known while tracing are checked; a traced index out of range reads the nearest element, and writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from leptonc.arithmetic import add, bitwise_and, equal, greater_equal, less, multiply
from leptonc.bfloat16 import kind_of
from leptonc.eager import is_given, plain
from leptonc.errors import (
    ArgumentError,
    DtypeError,
    LeptonError,
    MissingNameError,
    RangeError,
    ShapeError,
    TracerError,
    near_names,
    op_error,
)
from leptonc.operators import install
from leptonc.public import public_methods
from leptonc.trace import Tracer, asarray, bind, broadcast, broadcast_shapes, cast, current_trace


def _fail(reason: str, x: Any, fix: str | None = None, kind: type[LeptonError] = ShapeError) -> LeptonError:
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


def parse(x: Any, index: Any) -> Index:
    """Normalise ``index`` for ``x``. Raises ShapeError, RangeError, DtypeError or (a traced bool mask) TracerError."""
    given = [_item(x, item) for item in (index if isinstance(index, tuple) else (index,))]
    used = sum(map(_axes_used, given))
    if used > len(x.shape):
        raise _fail(f"{used} indices for {len(x.shape)} axes", x)
    dots = [i for i, item in enumerate(given) if item is Ellipsis]
    if len(dots) > 1:
        raise _fail("more than one ellipsis", x)
    at = dots[0] if dots else len(given)
    given[at:at + 1] = [slice(None)] * (len(x.shape) - used)
    return Index(_entries(x, _without_masks(x, given)))


def _is_traced(item: Any) -> bool:
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
                raise _fail(f"a mask of shape {item.shape} where x has extents {wanted}", x, kind=RangeError)
            out += np.nonzero(item)
        else:
            out.append(item)
        axis += _axes_used(item)
    return out


def _entries(x: Any, items: list[Any]) -> tuple[Any, ...]:
    # An int beside arrays is one of them for NumPy: it decides where their axes go.
    advanced = any(isinstance(item, np.ndarray | Tracer) for item in items)
    entries: list[Any] = []
    axis = 0
    for item in items:
        entries.append(None if item is None else _entry(x, axis, item, advanced))
        axis += item is not None
    return tuple(entries)


def _entry(x: Any, axis: int, item: Any, advanced: bool) -> Any:
    n = x.shape[axis]
    if isinstance(item, slice):
        return _slice_window(x, item, n)
    if _is_traced(item):
        return item
    position = np.where(np.asarray(item) < 0, np.asarray(item) + n, item)
    if ((position < 0) | (position >= n)).any():
        raise _fail(f"index {item} is out of range for axis {axis} of {n} elements", x, kind=RangeError)
    if isinstance(item, np.ndarray) or advanced:
        return position.astype(np.int64)
    return Window(int(position), 1, None)


def _slice_window(x: Any, item: slice, n: int) -> Window:
    if any(isinstance(part, Tracer) for part in (item.start, item.stop, item.step)):
        raise _fail("a slice with traced bounds has a shape that depends on data", x,
                    "use leptonc.lax.dynamic_slice(x, starts, sizes)", TracerError)
    try:
        start, stop, step = item.indices(n)
    except (TypeError, ValueError) as error:
        raise _fail(f"{item}: {error}", x, kind=DtypeError) from None
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
            raise _fail("a mask of 0 axes", x)
        return array
    if kind_of(array.dtype) == "f":
        raise _fail(f"an index must be ints or bools, got {item!r}", x, kind=DtypeError)
    # A 0-d array is an int to NumPy as well.
    return int(array) if array.ndim == 0 else array.astype(np.int64)


def _traced_item(x: Any, item: Any) -> Any:
    if item.dtype.kind == "b":
        raise _fail("a traced bool mask gives a shape that depends on data", x,
                    "use leptonc.numpy.where(mask, x, other)", TracerError)
    if kind_of(item.dtype) == "f":
        raise _fail(f"an index must be ints, got {item.origin}", x, kind=DtypeError)
    return cast(item, np.int64)


def getitem(x: Any, index: Any) -> Any:
    """``x[index]``."""
    parsed = parse(x, index)
    out = _cut(x, parsed)
    if parsed.arrays:
        return _gather(out, parsed)
    return _reshape(out, _window_shape(parsed.entries))


def _cut(x: Any, parsed: Index) -> Any:
    """The windows of ``x``, dropped axes kept with extent 1; axes indexed by arrays whole."""
    whole = [Window(0, 1, n) for n in x.shape]
    windows = [e if isinstance(e, Window) else w for e, w in zip(parsed.axes, whole)]
    if all((w.start, w.step, w.count) == (0, 1, n) for w, n in zip(windows, x.shape)):
        return x
    start, step, size = zip(*((w.start, w.step, w.count) for w in windows))
    return bind("slice", x, start=start, size=size, step=step)


def _window_shape(entries: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(1 if e is None else e.size for e in entries if e is None or e.size is not None)


def _reshape(x: Any, shape: tuple[int, ...]) -> Any:
    return x if x.shape == shape else bind("reshape", x, shape=shape)


def _gather(x: Any, parsed: Index) -> Any:
    """``x``, cut already, indexed by the arrays: their axes are brought together, made one, and taken from."""
    front, before = _placement(parsed)
    position, rows = _linear_index(x.shape, parsed)
    out = bind("take", _merge_axes(x, parsed.arrays, front), position, axis=front)
    left = _window_shape(parsed.entries[:before])
    rest = [e for e in parsed.entries if e is None or isinstance(e, Window)]
    tail = _window_shape(tuple(rest))[len(left):]
    return _reshape(out, left + rows + tail)


def _placement(parsed: Index) -> tuple[int, int]:
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
    return _reshape(moved, (*extents[:front], merged, *extents[front:]))


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
    if not _is_traced(index):
        return index
    wrapped = _wrap(index, n)
    low = bind("max", wrapped, _full(wrapped, 0))
    return bind("min", low, _full(wrapped, max(n - 1, 0)))


def _full(like: Any, number: Any) -> Any:
    return np.full(like.shape, number, like.dtype)


def _wrap(index: Any, n: int) -> Any:
    return bind("select", less(index, 0), add(index, n), index) if _is_traced(index) else index


_UNINDEXED = object()


@public_methods
class IndexedUpdate:
    """``x.at``: index it, then ``set`` or ``add``."""

    def __init__(self, x: Any, index: Any = _UNINDEXED):
        self._x = x
        self._index = index

    def __getitem__(self, index: Any) -> IndexedUpdate:
        return IndexedUpdate(self._x, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise _fail("x.at[i] is not assigned to", self._x, "x = x.at[i].set(v)", ArgumentError)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        hint = near_names(name, ("set", "add")) or "it has set and add; use x.at[i].set(f(x[i]))"
        raise MissingNameError(f"x.at[i] has no {name}; {hint}")

    def _parsed(self) -> Index:
        if self._index is _UNINDEXED:
            raise _fail("x.at has no index", self._x, "x.at[i].set(v)", ArgumentError)
        return parse(self._x, self._index)

    def set(self, values: Any) -> Any:
        """A copy of x with ``x[index] = values``; where positions repeat, the last value stays."""
        return _update(self._x, self._parsed(), self._index, values, accumulate=False)

    def add(self, values: Any) -> Any:
        """A copy of x with ``values`` added at index; where positions repeat, all of them are added."""
        return _update(self._x, self._parsed(), self._index, values, accumulate=True)


def _update(x: Any, parsed: Index, index: Any, values: Any, accumulate: bool) -> Any:
    values = cast(values, x.dtype)
    traced = [e for e in parsed.axes if _is_traced(e)]
    if all(e.step == 1 if isinstance(e, Window) else e.shape == () for e in parsed.axes):
        return _update_window(x, parsed, values, accumulate)
    if not traced:
        return _update_known(x, index, values, accumulate)
    return _update_rows(x, parsed, values, accumulate)


def _stretch(x: Any, values: Any, shape: tuple[int, ...]) -> Any:
    if broadcast_shapes("index", values, np.broadcast_to(False, shape)) != shape:
        raise _fail(f"values of shape {values.shape} do not stretch to the indexed {shape}", x)
    return broadcast(values, shape)


def _update_window(x: Any, parsed: Index, values: Any, accumulate: bool) -> Any:
    """Contiguous windows, at known or traced starts; a traced start out of range leaves x as it is."""
    axes = [e if isinstance(e, Window) else Window(0, 1, None) for e in parsed.axes]
    size = tuple(w.count for w in axes)
    shape = _window_shape(tuple(e if e is None or isinstance(e, Window) else Window(0, 1, None)
                                for e in parsed.entries))
    starts = [np.int64(w.start) if isinstance(e, Window) else _wrap(e, n)
              for w, e, n in zip(axes, parsed.axes, x.shape)]
    old = bind("dynamic_slice", x, *starts, size=size) if accumulate or parsed.arrays else None
    new = _reshape(_stretch(x, values, shape), size)
    new = add(old, new) if accumulate else new
    for start, n in zip(starts, x.shape):
        if _is_traced(start):
            inside = bitwise_and(greater_equal(start, 0), less(start, n))
            new = bind("select", broadcast(inside, size), new, old)
    return bind("dynamic_update_slice", x, new, *starts)


def _update_known(x: Any, index: Any, values: Any, accumulate: bool) -> Any:
    """Positions known while tracing: NumPy finds them, on an array of element numbers."""
    numbers = np.arange(prod(x.shape), dtype=np.int64).reshape(x.shape)
    position = numbers[plain(index)]
    flat, updates = _reshape(x, (numbers.size,)), _reshape(_stretch(x, values, position.shape), (position.size,))
    if not position.size:
        return x
    if accumulate:
        return _reshape(bind("scatter_add", flat, position.reshape(-1), updates, axis=0), x.shape)
    source = np.full(numbers.size, -1, np.int64)
    source[position.reshape(-1)] = np.arange(position.size)
    new = bind("take", updates, np.maximum(source, 0), axis=0)
    return _reshape(bind("select", source >= 0, new, flat), x.shape)


def _update_rows(x: Any, parsed: Index, values: Any, accumulate: bool) -> Any:
    """Traced index arrays; the other axes whole. Rows out of range are dropped."""
    if any(isinstance(e, Window) and (e.start, e.step, e.size) != (0, 1, n) for e, n in zip(parsed.axes, x.shape)):
        raise _fail("a traced array beside a slice that takes part of an axis", x, "update the part, then set it")
    front, before = _placement(parsed)
    rows = broadcast_shapes("index", *(parsed.axes[a] for a in parsed.arrays))
    position = _row_numbers(x.shape, parsed, rows)
    left = _window_shape(parsed.entries[:before])
    rest = _window_shape(tuple(e for e in parsed.entries if e is None or isinstance(e, Window)))
    merged = _merge_axes(x, parsed.arrays, front)
    others = merged.shape[:front] + merged.shape[front + 1:]
    updates = _reshape(_stretch(x, values, left + rows + rest[len(left):]),
                       others[:front] + (prod(rows),) + others[front:])
    change = _add_rows if accumulate else _set_rows
    return _split_axes(change(merged, position, updates, front), x.shape, parsed.arrays, front)


def _row_numbers(shape: tuple[int, ...], parsed: Index, rows: tuple[int, ...]) -> Any:
    """Positions in the merged axes, flat; the extent (one past the last) where any index is out of range."""
    total = prod(shape[a] for a in parsed.arrays)
    out: Any = np.zeros((), np.int64)
    inside: Any = np.ones((), bool)
    for axis in parsed.arrays:
        wrapped = _wrap(parsed.axes[axis], shape[axis])
        inside = bitwise_and(inside, bitwise_and(greater_equal(wrapped, 0), less(wrapped, shape[axis])))
        out = add(multiply(out, shape[axis]), wrapped)
    out, inside = broadcast(out, rows), broadcast(inside, rows)
    return _reshape(bind("select", inside, out, np.full(rows, total, np.int64)), (prod(rows),))


def _add_rows(x: Any, position: Any, updates: Any, axis: int) -> Any:
    return bind("scatter_add", x, position, updates, axis=axis)


def _set_rows(x: Any, position: Any, updates: Any, axis: int) -> Any:
    """Gather form: for each row of x the number of the last update that goes there, found by comparing all pairs."""
    n, k = x.shape[axis], position.shape[0]
    if k == 0 or n == 0:
        return x
    row, column = (_lift_like(position, np.arange(count)) for count in (n, k))
    row, column, position = (bind("broadcast", v, shape=(n, k), dims=(d,)) for v, d in
                             ((row, 0), (column, 1), (position, 1)))
    hit = equal(row, position)
    source = bind("reduce_max", bind("select", hit, column, np.full((n, k), -1, np.int64)), axes=(1,))
    new = bind("take", updates, bind("max", source, np.zeros(n, np.int64)), axis=axis)
    changed = bind("broadcast", greater_equal(source, 0), shape=x.shape, dims=(axis,))
    return bind("select", changed, new, x)


def _lift_like(traced: Any, array: np.ndarray) -> Any:
    trace = current_trace(traced)
    return array if trace is None else trace.lift(array)


def _split_axes(x: Any, shape: tuple[int, ...], axes: list[int], front: int) -> Any:
    """Undo ``_merge_axes``."""
    others = [a for a in range(len(shape)) if a not in axes]
    perm = (*others[:front], *axes, *others[front:])
    split = _reshape(x, tuple(shape[a] for a in perm))
    back = tuple(perm.index(a) for a in range(len(shape)))
    return split if back == tuple(range(len(back))) else bind("transpose", split, perm=back)


install({"getitem": getitem, "at": IndexedUpdate})
