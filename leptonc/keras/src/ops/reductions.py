"""Reductions over axes, cumulative ones, and those that leave NaN out."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from leptonc import lax
from leptonc import numpy as lnp
from leptonc.bfloat16 import kind_of
from leptonc.keras.src.ops.elementwise import known, numeric
from leptonc.keras.src.ops.tensors import as_float, convert_to_tensor, promoted

Reduction = Callable[..., Any]


def axes_of(axis: Any) -> Any:
    """Axes as leptonc takes them: None, an int, or a tuple of ints."""
    return tuple(int(a) for a in axis) if isinstance(axis, list | tuple) else axis if axis is None else int(axis)


SUMS = {"bool": "int32", "int8": "int32", "int16": "int32", "uint8": "uint32", "uint16": "uint32"}


def summable(x: Any) -> tuple[Any, Any]:
    """A tensor, and the dtype in which Keras adds its elements up."""
    x = numeric(x)
    return x, np.dtype(SUMS.get(x.dtype.name, x.dtype))


def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    x, dtype = summable(x)
    return lnp.sum(x, axes_of(axis), dtype=dtype, keepdims=keepdims)


def prod(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    x, natural = summable(x)
    return lnp.prod(x, axes_of(axis), dtype=convert_to_tensor(0, dtype or natural).dtype, keepdims=keepdims)


def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return lnp.mean(as_float(x), axes_of(axis), keepdims=keepdims)


def var(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return lnp.var(as_float(x), axes_of(axis), keepdims=keepdims)


def std(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return lnp.std(as_float(x), axes_of(axis), keepdims=keepdims)


def average(x: Any, axis: Any = None, weights: Any = None) -> Any:
    """The mean, weighted if there are weights, of x's shape or along its one axis."""
    if weights is None:
        return mean(x, axis)
    x, weights = promoted(x, weights, also=float)
    axis = axes_of(axis)
    if weights.shape != x.shape:
        weights = lnp.reshape(weights, [-1 if d == axis % len(x.shape) else 1 for d in range(len(x.shape))])
        weights = lnp.broadcast_to(weights, x.shape)
    return lnp.divide(lnp.sum(lnp.multiply(x, weights), axis), lnp.sum(weights, axis))


