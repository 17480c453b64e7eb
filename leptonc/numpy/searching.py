"""Places in sorted rows, and how many elements fall between them."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.arguments import array, choice, extent, flag, integer, items
from leptonc.bfloat16 import kind_of
from leptonc.eager import plain
from leptonc.errors import ArgumentError, DtypeError, ShapeError, TracerError, op_error
from leptonc.numpy.elementwise import as_float, clip, isnan, where
from leptonc.numpy.manipulation import flip
from leptonc.numpy.positions import steps
from leptonc.numpy.reductions import max as max_over
from leptonc.numpy.reductions import min as min_over
from leptonc.numpy.reductions import sum as sum_over
from leptonc.numpy.sorting import side as side_of
from leptonc.trace import Tracer, as_seen, bind, cast, known, promote


def _ravel(x: Any) -> Any:
    return bind("reshape", x, shape=(int(np.prod(x.shape, dtype=np.int64)),))


METHODS = ("default", "scan", "scan_unrolled", "sort", "compare_all")
"""JAX's ways to search, which give the same places; here all are found by bisection."""


def searchsorted(x: Any, v: Any, side: str = "left", sorter: Any = None, *, method: str = "scan") -> Any:
    """How many elements of the sorted row x are less than each of v (``side="right"``: no greater), as i64: by bisection.

    ``sorter`` holds the places that sort x. Of an x that is not sorted the results mean nothing. NaN is greater than all else.
    ``method``, any of JAX's, changes nothing.
    """
    choice("searchsorted", "method", method, METHODS)
    row, values = promote(array("searchsorted", "x", x), array("searchsorted", "v", v))
    if len(row.shape) != 1:
        raise op_error("searchsorted", "x must be one sorted row", {"x": row, "v": values}, kind=ShapeError)
    if sorter is not None:
        order = array("searchsorted", "sorter", sorter)
        if order.shape != row.shape or order.dtype.kind not in "iu":
            raise op_error("searchsorted", "sorter must have the place (an int) of each element", {"x": row, "sorter": order},
                           kind=ShapeError)
        row = bind("take", row, cast(order, np.int64), axis=0)
    return _bisected(row, values, side_of("searchsorted", side))


def _bisected(row: Any, values: Any, right: bool) -> Any:
    """Steps of halving length, all values at once: no branch depends on the data."""
    n = row.shape[0]
    places = bind("broadcast", np.zeros((), np.int64), shape=values.shape, dims=())
    if not n:
        return places
    step = 1 << (n.bit_length() - 1)
    while step:
        probe = places + step
        at = bind("take", row, clip(probe - 1, 0, n - 1), axis=0)
        passed = ~_is_less(values, at) if right else _is_less(at, values)
        places = where(passed & (probe <= n), probe, places)
        step //= 2
    return places


def _is_less(x: Any, y: Any) -> Any:
    return (x < y) | (isnan(y) & ~isnan(x)) if kind_of(x.dtype) == "f" else x < y if x.dtype.kind != "b" else ~x & y


def digitize(x: Any, bins: Any, right: bool = False, *, method: str | None = None) -> Any:
    """The number (i64) of the bin that each element falls into: ``bins[i - 1] <= x < bins[i]``, with ``right`` less and
    less or equal swapped.

    ``bins`` rise or fall, and NaN is greater than all else. Raises ShapeError if they are no row.
    """
    if method is not None:
        choice("digitize", "method", method, METHODS)
    values, edges = array("digitize", "x", x), array("digitize", "bins", bins)
    if len(edges.shape) != 1:
        raise op_error("digitize", "bins must be one row", {"x": values, "bins": edges}, kind=ShapeError)
    n = edges.shape[0]
    side = "left" if flag("digitize", "right", right) else "right"
    if not n:
        return searchsorted(edges, values)
    rising = searchsorted(edges, values, side)
    falls = _is_less(edges[-1], edges[0])
    if not isinstance(edges, Tracer):
        return n - searchsorted(flip(edges), values, side) if falls else rising
    return where(falls, n - searchsorted(flip(edges), values, side), rising)


# Counts


def bincount(x: Any, weights: Any = None, minlength: int = 0, *, length: int | None = None) -> Any:
    """How often each of 0, 1, 2 ... stands in x (i64), or the sums of its weights.

    There are ``length`` numbers; in traced code that must be given. What is beyond is dropped, negative ones count as 0; without a
    length they are errors, as in NumPy. Weights that are ints count as f64.
    """
    found = array("bincount", "x", x)
    if kind_of(found.dtype) not in "iub" or len(found.shape) != 1:
        raise op_error("bincount", "x must be one row of ints", {"x": found}, kind=DtypeError)
    least = extent("bincount", "minlength", minlength)
    given = None if weights is None else as_float(array("bincount", "weights", weights))
    if given is not None and given.shape != found.shape:
        raise op_error("bincount", "there must be as many weights as elements", {"x": found, "weights": given}, kind=ShapeError)
    size = _known_length(found, least) if length is None else max(extent("bincount", "length", length), least)
    return _counted(clip(cast(found, np.int64), 0, None), given, size)


