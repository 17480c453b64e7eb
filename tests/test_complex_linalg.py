"""Linear algebra of complex matrices, eager and compiled, against NumPy: above and below a block; sorts in NumPy's order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from leptonc import lax
from leptonc import numpy as lnp
from tests.matrices import adjoint
from tests.test_linalg import both

LIMIT = {"complex64": 3e-5, "complex128": 1e-12}
EXACT = {"complex64": 2e-6, "complex128": 1e-14}


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.asarray(rng.standard_normal(shape) + 1j * rng.standard_normal(shape))


def close(x: Any, y: Any, limit: float) -> None:
    np.testing.assert_allclose(x, y, rtol=0, atol=limit * max(np.abs(y).max(initial=0), 1))


@pytest.mark.parametrize("shape, dtype", [((2, 3, 3), "complex64"), ((35, 35), "complex128"), ((0, 0), "complex64")], ids=str)
def test_what_goes_by_blocks(shape, dtype):
    n = shape[-1]
    a, b = (numbers(*shape) / max(n, 1) ** 0.5 + 2 * np.eye(n)).astype(dtype), numbers(*shape[:-1], 2).astype(dtype)

    def all_of(m: Any) -> Any:
        return lambda a, b: (m.solve(a, b), m.inv(a), m.det(a), *m.slogdet(a), m.cholesky(a @ m.matrix_transpose(a).conj()),
                             *m.qr(a))

    wanted = all_of(np.linalg)(a, b)
    for found in both(lambda a, b: all_of(lnp.linalg)(a, b), a, b):
        for x, y in zip(found, wanted, strict=True):
            assert (x.shape, x.dtype) == (y.shape, y.dtype)
            close(x, y, LIMIT[dtype])


@pytest.mark.parametrize("shape, dtype", [((2, 10, 9), "complex64"), ((2, 0), "complex64")], ids=str)
def test_orthogonal_factors(shape, dtype):
    a = numbers(*shape).astype(dtype)
    k, limit = min(shape[-2:]), EXACT[dtype] * max(shape[-1], 1)
    square = a[..., :k, :k]
    hermitian = square + adjoint(square)

    def all_of(a: Any, h: Any) -> Any:
        return (*lnp.linalg.qr(a), *lnp.linalg.eigh(h), *lnp.linalg.svd(a, full_matrices=False))

    for q, r, w, v, u, s, vh in both(all_of, a, hermitian):
        assert (w.dtype, s.dtype) == (a.real.dtype, a.real.dtype) and v.dtype == u.dtype == q.dtype == dtype
        for x in (q, v, u, adjoint(vh)):
            close(adjoint(x) @ x, np.broadcast_to(np.eye(k), (*x.shape[:-2], k, k)), limit)
        close(q @ r, a, limit)
        close(r, np.linalg.qr(a)[1], 10 * limit)
        close(hermitian @ v, v * w[..., None, :], limit)
        close(w, np.linalg.eigvalsh(hermitian), limit)
        close(u * s[..., None, :] @ vh, a, limit)
        close(s, np.linalg.svd(a, compute_uv=False), limit)


def test_pivots_and_triangles():
    a, b = numbers(2, 5, 5), numbers(2, 5, 2)
    for factors, _, order in both(lax.linalg.lu, a):
        rows = np.take_along_axis(a, np.broadcast_to(order[..., None], a.shape).astype(int), -2)
        close((np.tril(factors, -1) + np.eye(5)) @ np.triu(factors), rows, 1e-14)
    adjoint_of_lower = {"left_side": True, "lower": True, "transpose_a": True, "conjugate_a": True}
    for (x,) in both(lambda a, b: lax.linalg.triangular_solve(a, b, **adjoint_of_lower), a, b):
        close(adjoint(np.tril(a)) @ x, b, 1e-12)


def test_no_result_and_nan():
    a = np.stack([np.array([[1, 2j], [-2j, 1]]), np.eye(2), np.array([[np.nan, 0], [0, 1]])])
    for factor, w, s in both(lambda a: (lnp.linalg.cholesky(a), lnp.linalg.eigvalsh(a), lnp.linalg.svdvals(a)), a):
        assert np.isnan(factor[0][np.tril_indices(2)]).all() and np.isnan(w[2]).all() and np.isnan(s[2]).all()
        np.testing.assert_array_equal(factor[1], np.eye(2))
        close(w[:2], [[-1, 3], [1, 1]], 1e-14)


def test_what_stands_on_them():
    a, b = numbers(4, 3), numbers(4, 2)
    h = np.array([[0, 1j], [-1j, 0]])
    for x, least, norm, power in both(lambda a, b: (lnp.linalg.pinv(a), lnp.linalg.lstsq(a, b)[0], lnp.linalg.norm(a, "nuc"),
                                                    lnp.linalg.expm(1j * h)), a, b):
        close(x, np.linalg.pinv(a), 1e-13)
        close(least, np.linalg.lstsq(a, b)[0], 1e-13)
        close(norm, np.linalg.norm(a, "nuc"), 1e-13)
        close(power, np.cos(1) * np.eye(2) + 1j * np.sin(1) * h, 1e-14)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_sorts_are_numpys(dtype):
    rng = np.random.default_rng(1)
    x = (rng.integers(0, 3, (3, 20)) + 1j * rng.integers(0, 9, (3, 20))).astype(dtype)
    nan = np.nan
    x[0, :8] = [complex(nan, 1), complex(2, nan), complex(nan, nan), complex(nan, 0), complex(-nan, -5), complex(1, nan),
                complex(np.inf, 0), complex(-np.inf, 1)]
    wanted = np.sort(x), np.argsort(x, kind="stable"), np.sort(x, 0), np.lexsort([x.real, x])
    for found in both(lambda a: (lnp.sort(a), lnp.argsort(a), lnp.sort(a, axis=0), lnp.lexsort([lnp.real(a), a])), x):
        for got, right in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(got, right)
    for (values,) in both(lambda a: lax.sort((a, lnp.arange(20) * 1j), num_keys=1)[1], x[1]):
        np.testing.assert_array_equal(values, np.argsort(x[1], kind="stable") * 1j)
