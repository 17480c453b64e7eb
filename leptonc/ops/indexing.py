"""Ops whose places are data: dynamic slices, take, scatter_add."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from leptonc.errors import DtypeError, op_error
from leptonc.ir.batching import BatchAxis, Unbatched
from leptonc.ir.kernel import Index, Kernel, Param
from leptonc.ir.kernelbuilder import KernelBuilder, Scalar, StageBuilder
from leptonc.ir.op import Op, Sample, get_op, register
from leptonc.ir.types import TensorType, dtype_of, i64
from leptonc.ir.value import Value
from leptonc.ops.contraction import to_front
from leptonc.ops.windows import Layout


def _type(x: np.ndarray) -> TensorType:
    return TensorType(x.shape, dtype_of(x.dtype))


def _check_starts(op: str, x: TensorType, starts: Sequence[TensorType]) -> None:
    if len(starts) != x.rank:
        raise op_error(op, f"{len(starts)} starts for {x.rank} dimensions", {"x": x})
    if any(s != TensorType((), i64) for s in starts):
        raise op_error(op, "starts must be i64 scalars", {"x": x, "start": next(s for s in starts)}, kind=DtypeError)


def _clamped(starts: Sequence[np.ndarray], shape: Sequence[int], size: Sequence[int]) -> list[int]:
    return [int(np.clip(int(s), 0, n - w)) for s, n, w in zip(starts, shape, size)]


def _load_starts(stage: StageBuilder, starts: Sequence[Param], shape: Sequence[int], size: Sequence[int]) -> list[Scalar]:
    """Starts clamped so that the window lies inside."""
    return [stage.max(stage.min(stage.load(s), n - w), 0) for s, n, w in zip(starts, shape, size)]


def _counted(like: Value, n: int) -> Value:
    """0 ... n - 1 along the first axis, of the other extents and the dtype of ``like``."""
    return like.builder.emit("iota", (), {"shape": (n, *like.shape[1:]), "axis": 0, "dtype": like.dtype})


def _clipped(x: Value, low: int, high: int) -> Value:
    return get_op("max")(get_op("min")(x, x.builder.full(x.type, high)), x.builder.full(x.type, low))


def _window_start(start: Value, n: int, w: int, count: int) -> Value:
    """``count`` times the start of a window of w elements that lies within n."""
    return get_op("broadcast")(_clipped(start, 0, n - w), shape=(count,), dims=())


def _chosen_update(x: Value, update: Value, *starts: Value) -> Value:
    """dynamic_update_slice as a choice between x and the update, of which each axis is stretched to that of x."""
    inside = None
    for d, (start, n, w) in enumerate(zip(starts, x.shape, update.shape)):
        if w == n:
            continue
        place = _counted(start, n) - _window_start(start, n, w, n)
        here = get_op("broadcast")(get_op("eq")(place, _clipped(place, 0, w - 1)), shape=x.shape, dims=(d,))
        inside = here if inside is None else get_op("and")(inside, here)
        update = get_op("take")(update, _clipped(place, 0, w - 1), axis=d)
    return update if inside is None else get_op("select")(inside, update, x)


FEW = 8  # an update of at most such a part of x touches its own places alone


def _scattered_update(x: Value, update: Value, *starts: Value) -> Value:
    """dynamic_update_slice as a scatter of one window."""
    dims = tuple(range(x.type.rank))
    at = [get_op("reshape")(s, shape=(1,)) for s in starts]
    indices = get_op("concatenate")(*at, axis=0) if len(at) > 1 else at[0]
    out: Value = get_op("scatter")(x, indices, update, **Layout(dims, (), dims, (), ()).attrs, mode="clip", unique=True)
    return out


@register
class dynamic_slice(Op):
    """A window of fixed ``size`` at run-time ``starts``, which are clamped so that it lies inside (as lax)."""

    name, operand_names = "dynamic_slice", ("x", "start", "start1", "start2", "start3")
    stores = True

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x, size = types[0], attrs["size"]
        _check_starts("dynamic_slice", x, types[1:])
        if len(size) != x.rank or any(not 0 <= w <= n for w, n in zip(size, x.shape)):
            raise op_error("dynamic_slice", f"size {size} does not fit", {"x": x})
        return x.with_shape(size)

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x, size = np.asarray(arrays[0]), attrs["size"]
        at = _clamped(arrays[1:], x.shape, size)
        return np.asarray(x[tuple(slice(a, a + w) for a, w in zip(at, size))]).copy()

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        x, starts = operands[0], operands[1:]
        zero = x.builder.full(x.type, 0)
        return (get_op("dynamic_update_slice")(zero, g, *starts), *(None for _ in starts))

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        k = KernelBuilder("dynamic_slice")
        x, *starts = [k.input(t) for t in types]
        out = k.output(self.infer(*types, **attrs))
        axes = k.axes(out.type.shape)
        stage = k.stage(axes)
        at = _load_starts(stage, starts, x.type.shape, attrs["size"])
        stage.store(out, axes, stage.load(x, [axis + a for axis, a in zip(axes, map(Index.of, at))]))
        return k.build()

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        """Starts that differ are places along one axis after the other."""
        x, starts, size = operands[0], operands[1:], attrs["size"]
        if not any(batched[1:]):
            return self(x, x.builder.constant(np.int64(0)), *starts, size=(axis.size, *size))

        def windows(x: Value, *starts: Value) -> Value:
            for d, (start, n, w) in enumerate(zip(starts, x.shape, size)):
                x = get_op("take")(x, _window_start(start, n, w, w) + _counted(start, w), axis=d) if w < n else x
            return x

        return axis.by_definition(windows, batched, operands)

    def samples(self) -> Sequence[Sample]:
        def make(shape: tuple[int, ...], size: tuple[int, ...], *starts: int) -> Sample:
            places = [np.asarray(s, np.int64) for s in starts]
            return Sample(lambda rng: [rng.standard_normal(shape), *places], {"size": size}, True, f"{shape}{size}{starts}")

        return [make((5,), (2,), 1), make((5, 20), (2, 17), 9, -3), make((4, 3), (4, 3), 2, 2), make((4,), (0,), 4)]


@register
class dynamic_update_slice(Op):
    """x with a window replaced by ``update``; starts are clamped so that it lies inside (as lax)."""

    name, operand_names = "dynamic_update_slice", ("x", "update", "start", "start1", "start2", "start3")
    stores, updates = True, True

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x, update = types[:2]
        _check_starts("dynamic_update_slice", x, types[2:])
        if update.rank != x.rank or any(w > n for w, n in zip(update.shape, x.shape)) or update.dtype != x.dtype:
            raise op_error("dynamic_update_slice", "update does not fit into x", {"x": x, "update": update})
        return x

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x, update = np.array(arrays[0]), np.asarray(arrays[1])
        at = _clamped(arrays[2:], x.shape, update.shape)
        x[tuple(slice(a, a + w) for a, w in zip(at, update.shape))] = update
        return x

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        update, starts = operands[1], operands[2:]
        kept = self(g, update.builder.full(update.type, 0), *starts)
        return (kept, get_op("dynamic_slice")(g, *starts, size=update.shape), *(None for _ in starts))

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        k = KernelBuilder("dynamic_update_slice")
        x, update, *starts = [k.input(t) for t in types]
        out = k.output(self.infer(*types))
        axes = k.axes(out.type.shape)
        stage = k.stage(axes)
        stage.store(out, axes, stage.load(x, axes))
        axes = k.axes(update.type.shape)
        stage = k.stage(axes)
        at = _load_starts(stage, starts, x.type.shape, update.type.shape)
        stage.store(out, [axis + a for axis, a in zip(axes, map(Index.of, at))], stage.load(update, axes))
        return k.build()

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        """Where starts differ, small updates are scattered; of large ones each element of the result is chosen: that of the update
        which lies there, or that of x."""
        x, update, starts = operands[0], operands[1], operands[2:]
        if not any(batched[2:]):
            x, update = axis.front(batched[:2], operands[:2])
            return self(x, update, x.builder.constant(np.int64(0)), *starts)
        if not update.type.size:
            return x if batched[0] else Unbatched(x)
        whole, part = (prod(x.shape[1:] if flag else x.shape) for x, flag in zip(operands, batched[:2]))
        return axis.by_definition(_scattered_update if FEW * part <= whole else _chosen_update, batched, operands)

    def samples(self) -> Sequence[Sample]:
        def make(shape: tuple[int, ...], size: tuple[int, ...], *starts: int) -> Sample:
            places = [np.asarray(s, np.int64) for s in starts]
            return Sample(lambda rng: [rng.standard_normal(shape), rng.standard_normal(size), *places], {}, True,
                          f"{shape}{size}{starts}")

        return [make((5,), (2,), 1), make((5, 20), (2, 17), 9, -3), make((4, 3), (4, 3), 2, 2), make((20,), (2,), 19),
                make((6, 20), (2, 3), -1, 5)]


def _check_indices(op: str, x: TensorType, indices: TensorType, axis: int) -> None:
    operands = {"x": x, "indices": indices}
    if not 0 <= axis < x.rank:
        raise op_error(op, f"axis {axis} is outside x", operands)
    if indices.dtype.name not in ("i32", "i64"):
        raise op_error(op, "indices must be i32 or i64", operands, kind=DtypeError)


@register
class take(Op):
    """Elements of x at ``indices`` along an axis, which is replaced by the indices' shape.

    Negative indices count from the end; what is still outside is clamped to the nearest end.
    """

    name, operand_names = "take", ("x", "indices")
    stores = True

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x, indices, axis = types[0], types[1], attrs["axis"]
        _check_indices("take", x, indices, axis)
        if not x.shape[axis] and indices.size:
            raise op_error("take", f"axis {axis} is empty", {"x": x, "indices": indices})
        return x.with_shape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1:]))

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x, indices, axis = np.asarray(arrays[0]), np.asarray(arrays[1]), attrs["axis"]
        type_ = self.infer(_type(x), _type(indices), axis=axis)
        n = x.shape[axis]
        if not indices.size:
            return np.empty(type_.shape, x.dtype)
        wrapped = np.clip(np.where(indices < 0, indices + n, indices), 0, n - 1)
        return np.take(x, wrapped, axis)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        x, indices = operands
        n = x.shape[attrs["axis"]]
        inside = _clipped(_from_start(indices, n), 0, max(n - 1, 0))
        return get_op("scatter_add")(x.builder.full(x.type, 0), inside, g, axis=attrs["axis"]), None

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        k = KernelBuilder("take")
        x, indices = (k.input(t) for t in types)
        out, axis, n = k.output(self.infer(*types, **attrs)), attrs["axis"], types[0].shape[attrs["axis"]]
        axes = k.axes(out.type.shape)
        stage = k.stage(axes)
        inner = axes[axis:axis + indices.type.rank]
        at = _wrapped(stage, stage.load(indices, inner), n)
        inside = stage.max(stage.min(at, n - 1), 0)
        stage.store(out, axes, stage.load(x, [*axes[:axis], inside, *axes[axis + indices.type.rank:]]))
        return k.build()

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        """Examples with indices of their own are parts of one long axis, if they have elements of their own as well."""
        x, indices = operands
        at, rank = attrs["axis"], indices.type.rank
        if not batched[1]:
            return self(x, indices, axis=at + 1)
        if not batched[0]:
            return to_front(self(x, indices, axis=at), at)
        n, before = x.shape[at + 1], rank + at
        inside = _clipped(_from_start(indices, n), 0, max(n - 1, 0))
        taken = self(_rows(x, at), _in_rows(inside, n), axis=0)  # [examples, indices ..., before ..., after ...]
        return get_op("transpose")(taken, perm=(0, *range(rank, before), *range(1, rank), *range(before, taken.type.rank)))

    def samples(self) -> Sequence[Sample]:
        def make(shape: tuple[int, ...], indices: Any, axis: int, dtype: str = "int64") -> Sample:
            return Sample(lambda rng: [rng.standard_normal(shape), np.asarray(indices, dtype)], {"axis": axis}, True,
                          f"{shape}{np.shape(indices)}{axis}")

        return [make((5,), [0, 4, -1, 7, -9], 0), make((5, 20), [[1, 1], [3, 0]], 0), make((3, 4, 2), 2, 1, "int32"),
                make((3, 4), [], 1), make((4,), list(range(4)) * 17, 0)]


def _from_start(indices: Value, n: int) -> Value:
    """Indices of which negative ones count from the end."""
    return get_op("select")(get_op("lt")(indices, indices.builder.full(indices.type, 0)), indices + n, indices)


def _is_inside(indices: Value, n: int) -> Value:
    full = indices.builder.full
    return get_op("and")(get_op("ge")(indices, full(indices.type, 0)), get_op("lt")(indices, full(indices.type, n)))


def _rows(x: Value, at: int) -> Value:
    """[examples, before ..., n, after ...] as [examples * n, before ..., after ...]; ``at`` is n's axis in an example."""
    moved = get_op("transpose")(x, perm=(0, at + 1, *range(1, at + 1), *range(at + 2, x.type.rank)))
    examples, n, *rest = moved.shape
    return get_op("reshape")(moved, shape=(examples * n, *rest))


