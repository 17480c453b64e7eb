"""lax.linalg's forms that Householder's reflections make, as LAPACK packs them: Hessenberg's, Schur's and tridiagonal ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import flag
from leptonc.errors import ShapeError, op_error
from leptonc.numpy.elementwise import as_float
from leptonc.numpy.linalg.operands import adjoint, cropped, in_one_dtype, masked, matrices
from leptonc.scan import scan
from leptonc.slicing import dynamic_slice_in_dim, dynamic_update_slice_in_dim
from leptonc.trace import bind


def schur(x: Any, *, compute_schur_vectors: bool = True, sort_eig_vals: bool = False,
          select_callable: Any = None) -> tuple[Any, ...]:
    """(T, Z) with Z T Z' = x [..., n, n], Z unitary, or (T,) without ``compute_schur_vectors``. T is upper triangular, but for 2x2
    blocks on its diagonal of pairs of conjugate eigenvalues of a real x, each of the form [[p, q], [r, p]] with q r < 0.

    By Francis's QR iterations on the Hessenberg form; NaN of a matrix that is not finite. ``sort_eig_vals`` and ``select_callable``
    change nothing, as in JAX; nor has it a derivative there. Raises ShapeError or DtypeError.
    """
    t, z = bind("schur", matrices("schur", x, square=True))
    return (t, z) if flag("schur", "compute_schur_vectors", compute_schur_vectors) else (t,)


def triangular_form(t: Any, z: Any) -> tuple[Any, Any]:
    """Complex triangles of ``schur``'s real forms t and z [..., n, n]: each 2x2 block is split by a rotation, its eigenvalue with
    the positive imaginary part first."""
    t, z = (lnp.astype(x, np.result_type(x.dtype, np.complex64)) for x in (t, z))
    if t.shape[-1] < 2:
        return t, z
    (t, z), _ = scan(_split, (t, z), np.arange(t.shape[-1] - 1)[::-1])
    return lnp.triu(t), z


def _split(factors: tuple[Any, Any], k: Any) -> tuple[tuple[Any, Any], None]:
    """Rows k and k + 1 turned so that the element below the diagonal is 0, if it is not a rounding error of those on it."""
    t, z = factors
    pair = dynamic_slice_in_dim(t, k, 2, -2)
    block = dynamic_slice_in_dim(pair, k, 2, -1)
    a, b, c, d = (block[..., i, j] for i in (0, 1) for j in (0, 1))
    least = lnp.absolute(c) <= np.finfo(t.dtype).eps * (lnp.absolute(a) + lnp.absolute(d))
    half = (a - d) / 2
    root = lnp.sqrt(half * half + b * c)
    above = half + lnp.where(lnp.real(half * lnp.conj(root)) < 0, -root, root)  # an eigenvalue less d
    size = lnp.sqrt(lnp.square(lnp.absolute(above)) + lnp.square(lnp.absolute(c)))
    size = lnp.where(least, 1, size)
    cosine, sine = lnp.where(least, 1, lnp.divide(above, size)), lnp.where(least, 0, lnp.divide(c, size))
    turn = lnp.stack([lnp.stack([cosine, -lnp.conj(sine)], -1), lnp.stack([sine, lnp.conj(cosine)], -1)], -2)
    t = dynamic_update_slice_in_dim(t, lnp.matmul(adjoint(turn), pair), k, -2)
    t = dynamic_update_slice_in_dim(t, lnp.matmul(dynamic_slice_in_dim(t, k, 2, -1), turn), k, -1)
    return (t, dynamic_update_slice_in_dim(z, lnp.matmul(dynamic_slice_in_dim(z, k, 2, -1), turn), k, -1)), None


def hessenberg(a: Any) -> tuple[Any, Any]:
    """(h, taus) of a [..., n, n]: Hessenberg's form on and above the first subdiagonal of h, below it the vectors of the n - 1
    reflections that make it, whose factors are taus [..., n - 1]. It has no derivative, as in JAX.

    Raises ShapeError or DtypeError.
    """
    packed, taus = bind("hessenberg", matrices("hessenberg", a, "a", square=True))
    return packed, taus


def householder_product(a: Any, taus: Any) -> Any:
    """The first n columns [..., m, n] of the product of the reflections I - tau v v' whose vectors stand below the diagonal of a
    [..., m, n], each without its one, and whose factors are taus [..., k], k <= n <= m. It has no derivative, as in JAX.

    Raises ShapeError or DtypeError.
    """
    x, factors = in_one_dtype("householder_product", a, taus, ("a", "taus"))
    return bind("householder_product", matrices("householder_product", x, "a"), factors)


def ormqr(a: Any, taus: Any, c: Any, *, left: bool = True, transpose: bool = False) -> Any:
    """Q c, or c Q without ``left``, of the product Q [..., m, m] of the reflections in a [..., m, n] and taus [..., k]; Q' for Q
    with ``transpose``. Raises ShapeError or DtypeError."""
    x, factors = in_one_dtype("ormqr", a, taus, ("a", "taus"))
    x, y = in_one_dtype("ormqr", x, c, ("a", "c"))
    m, n = matrices("ormqr", x, "a").shape[-2:]
    matrices("ormqr", y, "c")
    first = flag("ormqr", "left", left)
    if y.shape[-2 if first else -1] != m:
        raise op_error("ormqr", f"c must have {m} {'rows' if first else 'columns'}", {"a": x, "c": y}, kind=ShapeError)
    square = lnp.pad(x, [(0, 0)] * (len(x.shape) - 1) + [(0, m - n)]) if n < m else cropped(x, (0, 0), (m, m))
    q = bind("householder_product", square, as_float(factors))
    q = adjoint(q) if flag("ormqr", "transpose", transpose) else q
    return q @ y if first else y @ q


def tridiagonal(a: Any, *, lower: bool = True) -> tuple[Any, Any, Any, Any]:
    """(a, d, e, taus) of Hermitian a [..., n, n], of which one triangle is read: the tridiagonal form's diagonal d and e beside it,
    real; it and the reflections' vectors stand in that triangle of the a that is given back, their factors are taus [..., n - 1].

    It has no derivative, as in JAX. Raises ShapeError or DtypeError.
    """
    x = matrices("tridiagonal", a, "a", square=True)
    low = flag("tridiagonal", "lower", lower)
    ahead = x if low else x[..., ::-1, ::-1]
    half = masked(ahead, lower=True, offset=-1)
    main = lnp.real(lnp.diagonal(ahead, axis1=-2, axis2=-1))
    whole = half + adjoint(half) + lnp.where(lnp.eye(x.shape[-1], dtype=bool), lnp.astype(main, x.dtype)[..., None], 0)
    packed, taus = hessenberg(whole)
    packed = lnp.where(lnp.tri(x.shape[-1], dtype=bool), packed, ahead)
    d = lnp.real(lnp.diagonal(packed, axis1=-2, axis2=-1))
    e = lnp.real(lnp.diagonal(packed, -1, axis1=-2, axis2=-1))
    return (packed, d, e, taus) if low else (packed[..., ::-1, ::-1], d[..., ::-1], e[..., ::-1], taus[..., ::-1])
