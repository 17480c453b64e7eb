"""Matrices that a few numbers make, in SciPy's spelling: of vectors [..., n], whose leading axes stay, and of known sizes.

Those of vectors are gathers, of which there are gradients; those of sizes are constants in the default float dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from math import comb
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import array, choice, flag, integer, shape
from leptonc.errors import ArgumentError, ShapeError, op_error
from leptonc.numpy.linalg.operands import same_stack
from leptonc.promotion import default_complex, default_float, numpy_dtype
from leptonc.trace import known

_TRIANGLES = ("symmetric", "lower", "upper")


def _vector(name: str, what: str, x: Any, least: int = 1) -> Any:
    found = lnp.atleast_1d(array(name, what, x))
    if found.shape[-1] < least:
        raise op_error(name, f"{what} must have {least} elements or more along its last axis", {what: found}, kind=ShapeError)
    return found


def _joined(name: str, first: Any, second: Any) -> Any:
    """Two vectors, or stacks of them, one behind the other."""
    a, b = same_stack(name, first[..., None, :], second[..., None, :])
    return lnp.concatenate([a[..., 0, :], b[..., 0, :]], axis=-1)


def toeplitz(c: Any, r: Any = None) -> Any:
    """[..., m, n]: matrices that are constant along diagonals, of their first columns c [..., m] and first rows r [..., n], whose
    first element is not read; without r they are conj(c). Leading axes broadcast. Raises ShapeError."""
    column = lnp.atleast_1d(array("toeplitz", "c", c))
    row = lnp.conj(column) if r is None else lnp.atleast_1d(array("toeplitz", "r", r))
    m, n = column.shape[-1], row.shape[-1]
    both = _joined("toeplitz", column[..., ::-1], row[..., 1:])
    return lnp.take(both, np.arange(m)[::-1, None] + np.arange(n), axis=-1)


def hankel(c: Any, r: Any = None) -> Any:
    """[..., m, n]: matrices that are constant along the other diagonals, of their first columns c [..., m] and last rows r
    [..., n], whose first element is not read; without r they are zeros. Raises ShapeError."""
    column = lnp.atleast_1d(array("hankel", "c", c))
    row = lnp.zeros_like(column) if r is None else lnp.atleast_1d(array("hankel", "r", r))
    m, n = column.shape[-1], row.shape[-1]
    return lnp.take(_joined("hankel", column, row[..., 1:]), np.arange(m)[:, None] + np.arange(n), axis=-1)


def circulant(c: Any) -> Any:
    """[..., n, n]: the columns are c [..., n], each turned by one place more. Raises ShapeError."""
    column = _vector("circulant", "c", c)
    n = column.shape[-1]
    return lnp.take(column, (np.arange(n)[:, None] - np.arange(n)) % n, axis=-1)


def companion(a: Any) -> Any:
    """[..., n, n]: the matrices whose characteristic polynomials have the coefficients a [..., n + 1], of which the first is not 0:
    -a[1:] / a[0] above ones below the diagonal. Raises ShapeError for fewer than two."""
    x = _vector("companion", "a", a, 2)
    row = -x[..., 1:] / x[..., :1]
    n = row.shape[-1]
    below = np.broadcast_to(np.eye(n - 1, n, dtype=row.dtype), (*row.shape[:-1], n - 1, n))
    return lnp.concatenate([row[..., None, :], below], axis=-2)


def convolution_matrix(a: Any, n: int, mode: str = "full") -> Any:
    """The matrix whose product with a vector of n elements is its convolution with the vector a, all of it ("full"), its middle as
    long as the longer one ("same"), or what needs no padding ("valid"). Raises ShapeError or ArgumentError."""
    x, count = _vector("convolution_matrix", "a", a), integer("convolution_matrix", "n", n, least=1)
    choice("convolution_matrix", "mode", mode, ("full", "same", "valid"))
    if len(x.shape) != 1:
        raise op_error("convolution_matrix", "takes a vector", {"a": x}, kind=ShapeError)
    m = x.shape[0]
    less = {"full": 0, "same": min(m, count) - 1, "valid": 2 * (min(m, count) - 1)}[mode]
    rows = np.arange(m + count - 1)[less // 2:m + count - 1 - (less - less // 2)]
    place = rows[:, None] - np.arange(count)
    inside = (place >= 0) & (place < m)
    return lnp.where(inside, lnp.take(x, np.clip(place, 0, m - 1), axis=0), lnp.zeros((), x.dtype))


def fiedler(a: Any) -> Any:
    """[..., n, n]: |a[i] - a[j]| of a [..., n]. Raises ShapeError."""
    x = _vector("fiedler", "a", a)
    return lnp.abs(x[..., :, None] - x[..., None, :])


def fiedler_companion(a: Any) -> Any:
    """[..., n, n]: companion matrices with five diagonals, of the coefficients a [..., n + 1] (Fiedler 2003). Raises ShapeError for
    fewer than two."""
    x = _vector("fiedler_companion", "a", a, 2)
    scaled = x / x[..., :1]
    n = scaled.shape[-1] - 1
    number, ones = np.zeros((n, n), np.int64), np.zeros((n, n), bool)
    for k in range(1, n + 1):  # each coefficient but the first beside the diagonal, by turns above and below
        number[(0, 0) if k == 1 else (k - 2, k - 1) if k % 2 == 0 else (k - 1, k - 2)] = k
    for i in range(n):  # two places off it, or one in the first column
        j = i + 2 if i % 2 == 0 else max(i - 2, 0)
        if j < n:
            ones[i, j] = True
    taken = lnp.where(number > 0, -lnp.take(scaled, number, axis=-1), lnp.zeros((), scaled.dtype))
    return lnp.where(ones, lnp.ones((), scaled.dtype), taken)


def leslie(f: Any, s: Any) -> Any:
    """[..., n, n] of a population's fecundities f [..., n], the first row, and survivals s [..., n - 1], below the diagonal. Raises
    ShapeError."""
    first, below = _vector("leslie", "f", f, 2), _vector("leslie", "s", s)
    n = first.shape[-1]
    if below.shape[-1] != n - 1:
        raise op_error("leslie", "s must have one element less than f", {"f": first, "s": below}, kind=ShapeError)
    rows = lnp.where(np.eye(n - 1, n, dtype=bool), lnp.pad(below, [(0, 0)] * (len(below.shape) - 1) + [(0, 1)])[..., None, :],
                     lnp.zeros((), below.dtype))
    top, rest = same_stack("leslie", first[..., None, :], rows)
    return lnp.concatenate([top, rest], axis=-2)


# Of sizes


def _size(name: str, n: Any, least: int = 1) -> int:
    count = integer(name, "n", n, least=least)
    shape(name, (count, count))
    return count


def _constant(values: Any) -> np.ndarray:
    """Exact numbers, which may be too long for any dtype, as floats."""
    return known(np.asarray(values, np.float64).astype(default_float()))


def dft(n: int, scale: str | None = None, *, dtype: Any = None) -> np.ndarray:
    """[n, n]: exp(-2 pi i j k / n), whose product with a vector is its Fourier transform, over sqrt(n) ("sqrtn") or n ("n").
    Raises ArgumentError."""
    count = _size("dft", n)
    if scale is not None:
        choice("dft", "scale", scale, ("sqrtn", "n"))
    turns = np.outer(np.arange(count), np.arange(count)) % count
    roots = np.exp(-2j * np.pi * turns / count) / {None: 1, "sqrtn": count**0.5, "n": count}[scale]
    return known(roots.astype(default_complex() if dtype is None else numpy_dtype(dtype, "dft")))


def hadamard(n: int, dtype: Any = int) -> np.ndarray:
    """[n, n] of 1 and -1, whose rows are orthogonal (Sylvester 1867); n is a power of two. Raises ArgumentError."""
    count = _size("hadamard", n)
    if count & (count - 1):
        raise op_error("hadamard", f"n={count} must be a power of two", {}, kind=ArgumentError)
    found = np.ones((1, 1), np.int64)
    while len(found) < count:
        found = np.block([[found, found], [found, -found]])
    return known(found.astype(numpy_dtype(dtype, "hadamard")))


def helmert(n: int, full: bool = False) -> np.ndarray:
    """[n - 1, n]: orthonormal rows, each as the mean of the first k elements less the next one; ``full``: below a row of equals."""
    count = _size("helmert", n)
    rows = np.tril(np.ones((count, count)), -1) - np.diag(np.arange(count))
    rows[0] = 1
    rows /= np.sqrt((rows**2).sum(1, keepdims=True))
    return _constant(rows if flag("helmert", "full", full) else rows[1:])


def hilbert(n: int) -> np.ndarray:
    """[n, n]: 1 / (i + j + 1)."""
    place = np.arange(_size("hilbert", n))
    return _constant(1 / (place[:, None] + place + 1))


def invhilbert(n: int) -> np.ndarray:
    """[n, n]: the inverse of ``hilbert(n)``, whose elements are integers; rounded to floats."""
    count = _size("invhilbert", n)

    def entry(i: int, j: int) -> int:
        crossed = comb(count + i, count - j - 1) * comb(count + j, count - i - 1)
        return int((-1)**(i + j)) * (i + j + 1) * crossed * comb(i + j, i)**2

    return _constant([[entry(i, j) for j in range(count)] for i in range(count)])


def pascal(n: int, kind: str | None = None) -> np.ndarray:
    """[n, n] of binomial coefficients: (i + j over i), or the triangles "lower" (i over j) and "upper". Raises ArgumentError."""
    return _binomials("pascal", n, kind, lambda i, j: comb(i, j))


def invpascal(n: int, kind: str | None = None) -> np.ndarray:
    """[n, n]: the inverse of ``pascal(n, kind)``. Raises ArgumentError."""
    return _binomials("invpascal", n, kind, lambda i, j: (-1)**(i + j) * comb(i, j), inverse=True)


def _binomials(name: str, n: Any, kind: Any, entry: Callable[[int, int], int], inverse: bool = False) -> np.ndarray:
    """The triangle with these entries, its transpose, or their product, which is exact in Python's integers."""
    count, kind = _size(name, n), "symmetric" if kind is None else kind
    choice(name, "kind", kind, _TRIANGLES)
    lower = np.array([[entry(i, j) if j <= i else 0 for j in range(count)] for i in range(count)], object)
    return _constant({"lower": lower, "upper": lower.T, "symmetric": lower.T @ lower if inverse else lower @ lower.T}[kind])
