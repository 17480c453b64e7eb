"""Elements replaced, in an array that is given back: bits packed, counts in bins of several axes, complex numbers in order."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from leptonc.arguments import array, choice, flag, integer, listed
from leptonc.arguments import axis as axis_of
from leptonc.arithmetic import bitwise_and, divide, equal, multiply, right_shift, subtract
from leptonc.bfloat16 import kind_of
from leptonc.errors import ArgumentError, DtypeError, ShapeError, op_error
from leptonc.numpy.arranging import ravel_multi_index
from leptonc.numpy.complexes import imag, real
from leptonc.numpy.differences import diff
from leptonc.numpy.elementwise import clip, where
from leptonc.numpy.manipulation import moveaxis, ravel, reshape, take
from leptonc.numpy.reductions import sum as total
from leptonc.numpy.searching import bincount, histogram_bin_edges, searchsorted
from leptonc.numpy.sorting import lexsort
from leptonc.public import publish
from leptonc.trace import bind, cast
from leptonc.updates import IndexedUpdate


def _copies(name: str, inplace: bool) -> None:
    if flag(name, "inplace", inplace):
        raise op_error(name, "changes no array in place", {}, f"x = leptonc.numpy.{name}(x, ..., inplace=False)", ArgumentError)


def put(a: Any, ind: Any, v: Any, mode: str | None = None, *, inplace: bool = True) -> Any:
    """``a`` with the elements at places ``ind`` of its row-major order set to ``v``, which is repeated. ``inplace`` must be False.

    ``mode`` "clip" (the default) or "wrap" says what places beyond are. Raises ArgumentError.
    """
    _copies("put", inplace)
    x, places, values = array("put", "a", a), ravel(array("put", "ind", ind)), ravel(array("put", "v", v))
    how = "clip" if mode is None else choice("put", "mode", mode, ("clip", "wrap"))
    if kind_of(places.dtype) not in "iu":
        raise op_error("put", "ind must be ints", {"ind": places}, kind=DtypeError)
    size = prod(x.shape)
    if not size or not places.shape[0] or not values.shape[0]:
        return x
    at = cast(places, np.int64)
    at = clip(where(at < 0, at + size, at), 0, size - 1) if how == "clip" else at % size
    given = take(values, np.arange(places.shape[0]) % values.shape[0])
    return reshape(IndexedUpdate(ravel(x))[at].set(cast(given, x.dtype)), x.shape)


def place(arr: Any, mask: Any, vals: Any, *, inplace: bool = True) -> Any:
    """``arr`` with the elements where ``mask`` holds set to ``vals`` in turn. ``inplace`` must be False."""
    _copies("place", inplace)
    x, test, values = array("place", "arr", arr), array("place", "mask", mask), ravel(array("place", "vals", vals))
    if prod(test.shape) != prod(x.shape) or (prod(x.shape) and not values.shape[0]):
        raise op_error("place", "mask must have as many elements as arr, and vals at least one", {"arr": x, "mask": test},
                       kind=ShapeError)
    if not prod(x.shape):
        return x
    chosen = ravel(cast(test, np.bool_))
    turn = subtract(bind("cumsum", cast(chosen, np.int64), axis=0, reverse=False), 1)
    found = where(chosen, take(cast(values, x.dtype), where(chosen, turn, 0) % values.shape[0]), ravel(x))
    return reshape(found, x.shape)


def packbits(a: Any, axis: int | None = None, bitorder: str = "big") -> Any:
    """u8: bits, what is not 0, along an axis (None: of all) eight by eight, the first highest, or lowest for "little"."""
    x, order = array("packbits", "a", a), choice("packbits", "bitorder", bitorder, ("big", "little"))
    if kind_of(x.dtype) not in "biu":
        raise op_error("packbits", "takes bools and ints", {"a": x}, kind=DtypeError)
    x, at = (ravel(x), 0) if axis is None else (x, axis_of("packbits", x, axis))
    bits = moveaxis(cast(x != 0, np.uint8), at, -1)
    count = -(-bits.shape[-1] // 8)
    none = (0,) * len(bits.shape)
    whole = bind("pad", bits, low=none, high=(*none[1:], count * 8 - bits.shape[-1]), interior=none, value=0)
    weights = np.array([1 << n for n in range(8)], np.uint8)[::-1 if order == "big" else 1]
    return moveaxis(total(multiply(reshape(whole, (*bits.shape[:-1], count, 8)), weights), -1, dtype=np.uint8), -1, at)


def unpackbits(a: Any, axis: int | None = None, count: int | None = None, bitorder: str = "big") -> Any:
    """u8: the bits of u8 along an axis (None: of all), ``count`` of them: fewer, or with zeros behind; negative: less so many."""
    x, order = array("unpackbits", "a", a), choice("unpackbits", "bitorder", bitorder, ("big", "little"))
    if x.dtype != np.uint8:
        raise op_error("unpackbits", "takes u8", {"a": x}, kind=DtypeError)
    x, at = (ravel(x), 0) if axis is None else (x, axis_of("unpackbits", x, axis))
    front = moveaxis(x, at, -1)
    shifts = np.arange(8, dtype=np.uint8)[::-1 if order == "big" else 1]
    bits = bitwise_and(right_shift(reshape(front, (*front.shape, 1)), shifts), np.uint8(1))
    bits = reshape(bits, (*front.shape[:-1], front.shape[-1] * 8))
    length = bits.shape[-1]
    if count is not None:
        wanted = integer("unpackbits", "count", count)
        wanted = max(length + wanted, 0) if wanted < 0 else wanted
        none = (0,) * len(bits.shape)
        bits = bind("pad", bits, low=none, high=(*none[1:], wanted - length), interior=none, value=0)
    return moveaxis(bits, -1, at)


def sort_complex(a: Any) -> Any:
    """Complex numbers along the last axis in order of their real parts, those of imaginary parts; reals become complex."""
    x = array("sort_complex", "a", a)
    wide = cast(x, np.result_type(x.dtype, np.complex64))
    if not wide.shape:
        raise op_error("sort_complex", "a needs an axis", {"a": wide}, kind=ShapeError)
    order = lexsort((imag(wide), real(wide)), -1)
    from_ = [np.arange(n).reshape(-1, *(1,) * (len(wide.shape) - 1 - d)) for d, n in enumerate(wide.shape[:-1])]
    return wide[(*from_, order)]


def _points(name: str, sample: Any) -> Any:
    """[n, d], of an array that is so, or of a list of d vectors."""
    points = array(name, "sample", sample)
    if len(points.shape) != 2:
        raise op_error(name, "sample must be [n, d]", {"sample": points}, kind=ShapeError)
    return moveaxis(points, 0, 1) if isinstance(sample, list | tuple) else points


def histogramdd(sample: Any, bins: Any = 10, range: Any = None, weights: Any = None, density: Any = None) -> tuple[Any, list[Any]]:
    """(counts, ends of bins): of points [n, d], or of a list of d vectors, in bins of d axes, each so many, or given by their ends.
    ``density``: shares over the bins' sizes. Raises ShapeError or ArgumentError."""
    name = "histogramdd"
    points = _points(name, sample)
    rank = points.shape[1]
    each = [bins] * rank if not isinstance(bins, list | tuple) else listed(name, "bins", bins)
    ranges = [None] * rank if range is None else listed(name, "range", range)
    if len(each) != rank or len(ranges) != rank:
        raise op_error(name, f"bins and range must have an entry for each of {rank} axes", {"sample": points}, kind=ShapeError)
    edges = [histogram_bin_edges(points[:, d], b, r) for d, (b, r) in enumerate(zip(each, ranges))]
    places = [_bin(points[:, d], e) for d, e in enumerate(edges)]
    shape = tuple(e.shape[0] + 1 for e in edges)
    counts = bincount(ravel_multi_index(places, shape, mode="clip"), weights, length=prod(shape))
    found = reshape(counts, shape)[(slice(1, -1),) * rank]
    found = cast(found, np.float64) if found.dtype.kind in "iu" else found
    if density:
        found = divide(found, total(found))
        for d, e in enumerate(edges):
            found = divide(found, reshape(diff(e), tuple(-1 if n == d else 1 for n in _range(rank))))
    return found, edges


