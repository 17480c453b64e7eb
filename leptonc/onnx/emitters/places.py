"""Ops whose places are data. Those in XLA's general form go by the row-major numbers of all elements that they read or write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from leptonc.ir.graph import Node
from leptonc.ir.types import TensorType, i32, i64
from leptonc.onnx.emitters.arranging import END, counted, flattened, row, sliced
from leptonc.onnx.emitters.elementwise import chosen
from leptonc.onnx.writer import Shape, Tensor, Writer, broadcast_shape, emits
from leptonc.ops.windows import Layout


def _clamped(w: Writer, x: str, last: int) -> str:
    """An i64 within 0 and ``last``."""
    array = w.known(x)
    if array is not None and type(last) is int:
        return w.constant(np.clip(array, 0, last))
    return str(w.add("Max", w.add("Min", x, w.extent(last)), w.number(0, i64)))


def _from_start(w: Writer, x: str, n: int) -> str:
    """An i64 of which negative ones count from the end."""
    array = w.known(x)
    if array is not None and type(n) is int:
        return w.constant(np.where(array < 0, array + n, array))
    return str(w.add("Where", w.add("Less", x, w.number(0, i64)), w.add("Add", x, w.extent(n)), x))


@emits("take")
def take(w: Writer, node: Node, x: Tensor, indices: Tensor) -> str:
    axis = node.attributes["axis"]
    n = x.type.shape[axis]
    wide = w.cast(w.full(indices), indices.type.dtype, i64)
    place = w.reshape(_clamped(w, _from_start(w, wide, n), n - 1), (1,) * (not indices.type.rank) or indices.type.shape,
                      indices.type.shape)
    return str(w.add("Gather", w.full(x), place, axis=axis))


# Windows at scalars


def _starts(w: Writer, starts: Sequence[Tensor], shape: Shape, size: Shape, axes: Sequence[int]) -> list[str]:
    """Where windows begin, so that they lie inside, as i64[1]."""
    return [_clamped(w, w.reshape(starts[d].name, (), (1,)), shape[d] - size[d]) for d in axes]


@emits("dynamic_slice")
def dynamic_slice(w: Writer, node: Node, x: Tensor, *starts: Tensor) -> str:
    shape, size = x.type.shape, node.types[0].shape
    axes = [d for d, (n, m) in enumerate(zip(shape, size)) if n != m]
    if not axes:
        return w.full(x)
    first = w.joined(_starts(w, starts, shape, size, axes))
    last = w.add("Add", first, w.extents([size[d] for d in axes]))
    return str(w.add("Slice", w.full(x), first, last, w.extents(axes)))


@emits("dynamic_update_slice")
def dynamic_update_slice(w: Writer, node: Node, x: Tensor, update: Tensor, *starts: Tensor) -> str:
    shape, size = x.type.shape, update.type.shape
    axes = [d for d, (n, m) in enumerate(zip(shape, size)) if n != m]
    if 0 in size:
        return w.full(x)
    return _updated(w, w.full(x), w.full(update), axes, _starts(w, starts, shape, size, axes), size)


def _updated(w: Writer, x: str, update: str, axes: Sequence[int], starts: Sequence[str], size: Shape) -> str:
    """What is before a window, the window with its own part updated, and what is behind, along one axis after the other."""
    if not axes:
        return update
    axis = w.extents(axes[:1])
    end = w.add("Add", starts[0], w.extent(size[axes[0]]))
    before = w.add("Slice", x, w.extents([0]), starts[0], axis)
    within = w.add("Slice", x, starts[0], end, axis)
    behind = w.add("Slice", x, end, w.extents([END]), axis)
    return str(w.add("Concat", before, _updated(w, within, update, axes[1:], starts[1:], size), behind, axis=axes[0]))


# The general form


@dataclass(frozen=True)
class _Windows:
    """Of each element of the windows its ``number`` in x, moved inside; and whether its window lies ``inside``, None if all do."""

    number: str
    inside: str | None
    shape: Shape


def _windows(w: Writer, layout: Layout, x: Tensor, indices: Tensor, shape: Shape, mode: str) -> _Windows:
    places, steps = layout.places(len(shape)), _steps(x.type.shape)
    grid = list(zip(layout.walked(x.type.rank), layout.window_dims))
    along = [(d, (shape[at], *(1,) * (len(shape) - at - 1))) for d, at in grid]
    along += [(d, (shape[places[b]], *(1,) * (len(shape) - places[b] - 1)))
              for d, b in zip(layout.batch_dims, layout.index_batch_dims)]
    terms = [w.add("Mul", counted(w, extents, i64), w.extent(steps[d])) for d, extents in along]
    walked = dict(grid)
    wide = tuple(1 if d in layout.window_dims else n for d, n in enumerate(shape))
    inside = list[str]()
    for c, d in enumerate(layout.index_dims):
        start, last = _column(w, indices, c, wide), x.type.shape[d] - (shape[walked[d]] if d in walked else 1)
        inside += [w.add("GreaterOrEqual", start, w.number(0, i64)), w.add("LessOrEqual", start, w.extent(last))]
        terms.append(w.add("Mul", _clamped(w, start, last), w.extent(steps[d])))
    shapes = [*(extents for _, extents in along), *([wide] if layout.index_dims else [])]
    total = Tensor(reduce(lambda a, b: w.add("Add", a, b), terms, w.extent(0)), TensorType(shape, i64),
                   broadcast_shape([(1,), *shapes]))
    lies = reduce(lambda a, b: w.add("And", a, b), inside) if inside and mode == "drop" else None
    if not shape:  # extents have one axis
        return _Windows(w.reshape(total.name, (1,), ()), lies and w.reshape(lies, (1,), ()), shape)
    return _Windows(w.full(total), lies, shape)


def _steps(shape: Shape) -> list[int]:
    """How far apart neighbours along each axis are in row-major order."""
    steps = [1]
    for n in reversed(shape[1:]):
        steps.insert(0, steps[0] * n)
    return steps


def _column(w: Writer, indices: Tensor, number: int, wide: Shape) -> str:
    """One number of each vector of indices, where ``wide`` has an axis for each of their axes."""
    given = indices.type.shape
    size = (*given[:-1], 1)
    one = sliced(w, w.full(indices), given, (*(0 for _ in given[:-1]), number), size, (1,) * len(given))
    return w.cast(w.reshape(one, size, wide), indices.type.dtype, i64)


@emits("gather")
def gather(w: Writer, node: Node, x: Tensor, indices: Tensor) -> str:
    attrs = node.attributes
    windows = _windows(w, Layout.of(attrs), x, indices, node.types[0].shape, attrs["mode"])
    found = w.add("Gather", flattened(w, x), windows.number, axis=0)
    if windows.inside is None:
        return str(found)
    return chosen(w, windows.inside, found, w.number(attrs["fill"], x.type.dtype), x.type.dtype)


def _scatter(reduction: str, name: str) -> None:
    @emits(name)
    def scattered(w: Writer, node: Node, x: Tensor, indices: Tensor, updates: Tensor) -> str:
        attrs = node.attributes
        windows = _windows(w, Layout.of(attrs), x, indices, updates.type.shape, attrs["mode"])
        return _scattered(w, x, windows, updates, reduction)


for _reduction, _name in (("none", "scatter"), ("add", "scatter_sum"), ("mul", "scatter_prod"), ("max", "scatter_max"),
                          ("min", "scatter_min")):
    _scatter(_reduction, _name)


def _scattered(w: Writer, x: Tensor, windows: _Windows, updates: Tensor, reduction: str) -> str:
    """Elements of windows that are outside go to one more place behind x."""
    size, dtype = row(x.type), x.type.dtype
    wide = i32 if dtype.is_bool and reduction != "none" else dtype
    target, number = w.cast(flattened(w, x), dtype, wide), windows.number
    if windows.inside is not None:
        target = w.add("Concat", target, w.constant(np.zeros(1, wide.numpy)), axis=0)
        number = w.add("Where", windows.inside, number, w.extent(size))
    places = w.reshape(number, windows.shape, (row(updates.type),))
    out = w.add("ScatterElements", target, places, w.cast(flattened(w, updates), dtype, wide), axis=0, reduction=reduction)
    if windows.inside is not None:
        out = sliced(w, out, (size + 1,), (0,), (size,), (1,))
    return w.cast(w.reshape(out, (size,), x.type.shape), wide, dtype)


@emits("scatter_add")
def scatter_add(w: Writer, node: Node, x: Tensor, indices: Tensor, updates: Tensor) -> str:
    """Along one axis, of which negative indices count from the end."""
    axis, rank = node.attributes["axis"], indices.type.rank
    wide = _from_start(w, w.cast(w.full(indices), indices.type.dtype, i64), x.type.shape[axis])
    shape = (*indices.type.shape, 1)
    columns = Tensor(w.add("Reshape", wide, w.extents(shape)), TensorType(shape, i64), shape)
    windows = tuple(d for d in range(updates.type.rank) if not axis <= d < axis + rank)
    layout = Layout(windows, (axis,), (axis,), (), ())
    return _scattered(w, x, _windows(w, layout, x, columns, updates.type.shape, "drop"), updates, "add")
