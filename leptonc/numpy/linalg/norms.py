"""Norms of vectors and matrices, condition numbers and ranks."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import array, axes, flag
from leptonc.errors import ArgumentError, ShapeError, op_error
from leptonc.numpy.elementwise import as_float
from leptonc.numpy.linalg.operands import matrices, reshaped
from leptonc.numpy.linalg.solving import inv
from leptonc.numpy.linalg.spectral import eigvalsh, svdvals
from leptonc.numpy.reductions import squared_modulus

_ORDERS = "None, 'fro', 'nuc', inf, -inf, 1, -1, 2, -2 for matrices, any number or None for vectors"


def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """(sum |x| ** ord) ** (1 / ord) along some axes, all by default; inf is the greatest, -inf the least, 0 counts what is not 0.

    Raises ArgumentError for other orders and for axes that are not there, ValueError's for the extreme of nothing.
    """
    a = as_float(array("vector_norm", "x", x))
    along = tuple(range(len(a.shape))) if axis is None else axes("vector_norm", a, axis)
    return _vector_norm("vector_norm", a, ord, along, flag("vector_norm", "keepdims", keepdims))


def _vector_norm(name: str, x: Any, ord: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    if isinstance(ord, str) or not _is_order(ord):
        raise op_error(name, f"ord={ord!r:.60} is no order of a vector's norm: {_ORDERS}", {"x": x}, kind=ArgumentError)
    if ord is None or ord == 2:
        return lnp.sqrt(lnp.sum(squared_modulus(x), axis=axis, keepdims=keepdims))
    size = lnp.absolute(x)
    if ord == np.inf:
        return lnp.max(size, axis=axis, keepdims=keepdims)
    if ord == -np.inf:
        return lnp.min(size, axis=axis, keepdims=keepdims)
    if ord == 0:
        return lnp.sum(lnp.astype(x != 0, size.dtype), axis=axis, keepdims=keepdims, dtype=size.dtype)
    if ord == 1:
        return lnp.sum(size, axis=axis, keepdims=keepdims)
    return lnp.power(lnp.sum(lnp.power(size, float(ord)), axis=axis, keepdims=keepdims), 1 / float(ord))


def _is_order(ord: Any) -> bool:
    """Whether it is None, a word or a known real number."""
    return ord is None or isinstance(ord, str | int | float | np.integer | np.floating)


def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """Of each matrix of x [..., m, n]: 'fro', the root of the sum of squares; 'nuc', the sum of the singular values; 1 and -1, the
    greatest and the least sum of a column's sizes; inf and -inf, of a row's; 2 and -2, the greatest and the least singular value.

    Raises ShapeError, or ArgumentError for other orders.
    """
    a = matrices("matrix_norm", x)
    rank = len(a.shape)
    return _matrix_norm("matrix_norm", a, ord, (rank - 2, rank - 1), flag("matrix_norm", "keepdims", keepdims))


def _matrix_norm(name: str, x: Any, ord: Any, axis: tuple[int, int], keepdims: bool) -> Any:
    if ord is None or (isinstance(ord, str) and ord in ("fro", "f")):
        return lnp.sqrt(lnp.sum(squared_modulus(x), axis=axis, keepdims=keepdims))
    if not _is_order(ord):
        raise op_error(name, f"ord={ord!r:.60} is no order of a matrix's norm: {_ORDERS}", {"x": x}, kind=ArgumentError)
    if (ord == "nuc" if isinstance(ord, str) else abs(ord) == 2):
        return _of_singular_values(x, ord, axis, keepdims)
    if isinstance(ord, str) or abs(ord) not in (1, np.inf):
        raise op_error(name, f"ord={ord!r} is no order of a matrix's norm: {_ORDERS}", {"x": x}, kind=ArgumentError)
    rows, columns = axis
    summed, taken = (rows, columns) if abs(ord) == 1 else (columns, rows)
    totals = lnp.sum(lnp.absolute(x), axis=summed, keepdims=True)
    found = (lnp.max if ord > 0 else lnp.min)(totals, axis=taken, keepdims=True)
    return found if keepdims else lnp.squeeze(found, axis=axis)


def _of_singular_values(x: Any, ord: Any, axis: tuple[int, int], keepdims: bool) -> Any:
    values = svdvals(lnp.moveaxis(x, axis, (-2, -1)))
    if ord == "nuc":
        found = lnp.sum(values, axis=-1)
    else:
        found = (lnp.max if ord > 0 else lnp.min)(values, axis=-1)
    if not keepdims:
        return found
    return reshaped(found, tuple(1 if d in axis else n for d, n in enumerate(x.shape)))


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """NumPy's norm: of vectors along one axis, of matrices along two; of all elements as one vector without ``ord`` and ``axis``.

    Orders as ``vector_norm`` and ``matrix_norm`` have them. Raises ShapeError or ArgumentError.
    """
    a = as_float(array("norm", "x", x))
    rank, kept = len(a.shape), flag("norm", "keepdims", keepdims)
    if axis is None and ord is None:
        return _vector_norm("norm", a, 2, tuple(range(rank)), kept)
    along = tuple(range(rank)) if axis is None else axes("norm", a, axis)
    if len(along) == 1:
        return _vector_norm("norm", a, ord, along, kept)
    if len(along) == 2:
        return _matrix_norm("norm", a, ord, (along[0], along[1]), kept)
    raise op_error("norm", f"a norm of {len(along)} axes; x must have one or two, or axis name as many", {"x": a}, kind=ShapeError)


def cond(x: Any, p: Any = None) -> Any:
    """The condition numbers of x [..., m, n]: the greatest singular value by the least, or, for ``p`` an order of ``matrix_norm``
    other than 2 and -2, the norm of x [..., n, n] times that of its inverse. Infinite if x is singular.

    Raises as ``matrix_norm``.
    """
    a = matrices("cond", x)
    if not all(a.shape[-2:]):
        raise op_error("cond", "an empty matrix has no singular values", {"x": a}, kind=ShapeError)
    if not _is_order(p):
        raise op_error("cond", f"p={p!r:.60} is no order of a matrix's norm: {_ORDERS}", {"x": a}, kind=ArgumentError)
    if p is None or (not isinstance(p, str) and abs(p) == 2):
        values = svdvals(a)
        high, low = (values[..., 0], values[..., -1])
        found = low / high if p == -2 else high / low
    else:
        rank = len(a.shape)
        matrices("cond", a, square=True)
        first, second = (_matrix_norm("cond", y, p, (rank - 2, rank - 1), False) for y in (a, inv(a)))
        found = first * second
    undefined = lnp.isnan(found) & ~lnp.any(lnp.isnan(a), axis=(-2, -1))
    return lnp.where(undefined, np.asarray(np.inf, found.dtype), found)


def matrix_rank(x: Any, rtol: Any = None, *, hermitian: bool = False, tol: Any = None) -> Any:
    """How many singular values of x [..., m, n] are greater than ``tol``, or ``rtol`` times the greatest; i64.

    rtol is max(m, n) times the dtype's epsilon by default. Of a ``hermitian`` x they are the sizes of its eigenvalues. Raises
    ShapeError.
    """
    a = array("matrix_rank", "x", x)
    if len(a.shape) < 2:
        return lnp.astype(lnp.any(a != 0), np.int64)
    a = matrices("matrix_rank", x)
    values = lnp.sort(lnp.abs(eigvalsh(a)), descending=True) if flag("matrix_rank", "hermitian", hermitian) else svdvals(a)
    if tol is None:
        share = max(a.shape[-2:]) * np.finfo(a.dtype).eps if rtol is None else rtol
        limit = values[..., :1] * lnp.astype(_column(share), values.dtype)
    else:
        limit = _column(tol)
    return lnp.sum(lnp.astype(lnp.greater(values, limit), np.int64), axis=-1)


def _column(x: Any) -> Any:
    """[...] as [..., 1]."""
    a = lnp.asarray(x)
    return reshaped(a, (*a.shape, 1))
