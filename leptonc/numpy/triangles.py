"""Triangles and diagonals of matrices, and of stacks of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.arguments import array, flag, integer, no_out
from leptonc.arguments import axis as axis_of
from leptonc.arguments import shape as shape_of
from leptonc.arithmetic import add, bitwise_and, equal, greater_equal, multiply, remainder
from leptonc.bfloat16 import kind_of
from leptonc.errors import ArgumentError, op_error
from leptonc.ir.types import MOST_DIMENSIONS
from leptonc.numpy.creation import asarray, eye, ones_like, stack, zeros
from leptonc.numpy.elementwise import where
from leptonc.numpy.manipulation import broadcast_to, moveaxis, ravel, take
from leptonc.numpy.positions import along
from leptonc.numpy.reductions import sum as _sum
from leptonc.promotion import attribute_of, default_float, numpy_dtype
from leptonc.trace import bind, cast, known

MOST = 2**62


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    """Ones at and below the k-th diagonal."""
    kind = numpy_dtype(default_float() if dtype is None else dtype, "tri")
    rows, columns = shape_of("tri", (N, N if M is None else M), kind.itemsize)
    return known(np.tri(rows, columns, _diagonal("tri", k), kind))


def _diagonal(name: str, k: Any) -> int:
    """One beyond all extents is as good as any."""
    return min(max(integer(name, "k", k), -MOST), MOST)


def _matrix(name: str, x: Any) -> Any:
    operand = array(name, "x", x)
    if len(operand.shape) < 2:
        raise op_error(name, "needs at least two axes", {"x": operand})
    return operand


def _extents(name: str, x: Any) -> tuple[int, int]:
    operand = _matrix(name, x)
    if len(operand.shape) != 2:
        raise op_error(name, "takes a matrix", {"x": operand})
    return operand.shape[0], operand.shape[1]


def _below(x: Any, k: int) -> Any:
    """Whether each element is at or below the k-th diagonal."""
    rank = len(x.shape)
    return greater_equal(add(along(x, x.shape, rank - 2), k), along(x, x.shape, rank - 1))


def _rows(name: str, x: Any) -> Any:
    """A matrix, or one whose rows all are the vector x."""
    operand = array(name, "x", x)
    return broadcast_to(operand, operand.shape * 2) if len(operand.shape) == 1 else _matrix(name, operand)


def tril(x: Any, k: int = 0) -> Any:
    """The elements at and below the k-th diagonal of the last two axes, 0 above; of a vector, of a square of such rows."""
    operand = _rows("tril", x)
    return where(_below(operand, _diagonal("tril", k)), operand, asarray(0, operand.dtype))


def triu(x: Any, k: int = 0) -> Any:
    """The elements at and above the k-th diagonal of the last two axes, 0 below; of a vector, of a square of such rows."""
    operand = _rows("triu", x)
    return where(_below(operand, _diagonal("triu", k) - 1), asarray(0, operand.dtype), operand)


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The ``offset``-th diagonal of two axes, as the last axis. Raises ShapeError if they are one."""
    operand = _matrix("diagonal", x)
    first, second = axis_of("diagonal", operand, axis1), axis_of("diagonal", operand, axis2)
    if first == second:
        raise op_error("diagonal", f"axes {axis1} and {axis2} are one", {"x": operand})
    operand = moveaxis(operand, (first, second), (-2, -1))
    *lead, rows, columns = operand.shape
    k = _diagonal("diagonal", offset)
    count = max(min(rows + min(k, 0), columns - max(k, 0)), 0)
    flat = bind("reshape", operand, shape=(*lead, rows * columns))
    start = max(k, 0) + max(-k, 0) * columns if count else 0
    zeros = (0,) * len(lead)
    return bind("slice", flat, start=(*zeros, start), size=(*lead, count), step=(*(1 for _ in lead), columns + 1))


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: None = None) -> Any:
    """The sum of a diagonal."""
    no_out("trace", out)
    return _sum(diagonal(x, offset, axis1, axis2), -1, dtype=dtype)


def diag(v: Any, k: int = 0) -> Any:
    """A matrix with v on its k-th diagonal; of a matrix that diagonal. Raises ShapeError for other ranks."""
    operand = array("diag", "v", v)
    if len(operand.shape) == 2:
        return diagonal(operand, k)
    if len(operand.shape) != 1:
        raise op_error("diag", "takes a vector or a matrix", {"v": operand})
    return _on_diagonal(operand, _diagonal("diag", k))


def diagflat(v: Any, k: int = 0) -> Any:
    """A matrix with all elements of v on its k-th diagonal."""
    return _on_diagonal(ravel(v), _diagonal("diagflat", k))


