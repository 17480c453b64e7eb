"""What factorizations of large matrices expand to, op by op: several steps of panels, levels of halves, spectra of each kind.

``FEW_PANELS`` is 1 here, so that a matrix of three blocks is cut as one of a thousand rows is. Compiled code of the same loops is
tested in ``test_linalg_accuracy.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from leptonc.ir.evaluate import evaluate
from leptonc.ir.op import get_op
from leptonc.ir.types import TensorType, dtype_of
from leptonc.ops.linalg import building, triangular
from leptonc.ops.linalg.conquering import conquered
from leptonc.ops.regions import region
from tests.matrices import adjoint

N, SEED, WORSE = 65, 7, 10  # times n eps |a|; LAPACK's errors are 0.05 to 0.4 of these


@pytest.fixture(autouse=True)
def _short_steps(monkeypatch):
    for module in (building, triangular):
        monkeypatch.setattr(module, "FEW_PANELS", 1)


def expanded(name: str, *arrays: np.ndarray, **attrs: Any) -> list[np.ndarray]:
    """The results of an op's expansion, in f64 or c128."""
    def made(*values: Any) -> Sequence[Any]:
        found = get_op(name).expand(*values, **attrs)
        return found if isinstance(found, tuple) else (found,)

    graph = region(name, [TensorType(a.shape, dtype_of(a.dtype)) for a in arrays], made)
    return [x.astype(np.result_type(x, np.float64)) for x in evaluate(graph, arrays)]


def random(rng: np.random.Generator, dtype: str, *shape: int) -> np.ndarray:
    x = rng.standard_normal(shape)
    return x + 1j * rng.standard_normal(shape) if dtype.startswith("complex") else x


def spectra(n: int) -> dict[str, np.ndarray]:
    i = np.arange(n)
    return {"random": np.random.default_rng(SEED).standard_normal(n), "clustered": 1 + 1e-6 * i / n,
            "of low rank": np.where(i < n // 3, 1.0, 0.0), "pairs": 10.0 ** -(i // 2 * 20 / n),
            "nearly singular": np.logspace(0, -16, n)}


def of_spectra(n: int, dtype: str, symmetric: bool) -> np.ndarray:
    """A stack, one matrix for each spectrum, then zeros, ones, and a graded one."""
    rng = np.random.default_rng(SEED)
    u, v = (np.linalg.qr(random(rng, dtype, n, n))[0] for _ in range(2))
    found = [(u * s) @ adjoint(u if symmetric else v) for s in spectra(n).values()]
    scales = 10.0 ** (-4 * np.arange(n) / n)
    graded = random(rng, dtype, n, n) * scales
    found += [np.zeros((n, n)), np.ones((n, n)), graded + adjoint(graded) if symmetric else graded]
    return np.stack(found).astype(dtype)


def size(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt((np.abs(x) ** 2).sum((-2, -1))))


def check(a: np.ndarray, dtype: str, *errors: np.ndarray) -> None:
    """Errors beside a, and of orthonormal columns beside 1."""
    unit = a.shape[-1] * np.finfo(dtype).eps * 0.1 * WORSE
    for error, scale in zip(errors, (size(a), *[np.sqrt(a.shape[-1])] * 2)):
        assert (error <= unit * scale + 1e-300).all(), (SEED, error / np.maximum(unit * scale, 1e-300))


@pytest.mark.parametrize("dtype", ["float32"])
def test_eigenvectors(dtype):
    a = of_spectra(N, dtype, symmetric=True)
    w, v = expanded("eigh", a)
    assert (np.diff(w) >= 0).all()
    check(a, dtype, size(a @ v - v * w[:, None, :]), size(adjoint(v) @ v - np.eye(N)))
    assert (np.abs(w - np.linalg.eigvalsh(a.astype(v.dtype))).max(-1) <= 10 * np.finfo(dtype).eps * size(a)).all(), SEED


@pytest.mark.parametrize("dtype", ["float64"])
def test_singular_vectors(dtype):
    a = of_spectra(N, dtype, symmetric=False)
    u, s, vh = expanded("svd", a, full=False)
    assert (np.diff(s) <= 0).all() and (s >= 0).all()
    check(a, dtype, size((u * s[:, None, :]) @ vh - a), size(adjoint(u) @ u - np.eye(N)), size(vh @ adjoint(vh) - np.eye(N)))


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_triangular_and_orthogonal_factors(dtype):
    a = of_spectra(N, dtype, symmetric=False)[[0, -1]] + np.eye(N, dtype=dtype)
    definite = (a @ adjoint(a)).astype(dtype)
    (lower,) = expanded("cholesky", definite)
    check(definite, dtype, size(lower @ adjoint(lower) - definite))
    factors, pivots, order = expanded("lu", a)
    left = np.tril(factors, -1) + np.eye(N)
    rows = np.take_along_axis(a, order[..., None].astype(int), -2)
    check(a, dtype, size(left @ np.triu(factors) - rows))
    for swaps, places in zip(pivots.astype(int), order.astype(int), strict=True):
        walked = np.arange(N)
        for i, j in enumerate(swaps):
            walked[[i, j]] = walked[[j, i]]
        np.testing.assert_array_equal(walked, places)
    for matrix, complete in ((a, False), (a[:, :, :40], True)):
        q, r = expanded("qr", matrix, complete=complete)
        check(matrix, dtype, size(q @ r - matrix))
        check(a, dtype, 0 * size(a), size(adjoint(q) @ q - np.eye(N)))


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("transpose", [True, False])
def test_triangular_systems_in_halves(lower, transpose):
    rng = np.random.default_rng(SEED)
    a, b = rng.standard_normal((2, N, N)) / N + 2 * np.eye(N), rng.standard_normal((2, N, 40))
    (x,) = expanded("triangular_solve", a, b, lower=lower, transpose=transpose, unit=False)
    matrix = (np.tril if lower else np.triu)(a)
    np.testing.assert_allclose((matrix.swapaxes(-1, -2) if transpose else matrix) @ x, b, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 31, 33, 64])
def test_tridiagonal_matrices_that_fall_apart(n):
    """Two equal parts and a weak link: each value stands twice, and rotations take one of each pair out."""
    d = np.abs(np.arange(n) % max(n // 2, 1) - n // 4).astype(float)
    e = np.where(np.arange(n) == n // 2 - 1, 1e-18, 1.0)
    e[-1] = 0
    graph = region("t", [TensorType((1, n), dtype_of(np.float64))] * 2, lambda d, e: conquered(d, e, n, descending=True))
    w, rows = (x[0] for x in evaluate(graph, [d[None], e[None]]))
    a = np.diag(d) + np.diag(e[:-1], 1) + np.diag(e[:-1], -1)
    assert (np.diff(w) <= 0).all()
    np.testing.assert_allclose(a @ rows.T, rows.T * w, atol=1e-14 * n)
    np.testing.assert_allclose(rows @ rows.T, np.eye(n), atol=1e-14 * n)
