"""Grids of coordinates and window functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from leptonc.arguments import array, choice, flag, function, integer, number
from leptonc.arguments import shape as shape_of
from leptonc.errors import ArgumentError, ShapeError, op_error
from leptonc.numpy.creation import by_default
from leptonc.promotion import default_float, numpy_dtype
from leptonc.trace import Tracer, as_seen, bind, broadcast, known


def meshgrid(*xi: Any, indexing: str = "xy", sparse: bool = False, copy: bool = True) -> list[Any]:
    """Coordinates of a grid of vectors: one array for each, the first two axes exchanged for "xy"; extents of 1 if ``sparse``."""
    choice("meshgrid", "indexing", indexing, ("xy", "ij"))
    vectors = [array("meshgrid", f"x{n}", x) for n, x in enumerate(xi)]
    if any(len(v.shape) > 1 for v in vectors):
        raise op_error("meshgrid", "takes vectors", {f"x{n}": v for n, v in enumerate(vectors[:4])})
    rank = len(vectors)
    places = [1, 0, *range(2, rank)] if indexing == "xy" and rank > 1 else list(range(rank))
    sizes = [v.shape[0] if v.shape else 1 for v in vectors]
    shape = [0] * rank
    for place, n in zip(places, sizes):
        shape[place] = n
    out = [bind("reshape", v, shape=tuple(n if d == p else 1 for d in range(rank))) for v, p, n in zip(vectors, places, sizes)]
    return out if flag("meshgrid", "sparse", sparse) else [broadcast(v, tuple(shape)) for v in out]


def indices(dimensions: Any, dtype: Any = None, sparse: bool = False) -> Any:
    """The place along each axis, for every element of an array of these extents."""
    extents = shape_of("indices", dimensions)
    kind = numpy_dtype(np.int64 if dtype is None else dtype, "indices")
    found: Any = np.indices(extents, kind, flag("indices", "sparse", sparse))  # type: ignore[call-overload]
    return tuple(known(x) for x in found) if isinstance(found, tuple) else known(found)


def ix_(*args: Any) -> tuple[Any, ...]:
    """Vectors as an open grid, to index with: x[ix_(rows, columns)]. One of bools stands for the places where it is true, whose
    number must be known: inside ``jit``, a constant."""
    vectors = [as_seen(_places(array("ix_", f"x{n}", x))) for n, x in enumerate(args)]
    if any(len(v.shape) != 1 for v in vectors):
        raise op_error("ix_", "takes vectors", {f"x{n}": v for n, v in enumerate(vectors[:4])}, kind=ShapeError)
    rank = len(vectors)
    return tuple(bind("reshape", v, shape=tuple(v.shape[0] if d == n else 1 for d in range(rank))) for n, v in enumerate(vectors))


def _places(vector: Any) -> Any:
    if vector.dtype.kind != "b":
        return vector
    if isinstance(vector, Tracer):
        raise op_error("ix_", "how many elements of a traced vector of bools are true is not known", {"x": vector},
                       "leptonc.numpy.nonzero(x, size=...)[0]", ArgumentError)
    return known(np.flatnonzero(vector))


def fromfunction(f: Callable[..., Any], shape: Any, *, dtype: Any = None, **kwargs: Any) -> Any:
    """``f`` of the coordinates of every element at once."""
    extents = shape_of("fromfunction", shape)
    kind = numpy_dtype(default_float() if dtype is None else dtype, "fromfunction")
    return function("fromfunction", "function", f)(*(known(x) for x in np.indices(extents, kind)), **kwargs)


def _window(name: str, make: Callable[[int], np.ndarray], doc: str) -> Callable[[int], Any]:
    def window(M: int) -> Any:
        return by_default(make(*shape_of(name, integer(name, "M", M, least=0), what="M")))

    window.__name__ = window.__qualname__ = name
    window.__doc__ = doc
    return window


bartlett = _window("bartlett", np.bartlett, "A triangle of M points that ends in zeros.")
blackman = _window("blackman", np.blackman, "Blackman's window of M points, three terms of cosines.")
hamming = _window("hamming", np.hamming, "Hamming's window of M points, a raised cosine.")
hanning = _window("hanning", np.hanning, "Hann's window of M points, a raised cosine that ends in zeros.")


def kaiser(M: int, beta: float) -> Any:
    """Kaiser's window of M points, a Bessel function."""
    (count,) = shape_of("kaiser", integer("kaiser", "M", M, least=0), what="M")
    return by_default(np.kaiser(count, number("kaiser", "beta", beta)))