def _known_length(x: Any, least: int) -> int:
    if isinstance(x, Tracer):
        raise op_error("bincount", "how many numbers there are depends on x, which is traced", {"x": x}, "pass length=",
                       TracerError)
    if x.size and x.min() < 0:
        raise op_error("bincount", "x must not be negative", {"x": x}, kind=ArgumentError)
    return max(int(x.max()) + 1 if x.size else 0, least)


def _counted(places: Any, weights: Any, size: int) -> Any:
    """Sums of weights, or of ones, by their places; what is out of range is dropped."""
    values = bind("broadcast", np.ones((), np.int64), shape=places.shape, dims=()) if weights is None else weights
    return bind("scatter_add", np.zeros(size, values.dtype), places, values, axis=0)


def histogram_bin_edges(x: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    """The ends of bins: ``bins`` as they are, or so many of equal width in ``range``, by default from the least to the greatest
    element; widened by 1/2 on either side if that is nothing. A word for one of NumPy's rules takes known elements alone."""
    values = array("histogram_bin_edges", "x", x)
    if values.dtype.kind == "c":
        raise op_error("histogram_bin_edges", "there are no bins of complex numbers", {"x": values}, "bin x.real, or abs(x)",
                       DtypeError)
    if isinstance(bins, str):
        if isinstance(values, Tracer):
            raise op_error("histogram_bin_edges", f"how many bins {bins!r} makes depends on x, which is traced", {"x": values},
                           "pass their number", TracerError)
        return _numpys_edges(values, bins, range, weights)
    given = array("histogram_bin_edges", "bins", bins)
    if given.shape:
        if len(given.shape) != 1:
            raise op_error("histogram_bin_edges", "bins must be a number or a row of ends", {"bins": given}, kind=ShapeError)
        return as_seen(given)
    count = integer("histogram_bin_edges", "bins", bins, least=1)
    low, high = _range(values, range)
    if range is not None and not isinstance(low, Tracer) and not isinstance(high, Tracer) and low < high:
        return known(np.linspace(float(range[0]), float(range[1]), count + 1).astype(low.dtype))
    same = low == high
    low, high = where(same, low - 0.5, low), where(same, high + 0.5, high)
    edges = steps(low, (high - low) / count, count + 1)  # as np.linspace, in the elements' dtype
    return where(np.arange(count + 1) == count, high, edges)


def _numpys_edges(x: Any, rule: str, range: Any, weights: Any) -> Any:
    try:
        return known(np.histogram_bin_edges(plain(x), rule, range, weights), (x,))
    except (TypeError, ValueError) as error:
        raise op_error("histogram_bin_edges", str(error), {"x": x}, kind=ArgumentError) from None


def _range(x: Any, given: Any) -> tuple[Any, Any]:
    if given is not None:
        if len(items(given)) != 2:
            raise op_error("histogram", f"range={given!r:.60} must be (low, high)", {"x": x}, kind=ArgumentError)
        low, high = (as_float(array("histogram", "range", end)) for end in given)
        return (cast(low, x.dtype), cast(high, x.dtype)) if kind_of(x.dtype) == "f" else (low, high)
    if not np.prod(x.shape, dtype=np.int64):
        dtype = x.dtype if kind_of(x.dtype) == "f" else np.float64
        return np.zeros((), dtype), np.ones((), dtype)
    return as_float(min_over(x)), as_float(max_over(x))


def histogram(x: Any, bins: Any = 10, range: Any = None, weights: Any = None, density: bool | None = None) -> tuple[Any, Any]:
    """(how many elements fall into each bin, the bins' ends): the last bin has both ends. Counts are i64, sums of weights floats;
    with ``density`` they are f64, and integrate to 1."""
    values = _ravel(array("histogram", "x", x))
    edges = histogram_bin_edges(values, bins, range, weights)
    count = edges.shape[0] - 1
    if count < 1:
        raise op_error("histogram", "there must be two ends or more", {"bins": edges}, kind=ShapeError)
    given = None if weights is None else _ravel(as_float(array("histogram", "weights", weights)))
    if given is not None and given.shape != values.shape:
        raise op_error("histogram", "there must be as many weights as elements", {"x": values, "weights": given}, kind=ShapeError)
    row, elements = promote(edges, values)
    places = searchsorted(row, elements, "right") - 1
    places = where(elements == row[-1], count - 1, places)
    places = where((places < 0) | (isnan(elements) if kind_of(elements.dtype) == "f" else False), count, places)
    counts = _counted(places, given, count)
    if density is None or not flag("histogram", "density", density):
        return counts, edges
    sums = cast(counts, np.float64)
    return sums / (cast(edges[1:] - edges[:-1], np.float64) * sum_over(sums)), edges


__all__ = ["bincount", "digitize", "histogram", "histogram_bin_edges", "searchsorted"]
