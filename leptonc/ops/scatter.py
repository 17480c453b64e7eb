"""Windows at places that are data: gather, and scatter, which sets, adds, multiplies, or keeps the greater or the less.

XLA's general form, in one set of attributes for both. ``indices`` [..., k] has vectors of k numbers: where a window of x begins
along the axes ``index_dims``. Of the axes of gather's result (of a scatter's updates) those in ``window_dims`` walk the windows,
along x's axes that are neither ``inserted`` (of extent 1 in the window, left out) nor ``batch_dims`` (which go with axes
``index_batch_dims`` of the indices); the others are those of the indices, in order.

``mode``: "clip" moves a window that leaves x back into it, "drop" leaves it out: gather reads ``fill`` instead, and a scatter
writes nothing. Scatters go through the updates in row-major order: of those that meet the last one stays, on any number of threads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from leptonc.errors import DtypeError, LeptonError, op_error
from leptonc.ir.batching import BatchAxis
from leptonc.ir.kernel import Axis, Index, Kernel, Param
from leptonc.ir.kernelbuilder import KernelBuilder, Scalar, StageBuilder
from leptonc.ir.op import Op, Sample, get_op, register
from leptonc.ir.pair import Pair
from leptonc.ir.types import TensorType, dtype_of, i64
from leptonc.ir.value import Value
from leptonc.ops import pairs
from leptonc.ops.structural import number_of, part_of

Shape = tuple[int, ...]
PLACING = ("window_dims", "inserted", "index_dims", "batch_dims", "index_batch_dims")


@dataclass(frozen=True)
class Layout:
    """How axes of x, of the indices and of the windows (gather's result, a scatter's updates) go together."""

    window_dims: Shape
    inserted: Shape
    index_dims: Shape
    batch_dims: Shape
    index_batch_dims: Shape

    @staticmethod
    def of(attrs: dict[str, Any]) -> Layout:
        return Layout(*(tuple(attrs[name]) for name in PLACING))

    @property
    def attrs(self) -> dict[str, Shape]:
        return {name: getattr(self, name) for name in PLACING}

    def walked(self, rank: int) -> list[int]:
        """x's axes that windows have an axis for, in order."""
        return [d for d in range(rank) if d not in self.inserted and d not in self.batch_dims]

    def places(self, rank: int) -> list[int]:
        """The axes of windows of that rank that are axes of the indices."""
        return [d for d in range(rank) if d not in self.window_dims]

    def sizes(self, x: TensorType, windows: TensorType) -> Shape:
        """Extents of one window along x's axes."""
        of = dict(zip(self.walked(x.rank), self.window_dims))
        return tuple(windows.shape[of[d]] if d in of else 1 for d in range(x.rank))

    def shape(self, indices: TensorType, sizes: Shape) -> Shape:
        """The shape of all windows."""
        walked = self.walked(len(sizes))
        rank = indices.rank - 1 + len(walked)
        window, rest = dict(zip(self.window_dims, walked)), iter(indices.shape[:-1])
        return tuple(sizes[window[d]] if d in window else next(rest) for d in range(rank))

    def fault(self, x: TensorType, indices: TensorType) -> str | None:
        """What is wrong with the attributes, for these operands."""
        if not indices.rank or indices.shape[-1] != len(self.index_dims):
            return f"the last axis of indices has not {len(self.index_dims)} numbers, one for each of index_dims"
        named = (*self.inserted, *self.batch_dims, *self.index_dims)
        missing = (*self.inserted, *self.batch_dims)
        if any(not 0 <= d < x.rank for d in named) or len(set(missing)) < len(missing):
            return f"inserted {self.inserted}, batch_dims {self.batch_dims} and index_dims {self.index_dims} are no axes of x"
        if len(set(self.index_dims)) < len(self.index_dims) or not {*self.index_dims}.isdisjoint(self.batch_dims):
            return f"index_dims {self.index_dims} names an axis twice, or one of batch_dims"
        return self._batch_fault(x, indices) or self._window_fault(x, indices)

    def _batch_fault(self, x: TensorType, indices: TensorType) -> str | None:
        mine, theirs = self.batch_dims, self.index_batch_dims
        if len(mine) != len(theirs) or len(set(theirs)) < len(theirs) or any(not 0 <= d < indices.rank - 1 for d in theirs):
            return f"batch_dims {mine} and index_batch_dims {theirs} do not pair axes of x and of indices"
        if any(x.shape[a] != indices.shape[b] for a, b in zip(mine, theirs)):
            return "extents along batch_dims differ"
        return None

    def _window_fault(self, x: TensorType, indices: TensorType) -> str | None:
        walked = self.walked(x.rank)
        rank = indices.rank - 1 + len(walked)
        dims = self.window_dims
        if len(dims) != len(walked) or list(dims) != sorted(set(dims)) or any(not 0 <= d < rank for d in dims):
            return f"window_dims {dims} must be {len(walked)} ascending axes of {rank}"
        return None


