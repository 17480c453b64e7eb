"""Quantiles, places, counts and sets: compiled and not, against NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import leptonc
from leptonc import numpy as lnp
from leptonc.numpy.quantiles import PLACES

WRAPPED = pytest.mark.parametrize("wrapped", [leptonc.jit, lambda f: f], ids=["jit", "eager"])


def equal(got: Any, wanted: Any) -> None:
    got, wanted = (x if isinstance(x, tuple) else (x,) for x in (got, wanted))
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


# Quantiles


@pytest.mark.parametrize("method", PLACES)
@pytest.mark.parametrize("n", [1, 2, 7, 10])
def test_every_method_of_quantiles(method: str, n: int):
    rng = np.random.default_rng(n)
    for x in (rng.standard_normal((3, n)), rng.integers(0, 4, (3, n)) * 1.0):
        for q in (0, 0.3, 1, np.linspace(0, 1, 11)):
            np.testing.assert_allclose(lnp.quantile(x, q, 1, method=method), np.quantile(x, q, axis=1, method=method))


@WRAPPED
def test_quantiles(wrapped: Any):
    x = np.random.default_rng(0).standard_normal((4, 5, 6))
    x[0, 0, :3] = np.nan
    holes = x.copy()
    holes[1, 2] = np.nan

    def all_of(x: Any, holes: Any, q: Any) -> Any:
        return (lnp.quantile(x, 0.3, (0, 2)), lnp.quantile(x, q, 1, keepdims=True), lnp.percentile(x, [10, 70], -1),
                lnp.median(x, 0), lnp.nanquantile(x, q, 2), lnp.nanpercentile(x, 30, (1, 2)), lnp.nanmedian(x),
                lnp.nanmedian(holes, 2))

    q = np.array([0.1, 0.6, 1.0])
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning, match="All-NaN"):
        wanted = (np.quantile(x, 0.3, axis=(0, 2)), np.quantile(x, q, axis=1, keepdims=True), np.percentile(x, [10, 70], axis=-1),
                  np.median(x, 0), np.nanquantile(x, q, axis=2), np.nanpercentile(x, 30, axis=(1, 2)), np.nanmedian(x),
                  np.nanmedian(holes, 2))
    for got, want in zip(wrapped(all_of)(x, holes, q), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)


@pytest.mark.parametrize("q", [50, [50], [10, 50.5], [[10], [20]], (), (5,)], ids=str)
@pytest.mark.parametrize("name", ["percentile", "nanpercentile", "quantile", "nanquantile"])
def test_a_list_of_places_leaves_the_dtype(name: str, q: Any):
    """As a number does: f32 stays f32, where NumPy makes f64 of it."""
    x = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    places = q if "percent" in name else (np.asarray(q) / 100).tolist()
    for found in (getattr(lnp, name)(x, places, 0), leptonc.jit(lambda x: getattr(lnp, name)(x, places, 0))(x)):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, getattr(np, name)(x, places, 0), rtol=1e-5)


def test_quantiles_at_the_edges():
    assert lnp.median(np.float32([3, 1])).dtype == np.float32
    assert lnp.median(np.array([1, 4])) == 2.5
    assert lnp.median(np.array([np.inf, np.inf])) == np.inf
    assert np.isnan(lnp.median(np.zeros(0)))
    np.testing.assert_allclose(leptonc.grad(lambda x: lnp.median(x))(np.array([3.0, 1.0, 7.0, 2.0])), [0.5, 0, 0, 0.5])
    np.testing.assert_allclose(leptonc.grad(lambda q: lnp.quantile(np.array([1.0, 2.0, 5.0]), q))(0.75), 6.0)


# Places and counts


@WRAPPED
@pytest.mark.parametrize("n", [0, 1, 2, 5, 8, 9])
def test_searchsorted(wrapped: Any, n: int):
    rng = np.random.default_rng(n)
    x, v = rng.integers(0, 5, n), rng.integers(-1, 7, (3, 4))
    for side in ("left", "right"):
        equal(wrapped(lambda x, v: lnp.searchsorted(lnp.sort(x), v, side))(x, v), np.searchsorted(np.sort(x), v, side))  # noqa: B023
    order = np.argsort(x)
    equal(wrapped(lambda x, v, order: lnp.searchsorted(x, v, sorter=order))(x, v, order), np.searchsorted(x, v, sorter=order))


def test_wrong_arguments_of_numpys_own_functions():
    """They are named before NumPy sees them; what needs elements says so."""
    x = np.arange(4.0)
    for call in (lambda x: lnp.setdiff1d(x, x, assume_unique=7), lambda x: lnp.setxor1d(x, x, (1, 0)),
                 lambda x: lnp.histogram_bin_edges(x, "auto", weights=x[:2]), lambda x: lnp.intersect1d(x, x, 2)):
        with pytest.raises(leptonc.ArgumentError):
            call(x)
    with pytest.raises(leptonc.DtypeError, match="repeats"):
        lnp.repeat(x, (((1,), (0,)), ((), ())))
    for call in (lnp.unique, lnp.flatnonzero, lambda x: lnp.setxor1d(x, x), lambda x: lnp.histogram_bin_edges(x, "auto")):
        with pytest.raises(leptonc.TracerError, match="depends on"):
            leptonc.jit(call)(x)


def test_searchsorted_has_nan_last():
    x, v = np.array([1, 2, np.nan, np.nan]), np.array([np.nan, 1, 0, 3, np.inf])
    equal(leptonc.jit(lnp.searchsorted)(x, v), np.searchsorted(x, v))
    equal(leptonc.jit(lambda x, v: lnp.searchsorted(x, v, "right"))(x, v), np.searchsorted(x, v, "right"))


@WRAPPED
@pytest.mark.parametrize("bins", [[0, 1, 2.5], [3, 1.0, 0], [1.0], [0, 2, math.nan], [math.nan, 2.0, 1]], ids=str)
def test_digitize(wrapped: Any, bins: list[float]):
    x = np.array([0, 0.5, 1, 2, 3, 5, math.nan])
    for right in (False, True):
        equal(wrapped(lambda x, b: lnp.digitize(x, b, right))(x, np.asarray(bins)), np.digitize(x, bins, right))  # noqa: B023


@pytest.mark.filterwarnings("ignore:f64 enters")
@WRAPPED
@pytest.mark.parametrize("options", [
    {}, {"bins": 7, "range": (-3, 4)}, {"bins": np.array([-1, 0, 4, 8.0])}, {"density": True}], ids=str)
def test_histogram(wrapped: Any, options: dict[str, Any]):
    rng = np.random.default_rng(2)
    for x in (rng.standard_normal(500) * 10, rng.standard_normal(500).astype(np.float32), rng.integers(0, 9, 500)):
        counts, edges = wrapped(lambda x: lnp.histogram(x, **options))(x)
        wanted = np.histogram(x, **options)
        np.testing.assert_allclose(counts, wanted[0], rtol=1e-6)
        np.testing.assert_allclose(edges, wanted[1], rtol=1e-6)
        assert counts.dtype == wanted[0].dtype
    w = rng.random(40)
    sums = wrapped(lambda x, w: lnp.histogram(x, 3, (0, 1), weights=w))(w, w)[0]
    np.testing.assert_allclose(sums, np.histogram(w, 3, (0, 1), weights=w)[0], rtol=1e-12)


def test_histograms_of_nothing_and_of_one_number():
    for x in (np.zeros(0), np.ones(3)):
        equal(lnp.histogram(x, 4), np.histogram(x, 4))


def test_edges_are_the_same_bits_compiled():
    """An edge that should be 0 is 0, not what one rounding less leaves: elements are on the right side of it."""
    rng = np.random.default_rng(4)
    for x in (np.zeros(1, np.float32), rng.standard_normal(99).astype(np.float32), rng.standard_normal(99)):
        wanted, low, high = np.histogram(x, 10), x.min() - 0.5, x.min() + 0.5
        for wrapped in (lambda f: f, leptonc.jit):
            found = wrapped(lambda x, low, high: (*lnp.histogram(x, 10), lnp.linspace(low, high, 11)))(x, low, high)
            for got, right in zip(found, (*wanted, np.linspace(low, high, 11)), strict=True):
                np.testing.assert_array_equal(got, right)


@WRAPPED
def test_bincount(wrapped: Any):
    x, w = np.array([1, 1, 3, 0, 7]), np.arange(5.0)
    equal(wrapped(lambda x: lnp.bincount(x, length=8))(x), np.bincount(x))
    equal(wrapped(lambda x, w: lnp.bincount(x, w, length=8))(x, w), np.bincount(x, w))
    equal(wrapped(lambda x: lnp.bincount(x, length=4))(x), np.bincount(x)[:4])
    assert lnp.bincount(x, minlength=12).shape == (12,)


# Sets


ROWS = [np.array([3, 1, 0, 3, 0, 0, 2]), np.array([[2.0, np.nan], [np.nan, 0.0]]), np.zeros((2, 3), bool), np.array([True]),
        np.zeros(0, np.int32)]


@pytest.mark.parametrize("x", ROWS, ids=str)
def test_known_arrays_give_what_numpy_gives(x: np.ndarray):
    equal(lnp.nonzero(x), np.nonzero(x))
    equal(lnp.flatnonzero(x), np.flatnonzero(x))
    equal(lnp.argwhere(x), np.argwhere(x))
    equal(lnp.unique(x, True, True, True), np.unique(x, True, True, True))
    equal(tuple(lnp.unique_all(x)), tuple(np.unique_all(x)))
    equal(lnp.union1d(x, x), np.union1d(x, x))
    equal(lnp.setdiff1d(x, x[:1]), np.setdiff1d(x, x[:1]))


@WRAPPED
@pytest.mark.parametrize("x", ROWS[:4], ids=str)
def test_with_room_for_so_many(wrapped: Any, x: np.ndarray):
    """Against NumPy's results, cut or filled up."""
    def fitted(found: np.ndarray, size: int, fill: Any) -> np.ndarray:
        return np.concatenate([found[:size], np.full(max(size - len(found), 0), fill, found.dtype)])

    unique = np.unique(x, True, False, True)
    for size in (2, 6):
        places, values, index, counts = wrapped(lambda x: (
            lnp.nonzero(x, size=size, fill_value=9), *lnp.unique(x, True, False, True, size=size)))(x)  # noqa: B023
        for got, want in zip(places, np.nonzero(x), strict=True):
            equal(got, fitted(want, size, 9))
        equal(values, fitted(unique[0], size, unique[0][0]))
        equal(index, fitted(unique[1], size, unique[1][0]))
        equal(counts, fitted(unique[2], size, 0))
    values, inverse = wrapped(lambda x: lnp.unique(x, return_inverse=True, size=x.size))(x)
    np.testing.assert_array_equal(values[inverse], x)


