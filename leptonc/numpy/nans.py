"""Reductions that leave NaNs out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from leptonc.arguments import array, no_out
from leptonc.arithmetic import divide, invert, multiply, subtract
from leptonc.bfloat16 import kind_of
from leptonc.numpy import reductions
from leptonc.numpy.cumulative import cumprod, cumsum
from leptonc.numpy.elementwise import isnan, sqrt, where
from leptonc.trace import cast, promote

Axis = int | tuple[int, ...] | None


def _without(name: str, x: Any, instead: Any) -> tuple[Any, Any]:
    """x with something for its NaNs, and where these are; None for what has none."""
    (operand,) = promote(array(name, "x", x))
    if kind_of(operand.dtype) not in "fc":
        return operand, None
    gone = isnan(operand)
    return where(gone, cast(instead, operand.dtype), operand), gone


def nansum(x: Any, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: bool = False, initial: Any = None,
           where: Any = None) -> Any:
    """``sum`` with 0 for NaN."""
    no_out("nansum", out)
    return reductions.sum(_without("nansum", x, 0)[0], axis, dtype=dtype, keepdims=keepdims, initial=initial, where=where)


def nanprod(x: Any, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: bool = False, initial: Any = None,
            where: Any = None) -> Any:
    """``prod`` with 1 for NaN."""
    no_out("nanprod", out)
    return reductions.prod(_without("nanprod", x, 1)[0], axis, dtype=dtype, keepdims=keepdims, initial=initial, where=where)


def _nan_extreme(name: str, instead: float, reduced: Callable[..., Any], doc: str) -> Callable[..., Any]:
    def function(x: Any, axis: Axis = None, out: None = None, keepdims: bool = False, initial: Any = None,
                 where: Any = None) -> Any:
        no_out(name, out)
        operand, gone = _without(name, x, instead)
        found = reduced(operand, axis, keepdims=keepdims, initial=initial, where=where)
        if gone is None or initial is not None:
            return found
        return _chosen(reductions.all(gone, axis, keepdims=keepdims), cast(np.nan, found.dtype), found)

    function.__name__ = name
    function.__doc__ = doc
    return function


_chosen = where
nanmax = _nan_extreme("nanmax", -np.inf, reductions.max, "The greatest element over ``axis`` that is not NaN; NaN if all are.")
nanmin = _nan_extreme("nanmin", np.inf, reductions.min, "The least element over ``axis`` that is not NaN; NaN if all are.")


def _nan_position(name: str, instead: float, found: Callable[..., Any], doc: str) -> Callable[..., Any]:
    def function(x: Any, axis: int | None = None, out: None = None, keepdims: bool | None = None) -> Any:
        no_out(name, out)
        keepdims = False if keepdims is None else keepdims
        operand, gone = _without(name, x, instead)
        place = found(operand, axis, keepdims=keepdims)
        if gone is None:
            return place
        first = reductions.argmin(gone, axis, keepdims=keepdims)  # of numbers that are all infinite it is the first
        same = reductions.all(_chosen(gone, True, operand == instead), axis, keepdims=keepdims)
        place = _chosen(same, first, place)
        return _chosen(reductions.all(gone, axis, keepdims=keepdims), np.int64(-1), place)

    function.__name__ = name
    function.__doc__ = doc
    return function


nanargmax = _nan_position("nanargmax", -np.inf, reductions.argmax, "Position (i64) of the first greatest element along ``axis``"
                          " that is not NaN; -1 if all are, as JAX.")
nanargmin = _nan_position("nanargmin", np.inf, reductions.argmin, "Position (i64) of the first least element along ``axis`` that"
                          " is not NaN; -1 if all are, as JAX.")


def _numbers(name: str, x: Any, mask: Any, dtype: Any) -> tuple[Any, Any]:
    """x in floats, and where it has numbers that count."""
    operand = reductions.in_float_dtype(name, x, dtype)
    here = invert(isnan(operand))
    return operand, here if mask is None else multiply(here, mask)


def nanmean(x: Any, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: bool = False, where: Any = None) -> Any:
    """``mean`` of what is not NaN, in ``dtype``, a float; NaN if all is."""
    no_out("nanmean", out)
    operand, here = _numbers("nanmean", x, where, dtype)
    return reductions.mean(operand, axis, keepdims=keepdims, where=here)


def nanvar(x: Any, axis: Axis = None, dtype: Any = None, out: None = None, ddof: float = 0, keepdims: bool = False,
           where: Any = None, mean: Any = None) -> Any:
    """``var`` of what is not NaN, real of complex numbers; NaN if no more than ``ddof`` elements are left."""
    no_out("nanvar", out)
    operand, here = _numbers("nanvar", x, where, dtype)
    axes = reductions.sorted_axes("nanvar", operand, axis)
    off = reductions.centered("nanvar", reductions.only("nanvar", operand, here, 0), axes, mean, here)
    left = subtract(reductions.counted(reductions.real_part(operand), axes, keepdims, here), ddof)
    total = reductions.sum(reductions.squared_modulus(off), axes, keepdims=keepdims, where=here)
    return divide(total, _chosen(left > 0, left, cast(np.nan, left.dtype)))


def nanstd(x: Any, axis: Axis = None, dtype: Any = None, out: None = None, ddof: float = 0, keepdims: bool = False,
           where: Any = None, mean: Any = None) -> Any:
    """``std`` of what is not NaN; NaN if no more than ``ddof`` elements are left."""
    no_out("nanstd", out)
    return sqrt(nanvar(x, axis, dtype, None, ddof, keepdims, where, mean))


def nancumsum(x: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Any:
    """``cumsum`` with 0 for NaN."""
    no_out("nancumsum", out)
    return cumsum(_without("nancumsum", x, 0)[0], axis, dtype=dtype)


def nancumprod(x: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Any:
    """``cumprod`` with 1 for NaN."""
    no_out("nancumprod", out)
    return cumprod(_without("nancumprod", x, 1)[0], axis, dtype=dtype)


__all__ = [
    "nanargmax", "nanargmin", "nancumprod", "nancumsum", "nanmax", "nanmean", "nanmin", "nanprod", "nanstd", "nansum", "nanvar",
]
