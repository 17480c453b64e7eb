"""Quantiles of sorted rows, by NumPy's thirteen methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from leptonc.arguments import array, choice, flag, no_out
from leptonc.arguments import axes as axes_of
from leptonc.bfloat16 import kind_of
from leptonc.errors import ArgumentError, DtypeError, RangeError, ShapeError, op_error
from leptonc.ir.types import dtype_of
from leptonc.numpy.elementwise import as_float, ceil, clip, floor, isinf, isnan, rint, where
from leptonc.numpy.manipulation import expand_dims, moveaxis, reshape
from leptonc.numpy.reductions import any as any_of
from leptonc.numpy.reductions import cumsum
from leptonc.numpy.reductions import sum as sum_over
from leptonc.numpy.sorting import along_axis, sort_rows
from leptonc.trace import Tracer, bind, broadcast, cast, promote, result_dtype

CONTINUOUS = {
    "linear": (1.0, 1.0), "interpolated_inverted_cdf": (0.0, 1.0), "hazen": (0.5, 0.5), "weibull": (0.0, 0.0),
    "median_unbiased": (1 / 3, 1 / 3), "normal_unbiased": (3 / 8, 3 / 8),
}
"""alpha and beta of Hyndman and Fan (1996): of n elements, q is at n * q + alpha + q * (1 - alpha - beta) - 1."""


def _steps(place: Any, up: Any) -> Any:
    """The whole place below, or the one above where ``up``."""
    return where(up, floor(place) + 1, floor(place))


def _between(alpha: float, beta: float) -> Callable[[Any, Any], Any]:
    return lambda n, q: n * q + (alpha + q * (1 - alpha - beta)) - 1


PLACES: dict[str, Callable[[Any, Any], Any]] = {
    "lower": lambda n, q: floor((n - 1) * q),
    "higher": lambda n, q: ceil((n - 1) * q),
    "nearest": lambda n, q: rint((n - 1) * q),
    "midpoint": lambda n, q: 0.5 * (floor((n - 1) * q) + ceil((n - 1) * q)),
    "inverted_cdf": lambda n, q: ceil(n * q) - 1,
    "averaged_inverted_cdf": lambda n, q: where(n * q == floor(n * q), n * q - 0.5, ceil(n * q) - 1),
    "closest_observation": lambda n, q: _steps(n * q - 1.5, ((n * q - 1.5) != floor(n * q - 1.5)) | (floor(n * q - 1.5) % 2 == 0)),
    **{name: _between(*ends) for name, ends in CONTINUOUS.items()},
}
"""Where among n sorted elements, counted from 0, each method has the quantile q."""


def median(x: Any, axis: Any = None, out: None = None, overwrite_input: bool = False, keepdims: bool = False) -> Any:
    """The middle element over ``axis``, the mean of the two middle ones of an even number; NaN where there is a NaN, or nothing.
    Ints count as f64."""
    _keeps("median", out, overwrite_input)
    return _quantile("median", x, 0.5, axis, "linear", keepdims, False)


def nanmedian(x: Any, axis: Any = None, out: None = None, overwrite_input: bool = False, keepdims: bool = False) -> Any:
    """The median of what is not NaN."""
    _keeps("nanmedian", out, overwrite_input)
    return _quantile("nanmedian", x, 0.5, axis, "linear", keepdims, True)


def quantile(x: Any, q: Any, axis: Any = None, out: None = None, overwrite_input: bool = False, method: str = "linear",
             keepdims: bool = False, *, weights: Any = None) -> Any:
    """Quantiles over ``axis`` at ``q`` in [0, 1], whose axes come first; ``method`` is any of NumPy's. How much each element counts
    may be said by ``weights``, of x's shape or of that of the axes, with the method "inverted_cdf" alone.

    In the dtype of x, of ints in f64; an array q of wider floats makes it wider. NaN where there is a NaN, or nothing.
    """
    _keeps("quantile", out, overwrite_input)
    return _quantile("quantile", x, q, axis, method, keepdims, False, weights)


def nanquantile(x: Any, q: Any, axis: Any = None, out: None = None, overwrite_input: bool = False, method: str = "linear",
                keepdims: bool = False, *, weights: Any = None) -> Any:
    """Quantiles of what is not NaN."""
    _keeps("nanquantile", out, overwrite_input)
    return _quantile("nanquantile", x, q, axis, method, keepdims, True, weights)


def percentile(x: Any, q: Any, axis: Any = None, out: None = None, overwrite_input: bool = False, method: str = "linear",
               keepdims: bool = False, *, weights: Any = None) -> Any:
    """Quantiles at ``q`` in [0, 100]."""
    _keeps("percentile", out, overwrite_input)
    return _quantile("percentile", x, _of_hundred("percentile", q), axis, method, keepdims, False, weights)


def nanpercentile(x: Any, q: Any, axis: Any = None, out: None = None, overwrite_input: bool = False, method: str = "linear",
                  keepdims: bool = False, *, weights: Any = None) -> Any:
    """Percentiles of what is not NaN."""
    _keeps("nanpercentile", out, overwrite_input)
    return _quantile("nanpercentile", x, _of_hundred("nanpercentile", q), axis, method, keepdims, True, weights)


def _keeps(name: str, out: Any, overwrite_input: Any) -> None:
    """Raises ArgumentError for what would change an array."""
    no_out(name, out)
    if flag(name, "overwrite_input", overwrite_input):
        raise op_error(name, "overwrites no array", {}, "leave overwrite_input out", ArgumentError)


def _of_hundred(name: str, q: Any) -> Any:
    if isinstance(q, int | float):
        return q / 100
    given = array(name, "q", q)
    plain = isinstance(q, Tracer | np.ndarray) or given.dtype.kind == "c"  # of which quantile says that it is wrong
    return as_float(given) / 100 if plain else (np.asarray(q, np.float64) / 100).tolist()  # which leaves x's dtype, as q does


def _quantile(name: str, x: Any, q: Any, axis: Any, method: str, keepdims: bool, skip: bool, weights: Any = None) -> Any:
    operand = as_float(array(name, "x", x))
    choice(name, "method", method, PLACES)
    places = array(name, "q", q)
    is_number = kind_of(places.dtype) in "biuf"
    if not is_number or (not isinstance(places, Tracer) and not _within(places)):
        raise op_error(name, "q must be numbers within [0, 1]" + " of 100" * ("percent" in name), {"q": places},
                       kind=RangeError if is_number else DtypeError)
    dtype = operand.dtype
    if isinstance(q, Tracer | np.ndarray) and q.shape and kind_of(places.dtype) == "f":
        dtype = result_dtype((operand, places))
    axes = axes_of(name, operand, axis)
    rows, kept = _rows(cast(operand, np.float32) if dtype_of(operand.dtype).is_narrow else operand, axes)
    wanted = reshape(cast(places, np.float64), (-1,))
    if weights is None:
        found = _of_rows(rows, wanted, method, skip)
    else:
        found = _of_weighted_rows(rows, wanted, _rows(_weights(name, operand, weights, axes, method), axes)[0], skip)
    found = reshape(moveaxis(found, -1, 0), (*places.shape, *kept))
    if flag(name, "keepdims", keepdims):
        found = reshape(found, (*places.shape, *(1 if d in axes else n for d, n in enumerate(operand.shape))))
    return cast(found, dtype)


def _within(q: np.ndarray) -> bool:
    return bool(((q >= 0) & (q <= 1)).all())


def _rows(x: Any, axes: tuple[int, ...]) -> tuple[Any, tuple[int, ...]]:
    """x with the axes folded made one, the last; and the extents of the others."""
    kept = [d for d in range(len(x.shape)) if d not in axes]
    moved = bind("transpose", x, perm=(*kept, *sorted(axes)))
    extents = tuple(x.shape[d] for d in kept)
    return bind("reshape", moved, shape=(*extents, int(np.prod([x.shape[d] for d in axes], dtype=np.int64)))), extents


def _of_rows(x: Any, q: Any, method: str, skip: bool) -> Any:
    """[..., quantiles] of the rows of x [..., n]."""
    n = x.shape[-1]
    if not n:
        return np.full((*x.shape[:-1], q.shape[0]), np.nan, x.dtype)
    (ordered,) = sort_rows([x], len(x.shape) - 1)
    count = cast(sum_over(cast(~isnan(x), np.int64), -1, keepdims=True), np.float64) if skip else np.float64(n)
    place = clip(PLACES[method](count, q), 0, None)
    place = bind("min", *promote(place, broadcast(count - 1, place.shape) if skip else np.full(place.shape, n - 1.0)))
    below = clip(floor(place), 0, None)
    part, low = place - below, cast(below, np.int64)
    high = clip(cast(ceil(place), np.int64), 0, n - 1)
    a, b = (_taken(ordered, index) for index in (low, high))
    part = cast(part, x.dtype)
    alone = (part == 0) | ((a == b) & isinf(a))  # infinities have no difference
    gap = where(alone, np.zeros((), x.dtype), b) - where(alone, np.zeros((), x.dtype), a)
    near = where(part < 0.5, a + gap * part, b - gap * (1 - part))
    found = where(alone, a, where(isinf(gap), a * (1 - part) + b * part, near))  # of an infinity beside a number it is that
    none = count == 0 if skip else isnan(ordered[..., -1:])
    return where(none, np.asarray(np.nan, x.dtype), found)


def _weights(name: str, x: Any, weights: Any, axes: tuple[int, ...], method: str) -> Any:
    """In x's shape: of that shape, or of that of the axes."""
    given = as_float(array(name, "weights", weights))
    if method != "inverted_cdf":
        raise op_error(name, f"method {method!r} takes no weights", {"x": x, "weights": given}, 'method="inverted_cdf"',
                       ArgumentError)
    if kind_of(given.dtype) != "f":
        raise op_error(name, "weights must be real", {"x": x, "weights": given}, kind=DtypeError)
    if given.shape == x.shape:
        return given
    if given.shape != tuple(x.shape[d] for d in axes):
        raise op_error(name, "weights must have the shape of x, or that of the axes", {"x": x, "weights": given}, kind=ShapeError)
    turned = bind("transpose", given, perm=tuple(int(d) for d in np.argsort(axes)))
    return broadcast(reshape(turned, tuple(n if d in axes else 1 for d, n in enumerate(x.shape))), x.shape)


