"""Solutions of equations: any solver's values, with the derivatives of the equations, first and second, and batched."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import lax
from leptonc import numpy as lnp
from leptonc.errors import LeptonError, ShapeError, TreeError

RNG = np.random.default_rng(0)
A, B, W = RNG.standard_normal((3, 3)) + 4 * np.eye(3), RNG.standard_normal(3), RNG.standard_normal(3)


def relaxed(matvec, b):
    """A loop without a reverse mode."""
    return lax.while_loop(lambda s: s[1] < 80, lambda s: (s[0] + 0.15 * (b - matvec(s[0])), s[1] + 1), (b * 0, 0))[0]


def solved(a, b):
    return lax.custom_linear_solve(lambda x: a @ x, b, relaxed, transpose_solve=relaxed)


def forward_only(a, b):
    return lax.custom_linear_solve(lambda x: a @ x, b, relaxed)


def loss(f):
    return lambda a, b: lnp.sum(W * lnp.sin(f(a, b)))


def test_solutions_and_derivatives():
    ways = {"value": lambda f: f, "gradient": lambda f: leptonc.grad(loss(f), (0, 1)),
            "tangent": lambda f: lambda a, b: leptonc.jvp(f, (a, b), (a.T, b[::-1]))[1],
            "second": lambda f: leptonc.hessian(loss(f)), "reverse twice": lambda f: leptonc.jacrev(leptonc.grad(loss(f), 1))}
    for name, way in ways.items():
        got, wanted = way(solved)(A, B), way(lnp.linalg.solve)(A, B)
        for g, w in zip(leptonc.tree.leaves(got), leptonc.tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(g, w, rtol=1e-9, atol=1e-12, err_msg=name)
    for run in (solved, leptonc.jit(solved)):
        np.testing.assert_allclose(run(A, B), np.linalg.solve(A, B))
    np.testing.assert_allclose(leptonc.jvp(forward_only, (A, B), (A.T, B))[1], leptonc.jvp(solved, (A, B), (A.T, B))[1])
    many = np.stack([A, A.T]), np.stack([B, 2 * B])
    gradients = leptonc.vmap(leptonc.grad(loss(solved)))(*many)
    for a, b, got in zip(*many, gradients, strict=True):
        np.testing.assert_allclose(got, leptonc.grad(loss(lnp.linalg.solve))(a, b), rtol=1e-9)


def test_what_only_the_solver_closes_over_is_constant():
    def f(a, b):
        factor = lnp.linalg.cholesky(a)

        def solve(matvec, b):
            half = lax.linalg.triangular_solve(factor, b[:, None], left_side=True, lower=True)
            return lax.linalg.triangular_solve(factor, half, left_side=True, lower=True, transpose_a=True)[:, 0], lnp.sum(b)

        return lax.custom_linear_solve(lambda x: a @ x, b, solve, symmetric=True, has_aux=True)

    square = A @ A.T
    x, aux = leptonc.jit(f)(square, B)
    np.testing.assert_allclose((*x, aux), (*np.linalg.solve(square, B), B.sum()))
    got, wanted = (leptonc.grad(loss(g))(square, B) for g in (lambda a, b: f(a, b)[0], lnp.linalg.solve))
    np.testing.assert_allclose(got, wanted)


def root(a):
    def solve(f, x):
        return lax.while_loop(lambda s: s[1] < 200, lambda s: (s[0] - 0.1 * f(s[0]), s[1] + 1), (x, 0))[0]

    return lax.custom_root(lambda x: x**3 - a, lnp.asarray(1.0), solve, lambda g, y: y / g(1.0))


def test_roots():
    slope, curve = 2.0 ** (-2 / 3) / 3, -2 / 9 * 2.0 ** (-5 / 3)
    for run in (leptonc.jit(root), root):
        np.testing.assert_allclose(run(2.0), 2.0 ** (1 / 3))
    np.testing.assert_allclose(leptonc.grad(root)(2.0), slope)
    np.testing.assert_allclose(leptonc.jvp(root, (2.0,), (3.0,))[1], 3 * slope)
    np.testing.assert_allclose([leptonc.grad(leptonc.grad(root))(2.0), leptonc.jacfwd(leptonc.grad(root))(2.0)], curve)
    np.testing.assert_allclose(leptonc.vmap(leptonc.grad(root))(np.array([2.0, 2.0])), slope)


def test_what_does_not_fit():
    with pytest.raises(LeptonError, match="reverse mode needs its transpose; fix: give transpose_solve"):
        leptonc.grad(loss(forward_only))(A, B)
    with pytest.raises(ShapeError, match="matvec gives"):
        leptonc.jit(lambda b: lax.custom_linear_solve(lambda x: x[:2], b, relaxed))(B)
    with pytest.raises(TreeError, match="structure"):
        leptonc.jit(lambda b: lax.custom_linear_solve(lambda x: x, b, lambda f, b: {"x": b}))(B)
