"""``x.at[index]``: what an array is with some of its elements read, replaced or combined with values; x itself stays as it is.

An index means what it means in ``x[index]``. One that takes a window at one place is a dynamic slice; all others are a gather or
a scatter, one dimension of theirs for each slice, and one for each axis of the index arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from leptonc.arguments import flag
from leptonc.arithmetic import add, bitwise_and, bitwise_or, divide, greater_equal, less, multiply, negative, power
from leptonc.errors import ArgumentError, DtypeError, MissingNameError, near_names, op_error
from leptonc.gathering import applied, reading, writing
from leptonc.indexing import Index, Window, fail, getitem, is_traced, parse, placement, reshape, window_shape, wrap
from leptonc.numpy.along import fill_of
from leptonc.operators import install
from leptonc.public import public_methods
from leptonc.trace import Tracer, bind, broadcast, broadcast_shapes, cast, current_trace, is_weak

_UNINDEXED = object()


def _extreme(op: str) -> Callable[[Any, Any], Any]:
    def of(x: Any, y: Any) -> Any:
        if x.dtype.kind == "b":
            return (bitwise_or if op == "max" else bitwise_and)(x, y)
        return bind(op, x, y)

    return of


_COMBINED: dict[str, Callable[[Any, Any], Any]] = {
    "scatter": lambda x, y: y, "scatter_sum": add, "scatter_prod": multiply, "scatter_max": _extreme("max"),
    "scatter_min": _extreme("min")}
_METHODS = ("get", "set", "add", "subtract", "multiply", "mul", "divide", "power", "min", "max", "apply")


@public_methods
class IndexedUpdate:
    """``x.at``: index it, then ``get``, ``set``, ``add``, ``subtract``, ``multiply``, ``divide``, ``power``, ``min``, ``max`` or
    ``apply``, each of which gives a new array.

    Values stretch to the indexed shape and take x's dtype. Where positions repeat, all values count, in the index's order; of
    ``set`` the last one stays. ``mode`` says what becomes of positions out of range: "drop" or "fill" (nothing is written,
    ``fill_value`` is read), "clip" (the nearest is meant) or "promise_in_bounds". Without one, known positions out of range are a
    RangeError, traced ones read the nearest element and write nothing. ``unique_indices`` says that no position repeats.
    """

    def __init__(self, x: Any, index: Any = _UNINDEXED):
        self._x = x
        self._index = index

    def __getitem__(self, index: Any) -> IndexedUpdate:
        return IndexedUpdate(self._x, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise fail("x.at[i] is not assigned to", self._x, "x = x.at[i].set(v)", ArgumentError)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        hint = near_names(name, _METHODS) or f"it has {', '.join(_METHODS)}"
        raise MissingNameError(f"x.at[i] has no {name}; {hint}")

    def _parsed(self, mode: Any) -> Index:
        if self._index is _UNINDEXED:
            raise fail("x.at has no index", self._x, "x.at[i].set(v)", ArgumentError)
        return parse(self._x, self._index, checked=mode is None)

    def _ones(self) -> IndexedUpdate:
        """What makes no difference, at the same index."""
        trace, one = current_trace(self._x), np.ones((), self._x.dtype)
        return IndexedUpdate(broadcast(one if trace is None else trace.lift(one), self._x.shape), self._index)

    def _updated(self, op: str, values: Any, mode: Any, unique: Any, is_sorted: Any) -> Any:
        parsed = self._parsed(mode)
        flag("at", "indices_are_sorted", is_sorted)
        return _update(self._x, parsed, op, values, mode, flag("at", "unique_indices", unique))

    def get(self, *, indices_are_sorted: bool = False, unique_indices: bool = False, mode: Any = None,
            fill_value: Any = None) -> Any:
        """x[index]; with a ``fill_value``, the mode is "fill"."""
        mode = "fill" if mode is None and fill_value is not None else mode
        parsed = self._parsed(mode)
        flag("at", "indices_are_sorted", indices_are_sorted), flag("at", "unique_indices", unique_indices)
        if mode is None:
            return getitem(self._x, self._index)
        return _get(self._x, parsed, reading("at", mode), fill_of("at", self._x.dtype, fill_value))

    def set(self, values: Any, *, indices_are_sorted: bool = False, unique_indices: bool = False, mode: Any = None) -> Any:
        """A copy of x with ``x[index] = values``; where positions repeat, the last value stays."""
        return self._updated("scatter", values, mode, unique_indices, indices_are_sorted)

    def add(self, values: Any, *, indices_are_sorted: bool = False, unique_indices: bool = False, mode: Any = None) -> Any:
        """A copy of x with ``values`` added at index; where positions repeat, all of them are added."""
        return self._updated("scatter_sum", values, mode, unique_indices, indices_are_sorted)

    def subtract(self, values: Any, *, indices_are_sorted: bool = False, unique_indices: bool = False, mode: Any = None) -> Any:
        """A copy of x with ``values`` taken from the elements at index."""
        return self.add(negative(_values(self._x, values)), indices_are_sorted=indices_are_sorted, unique_indices=unique_indices,
                        mode=mode)

    def multiply(self, values: Any, *, indices_are_sorted: bool = False, unique_indices: bool = False, mode: Any = None) -> Any:
        """A copy of x with the elements at index multiplied by ``values``. It has a gradient if no position repeats: of slices, of
        known positions, or with ``unique_indices``."""
        return self._updated("scatter_prod", values, mode, unique_indices, indices_are_sorted)

    mul = multiply

    def divide(self, values: Any, *, indices_are_sorted: bool = False, unique_indices: bool = False, mode: Any = None) -> Any:
        """x divided by the product of the ``values`` at each position; of ints, floats."""
        return divide(self._x, self._ones().multiply(
            values, indices_are_sorted=indices_are_sorted, unique_indices=unique_indices, mode=mode))

    def power(self, values: Any, *, indices_are_sorted: bool = False, unique_indices: bool = False, mode: Any = None) -> Any:
        """x to the power of the product of the ``values`` at each position."""
        return power(self._x, self._ones().multiply(
            values, indices_are_sorted=indices_are_sorted, unique_indices=unique_indices, mode=mode))

    def min(self, values: Any, *, indices_are_sorted: bool = False, unique_indices: bool = False, mode: Any = None) -> Any:
        """A copy of x with the less of each element at index and ``values``; NaN if one is."""
        return self._updated("scatter_min", values, mode, unique_indices, indices_are_sorted)

    def max(self, values: Any, *, indices_are_sorted: bool = False, unique_indices: bool = False, mode: Any = None) -> Any:
        """A copy of x with the greater of each element at index and ``values``; NaN if one is."""
        return self._updated("scatter_max", values, mode, unique_indices, indices_are_sorted)

    def apply(self, func: Callable[[Any], Any], *, indices_are_sorted: bool = False, unique_indices: bool = False,
              mode: Any = None) -> Any:
        """A copy of x with ``func`` applied to the elements at index, to each as often as its position is there. Reverse mode needs
        positions that are known, or ``unique_indices``."""
        x, parsed = self._x, self._parsed(mode)
        flag("at", "indices_are_sorted", indices_are_sorted)
        unique = flag("at", "unique_indices", unique_indices) or _are_unique(x.shape, parsed)
        place = _place(x, parsed)
        return applied(x, place.indices, func, place.layout, place.shape, writing("at", mode), unique)


def _values(x: Any, values: Any) -> Any:
    if x.dtype.kind != "c" and getattr(values, "dtype", np.dtype(type(values) if is_weak(values) else bool)).kind == "c":
        raise op_error("at", "complex values do not fit into reals", {"x": x, "values": values}, "take their .real", DtypeError)
    return cast(values, x.dtype)


def _stretch(x: Any, values: Any, shape: tuple[int, ...]) -> Any:
    if broadcast_shapes("index", values, np.broadcast_to(False, shape)) != shape:
        raise fail(f"values of shape {values.shape} do not stretch to the indexed {shape}", x)
    return broadcast(values, shape)


def _update(x: Any, parsed: Index, op: str, values: Any, mode: Any, unique: bool) -> Any:
    values = _values(x, values)
    if mode is None and all(e.step == 1 if isinstance(e, Window) else e.shape == () for e in parsed.axes):
        return _update_window(x, parsed, op, values)
    place = _place(x, parsed)
    new = reshape(_stretch(x, values, place.indexed), place.shape)
    return bind(op, x, place.indices, new, **place.layout, mode=writing("at", mode), unique=unique or _are_unique(x.shape, parsed))


def _update_window(x: Any, parsed: Index, op: str, values: Any) -> Any:
    """Contiguous windows, at known or traced starts; a traced start out of range leaves x as it is."""
    axes = [e if isinstance(e, Window) else Window(0, 1, None) for e in parsed.axes]
    size = tuple(w.count for w in axes)
    shape = window_shape(tuple(e if e is None or isinstance(e, Window) else Window(0, 1, None) for e in parsed.entries))
    starts = [np.int64(w.start) if isinstance(e, Window) else wrap(e, n)
              for w, e, n in zip(axes, parsed.axes, x.shape)]
    old = bind("dynamic_slice", x, *starts, size=size) if op != "scatter" or parsed.arrays else None
    new = _COMBINED[op](old, reshape(_stretch(x, values, shape), size))
    for start, n in zip(starts, x.shape):
        if is_traced(start):
            inside = bitwise_and(greater_equal(start, 0), less(start, n))
            new = bind("select", broadcast(inside, size), new, old)
    return bind("dynamic_update_slice", x, new, *starts)


def _get(x: Any, parsed: Index, mode: str, fill: Any) -> Any:
    place = _place(x, parsed)
    out = bind("gather", x, place.indices, **place.layout, sizes=place.sizes, mode=mode, fill=fill)
    return reshape(out, place.indexed)


@dataclass(frozen=True)
class _Place:
    """An index as the ops gather and scatter take it. ``indexed`` is the shape of ``x[index]``, ``shape`` that without new axes."""

    indices: Any
    layout: dict[str, Any]
    sizes: tuple[int, ...]
    indexed: tuple[int, ...]
    shape: tuple[int, ...]


def _place(x: Any, parsed: Index) -> _Place:
    """Axes of the result: slices of neighbouring elements walk the window; the index arrays, and slices with steps, are places."""
    dims = _dimensions(parsed)
    rows = broadcast_shapes("index", *(parsed.axes[a] for a in parsed.arrays)) if parsed.arrays else ()
    extents = [rows[d[1]] if isinstance(d, tuple) else 1 if d is None else parsed.axes[d].size for d in dims]
    kept = [(d, n) for d, n in zip(dims, extents) if d is not None]
    windows = [n for n, (d, _) in enumerate(kept) if isinstance(d, int) and parsed.axes[d].step == 1]
    places = [(d, n) for k, (d, n) in enumerate(kept) if k not in windows]
    numbers = {axis: found for axis, e in enumerate(parsed.axes)
               if (found := _numbers(e, axis, x.shape[axis], places, len(rows))) is not None}
    walked = [kept[n][0] for n in windows]
    layout = {"window_dims": tuple(windows), "inserted": tuple(a for a in range(len(x.shape)) if a not in walked),
              "index_dims": tuple(numbers), "batch_dims": (), "index_batch_dims": ()}
    sizes = tuple(parsed.axes[a].size if a in walked else 1 for a in range(len(x.shape)))
    indices = _joined([*numbers.values()], tuple(n for _, n in places))
    return _Place(indices, layout, sizes, tuple(extents), tuple(n for _, n in kept))


def _dimensions(parsed: Index) -> list[Any]:
    """What each axis of ``x[index]`` is: the axis of x that a slice takes, ("rows", n) the arrays' axis n, None a new axis."""
    rows = [("rows", n) for n in range(len(np.broadcast_shapes(*(parsed.axes[a].shape for a in parsed.arrays))))]
    out, axis = list[Any](), 0
    before = placement(parsed)[1] if parsed.arrays else len(parsed.entries)
    for n, entry in enumerate(parsed.entries):
        out += rows if n == before else []
        if entry is None or (isinstance(entry, Window) and entry.size is not None):
            out.append(None if entry is None else axis)
        axis += entry is not None
    return out


