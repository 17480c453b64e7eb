"""Windows at places that are data: what gather and scatter have in common.

XLA's general form, in one set of attributes for both. ``indices`` [..., k] has vectors of k numbers: where a window of x begins
along the axes ``index_dims``. Of the axes of gather's result (of a scatter's updates) those in ``window_dims`` walk the windows,
along x's axes that are neither ``inserted`` (of extent 1 in the window, left out) nor ``batch_dims`` (which go with axes
``index_batch_dims`` of the indices); the others are those of the indices, in order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from leptonc.errors import DtypeError, op_error
from leptonc.ir.kernel import Axis, Index, Param
from leptonc.ir.kernelbuilder import Scalar, StageBuilder
from leptonc.ir.types import TensorType, dtype_of, i64

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


def check(op: str, layout: Layout, operands: Mapping[str, object], x: TensorType, indices: TensorType, mode: str) -> None:
    if not indices.dtype.is_int:
        raise op_error(op, "indices must be ints", operands, kind=DtypeError)
    reason = layout.fault(x, indices)
    if reason is None and mode not in ("clip", "drop"):
        reason = f"there is no mode {mode!r}"
    if reason is not None:
        raise op_error(op, reason, operands)


def type_of(x: np.ndarray) -> TensorType:
    return TensorType(x.shape, dtype_of(x.dtype))


# The meaning, in NumPy


def elements(layout: Layout, x: TensorType, indices: np.ndarray, windows: TensorType, mode: str) -> tuple[np.ndarray, np.ndarray]:
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


def load_starts(stage: StageBuilder, layout: Layout, indices: Param, axes: Sequence[Axis]) -> dict[int, Scalar]:
    """The number that each axis of x in ``index_dims`` gets from the indices."""
    places = [axes[d] for d in layout.places(len(axes))]
    return {d: stage.cast(stage.load(indices, [*places, c]), i64) for c, d in enumerate(layout.index_dims)}


def index_of(layout: Layout, rank: int, axes: Sequence[Axis], starts: dict[int, Scalar]) -> list[Index]:
    """Where a point of the windows lies in x."""
    places, along = layout.places(len(axes)), [Index() for _ in range(rank)]
    for d, at in zip(layout.walked(rank), layout.window_dims):
        along[d] = along[d] + axes[at]
    for d, b in zip(layout.batch_dims, layout.index_batch_dims):
        along[d] = along[d] + axes[places[b]]
    for d, start in starts.items():
        along[d] = along[d] + start
    return along


def is_within(stage: StageBuilder, start: Scalar, last: int) -> Scalar:
    out: Scalar = stage.and_(stage.ge(start, 0), stage.le(start, last))
    return out


def clamped_start(stage: StageBuilder, start: Scalar, last: int) -> Scalar:
    out: Scalar = stage.max(stage.min(start, last), 0)
    return out


# Batching


def _shifted(dims: Sequence[int]) -> Shape:
    return tuple(d + 1 for d in dims)


def of_batched_both(layout: Layout) -> Layout:
    """x and indices have the batch axis in front: one more pair of batch axes."""
    return Layout(_shifted(layout.window_dims), _shifted(layout.inserted), _shifted(layout.index_dims),
                  (0, *_shifted(layout.batch_dims)), (0, *_shifted(layout.index_batch_dims)))


def of_batched_x(layout: Layout) -> Layout:
    """x alone: windows are longer by the whole batch axis."""
    return Layout((0, *_shifted(layout.window_dims)), _shifted(layout.inserted), _shifted(layout.index_dims),
                  _shifted(layout.batch_dims), layout.index_batch_dims)


def of_batched_indices(layout: Layout) -> Layout:
    """indices alone: more windows of one x."""
    return Layout(_shifted(layout.window_dims), layout.inserted, layout.index_dims, layout.batch_dims,
                  _shifted(layout.index_batch_dims))


# Samples


@dataclass(frozen=True)
class Case:
    name: str
    shape: Shape
    indices: Any
    layout: Layout
    sizes: Shape
    unique: bool = False
    dtype: str = "int64"


def random_numbers(rng: np.random.Generator, shape: Shape, dtype: str) -> np.ndarray:
    """Floats are distinct, away from zero."""
    size = prod(shape)
    if dtype == "bool":
        return np.asarray(rng.random(shape) < 0.5)
    if dtype == "float64":
        return np.asarray((rng.permutation(size) + rng.uniform(0.1, 0.9)).reshape(shape) * 0.1 + 0.3)
    return rng.integers(-9, 9, shape).astype(dtype)


CASES = (
    Case("rows", (5, 20), [[0], [4], [-1], [2], [7], [0], [2]], Layout((1,), (0,), (0,), (), ()), (1, 20)),
    Case("elements", (4, 3), [[[0, 1], [3, 2]], [[0, 1], [-2, 5]]], Layout((), (0, 1), (0, 1), (), ()), (1, 1), dtype="int32"),
    Case("windows", (6, 5), [[1, 0], [2, 1], [5, 4], [-1, 0]], Layout((0, 2), (), (0, 1), (), ()), (2, 3)),
    Case("second", (3, 6, 2), [[5], [1], [4]], Layout((0, 2), (1,), (1,), (), ()), (3, 1, 2), True),
    Case("batched", (3, 5, 4), [[[1], [0]], [[4], [3]], [[2], [9]]], Layout((2,), (1,), (1,), (0,), (0,)), (1, 1, 4), True),
    Case("whole", (2, 3), np.zeros((4, 0)), Layout((1, 2), (), (), (), ()), (2, 3)),
    Case("none", (4, 3), np.zeros((0, 1)), Layout((1,), (0,), (0,), (), ()), (1, 3)),
    Case("one", (5,), [3], Layout((), (0,), (0,), (), ()), (1,), True),
)
