"""Factors of one matrix in strips, compiled: any number of strips, few and many rows in the last, matrices that have no factor."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import numpy as lnp

EPS = {"f4": np.finfo("f4").eps, "f8": np.finfo("f8").eps}


def definite(n: int, dtype: str, scale: float = 1.0) -> np.ndarray:
    x = np.random.default_rng(n).standard_normal((n, n))
    return ((x @ x.T / n + np.eye(n)) * scale).astype(dtype)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n", [33, 40, 64, 65, 250, 257, 300, 545])
def test_cholesky(n, dtype):
    a = definite(n, dtype)
    found = np.asarray(leptonc.jit(lnp.linalg.cholesky)(a)).astype("f8")
    assert not np.triu(found, 1).any()
    assert np.linalg.norm(found @ found.T - a) <= 2 * n * EPS[dtype] * np.linalg.norm(a)
    np.testing.assert_allclose(found, np.linalg.cholesky(a.astype("f8")), rtol=0, atol=50 * EPS[dtype] * np.sqrt(n))


def test_what_is_not_symmetric_counts_by_its_mean():
    a = definite(100, "f8")
    skew = np.triu(np.random.default_rng(1).standard_normal((100, 100)), 1)
    got = leptonc.jit(lnp.linalg.cholesky)(a + skew - skew.T)
    np.testing.assert_allclose(got, np.linalg.cholesky(a), atol=1e-12)


@pytest.mark.parametrize("at", [0, 5, 31, 32, 63, 130, 299])
@pytest.mark.parametrize("pivot", [-1.0, 0.0, np.nan])
def test_without_a_factor_the_triangle_is_nan(at, pivot):
    a = definite(300, "f4")
    a[at, :] = a[:, at] = 0
    a[at, at] = pivot
    got = np.asarray(leptonc.jit(lnp.linalg.cholesky)(a))
    rows, columns = np.tril_indices(300)
    assert np.isnan(got[rows, columns]).all() and not np.triu(got, 1).any()


@pytest.mark.parametrize("dtype", ["f4", "c16"])
@pytest.mark.parametrize("n", [3, 5, 20, 40, 70, 300])
def test_an_infinite_pivot_is_its_own_root(n, dtype):
    """As by LAPACK, whichever way a matrix goes; an infinity beside the diagonal leaves no factor."""
    a = definite(n, dtype)
    a[n // 2] = a[:, n // 2] = 0
    a[n // 2, n // 2] = np.inf
    stack = np.stack([a, definite(n, dtype)])
    for got in (np.asarray(leptonc.jit(lnp.linalg.cholesky)(a)), np.asarray(leptonc.jit(lnp.linalg.cholesky)(stack))[0]):
        np.testing.assert_allclose(got, np.linalg.cholesky(a), atol=1e-4)
    a[n // 2, 0] = a[0, n // 2] = np.inf
    assert np.isnan(np.asarray(leptonc.jit(lnp.linalg.cholesky)(a))[np.tril_indices(n)]).all()


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_large_and_small_numbers(scale):
    a = definite(200, "f4", scale)
    got = np.asarray(leptonc.jit(lnp.linalg.cholesky)(a)).astype("f8")
    np.testing.assert_allclose(got @ got.T / scale, a.astype("f8") / scale, atol=1e-5)


def test_many_of_one_program_and_gradients(rng):
    """Under vmap there is a stack, which goes another way; a gradient solves by the factor."""
    a = np.stack([definite(70, "f8"), definite(70, "f8", 3.0)])
    one = np.stack([np.asarray(leptonc.jit(lnp.linalg.cholesky)(x)) for x in a])
    np.testing.assert_allclose(leptonc.jit(leptonc.vmap(lnp.linalg.cholesky))(a), one, atol=1e-12)
    w = rng.standard_normal((70, 70))

    def loss(a):
        return lnp.sum(w * lnp.linalg.cholesky(a))

    gradient = np.asarray(leptonc.jit(leptonc.grad(loss))(a[0]))
    d = rng.standard_normal((70, 70)) * 1e-6
    slope = (np.sum(w * np.linalg.cholesky(_mean(a[0] + d))) - np.sum(w * np.linalg.cholesky(_mean(a[0] - d)))) / 2
    np.testing.assert_allclose(np.sum(gradient * d), slope, rtol=1e-6)


def _mean(a: np.ndarray) -> np.ndarray:
    return (a + a.T) / 2


def test_few_threads_and_many_give_the_same(monkeypatch):
    a, found = definite(400, "f4"), set()
    for threads in ("1", "2", "3"):
        monkeypatch.setenv("LEPTONC_NUM_THREADS", threads)
        found.add(np.asarray(leptonc.jit(lambda x: lnp.linalg.cholesky(x))(a)).tobytes())
    assert len(found) == 1