def _check(op: str, layout: Layout, operands: Mapping[str, object], x: TensorType, indices: TensorType, mode: str) -> None:
    if not indices.dtype.is_int:
        raise op_error(op, "indices must be ints", operands, kind=DtypeError)
    reason = layout.fault(x, indices)
    if reason is None and mode not in ("clip", "drop"):
        reason = f"there is no mode {mode!r}"
    if reason is not None:
        raise op_error(op, reason, operands)


def _type(x: np.ndarray) -> TensorType:
    return TensorType(x.shape, dtype_of(x.dtype))


# The meaning, in NumPy


def _elements(layout: Layout, x: TensorType, indices: np.ndarray, windows: TensorType, mode: str) -> tuple[np.ndarray, np.ndarray]:
    """The row-major number in x of each element of the windows (0 where it is left out), and whether its window lies in x."""
    places, sizes = layout.places(windows.rank), layout.sizes(x, windows)
    grid = np.indices(windows.shape, dtype=np.int64, sparse=True) if windows.rank else ()
    along = [np.zeros((), np.int64) for _ in range(x.rank)]
    for d, at in zip(layout.walked(x.rank), layout.window_dims):
        along[d] = along[d] + grid[at]
    for d, b in zip(layout.batch_dims, layout.index_batch_dims):
        along[d] = along[d] + grid[places[b]]
    inside = np.ones(windows.shape, bool)
    wide = [1 if d in layout.window_dims else n for d, n in enumerate(windows.shape)]
    for c, d in enumerate(layout.index_dims):
        start = _as_i64(indices[..., c]).reshape(wide)
        last = x.shape[d] - sizes[d]
        inside &= (start >= 0) & (start <= last)
        along[d] = along[d] + np.clip(start, 0, last)
    number = np.zeros(windows.shape, np.int64)
    for n, place in zip(x.shape, along):
        number = number * n + place
    return number, inside if mode == "drop" else np.ones(windows.shape, bool)


def _as_i64(indices: np.ndarray) -> np.ndarray:
    """Beyond i64 is out of range all the same."""
    return np.minimum(indices, np.uint64(np.iinfo(np.int64).max)).astype(np.int64) if indices.dtype == np.uint64 else (
        indices.astype(np.int64))


# The kernel


def _load_starts(stage: StageBuilder, layout: Layout, indices: Param, axes: Sequence[Axis]) -> dict[int, Scalar]:
    """The number that each axis of x in ``index_dims`` gets from the indices."""
    places = [axes[d] for d in layout.places(len(axes))]
    return {d: stage.cast(stage.load(indices, [*places, c]), i64) for c, d in enumerate(layout.index_dims)}


def _index(layout: Layout, rank: int, axes: Sequence[Axis], starts: dict[int, Scalar]) -> list[Index]:
    """Where a point of the windows lies in x."""
    places, along = layout.places(len(axes)), [Index() for _ in range(rank)]
    for d, at in zip(layout.walked(rank), layout.window_dims):
        along[d] = along[d] + axes[at]
    for d, b in zip(layout.batch_dims, layout.index_batch_dims):
        along[d] = along[d] + axes[places[b]]
    for d, start in starts.items():
        along[d] = along[d] + start
    return along


