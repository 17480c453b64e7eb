"""Factorizations of complex matrices, their derivatives and batches, against JAX, where it is installed."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import lax as llax
from leptonc import numpy as lnp

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")

pytestmark = pytest.mark.usefixtures("double_precision")

RNG = np.random.default_rng(31)


def numbers(*shape):
    return RNG.standard_normal(shape) + 1j * RNG.standard_normal(shape)


A = numbers(3, 3) + np.diag([4.0, 5, 7])
B = numbers(3, 2)


def definite(n, a):
    return a @ n.conj(a.T)


def oriented(v):
    """Columns whose first element is positive: JAX leaves phases to LAPACK."""
    return v * (v[0:1].conj() / abs(v[0:1]))


# name: a function of (jax.numpy or leptonc.numpy, lax) that gives one of a matrix
CASES = {
    "cholesky": lambda n, x: lambda a: n.linalg.cholesky(definite(n, a)),
    "solve": lambda n, x: lambda a: n.linalg.solve(a, n.asarray(B)), "inv": lambda n, x: n.linalg.inv,
    "det": lambda n, x: n.linalg.det,
    "adjoint solve": lambda n, x: lambda a: x.linalg.triangular_solve(a, n.asarray(B), left_side=True, lower=True, transpose_a=True,
                                                                      conjugate_a=True),
    "sign": lambda n, x: lambda a: n.linalg.slogdet(a)[0], "logabsdet": lambda n, x: lambda a: n.linalg.slogdet(a)[1],
    "lu": lambda n, x: lambda a: x.linalg.lu(a)[0],
    "q": lambda n, x: lambda a: n.linalg.qr(a)[0], "r": lambda n, x: lambda a: n.linalg.qr(a[:, :2])[1],
    "eigenvalues": lambda n, x: lambda a: n.linalg.eigh(a)[0],
    "eigenprojections": lambda n, x: lambda a: definite(n, n.linalg.eigh(a)[1][:, :1]),
    "singular values": lambda n, x: lambda a: n.linalg.svd(a[:, :2], full_matrices=False)[1],
    "low rank": lambda n, x: lambda a: (lambda u, s, vh: u[:, :1] * s[0] @ vh[:1])(*n.linalg.svd(a, full_matrices=False)),
    "of u": lambda n, x: lambda a: definite(n, n.linalg.svd(a[:, :2], full_matrices=False)[0]),
    "sort": lambda n, x: lambda a: n.sort(a, axis=0),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_derivatives(name):
    ours, theirs = CASES[name](lnp, llax), CASES[name](jnp, jax.lax)
    weights = numbers(*np.shape(ours(A)))
    stack, tangent = np.stack([A, A.T + np.eye(3)]), numbers(3, 3)

    def all_of(lib, numpy, f):
        gradient = lib.grad(lambda a: numpy.sum(numpy.real(weights * f(a))))
        return lambda a: (f(a), gradient(a), lib.vmap(f)(stack))

    found, compiled = all_of(leptonc, lnp, ours)(A), leptonc.jit(all_of(leptonc, lnp, ours))(A)
    wanted = jax.jit(all_of(jax, jnp, theirs))(A)
    for what, got, same, right in zip(("value", "gradient", "batch"), found, compiled, wanted, strict=True):
        limit = 1e-9 * max(float(np.abs(right).max()), 1)
        np.testing.assert_allclose(got, right, rtol=1e-8, atol=limit, err_msg=what)
        np.testing.assert_allclose(same, right, rtol=1e-8, atol=limit, err_msg=f"compiled {what}")
    moved, right = leptonc.jvp(ours, (A,), (tangent,))[1], jax.jvp(theirs, (jnp.asarray(A),), (jnp.asarray(tangent),))[1]
    np.testing.assert_allclose(moved, right, rtol=1e-8, atol=1e-9 * max(float(np.abs(right).max()), 1))
