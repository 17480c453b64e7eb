"""keras.ops.math, linalg and core where Keras's own tests do not look: traced, in gradients, at the edges."""

from __future__ import annotations

from importlib.util import find_spec
from math import erf, erfc

import numpy as np
import pytest

if find_spec("keras") is None:
    pytest.skip("Keras is not installed", allow_module_level=True)

import leptonc
from leptonc import numpy as lnp
from leptonc.keras.src.ops import core, linalg, math, selection

RNG = np.random.default_rng(0)
IDS = np.array([0, 2, 2, 1, -1, 2, 7], "int32")
NEUTRAL = {"sum": 0, "prod": 1, "max": -np.inf, "min": np.inf}
UFUNCS = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum}


def both(function, *arrays):
    eager, compiled = function(*arrays), leptonc.jit(function)(*arrays)
    assert eager.dtype == compiled.dtype and eager.shape == compiled.shape
    np.testing.assert_allclose(compiled, eager, rtol=2e-5, atol=1e-6)
    return eager


@pytest.mark.parametrize("name", NEUTRAL)
@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 2)])
def test_segments(name, dtype, shape):
    data = (RNG.normal(size=(7, *shape)) * 5).astype(dtype)
    neutral = NEUTRAL[name]
    if dtype == "int32" and np.isinf(neutral):
        neutral = np.iinfo("int32").min if neutral < 0 else np.iinfo("int32").max
    wanted = np.full((4, *shape), neutral, dtype)
    inside = (IDS >= 0) & (IDS < 4)
    UFUNCS[name].at(wanted, IDS[inside], data[inside])
    run = getattr(math, f"segment_{name}")
    found = both(lambda data, ids: run(data, ids, 4), data, IDS)
    assert found.dtype == data.dtype
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert run(data, IDS).shape == (8, *shape)
    with pytest.raises(ValueError, match="num_segments"):
        leptonc.jit(run)(data, IDS)


def test_gradients_of_segments_go_to_the_rows_that_count():
    data = RNG.normal(size=(7, 2)).astype("float32")
    inside = (IDS >= 0) & (IDS < 3)
    np.testing.assert_allclose(leptonc.grad(lambda x: math.segment_sum(x, IDS, 3).sum())(data), np.repeat(inside[:, None], 2, 1))
    greatest = leptonc.grad(lambda x: math.segment_max(x, IDS, 3).sum())(data)
    np.testing.assert_allclose(greatest, np.isin(data, math.segment_max(data, IDS, 3)) & inside[:, None])


