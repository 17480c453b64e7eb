"""Reductions over axes, with NumPy's ``axis`` and ``keepdims``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from leptonc.arguments import array, flag, kinds_in, no_out, number, scalar
from leptonc.arguments import axes as axes_of
from leptonc.arguments import axis as axis_of
from leptonc.arithmetic import add, divide, multiply, subtract
from leptonc.bfloat16 import is_narrow, kind_of
from leptonc.errors import ArgumentError, DtypeError, op_error
from leptonc.numpy.elementwise import as_bool, as_float, maximum, minimum, sqrt
from leptonc.numpy.elementwise import where as where_
from leptonc.promotion import numpy_dtype
from leptonc.trace import Tracer, bind, broadcast, broadcast_shapes, cast, current_trace, promote

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


def summed_dtype(name: str, x: Any, dtype: Any, promote_integers: bool = True) -> Any:
    """NumPy adds up bools and ints in i64, unsigned ones in u64."""
    (operand,) = promote(array(name, "x", x))
    if dtype is not None:
        return cast(operand, dtype)
    if not flag(name, "promote_integers", promote_integers):
        return cast(operand, np.int32) if operand.dtype.kind == "b" else operand
    wide = {"b": np.int64, "i": np.int64, "u": np.uint64}.get(operand.dtype.kind)
    return operand if wide is None or operand.dtype == wide else cast(operand, wide)


def only(name: str, x: Any, mask: Any, instead: Any) -> Any:
    """x where a mask, which stretches to it, holds, else ``instead``."""
    if mask is None:
        return x
    test = array(name, "where", mask)
    if test.dtype.kind != "b":
        raise op_error(name, "where must be bools", {"x": x, "where": test}, "compare, such as x != 0", DtypeError)
    if broadcast_shapes(name, x, test) != x.shape:
        raise op_error(name, "where does not stretch to x", {"x": x, "where": test})
    return where_(test, x, cast(instead, x.dtype))


def _begun(name: str, reduced: Any, initial: Any, join: Callable[[Any, Any], Any]) -> Any:
    """A result joined with what a reduction is to begin with."""
    if initial is None:
        return reduced
    start = scalar(name, "initial", initial, kinds=kinds_in(reduced.dtype))
    if reduced.dtype.kind == "u" and not isinstance(start, Tracer) and start < 0:
        raise op_error(name, f"initial={initial!r:.60} is below what {reduced.dtype} holds", {"x": reduced}, kind=ArgumentError)
    start = cast(start, reduced.dtype)
    return cast(join(reduced, start), reduced.dtype)


def sum(x: Any, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: bool = False, initial: Any = None,
        where: Any = None, promote_integers: bool = True) -> Any:
    """The sum over ``axis`` (all of them for None); bools and ints add up in i64, unsigned ints in u64, or in their own dtype
    without ``promote_integers`` (bools in i32). It begins with ``initial``, and takes the elements where ``where`` holds."""
    no_out("sum", out)
    operand = only("sum", summed_dtype("sum", x, dtype, promote_integers), where, 0)
    return _begun("sum", _reduce("sum", "any" if operand.dtype.kind == "b" else "sum", operand, axis, keepdims), initial, add)


def prod(x: Any, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: bool = False, initial: Any = None,
         where: Any = None, promote_integers: bool = True) -> Any:
    """The product over ``axis``; bools and ints multiply in i64, unsigned ints in u64, or in their own dtype without
    ``promote_integers``. It begins with ``initial``, and takes the elements where ``where`` holds."""
    no_out("prod", out)
    operand = only("prod", summed_dtype("prod", x, dtype, promote_integers), where, 1)
    op = "all" if operand.dtype.kind == "b" else "prod"
    return _begun("prod", _reduce("prod", op, operand, axis, keepdims), initial, multiply)


def _beyond(dtype: np.dtype, op: str) -> Any:
    """What no element is beyond: of an extreme it is no part."""
    if dtype.kind == "b":
        return op == "reduce_min"
    if dtype.kind in "iu":
        return np.iinfo(dtype).max if op == "reduce_min" else np.iinfo(dtype).min
    most = np.inf if op == "reduce_min" else -np.inf
    return complex(most, most) if dtype.kind == "c" else most


def _extreme(name: str, op: str, join: Callable[[Any, Any], Any], doc: str) -> Callable[..., Any]:
    def function(x: Any, axis: Axis = None, out: None = None, keepdims: bool = False, initial: Any = None,
                 where: Any = None) -> Any:
        no_out(name, out)
        (operand,) = promote(array(name, "x", x))
        if initial is None and where is not None:
            raise op_error(name, "where may leave no elements", {"x": operand}, "give initial", ArgumentError)
        operand = only(name, operand, where, _beyond(operand.dtype, op))
        axes = sorted_axes(name, operand, axis)
        if initial is not None and not _count(operand, axes):
            kept = _reduce(name, "sum", cast(operand, np.int64), axis, keepdims).shape
            return broadcast(cast(array(name, "initial", initial), operand.dtype), kept)
        return _begun(name, _reduce(name, op, operand, axis, keepdims), initial, join)

    function.__name__ = name
    function.__doc__ = doc
    return function


max = _extreme("max", "reduce_max", maximum, "The greatest element over ``axis``; NaN if any is. Raises ShapeError for no elements"
               " without an ``initial``; with one, takes the elements where ``where`` holds.")
min = _extreme("min", "reduce_min", minimum, "The least element over ``axis``; NaN if any is. Raises ShapeError for no"
               " elements without an ``initial``; with one, takes the elements where ``where`` holds.")


def _logical(name: str, doc: str) -> Callable[..., Any]:
    def function(x: Any, axis: Axis = None, out: None = None, keepdims: bool = False, *, where: Any = None) -> Any:
        no_out(name, out)
        return _reduce(name, name, only(name, as_bool(array(name, "x", x)), where, name == "all"), axis, keepdims)

    function.__name__ = name
    function.__doc__ = doc
    return function


any = _logical("any", "Whether some element over ``axis`` is not 0.")
all = _logical("all", "Whether every element over ``axis`` is not 0.")


def _count(x: Any, axes: tuple[int, ...]) -> int:
    return int(np.prod([x.shape[a] for a in axes], dtype=np.int64))


def counted(x: Any, axes: tuple[int, ...], keepdims: bool, mask: Any) -> Any:
    """How many elements a mask leaves, in x's dtype."""
    if mask is None:
        return float(_count(x, axes))
    return sum(only("count", _full_like(x, 1), mask, 0), axes, keepdims=keepdims)


