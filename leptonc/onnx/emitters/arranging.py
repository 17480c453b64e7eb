"""Ops that move elements: constants, iota, broadcast, reshape, transpose, concatenate, slice, pad."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leptonc.ir.graph import Node
from leptonc.ir.types import DType, TensorType, i64
from leptonc.onnx.extents import Extent, joined
from leptonc.onnx.patterns import Ramp, Share, Triangle
from leptonc.onnx.writer import Shape, Tensor, Writer, broadcast_shape, emits

END = np.iinfo(np.int64).max


@emits("constant")
def constant(w: Writer, node: Node) -> Tensor:
    """An array; or what follows open dimensions."""
    value, type_ = node.attributes["value"], node.types[0]
    if isinstance(value, Ramp):
        return _ramp(w, value, type_)
    if isinstance(value, Share):
        return Tensor(w.add("Reciprocal", _scalar(w, value.of, type_.dtype)), type_, ())
    if isinstance(value, Triangle):
        return _triangle(w, value, type_)
    array = value.array
    if array.size > 1 and array.tobytes() == array.reshape(-1)[:1].tobytes() * array.size:
        array = array.reshape(-1)[0]
    return Tensor(w.constant(array), type_, array.shape)


def _scalar(w: Writer, values: Sequence[int], dtype: DType) -> str:
    """A number that was ``values`` in the traces."""
    return str(w.add("Reshape", w.cast(w.extent(joined(values)), i64, dtype), w.extents([])))


def _ramp(w: Writer, ramp: Ramp, type: TensorType) -> Tensor:
    along = [(step, (type.shape[d], *(1,) * (type.rank - d - 1))) for d, step in enumerate(ramp.steps) if step]
    total = _scalar(w, ramp.base, i64)
    for step, shape in along:
        total = w.add("Add", total, w.add("Mul", counted(w, shape, i64), w.number(step, i64)))
    return Tensor(w.cast(total, i64, type.dtype), type, broadcast_shape([shape for _, shape in along]))


def _triangle(w: Writer, triangle: Triangle, type: TensorType) -> Tensor:
    rows, columns = type.shape
    diagonal = w.add("Sub", counted(w, (columns,), i64), counted(w, (rows, 1), i64))
    compared = "GreaterOrEqual" if triangle.above else "LessOrEqual"
    return Tensor(w.add(compared, diagonal, w.number(triangle.k, i64)), type, type.shape)


@emits("iota")
def iota(w: Writer, node: Node) -> Tensor:
    type_, axis = node.types[0], node.attributes["axis"]
    along = (type_.shape[axis], *(1,) * (type_.rank - axis - 1))
    return Tensor(counted(w, along, type_.dtype), type_, along)


def counted(w: Writer, shape: Shape, dtype: DType) -> str:
    """0, 1, 2 ... along the first axis; the others have one element."""
    n = shape[0]
    if not isinstance(n, Extent):
        return w.constant(np.arange(n, dtype=np.int64).astype(dtype.numpy).reshape(shape))
    scalar = w.add("Reshape", w.extent(n), w.extents([]))
    numbers = w.cast(w.add("Range", w.number(0, i64), scalar, w.number(1, i64)), i64, dtype)
    return w.reshape(numbers, (n,), shape)


@emits("broadcast")
def broadcast(w: Writer, node: Node, x: Tensor) -> Tensor:
    """Only axes of extent 1 between x's own: the rest is ONNX's broadcasting."""
    dims, type_ = node.attributes["dims"], node.types[0]
    own = (1,) * (x.type.rank - len(x.shape)) + x.shape
    if all(n == 1 for n in own):
        return Tensor(w.reshape(x.name, x.shape, ()), type_, ())
    first = next(n for n, extent in enumerate(own) if extent != 1)
    lifted: list[int] = [1] * (type_.rank - dims[first])
    for n, d in zip(own[first:], dims[first:]):
        lifted[d - dims[first]] = n
    return Tensor(w.reshape(x.name, x.shape, tuple(lifted)), type_, tuple(lifted))


@emits("reshape")
def reshape(w: Writer, node: Node, x: Tensor) -> Tensor:
    if x.shape == () != x.type.shape:
        return Tensor(x.name, node.types[0], ())
    return Tensor(w.reshape(w.full(x), x.type.shape, node.types[0].shape), node.types[0], node.types[0].shape)


@emits("transpose")
def transpose(w: Writer, node: Node, x: Tensor) -> Tensor:
    if x.shape == () != x.type.shape:
        return Tensor(x.name, node.types[0], ())
    return Tensor(w.transpose(w.full(x), node.attributes["perm"]), node.types[0], node.types[0].shape)


@emits("concatenate")
def concatenate(w: Writer, node: Node, *operands: Tensor) -> str:
    return str(w.add("Concat", *map(w.full, operands), axis=node.attributes["axis"]))


@emits("slice")
def slice_(w: Writer, node: Node, x: Tensor) -> str:
    attrs = node.attributes
    return sliced(w, w.full(x), x.type.shape, attrs["start"], attrs["size"], attrs["step"])


def sliced(w: Writer, x: str, shape: Shape, start: Sequence[int], size: Sequence[int], step: Sequence[int]) -> str:
    """``x[start + i * step]`` in every dimension. Where it begins or ends may be told from the end of an open dimension."""
    axes = [d for d, (n, a, m, s) in enumerate(zip(shape, start, size, step)) if (a, m, s) != (0, n, 1)]
    if not axes:
        return x
    first = [_from_end(start[d], shape[d]) for d in axes]
    last = [_end(start[d] + size[d] * step[d], step[d], shape[d]) for d in axes]
    return str(w.add("Slice", x, w.extents(first), w.extents(last), w.extents(axes), w.extents([step[d] for d in axes])))


def _end(place: int, step: int, n: int) -> int:
    """Where a slice ends: at an end of its axis if the next place would be beyond."""
    if step > 0:
        return END if place >= n else _from_end(place, n)
    return -END if place < 0 else _from_end(place, n)


def _from_end(place: int, n: int) -> int:
    """A place as a negative number, if that follows no open dimension and the place does."""
    back = place - n
    return back if isinstance(place, Extent) and not isinstance(back, Extent) and back < 0 else place


@emits("pad")
def pad(w: Writer, node: Node, x: Tensor) -> str:
    """Gaps first, then edges; negative ones crop."""
    attrs, value = node.attributes, w.number(node.attributes["value"], x.type.dtype)
    name, shape, high = w.full(x), list(x.type.shape), list(attrs["high"])
    for d, gap in enumerate(attrs["interior"]):
        if gap and shape[d] != 0:
            name = _with_gaps(w, name, tuple(shape), d, gap, value)
            shape[d] *= gap + 1
            high[d] -= gap
    low = list(attrs["low"])
    padded = edged(w, name, [max(n, 0) for n in low], [max(n, 0) for n in high], value)
    wide = tuple(n + max(a, 0) + max(b, 0) for n, a, b in zip(shape, low, high))
    return sliced(w, padded, wide, [max(-n, 0) for n in low], node.types[0].shape, (1,) * len(wide))


def _with_gaps(w: Writer, x: str, shape: Shape, axis: int, gap: int, value: str) -> str:
    """``gap`` numbers behind each element along an axis."""
    split = (*shape[:axis + 1], 1, *shape[axis + 1:])
    wide = (*shape[:axis + 1], gap + 1, *shape[axis + 1:])
    padded = edged(w, w.reshape(x, shape, split), [0] * len(split), [gap if d == axis + 1 else 0 for d in range(len(split))], value)
    return w.reshape(padded, wide, (*shape[:axis], shape[axis] * (gap + 1), *shape[axis + 1:]))


def edged(w: Writer, x: str, low: Sequence[int], high: Sequence[int], value: str) -> str:
    """Numbers around x."""
    if not any((*low, *high)):
        return x
    return str(w.add("Pad", x, w.extents([*low, *high]), value))


def flattened(w: Writer, x: Tensor) -> str:
    """The elements in one row."""
    return w.reshape(w.full(x), x.type.shape, (row(x.type),))


def row(type: TensorType) -> int:
    """The number of elements, which may follow open dimensions."""
    size = 1
    for n in type.shape:
        size = size * n
    return size
