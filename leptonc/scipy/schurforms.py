"""Schur's and Hessenberg's forms in SciPy's spelling, and what stands on them: Sylvester's equation, square roots, functions.

All of these are made of the triangles column by column: each is the solution of a system of equations with the same triangle, and
another number added to its diagonal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import choice, flag, function, integer, number
from leptonc.custom import custom_jvp
from leptonc.errors import ShapeError, op_error
from leptonc.forward import jvp
from leptonc.implicit import custom_linear_solve
from leptonc.numpy.linalg import eig, inv
from leptonc.numpy.linalg import factorizations as lax_linalg
from leptonc.numpy.linalg.functions import expm
from leptonc.numpy.linalg.operands import adjoint, in_one_dtype, matrices, same_stack
from leptonc.numpy.linalg.reflections import triangular_form
from leptonc.scan import scan
from leptonc.slicing import dynamic_update_slice_in_dim
from leptonc.trace import bind


def schur(a: Any, output: str = "real") -> tuple[Any, Any]:
    """(T, Z) with Z T Z' = a [..., n, n], Z unitary and T upper triangular, but for 2x2 blocks on its diagonal of pairs of
    conjugate eigenvalues of a real a. With ``output`` "complex" a is taken as complex, and T is a triangle.

    Eigenvalues stand in no order. It has no derivative, as in JAX. Raises ShapeError, DtypeError or ArgumentError.
    """
    kind = choice("schur", "output", output, ("real", "complex"))
    x = matrices("schur", a, "a", square=True)
    t, z = lax_linalg.schur(_complex(x) if kind == "complex" else x)
    return t, z


def hessenberg(a: Any, *, calc_q: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """H with Q H Q' = a [..., n, n], zero below its first subdiagonal, or (H, Q) with ``calc_q``, Q unitary. It has no derivative,
    as in JAX. Raises ShapeError or DtypeError."""
    x = matrices("hessenberg", a, "a", square=True)
    packed, taus = lax_linalg.hessenberg(x)
    h = lnp.triu(packed, -1)
    if not flag("hessenberg", "calc_q", calc_q):
        return h
    return h, _with_first(lax_linalg.householder_product(packed[..., 1:, :-1], taus)) if x.shape[-1] else h


def _with_first(q: Any) -> Any:
    """[[1, 0], [0, q]]"""
    edges = [(0, 0)] * (len(q.shape) - 2) + [(1, 0), (1, 0)]
    corner = np.zeros((q.shape[-2] + 1, q.shape[-1] + 1), q.dtype)
    corner[0, 0] = 1
    return lnp.pad(q, edges) + corner


def _complex(x: Any) -> Any:
    return lnp.astype(x, np.result_type(x.dtype, np.complex64))


def rsf2csf(T: Any, Z: Any, check_finite: bool = True) -> tuple[Any, Any]:
    """Complex triangles T and Z of the real forms T and Z [..., n, n] that ``schur`` gives: each 2x2 block is split by a rotation.

    Raises ShapeError or DtypeError.
    """
    t, z = in_one_dtype("rsf2csf", T, Z, ("T", "Z"))
    n = matrices("rsf2csf", t, "T", square=True).shape[-1]
    if matrices("rsf2csf", z, "Z", square=True).shape[-1] != n:
        raise op_error("rsf2csf", "T and Z must be [..., n, n]", {"T": t, "Z": z}, kind=ShapeError)
    t, z = same_stack("rsf2csf", t, z)
    return triangular_form(t, z)


def _shifted_solution(triangle: Any, shift: Any, right: Any) -> tuple[Any, Any]:
    """(x, d) with (triangle + shift) x = right for upper triangles [..., n, n], numbers [...] and vectors [..., n]; d is the
    diagonal, of which a 0 counts as 1."""
    eye = np.eye(triangle.shape[-1], dtype=bool)
    moved = lnp.where(eye, triangle + shift[..., None, None], triangle)
    diagonal = lnp.diagonal(moved, axis1=-2, axis2=-1)
    moved = lnp.where(eye & (moved == 0), 1, moved)
    return lax_linalg.triangular_solve(moved, right[..., None], left_side=True)[..., 0], diagonal


def _columns(x: Any) -> tuple[Any, Any]:
    """The columns [n, ..., m] of x [..., m, n], and their places, as ``scan`` takes them."""
    return lnp.moveaxis(x, -1, 0), np.arange(x.shape[-1])


def _in_place(x: Any, column: Any, j: Any) -> Any:
    return dynamic_update_slice_in_dim(x, column[..., None], j, -1)


def solve_sylvester(A: Any, B: Any, C: Any, *, method: str = "schur", tol: float = 1e-8) -> Any:
    """X [..., m, n] with A X + X B = C, of A [..., m, m] and B [..., n, n], whose leading axes broadcast: by Schur's forms (Bartels
    and Stewart 1972), or by eigenvectors with ``method`` "eigen", which is less accurate and calls LAPACK.

    NaN where an eigenvalue of A and one of B add up to less than ``tol``. It has all derivatives. Raises ShapeError, DtypeError or
    ArgumentError.
    """
    name = "solve_sylvester"
    kind = choice(name, "method", method, ("schur", "eigen"))
    a, b = in_one_dtype(name, A, B, ("A", "B"))
    a, c = in_one_dtype(name, a, C, ("A", "C"))
    b = lnp.astype(b, c.dtype)
    m, n = matrices(name, a, "A", square=True).shape[-1], matrices(name, b, "B", square=True).shape[-1]
    if matrices(name, c, "C").shape[-2:] != (m, n):
        raise op_error(name, "A must be [..., m, m], B [..., n, n] and C [..., m, n]", {"A": a, "B": b, "C": c}, kind=ShapeError)
    a, c = same_stack(name, a, c)
    b, c = same_stack(name, b, c)
    a, _ = same_stack(name, a, c)
    return _sylvester(a, b, c, _FORMS[kind], number(name, "tol", tol)) if c.size else c


def _sylvester(a: Any, b: Any, c: Any, forms: Callable[[Any], tuple[Any, ...]], tol: Any) -> Any:
    first, second = (forms(bind("stop_gradient", x)) for x in (a, b))

    def solved(_: Any, right: Any) -> Any:
        return _by_forms(first, second, right, tol)

    def turned(_: Any, right: Any) -> Any:
        return lnp.matrix_transpose(_by_forms(second, first, lnp.matrix_transpose(right), tol))

    return custom_linear_solve(lambda x: a @ x + x @ b, c, solved, turned)


def _by_schur(x: Any) -> tuple[Any, ...]:
    """(T, Z, Z') with x = Z T Z'."""
    t, z = schur(x, "complex")
    return t, z, adjoint(z)


def _by_eigenvectors(x: Any) -> tuple[Any, ...]:
    """(T, V, V^-1) with x = V T V^-1, T diagonal."""
    values, vectors = eig(x)
    return values[..., None] * np.eye(x.shape[-1], dtype=values.dtype), vectors, inv(vectors)


_FORMS = {"schur": _by_schur, "eigen": _by_eigenvectors}


def _by_forms(first: tuple[Any, ...], second: tuple[Any, ...], c: Any, tol: Any) -> Any:
    """X of A X + X B = c, of the forms of A and B."""
    (r, u, back), (s, v, w) = first, second
    right = back @ lnp.astype(c, r.dtype) @ v

    def column(y: Any, at: tuple[Any, Any, Any]) -> tuple[Any, None]:
        f, over, j = at
        shift = lnp.take(over, j, axis=-1)
        found, _ = _shifted_solution(r, shift, f - (y @ over[..., None])[..., 0])
        return _in_place(y, found, j), None

    columns, places = _columns(right)
    y, _ = scan(column, lnp.zeros_like(right), (columns, _columns(s)[0], places))
    sums = lnp.diagonal(r, axis1=-2, axis2=-1)[..., :, None] + lnp.diagonal(s, axis1=-2, axis2=-1)[..., None, :]
    near = lnp.any(lnp.absolute(sums) < tol, axis=(-2, -1), keepdims=True)
    x = lnp.where(near, np.nan, u @ y @ w)
    return x if c.dtype.kind == "c" else lnp.real(x)


def sqrtm(A: Any, blocksize: int = 1) -> Any:
    """The principal square roots of A [..., n, n], complex always: X with X X = A, by Schur's form (Bjorck and Hammarling 1983);
    infinities or NaN where there is none. ``blocksize`` changes nothing.

    It has all derivatives, where no two eigenvalues of X add up to 0. Raises ShapeError, DtypeError or ArgumentError.
    """
    integer("sqrtm", "blocksize", blocksize, least=1)
    a = _complex(matrices("sqrtm", A, "A", square=True))
    return _root(a) if a.size else a


@custom_jvp
def _root(a: Any) -> Any:
    t, z = schur(a)
    root = lnp.sqrt(lnp.diagonal(t, axis1=-2, axis2=-1))
    row = np.arange(a.shape[-1])

    def column(u: Any, at: tuple[Any, Any]) -> tuple[Any, None]:
        over, j = at
        x, divisor = _shifted_solution(u, lnp.take(root, j, axis=-1), lnp.where(row < j, over, 0))
        x = lnp.where((divisor == 0) & (x != 0), np.inf, x)
        return _in_place(u, lnp.where(row < j, x, lnp.where(row == j, root, 0)), j), None

    u, _ = scan(column, root[..., None] * np.eye(a.shape[-1], dtype=a.dtype), _columns(t))
    return lnp.matmul(lnp.matmul(z, u), adjoint(z))  # NumPy warns of infinities


@_root.defjvp
def _root_moved(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
    """Of X X = A: X dX + dX X = dA."""
    x = _root(*primals)
    return x, _sylvester(x, x, tangents[0], _by_schur, 0)


def funm(A: Any, func: Callable[[Any], Any], disp: bool = True) -> Any:
    """f(A) for A [n, n], complex always, of a function ``func`` of a vector of complex eigenvalues, by Parlett's recurrence on
    Schur's form, which is bad where eigenvalues are near each other; with ``disp`` False (f(A), an estimate of the relative error).

    It has no derivative, as in JAX. Raises ShapeError or DtypeError.
    """
    function("funm", "func", func)
    a = matrices("funm", A, "A", square=True)
    if len(a.shape) != 2:
        raise op_error("funm", "A must be [n, n]", {"A": a}, kind=ShapeError)
    t, z = rsf2csf(*schur(a))
    values = lnp.diagonal(t)
    n, row, of_values = a.shape[-1], np.arange(a.shape[-1]), lnp.astype(func(values), t.dtype)

    def column(f: Any, at: tuple[Any, Any]) -> tuple[Any, None]:
        over, j = at
        above = lnp.where(row < j, over, 0)
        x, _ = _shifted_solution(t, -lnp.take(values, j), f @ above - lnp.take(of_values, j) * above)
        return _in_place(f, lnp.where(row < j, x, lnp.where(row == j, of_values, 0)), j), None

    f = lnp.diag(of_values)
    f = scan(column, f, _columns(t))[0] if n else f
    found = z @ f @ adjoint(z)
    return found if flag("funm", "disp", disp) else (found, _error_of(found, t))


def _error_of(f: Any, t: Any) -> Any:
    """SciPy's estimate of the error of Parlett's recurrence on a triangle."""
    eps, n = np.finfo(t.dtype).eps, t.shape[-1]
    if not n:
        return np.asarray(eps)
    values = lnp.diagonal(t)
    apart = lnp.where(np.eye(n, dtype=bool), lnp.absolute(values[0]), lnp.absolute(values[:, None] - values))
    least = lnp.min(apart)
    size = lnp.max(lnp.sum(lnp.absolute(lnp.triu(t, 1)), axis=0))
    error = lnp.clip(eps / lnp.where(least == 0, eps, least) * size, eps, 1)
    return lnp.where(lnp.any(lnp.isinf(f)), np.inf, error)


def expm_frechet(A: Any, E: Any, *, method: str | None = None, compute_expm: bool = True) -> Any:
    """(the exponentials of A [..., n, n], their derivatives in the directions E [..., n, n]), or the latter alone without
    ``compute_expm``; ``method``, SciPy's, changes nothing. Raises ShapeError or DtypeError."""
    a, e = in_one_dtype("expm_frechet", A, E, ("A", "E"))
    if matrices("expm_frechet", a, "A", square=True).shape != matrices("expm_frechet", e, "E").shape:
        raise op_error("expm_frechet", "A and E must be of one shape", {"A": a, "E": e}, kind=ShapeError)
    found, moved = jvp(expm, (a,), (e,))
    return (found, moved) if flag("expm_frechet", "compute_expm", compute_expm) else moved
