"""lax.linalg.eig: eigenvalues with left and right eigenvectors, by Schur's form, so that they stand in compiled loops as well."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import flag
from leptonc.custom import custom_jvp
from leptonc.numpy.linalg import general
from leptonc.numpy.linalg.operands import adjoint, matrices
from leptonc.numpy.linalg.reflections import schur, triangular_form
from leptonc.numpy.linalg.solving import solve
from leptonc.scan import scan
from leptonc.slicing import dynamic_update_slice_in_dim
from leptonc.trace import bind


def eig(x: Any, *, compute_left_eigenvectors: bool = True, compute_right_eigenvectors: bool = True,
        enable_eigvec_derivs: bool = False, implementation: Any = None, use_magma: Any = None) -> list[Any]:
    """[eigenvalues, left eigenvectors, right eigenvectors] of any square x [..., n, n], complex always, without what is not wanted:
    vl' x = diag(w) vl' and x vr = vr diag(w). Columns have length 1, and their largest elements are real.

    With left eigenvectors all is made of Schur's form, whose order of eigenvalues is another than that of LAPACK, which is called
    without them (``numpy.linalg.eig``). Eigenvectors have a derivative with ``enable_eigvec_derivs``, right where all eigenvalues
    differ and no two elements of a vector are the largest. ``implementation`` and ``use_magma`` change nothing.

    Raises ShapeError or DtypeError.
    """
    left, right, moved = (flag("eig", what, value) for what, value in (
        ("compute_left_eigenvectors", compute_left_eigenvectors), ("compute_right_eigenvectors", compute_right_eigenvectors),
        ("enable_eigvec_derivs", enable_eigvec_derivs)))
    a = matrices("eig", x, square=True)
    if not left and not (right and moved):
        return list(general.eig(a)) if right else [general.eigvals(a)]
    w, vl, vr = (_differentiated if moved else _vectors_of)(a)
    return [w, *([vl] if left else []), *([vr] if right else [])]


def _vectors_of(a: Any) -> tuple[Any, Any, Any]:
    t, z = schur(a)
    if a.dtype.kind != "c":
        main, above, below = (lnp.diagonal(t, n, axis1=-2, axis2=-1) for n in (0, 1, -1))
        turns = lnp.where(below == 0, 0, lnp.sqrt(lnp.absolute(above)) * lnp.sqrt(lnp.absolute(below)))
        edge = lnp.zeros_like(main[..., :1])
        values = bind("complex", main, lnp.concatenate([turns, edge], -1) - lnp.concatenate([edge, turns], -1)) if a.size else main
        t, z = triangular_form(t, z)
        values = lnp.astype(values, t.dtype)
    else:
        values = lnp.diagonal(t, axis1=-2, axis2=-1)
    turned = adjoint(t)[..., ::-1, ::-1]
    left = _of_triangle(turned)[..., ::-1, ::-1]
    return values, _of_length_one(lnp.matmul(z, left)), _of_length_one(lnp.matmul(z, _of_triangle(t)))


def _of_triangle(t: Any) -> Any:
    """Eigenvectors of upper triangles [..., n, n], as columns of any length, by substitution; differences of eigenvalues are a
    rounding error of the triangle at least, and columns are divided by what grows beyond 1."""
    n = t.shape[-1]
    if not t.size:
        return t
    eye, place = np.eye(n, dtype=t.dtype), np.arange(n)
    values = lnp.diagonal(t, axis1=-2, axis2=-1)
    least = np.finfo(t.dtype).eps * lnp.max(lnp.absolute(t), axis=(-2, -1))[..., None]
    least = lnp.where(least == 0, 1, least)

    def row(x: Any, at: tuple[Any, Any]) -> tuple[Any, None]:
        line, i = at
        apart = lnp.take(values, i, axis=-1)[..., None] - values
        apart = lnp.where(lnp.absolute(apart) < least, least, apart)
        sums = lnp.matmul(lnp.where(place > i, line, 0)[..., None, :], x)[..., 0, :]
        found = lnp.where(place > i, lnp.divide(-sums, apart), 0)  # NumPy warns of NaN
        size = lnp.maximum(lnp.absolute(found), 1)[..., None, :]
        x, found = lnp.divide(x, size), lnp.divide(found, size[..., 0, :])
        return dynamic_update_slice_in_dim(x, lnp.where(place == i, 1, found)[..., None, :], i, -2), None

    found, _ = scan(row, lnp.zeros_like(t) + eye, (lnp.moveaxis(t, -2, 0)[::-1], place[::-1]))
    return found


def _of_length_one(v: Any) -> Any:
    """Columns of length 1 whose largest elements are real and positive."""
    if not v.size:
        return v
    size = lnp.absolute(v)
    most = lnp.take_along_axis(v, lnp.argmax(size, axis=-2)[..., None, :], axis=-2)
    length = lnp.sqrt(lnp.sum(lnp.square(size / lnp.absolute(most)), axis=-2, keepdims=True))
    return lnp.divide(v, most * length)


@custom_jvp
def _differentiated(a: Any) -> tuple[Any, Any, Any]:
    return _vectors_of(a)


@_differentiated.defjvp
def _moved(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
    w, vl, vr = _differentiated(*primals)
    da = lnp.astype(tangents[0], w.dtype)
    values, right = _change(w, vr, da)
    _, left = _change(lnp.conj(w), vl, adjoint(da))
    return (w, vl, vr), (values, left, right)


def _change(w: Any, v: Any, da: Any) -> tuple[Any, Any]:
    """The tangents of eigenvalues and of right eigenvectors whose length and whose largest element's phase stay (Giles 2008)."""
    eye = np.eye(w.shape[-1], dtype=bool)
    inner = solve(v, da @ v)
    apart = lnp.where(eye, 1, w[..., None, :] - w[..., :, None])
    turned = v @ lnp.where(eye, 0, inner / apart)
    place = lnp.argmax(lnp.absolute(v), axis=-2)[..., None, :]
    phase = lnp.imag(lnp.take_along_axis(turned, place, axis=-2)) / lnp.real(lnp.take_along_axis(v, place, axis=-2))
    along = lnp.real(lnp.sum(lnp.conj(v) * turned, axis=-2, keepdims=True))
    return lnp.diagonal(inner, axis1=-2, axis2=-1), turned - v * bind("complex", along, phase)