def _within(stage: StageBuilder, start: Scalar, last: int) -> Scalar:
    out: Scalar = stage.and_(stage.ge(start, 0), stage.le(start, last))
    return out


def _clamped(stage: StageBuilder, start: Scalar, last: int) -> Scalar:
    out: Scalar = stage.max(stage.min(start, last), 0)
    return out


# Batching


def _shifted(dims: Sequence[int]) -> Shape:
    return tuple(d + 1 for d in dims)


def _of_batched_both(layout: Layout) -> Layout:
    """x and indices have the batch axis in front: one more pair of batch axes."""
    return Layout(_shifted(layout.window_dims), _shifted(layout.inserted), _shifted(layout.index_dims),
                  (0, *_shifted(layout.batch_dims)), (0, *_shifted(layout.index_batch_dims)))


def _of_batched_x(layout: Layout) -> Layout:
    """x alone: windows are longer by the whole batch axis."""
    return Layout((0, *_shifted(layout.window_dims)), _shifted(layout.inserted), _shifted(layout.index_dims),
                  _shifted(layout.batch_dims), layout.index_batch_dims)


def _of_batched_indices(layout: Layout) -> Layout:
    """indices alone: more windows of one x."""
    return Layout(_shifted(layout.window_dims), layout.inserted, layout.index_dims, layout.batch_dims,
                  _shifted(layout.index_batch_dims))


@register
class gather(Op):
    """Windows of ``sizes`` of x at ``indices``: see the head of this file. ``fill`` is read where a window is left out."""

    name, operand_names = "gather", ("x", "indices")
    stores = True

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x, indices = types
        layout, sizes, operands = Layout.of(attrs), attrs["sizes"], {"x": x, "indices": indices}
        _check("gather", layout, operands, x, indices, attrs["mode"])
        if len(sizes) != x.rank or any(not 0 <= sizes[d] <= n for d, n in enumerate(x.shape)
                                        if d not in layout.batch_dims):
            raise op_error("gather", f"sizes {sizes} do not fit into x", operands)
        if any(sizes[d] != 1 for d in (*layout.inserted, *layout.batch_dims)):
            raise op_error("gather", f"sizes {sizes} must be 1 along {(*layout.inserted, *layout.batch_dims)}", operands)
        return x.with_shape(layout.shape(indices, sizes))

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x, indices = map(np.asarray, arrays)
        out = self.infer(_type(x), _type(indices), **attrs)
        if not out.size:
            return np.empty(out.shape, x.dtype)
        number, inside = _elements(Layout.of(attrs), _type(x), indices, out, attrs["mode"])
        return np.where(inside, x.reshape(-1)[number], np.asarray(number_of(attrs["fill"])).astype(x.dtype))

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        x, indices = operands
        zero = x.builder.full(x.type, 0)
        return get_op("scatter_sum")(zero, indices, g, **Layout.of(attrs).attrs, mode=attrs["mode"], unique=False), None

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        k = KernelBuilder("gather")
        x, indices = (k.input(t) for t in types)
        layout, out = Layout.of(attrs), k.output(self.infer(*types, **attrs))
        axes = k.axes(out.type.shape)
        stage = k.stage(axes)
        last = {d: x.type.shape[d] - attrs["sizes"][d] for d in layout.index_dims}
        starts = _load_starts(stage, layout, indices, axes)
        clamped = {d: _clamped(stage, start, last[d]) for d, start in starts.items()}
        value, inside = stage.load(x, _index(layout, x.type.rank, axes, clamped)), None
        for d, start in starts.items() if attrs["mode"] == "drop" else ():
            here = _within(stage, start, last[d])
            inside = here if inside is None else stage.and_(inside, here)
        fill = np.asarray(attrs["fill"]).astype(x.type.dtype.numpy).item()
        stage.store(out, axes, value if inside is None else stage.select(inside, value, stage.const(fill, x.type.dtype)))
        return k.build()

    def part_attrs(self, number: int, attrs: dict[str, Any]) -> dict[str, Any]:
        return {**attrs, "fill": part_of(attrs["fill"], number)}

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        layout, sizes, rest = Layout.of(attrs), attrs["sizes"], {"mode": attrs["mode"], "fill": attrs["fill"]}
        if batched == (True, True):
            return self(*operands, **_of_batched_both(layout).attrs, sizes=(1, *sizes), **rest)
        if batched[0]:
            return self(*operands, **_of_batched_x(layout).attrs, sizes=(axis.size, *sizes), **rest)
        return self(*operands, **_of_batched_indices(layout).attrs, sizes=sizes, **rest)

    def samples(self) -> Sequence[Sample]:
        def make(case: _Case, mode: str, fill: Any = 0, dtype: str = "float64") -> Sample:
            at = np.asarray(case.indices, case.dtype)
            return Sample(lambda rng: [_numbers(rng, case.shape, dtype), at],
                          {**case.layout.attrs, "sizes": case.sizes, "mode": mode, "fill": fill},
                          dtype == "float64" and fill == 0,
                          f"{case.name} {mode}{fill}{dtype}")

        return [*(make(case, mode) for case in _CASES for mode in ("clip", "drop")), make(_CASES[0], "drop", float("nan")),
                make(_CASES[0], "drop", -7, "int32"), make(_CASES[1], "drop", True, "bool")]