_range = range


def _bin(x: Any, edges: Any) -> Any:
    """The bin of each element: 0 below all, and the last end belongs to the last bin."""
    found = searchsorted(edges, x, side="right")
    return where(equal(x, edges[-1]), found - 1, found)


def histogram2d(x: Any, y: Any, bins: Any = 10, range: Any = None, weights: Any = None,
                density: Any = None) -> tuple[Any, Any, Any]:
    """(counts, ends along x, ends along y) of points in bins; ``bins`` is one number or row of ends for both axes, or a pair."""
    first, second = (array("histogram2d", what, v) for what, v in (("x", x), ("y", y)))
    if len(first.shape) != 1 or tuple(first.shape) != tuple(second.shape):
        raise op_error("histogram2d", "x and y must be rows of one length", {"x": first, "y": second}, kind=ShapeError)
    pair = bins if isinstance(bins, list | tuple) and len(bins) == 2 else [bins, bins]
    points = bind("concatenate", *(reshape(cast(v, np.result_type(first.dtype, second.dtype)), (-1, 1)) for v in (first, second)),
                  axis=1)
    counts, edges = histogramdd(points, list(pair), range, weights, density)
    return counts, edges[0], edges[1]


__all__ = ["histogram2d", "histogramdd", "packbits", "place", "put", "sort_complex", "unpackbits"]

publish(globals(), __all__)
