"""QR factors with pivots, parts of spectra, and polar factors by Halley's iteration."""

from __future__ import annotations

import functools
from functools import partial

import numpy as np
import pytest

import leptonc
from leptonc import lax
from leptonc import numpy as lnp
from leptonc.errors import ArgumentError, ShapeError
from leptonc.scipy import linalg
from tests import matrices
from tests.matrices import adjoint, close

RNG = np.random.default_rng(12)
normal = partial(matrices.normal, RNG)
DTYPES = ("float32", "float64", "complex64", "complex128")


def pivoted(a):
    return linalg.qr(a, pivoting=True)


compiled = functools.cache(leptonc.jit)


def each_way(f, a):
    """What it gives compiled, and op by op."""
    found = compiled(f)(a)
    with leptonc.disable_jit():
        return found, f(a)


def check_pivots(a, q, r, p):
    """Factors of the columns in that order, of which each is at least as long as what the others have beyond those before."""
    n, unit = a.shape[-1], 50 * np.finfo(a.dtype).eps
    assert (np.sort(p, -1) == np.arange(n)).all() and p.dtype == np.int32
    close(q @ r, np.take_along_axis(a, p[..., None, :], -1), unit)
    close(adjoint(q) @ q, np.broadcast_to(np.eye(q.shape[-1]), (*a.shape[:-2], *2 * q.shape[-1:])), unit)
    for k in range(min(r.shape[-2:])):
        left = np.linalg.norm(r[..., k:, k:], axis=-2)
        assert (left[..., :1] >= left * (1 - unit)).all()


@pytest.mark.parametrize("shape", [(2, 7, 4), (2, 3, 4, 6)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_pivots(dtype, shape):
    a = normal(dtype, *shape)
    for q, r, p in each_way(pivoted, a):
        check_pivots(a, q, r, p)
    q, r, p = linalg.qr(a, mode="economic", pivoting=True)
    check_pivots(a, q, r, p)
    close(linalg.qr(a, mode="r", pivoting=True)[0][..., :min(shape[-2:]), :], r, 1e-4)


@pytest.mark.parametrize("a", [
    np.diag([1.0, 3.0, 2.0]), np.zeros((3, 2)), np.ones((4, 3)), np.outer([1.0, 2, 3], [0.0, 1, 2]),
    1e-200 * np.array([[3.0, 1], [1, 2]]), 1e200 * np.array([[3.0, 1], [1, 4]]), np.zeros((0, 3)), np.zeros((3, 0)),
    np.array([[1.0, -2, 2]]), np.array([[1.0], [-2]]),
], ids=["diagonal", "zeros", "ones", "rank one", "tiny", "huge", "no rows", "no columns", "row", "column"])
def test_pivots_of_odd_matrices(a):
    for q, r, p in each_way(pivoted, a):
        size = np.abs(a).max(initial=0) or 1
        check_pivots(a / size, q, r / size, p)


def test_pivots_are_scipys():
    theirs = pytest.importorskip("scipy.linalg")
    for dtype in DTYPES:
        for shape in ((6, 6), (9, 4), (4, 9)):
            a = normal(dtype, *shape)
            for found, wanted in zip(linalg.qr(a, pivoting=True), theirs.qr(a, pivoting=True), strict=True):
                np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    a, c = normal("float64", 5, 3), normal("float64", 2, 5)
    product, r, p = linalg.qr_multiply(a, c, pivoting=True)
    np.testing.assert_allclose(product @ r, c @ a[:, p], atol=1e-12)


def test_gradients_go_through_the_factors_in_that_order():
    a, weights, way = RNG.normal(size=(5, 3)), RNG.normal(size=(3, 3)), RNG.normal(size=(5, 3))

    def loss(a):
        return lnp.sum(linalg.qr(a, mode="economic", pivoting=True)[1] * weights)

    slope = (loss(a + 1e-6 * way) - loss(a - 1e-6 * way)) / 2e-6
    for found in each_way(leptonc.grad(loss), a):
        np.testing.assert_allclose(np.sum(found * way), slope, rtol=1e-6)


def test_parts_of_spectra():
    a, b = normal("complex128", 2, 5, 5), normal("float32", 2, 4, 6)
    v, w = lax.linalg.eigh(a + adjoint(a))
    part, values = lax.linalg.eigh(a + adjoint(a), subset_by_index=(1, 3))
    np.testing.assert_array_equal(values, w[:, 1:3])
    np.testing.assert_array_equal(part, v[:, :, 1:3])
    u, s, vh = leptonc.jit(lambda b: lnp.linalg.svd(b, False, subset_by_index=(0, 2)))(b)
    close((u * s[:, None]) @ vh, (lambda f: (f[0][..., :2] * f[1][:, None, :2]) @ f[2][:, :2])(np.linalg.svd(b, False)), 1e-5)
    np.testing.assert_allclose(lax.linalg.svd(b, compute_uv=False, subset_by_index=(1, 4)), np.linalg.svd(b)[1][:, 1:], rtol=1e-4)
    for wrong in ((2, 2), (0, 6), (3, 1)):
        with pytest.raises(ArgumentError):
            lax.linalg.eigh(a, subset_by_index=wrong)
    with pytest.raises(ArgumentError):
        lax.linalg.svd(b, subset_by_index=(0, 2))


@pytest.mark.parametrize("shape", [(5, 5), (12, 7)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_polar_factors(dtype, shape):
    """Well and badly conditioned ones."""
    a, unit = normal(dtype, *shape), 20 * np.finfo(dtype).eps
    steep = (a * 10.0 ** -(np.arange(shape[1]) % 4)).astype(dtype)
    for x in (a, steep, a * 1000):
        for u, h, steps, converged in each_way(lax.linalg.qdwh, x):
            assert converged and steps.dtype == np.int32 and 0 < steps <= 7
            close(adjoint(u) @ u, np.eye(shape[1]), unit)
            close(u @ h / np.abs(x).max(), x / np.abs(x).max(), unit)
            assert np.linalg.eigvalsh(h).min() > 0
            np.testing.assert_array_equal(h, adjoint(h))


def test_polar_factors_of_singular_matrices():
    """u h is x still."""
    for x in (np.zeros((3, 3)), np.ones((4, 2)), np.diag([1.0, 0.0])):
        u, h, _, _ = lax.linalg.qdwh(x)
        close(u @ h, x, 1e-15)
        assert np.linalg.eigvalsh(h).min() > -1e-14
    assert lax.linalg.qdwh(np.zeros((4, 0)))[0].shape == (4, 0)
    assert not lax.linalg.qdwh(np.diag([1.0, 1e-3]), max_iterations=2)[3]


@pytest.mark.parametrize("call", [
    lambda: lax.linalg.qdwh(np.ones((2, 3))), lambda: lax.linalg.qdwh(np.ones((2, 2, 2))), lambda: lax.linalg.qdwh(np.ones(3)),
    lambda: lax.linalg.qdwh(np.eye(2), dynamic_shape=(2, 2)), lambda: lax.linalg.qdwh(np.eye(2), max_iterations=-1),
])
def test_what_has_no_polar_factors(call):
    with pytest.raises((ArgumentError, ShapeError)):
        call()