def _on_diagonal(v: Any, k: int) -> Any:
    """Padded: so many zeros between two elements as a row has columns."""
    count = v.shape[0]
    size = count + abs(k)
    if not count:
        return known(np.zeros((size, size), v.dtype))
    shape_of("diag", (size, size), v.dtype.itemsize)
    low = max(-k, 0) * size + max(k, 0)
    high = size * size - low - count - (count - 1) * size
    zero = attribute_of(cast(0, v.dtype))
    return bind("reshape", bind("pad", v, low=(low,), high=(high,), interior=(size,), value=zero), shape=(size, size))


def fill_diagonal(a: Any, val: Any, wrap: bool = False, *, inplace: bool = False) -> Any:
    """A copy of ``a`` with its diagonal replaced by ``val``, a number or a vector. Raises ArgumentError for ``inplace``."""
    operand = _matrix("fill_diagonal", a)
    if flag("fill_diagonal", "inplace", inplace):
        raise op_error("fill_diagonal", "arrays do not change", {"a": operand}, "use what it returns", ArgumentError)
    shape, rank = operand.shape, len(operand.shape)
    if rank > 2 and len(set(shape)) > 1:
        raise op_error("fill_diagonal", "beyond two axes all extents must be equal", {"a": operand})
    places = [along(operand, shape, d) for d in range(rank)]
    row = remainder(places[0], max(shape[1] + 1, 1)) if flag("fill_diagonal", "wrap", wrap) and rank == 2 else places[0]
    hit = equal(row, places[1])
    for place in places[2:]:
        hit = bitwise_and(hit, equal(row, place))
    values = ravel(cast(asarray(val), operand.dtype))
    order = places[0] if values.shape[0] != 1 else multiply(places[0], 0)
    return where(hit, take(values, remainder(order, max(values.shape[0], 1))), operand)


def identity(n: int, dtype: Any = None) -> Any:
    """Ones on the diagonal of a square matrix."""
    return eye(n, dtype=dtype)


def tril_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Any, Any]:
    """Rows and columns of the elements at and below the k-th diagonal."""
    rows, columns = shape_of("tril_indices", (n, n if m is None else m))
    first, second = np.tril_indices(rows, _diagonal("tril_indices", k), columns)
    return known(first), known(second)


def triu_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Any, Any]:
    """Rows and columns of the elements at and above the k-th diagonal."""
    rows, columns = shape_of("triu_indices", (n, n if m is None else m))
    first, second = np.triu_indices(rows, _diagonal("triu_indices", k), columns)
    return known(first), known(second)


def tril_indices_from(arr: Any, k: int = 0) -> tuple[Any, Any]:
    """``tril_indices`` of a matrix's extents."""
    rows, columns = _extents("tril_indices_from", arr)
    return tril_indices(rows, k, columns)


def triu_indices_from(arr: Any, k: int = 0) -> tuple[Any, Any]:
    """``triu_indices`` of a matrix's extents."""
    rows, columns = _extents("triu_indices_from", arr)
    return triu_indices(rows, k, columns)


def diag_indices(n: int, ndim: int = 2) -> tuple[Any, ...]:
    """Indices of the diagonal of an array of ``ndim`` axes of n."""
    count = integer("diag_indices", "ndim", ndim, least=0, most=MOST_DIMENSIONS)
    return (known(np.arange(*shape_of("diag_indices", (n,)))),) * count


def diag_indices_from(arr: Any) -> tuple[Any, ...]:
    """``diag_indices`` of an array's extents, which must be equal."""
    operand = _matrix("diag_indices_from", arr)
    if len(set(operand.shape)) > 1:
        raise op_error("diag_indices_from", "all extents must be equal", {"arr": operand})
    return diag_indices(operand.shape[0], len(operand.shape))


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """The powers of the elements of a vector, the highest first, by products; those of ints and bools are i64, of u64 f64."""
    operand = array("vander", "x", x)
    operand = operand if kind_of(operand.dtype) in "fc" else cast(operand, np.promote_types(operand.dtype, np.int64))
    if len(operand.shape) != 1:
        raise op_error("vander", "takes a vector", {"x": operand})
    count = operand.shape[0] if N is None else integer("vander", "N", N, least=0)
    powers = [ones_like(operand)]
    while len(powers) < count:
        powers.append(multiply(powers[-1], operand))
    order = powers[:count] if flag("vander", "increasing", increasing) else powers[:count][::-1]
    return stack(order, 1) if order else zeros((operand.shape[0], 0), operand.dtype)
