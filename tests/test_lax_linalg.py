"""lax.linalg's eigenvectors of both sides, tridiagonal systems and updates, by the equations they solve."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import leptonc
from leptonc import lax
from leptonc import numpy as lnp
from leptonc.errors import DtypeError, LeptonError, ShapeError
from tests import matrices
from tests.matrices import adjoint, close

RNG = np.random.default_rng(8)
normal = partial(matrices.normal, RNG)
DTYPES = ("float32", "float64", "complex64", "complex128")


def check_eig(a, w, vl, vr):
    unit = 50 * np.finfo(a.dtype).eps
    assert w.dtype == vl.dtype == vr.dtype == np.result_type(a.dtype, np.complex64)
    close(a @ vr, vr * w[..., None, :], unit)
    close(adjoint(vl) @ a, w[..., None] * adjoint(vl), unit)
    for v in (vl, vr):
        close(np.linalg.norm(v, axis=-2), np.ones(w.shape), unit)
        most = np.abs(v) >= (1 - 1e-5) * np.abs(v).max(-2, keepdims=True)  # any of them
        assert (np.abs(np.where(most, v.imag, 1)).min(-2) <= unit).all()
    if a.dtype.kind != "c":
        assert (np.sort(w.imag, -1) == -np.sort(w.imag, -1)[..., ::-1]).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_eig_of_both_sides(dtype):
    a = normal(dtype, 2, 6, 6)
    check_eig(a, *lax.linalg.eig(a))
    whole = np.stack([2 * np.eye(6) + np.eye(6, k=1), np.zeros((6, 6)), np.diag([1.0, 1, 1, 2, 2, 3]), np.roll(np.eye(6), 1, 0)])
    f = leptonc.jit(lax.linalg.eig) if dtype in ("float64", "complex64") else lax.linalg.eig
    check_eig(whole.astype(dtype), *f(whole.astype(dtype)))


def test_what_is_not_wanted_is_left_out():
    a = RNG.normal(size=(5, 5))
    w, vr = lax.linalg.eig(a, compute_left_eigenvectors=False)
    close(a @ vr, vr * w)
    (values,) = lax.linalg.eig(a, compute_left_eigenvectors=False, compute_right_eigenvectors=False)
    close(np.sort_complex(values), np.sort_complex(np.linalg.eigvals(a)))
    w, vl = lax.linalg.eig(a, compute_right_eigenvectors=False)
    close(adjoint(vl) @ a, w[:, None] * adjoint(vl))
    assert [x.shape for x in lax.linalg.eig(np.zeros((2, 0, 0)))] == [(2, 0), (2, 0, 0), (2, 0, 0)]
    assert np.isnan(lax.linalg.eig(np.full((2, 2), np.nan))[0]).all()


def test_derivatives_of_eigenvectors():
    a, move = RNG.normal(size=(2, 4, 4))
    weights = RNG.normal(size=(4, 4))

    def f(a):
        w, vl, vr = lax.linalg.eig(a, enable_eigvec_derivs=True)
        return lnp.real(lnp.sum(w**2) + lnp.sum(vl * weights) + lnp.sum(vr * weights))

    slope = (f(a + 1e-6 * move) - f(a - 1e-6 * move)) / 2e-6
    close(leptonc.jvp(f, (a,), (move,))[1], slope, 1e-6)
    close(np.sum(leptonc.grad(f)(a) * move), slope, 1e-6)
    with pytest.raises(LeptonError, match="schur: has no derivative"):
        leptonc.grad(lambda a: lnp.real(lnp.sum(lax.linalg.eig(a)[1])))(a)


def _tridiagonal(dl, d, du):
    a = np.zeros((*d.shape, d.shape[-1]), d.dtype)
    for n in range(d.shape[-1]):
        a[..., n, n] = d[..., n]
    for n in range(d.shape[-1] - 1):
        a[..., n + 1, n], a[..., n, n + 1] = dl[..., n + 1], du[..., n]
    return a


@pytest.mark.parametrize("dtype", DTYPES)
def test_tridiagonal_systems(dtype):
    dl, d, du, b = (normal(dtype, *shape) for shape in ((2, 7), (2, 7), (2, 7), (2, 7, 3)))
    d[:, ::2] = 0  # which only pivots help against
    d[:, -1] = 1
    for f in (lax.linalg.tridiagonal_solve, leptonc.jit(lax.linalg.tridiagonal_solve)):
        x = f(dl, d, du, b)
        assert x.dtype == dtype
        close(_tridiagonal(dl, d, du) @ x, b, 1e3 * np.finfo(dtype).eps)
    for n in (1, 2):
        x = lax.linalg.tridiagonal_solve(dl[0, :n], d[0, :n] + 1, du[0, :n], b[0, :n])
        close(_tridiagonal(dl[0, :n], d[0, :n] + 1, du[0, :n]) @ x, b[0, :n], 1e3 * np.finfo(dtype).eps)
    assert lax.linalg.tridiagonal_solve(d[:, :0], d[:, :0], d[:, :0], b[:, :0]).shape == (2, 0, 3)


def test_singular_tridiagonal_systems():
    ones = np.ones(4)
    zero = np.zeros(4)
    with np.errstate(all="ignore"):
        assert not np.isfinite(lax.linalg.tridiagonal_solve(zero, zero, zero, ones[:, None])).any()
    right = np.array([[0.0], [0], [0], [1]])
    near = lax.linalg.tridiagonal_solve(ones, ones * [1, 1, 1, 0], zero, right, perturb_singular=True)
    assert np.isfinite(near).all() and near[3] > 1e15


def test_derivatives_of_tridiagonal_systems():
    parts = [RNG.normal(size=shape) for shape in ((5,), (5,), (5,), (5, 2))]
    moves = [RNG.normal(size=x.shape) for x in parts]

    def f(*parts):
        return lnp.sum(lax.linalg.tridiagonal_solve(*parts) ** 2)

    ahead, back = (f(*(x + h * m for x, m in zip(parts, moves))) for h in (1e-7, -1e-7))
    close(leptonc.jvp(f, tuple(parts), tuple(moves))[1], (ahead - back) / 2e-7, 1e-5)
    slopes = leptonc.jit(leptonc.grad(f, argnums=(0, 1, 2, 3)))(*parts)
    close(sum(np.sum(s * m) for s, m in zip(slopes, moves)), (ahead - back) / 2e-7, 1e-5)
    assert slopes[0][0] == slopes[2][-1] == 0


def test_updates_and_products():
    r, vector = np.triu(RNG.normal(size=(5, 5))), RNG.normal(size=5)
    for w in (vector, vector * [1, 0, 0, 1, 0]):
        found = lax.linalg.cholesky_update(r, w)
        close(found.T @ found, r.T @ r + np.outer(w, w))
        assert np.abs(np.tril(found, -1)).max() < 1e-14
    assert (lax.linalg.cholesky_update(np.zeros((2, 2)), np.zeros(2)) == 0).all()
    a, c = RNG.normal(size=(2, 4, 3)), RNG.normal(size=(2, 4, 4))
    close(lax.linalg.symmetric_product(a, c, alpha=2.0, beta=0.5), 2 * a @ np.swapaxes(a, 1, 2) + c / 2)
    whole = lax.linalg.symmetric_product(a, c, beta=1.0, symmetrize_output=True)
    assert (whole == np.swapaxes(whole, 1, 2)).all()


@pytest.mark.parametrize("call, error, said", [
    (lambda: lax.linalg.eig(np.ones((2, 3))), ShapeError, r"x must be \[..., n, n\]"),
    (lambda: lax.linalg.tridiagonal_solve(np.ones(2), np.ones(3), np.ones(3), np.ones((3, 1))), ShapeError, "dl, d and du"),
    (lambda: lax.linalg.cholesky_update(np.eye(3), np.ones(2)), ShapeError, r"r_matrix must be \[n, n\]"),
    (lambda: lax.linalg.cholesky_update(np.eye(2) * 1j, np.ones(2)), DtypeError, "must be real"),
    (lambda: lax.linalg.symmetric_product(np.ones((2, 3)), np.eye(3)), ShapeError, "a_matrix must be"),
])
def test_wrong_calls(call, error, said):
    with pytest.raises(error, match=said):
        call()