def real_part(x: Any) -> Any:
    """Of reals themselves."""
    return bind("real", x) if x.dtype.kind == "c" else x


def squared_modulus(x: Any) -> Any:
    """|x| ** 2, which is real."""
    if x.dtype.kind != "c":
        return multiply(x, x)
    re, im = bind("real", x), bind("imag", x)
    return add(multiply(re, re), multiply(im, im))


def _full_like(x: Any, number: Any) -> Any:
    trace, one = current_trace(x), np.asarray(number, x.dtype)
    return broadcast(one if trace is None else trace.lift(one), x.shape)


def mean(x: Any, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: bool = False, *, where: Any = None) -> Any:
    """The mean over ``axis``, of the elements where ``where`` holds; ints and bools as f64, floats of 16 bits by way of f32; of an
    integer ``dtype`` without what is behind the point, of bool whether any is true. NaN for no elements."""
    no_out("mean", out)
    if dtype is not None and kind_of(kind := numpy_dtype(dtype, "mean")) in "biu":
        return cast(mean(cast(array("mean", "x", x), kind), axis, keepdims=keepdims, where=where), kind)
    operand = as_float(array("mean", "x", x)) if dtype is None else cast(array("mean", "x", x), dtype)
    if is_narrow(operand.dtype):
        return cast(mean(operand, axis, dtype=np.float32, keepdims=keepdims, where=where), operand.dtype)
    axes = sorted_axes("mean", operand, axis)
    return divide(sum(operand, axes, keepdims=keepdims, where=where), counted(operand, axes, keepdims, where))


_mean = mean  # where a parameter has its name


