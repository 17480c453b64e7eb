"""JAX's ``scipy.linalg``: ``leptonc.numpy.linalg`` in SciPy's spelling, and factors that are solved with later.

``overwrite_a``, ``check_finite`` and their kin are taken for SciPy's sake: nothing is overwritten or checked, as in JAX.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import array, choice, flag, integer, known_array
from leptonc.errors import ArgumentError, ShapeError, op_error
from leptonc.numpy import linalg
from leptonc.numpy.linalg import factorizations
from leptonc.numpy.linalg.functions import expm
from leptonc.numpy.linalg.operands import adjoint, in_one_dtype, matrices, same_stack
from leptonc.public import publish
from leptonc.scipy.schurforms import expm_frechet, funm, hessenberg, rsf2csf, schur, solve_sylvester, sqrtm
from leptonc.scipy.structured import (
    circulant,
    companion,
    convolution_matrix,
    dft,
    fiedler,
    fiedler_companion,
    hadamard,
    hankel,
    helmert,
    hilbert,
    invhilbert,
    invpascal,
    leslie,
    pascal,
    toeplitz,
)
from leptonc.trace import bind

_TRANSPOSED = {0: (False, False), "N": (False, False), 1: (True, False), "T": (True, False), 2: (True, True), "C": (True, True)}


def cholesky(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """U, upper triangular, with U' U = a [..., n, n], or L = U' with ``lower``; NaN where a is not positive definite.

    That triangle of a alone is read. Raises ShapeError or DtypeError.
    """
    x = matrices("cholesky", a, "a", square=True)
    if flag("cholesky", "lower", lower):
        return factorizations.cholesky(x, symmetrize_input=False)
    return adjoint(factorizations.cholesky(adjoint(x), symmetrize_input=False))


def cho_factor(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Any, bool]:
    """(the factor of ``cholesky``, ``lower``), as ``cho_solve`` takes it. Raises ShapeError or DtypeError."""
    return cholesky(a, lower), lower


def cho_solve(c_and_lower: tuple[Any, bool], b: Any, overwrite_b: bool = False, check_finite: bool = True) -> Any:
    """x with a x = b [n] or [..., n, k], of the factor of a that ``cho_factor`` gave. Raises ShapeError or DtypeError."""
    factor, lower = _pair("cho_solve", "c_and_lower", c_and_lower, "cho_factor")
    low = flag("cho_solve", "lower", lower)
    first = solve_triangular(factor, b, 0 if low else "C", low)
    return solve_triangular(factor, first, "C" if low else 0, low)


def solve_triangular(a: Any, b: Any, trans: int | str = 0, lower: bool = False, unit_diagonal: bool = False,
                     overwrite_b: bool = False, debug: Any = None, check_finite: bool = True) -> Any:
    """x with op(a) x = b [n] or [..., n, k], of one triangle of a [..., n, n]; leading axes broadcast. ``trans``: op(a) is a (0,
    "N"), its transpose (1, "T") or its adjoint (2, "C").

    Raises ShapeError, DtypeError or ArgumentError.
    """
    transpose, conjugate = _operation("solve_triangular", trans)

    def run(a: Any, b: Any) -> Any:
        return factorizations.triangular_solve(a, b, left_side=True, lower=lower, transpose_a=transpose, conjugate_a=conjugate,
                                               unit_diagonal=unit_diagonal)

    return _on_columns("solve_triangular", run, a, b)


def solve(a: Any, b: Any, lower: bool = False, overwrite_a: bool = False, overwrite_b: bool = False, debug: bool = False,
          check_finite: bool = True, assume_a: str = "gen") -> Any:
    """x with a x = b, of a [..., n, n] and b [n] or [..., n, k]. ``assume_a``: "gen", or "pos", by Cholesky's factors; "sym" and
    "her" are solved as "gen".

    Raises ShapeError, DtypeError or ArgumentError.
    """
    if choice("solve", "assume_a", assume_a, ("gen", "sym", "her", "pos")) == "pos":
        return cho_solve(cho_factor(a, lower), b)
    return linalg.solve(a, b)


def lu(a: Any, permute_l: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Any, ...]:
    """(P, L, U) with P L U = a [..., m, n], or (P L, U) with ``permute_l``. Raises ShapeError or DtypeError."""
    factors, _, order = factorizations.lu(matrices("lu", a, "a"))
    m, n = factors.shape[-2:]
    k = min(m, n)
    left = lnp.tril(factors[..., :k], -1) + lnp.eye(m, k, dtype=factors.dtype)
    right = lnp.triu(factors[..., :k, :])
    places = lnp.astype(lnp.equal(order[..., None, :], np.arange(m)[:, None]), lnp.real(factors).dtype)
    return (places @ left, right) if flag("lu", "permute_l", permute_l) else (places, left, right)


def lu_factor(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Any, Any]:
    """L below the diagonal and U, in one matrix, and the row [..., n] that each row was swapped with, as ``lu_solve`` takes them.

    Raises ShapeError or DtypeError.
    """
    return factorizations.lu(matrices("lu_factor", a, "a"))[:2]


def lu_solve(lu_and_piv: tuple[Any, Any], b: Any, trans: int | str = 0, overwrite_b: bool = False,
             check_finite: bool = True) -> Any:
    """x with op(a) x = b [n] or [..., n, k], of the factors of a that ``lu_factor`` gave; ``trans`` as for ``solve_triangular``.

    Raises ShapeError, DtypeError or ArgumentError.
    """
    factors, pivots = _pair("lu_solve", "lu_and_piv", lu_and_piv, "lu_factor")
    factors = matrices("lu_solve", factors, "lu", square=True)
    order = factorizations.lu_pivots_to_permutation(pivots, factors.shape[-1])
    transpose, _ = _operation("lu_solve", trans)

    def run(factors: Any, b: Any) -> Any:
        rows = lnp.broadcast_to(order, tuple(b.shape[:-1]))
        if transpose:
            first = solve_triangular(factors, solve_triangular(factors, b, trans), trans, True, True)
            return factorizations.permuted_rows(first, lnp.argsort(rows, axis=-1))
        first = solve_triangular(factors, factorizations.permuted_rows(b, rows), 0, True, True)
        return solve_triangular(factors, first)

    return _on_columns("lu_solve", run, factors, b)


def det(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """The determinants [...] of a [..., n, n]. Raises ShapeError or DtypeError."""
    return linalg.det(a)


def inv(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """The inverses of a [..., n, n]. Raises ShapeError or DtypeError."""
    return linalg.inv(a)


def eigh(a: Any, b: None = None, lower: bool = True, eigvals_only: bool = False, overwrite_a: bool = False,
         overwrite_b: bool = False, turbo: bool = True, eigvals: None = None, type: int = 1, check_finite: bool = True) -> Any:
    """(eigenvalues, eigenvectors) of symmetric a [..., n, n], as of ``leptonc.numpy.linalg.eigh``, or the eigenvalues alone.

    ``b``, ``eigvals`` and ``type`` are SciPy's, for problems of two matrices and parts of the eigenvalues; JAX has none of it.
    Raises ShapeError, DtypeError or ArgumentError.
    """
    if b is not None or eigvals is not None or type != 1:
        raise op_error("eigh", "takes one matrix and gives all its eigenvalues", {}, "b=None, eigvals=None, type=1", ArgumentError)
    vectors, values = factorizations.eigh(matrices("eigh", a, "a", square=True), lower=flag("eigh", "lower", lower))
    return values if flag("eigh", "eigvals_only", eigvals_only) else (values, vectors)


def eigh_tridiagonal(d: Any, e: Any, *, eigvals_only: bool = False, select: str = "a", select_range: Any = None, tol: Any = None,
                     key: Any = None) -> Any:
    """(eigenvalues, eigenvectors) of tridiagonal matrices with the diagonal d [..., n] and e [..., n - 1] above it, conj(e) below,
    as of ``eigh``, or the eigenvalues alone. ``select``: all of them ("a"), those of the places from ``select_range[0]`` to
    ``select_range[1]`` ("i"), or, of one known matrix, those above the first and not above the second number ("v").

    By divide and conquer, to all digits, whatever ``tol`` and ``key`` are. Raises ShapeError, DtypeError or ArgumentError.
    """
    name = "eigh_tridiagonal"
    main, beside = in_one_dtype(name, lnp.atleast_1d(array(name, "d", d)), lnp.atleast_1d(array(name, "e", e)), ("d", "e"))
    if beside.shape != (*main.shape[:-1], max(main.shape[-1] - 1, 0)):
        raise op_error(name, "d must be [..., n] and e [..., n - 1]", {"d": main, "e": beside}, kind=ShapeError)
    kind = choice(name, "select", select, ("a", "i", "v"))
    values, vectors = bind(name, lnp.real(main), lnp.absolute(beside) if beside.dtype.kind == "c" else beside)
    if beside.dtype.kind == "c":
        vectors = vectors * _phases(main, beside)[..., None]
    if kind != "a":
        low, high = _selected(name, values, kind, select_range)
        values, vectors = values[..., low:high], vectors[..., low:high]
    return values if flag(name, "eigvals_only", eigvals_only) else (values, vectors)


def _phases(main: Any, beside: Any) -> Any:
    """The numbers of size 1 for rows and columns of a complex tridiagonal matrix that make it real."""
    still = beside == 0
    turns = lnp.where(still, 1, lnp.conj(beside) / lnp.where(still, 1, lnp.absolute(beside)))
    return lnp.concatenate([lnp.ones_like(main[..., :1]), lnp.cumprod(turns, axis=-1)], axis=-1)


def _selected(name: str, values: Any, kind: str, bounds: Any) -> tuple[int, int]:
    """The places, from the first to that behind the last, of what is selected of eigenvalues [..., n]."""
    if not isinstance(bounds, tuple | list) or len(bounds) != 2:
        raise op_error(name, f"select_range={bounds!r} must be a pair of numbers", {}, f"{name}(d, e, select={kind!r}, "
                       "select_range=(low, high))", ArgumentError)
    if kind == "i":
        low, high = (integer(name, "select_range", x, least=0, most=values.shape[-1] - 1) for x in bounds)
        if low > high:
            raise op_error(name, f"select_range={bounds!r} is empty", {}, kind=ArgumentError)
        return low, high + 1
    known = known_array(name, "d", values, "f")
    if known.ndim != 1:
        raise op_error(name, 'select="v" takes one matrix', {"d": values}, kind=ShapeError)
    low, high = np.searchsorted(known, [float(x) for x in bounds], side="right")
    return int(low), int(high)


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, overwrite_a: bool = False, check_finite: bool = True,
        lapack_driver: str = "gesdd") -> Any:
    """(U, S, Vh), or S alone, as of ``leptonc.numpy.linalg.svd``, whatever the driver. Raises ShapeError or DtypeError."""
    return linalg.svd(a, full_matrices, compute_uv)


def qr(a: Any, overwrite_a: bool = False, lwork: Any = None, mode: str = "full", pivoting: bool = False,
       check_finite: bool = True) -> Any:
    """(Q, R) with Q R = a [..., m, n]: Q is [..., m, m], or of min(m, n) columns with ``mode`` "economic"; (R,) with "r". With
    ``pivoting`` also P [..., n] i32, the order of a's columns that they are the factors of.

    Raises ShapeError, DtypeError or ArgumentError.
    """
    kind = choice("qr", "mode", mode, ("full", "r", "economic"))
    found = factorizations.qr(a, pivoting=pivoting, full_matrices=kind != "economic")
    return found[1:] if kind == "r" else found


def block_diag(*arrs: Any) -> Any:
    """One matrix with those given on its diagonal; numbers and vectors are rows. Raises ShapeError for more than two axes."""
    blocks = [lnp.atleast_2d(array("block_diag", f"arrs[{n}]", x)) for n, x in enumerate(arrs)] or [lnp.zeros((1, 0))]
    for n, x in enumerate(blocks):
        if len(x.shape) != 2:
            raise op_error("block_diag", f"arrs[{n}] must have at most two axes", {f"arrs[{n}]": x}, kind=ShapeError)
    width, at, rows = sum(x.shape[1] for x in blocks), 0, []
    for x in blocks:
        rows.append(lnp.pad(x, ((0, 0), (at, width - at - x.shape[1]))))
        at += x.shape[1]
    return lnp.concatenate(rows, axis=0)


def polar(a: Any, side: str = "right", *, method: str = "qdwh", eps: Any = None, max_iterations: Any = None) -> tuple[Any, Any]:
    """(u, p) with a = u p, or p u of the ``side`` "left": u [..., m, n] has orthonormal columns (rows where m < n), p is positive
    semidefinite. By singular values, whatever ``method`` ("qdwh" or "svd") says. Raises ShapeError, DtypeError or ArgumentError."""
    choice("polar", "side", side, ("left", "right"))
    choice("polar", "method", method, ("qdwh", "svd"))
    x = matrices("polar", a, "a")
    u, s, vh = linalg.svd(x, full_matrices=False)
    scaled = (adjoint(vh) * s[..., None, :]) @ vh if side == "right" else (u * s[..., None, :]) @ adjoint(u)
    return u @ vh, scaled


def qr_multiply(a: Any, c: Any, mode: str = "right", pivoting: bool = False, conjugate: bool = False, overwrite_a: bool = False,
                overwrite_c: bool = False) -> tuple[Any, ...]:
    """(c q, r), or (q c, r) of the ``mode`` "left", q r being a [m, n]; with ``conjugate`` of conj(q). A vector c gives a vector.
    With ``pivoting`` also the order p of a's columns that they are the factors of.

    Raises ShapeError, DtypeError or ArgumentError.
    """
    choice("qr_multiply", "mode", mode, ("left", "right"))
    x, y = in_one_dtype("qr_multiply", a, c)
    whole, *rest = factorizations.qr(matrices("qr_multiply", x, "a"), pivoting=pivoting, full_matrices=False)
    q = lnp.conj(whole) if flag("qr_multiply", "conjugate", conjugate) else whole
    inner = q.shape[-1] if mode == "left" else q.shape[-2]
    if not y.shape or y.shape[0 if len(y.shape) == 1 else -2 if mode == "left" else -1] != inner:
        raise op_error("qr_multiply", f"c must have {inner} elements where it meets q", {"a": x, "c": y}, kind=ShapeError)
    return (q @ y if mode == "left" else y @ q), *rest


def _operation(name: str, trans: Any) -> tuple[bool, bool]:
    """Whether a matrix is transposed, and whether it is conjugated."""
    if not isinstance(trans, int | str) or trans not in _TRANSPOSED:
        raise op_error(name, f"trans={trans!r} must be 0, 1, 2, 'N', 'T' or 'C'", {}, kind=ArgumentError)
    return _TRANSPOSED[trans]


def _pair(name: str, what: str, given: Any, maker: str) -> tuple[Any, Any]:
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise op_error(name, f"{what} must be the pair that {maker} gives", {}, f"{name}({maker}(a), b)", ArgumentError)
    return given[0], given[1]


def _on_columns(name: str, run: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    """``run`` on a [..., n, n] and b [..., n, k], their leading axes broadcast; a vector b is one column."""
    x, y = in_one_dtype(name, a, b)
    matrices(name, x, "a", square=True)
    vector = len(y.shape) == 1
    y = y[:, None] if vector else y
    if len(y.shape) < 2 or y.shape[-2] != x.shape[-1]:
        raise op_error(name, "a must be [..., n, n] and b [n] or [..., n, k]", {"a": x, "b": y}, kind=ShapeError)
    found = run(*same_stack(name, x, y))
    return found[..., 0] if vector else found


__all__ = [
    "block_diag", "cho_factor", "cho_solve", "cholesky", "circulant", "companion", "convolution_matrix", "det", "dft", "eigh",
    "eigh_tridiagonal", "expm", "expm_frechet", "fiedler", "fiedler_companion", "funm", "hadamard", "hankel", "helmert",
    "hessenberg", "hilbert", "inv", "invhilbert", "invpascal", "leslie", "lu", "lu_factor", "lu_solve", "pascal", "polar", "qr",
    "qr_multiply", "rsf2csf", "schur", "solve", "solve_sylvester", "solve_triangular", "sqrtm", "svd", "toeplitz",
]

publish(globals(), __all__)