class Scatter(Op):
    """x with ``updates`` at ``indices``, combined with what is there ``by`` something. ``unique``: no two of them meet."""

    by = ""
    operand_names = ("x", "indices", "updates")
    ordered = False  # whether it asks which of two elements is greater

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x, indices, updates = types
        layout, operands = Layout.of(attrs), dict(zip(self.operand_names, types))
        if self.ordered and x.dtype.is_complex:
            raise op_error(self.name, "complex numbers have no order", operands, kind=DtypeError)
        _check(self.name, layout, operands, x, indices, attrs["mode"])
        if updates.rank != indices.rank - 1 + len(layout.walked(x.rank)):
            raise op_error(self.name, f"updates must have {indices.rank - 1 + len(layout.walked(x.rank))} axes", operands)
        sizes = layout.sizes(x, updates)
        if any(w > n for w, n in zip(sizes, x.shape) if n) or updates.dtype != x.dtype:
            raise op_error(self.name, "updates do not fit into x", operands)
        if updates.shape != layout.shape(indices, sizes):
            raise op_error(self.name, f"updates must be {x.with_shape(layout.shape(indices, sizes))}", operands)
        return x

    def join(self, x: np.ndarray, at: np.ndarray, values: np.ndarray) -> None:
        """In place, in order. Both one-dimensional."""
        raise op_error(self.name, "has no eager rule", {"x": x})

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x, indices, updates = np.array(arrays[0]), np.asarray(arrays[1]), np.asarray(arrays[2])
        self.infer(*map(_type, (x, indices, updates)), **attrs)
        if not x.size or not updates.size:
            return x
        number, inside = _elements(Layout.of(attrs), _type(x), indices, _type(updates), attrs["mode"])
        flat, keep = x.reshape(-1), inside.reshape(-1)
        with np.errstate(all="ignore"):
            self.join(flat, number.reshape(-1)[keep], updates.reshape(-1)[keep])
        return flat.reshape(x.shape)

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        k = KernelBuilder(self.name)
        x, indices, updates = (k.input(t) for t in types)
        layout, out = Layout.of(attrs), k.output(types[0])
        axes = k.axes(x.type.shape)
        stage = k.stage(axes)
        stage.store(out, axes, stage.load(x, axes))
        if not x.type.size or not updates.type.size:
            return k.build()
        axes = k.axes(updates.type.shape)
        stage, sizes = k.stage(axes), layout.sizes(x.type, updates.type)
        starts = {d: self._start(stage, start, x.type.shape[d], sizes[d], attrs["mode"])
                  for d, start in _load_starts(stage, layout, indices, axes).items()}
        place = _index(layout, x.type.rank, axes, starts)
        stage.store(out, place, stage.load(updates, axes), accumulate=True, masked=attrs["mode"] == "drop", by=self.by)
        return k.build()

    @staticmethod
    def _start(stage: StageBuilder, start: Scalar, n: int, size: int, mode: str) -> Scalar:
        """Where a window begins; what begins behind x is masked, and so is all of it."""
        if mode == "clip":
            return _clamped(stage, start, n - size)
        if size == 1:
            return stage.max(stage.min(start, n), -1)
        out: Scalar = stage.select(_within(stage, start, n - size), _clamped(stage, start, n - size), n)
        return out

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        layout, rest = Layout.of(attrs), {"mode": attrs["mode"], "unique": attrs["unique"]}
        if batched[1]:
            return self(*axis.front(batched, operands), **_of_batched_both(layout).attrs, **rest)
        x, updates = axis.front((batched[0], batched[2]), (operands[0], operands[2]))
        return self(x, operands[1], updates, **_of_batched_x(layout).attrs, **rest)

    def taken(self, x: Value, operands: Sequence[Value], attrs: dict[str, Any], fill: Any = 0) -> Value:
        """x's elements where the updates go; ``fill`` for those that are dropped."""
        of, indices, updates = operands
        if not x.type.size or not updates.type.size:
            return x.builder.full(TensorType(updates.shape, x.dtype), fill)
        out: Value = get_op("gather")(x, indices, **Layout.of(attrs).attrs, mode=attrs["mode"], fill=fill,
                                      sizes=Layout.of(attrs).sizes(of.type, updates.type))
        return out

    smooth_in_meeting = True

    def samples(self) -> Sequence[Sample]:
        def make(case: _Case, mode: str, unique: bool = False, dtype: str = "float64") -> Sample:
            at = np.asarray(case.indices, case.dtype)
            windows = case.layout.shape(_type(at), case.sizes)
            smooth = dtype == "float64" and (unique or self.smooth_in_meeting)
            return Sample(lambda rng: [_numbers(rng, case.shape, dtype), at, _numbers(rng, windows, dtype)],
                          {**case.layout.attrs, "mode": mode, "unique": unique}, smooth, f"{case.name} {mode}{unique}{dtype}")

        drops = _CASES if self.smooth_in_meeting else [case for case in _CASES if case.unique or case.name in ("rows", "windows")]
        return [*(make(case, "drop", case.unique) for case in drops), *(make(case, "clip", True) for case in _CASES if case.unique),
                make(_CASES[0], "clip", dtype="int32"), make(_CASES[1], "drop", dtype="bool")]