def centered(name: str, x: Any, axes: tuple[int, ...], mean: Any, where: Any) -> Any:
    """x less its mean over axes, or one that is known already, which stretches to x."""
    if mean is None:
        return subtract(x, _mean(x, axes, keepdims=True, where=where))
    center = cast(array(name, "mean", mean), x.dtype)
    if broadcast_shapes(name, x, center) != x.shape:
        raise op_error(name, "mean does not stretch to x", {"x": x, "mean": center}, "keepdims=True in mean")
    return subtract(x, center)


def in_float_dtype(name: str, x: Any, dtype: Any) -> Any:
    """x in floats: in ``dtype``, one of them, if it is given."""
    operand = array(name, "x", x)
    if dtype is None:
        return as_float(operand)
    kind = numpy_dtype(dtype, name)
    if kind_of(kind) not in "fc" or (operand.dtype.kind == "c" and kind.kind != "c"):
        raise op_error(name, f"dtype={kind} must be a float, of complex numbers a complex one", {"x": operand}, kind=DtypeError)
    return cast(operand, kind)


def var(x: Any, axis: Axis = None, dtype: Any = None, out: None = None, ddof: float = 0, keepdims: bool = False, *,
        where: Any = None, mean: Any = None, correction: float | None = None) -> Any:
    """The variance over ``axis``, in two passes, of the elements where ``where`` holds; ``ddof`` (or ``correction``) is taken off
    the count. Of complex numbers it is real. It is in ``dtype``, a float; ``mean``, if it is known already, stretches to x."""
    no_out("var", out)
    for what, value in (("ddof", ddof), ("correction", 0 if correction is None else correction)):
        number("var", what, value)
    if correction is not None and ddof != 0:
        raise op_error("var", "ddof and correction are the same thing", {}, "give one of them", ArgumentError)
    ddof = ddof if correction is None else correction
    operand = in_float_dtype("var", x, dtype)
    if is_narrow(operand.dtype):
        return cast(var(cast(operand, np.float32), axis, ddof=ddof, keepdims=keepdims, where=where, mean=mean), operand.dtype)
    axes = sorted_axes("var", operand, axis)
    off = centered("var", operand, axes, mean, where)
    left = counted(real_part(operand), axes, keepdims, where) - ddof
    if where is not None:
        left = maximum(left, 0)
    elif left < 0:
        left = 0.0  # of too few elements x / 0, as NumPy has it
    return divide(sum(squared_modulus(off), axes, keepdims=keepdims, where=where), left)


def std(x: Any, axis: Axis = None, dtype: Any = None, out: None = None, ddof: float = 0, keepdims: bool = False, *,
        where: Any = None, mean: Any = None, correction: float | None = None) -> Any:
    """The standard deviation over ``axis``, of the elements where ``where`` holds; the rest is as of ``var``."""
    no_out("std", out)
    return sqrt(var(x, axis, dtype, None, ddof, keepdims, where=where, mean=mean, correction=correction))


def count_nonzero(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """How many elements (i64) over ``axis`` are not 0."""
    return sum(as_bool(array("count_nonzero", "x", x)), axis, keepdims=keepdims)


def _position(name: str, doc: str) -> Callable[..., Any]:
    def function(x: Any, axis: int | None = None, out: None = None, keepdims: bool | None = None) -> Any:
        no_out(name, out)
        keepdims = False if keepdims is None else keepdims
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


def cumsum(x: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Any:
    """Sums of all elements up to each; bools and ints add up in i64, unsigned ints in u64."""
    no_out("cumsum", out)
    operand = summed_dtype("cumsum", x, dtype)
    if axis is None:
        operand = bind("reshape", operand, shape=(int(np.prod(operand.shape, dtype=np.int64)),))
        axis = 0
    return bind("cumsum", operand, axis=axis_of("cumsum", operand, axis), reverse=False)


__all__ = [
    "all", "any", "argmax", "argmin", "centered", "count_nonzero", "counted", "cumsum", "in_float_dtype", "max",
    "mean", "min", "only", "prod", "sorted_axes", "std", "sum", "summed_dtype", "var",
]
