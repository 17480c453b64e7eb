"""lax.gather and lax.scatter in XLA's general form: windows of one array, at places that are numbers in another one.

Scatters write one window after the other, in the order of the indices: where some meet, what is made of them is the same on any
number of threads, and of those that are set the last one stays.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from leptonc.arguments import array, flag, function, integer, integers
from leptonc.arguments import axis as axis_of
from leptonc.arguments import operand as weak_or_array
from leptonc.arguments import shape as shape_of
from leptonc.arithmetic import greater, negative
from leptonc.errors import ArgumentError, DtypeError, op_error
from leptonc.numpy.along import fill_of
from leptonc.trace import Tracer, bind, cast, promote
from leptonc.whiles import while_loop


class GatherDimensionNumbers(NamedTuple):
    """``offset_dims``: axes of the result that walk a window; ``collapsed_slice_dims``: axes of operand that windows are 1 wide
    along and the result has not; ``start_index_map``: the axis of operand that each number of an index is for. Batching
    dimensions go together, in operand and start_indices."""

    offset_dims: Sequence[int]
    collapsed_slice_dims: Sequence[int]
    start_index_map: Sequence[int]
    operand_batching_dims: Sequence[int] = ()
    start_indices_batching_dims: Sequence[int] = ()


class ScatterDimensionNumbers(NamedTuple):
    """``update_window_dims``: axes of updates that walk a window; ``inserted_window_dims``: axes of operand that windows are 1 wide
    along and updates have not; ``scatter_dims_to_operand_dims``: the axis of operand that each number of an index is for. Batching
    dimensions go together, in operand and scatter_indices."""

    update_window_dims: Sequence[int]
    inserted_window_dims: Sequence[int]
    scatter_dims_to_operand_dims: Sequence[int]
    operand_batching_dims: Sequence[int] = ()
    scatter_indices_batching_dims: Sequence[int] = ()


class GatherScatterMode(enum.Enum):
    """What becomes of a window that leaves operand: it is moved back into it; it is filled, or dropped; there is none (what is
    there all the same reads as CLIP has it, and is not written)."""

    CLIP = "clip"
    FILL_OR_DROP = "fill"
    PROMISE_IN_BOUNDS = "promise_in_bounds"

    @staticmethod
    def from_any(mode: Any) -> GatherScatterMode:
        """A mode, its name ("drop" is "fill"), or None: FILL_OR_DROP. Raises ArgumentError."""
        return _mode("GatherScatterMode", mode)


_MODES = {"clip": GatherScatterMode.CLIP, "fill": GatherScatterMode.FILL_OR_DROP, "drop": GatherScatterMode.FILL_OR_DROP,
          "promise_in_bounds": GatherScatterMode.PROMISE_IN_BOUNDS}


def _mode(name: str, mode: Any) -> GatherScatterMode:
    if mode is None:
        return GatherScatterMode.FILL_OR_DROP
    word = getattr(mode, "name", mode)  # of an enumeration: JAX's own fits as well
    found = _MODES.get(word.lower().replace("fill_or_drop", "fill")) if isinstance(word, str) else None
    if found is None:
        raise op_error(name, f"mode={mode!r} must be one of {', '.join(map(repr, _MODES))}", {}, kind=ArgumentError)
    return found


def reading(name: str, mode: Any) -> str:
    """The mode of the op ``gather``."""
    return "drop" if _mode(name, mode) is GatherScatterMode.FILL_OR_DROP else "clip"


def writing(name: str, mode: Any) -> str:
    """The mode of the scatter ops."""
    return "clip" if _mode(name, mode) is GatherScatterMode.CLIP else "drop"


def _indices(name: str, indices: Any) -> Any:
    index = array(name, "indices", indices)
    if index.dtype.kind not in "iu":
        raise op_error(name, "indices must be ints", {"indices": index}, kind=DtypeError)
    return index


_GATHER = GatherDimensionNumbers._fields
_SCATTER = ScatterDimensionNumbers._fields
_ATTRIBUTES = ("window_dims", "inserted", "index_dims", "batch_dims", "index_batch_dims")


def _layout(name: str, numbers: Any, fields: Sequence[str], operands: dict[str, object]) -> dict[str, Any]:
    """The attributes of the ops gather and scatter. Raises ArgumentError for what is no such dimension numbers."""
    if any(not hasattr(numbers, field) for field in fields):
        kind = "Gather" if fields is _GATHER else "Scatter"
        raise op_error(name, f"dimension_numbers={numbers!r:.60} must be leptonc.lax.{kind}DimensionNumbers", operands,
                       kind=ArgumentError)
    return {attribute: integers(name, field, tuple(getattr(numbers, field)), operands, least=0)
            for attribute, field in zip(_ATTRIBUTES, fields)}


def gather(operand: Any, start_indices: Any, dimension_numbers: Any, slice_sizes: Sequence[int], *, unique_indices: bool = False,
           indices_are_sorted: bool = False, mode: Any = None, fill_value: Any = None) -> Any:
    """Windows of ``slice_sizes`` of operand that begin at the last axis' numbers of ``start_indices`` [..., k].

    ``mode``: "promise_in_bounds" (the default, as JAX's; windows that break it are moved into operand), "clip" (the same) or "fill"
    (with ``fill_value``, else NaN, the least signed int, the greatest unsigned one or True). Negative indices are out of range.
    Raises ShapeError, DtypeError or ArgumentError.
    """
    x, index = array("gather", "operand", operand), _indices("gather", start_indices)
    named = {"operand": x, "start_indices": index}
    sizes = integers("gather", "slice_sizes", slice_sizes, named, count=len(x.shape), least=0)
    how = reading("gather", GatherScatterMode.PROMISE_IN_BOUNDS if mode is None else mode)
    flag("gather", "unique_indices", unique_indices), flag("gather", "indices_are_sorted", indices_are_sorted)
    fill = fill_of("gather", x.dtype, fill_value) if how == "drop" else 0
    return bind("gather", x, index, **_layout("gather", dimension_numbers, _GATHER, named), sizes=sizes, mode=how, fill=fill)


def _scattered(name: str, op: str, operand: Any, indices: Any, updates: Any, numbers: Any, unique: bool, is_sorted: bool,
               mode: Any) -> Any:
    x, values = promote(array(name, "operand", operand), weak_or_array(name, "updates", updates))
    index = _indices(name, indices)
    named = {"operand": x, "scatter_indices": index, "updates": values}
    flag(name, "indices_are_sorted", is_sorted)
    values, layout = _windows_last(x, values, _layout(name, numbers, _SCATTER, named))
    return bind(op, x, index, values, **layout, mode=writing(name, mode), unique=flag(name, "unique_indices", unique))


def _windows_last(x: Any, updates: Any, layout: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Updates with the axes of a window behind all others: windows that overlap are written one after the other, each whole."""
    rank, window, indexed = len(updates.shape), layout["window_dims"], set(layout["index_dims"])
    walked = [d for d in range(len(x.shape)) if d not in (*layout["inserted"], *layout["batch_dims"])]
    wide = any(d in indexed and w < rank and updates.shape[w] > 1 for d, w in zip(walked, window))
    places = tuple(d for d in range(rank) if d not in window)
    if not wide or places == tuple(range(len(places))) or len(places) + len(window) != rank:
        return updates, layout
    return bind("transpose", updates, perm=(*places, *window)), {**layout, "window_dims": tuple(range(len(places), rank))}


def scatter(operand: Any, scatter_indices: Any, updates: Any, dimension_numbers: Any, *, indices_are_sorted: bool = False,
            unique_indices: bool = False, mode: Any = None) -> Any:
    """operand with windows replaced by ``updates``, at the last axis' numbers of ``scatter_indices`` [..., k]; of several at one
    place the last one stays.

    ``mode``: "drop" (the default: windows that leave operand write nothing), "clip" (they are moved into it) or
    "promise_in_bounds". Negative indices are out of range. ``unique_indices`` says that no two updates meet. Raises ShapeError,
    DtypeError or ArgumentError.
    """
    return _scattered("scatter", "scatter", operand, scatter_indices, updates, dimension_numbers, unique_indices,
                      indices_are_sorted, mode)


def scatter_add(operand: Any, scatter_indices: Any, updates: Any, dimension_numbers: Any = None, *, axis: int = 0,
                indices_are_sorted: bool = False, unique_indices: bool = False, mode: Any = None) -> Any:
    """As ``scatter``, with updates added to what is there.

    Without dimension numbers: updates, shaped as ``numpy.take`` of operand would give them, added at indices along ``axis``;
    negative ones count from the end, those out of range are dropped.
    """
    if dimension_numbers is None or isinstance(dimension_numbers, int):
        x, values = promote(array("scatter_add", "operand", operand), weak_or_array("scatter_add", "updates", updates))
        index = cast(_indices("scatter_add", scatter_indices), np.int64)
        return bind("scatter_add", x, index, values, axis=axis_of("scatter_add", x, axis if dimension_numbers is None else
                                                                  integer("scatter_add", "axis", dimension_numbers)))
    return _scattered("scatter_add", "scatter_sum", operand, scatter_indices, updates, dimension_numbers, unique_indices,
                      indices_are_sorted, mode)


def scatter_sub(operand: Any, scatter_indices: Any, updates: Any, dimension_numbers: Any, *, indices_are_sorted: bool = False,
                unique_indices: bool = False, mode: Any = None) -> Any:
    """As ``scatter``, with updates taken from what is there."""
    return _scattered("scatter_sub", "scatter_sum", operand, scatter_indices, negative(array("scatter_sub", "updates", updates)),
                      dimension_numbers, unique_indices, indices_are_sorted, mode)


def scatter_mul(operand: Any, scatter_indices: Any, updates: Any, dimension_numbers: Any, *, indices_are_sorted: bool = False,
                unique_indices: bool = False, mode: Any = None) -> Any:
    """As ``scatter``, with updates multiplied into what is there. It has a gradient if ``unique_indices``."""
    return _scattered("scatter_mul", "scatter_prod", operand, scatter_indices, updates, dimension_numbers, unique_indices,
                      indices_are_sorted, mode)


def scatter_min(operand: Any, scatter_indices: Any, updates: Any, dimension_numbers: Any, *, indices_are_sorted: bool = False,
                unique_indices: bool = False, mode: Any = None) -> Any:
    """As ``scatter``: the least of what is there and the updates, NaN if any is. Equal ones share a gradient."""
    return _scattered("scatter_min", "scatter_min", operand, scatter_indices, updates, dimension_numbers, unique_indices,
                      indices_are_sorted, mode)


def scatter_max(operand: Any, scatter_indices: Any, updates: Any, dimension_numbers: Any, *, indices_are_sorted: bool = False,
                unique_indices: bool = False, mode: Any = None) -> Any:
    """As ``scatter``: the greatest of what is there and the updates, NaN if any is. Equal ones share a gradient."""
    return _scattered("scatter_max", "scatter_max", operand, scatter_indices, updates, dimension_numbers, unique_indices,
                      indices_are_sorted, mode)


def scatter_apply(operand: Any, scatter_indices: Any, func: Callable[[Any], Any], dimension_numbers: Any, *,
                  update_shape: Sequence[int] = (), indices_are_sorted: bool = False, unique_indices: bool = False,
                  mode: Any = None) -> Any:
    """operand with ``func`` applied to the elements of windows, to each as often as it is met. ``update_shape``: what updates would
    have. Reverse mode needs unique or known indices."""
    x, index = array("scatter_apply", "operand", operand), _indices("scatter_apply", scatter_indices)
    named = {"operand": x, "scatter_indices": index}
    layout = _layout("scatter_apply", dimension_numbers, _SCATTER, named)
    shape = shape_of("scatter_apply", update_shape, what="update_shape")
    flag("scatter_apply", "indices_are_sorted", indices_are_sorted)
    return applied(x, index, function("scatter_apply", "func", func, 1), layout, shape, writing("scatter_apply", mode),
                   flag("scatter_apply", "unique_indices", unique_indices))


def applied(x: Any, index: Any, func: Callable[[Any], Any], layout: dict[str, Any], shape: tuple[int, ...], mode: str,
            unique: bool) -> Any:
    """``func`` of the elements that updates of that shape would meet, as often as they would."""
    window = dict(zip((d for d in range(len(x.shape)) if d not in (*layout["inserted"], *layout["batch_dims"])),
                      layout["window_dims"]))
    sizes = tuple(shape[window[d]] if d in window else 1 for d in range(len(x.shape)))

    def taken(of: Any) -> Any:
        return bind("gather", of, index, **layout, sizes=sizes, mode=mode, fill=0)

    def once(x: Any, wanted: Any) -> Any:
        old = taken(x)
        new = cast(array("apply", "the result of func", func(old)), x.dtype)
        new = new if wanted is None else bind("select", wanted, new, old)
        return bind("scatter", x, index, new, **layout, mode=mode, unique=unique)

    if unique:
        return once(x, None)
    zeros, ones = np.zeros(x.shape, np.int64), np.ones(shape, np.int64)
    times = taken(bind("scatter_sum", zeros, index, ones, **layout, mode=mode, unique=False))
    if not prod(shape):
        return x
    if not isinstance(times, Tracer):
        for n in range(int(np.max(times))):
            x = once(x, np.asarray(times) > n)
        return x
    most = bind("reduce_max", times, axes=tuple(range(len(shape))))
    return while_loop(lambda state: greater(most, state[0]),
                      lambda state: (state[0] + 1, once(state[1], greater(times, state[0]))), (np.int64(0), x))[1]


__all__ = [
    "GatherDimensionNumbers", "GatherScatterMode", "ScatterDimensionNumbers", "applied", "gather", "reading", "scatter",
    "scatter_add", "scatter_apply", "scatter_max", "scatter_min", "scatter_mul", "scatter_sub", "writing",
]