@register
class scatter(Scatter):
    """Elements replaced; of several the last one stays. Where updates meet, their gradient goes to that one."""

    name, by = "scatter", "set"
    stores = True

    def join(self, x: np.ndarray, at: np.ndarray, values: np.ndarray) -> None:
        x[at] = values

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        indices, updates = operands[1:]
        kept = self(g, indices, updates.builder.full(updates.type, 0), **attrs)
        taken = self.taken(g, operands, attrs)
        return kept, None, taken if attrs["unique"] else self._of_last(taken, operands, attrs)

    def _of_last(self, taken: Value, operands: Sequence[Value], attrs: dict[str, Any]) -> Value:
        """Updates that others have replaced get no cotangent: their number is not what a scatter of numbers leaves there."""
        x, indices, updates = operands
        emit, full = x.builder.emit, x.builder.full
        count = prod(updates.shape)
        numbers = emit("reshape", (emit("iota", (), {"shape": (count,), "axis": 0, "dtype": i64}),), {"shape": updates.shape})
        last = self(full(TensorType(x.shape, i64), -1), indices, numbers, **attrs)
        mine = get_op("eq")(self.taken(last, operands, attrs, -1), numbers)
        out: Value = get_op("select")(mine, taken, full(updates.type, 0))
        return out


@register
class scatter_sum(Scatter):
    name, by, componentwise = "scatter_sum", "add", True

    def join(self, x: np.ndarray, at: np.ndarray, values: np.ndarray) -> None:
        np.add.at(x, at, values)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return g, None, self.taken(g, operands, attrs)


