"""Reductions of rows by the number of their segment: jax.ops' segment_sum, segment_prod, segment_max and segment_min."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.arguments import array, flag, integer
from leptonc.errors import DtypeError, op_error
from leptonc.gathering import writing
from leptonc.ir.kernel import reduction_identity
from leptonc.ir.types import dtype_of
from leptonc.public import publish
from leptonc.trace import Tracer, bind, current_trace
from leptonc.trace import broadcast as _broadcast


def _segments(name: str, op: str, kind: str, data: Any, segment_ids: Any, num_segments: Any, is_sorted: bool, unique: bool,
              mode: Any) -> Any:
    x, ids = array(name, "data", data), array(name, "segment_ids", segment_ids)
    operands = {"data": x, "segment_ids": ids}
    if ids.dtype.kind not in "iu":
        raise op_error(name, "segment_ids must be ints", operands, kind=DtypeError)
    if kind in ("max", "min") and x.dtype.kind == "c":
        raise op_error(name, "complex numbers have no order", operands, kind=DtypeError)
    if not ids.shape or x.shape[:len(ids.shape)] != ids.shape:
        raise op_error(name, "segment_ids must have the first extents of data", operands)
    if num_segments is None and isinstance(ids, Tracer):
        raise op_error(name, "num_segments is an extent of the result, and segment_ids is traced", operands, "give num_segments")
    count = int(np.max(ids, initial=-1)) + 1 if num_segments is None else integer(name, "num_segments", num_segments, least=0)
    flag(name, "indices_are_sorted", is_sorted)
    rank = len(ids.shape)
    shape = (count, *x.shape[rank:])
    neutral, trace = np.asarray(_neutral(kind, x.dtype)).astype(x.dtype), current_trace(x, ids)
    start = _broadcast(neutral if trace is None else trace.lift(neutral), shape)
    return bind(op, start, bind("reshape", ids, shape=(*ids.shape, 1)), x, window_dims=tuple(range(rank, len(x.shape))),
                inserted=(0,), index_dims=(0,), batch_dims=(), index_batch_dims=(), mode=writing(name, mode),
                unique=flag(name, "unique_indices", unique))


def _neutral(kind: str, dtype: np.dtype) -> Any:
    of = dtype_of(dtype)
    return reduction_identity({"sum": "any", "prod": "all"}.get(kind, kind) if of.is_bool else kind, of)


def segment_sum(data: Any, segment_ids: Any, num_segments: int | None = None, indices_are_sorted: bool = False,
                unique_indices: bool = False, *, mode: Any = None) -> Any:
    """The sums of the rows of each segment, [num_segments, ...]; 0 of one without rows. Rows whose segment is negative or too high
    take no part (``mode`` "clip": belong to the nearest). Rows are added in order, on any number of threads.

    ``num_segments`` must be given where ``segment_ids`` is traced; it is the greatest of them and 1 otherwise.
    """
    return _segments("segment_sum", "scatter_sum", "sum", data, segment_ids, num_segments, indices_are_sorted, unique_indices, mode)


def segment_prod(data: Any, segment_ids: Any, num_segments: int | None = None, indices_are_sorted: bool = False,
                 unique_indices: bool = False, *, mode: Any = None) -> Any:
    """As ``segment_sum`` the products; 1 of a segment without rows. It has a gradient if ``unique_indices``, as JAX's."""
    return _segments("segment_prod", "scatter_prod", "prod", data, segment_ids, num_segments, indices_are_sorted, unique_indices,
                     mode)


def segment_max(data: Any, segment_ids: Any, num_segments: int | None = None, indices_are_sorted: bool = False,
                unique_indices: bool = False, *, mode: Any = None) -> Any:
    """As ``segment_sum`` the greatest; -inf or the least int of a segment without rows. Equal ones share the gradient."""
    return _segments("segment_max", "scatter_max", "max", data, segment_ids, num_segments, indices_are_sorted, unique_indices, mode)


def segment_min(data: Any, segment_ids: Any, num_segments: int | None = None, indices_are_sorted: bool = False,
                unique_indices: bool = False, *, mode: Any = None) -> Any:
    """As ``segment_sum`` the least; inf or the greatest int of a segment without rows. Equal ones share the gradient."""
    return _segments("segment_min", "scatter_min", "min", data, segment_ids, num_segments, indices_are_sorted, unique_indices, mode)


__all__ = ["segment_max", "segment_min", "segment_prod", "segment_sum"]

publish(globals(), __all__)