def test_in_top_k():
    scores = RNG.integers(0, 6, size=(50, 7)).astype("float32")
    labels = RNG.integers(-2, 9, size=50).astype("int32")
    scores[0], labels[0] = np.nan, 3
    for k in (1, 3, 7):
        wanted = [0 <= t < 7 and not np.isnan(row[t]) and (row > row[t]).sum() < k for row, t in zip(scores, labels)]
        np.testing.assert_array_equal(both(lambda labels, scores, k=k: math.in_top_k(labels, scores, k), labels, scores), wanted)


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (-1, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_logsumexp(axis, keepdims):
    x = (RNG.normal(size=(2, 3, 4)) * 300).astype("float32")
    top = x.max(axis, keepdims=True).astype("float64")
    wanted = np.log(np.exp(x - top).sum(axis, keepdims=True)) + top
    wanted = wanted if keepdims else wanted.squeeze(axis)
    np.testing.assert_allclose(both(lambda x: math.logsumexp(x, axis, keepdims), x), wanted, rtol=1e-6)


def test_error_functions():
    x = np.array([-2, -1, -0.25, 0, 0.5, 3, 8], "float32")
    np.testing.assert_allclose(both(math.erfc, x), [erfc(v) for v in x], rtol=2e-6)
    inside = np.array([-0.99, -0.5, 0, 0.3, 0.9], "float32")
    np.testing.assert_allclose([erf(v) for v in both(math.erfinv, inside)], inside, rtol=1e-6)
    np.testing.assert_allclose(both(math.gammainc, np.float32(1), np.abs(inside)), 1 - np.exp(-np.abs(inside)), rtol=1e-5)
    assert both(math.erfc, np.arange(3, dtype="int32")).dtype == "float32"
    np.testing.assert_allclose(leptonc.grad(math.erfc)(np.float32(1)), -2 / np.sqrt(np.pi) / np.e, rtol=1e-6)


@pytest.mark.parametrize("length, stride", [(3, 2), (4, 4), (2, 5), (16, 1)])
def test_extract_sequences(length, stride):
    x = RNG.normal(size=(2, 16)).astype("float32")
    wanted = np.lib.stride_tricks.sliding_window_view(x, length, axis=-1)[:, ::stride]
    np.testing.assert_array_equal(both(lambda x: math.extract_sequences(x, length, stride), x), wanted)


@pytest.mark.parametrize("ord, axis", [(None, None), (None, 1), (3, 1), (0, 0), (1, -1), (-np.inf, 1), ("fro", (0, 1)), (1, (0, 1)),
                                       (-1, (1, 0)), (np.inf, (0, 1)), (-np.inf, None)])
def test_norm(ord, axis):
    x = RNG.normal(size=(4, 5)).astype("float32")
    for keepdims in (False, True):
        wanted = np.linalg.norm(x.astype("float64"), ord, axis, keepdims)
        np.testing.assert_allclose(both(lambda x, k=keepdims: linalg.norm(x, ord, axis, k), x), wanted, rtol=1e-5)


@pytest.mark.parametrize("ord", [2, -2, "nuc"])
def test_norms_by_singular_values(ord):
    x = RNG.normal(size=(3, 4, 5)).astype("float32")
    wanted = np.linalg.norm(x, ord, (2, 0), True)
    np.testing.assert_allclose(both(lambda x: linalg.norm(x, ord, (2, 0), True), x), wanted, rtol=1e-5)


def test_decompositions_in_a_trace():
    """Each is Keras's own with NumPy, and the matrix that they make is the one that they were made of."""
    x = RNG.normal(size=(2, 4, 4)).astype("float32")
    a = x @ x.swapaxes(-1, -2) + np.eye(4, dtype="float32")

    def rebuilt(a):
        factor, (q, r), (w, v), (u, s, vh) = linalg.cholesky(a), linalg.qr(a), linalg.eigh(a), linalg.svd(a)
        half = linalg.solve_triangular(factor, a, lower=True)
        whole = [factor @ lnp.matrix_transpose(factor), q @ r, v * w[..., None, :] @ lnp.matrix_transpose(v),
                 u * s[..., None, :] @ vh,
                 factor @ half, a @ linalg.solve(a, a), linalg.inv(linalg.inv(a)), linalg.inv(linalg.cholesky_inverse(factor)),
                 linalg.inv(linalg.cholesky_inverse(linalg.cholesky(a, upper=True), upper=True)), linalg.pinv(linalg.pinv(a))]
        rank, factors, least = linalg.matrix_rank(a), linalg.lu_factor(a), linalg.lstsq(a[0], a[1])
        return lnp.stack(whole), linalg.logdet(a), linalg.det(a), rank, factors, least

    whole, logdet, det, rank, (factors, pivots), least = leptonc.jit(rebuilt)(a)
    np.testing.assert_allclose(whole, np.broadcast_to(a, whole.shape), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(np.exp(logdet), np.linalg.det(a), rtol=1e-4)
    np.testing.assert_allclose(det, np.linalg.det(a), rtol=1e-4)
    np.testing.assert_array_equal(rank, [4, 4])
    assert rank.dtype == pivots.dtype == "int32" and factors.shape == a.shape
    np.testing.assert_allclose(a[0] @ least, a[1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("n", [0, 1, 2, 5, -3])
def test_matrix_power(n):
    x = RNG.normal(size=(2, 3, 3)) + 2 * np.eye(3)
    np.testing.assert_allclose(linalg.matrix_power(x, n), np.linalg.matrix_power(x, n), rtol=1e-4)


def test_jvp_of_trees():
    x, t = RNG.normal(size=(2, 3)).astype("float32"), RNG.normal(size=(2, 3)).astype("float32")

    def run(x, t):
        out, tangent, aux = linalg.jvp(lambda x: ({"a": lnp.sin(x), "b": x * x}, x.sum()), (x,), (t,), has_aux=True)
        return lnp.stack([out["a"], out["b"], tangent["a"], tangent["b"], lnp.broadcast_to(aux, x.shape)])

    wanted = np.stack([np.sin(x), x * x, np.cos(x) * t, 2 * x * t, np.broadcast_to(x.sum(), x.shape)])
    np.testing.assert_allclose(both(run, x, t), wanted, rtol=1e-4, atol=1e-5)


def test_scatter_into_arrays_and_traced_values():
    at, new = np.array([[0, 1], [1, 2]]), np.array([5.0, 6.0], "float32")
    wanted = np.zeros((2, 3), "float32")
    wanted[0, 1], wanted[1, 2] = 5, 6
    np.testing.assert_array_equal(both(lambda at, new: core.scatter(at, new, (2, 3)), at, new), wanted)
    found = both(lambda at, new: core.scatter_update(np.ones((2, 3), "float32"), at, new), at, new)
    np.testing.assert_array_equal(found, np.where(wanted > 0, wanted, 1))


def test_scan_without_xs():
    start = (np.float32(0), np.float32(1))
    (last, _), nothing = core.scan(lambda carry, _: ((carry[1], carry[0] + carry[1]), None), start, length=6)
    assert last == 8 and nothing is None


def test_vectorized_functions():
    x, y = RNG.standard_normal((2, 4, 3)).astype("float32")
    products = both(lambda x, y: core.vectorized_map(lambda pair: lnp.dot(pair[0], pair[1]), (x, y)), x, y)
    np.testing.assert_allclose(products, (x * y).sum(1), rtol=1e-5)
    inner = selection.vectorize(lambda a, b: lnp.dot(a, b), signature="(n),(n)->()")
    np.testing.assert_allclose(both(inner, x[:, None], y), x @ y.T, rtol=1e-5)