def _extreme(reduction: Reduction, pairwise: Callable[[Any, Any], Any]) -> Reduction:
    def call(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Any:
        x, axis = convert_to_tensor(x), axes_of(axis)
        if initial is None:
            return reduction(x, axis, keepdims=keepdims)
        start = convert_to_tensor(initial, x.dtype)
        if 0 in x.shape:
            return lnp.full(lnp.sum(x, axis, keepdims=keepdims).shape, start)
        return pairwise(reduction(x, axis, keepdims=keepdims), start)

    return call


max, min = _extreme(lnp.max, lnp.maximum), _extreme(lnp.min, lnp.minimum)


def amax(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return max(x, axis, keepdims)


def amin(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return min(x, axis, keepdims)


def ptp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The greatest element less the least."""
    return lnp.subtract(max(x, axis, keepdims), min(x, axis, keepdims))


def all(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return lnp.all(convert_to_tensor(x), axes_of(axis), keepdims=keepdims)


def any(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return lnp.any(convert_to_tensor(x), axes_of(axis), keepdims=keepdims)


def count_nonzero(x: Any, axis: Any = None) -> Any:
    return lnp.sum(lnp.not_equal(convert_to_tensor(x), 0), axes_of(axis), dtype="int32")


def argmax(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return lnp.astype(lnp.argmax(convert_to_tensor(x), axis, keepdims=keepdims), "int32")


def argmin(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return lnp.astype(lnp.argmin(convert_to_tensor(x), axis, keepdims=keepdims), "int32")


def _accumulated_dtype(x: Any, dtype: Any) -> Any:
    return numeric(convert_to_tensor(0, dtype or x.dtype)).dtype


def cumsum(x: Any, axis: Any = None, dtype: Any = None) -> Any:
    x = convert_to_tensor(x)
    return lnp.cumsum(x, axis, dtype=_accumulated_dtype(x, dtype))


def cumprod(x: Any, axis: Any = None, dtype: Any = None) -> Any:
    x = convert_to_tensor(x)
    return lnp.cumprod(x, axis, dtype=_accumulated_dtype(x, dtype))


def _without_nan(reduction: Reduction, instead: float) -> Reduction:
    def call(x: Any, axis: Any = None, **kwargs: Any) -> Any:
        x = convert_to_tensor(x)
        return reduction(lnp.where(lnp.isnan(x), instead, x) if kind_of(x.dtype) == "f" else x, axis, **kwargs)

    return call


def nansum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return _without_nan(sum, 0)(x, axis, keepdims=keepdims)


def nanprod(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return _without_nan(prod, 1)(x, axis, keepdims=keepdims)


def nancumsum(x: Any, axis: Any = None, dtype: Any = None) -> Any:
    return _without_nan(cumsum, 0)(x, axis, dtype=dtype)


def nancumprod(x: Any, axis: Any = None, dtype: Any = None) -> Any:
    return _without_nan(cumprod, 1)(x, axis, dtype=dtype)


def _all_nan(x: Any, axis: Any, keepdims: bool) -> Any:
    return lnp.all(lnp.isnan(convert_to_tensor(x)), axes_of(axis), keepdims=keepdims)


def _nan_extreme(x: Any, axis: Any, keepdims: bool, reduction: Reduction, instead: float) -> Any:
    found = _without_nan(reduction, instead)(x, axis, keepdims=keepdims)
    return lnp.where(_all_nan(x, axis, keepdims), math.nan, found) if kind_of(found.dtype) == "f" else found


def nanmax(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return _nan_extreme(x, axis, keepdims, max, -math.inf)


def nanmin(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return _nan_extreme(x, axis, keepdims, min, math.inf)


def _nan_position(x: Any, axis: Any, keepdims: bool, reduction: Reduction, instead: float) -> Any:
    """-1 where there are but NaNs."""
    found = _without_nan(reduction, instead)(x, axis, keepdims=keepdims)
    return lnp.where(_all_nan(x, axis, keepdims), lnp.full_like(found, -1), found)


def nanargmax(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return _nan_position(x, axis, keepdims, argmax, -math.inf)


def nanargmin(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return _nan_position(x, axis, keepdims, argmin, math.inf)


def nanmean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    x = as_float(x)
    count = lnp.sum(lnp.logical_not(lnp.isnan(x)), axes_of(axis), dtype=x.dtype, keepdims=keepdims)
    return lnp.divide(nansum(x, axis, keepdims), count)


def nanvar(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    x = as_float(x)
    return nanmean(lnp.square(lnp.subtract(x, nanmean(x, axis, True))), axis, keepdims)


def nanstd(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return lnp.sqrt(nanvar(x, axis, keepdims))


def bincount(x: Any, weights: Any = None, minlength: int = 0, sparse: bool = False) -> Any:
    """How often each number occurs along the last axis, or the sum of its weights; as many numbers as there are in x, so x must be
    known."""
    if sparse:
        raise ValueError("sparse=True is not supported by the leptonc backend")
    x = lnp.astype(known(x, "bincount"), "int32")
    values = lnp.ones_like(x) if weights is None else convert_to_tensor(weights)
    length = builtins.max(int(np.max(x, initial=-1)) + 1, minlength)
    rows = np.arange(int(np.prod(x.shape[:-1]))).reshape(*x.shape[:-1], 1)
    flat = lax.scatter_add(lnp.zeros(rows.size * length, values.dtype), lnp.ravel(x + rows * length), lnp.ravel(values))
    return lnp.reshape(flat, (*x.shape[:-1], length))


def _quantiles(of_rows: Callable[..., Any]) -> Callable[..., Any]:
    """A function of q in the dtype of x, or the default float's."""
    def function(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
        values = as_float(x)
        places = lnp.astype(convert_to_tensor(q), "float64")
        return lnp.astype(of_rows(values, places, axes_of(axis), method=method, keepdims=keepdims), values.dtype)

    function.__name__ = of_rows.__name__
    return function


quantile, percentile = _quantiles(lnp.quantile), _quantiles(lnp.percentile)
nanquantile, nanpercentile = _quantiles(lnp.nanquantile), _quantiles(lnp.nanpercentile)


def median(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return lnp.median(as_float(x), axes_of(axis), keepdims=keepdims)


def nanmedian(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return lnp.nanmedian(as_float(x), axes_of(axis), keepdims=keepdims)


__all__ = [
    "all", "amax", "amin", "any", "argmax", "argmin", "average", "bincount", "count_nonzero", "cumprod", "cumsum", "max",
    "mean", "median", "min", "nanargmax", "nanargmin", "nancumprod", "nancumsum", "nanmax", "nanmean", "nanmedian", "nanmin",
    "nanpercentile", "nanprod", "nanquantile", "nanstd", "nansum", "nanvar", "percentile", "prod", "ptp", "quantile", "std",
    "sum", "var",
]