@register
class scatter_prod(Scatter):
    """Complex numbers only where no two updates meet: each is read, multiplied and put back."""

    name, by = "scatter_prod", "mul"
    smooth_in_meeting = False

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        out = super().infer(*types, **attrs)
        if out.dtype.is_complex and not attrs["unique"]:
            named = dict(zip(self.operand_names, types))
            raise op_error(self.name, "multiplies complex numbers only where no two updates meet", named,
                           "say unique_indices=True if that is so", DtypeError)
        return out

    def in_parts(self, *operands: Any, **attrs: Any) -> Any:
        x, indices, updates = operands
        there = Pair(*(self.taken(part, (part, indices, update), attrs) for part, update in zip(x, updates)))
        made = pairs.multiply(there, updates)
        return Pair(*(get_op("scatter")(part, indices, new, **attrs) for part, new in zip(x, made)))

    def join(self, x: np.ndarray, at: np.ndarray, values: np.ndarray) -> None:
        np.multiply.at(x, at, values)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """Raises LeptonError unless updates are unique, as JAX does."""
        x, indices, updates = operands
        if not attrs["unique"]:
            raise op_error(self.name, "has a gradient only where no two updates meet", dict(zip(self.operand_names, operands)),
                           "say unique_indices=True if that is so", LeptonError)
        return self(g, indices, updates, **attrs), None, self.taken(g * x, operands, attrs)


class ScatterExtreme(Scatter):
    ordered = True

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """Shared equally among all that are the extreme; none is where it is NaN."""
        x, indices, updates = operands
        eq, cast = get_op("eq"), get_op("cast")
        kept = cast(eq(x, y), dtype=x.dtype)
        hit = cast(eq(updates, self.taken(y, operands, attrs)), dtype=x.dtype)
        count = get_op("scatter_sum")(kept, indices, hit, **attrs)
        share = g / get_op("max")(count, x.builder.full(x.type, 1))
        return kept * share, None, hit * self.taken(share, operands, attrs)


@register
class scatter_max(ScatterExtreme):
    name, by = "scatter_max", "max"

    def join(self, x: np.ndarray, at: np.ndarray, values: np.ndarray) -> None:
        np.maximum.at(x, at, values)


@register
class scatter_min(ScatterExtreme):
    name, by = "scatter_min", "min"

    def join(self, x: np.ndarray, at: np.ndarray, values: np.ndarray) -> None:
        np.minimum.at(x, at, values)


# Samples


@dataclass(frozen=True)
class _Case:
    name: str
    shape: Shape
    indices: Any
    layout: Layout
    sizes: Shape
    unique: bool = False
    dtype: str = "int64"


def _numbers(rng: np.random.Generator, shape: Shape, dtype: str) -> np.ndarray:
    """Floats are distinct, away from zero."""
    size = prod(shape)
    if dtype == "bool":
        return np.asarray(rng.random(shape) < 0.5)
    if dtype == "float64":
        return np.asarray((rng.permutation(size) + rng.uniform(0.1, 0.9)).reshape(shape) * 0.1 + 0.3)
    return rng.integers(-9, 9, shape).astype(dtype)


_CASES = (
    _Case("rows", (5, 20), [[0], [4], [-1], [2], [7], [0], [2]], Layout((1,), (0,), (0,), (), ()), (1, 20)),
    _Case("elements", (4, 3), [[[0, 1], [3, 2]], [[0, 1], [-2, 5]]], Layout((), (0, 1), (0, 1), (), ()), (1, 1), dtype="int32"),
    _Case("windows", (6, 5), [[1, 0], [2, 1], [5, 4], [-1, 0]], Layout((0, 2), (), (0, 1), (), ()), (2, 3)),
    _Case("second", (3, 6, 2), [[5], [1], [4]], Layout((0, 2), (1,), (1,), (), ()), (3, 1, 2), True),
    _Case("batched", (3, 5, 4), [[[1], [0]], [[4], [3]], [[2], [9]]], Layout((2,), (1,), (1,), (0,), (0,)), (1, 1, 4), True),
    _Case("whole", (2, 3), np.zeros((4, 0)), Layout((1, 2), (), (), (), ()), (2, 3)),
    _Case("none", (4, 3), np.zeros((0, 1)), Layout((1,), (0,), (0,), (), ()), (1, 3)),
    _Case("one", (5,), [3], Layout((), (0,), (0,), (), ()), (1,), True),
)
