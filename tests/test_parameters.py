"""Parameters of functions shared with NumPy beyond those that everybody gives: what NumPy makes of them, compiled and eager."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import leptonc
from leptonc import numpy as lnp
from leptonc.errors import LeptonError
from tests.compare import both

F = np.float32
X = np.random.default_rng(5).standard_normal((3, 4)).astype(F)
V = np.random.default_rng(6).standard_normal((3, 5))
HOLED = np.where(np.abs(V) > 1, np.nan, V)
SMALL = np.array([[100, 100, -3], [7, 100, 2]], np.int8)
W = np.array([1.0, 0.5, 2.0, 0.25, 1.5])
OF_NUMPY: dict[str, Any] = {  # f(numpy or leptonc.numpy, X, V, SMALL)
    "reshape F": lambda m, x, v, n: m.reshape(x, (2, -1), "F"), "method F": lambda m, x, v, n: x.reshape(6, 2, order="F"),
    "ravel F": lambda m, x, v, n: m.ravel(x, "F"), "flatten F": lambda m, x, v, n: x.flatten("F"),
    "array ndmin": lambda m, x, v, n: m.array(x, ndmin=4, copy=True, order="K"), "copy K": lambda m, x, v, n: m.copy(x, "K"),
    "asarray order": lambda m, x, v, n: m.asarray(x, np.float64, "C"), "stack": lambda m, x, v, n: m.stack([n, n], 1, dtype=F),
    "concatenate": lambda m, x, v, n: m.concatenate([n, n], 1, dtype=np.float64),
    "vstack": lambda m, x, v, n: m.vstack([n, n], dtype=F), "hstack": lambda m, x, v, n: m.hstack([n, n], dtype=F),
    "zeros_like": lambda m, x, v, n: m.zeros_like(x, shape=(2, 5)),
    "ones_like": lambda m, x, v, n: m.ones_like(x, np.int32, shape=3),
    "full_like": lambda m, x, v, n: m.full_like(x, 7, shape=(2,)), "eye": lambda m, x, v, n: m.eye(N=2, M=3, k=1, dtype=F),
    "var": lambda m, x, v, n: m.var(x, 0, np.float64, None, 1, True), "std": lambda m, x, v, n: m.std(n, dtype=F),
    "var mean": lambda m, x, v, n: m.var(v, 1, mean=m.mean(v, 1, keepdims=True), correction=1),
    "std mean": lambda m, x, v, n: m.std(v, 1, mean=m.ones((3, 1)), keepdims=True),
    "nanvar": lambda m, x, v, n: m.nanvar(m.where(v > 1, np.nan, v), 1, dtype=F, ddof=1),
    "nanstd": lambda m, x, v, n: m.nanstd(m.where(v > 1, np.nan, v), 0, np.float64, None, 0, True),
    "mean bool": lambda m, x, v, n: m.mean(n > 99, 1, bool), "mean bool of floats": lambda m, x, v, n: m.mean(x * 0, dtype=bool),
    "nanmean": lambda m, x, v, n: m.nanmean(n, 1, F), "sum": lambda m, x, v, n: m.sum(x, 0, np.float64, None, True),
    "max": lambda m, x, v, n: m.max(x, 0, None, True), "argmin": lambda m, x, v, n: m.argmin(x, 1, None, keepdims=True),
    "cumsum": lambda m, x, v, n: m.cumsum(n, 1, np.float64, None), "any": lambda m, x, v, n: m.any(x > 0, 1, None, True),
    "mean": lambda m, x, v, n: m.mean(x, 0, np.float64, None, True), "median": lambda m, x, v, n: m.median(v, 0, None, False, True),
    "ptp": lambda m, x, v, n: m.ptp(x, 1, None, True), "trace": lambda m, x, v, n: m.trace(x, 1, 0, 1, np.float64, None),
    "round": lambda m, x, v, n: m.round(x, 1, None), "take": lambda m, x, v, n: m.take(x, [2, 0], 1, None, "clip"),
    "histogram": lambda m, x, v, n: m.histogram(v.reshape(-1), 4, (-2.0, 2.0), weights=np.ones(15))[0],
    "where": lambda m, x, v, n: m.where(m.asarray([True, False, True])), "sort": lambda m, x, v, n: m.sort(x, 0, kind="stable"),
    "argsort": lambda m, x, v, n: m.argsort(x, 1, kind="mergesort", order=None),
    "cov": lambda m, x, v, n: m.cov(v, None, True, False, 1, np.array([1, 2, 0, 3, 1]), W),
    "cov aweights": lambda m, x, v, n: m.cov(v, aweights=W, ddof=0), "cov dtype": lambda m, x, v, n: m.cov(v, dtype=F),
    "corrcoef": lambda m, x, v, n: m.corrcoef(v, dtype=F), "polyint": lambda m, x, v, n: m.polyint(v[0], 2, k=[1.0, 2.0]),
    "quantile": lambda m, x, v, n: m.quantile(v, 0.3, 1, None, False, "linear", True),
    "weights": lambda m, x, v, n: m.quantile(v, [0.0, 0.3, 1.0], 1, weights=W, method="inverted_cdf"),
    "weights all": lambda m, x, v, n: m.percentile(v, 40, weights=np.broadcast_to(W, (3, 5)), method="inverted_cdf"),
    "linspace": lambda m, x, v, n: m.linspace(x[0], x[1], 5, retstep=True), "linspace axis": lambda m, x, v, n: m.linspace(
        v[0], 1.0, 4, endpoint=False, axis=-1), "linspace ints": lambda m, x, v, n: m.linspace(-1.5, 1.5, 4, dtype=int),
    "linspace one": lambda m, x, v, n: m.linspace(v[0], v[1], 1, True, True), "linspace dtype": lambda m, x, v, n: m.linspace(
        v[0], v[1], 3, dtype=np.int32), "logspace": lambda m, x, v, n: m.logspace(v[0], v[1], 4, base=2.0, axis=1),
    "geomspace": lambda m, x, v, n: m.geomspace(m.abs(v[0]), m.abs(v[1]) + 1, 4, axis=1),
    "add.reduce": lambda m, x, v, n: m.add.reduce(x, 1, keepdims=True), "add.outer": lambda m, x, v, n: m.add.outer(x[0], x[:, 0]),
    "multiply.accumulate": lambda m, x, v, n: m.multiply.accumulate(x, 1),
    "reduceat": lambda m, x, v, n: m.add.reduceat(v, [0, 3, 1], 1),
    "maximum.accumulate": lambda m, x, v, n: m.maximum.accumulate(x), "minimum.reduce": lambda m, x, v, n: m.minimum.reduce(x),
    "logical_and.reduce": lambda m, x, v, n: m.logical_and.reduce(x > -1, 1),
    "logical_or.accumulate": lambda m, x, v, n: m.logical_or.accumulate(x > 1),
    "choose": lambda m, x, v, n: m.choose(np.array([1, 0]), [x[0, :2], x[1, :2]], None, "wrap"),
}


@pytest.fixture(scope="module")
def found() -> Any:
    return dict(zip(OF_NUMPY, _all(X, V, SMALL)))


def _all(*args: Any) -> list[Any]:
    def f(*given: Any) -> Any:
        return [leptonc.tree.leaves(case(lnp, *given)) for case in OF_NUMPY.values()]

    _, structure = leptonc.tree.flatten(leptonc.eval_shape(f, *args))
    return leptonc.tree.unflatten(structure, both(f, *args))


@pytest.mark.parametrize("name", OF_NUMPY)
def test_a_parameter_means_what_it_means_in_numpy(found: Any, name: str) -> None:
    wanted = leptonc.tree.leaves(OF_NUMPY[name](np, X, V, SMALL))
    assert len(found[name]) == len(wanted)
    for a, b in zip(found[name], wanted):
        assert np.shape(a) == np.shape(b) and np.asarray(a).dtype == np.asarray(b).dtype, (name, a.dtype, np.asarray(b).dtype)
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_sizes_that_are_known_take_traced_conditions() -> None:
    def f(x: Any) -> Any:
        return (lnp.where(x > 0, size=4, fill_value=-1), lnp.compress(x[:, 0] > 0, x, 0, size=2, fill_value=9),
                lnp.extract(x > 0, x, size=3), lnp.repeat(x, lnp.asarray(x[:, 0] > 0).astype(int) + 1, 0, total_repeat_length=5),
                lnp.delete(x, lnp.argmax(x[:, 0]), 0, assume_unique_indices=True))

    rows, columns, kept, values, repeated, left = both(f, X)
    at = np.nonzero(X > 0)
    np.testing.assert_array_equal(rows[:4], np.resize(at[0][:4], 4))
    np.testing.assert_array_equal(columns[:4], at[1][:4])
    first = X[:, 0] > 0
    np.testing.assert_array_equal(kept[:first.sum()], X[first][:2])
    assert (kept[first.sum():] == 9).all()
    np.testing.assert_array_equal(values, X[X > 0][:3])
    whole = np.repeat(X, first.astype(int) + 1, 0)[:5]
    np.testing.assert_array_equal(repeated[:len(whole)], whole)
    assert (repeated[len(whole):] == X[-1]).all()
    np.testing.assert_array_equal(left, np.delete(X, X[:, 0].argmax(), 0))


def test_short_ints_add_up_in_their_own_dtype() -> None:
    total, product, some = both(lambda n: (lnp.sum(n, 0, promote_integers=False), lnp.prod(n, 1, promote_integers=False),
                                           lnp.sum(n > 50, 0, promote_integers=False)), SMALL)
    np.testing.assert_array_equal(total, SMALL.sum(0, dtype=np.int8), strict=True)
    np.testing.assert_array_equal(product, SMALL.prod(1, dtype=np.int8), strict=True)
    np.testing.assert_array_equal(some, (SMALL > 50).sum(0, dtype=np.int32), strict=True)


@pytest.mark.parametrize("call", [
    lambda: lnp.sum(X, out=X), lambda: lnp.median(V, overwrite_input=True), lambda: lnp.reshape(X, (4, 3), "A"),
    lambda: lnp.array(X, order="F"), lambda: lnp.sort(X, kind="bogo"), lambda: lnp.sort(X, order="f0"), lambda: lnp.where(X, X),
    lambda: lnp.searchsorted(V[0], 1.0, method="hash"), lambda: lnp.quantile(V, 0.5, 1, weights=W), lambda: lnp.var(V, dtype=int),
    lambda: lnp.var(V, ddof=1, correction=1), lambda: lnp.choose(np.array([2]), [1, 2]), lambda: lnp.add.at(V, 0, 1.0),
    lambda: lnp.cov(V, fweights=W), lambda: lnp.linalg.cross(X[:, :2], X[:, :2]), lambda: lnp.var(V, mean=np.ones(4)),
    lambda: leptonc.jit(lambda i: lnp.choose(i, [1, 2]))(np.array([1])), lambda: lnp.where(X > 0, X, X, size=2),
    lambda: lnp.linalg.slogdet(V[:, :3], method="svd"), lambda: lnp.repeat(X, [1, 2], 0, total_repeat_length=3),
])
def test_what_is_not_supported_is_an_error(call: Any) -> None:
    with pytest.raises(LeptonError):
        call()


def test_matrix_rank_and_residuals_of_known_matrices() -> None:
    a = np.array([[2.0, 1], [1, 0.5]])
    assert lnp.linalg.matrix_rank(a, hermitian=True) == np.linalg.matrix_rank(a, hermitian=True) == 1
    assert lnp.linalg.lstsq(a, a[0], numpy_resid=True)[1].shape == np.linalg.lstsq(a, a[0], rcond=None)[1].shape == (0,)
    assert lnp.linalg.slogdet(np.eye(2), method="lu")[0] == 1


def test_zeros_are_trimmed_along_axes() -> None:
    x = np.zeros((4, 5))
    x[1:3, 2:4] = 1
    for axis in (None, 0, (1,)):
        np.testing.assert_array_equal(lnp.trim_zeros(x, "fb", axis), np.trim_zeros(x, "fb", axis))
    np.testing.assert_array_equal(lnp.polymul([0.0, 1, 2], [0.0, 0, 3], trim_leading_zeros=True), np.polymul([1, 2], [3]))
