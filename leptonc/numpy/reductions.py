"""Reductions over axes, with NumPy's ``axis`` and ``keepdims``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from leptonc.arithmetic import divide, multiply, subtract
from leptonc.errors import DtypeError, op_error
from leptonc.numpy.elementwise import as_bool, as_float, sqrt
from leptonc.trace import bind, cast, locate, promote

Axis = int | tuple[int, ...] | None


def normalize_axis(name: str, x: Any, axis: int) -> int:
    """A negative axis counted from the end. Raises ShapeError if there is none."""
    rank = len(x.shape)
    if isinstance(axis, bool) or not isinstance(axis, int | np.integer):
        raise op_error(name, f"axis must be an int, got {axis!r}", {"x": x}, locate(), kind=DtypeError)
    if not -rank <= axis < rank:
        raise op_error(name, f"axis {axis} is out of bounds for {rank} axes", {"x": x}, locate())
    return int(axis) % rank


def normalize_axes(name: str, x: Any, axis: Any) -> tuple[int, ...]:
    """All axes for None. Raises ShapeError for one that is out of bounds or named twice."""
    if axis is None:
        return tuple(range(len(x.shape)))
    axes = tuple(normalize_axis(name, x, a) for a in (axis if isinstance(axis, tuple | list) else (axis,)))
    if len(set(axes)) != len(axes):
        raise op_error(name, f"axis {axis} names one axis twice", {"x": x}, locate())
    return tuple(sorted(axes))


def _kept(x: Any, reduced: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if not keepdims:
        return reduced
    return bind("reshape", reduced, shape=tuple(1 if d in axes else n for d, n in enumerate(x.shape)))


def _reduce(name: str, op: str, x: Any, axis: Any, keepdims: bool) -> Any:
    axes = normalize_axes(name, x, axis)
    return _kept(x, bind(op, x, axes=axes), axes, keepdims)


def _summed_dtype(x: Any, dtype: Any) -> Any:
    """NumPy adds up bools and small ints in i64."""
    (operand,) = promote(x)
    if dtype is not None:
        return cast(operand, dtype)
    small = operand.dtype.kind in "bi" or (operand.dtype.kind == "u" and operand.dtype.itemsize < 8)
    return cast(operand, np.int64) if small and operand.dtype != np.int64 else operand


def sum(x: Any, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Any:
    """The sum over ``axis`` (all of them for None); bools and ints add up in i64."""
    return _reduce("sum", "sum", _summed_dtype(x, dtype), axis, keepdims)


def prod(x: Any, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Any:
    """The product over ``axis``; bools and ints multiply in i64."""
    return _reduce("prod", "prod", _summed_dtype(x, dtype), axis, keepdims)


def _extreme(name: str, op: str, doc: str) -> Callable[..., Any]:
    def function(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
        (operand,) = promote(x)
        return _reduce(name, op, operand, axis, keepdims)

    function.__name__ = name
    function.__doc__ = doc
    return function


max = _extreme("max", "reduce_max", "The greatest element over ``axis``; NaN if any is. Raises ShapeError for no elements.")
min = _extreme("min", "reduce_min", "The least element over ``axis``; NaN if any is. Raises ShapeError for no elements.")


def _logical(name: str, doc: str) -> Callable[..., Any]:
    def function(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
        return _reduce(name, name, as_bool(x), axis, keepdims)

    function.__name__ = name
    function.__doc__ = doc
    return function


any = _logical("any", "Whether some element over ``axis`` is not 0.")
all = _logical("all", "Whether every element over ``axis`` is not 0.")


def _count(x: Any, axes: tuple[int, ...]) -> int:
    return int(np.prod([x.shape[a] for a in axes], dtype=np.int64))


def mean(x: Any, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Any:
    """The mean over ``axis``; ints and bools as f64. NaN for no elements."""
    operand = as_float(x) if dtype is None else cast(promote(x)[0], dtype)
    axes = normalize_axes("mean", operand, axis)
    return divide(sum(operand, axes, keepdims=keepdims), float(_count(operand, axes)))


def var(x: Any, axis: Axis = None, *, ddof: float = 0, keepdims: bool = False) -> Any:
    """The variance over ``axis``, in two passes; ``ddof`` is taken off the count."""
    operand = as_float(x)
    axes = normalize_axes("var", operand, axis)
    off = subtract(operand, mean(operand, axes, keepdims=True))
    return divide(sum(multiply(off, off), axes, keepdims=keepdims), float(_count(operand, axes) - ddof))


def std(x: Any, axis: Axis = None, *, ddof: float = 0, keepdims: bool = False) -> Any:
    """The standard deviation over ``axis``."""
    return sqrt(var(x, axis, ddof=ddof, keepdims=keepdims))


def _position(name: str, doc: str) -> Callable[..., Any]:
    def function(x: Any, axis: int | None = None, *, keepdims: bool = False) -> Any:
        (operand,) = promote(x)
        if axis is None:
            flat = bind("reshape", operand, shape=(int(np.prod(operand.shape, dtype=np.int64)),))
            found = bind(name, flat, axis=0)
            return _kept(operand, found, tuple(range(len(operand.shape))), keepdims)
        where = normalize_axis(name, operand, axis)
        return _kept(operand, bind(name, operand, axis=where), (where,), keepdims)

    function.__name__ = name
    function.__doc__ = doc
    return function


argmax = _position("argmax", "Position (i64) of the first greatest element along ``axis``; the first NaN wins.")
argmin = _position("argmin", "Position (i64) of the first least element along ``axis``; the first NaN wins.")


def cumsum(x: Any, axis: int | None = None, *, dtype: Any = None) -> Any:
    """Sums of all elements up to each; bools and ints add up in i64."""
    operand = _summed_dtype(x, dtype)
    if axis is None:
        operand = bind("reshape", operand, shape=(int(np.prod(operand.shape, dtype=np.int64)),))
        axis = 0
    return bind("cumsum", operand, axis=normalize_axis("cumsum", operand, axis), reverse=False)


__all__ = [
    "all", "any", "argmax", "argmin", "cumsum", "max", "mean", "min", "normalize_axes", "normalize_axis",
    "prod", "std", "sum", "var",
]