def _of_weighted_rows(x: Any, q: Any, weights: Any, skip: bool) -> Any:
    """[..., quantiles]: of each row of x [..., n] the first element up to which the weights make q of all. NaN for a weight that is
    negative or NaN, of no element and, unless they are left out, of NaNs."""
    n = x.shape[-1]
    if not n:
        return np.full((*x.shape[:-1], q.shape[0]), np.nan, x.dtype)
    wrong = any_of(isnan(weights) | (weights < 0), -1, keepdims=True)
    counted = where(isnan(x), np.zeros((), weights.dtype), weights)
    ordered, heavy = sort_rows([x, counted], len(x.shape) - 1, keys=1)
    total = cumsum(cast(heavy, np.float64), -1)
    below = expand_dims(total, -2) < expand_dims(q, 1) * expand_dims(total[..., -1:], -1)
    last = sum_over(cast(~isnan(x), np.int64), -1, keepdims=True) - 1 if skip else np.full(1, n - 1)
    place = clip(sum_over(cast(below, np.int64), -1), 0, clip(last, 0, None))
    found = along_axis(ordered, place, len(x.shape) - 1)
    none = last < 0 if skip else isnan(ordered[..., -1:])
    return where(wrong | none, np.asarray(np.nan, x.dtype), found)


def _taken(ordered: Any, index: Any) -> Any:
    """Elements of every row at the same places [q], or at its own [..., q]."""
    if len(index.shape) == 1:
        return bind("take", ordered, index, axis=len(ordered.shape) - 1)
    return along_axis(ordered, index, len(ordered.shape) - 1)
