"""QR, eigenvalues, singular values, and what stands on them: residuals of every kind of matrix, eager and compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import leptonc
from leptonc import lax
from leptonc import numpy as lnp
from leptonc.errors import LeptonError
from tests.test_linalg import both, check, check_derivatives, stack

RNG = np.random.default_rng(11)
HILBERT = 1.0 / (np.arange(24)[:, None] + np.arange(24) + 1)
BASIS = np.linalg.qr(RNG.standard_normal((24, 24)))[0]
SQUARE = {
    "random": RNG.standard_normal((2, 24, 24)), "odd": RNG.standard_normal((1, 7, 7)), "one": np.full((1, 1, 1), -3.0),
    "zero": np.zeros((2, 4, 4)), "ill-conditioned": HILBERT, "of rank one": np.ones((24, 24)),
    "two by two": np.array([[2.0, 1], [1, 2]]), "repeated": BASIS @ np.diag(np.repeat([1.0, 2, 3], 8)) @ BASIS.T,
    "graded": np.diag(10.0 ** -np.arange(24)) @ RNG.standard_normal((24, 24)),
}
TALL = {"tall": RNG.standard_normal((2, 40, 6)), "wide": RNG.standard_normal((6, 40)), "no columns": np.zeros((3, 0)),
        "of rank two": RNG.standard_normal((40, 2)) @ RNG.standard_normal((2, 34))}


def close(x: Any, y: Any, like: np.ndarray) -> None:
    """Equal but for some rounding errors of the whole of ``like``."""
    size = np.finfo(like.dtype).eps * max(np.abs(like).max(initial=0) * max(like.shape[-2:], default=1), 1e-30)
    np.testing.assert_allclose(x, y, rtol=0, atol=8 * size)


def orthonormal(x: np.ndarray) -> None:
    found, limit = x.swapaxes(-1, -2) @ x, 8 * max(x.shape) * np.finfo(x.dtype).eps
    np.testing.assert_allclose(found, np.broadcast_to(np.eye(x.shape[-1]), found.shape), atol=limit)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SQUARE)
def test_eigenvectors_of_every_kind(name, dtype):
    a = ((SQUARE[name] + SQUARE[name].swapaxes(-1, -2)) / 2).astype(dtype)
    for w, v in both(lnp.linalg.eigh, a):
        close(a @ v, v * w[..., None, :], a)
        orthonormal(v)
        close(w, np.linalg.eigvalsh(a), a)


def reduced(a: Any) -> Any:
    return (tuple(lnp.linalg.svd(a, full_matrices=False)),)


def reduced_and_full(a: Any) -> Any:
    return *reduced(a), tuple(lnp.linalg.svd(a))


@pytest.mark.parametrize("name", [*SQUARE, *TALL])
def test_singular_vectors_of_every_kind(name):
    a = (SQUARE | TALL)[name]
    k = min(a.shape[-2:])
    f = reduced_and_full if name in TALL else reduced
    for full, (u, s, vh) in (pair for results in both(f, a) for pair in enumerate(results)):
        assert (u.shape[-1], vh.shape[-2]) == ((a.shape[-2], a.shape[-1]) if full else (k, k))
        close((u[..., :k] * s[..., None, :]) @ vh[..., :k, :], a, a)
        orthonormal(u)
        orthonormal(vh.swapaxes(-1, -2))
        close(s, np.linalg.svd(a, compute_uv=False), a)


@pytest.mark.parametrize("name", ["random", "ill-conditioned", "zero", *TALL])
def test_qr_is_lapacks(name):
    a = (SQUARE | TALL)[name]
    modes = ("reduced", "complete")
    for results in both(lambda a: tuple(tuple(lnp.linalg.qr(a, mode)) for mode in modes), a):
        for mode, (q, r) in zip(modes, results, strict=True):
            assert [q.shape, r.shape] == [x.shape for x in np.linalg.qr(a, mode)]
            close(q @ r, a, a)
            orthonormal(q)
            np.testing.assert_array_equal(r, np.triu(r))
    if name in ("random", "tall", "wide"):
        check(lambda a: tuple(lnp.linalg.qr(a)), lambda a: tuple(np.linalg.qr(a)), a)


def test_a_matrix_with_nan_is_nan_and_the_others_are_not():
    x = np.stack([np.full((3, 3), np.nan), np.eye(3), np.array([[np.inf, 0, 0], [0, 1, 0], [0, 0, 1]])])
    for results in both(lambda a: (*lnp.linalg.eigh(a), *lnp.linalg.svd(a), lnp.linalg.pinv(a)), x):
        for found in results:
            assert np.isnan(found[[0, 2]]).all() and np.isfinite(found[1]).all()


def test_one_triangle_is_read_if_asked_for():
    a = SQUARE["odd"][0] + SQUARE["odd"][0].T
    for lower, half in ((True, np.tril), (False, np.triu)):
        given = half(a) + 9 * (1 - half(np.ones((7, 7))))
        for _, w in both(lambda a, low=lower: lax.linalg.eigh(a, lower=low, symmetrize_input=False), given):
            close(w, np.linalg.eigvalsh(a), a)
        for (w,) in both(lambda a, low=lower: lnp.linalg.eigvalsh(a, "L" if low else "U", symmetrize_input=False), given):
            close(w, np.linalg.eigvalsh(a), a)


@pytest.mark.parametrize("name", ["random", "tall", "wide"])
def test_what_stands_on_singular_values(name):
    a = (SQUARE | TALL)[name]

    def all_of(m: Any) -> Any:
        return lambda a: (m.svdvals(a), m.pinv(a), m.matrix_rank(a), m.cond(a), m.matrix_norm(a, ord="nuc"),
                          m.matrix_norm(a, ord=2, keepdims=True), m.matrix_norm(a, ord=-2), m.trace(a, offset=1),
                          m.diagonal(a, offset=-2))

    check(all_of(lnp.linalg), all_of(np.linalg), a)


def test_ranks_and_least_squares_of_a_matrix_without_full_rank():
    a, b = TALL["of rank two"], RNG.standard_normal((40, 3))

    def numpys(a: Any, b: Any) -> Any:
        x = np.linalg.lstsq(a, b)[0]
        return x, ((b - a @ x) ** 2).sum(0), np.int64(2), np.linalg.svdvals(a), np.int64(2)

    check(lambda a, b: (*lnp.linalg.lstsq(a, b), lnp.linalg.matrix_rank(a, tol=1e-9)), numpys, a, b)


@pytest.mark.parametrize("keepdims", [False, True])
def test_norms_of_every_order(keepdims):
    a = RNG.standard_normal((3, 4, 2))

    def all_of(m: Any) -> Any:
        def f(a: Any) -> Any:
            vectors = [m.vector_norm(a, ord=o, axis=1, keepdims=keepdims) for o in (0, 1, 2, 3, -1, 0.5, np.inf, -np.inf)]
            matrices = [m.norm(a, o, (2, 0), keepdims) for o in (None, "fro", 1, -1, np.inf, -np.inf)]
            whole = [m.vector_norm(a, keepdims=keepdims), m.norm(a, keepdims=keepdims), m.norm(a, 2, 1), m.norm(a[0], 1)]
            return (*vectors, *matrices, *whole)

        return f

    check(all_of(lnp.linalg), all_of(np.linalg), a)


def test_chains_and_exponentials():
    shapes = [(3,), (3, 7), (7, 2), (2,)]
    check(lambda *a: lnp.linalg.multi_dot(a), lambda *a: np.linalg.multi_dot(a), *(RNG.standard_normal(s) for s in shapes))
    a = stack((2, 4, 4), 5)
    for scale in (0.1, 1.0, 8.0):
        w, v = np.linalg.eig(a * scale)
        for (found,) in both(lnp.linalg.expm, a * scale):
            np.testing.assert_allclose(found, ((v * np.exp(w)[..., None, :]) @ np.linalg.inv(v)).real, rtol=1e-10)
    for (found,) in both(lambda a: lnp.linalg.expm(a, max_squarings=1), a * 100):
        assert np.isnan(found).all()


@pytest.mark.parametrize("function", [
    lambda a: lnp.linalg.qr(a)[0] + lnp.linalg.qr(a)[1], lambda a: lnp.linalg.qr(a[:2])[1], lambda a: lnp.linalg.eigh(a + a.T)[1],
    lambda a: lnp.linalg.eigvalsh(a + a.T), lambda a: lnp.linalg.svd(a[:, :2], full_matrices=False)[0],
    lambda a: lnp.linalg.svd(a[:2], full_matrices=False)[2], lnp.linalg.svdvals, lambda a: lnp.linalg.pinv(a[:2]),
    lambda a: lnp.linalg.lstsq(a[:, :2], np.arange(3.0))[0], lambda a: lnp.linalg.norm(a, "nuc"), lnp.linalg.expm,
    lambda a: lnp.linalg.multi_dot([a, a, a]), lambda a: lnp.linalg.trace(a @ a), lambda a: lnp.linalg.cond(a, 1),
], ids=["qr", "wide qr", "eigenvectors", "eigvalsh", "tall svd", "wide svd", "svdvals", "pinv", "lstsq", "nuc", "expm", "multi_dot",
        "trace", "cond"])
def test_gradients_are_those_of_finite_differences_twice(function):
    a = stack((3, 3), 3) + np.diag([0.0, 1, 3])
    weights = np.random.default_rng(3).standard_normal(np.shape(function(a)))
    check_derivatives(lambda a: lnp.sum(weights * function(a)), a)


def test_singular_values_of_wide_stacks_are_batched_by_vmap():
    a = RNG.standard_normal((3, 2, 5))
    np.testing.assert_allclose(leptonc.jit(leptonc.vmap(lnp.linalg.svdvals))(a), np.linalg.svdvals(a))


@pytest.mark.parametrize("call, words", [
    (lambda: lnp.linalg.qr(np.eye(3), "full"), "qr: mode"), (lambda: lnp.linalg.eigh(np.ones((2, 3))), "eigh: x must be"),
    (lambda: lnp.linalg.eigh(np.eye(2), "X"), "UPLO"), (lambda: lnp.linalg.svdvals(np.ones(3)), "svdvals: x must be"),
    (lambda: lnp.linalg.lstsq(np.ones((2, 3)), np.ones(3)), "lstsq: a must be"),
    (lambda: lnp.linalg.norm(np.ones((2, 3)), 3), "ord=3"),
    (lambda: lnp.linalg.norm(np.ones((2, 3, 4)), 2), "3 axes"),
    (lambda: lnp.linalg.vector_norm(np.ones(3), ord="fro"), "ord='fro'"),
    (lambda: lnp.linalg.multi_dot([np.ones((2, 3)), np.ones((2, 3))]), "multi_dot: each must"),
    (lambda: lnp.linalg.multi_dot([np.ones(2)]), "two arrays or more"),
    (lambda: lnp.linalg.expm(np.ones((2, 3))), "expm: A must be"),
    (lambda: leptonc.jit(lnp.linalg.eig)(np.ones((2, 3))), "eig: x must be"),
    (lambda: leptonc.grad(lambda a: lnp.sum(lnp.abs(lnp.linalg.eig(a)[1])))(np.eye(2)), "lapack_eig: has no derivative"),
    (lambda: leptonc.grad(lambda a: lnp.sum(lnp.linalg.qr(a, "complete")[0]))(np.ones((3, 2))), "complete q"),
    (lambda: leptonc.grad(lambda a: lnp.sum(lnp.linalg.svd(a)[0]))(np.ones((3, 2))), "full_matrices=False"),
])
def test_wrong_operands_are_named(call, words):
    with pytest.raises(LeptonError, match=words):
        call()


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8", "c16"])
def test_eigenvalues_of_other_matrices_are_lapacks_and_complex(dtype):
    rng = np.random.default_rng(0)
    a = (rng.standard_normal((3, 5, 5)) + (1j * rng.standard_normal((3, 5, 5)) if dtype[0] == "c" else 0)).astype(dtype)
    a[1] = np.eye(5)
    kind = np.result_type(dtype, np.complex64)
    wanted = np.linalg.eigvals(a.astype(np.result_type(dtype, np.float32)))
    for f in (lnp.linalg.eig, leptonc.jit(lnp.linalg.eig), leptonc.vmap(lnp.linalg.eig)):
        values, vectors = f(a)
        assert values.dtype == vectors.dtype == kind
        np.testing.assert_allclose(values, wanted, rtol=30 * np.finfo(kind).eps)
        np.testing.assert_allclose(a @ vectors, vectors * values[:, None], atol=30 * np.finfo(kind).eps)
    for f in (lnp.linalg.eigvals, leptonc.jit(lnp.linalg.eigvals)):
        np.testing.assert_allclose(f(a), wanted, rtol=30 * np.finfo(kind).eps)
        assert f(a[:, :0, :0]).shape == (3, 0) and f(a[:0]).shape == (0, 5)


def test_eigenvalues_of_other_matrices_that_are_not_finite_are_nan():
    a = np.stack([np.diag([1.0, 2.0]), [[np.nan, 0], [0, 1]], [[np.inf, 0], [0, 1]]])
    for f in (lambda a: lnp.linalg.eig(a)[0], lnp.linalg.eigvals, leptonc.jit(lnp.linalg.eigvals)):
        np.testing.assert_array_equal(np.isnan(f(a)), [[False] * 2, [True] * 2, [True] * 2])


@pytest.mark.parametrize("dtype", ["f8", "c16"])
def test_derivatives_of_eigenvalues_of_other_matrices(dtype):
    rng = np.random.default_rng(1)
    a, da = (rng.standard_normal((2, 4, 4)) + (1j * rng.standard_normal((2, 4, 4)) if dtype[0] == "c" else 0) for _ in range(2))

    def f(x):
        values = lnp.linalg.eigvals(x)
        return lnp.sum(lnp.real(values ** 3) + lnp.abs(values) + lnp.imag(values) ** 2)

    step = 1e-6
    slope = (f(a + step * da) - f(a - step * da)) / (2 * step)
    for transformed in (lambda g: g, leptonc.jit):
        np.testing.assert_allclose(transformed(lambda x, t: leptonc.jvp(f, (x,), (t,))[1])(a, da), slope, rtol=1e-6)
        gradient = transformed(leptonc.grad(f))(a)
        np.testing.assert_allclose(np.sum((gradient * da).real), slope, rtol=1e-6)
