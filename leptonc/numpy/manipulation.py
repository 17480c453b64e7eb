"""Shapes and places: reshape, transpose, joining, splitting, padding, taking."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from leptonc.errors import DtypeError, op_error
from leptonc.numpy.creation import asarray
from leptonc.numpy.reductions import normalize_axes, normalize_axis
from leptonc.trace import bind, broadcast, broadcast_shapes, cast, locate, promote


def reshape(x: Any, shape: Any) -> Any:
    """The same elements in row-major order; one extent may be -1. Raises ShapeError if they do not fill the shape."""
    (operand,) = promote(x)
    sizes = [int(n) for n in (shape if isinstance(shape, tuple | list) else (shape,))]
    total = int(np.prod(operand.shape, dtype=np.int64))
    if sizes.count(-1) > 1 or any(n < -1 for n in sizes):
        raise op_error("reshape", f"shape {tuple(sizes)} may have one -1 and nothing below", {"x": operand}, locate())
    if -1 in sizes:
        known = int(np.prod([n for n in sizes if n != -1], dtype=np.int64))
        if known == 0 or total % known:
            raise op_error("reshape", f"{total} elements do not fill {tuple(sizes)}", {"x": operand}, locate())
        sizes[sizes.index(-1)] = total // known
    return bind("reshape", operand, shape=tuple(sizes))


def ravel(x: Any) -> Any:
    """All elements in one axis."""
    (operand,) = promote(x)
    return bind("reshape", operand, shape=(int(np.prod(operand.shape, dtype=np.int64)),))


def transpose(x: Any, axes: Any = None) -> Any:
    """Axes permuted; reversed for None."""
    (operand,) = promote(x)
    rank = len(operand.shape)
    if axes is None:
        perm = tuple(reversed(range(rank)))
    else:
        perm = tuple(normalize_axis("transpose", operand, a) for a in (axes if isinstance(axes, tuple | list) else (axes,)))
    return bind("transpose", operand, perm=perm)


permute_dims = transpose


def matrix_transpose(x: Any) -> Any:
    """The last two axes swapped."""
    return swapaxes(x, -1, -2)


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Two axes exchanged."""
    (operand,) = promote(x)
    a, b = normalize_axis("swapaxes", operand, axis1), normalize_axis("swapaxes", operand, axis2)
    perm = list(range(len(operand.shape)))
    perm[a], perm[b] = b, a
    return bind("transpose", operand, perm=tuple(perm))


def moveaxis(x: Any, source: Any, destination: Any) -> Any:
    """Axes moved to other positions, the rest in order."""
    (operand,) = promote(x)
    from_, to = ([normalize_axis("moveaxis", operand, a) for a in (axes if isinstance(axes, tuple | list) else (axes,))]
                 for axes in (source, destination))
    if len(from_) != len(to) or len(set(from_)) != len(from_) or len(set(to)) != len(to):
        raise op_error("moveaxis", f"source {source} and destination {destination} do not pair", {"x": operand}, locate())
    order = [d for d in range(len(operand.shape)) if d not in from_]
    for d, s in sorted(zip(to, from_)):
        order.insert(d, s)
    return bind("transpose", operand, perm=tuple(order))


def squeeze(x: Any, axis: Any = None) -> Any:
    """Axes of extent 1 dropped: all, or those named. Raises ShapeError for one of another extent."""
    (operand,) = promote(x)
    axes = tuple(d for d, n in enumerate(operand.shape) if n == 1) if axis is None else normalize_axes("squeeze", operand, axis)
    if any(operand.shape[a] != 1 for a in axes):
        raise op_error("squeeze", f"axis {axis} has not extent 1", {"x": operand}, locate())
    return bind("reshape", operand, shape=tuple(n for d, n in enumerate(operand.shape) if d not in axes))


def expand_dims(x: Any, axis: Any) -> Any:
    """New axes of extent 1 at these positions of the result."""
    (operand,) = promote(x)
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    rank = len(operand.shape) + len(axes)
    places = {a % rank for a in axes if -rank <= a < rank}
    if len(places) != len(axes):
        raise op_error("expand_dims", f"axis {axis} is out of bounds or named twice for {rank} axes", {"x": operand}, locate())
    rest = iter(operand.shape)
    return bind("reshape", operand, shape=tuple(1 if d in places else next(rest) for d in range(rank)))


def broadcast_to(x: Any, shape: Any) -> Any:
    """x stretched to ``shape`` by NumPy's rules."""
    (operand,) = promote(x)
    return broadcast(operand, tuple(int(n) for n in (shape if isinstance(shape, tuple | list) else (shape,))))


def broadcast_arrays(*arrays: Any) -> tuple[Any, ...]:
    """All stretched to their common shape."""
    shape = broadcast_shapes("broadcast_arrays", *arrays)
    return tuple(broadcast_to(x, shape) for x in arrays)


