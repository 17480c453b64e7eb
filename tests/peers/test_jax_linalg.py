"""Linear algebra, its first and second derivatives and batches, against JAX, where it is installed."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import lax as llax
from leptonc import numpy as lnp

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")

pytestmark = pytest.mark.usefixtures("double_precision")

RNG = np.random.default_rng(21)
A = RNG.standard_normal((4, 4)) + np.diag([4.0, 5, 7, 10])
B = RNG.standard_normal((4, 3))


def spd(a):
    return a @ a.T


def oriented(v):
    """Columns of which the element that is largest is positive: JAX leaves the sign to LAPACK."""
    return v * v[0:1] / abs(v[0:1])


# name: a function of (jax.numpy or leptonc.numpy, lax) that gives one of a matrix
CASES = {
    "cholesky": lambda n, x: lambda a: n.linalg.cholesky(spd(a)),
    "cholesky of what is not symmetric": lambda n, x: lambda a: n.linalg.cholesky(a),
    "right solve": lambda n, x: lambda a: x.linalg.triangular_solve(a, n.asarray(B.T), lower=False, transpose_a=True),
    "unit solve": lambda n, x: lambda a: x.linalg.triangular_solve(a, n.asarray(B), left_side=True, unit_diagonal=True),
    "lu": lambda n, x: lambda a: x.linalg.lu(a)[0], "tall lu": lambda n, x: lambda a: x.linalg.lu(a[:, :2])[0],
    "solve": lambda n, x: lambda a: n.linalg.solve(a, n.asarray(B)), "det": lambda n, x: n.linalg.det,
    "slogdet": lambda n, x: lambda a: n.linalg.slogdet(a)[1],
    "tall q": lambda n, x: lambda a: n.linalg.qr(a[:, :2])[0], "wide r": lambda n, x: lambda a: n.linalg.qr(a[:2])[1],
    "eigenvectors": lambda n, x: lambda a: oriented(n.linalg.eigh(a)[1]),
    "eigh of lax": lambda n, x: lambda a: x.linalg.eigh(spd(a))[1],
    "u": lambda n, x: lambda a: oriented(n.linalg.svd(a[:, :3], full_matrices=False)[0]),
    "nuc": lambda n, x: lambda a: n.linalg.norm(a, "nuc"),
    "pinv": lambda n, x: n.linalg.pinv, "lstsq": lambda n, x: lambda a: n.linalg.lstsq(a[:, :2], n.asarray(B))[0],
    "cond": lambda n, x: n.linalg.cond,
}
BY_OPS = ("lu", "pinv")  # of which JAX cannot compile a second derivative beside the others


@pytest.mark.parametrize("name", CASES)
def test_values_and_derivatives(name):
    """Ours op by op, which is quick; that compiled code gives the same is tested elsewhere."""
    ours, theirs = CASES[name](lnp, llax), CASES[name](jnp, jax.lax)
    weights = RNG.standard_normal(np.shape(ours(A)))
    tangent, stack = RNG.standard_normal((4, 4)), np.stack([A, A.T + np.eye(4), A + 2 * np.eye(4)])

    def all_of(lib, numpy, f):
        def number(a):
            return numpy.sum(weights * f(a))

        def along(a):
            return numpy.sum(lib.grad(number)(a) * tangent)

        return lambda a: (f(a), lib.grad(number)(a), lib.grad(along)(a), lib.jvp(f, (a,), (tangent,))[1], lib.vmap(f)(stack))

    found = all_of(leptonc, lnp, ours)(A), (all_of(jax, jnp, theirs) if name in BY_OPS else jax.jit(all_of(jax, jnp, theirs)))(A)
    for what, got, wanted in zip(("value", "gradient", "second derivative", "tangent", "batch"), *found, strict=True):
        limit = 1e-9 * max(float(np.abs(wanted).max()), 1)
        np.testing.assert_allclose(got, wanted, rtol=1e-8, atol=limit, err_msg=what)


def test_the_exponential():
    expm = pytest.importorskip("jax.scipy.linalg").expm
    for scale in (0.05, 1.0):
        np.testing.assert_allclose(leptonc.jit(lnp.linalg.expm)(A * scale), expm(A * scale), rtol=1e-10)
        np.testing.assert_allclose(leptonc.grad(lambda a: lnp.sum(lnp.linalg.expm(a)))(A * scale),
                                   jax.grad(lambda a: jnp.sum(expm(a)))(A * scale), rtol=1e-9)


def test_matrices_without_a_result():
    """NaN and infinities where JAX has them."""
    indefinite, singular = np.array([[1.0, 2.0], [2.0, 1.0]]), np.diag([1.0, 2.0, 0.0, 3.0])
    np.testing.assert_array_equal(leptonc.jit(lnp.linalg.cholesky)(indefinite), jnp.linalg.cholesky(indefinite))
    for name in ("det", "slogdet", "matrix_rank"):
        np.testing.assert_array_equal(getattr(lnp.linalg, name)(singular), getattr(jnp.linalg, name)(singular))
    np.testing.assert_allclose(leptonc.grad(lnp.linalg.det)(singular), jax.grad(jnp.linalg.det)(singular))
    nan = np.full((3, 3), np.nan)
    for f in (lambda n: n.linalg.eigh(nan), lambda n: n.linalg.svd(nan), lambda n: (n.linalg.inv(nan), n.linalg.qr(nan)[1])):
        assert all(np.isnan(x).all() for x in f(jnp)) == all(np.isnan(x).all() for x in f(lnp))