def _numbers(entry: Any, axis: int, n: int, places: list[tuple[Any, int]], rank: int) -> Any:
    """Where windows begin along an axis of x, as an array that stretches to the places; None where they take all of it."""
    if not isinstance(entry, Window):
        array = wrap(entry, n)
        first = next((k for k, (d, _) in enumerate(places) if isinstance(d, tuple)), 0) + rank - len(array.shape)
        return reshape(array, (*(1,) * first, *array.shape, *(1,) * (len(places) - first - len(array.shape))))
    if entry.size is not None and entry.step == 1:
        return None if entry.size == n else np.full((1,) * len(places), entry.start, np.int64)
    if entry.size is None:
        return np.full((1,) * len(places), entry.start, np.int64)
    along = entry.start + entry.step * np.arange(entry.size, dtype=np.int64)
    return along.reshape([-1 if d == axis else 1 for d, _ in places])


def _joined(numbers: list[Any], shape: tuple[int, ...]) -> Any:
    """Vectors of the numbers, as the last axis."""
    if not numbers:
        return np.zeros((*shape, 0), np.int64)
    if not any(isinstance(x, Tracer) or is_traced(x) for x in numbers):
        return np.stack([np.broadcast_to(x, shape) for x in numbers], -1)
    columns = [reshape(broadcast(x, shape), (*shape, 1)) for x in numbers]
    return columns[0] if len(columns) == 1 else bind("concatenate", *columns, axis=len(shape))


def _are_unique(shape: tuple[int, ...], parsed: Index) -> bool:
    """Whether it is known that no position repeats."""
    arrays = [parsed.axes[a] for a in parsed.arrays]
    if any(is_traced(array) for array in arrays):
        return all(array.shape == () for array in arrays)
    if not arrays:
        return True
    extents = [shape[a] for a in parsed.arrays]
    numbers = np.ravel_multi_index(np.broadcast_arrays(*arrays), extents, mode="clip") if prod(extents) else np.zeros(0)
    return len(np.unique(numbers)) == numbers.size


install({"at": IndexedUpdate})
