"""lax.linalg's names: factorizations of stacks of matrices, compiled, batched, and with derivatives by formula."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import array, flag, integer, integers
from leptonc.errors import ArgumentError, DtypeError, ShapeError, op_error
from leptonc.ir.types import i32
from leptonc.numpy.linalg.bands import cholesky_update, symmetric_product, tridiagonal_solve
from leptonc.numpy.linalg.eigenvectors import eig
from leptonc.numpy.linalg.halley import qdwh
from leptonc.numpy.linalg.operands import adjoint, conjugated, cropped, in_one_dtype, masked, matrices, transposed
from leptonc.numpy.linalg.pivoting import column_order
from leptonc.numpy.linalg.reflections import hessenberg, householder_product, ormqr, schur, tridiagonal
from leptonc.public import publish
from leptonc.scan import scan
from leptonc.trace import bind, broadcast


def cholesky(x: Any, *, symmetrize_input: bool = True) -> Any:
    """L, lower triangular, with L L' = x [..., n, n]; all of its lower triangle is NaN where x is not positive definite.

    x is replaced by (x + x') / 2, or, without ``symmetrize_input``, its lower triangle alone is read. Raises ShapeError.
    """
    a = matrices("cholesky", x, square=True)
    if not flag("cholesky", "symmetrize_input", symmetrize_input):
        a = masked(a, lower=True) + adjoint(masked(a, lower=True, offset=-1))
    return bind("cholesky", a)


def triangular_solve(a: Any, b: Any, *, left_side: bool = False, lower: bool = False, transpose_a: bool = False,
                     conjugate_a: bool = False, unit_diagonal: bool = False) -> Any:
    """x with op(a) x = b (``left_side``) or x op(a) = b, of a [..., n, n] one triangle, op(a) a, its transpose, its conjugate
    or its adjoint.

    A zero on the diagonal gives infinities and NaN. Raises ShapeError or DtypeError.
    """
    name = "triangular_solve"
    left, lower, transpose, unit = (flag(name, what, value) for what, value in (
        ("left_side", left_side), ("lower", lower), ("transpose_a", transpose_a), ("unit_diagonal", unit_diagonal)))
    x, y = in_one_dtype(name, a, b)
    x = conjugated(x) if flag(name, "conjugate_a", conjugate_a) else x
    matrices(name, x, "a", square=True)
    if len(y.shape) < 2 or y.shape[:-2] != x.shape[:-2] or y.shape[-2 if left else -1] != x.shape[-1]:
        wanted = "[..., n, k]" if left else "[..., k, n]"
        raise op_error(name, f"a must be [..., n, n] and b {wanted}", {"a": x, "b": y}, kind=ShapeError)
    if left:
        return bind(name, x, y, lower=lower, transpose=transpose, unit=unit)
    return transposed(bind(name, x, transposed(y), lower=lower, transpose=not transpose, unit=unit))


def lu(x: Any) -> tuple[Any, Any, Any]:
    """(lu, pivots, permutation) with partial pivoting of x [..., m, n]: L below the diagonal of lu, its ones left out, U above, and
    x[permutation] = L U. pivots [..., min(m, n)] i32 are the rows that were swapped with row 0, 1 ... Raises ShapeError.
    """
    a = matrices("lu", x)
    m, n = a.shape[-2:]
    if m >= n:
        factors, pivots, permutation = bind("lu", a)
        return factors, pivots, permutation
    square, pivots, permutation = bind("lu", cropped(a, (0, 0), (m, m)))
    rest = permuted_rows(cropped(a, (0, m), (m, n - m)), permutation)
    right = bind("triangular_solve", square, rest, lower=True, transpose=False, unit=True)
    return bind("concatenate", square, right, axis=len(a.shape) - 1), pivots, permutation


def permuted_rows(x: Any, permutation: Any) -> Any:
    """The rows of each matrix [..., m, n] in the order [..., m]."""
    m, n = x.shape[-2:]
    count = int(np.prod(x.shape[:-2]))
    if not count * m * n:
        return x
    firsts = np.repeat(np.arange(count, dtype=np.int32) * m, m)
    places = bind("reshape", permutation, shape=(count * m,)) + firsts
    rows = bind("take", bind("reshape", x, shape=(count * m, n)), places, axis=0)
    return bind("reshape", rows, shape=tuple(x.shape))


def lu_pivots_to_permutation(pivots: Any, permutation_size: int) -> Any:
    """The order [..., permutation_size] of the rows after the swaps ``pivots`` [..., k]. Raises DtypeError or ArgumentError."""
    name = "lu_pivots_to_permutation"
    swaps = array(name, "pivots", pivots)
    operands = {"pivots": swaps}
    if swaps.dtype.kind not in "iu" or not swaps.shape:
        raise op_error(name, "pivots must be ints [..., k]", operands, kind=DtypeError)
    count, k = integer(name, "permutation_size", permutation_size, operands, least=0), swaps.shape[-1]
    if k > count:
        raise op_error(name, f"permutation_size={count} is less than {k} pivots", operands, kind=ArgumentError)
    lead = tuple(swaps.shape[:-1])
    order = broadcast(np.arange(count, dtype=np.int32), (*lead, count))
    if not k or not swaps.size:
        return order
    rank = len(lead)
    first = bind("transpose", bind("cast", swaps, dtype=i32), perm=(rank, *range(rank)))
    places = np.arange(count, dtype=np.int32)

    def swap(order: Any, step: Any) -> tuple[Any, None]:
        here, there = step
        to = there[..., None]
        old = _at(order, places, here)
        new = _at(order, places, to)
        out = _where(places == to, old, _where(broadcast(places == here, (*lead, count)), new, order))
        return out, None

    found, _ = scan(swap, order, (np.arange(k, dtype=np.int32), first))
    return found


def _where(mask: Any, x: Any, y: Any) -> Any:
    shape = tuple(y.shape)
    return bind("select", broadcast(mask, shape), broadcast(x, shape), y)


def _at(order: Any, places: Any, place: Any) -> Any:
    """[..., 1]: the element of each order at a place."""
    kept = _where(places == place, order, broadcast(np.zeros((), np.int32), tuple(order.shape)))
    total = bind("sum", kept, axes=(len(order.shape) - 1,))
    return bind("reshape", bind("cast", total, dtype=i32), shape=(*order.shape[:-1], 1))


def qr(x: Any, *, pivoting: bool = False, full_matrices: bool = True, use_magma: Any = None) -> tuple[Any, ...]:
    """(q, r) with q r = x [..., m, n]: q [..., m, m] with orthonormal columns, or [..., m, min(m, n)] without ``full_matrices``;
    r upper triangular, with LAPACK's signs. With ``pivoting`` (q, r, p), of x's columns in the order p [..., n] i32, so that r's
    diagonal descends; p has no derivative. ``use_magma`` changes nothing. Raises ShapeError or DtypeError.
    """
    a = matrices("qr", x)
    complete = flag("qr", "full_matrices", full_matrices)
    if flag("qr", "pivoting", pivoting):
        order = column_order(a)
        return *_qr(lnp.take_along_axis(a, order[..., None, :], -1), complete), order
    return _qr(a, complete)


def _qr(a: Any, full: bool) -> tuple[Any, Any]:
    m, n = a.shape[-2:]
    complete = full and m > n
    if m >= n:
        q, r = bind("qr", a, complete=complete)
        return q, r
    q, r = bind("qr", cropped(a, (0, 0), (m, m)), complete=False)
    rest = adjoint(q) @ cropped(a, (0, m), (m, n - m))
    return q, bind("concatenate", r, rest, axis=len(a.shape) - 1)


def eigh(x: Any, *, lower: bool = True, symmetrize_input: bool = True, sort_eigenvalues: bool = True,
         subset_by_index: tuple[int, int] | None = None, implementation: Any = None) -> tuple[Any, Any]:
    """(v, w): eigenvectors as columns and ascending eigenvalues of symmetric x [..., n, n], or of those alone that
    ``subset_by_index`` = (first, last + 1) says.

    x is replaced by (x + x') / 2, or, without ``symmetrize_input``, one triangle alone is read. They are sorted without
    ``sort_eigenvalues``, too; ``implementation`` changes nothing. Raises ShapeError, DtypeError or ArgumentError.
    """
    flag("eigh", "sort_eigenvalues", sort_eigenvalues)
    a = matrices("eigh", x, square=True)
    low = flag("eigh", "lower", lower)
    if not flag("eigh", "symmetrize_input", symmetrize_input):
        a = masked(a, low) + adjoint(masked(a, low, -1 if low else 1))
    w, v = bind("eigh", a)
    part = _subset("eigh", subset_by_index, a.shape[-1])
    return v[..., part], w[..., part]


def svd(x: Any, *, full_matrices: bool = True, compute_uv: bool = True, subset_by_index: tuple[int, int] | None = None,
        algorithm: Any = None) -> Any:
    """(u, s, vh) with u diag(s) vh = x [..., m, n], s descending, or s alone without ``compute_uv``.

    u is [..., m, m] and vh [..., n, n], or both are cut to min(m, n), or to the singular values that ``subset_by_index`` =
    (first, last + 1) says, without ``full_matrices``. ``algorithm`` changes nothing. Raises ShapeError, DtypeError or
    ArgumentError.
    """
    a = matrices("svd", x)
    m, n = a.shape[-2:]
    part = _subset("svd", subset_by_index, min(m, n))
    if part != slice(0, min(m, n)) and flag("svd", "full_matrices", full_matrices) and flag("svd", "compute_uv", compute_uv):
        raise op_error("svd", f"subset_by_index={subset_by_index} is a part of the factors", {"x": a}, "full_matrices=False",
                       ArgumentError)
    full = flag("svd", "full_matrices", full_matrices) and m != n
    whole = flag("svd", "compute_uv", compute_uv)
    if m >= n:
        u, s, vh = bind("svd", a, full=full and whole)
    else:
        v, s, uh = bind("svd", transposed(a), full=full and whole)
        u, vh = transposed(uh), transposed(v)
    if not whole:
        return s[..., part]
    return (u, s, vh) if full else (u[..., part], s[..., part], vh[..., part, :])


def _subset(name: str, value: Any, count: int) -> slice:
    """The numbers of values that are wanted, of ``count``."""
    if value is None:
        return slice(0, count)
    first, last = integers(name, "subset_by_index", value, count=2, least=0)
    if not first < last <= count:
        raise op_error(name, f"subset_by_index={value!r} must be (first, last + 1) of {count}", {}, kind=ArgumentError)
    return slice(first, last)


__all__ = [
    "cholesky", "cholesky_update", "eig", "eigh", "hessenberg", "householder_product", "lu", "lu_pivots_to_permutation", "ormqr",
    "qdwh", "qr", "schur", "svd", "symmetric_product", "triangular_solve", "tridiagonal", "tridiagonal_solve",
]

publish(globals(), __all__)
