"""Schur's, Hessenberg's and tridiagonal forms, and what stands on them, by what they promise: factors multiplied, equations met."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import leptonc
from leptonc import lax
from leptonc import numpy as lnp
from leptonc.errors import ArgumentError, LeptonError, ShapeError
from leptonc.scipy import linalg
from tests import matrices
from tests.matrices import adjoint, close

RNG = np.random.default_rng(5)
normal = partial(matrices.normal, RNG)
DTYPES = ("float32", "float64", "complex64", "complex128")
JITTED = leptonc.jit(lax.linalg.schur)


def check_schur(a, t, z):
    """Backward errors in units of LAPACK's, and T's form to the bit."""
    n, unit = a.shape[-1], 5 * np.finfo(a.dtype).eps * a.shape[-1]
    assert (t.dtype, z.dtype, t.shape, z.shape) == (a.dtype, a.dtype, a.shape, a.shape)
    assert np.abs(z @ t @ adjoint(z) - a).max() <= unit * np.abs(a).max() * n**0.5
    assert np.abs(adjoint(z) @ z - np.eye(n)).max() <= unit
    if a.dtype.kind == "c":
        assert not np.tril(t, -1).any()
        return
    assert not np.tril(t, -2).any()
    pairs = np.diagonal(t, -1, -2, -1) != 0
    assert not (pairs[..., 1:] & pairs[..., :-1]).any()
    for *at, k in np.argwhere(pairs):
        (p, q), (r, s) = t[tuple(at)][k:k + 2, k:k + 2]
        assert p == s and np.sign(q) == -np.sign(r)


@pytest.mark.parametrize("dtype", DTYPES)
def test_schur_of_stacks(dtype):
    a = normal(dtype, 3, 9, 9)
    for f in (lax.linalg.schur, JITTED)[:2 if dtype == "float64" else 1]:  # of hard ones below all are compiled
        check_schur(a, *f(a))


def _turned(a):
    q, _ = np.linalg.qr(RNG.normal(size=a.shape))
    return q @ a @ q.T


ODD = {
    "zeros": np.zeros((6, 6)), "identity": np.eye(6), "ones": np.ones((6, 6)), "Jordan": 2 * np.eye(6) + np.eye(6, k=1),
    "Jordan, lower": 2 * np.eye(6) + np.eye(6, k=-1), "nilpotent": np.eye(6, k=-1),
    "defective": _turned(2 * np.eye(6) + np.eye(6, k=1)), "cyclic": np.roll(np.eye(6), 1, 0),
    "rotations": np.kron(np.eye(3), [[0, 1], [-1, 0]]),
    "repeated": _turned(np.diag([1.0, 1, 1, 2, 2, 2])), "graded": 10.0**-np.arange(0, 12, 2)[:, None] * RNG.normal(size=(6, 6)),
    "tiny": 1e-30 * RNG.normal(size=(6, 6)), "huge": 1e30 * RNG.normal(size=(6, 6)), "triangle": np.triu(RNG.normal(size=(6, 6))),
    "skew": np.triu(RNG.normal(size=(6, 6)), 1), "low rank": RNG.normal(size=(6, 2)) @ RNG.normal(size=(2, 6)),
}
ODD["skew"] = ODD["skew"] - ODD["skew"].T


@pytest.mark.parametrize("dtype", DTYPES)
def test_schur_of_matrices_that_are_hard(dtype):
    """All in one stack: those that are done wait for the others."""
    a = np.stack([*ODD.values()]).astype(dtype)
    for found in (JITTED(a), lax.linalg.schur(a)):
        for name, own, t, z in zip(ODD, a, *found, strict=True):
            scale = 2.0**np.round(np.log2(np.abs(own).max() or 1)).astype(own.real.dtype)
            check_schur(own / scale, t / scale, z)
            assert name != "triangle" or (t == own).all()


def test_schur_of_a_few_and_of_no_numbers():
    for shape in ((0, 0), (0, 3, 3), (2, 1, 1), (2, 2)):
        a = RNG.normal(size=shape)
        for found in (JITTED(a), lax.linalg.schur(a)):
            assert [x.shape for x in found] == [shape, shape]
            if a.size:
                check_schur(a, *found)
    t, z = lax.linalg.schur(np.stack([np.eye(3), np.full((3, 3), np.nan)]))
    assert np.isfinite(t[0]).all() and np.isnan(t[1]).all() and np.isnan(z[1]).all()
    assert len(lax.linalg.schur(np.eye(3), compute_schur_vectors=False)) == 1


def test_schur_and_hessenberg_under_vmap_and_in_loops():
    a = RNG.normal(size=(2, 3, 4, 4))
    t, z = leptonc.jit(leptonc.vmap(linalg.schur, in_axes=1, out_axes=1))(a)
    check_schur(a, t, z)
    total, _ = lax.scan(lambda c, x: (c + lnp.sum(linalg.hessenberg(x)), None), 0.0, a[0])
    close(total, sum(np.sum(linalg.hessenberg(x)) for x in a[0]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_hessenberg(dtype):
    a = normal(dtype, 2, 6, 6)
    for f in (linalg.hessenberg, leptonc.jit(linalg.hessenberg, static_argnames="calc_q")):
        h, q = f(a, calc_q=True)
        unit = 100 * np.finfo(dtype).eps
        assert not np.tril(h, -2).any() and (f(a) == h).all()
        close(q @ h @ adjoint(q), a, unit)
        close(adjoint(q) @ q, np.broadcast_to(np.eye(6), a.shape), unit)
    for n in (0, 1, 2):
        h, q = linalg.hessenberg(a[0, :n, :n], calc_q=True)
        close(q @ h @ adjoint(q), a[0, :n, :n], unit)
    theirs = pytest.importorskip("scipy.linalg")
    for x, y in zip(linalg.hessenberg(a[0], calc_q=True), theirs.hessenberg(a[0], calc_q=True)):
        close(x, y, unit)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_products_with_reflections(dtype):
    packed, taus = lax.linalg.hessenberg(normal(dtype, 2, 5, 5))
    vectors = packed[..., 1:, :-1]
    q = lax.linalg.householder_product(vectors, taus)
    close(adjoint(q) @ q, np.broadcast_to(np.eye(4), q.shape))
    close(lax.linalg.householder_product(vectors[..., :2], taus[..., :2]),
          lax.linalg.householder_product(vectors, taus * [1, 1, 0, 0])[..., :2])
    c = normal(dtype, 2, 4, 4)
    for transpose, by in ((False, q), (True, adjoint(q))):
        close(lax.linalg.ormqr(vectors, taus, c[..., :3], transpose=transpose), by @ c[..., :3])
        close(lax.linalg.ormqr(vectors, taus, c[..., :3, :], left=False, transpose=transpose), c[..., :3, :] @ by)
    few = lax.linalg.householder_product(vectors, taus * [1, 1, 0, 0])
    close(lax.linalg.ormqr(vectors[..., :2], taus[..., :2], c), few @ c)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("lower", [False, True])
def test_tridiagonal(dtype, lower):
    a = normal(dtype, 2, 5, 5)
    whole = a + adjoint(a)
    half = np.tril(whole) if lower else np.triu(whole)
    packed, d, e, taus = lax.linalg.tridiagonal(half, lower=lower)
    assert [x.shape for x in (packed, d, e, taus)] == [(2, 5, 5), (2, 5), (2, 4), (2, 4)] and d.dtype == e.dtype == np.float64
    close(np.diagonal(packed, -1 if lower else 1, 1, 2), e)
    close(np.stack([linalg.eigh_tridiagonal(*x, eigvals_only=True) for x in zip(d, e)]), np.linalg.eigvalsh(whole))
    assert not (np.triu(packed, 1) if lower else np.tril(packed, -1)).any()


@pytest.mark.parametrize("kind", ["real", "complex"])
def test_rsf2csf_splits_pairs(kind):
    a = RNG.normal(size=(3, 6, 6)) + (1j * RNG.normal(size=(3, 6, 6)) if kind == "complex" else 0)
    t, z = linalg.rsf2csf(*linalg.schur(a))
    assert t.dtype == np.complex128 and not np.tril(t, -1).any()
    close(z @ t @ adjoint(z), a)
    close(adjoint(z) @ z, np.broadcast_to(np.eye(6), a.shape))
    assert linalg.rsf2csf(np.eye(1), np.eye(1))[0].dtype == np.complex128


def test_rsf2csf_is_scipys():
    theirs = pytest.importorskip("scipy.linalg")
    real = theirs.schur(RNG.normal(size=(7, 7)))
    for x, y in zip(leptonc.jit(linalg.rsf2csf)(*real), theirs.rsf2csf(*real)):
        close(x, y)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", ["schur", "eigen"])
def test_solutions_of_sylvesters_equation(dtype, method):
    a, b, c = normal(dtype, 2, 5, 5), normal(dtype, 3, 3) + 5 * np.eye(3, dtype=dtype), normal(dtype, 2, 5, 3)
    x = linalg.solve_sylvester(a, b, c, method=method)
    assert x.dtype == dtype
    close(a @ x + x @ b, c, 500 * np.finfo(dtype).eps)


def test_sylvesters_equation_that_is_singular_or_defective():
    jordan = 2 * np.eye(4) + np.eye(4, k=1)
    assert np.isnan(linalg.solve_sylvester(jordan, -jordan, np.eye(4))).all()
    x = linalg.solve_sylvester(jordan, jordan.T, np.eye(4))
    close(jordan @ x + x @ jordan.T, np.eye(4))
    assert linalg.solve_sylvester(np.eye(0), np.eye(2), np.ones((0, 2))).shape == (0, 2)
    assert linalg.solve_sylvester([[1]], [[2]], [[6]]).tolist() == [[2.0]]


@pytest.mark.parametrize("dtype", DTYPES)
def test_square_roots(dtype):
    a = normal(dtype, 2, 5, 5)
    x = linalg.sqrtm(a)
    assert x.dtype == np.result_type(dtype, np.complex64)
    close(x @ x, a, 1000 * np.finfo(dtype).eps)
    assert (np.linalg.eigvals(x).real > -1e-5).all()


def test_square_roots_of_odd_matrices():
    assert not linalg.sqrtm(np.zeros((3, 3))).any()
    assert not np.isfinite(linalg.sqrtm(np.eye(2, k=1))).all()
    close(linalg.sqrtm(np.diag([4.0, 0, 0])), np.diag([2, 0, 0]))
    jordan = 2 * np.eye(4) + np.eye(4, k=1)
    close(linalg.sqrtm(jordan) @ linalg.sqrtm(jordan), jordan)
    close(linalg.sqrtm(-np.eye(2)), 1j * np.eye(2))
    assert linalg.sqrtm(np.zeros((0, 0))).shape == (0, 0)


def test_functions_of_matrices():
    a = RNG.normal(size=(5, 5))
    found, error = linalg.funm(a, lnp.exp, disp=False)
    close(found, linalg.expm(a))
    assert 0 < error < 1e-12 and linalg.funm(np.zeros((0, 0)), lnp.exp).shape == (0, 0)
    close(linalg.funm(np.diag([1.0, 1, 2]), lambda x: x**3), np.diag([1, 1, 8]))
    theirs = pytest.importorskip("scipy.linalg")
    close(leptonc.jit(lambda a: linalg.funm(a, lnp.sin))(a), theirs.sinm(a))
    close(error, theirs.funm(a, np.exp, disp=False)[1], 1e-14)


def test_derivatives_of_exponentials():
    a, e = RNG.normal(size=(2, 2, 4, 4))
    found, moved = linalg.expm_frechet(a, e)
    close(found, linalg.expm(a))
    close(linalg.expm_frechet(a, e, compute_expm=False), moved)
    close(moved, (linalg.expm(a + 1e-6 * e) - linalg.expm(a - 1e-6 * e)) / 2e-6, 1e-6)
    theirs = pytest.importorskip("scipy.linalg")
    close(moved[0], theirs.expm_frechet(a[0], e[0])[1])


SPD = (lambda x: x @ x.T + np.eye(3))(RNG.normal(size=(3, 3)))
OTHER = RNG.normal(size=(3, 3))
SMOOTH = {
    "sqrtm": lambda a: lnp.sum(lnp.real(linalg.sqrtm(a)) * OTHER),
    "sylvester, A": lambda a: lnp.sum(linalg.solve_sylvester(a, SPD, OTHER)**2),
    "sylvester, B": lambda a: lnp.sum(linalg.solve_sylvester(SPD, a, OTHER)**2),
    "sylvester, C": lambda a: lnp.sum(linalg.solve_sylvester(SPD, SPD, a)**3),
    "expm_frechet": lambda a: lnp.sum(linalg.expm_frechet(a / 4, OTHER)[1] * OTHER),
    "eigh_tridiagonal": lambda a: lnp.sum(linalg.eigh_tridiagonal(a[0], a[1, :2], eigvals_only=True)**3),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives(name):
    f, move = SMOOTH[name], RNG.normal(size=(3, 3))

    def slope(g):
        return (g(SPD + 1e-5 * move) - g(SPD - 1e-5 * move)) / 2e-5

    close(np.sum(leptonc.jit(leptonc.grad(f))(SPD) * move), slope(f), 1e-6)
    close(leptonc.jvp(f, (SPD,), (move,))[1], slope(f), 1e-6)
    if name != "expm_frechet":
        close(leptonc.jvp(leptonc.grad(f), (SPD,), (move,))[1], slope(leptonc.grad(f)), 1e-5)


@pytest.mark.parametrize("f", [lax.linalg.schur, lax.linalg.hessenberg, linalg.schur, lambda a: linalg.funm(a, lnp.exp)])
def test_what_has_no_derivative_says_so(f):
    with pytest.raises(LeptonError, match=r"(schur|hessenberg): has no derivative; .*custom_vjp"):
        leptonc.grad(lambda a: lnp.sum(lnp.real(leptonc.tree.leaves(f(a))[0])))(SPD)


def test_tridiagonal_eigenvalues():
    d, e = RNG.normal(size=40), RNG.normal(size=39)
    whole = np.diag(d) + np.diag(e, 1) + np.diag(e, -1)
    for f in (linalg.eigh_tridiagonal, leptonc.jit(linalg.eigh_tridiagonal)):
        w, v = f(d, e)
        close(w, np.linalg.eigvalsh(whole))
        close(whole @ v, v * w)
        close(v.T @ v, np.eye(40))
    close(linalg.eigh_tridiagonal(d, e, eigvals_only=True, select="i", select_range=(3, 5)), w[3:6])
    between, vectors = linalg.eigh_tridiagonal(d, e, select="v", select_range=((w[2] + w[3]) / 2, (w[7] + w[8]) / 2))
    close(between, w[3:8])
    assert linalg.eigh_tridiagonal([1.0, 2, 3], [0.0, 0], eigvals_only=True, select="v", select_range=(1, 2)).tolist() == [2]
    assert vectors.shape == (40, 5)
    for n in (0, 1, 2):
        w, v = linalg.eigh_tridiagonal(d[:n], e[:max(n - 1, 0)])
        close(w, np.linalg.eigvalsh(whole[:n, :n]))
        assert v.shape == (n, n)


def test_complex_tridiagonal_eigenvectors():
    d, e = RNG.normal(size=6), RNG.normal(size=5) + 1j * RNG.normal(size=5)
    e[2] = 0
    whole = np.diag(d) + np.diag(e, 1) + np.diag(e.conj(), -1)
    w, v = linalg.eigh_tridiagonal(d.astype(complex), e)
    close(whole @ v, v * w)
    assert w.dtype == np.float64


@pytest.mark.parametrize("call, error, said", [
    (lambda: linalg.schur(OTHER, "both"), ArgumentError, "output"),
    (lambda: linalg.schur(OTHER[:2]), ShapeError, r"a must be \[..., n, n\]"),
    (lambda: linalg.solve_sylvester(SPD, SPD, OTHER[:2]), ShapeError, r"A must be \[..., m, m\], B \[..., n, n\] and C"),
    (lambda: linalg.solve_sylvester(SPD, SPD, OTHER, method="qr"), ArgumentError, "method"),
    (lambda: linalg.rsf2csf(SPD, np.eye(2)), ShapeError, "T and Z"),
    (lambda: linalg.funm(np.stack([SPD, SPD]), lnp.exp), ShapeError, r"A must be \[n, n\]"),
    (lambda: linalg.expm_frechet(SPD, np.eye(2)), ShapeError, "A and E"),
    (lambda: linalg.eigh_tridiagonal(np.ones(3), np.ones(3)), ShapeError, r"d must be \[..., n\] and e"),
    (lambda: linalg.eigh_tridiagonal(np.ones(3), np.ones(2), select="i"), ArgumentError, "select_range=None must be a pair"),
    (lambda: linalg.eigh_tridiagonal(np.ones(3), np.ones(2), select="i", select_range=(2, 1)), ArgumentError, "empty"),
    (lambda: leptonc.jit(lambda d: linalg.eigh_tridiagonal(d, d[1:], select="v", select_range=(0, 1)))(np.ones(3)), LeptonError,
     "conversion to a NumPy array"),
    (lambda: lax.linalg.ormqr(OTHER, OTHER[0], OTHER[:2]), ShapeError, "c must have 3 rows"),
    (lambda: lax.linalg.householder_product(OTHER[:2], OTHER[0, :2]), ShapeError, "m >= n >= k"),
])
def test_wrong_calls(call, error, said):
    with pytest.raises(error, match=said):
        call()
