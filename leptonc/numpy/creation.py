"""Making arrays: constants of the traced graph when they meet traced values, NumPy arrays until then."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.errors import ShapeError, op_error
from leptonc.ir.types import dtype_of
from leptonc.memory import copied
from leptonc.promotion import asarray as _concrete
from leptonc.promotion import numpy_dtype
from leptonc.trace import Tracer, bind, broadcast, cast, current_trace, locate, promote
from leptonc.tree import leaves


def asarray(x: Any, dtype: Any = None) -> Any:
    """``x`` as an array of ``dtype``; a list may hold traced scalars and arrays of one shape."""
    if isinstance(x, Tracer):
        return x if dtype is None else cast(x, dtype)
    if isinstance(x, list | tuple) and any(isinstance(leaf, Tracer) for leaf in leaves(x)):
        from_items = [asarray(item, dtype) for item in x]
        return stack(from_items)
    return _concrete(x, "array", dtype)


def array(x: Any, dtype: Any = None) -> Any:
    """A copy of ``x`` as an array of ``dtype``, at a multiple of 64 bytes, where compiled code is fastest; a traced value as it
    is."""
    out = asarray(x, dtype)
    return out if isinstance(out, Tracer) else copied(out)


def stack(arrays: Any, axis: int = 0) -> Any:
    """Arrays of one shape along a new axis. Raises ShapeError if shapes differ or there are none."""
    items = promote(*arrays) if len(arrays) else ()
    if not items or any(x.shape != items[0].shape for x in items):
        raise op_error("stack", "needs arrays of one shape", {f"x{n}": x for n, x in enumerate(items[:4])}, locate())
    rank = len(items[0].shape) + 1
    if not -rank <= axis < rank:
        raise op_error("stack", f"axis {axis} is out of bounds for {rank} axes", {"x0": items[0]}, locate())
    at = axis % rank
    shape = (*items[0].shape[:at], 1, *items[0].shape[at:])
    return bind("concatenate", *(bind("reshape", x, shape=shape) for x in items), axis=at)


def _shape(shape: Any) -> tuple[int, ...]:
    sizes = (shape,) if isinstance(shape, int | np.integer | Tracer) else tuple(shape)
    for n in sizes:
        if isinstance(n, Tracer):
            n.__index__()  # raises: a shape cannot depend on data
    if any(n < 0 for n in sizes):
        raise op_error("full", f"shape {sizes} has a negative extent", {}, locate(), kind=ShapeError)
    return tuple(int(n) for n in sizes)


def zeros(shape: Any, dtype: Any = np.float64) -> np.ndarray:
    """f64 unless told otherwise, as NumPy."""
    return full(_shape(shape), 0, numpy_dtype(dtype, "zeros"))


def ones(shape: Any, dtype: Any = np.float64) -> np.ndarray:
    """f64 unless told otherwise, as NumPy."""
    return full(_shape(shape), 1, numpy_dtype(dtype, "ones"))


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    """``fill_value``, traced or not, in every element."""
    value = asarray(fill_value, dtype)
    return broadcast(value, _shape(shape)) if isinstance(value, Tracer) else copied(np.broadcast_to(value, _shape(shape)))


def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Any:
    """In the shape of x, and its dtype unless told otherwise."""
    like = asarray(x)
    value = asarray(fill_value, like.dtype if dtype is None else dtype)
    trace = current_trace(like, value)
    # A constant of the trace, stretched: a whole array of one number would be data in the graph.
    return full(like.shape, value) if trace is None else broadcast(trace.lift(value), like.shape)


def zeros_like(x: Any, dtype: Any = None) -> Any:
    """Zeros in the shape and dtype of x."""
    return full_like(x, 0, dtype)


def ones_like(x: Any, dtype: Any = None) -> Any:
    """Ones in the shape and dtype of x."""
    return full_like(x, 1, dtype)


def empty(shape: Any, dtype: Any = np.float64) -> np.ndarray:
    """Zeros: there is no reason to show garbage."""
    return zeros(shape, dtype)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> np.ndarray:
    """NumPy's; the bounds must be known while tracing."""
    bounds = (0, start, step) if stop is None else (start, stop, step)
    for bound in bounds:
        if isinstance(bound, Tracer):
            bound.__index__()
    return _concrete(np.arange(*bounds), "arange", dtype)


def linspace(start: float, stop: float, num: int = 50, endpoint: bool = True, dtype: Any = None) -> np.ndarray:
    """NumPy's; the bounds must be known while tracing."""
    return _concrete(np.linspace(start, stop, num, endpoint), "linspace", dtype)


def eye(n: int, m: int | None = None, k: int = 0, dtype: Any = np.float64) -> np.ndarray:
    """Ones on the k-th diagonal."""
    return np.eye(n, m, k, numpy_dtype(dtype, "eye"))


def astype(x: Any, dtype: Any) -> Any:
    """The elements in another dtype; floats out of an integer type's range saturate, NaN becomes 0."""
    return cast(x, dtype) if isinstance(x, Tracer) else bind("cast", asarray(x), dtype=dtype_of(numpy_dtype(dtype)))