def _in_rows(indices: Value, n: int) -> Value:
    """Indices [examples, ...] within n, as indices of ``_rows``."""
    wide = get_op("cast")(indices, dtype=i64)
    return wide + _counted(wide, wide.shape[0]) * n


def _wrapped(stage: StageBuilder, index: Scalar, n: int) -> Scalar:
    wide = stage.cast(index, i64)
    out: Scalar = stage.select(stage.lt(wide, 0), stage.add(wide, n), wide)
    return out


@register
class scatter_add(Op):
    """x with ``updates`` (shaped as ``take``'s result) added at ``indices``; what is out of range is dropped."""

    name, operand_names, componentwise = "scatter_add", ("x", "indices", "updates"), True

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x, indices, updates = types
        axis = attrs["axis"]
        _check_indices("scatter_add", x, indices, axis)
        wanted = x.with_shape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1:]))
        if updates != wanted:
            raise op_error("scatter_add", f"updates must be {wanted}", dict(zip(self.operand_names, types)))
        return x

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x, indices, updates = np.array(arrays[0]), np.asarray(arrays[1]), np.asarray(arrays[2])
        axis, n = attrs["axis"], arrays[0].shape[attrs["axis"]]
        flat = np.where(indices < 0, indices + n, indices).ravel()
        moved = np.moveaxis(x, axis, 0)
        rows = updates.reshape((*x.shape[:axis], flat.size, *x.shape[axis + 1:]))
        keep = (flat >= 0) & (flat < n)
        np.add.at(moved, flat[keep], np.moveaxis(rows, axis, 0)[keep])
        return x

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """Updates that were dropped get no cotangent."""
        indices, updates = operands[1:]
        axis, n = attrs["axis"], operands[0].shape[attrs["axis"]]
        full, select = indices.builder.full, get_op("select")
        if not n or not indices.type.size:
            return g, None, full(updates.type, 0)
        inside = _is_inside(_from_start(indices, n), n)
        dims = tuple(range(axis, axis + indices.type.rank))
        mask = get_op("broadcast")(inside, shape=updates.shape, dims=dims)
        taken = get_op("take")(g, indices, axis=axis)
        return g, None, select(mask, taken, full(updates.type, 0))

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        k = KernelBuilder("scatter_add")
        x, indices, updates = (k.input(t) for t in types)
        out, axis = k.output(types[0]), attrs["axis"]
        axes = k.axes(x.type.shape)
        stage = k.stage(axes)
        stage.store(out, axes, stage.load(x, axes))
        axes = k.axes(updates.type.shape)
        stage = k.stage(axes)
        rank = indices.type.rank
        at = _wrapped(stage, stage.load(indices, axes[axis:axis + rank]), x.type.shape[axis])
        stage.store(out, [*axes[:axis], at, *axes[axis + rank:]], stage.load(updates, axes), accumulate=True, masked=True)
        return k.build()

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        """Examples with indices of their own are parts of one long axis; what leaves its part, leaves them all."""
        at = attrs["axis"]
        if not batched[1]:
            x, updates = axis.front((batched[0], batched[2]), (operands[0], operands[2]))
            return self(x, operands[1], updates, axis=at + 1)
        x, indices, updates = axis.front(batched, operands)
        n, rank = x.shape[at + 1], indices.type.rank - 1
        within = _from_start(indices, n)
        place = _in_rows(within, n)
        place = get_op("select")(_is_inside(within, n), place, place.builder.full(place.type, axis.size * n))
        order = (0, *range(at + 1, at + 1 + rank), *range(1, at + 1), *range(at + 1 + rank, updates.type.rank))
        added = self(_rows(x, at), place, get_op("transpose")(updates, perm=order), axis=0)
        parts = get_op("reshape")(added, shape=(axis.size, n, *added.shape[1:]))
        return get_op("transpose")(parts, perm=(0, *range(2, at + 2), 1, *range(at + 2, parts.type.rank)))

    def samples(self) -> Sequence[Sample]:
        def make(shape: tuple[int, ...], indices: Any, axis: int) -> Sample:
            index = np.asarray(indices, "int64")
            wide = (*shape[:axis], *index.shape, *shape[axis + 1:])
            return Sample(lambda rng: [rng.standard_normal(shape), index, rng.standard_normal(wide)], {"axis": axis}, True,
                          f"{shape}{index.shape}{axis}")

        return [make((5,), [0, 4, -1, 7, -9, 0], 0), make((5, 20), [[1, 1], [3, 0]], 0), make((3, 4, 2), 2, 1), make((3, 4), [], 1)]
