"""Reductions over axes, with NumPy's ``axis`` and ``keepdims``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from leptonc.arguments import array, flag, number
from leptonc.arguments import axes as axes_of
from leptonc.arguments import axis as axis_of
from leptonc.arithmetic import divide, multiply, subtract
from leptonc.bfloat16 import is_narrow
from leptonc.numpy.elementwise import as_bool, as_float, sqrt
from leptonc.trace import bind, cast, promote

Axis = int | tuple[int, ...] | None


def _kept(name: str, x: Any, reduced: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if not flag(name, "keepdims", keepdims):
        return reduced
    return bind("reshape", reduced, shape=tuple(1 if d in axes else n for d, n in enumerate(x.shape)))


def sorted_axes(name: str, x: Any, axis: Any) -> tuple[int, ...]:
    """All axes for None. Raises ShapeError for one that is out of bounds or named twice."""
    return tuple(sorted(axes_of(name, x, axis)))


def _reduce(name: str, op: str, x: Any, axis: Any, keepdims: bool) -> Any:
    axes = sorted_axes(name, x, axis)
    return _kept(name, x, bind(op, x, axes=axes), axes, keepdims)


def _summed_dtype(name: str, x: Any, dtype: Any) -> Any:
    """NumPy adds up bools and ints in i64, unsigned ones in u64."""
    (operand,) = promote(array(name, "x", x))
    if dtype is not None:
        return cast(operand, dtype)
    wide = {"b": np.int64, "i": np.int64, "u": np.uint64}.get(operand.dtype.kind)
    return operand if wide is None or operand.dtype == wide else cast(operand, wide)


def sum(x: Any, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Any:
    """The sum over ``axis`` (all of them for None); bools and ints add up in i64, unsigned ints in u64."""
    return _reduce("sum", "sum", _summed_dtype("sum", x, dtype), axis, keepdims)


def prod(x: Any, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Any:
    """The product over ``axis``; bools and ints multiply in i64, unsigned ints in u64."""
    return _reduce("prod", "prod", _summed_dtype("prod", x, dtype), axis, keepdims)


def _extreme(name: str, op: str, doc: str) -> Callable[..., Any]:
    def function(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
        (operand,) = promote(array(name, "x", x))
        return _reduce(name, op, operand, axis, keepdims)

    function.__name__ = name
    function.__doc__ = doc
    return function


max = _extreme("max", "reduce_max", "The greatest element over ``axis``; NaN if any is. Raises ShapeError for no elements.")
min = _extreme("min", "reduce_min", "The least element over ``axis``; NaN if any is. Raises ShapeError for no elements.")


def _logical(name: str, doc: str) -> Callable[..., Any]:
    def function(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
        return _reduce(name, name, as_bool(array(name, "x", x)), axis, keepdims)

    function.__name__ = name
    function.__doc__ = doc
    return function


any = _logical("any", "Whether some element over ``axis`` is not 0.")
all = _logical("all", "Whether every element over ``axis`` is not 0.")


def _count(x: Any, axes: tuple[int, ...]) -> int:
    return int(np.prod([x.shape[a] for a in axes], dtype=np.int64))


def mean(x: Any, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Any:
    """The mean over ``axis``; ints and bools as f64, floats of 16 bits by way of f32. NaN for no elements."""
    operand = as_float(array("mean", "x", x)) if dtype is None else cast(array("mean", "x", x), dtype)
    if is_narrow(operand.dtype):
        return cast(mean(operand, axis, dtype=np.float32, keepdims=keepdims), operand.dtype)
    axes = sorted_axes("mean", operand, axis)
    return divide(sum(operand, axes, keepdims=keepdims), float(_count(operand, axes)))


def var(x: Any, axis: Axis = None, *, ddof: float = 0, keepdims: bool = False) -> Any:
    """The variance over ``axis``, in two passes; ``ddof`` is taken off the count."""
    operand = as_float(array("var", "x", x))
    if is_narrow(operand.dtype):
        return cast(var(cast(operand, np.float32), axis, ddof=ddof, keepdims=keepdims), operand.dtype)
    axes = sorted_axes("var", operand, axis)
    number("var", "ddof", ddof)
    off = subtract(operand, mean(operand, axes, keepdims=True))
    return divide(sum(multiply(off, off), axes, keepdims=keepdims), float(_count(operand, axes) - ddof))


def std(x: Any, axis: Axis = None, *, ddof: float = 0, keepdims: bool = False) -> Any:
    """The standard deviation over ``axis``."""
    return sqrt(var(x, axis, ddof=ddof, keepdims=keepdims))


def _position(name: str, doc: str) -> Callable[..., Any]:
    def function(x: Any, axis: int | None = None, *, keepdims: bool = False) -> Any:
        (operand,) = promote(array(name, "x", x))
        if axis is None:
            flat = bind("reshape", operand, shape=(int(np.prod(operand.shape, dtype=np.int64)),))
            found = bind(name, flat, axis=0)
            return _kept(name, operand, found, tuple(range(len(operand.shape))), keepdims)
        where = axis_of(name, operand, axis)
        return _kept(name, operand, bind(name, operand, axis=where), (where,), keepdims)

    function.__name__ = name
    function.__doc__ = doc
    return function


argmax = _position("argmax", "Position (i64) of the first greatest element along ``axis``; the first NaN wins.")
argmin = _position("argmin", "Position (i64) of the first least element along ``axis``; the first NaN wins.")


def cumsum(x: Any, axis: int | None = None, *, dtype: Any = None) -> Any:
    """Sums of all elements up to each; bools and ints add up in i64, unsigned ints in u64."""
    operand = _summed_dtype("cumsum", x, dtype)
    if axis is None:
        operand = bind("reshape", operand, shape=(int(np.prod(operand.shape, dtype=np.int64)),))
        axis = 0
    return bind("cumsum", operand, axis=axis_of("cumsum", operand, axis), reverse=False)


__all__ = [
    "all", "any", "argmax", "argmin", "cumsum", "max", "mean", "min", "prod", "sorted_axes", "std", "sum", "var",
]