def concatenate(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    """Arrays one after the other along an axis (flattened for None), promoted to one dtype."""
    if not len(arrays):
        raise op_error("concatenate", "needs at least one array", {}, locate())
    items = promote(*arrays)
    if axis is None:
        items, axis = tuple(ravel(x) for x in items), 0
    return bind("concatenate", *items, axis=normalize_axis("concatenate", items[0], axis))


concat = concatenate


def vstack(arrays: Sequence[Any]) -> Any:
    """Rows one below the other."""
    return concatenate([reshape(x, (1, -1)) if len(x.shape) < 2 else x for x in map(asarray, arrays)], 0)


def hstack(arrays: Sequence[Any]) -> Any:
    """Along the second axis; of 1-D arrays along their only one."""
    items = [asarray(x) for x in arrays]
    return concatenate(items, 0 if len(items[0].shape) < 2 else 1)


def split(x: Any, sections: Any, axis: int = 0) -> list[Any]:
    """Equal parts, or cut at the given indices. Raises ShapeError if x does not divide."""
    (operand,) = promote(x)
    at = normalize_axis("split", operand, axis)
    n = operand.shape[at]
    if isinstance(sections, int):
        if sections < 1 or n % sections:
            raise op_error("split", f"axis {axis} of {n} does not divide into {sections} parts", {"x": operand}, locate())
        sections = range(n // sections, n, n // sections) if sections > 1 else ()
    bounds = [0, *(min(max(int(b) + (n if b < 0 else 0), 0), n) for b in sections), n]
    return [_window(operand, at, low, max(high - low, 0)) for low, high in pairwise(bounds)]


def _window(x: Any, axis: int, start: int, size: int) -> Any:
    rank = len(x.shape)
    sizes = tuple(size if d == axis else n for d, n in enumerate(x.shape))
    return bind("slice", x, start=tuple(start if d == axis and size else 0 for d in range(rank)), size=sizes, step=(1,) * rank)


def flip(x: Any, axis: Any = None) -> Any:
    """Axes turned round; all of them for None."""
    (operand,) = promote(x)
    axes, rank = normalize_axes("flip", operand, axis), len(operand.shape)
    start = tuple(n - 1 if d in axes and n else 0 for d, n in enumerate(operand.shape))
    return bind("slice", operand, start=start, size=operand.shape, step=tuple(-1 if d in axes else 1 for d in range(rank)))


def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    """Elements added at the edges: ``pad_width`` is n, (low, high), or such a pair for every axis."""
    (operand,) = promote(x)
    if mode != "constant":
        raise op_error("pad", f"mode {mode!r} is not supported", {"x": operand}, locate(), "use mode='constant'")
    try:
        pairs = np.broadcast_to(np.asarray(pad_width, np.int64), (len(operand.shape), 2))
    except (ValueError, TypeError):
        raise op_error("pad", f"pad_width {pad_width!r} gives no pair for each axis", {"x": operand}, locate()) from None
    if (pairs < 0).any():
        raise op_error("pad", f"pad_width {pad_width!r} has negative entries", {"x": operand}, locate(), "slice instead")
    value = cast(constant_values, operand.dtype).item()
    return bind("pad", operand, low=tuple(map(int, pairs[:, 0])), high=tuple(map(int, pairs[:, 1])),
                interior=(0,) * len(operand.shape), value=value)


def repeat(x: Any, repeats: int, axis: int | None = None) -> Any:
    """Every element ``repeats`` times in a row."""
    (operand,) = promote(x)
    if axis is None:
        operand, axis = ravel(operand), 0
    at = normalize_axis("repeat", operand, axis)
    shape = operand.shape
    wide = bind("reshape", operand, shape=(*shape[:at + 1], 1, *shape[at + 1:]))
    stretched = broadcast(wide, (*shape[:at + 1], int(repeats), *shape[at + 1:]))
    return bind("reshape", stretched, shape=(*shape[:at], shape[at] * int(repeats), *shape[at + 1:]))


def tile(x: Any, reps: Any) -> Any:
    """x laid side by side ``reps`` times along each axis."""
    (operand,) = promote(x)
    counts = tuple(int(n) for n in (reps if isinstance(reps, tuple | list) else (reps,)))
    rank = max(len(counts), len(operand.shape))
    counts = (1,) * (rank - len(counts)) + counts
    shape = (1,) * (rank - len(operand.shape)) + operand.shape
    pairs = tuple(m for n in shape for m in (1, n))
    wide = broadcast(bind("reshape", operand, shape=pairs), tuple(m for c, n in zip(counts, shape) for m in (c, n)))
    return bind("reshape", wide, shape=tuple(c * n for c, n in zip(counts, shape)))


def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """Elements at ``indices``; negative ones count from the end, what is still outside reads the nearest end."""
    (operand,) = promote(x)
    index = asarray(indices)
    if index.dtype.kind not in "iu":
        raise op_error("take", "indices must be ints", {"x": operand, "indices": index}, locate(), kind=DtypeError)
    if axis is None:
        operand, axis = ravel(operand), 0
    if index.dtype not in (np.int32, np.int64):
        index = cast(index, np.int64)
    return bind("take", operand, index, axis=normalize_axis("take", operand, axis))