@WRAPPED
def test_distinct_slices(wrapped: Any):
    x = np.array([[1, 2], [0, 1], [1, 2], [0, 0]])
    for axis, given in ((0, x), (1, x.T), (-1, x.T.copy())):
        values, index, inverse, counts = wrapped(lambda x: lnp.unique(x, True, True, True, axis, size=4))(given)  # noqa: B023
        values = values if axis == 0 else values.T
        equal((values, index, counts), (np.array([[0, 0], [0, 1], [1, 2], [0, 0]]), np.array([3, 1, 0, 3]), np.array([1, 1, 2, 0])))
        equal(values[inverse], x)
    deep = np.random.default_rng(0).integers(0, 2, (2, 7, 2)).astype(np.float32)
    deep[0, 2] = np.nan  # such slices are all distinct
    deep[:, 5] = deep[:, 2]
    for size in (3, 6, 9):
        values = wrapped(lambda x: lnp.unique(x, axis=1, size=size, fill_value=7))(deep)  # noqa: B023
        found = np.unique(deep, axis=1)
        equal(values, np.concatenate([found, np.full((2, 9, 2), 7, np.float32)], 1)[:, :size])


@WRAPPED
@pytest.mark.parametrize("n", [0, 3, 40])
def test_isin(wrapped: Any, n: int):
    rng = np.random.default_rng(n)
    x, tests = rng.integers(0, 40, (5, 6)), rng.integers(0, 30, n)
    equal(wrapped(lnp.isin)(x, tests), np.isin(x, tests))
    equal(wrapped(lambda x, t: lnp.isin(x, t, invert=True))(x, tests), np.isin(x, tests, invert=True))


