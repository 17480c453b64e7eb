"""Making arrays: plain NumPy arrays outside of a trace; inside, known values that meet traced ones as those do."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.arguments import arrays as arrays_of
from leptonc.arguments import axis as axis_of
from leptonc.arguments import flag, integer, no_out, number, on_cpu, row_major
from leptonc.arguments import shape as shape_of
from leptonc.eager import EagerArray
from leptonc.errors import ArgumentError, op_error
from leptonc.ir.types import MOST_DIMENSIONS, dtype_of
from leptonc.memory import copied
from leptonc.memory import zeros as all_zero
from leptonc.promotion import PYTHON_SCALARS, default_float, is_weak, numpy_dtype
from leptonc.promotion import asarray as _concrete
from leptonc.trace import Tracer, as_default, bind, broadcast, cast, current_trace, known, promote, weakened, weakened_as
from leptonc.tree import leaves


def asarray(x: Any, dtype: Any = None, order: str | None = None, *, copy: bool | None = None, device: Any = None) -> Any:
    """``x`` as an array of ``dtype``; a list may hold traced scalars and arrays of one shape. With ``copy`` True always a new one,
    with False never. ``order`` "K", "C" and "A" are all row-major. Raises DtypeError for what is none, masked arrays among them,
    ArgumentError where a copy cannot be avoided."""
    on_cpu("asarray", device)
    row_major("asarray", order)
    found, copy = _as_it_is(x, dtype), None if copy is None else flag("asarray", "copy", copy)
    if copy is None or isinstance(found, Tracer):
        return found
    shared = isinstance(x, np.ndarray) and np.shares_memory(found, x)
    if not copy and not (shared or (isinstance(x, np.ndarray) and not x.size)):
        raise op_error("asarray", "cannot do without a copy", {"x": x}, "copy=None", ArgumentError)
    return known(copied(found), (found,)) if copy else found


def _as_it_is(x: Any, dtype: Any = None) -> Any:
    if isinstance(x, Tracer) or (isinstance(x, EagerArray) and is_weak(x)):
        return x if dtype is None else cast(x, dtype)
    if isinstance(x, list | tuple) and any(isinstance(leaf, Tracer) for leaf in leaves(x)):
        return stack([_as_it_is(item, dtype) for item in x])
    if dtype is not None and type(x) in PYTHON_SCALARS:
        return cast(x, dtype)
    found = known(_concrete(x, "asarray: x"), leaves(x) if isinstance(x, list | tuple) else (x,))
    if dtype is not None:
        return marked(cast(found, dtype), "")
    return marked(found, "created") if isinstance(x, list | tuple) or type(x) in PYTHON_SCALARS else found


def marked(x: Any, unchosen: str) -> Any:
    """A known array, with how its dtype came to be (see EagerArray)."""
    if isinstance(x, EagerArray):
        x.unchosen = unchosen
    return x


def array(x: Any, dtype: Any = None, *, copy: bool = True, order: str | None = "K", ndmin: int = 0, device: Any = None) -> Any:
    """A copy of ``x`` as an array of ``dtype``, at a multiple of 64 bytes, where compiled code is fastest; a traced value as it
    is, and with ``copy`` False an array. Axes of extent 1 in front make its rank ``ndmin``."""
    on_cpu("array", device)
    row_major("array", order)
    out = asarray(x, dtype)
    if flag("array", "copy", copy) and not isinstance(out, Tracer):
        out = known(copied(out), (out,))
    missing = integer("array", "ndmin", ndmin, least=0, most=MOST_DIMENSIONS) - len(out.shape)
    return bind("reshape", out, shape=(*(1,) * missing, *out.shape)) if missing > 0 else out


def stack(arrays: Any, axis: int = 0, out: None = None, dtype: Any = None) -> Any:
    """Arrays of one shape along a new axis, in ``dtype``. Raises ShapeError if shapes differ or there are none."""
    no_out("stack", out)
    given = arrays_of("stack", "arrays", arrays)
    items = in_one_dtype(given, dtype) if given else ()
    if not items or any(x.shape != items[0].shape for x in items):
        raise op_error("stack", "needs arrays of one shape", {f"x{n}": x for n, x in enumerate(items[:4])})
    at = axis_of("stack", items[0], axis, len(items[0].shape) + 1)
    shape = (*items[0].shape[:at], 1, *items[0].shape[at:])
    return bind("concatenate", *(bind("reshape", x, shape=shape) for x in items), axis=at)


def in_one_dtype(arrays: list[Any], dtype: Any) -> tuple[Any, ...]:
    """Some arrays, in ``dtype`` or promoted to one."""
    return promote(*arrays) if dtype is None else tuple(cast(x, dtype) for x in arrays)


def zeros(shape: Any, dtype: Any = None, *, device: Any = None) -> Any:
    """Of the default float dtype unless told otherwise. Raises ShapeError for extents that are negative or too large."""
    return _filled("zeros", shape, 0, dtype, device)


def ones(shape: Any, dtype: Any = None, *, device: Any = None) -> Any:
    """Of the default float dtype unless told otherwise. Raises ShapeError for extents that are negative or too large."""
    return _filled("ones", shape, 1, dtype, device)


def _filled(name: str, shape: Any, value: int, dtype: Any, device: Any) -> Any:
    on_cpu(name, device)
    kind = numpy_dtype(default_float() if dtype is None else dtype, name)
    return marked(full(shape_of(name, shape, kind.itemsize), value, kind), "created" if dtype is None else "")


def by_default(values: np.ndarray, dtype: Any = None) -> Any:
    """Numbers that NumPy has made, in ``dtype``; without one f64 is the default float dtype."""
    found = asarray(values, default_float() if dtype is None and values.dtype == np.float64 else dtype)
    return marked(found, "created" if dtype is None else "")


def full(shape: Any, fill_value: Any, dtype: Any = None, *, device: Any = None) -> Any:
    """``fill_value``, traced or not, in every element. Raises ShapeError if it does not stretch to the shape."""
    on_cpu("full", device)
    value = asarray(fill_value, dtype)
    weak = isinstance(value, Tracer | EagerArray) and is_weak(value)
    value = weakened(as_default(value)) if weak else value
    extents = shape_of("full", shape, value.dtype.itemsize)
    if isinstance(value, Tracer):
        return broadcast(value, extents)
    try:
        stretched = np.broadcast_to(value, extents)
    except ValueError:
        raise op_error("full", f"fill_value does not stretch to {extents}", {"fill_value": value}) from None
    empty_bits = value.shape == () and not any(value.tobytes())  # -0.0 has one
    found = known(all_zero(extents, value.dtype) if empty_bits else copied(stretched), (value,))
    return weakened_as([found], [weak])[0]


def full_like(x: Any, fill_value: Any, dtype: Any = None, shape: Any = None, *, device: Any = None) -> Any:
    """In the shape of x, and its dtype, unless told otherwise."""
    on_cpu("full_like", device)
    like = asarray(x)
    value = asarray(fill_value, like.dtype if dtype is None else dtype)
    extents = like.shape if shape is None else shape_of("full_like", shape, value.dtype.itemsize)
    trace = current_trace(like, value)
    # A constant of the trace, stretched: a whole array of one number would be data in the graph.
    return full(extents, value) if trace is None else broadcast(trace.lift(value), extents)


def zeros_like(x: Any, dtype: Any = None, shape: Any = None, *, device: Any = None) -> Any:
    """Zeros in the shape and dtype of x, unless told otherwise."""
    return full_like(x, 0, dtype, shape, device=device)


def ones_like(x: Any, dtype: Any = None, shape: Any = None, *, device: Any = None) -> Any:
    """Ones in the shape and dtype of x, unless told otherwise."""
    return full_like(x, 1, dtype, shape, device=device)


def empty_like(x: Any, dtype: Any = None, shape: Any = None, *, device: Any = None) -> Any:
    """Zeros in the shape and dtype of x, unless told otherwise: there is no reason to show garbage."""
    return full_like(x, 0, dtype, shape, device=device)


def empty(shape: Any, dtype: Any = None, *, device: Any = None) -> Any:
    """Zeros: there is no reason to show garbage."""
    return _filled("empty", shape, 0, dtype, device)


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None, *, device: Any = None) -> Any:
    """NumPy's; the bounds must be known while tracing."""
    on_cpu("arange", device)
    step = 1 if step is None else step
    bounds = {"start": 0, "stop": start, "step": step} if stop is None else {"start": start, "stop": stop, "step": step}
    first, last, by = (number("arange", what, bound) for what, bound in bounds.items())
    if by == 0 or not np.isfinite([first, last, by]).all():
        raise op_error("arange", "wants finite bounds and a step other than 0", bounds, kind=ArgumentError)
    shape_of("arange", max(int((last - first) / by), 0))
    return by_default(np.arange(first, last, by), dtype)


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None, *, device: Any = None) -> Any:
    """[N, M] (None: N), with ones on the k-th diagonal."""
    on_cpu("eye", device)
    kind = numpy_dtype(default_float() if dtype is None else dtype, "eye")
    rows, columns = shape_of("eye", (N, N if M is None else M), kind.itemsize)
    at = integer("eye", "k", k)
    return marked(known(np.eye(rows, columns, min(max(at, -rows), columns), kind)), "created" if dtype is None else "")


def astype(x: Any, dtype: Any, *, copy: bool = True, device: Any = None) -> Any:
    """The elements in another dtype; floats out of an integer type's range saturate, NaN becomes 0. Without ``copy`` an array of
    that dtype is returned as it is."""
    on_cpu("astype", device)
    if not flag("astype", "copy", copy) and getattr(x, "dtype", None) == numpy_dtype(dtype, "astype"):
        return x
    return cast(x, dtype) if isinstance(x, Tracer) else bind("cast", asarray(x), dtype=dtype_of(numpy_dtype(dtype, "astype")))
