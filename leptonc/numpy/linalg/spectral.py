"""QR factors, eigenvalues of symmetric matrices, singular values, and what stands on them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import choice, flag
from leptonc.errors import ShapeError, op_error
from leptonc.numpy.linalg import factorizations
from leptonc.numpy.linalg.operands import in_one_dtype, in_reals, matrices, out_of_reals, reshaped, transposed
from leptonc.trace import bind


class QRResult(NamedTuple):
    """Q's columns are orthonormal, R is upper triangular."""

    Q: Any
    R: Any


class EighResult(NamedTuple):
    """Ascending eigenvalues, and eigenvectors as columns."""

    eigenvalues: Any
    eigenvectors: Any


class SVDResult(NamedTuple):
    """U diag(S) Vh, S descending."""

    U: Any
    S: Any
    Vh: Any


def qr(x: Any, /, mode: str = "reduced") -> Any:
    """(Q, R) with Q R = x [..., m, n], Q [..., m, min(m, n)] or, with ``mode`` "complete", [..., m, m]; "r" gives R alone.

    The derivative needs independent columns, and a Q that is not completed. Raises ShapeError, DtypeError or ArgumentError.
    """
    kind = choice("qr", "mode", mode, ("reduced", "complete", "r"))
    q, r = factorizations.qr(x, full_matrices=kind == "complete")
    return r if kind == "r" else QRResult(q, r)


def eigh(x: Any, /, UPLO: str | None = None, symmetrize_input: bool = True) -> EighResult:
    """(eigenvalues, eigenvectors) of symmetric x [..., n, n], ascending; the first of a vector's largest elements is positive.

    x is replaced by (x + x') / 2, as in JAX, unless ``symmetrize_input`` is False: then its triangle ``UPLO`` ("L" by default)
    alone is read. The vectors' derivative needs eigenvalues that differ. Raises ShapeError, DtypeError or ArgumentError.
    """
    lower = UPLO is None or choice("eigh", "UPLO", UPLO, ("L", "U", "l", "u")) in "Ll"
    v, w = factorizations.eigh(x, lower=lower, symmetrize_input=symmetrize_input)
    return EighResult(w, v)


def eigvalsh(x: Any, /, UPLO: str | None = "L", *, symmetrize_input: bool = True) -> Any:
    """The eigenvalues of ``eigh``. Raises ShapeError, DtypeError or ArgumentError."""
    return eigh(x, UPLO, symmetrize_input).eigenvalues


def svd(x: Any, /, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False,
        subset_by_index: tuple[int, int] | None = None) -> Any:
    """(U, S, Vh) with U diag(S) Vh = x [..., m, n], S descending, or S alone without ``compute_uv``; of ``subset_by_index`` =
    (first, last + 1) those alone, without ``full_matrices``.

    U is [..., m, m] and Vh [..., n, n], or both cut to min(m, n) without ``full_matrices``: only so there is a derivative,
    unless x is square. ``hermitian`` changes nothing: a symmetric matrix is no other. Raises ShapeError, DtypeError or
    ArgumentError.
    """
    flag("svd", "hermitian", hermitian)
    if not flag("svd", "compute_uv", compute_uv):
        return factorizations.svd(x, full_matrices=False, subset_by_index=subset_by_index)[1]
    return SVDResult(*factorizations.svd(x, full_matrices=full_matrices, subset_by_index=subset_by_index))


def svdvals(x: Any, /) -> Any:
    """The singular values [..., min(m, n)] of x [..., m, n], descending. Raises ShapeError or DtypeError."""
    return factorizations.svd(matrices("svdvals", x), full_matrices=False)[1]


def pinv(x: Any, rtol: Any = None, hermitian: bool = False, *, rcond: Any = None) -> Any:
    """Moore and Penrose's inverses [..., n, m] of x [..., m, n]: singular values of at most ``rtol`` times the greatest count as 0.

    rtol is 10 max(m, n) times the dtype's epsilon by default, as in JAX; ``rcond`` is its older name. The derivative is Golub and
    Pereyra's. Raises ShapeError or DtypeError.
    """
    a = matrices("pinv", x)
    flag("pinv", "hermitian", hermitian)
    m, n = a.shape[-2:]
    if not m or not n:
        return lnp.zeros((*a.shape[:-2], n, m), a.dtype)
    share = rtol if rcond is None else rcond
    share = 10.0 * max(m, n) * np.finfo(a.dtype).eps if share is None else share
    limit = lnp.astype(lnp.asarray(share), np.finfo(a.dtype).dtype)
    limit = reshaped(limit, (*limit.shape, 1))
    return out_of_reals(_pinv(in_reals(a), limit)) if a.dtype.kind == "c" else _pinv(a, limit)


def _pinv(a: Any, limit: Any) -> Any:
    """By singular values, as a constant: ``pinv_of`` gives it its derivative, and none of a singular vector is needed."""
    u, s, vh = factorizations.svd(bind("stop_gradient", a), full_matrices=False)
    kept = s > limit * s[..., :1]
    inverse = lnp.where(kept, 1 / lnp.where(kept, s, lnp.ones_like(s)), lnp.zeros_like(s))
    inverse = lnp.where(lnp.isnan(s), s, inverse)
    return bind("pinv_of", a, transposed(vh) @ (inverse[..., None] * transposed(u)))


class LstsqResult(NamedTuple):
    """The solution, the sums of the squares of what is left of each column of b, the rank, and the singular values."""

    x: Any
    residuals: Any
    rank: Any
    s: Any


def lstsq(a: Any, b: Any, rcond: Any = None, *, numpy_resid: bool = False) -> LstsqResult:
    """x of the least length for which |a x - b| is least, of a [m, n] and b [m] or [m, k].

    Singular values of at most ``rcond`` times the greatest count as 0; by default the dtype's epsilon times max(m, n).
    The residuals are given whatever the rank is, as in JAX; with ``numpy_resid``, of known values, there are none unless m > n and
    the rank is n. Raises ShapeError or DtypeError.
    """
    x, y = in_one_dtype("lstsq", a, b)
    if len(x.shape) != 2 or len(y.shape) not in (1, 2) or x.shape[0] != y.shape[0]:
        raise op_error("lstsq", "a must be [m, n] and b [m] or [m, k]", {"a": x, "b": y}, kind=ShapeError)
    right = reshaped(y, (y.shape[0], 1)) if len(y.shape) == 1 else y
    share = np.finfo(x.dtype).eps * max(x.shape) if rcond is None else rcond
    values = svdvals(x)
    found = pinv(x, share) @ right
    left = right - x @ found
    residuals = lnp.sum(left * left if left.dtype.kind != "c" else lnp.real(left * lnp.conj(left)), axis=0)
    limit = lnp.astype(lnp.asarray(share), values.dtype) * values[:1]
    rank = lnp.sum(lnp.astype(values > limit, np.int64))
    if flag("lstsq", "numpy_resid", numpy_resid) and (int(rank) < x.shape[1] or x.shape[0] <= x.shape[1]):
        residuals = residuals[:0]
    return LstsqResult(found[:, 0] if len(y.shape) == 1 else found, residuals, rank, values)