@WRAPPED
def test_sets(wrapped: Any):
    a, b = np.array([5, 1, 1, 3, 8]), np.array([3, 9, 8, 8])
    found = wrapped(lambda a, b: (lnp.union1d(a, b, size=7, fill_value=-1), lnp.setdiff1d(a, b, size=3), lnp.setxor1d(a, b, size=2),
                                  *lnp.intersect1d(a, b, return_indices=True, size=3)))(a, b)
    for got, want in zip(found, ([1, 3, 5, 8, 9, -1, -1], [1, 5, 0], [1, 5], [3, 8, 3], [3, 4, 5], [0, 2, 4]), strict=True):
        equal(got, np.array(want))


@pytest.mark.parametrize("call, words", [
    (lambda x: lnp.nonzero(x), "pass size="),
    (lambda x: lnp.unique(x), "pass size="),
    (lambda x: lnp.bincount(x), "pass length="),
    (lambda x: lnp.histogram(x, "auto"), "pass their number"),
    (lambda x: lnp.quantile(x, 1.5), "q must be numbers within"),
    (lambda x: lnp.quantile(x, 0.5, method="cubic"), "must be one of"),
    (lambda x: lnp.searchsorted(x[None], x), "one sorted row"),
    (lambda x: lnp.searchsorted(x, x, "middle"), "must be one of"),
])
def test_wrong_calls(call: Any, words: str):
    with pytest.raises(leptonc.errors.LeptonError, match=words):
        leptonc.jit(call)(np.arange(4))


def test_sets_without_elements_are_filled_with_zeros():
    """As JAX fills them."""
    a = np.array([-3.0, -2.0, 5.0])
    for f in (lambda x: lnp.intersect1d(x, x + 100, size=3), lambda x: lnp.setdiff1d(x, x, size=3),
              lambda x: lnp.setxor1d(x, x, size=3)):
        assert not np.any(leptonc.jit(f)(a)) and not np.any(np.asarray(f(a)))


def test_a_quantile_between_an_infinity_and_a_number_is_the_infinity():
    rows = np.array([[1, np.inf], [-np.inf, 1], [np.inf, np.inf], [-np.inf, np.inf], [3e38, -3e38]], np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # of the last rows' differences and sums
        found, wanted = lnp.median(rows, 1), np.median(rows.astype(np.float64), 1).astype(np.float32)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(leptonc.jit(lambda x: lnp.quantile(x, [0.25, 0.75], 1))(rows[:2]), [[np.inf, -np.inf]] * 2)
