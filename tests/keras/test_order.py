"""keras.ops that sort, in and out of compiled steps, against NumPy."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("keras") is None:
    pytest.skip("Keras is not installed", allow_module_level=True)

from leptonc.keras.src.ops import activations, math, reductions, selection
from tests.keras.test_math import both

X = np.random.default_rng(1).normal(size=(4, 9)).astype("float32")
I = np.random.default_rng(2).integers(0, 5, (4, 9)).astype("int32")


@pytest.mark.parametrize("axis", [0, -1])
def test_orders(axis):
    np.testing.assert_array_equal(both(lambda x: selection.sort(x, axis), X), np.sort(X, axis))
    places = both(lambda x: selection.argsort(x, axis), I)
    assert places.dtype == np.int32
    np.testing.assert_array_equal(places, np.argsort(I, axis, kind="stable"))
    found = np.take_along_axis(X, both(lambda x: selection.argpartition(x, 2, axis), X), axis)
    np.testing.assert_array_equal(np.take(found, 2, axis), np.take(np.sort(X, axis), 2, axis))


def test_top_k():
    values, places = math.top_k(X, 3)
    np.testing.assert_array_equal(places, np.argsort(-X, -1)[:, :3])
    np.testing.assert_array_equal(values, -np.sort(-X, -1)[:, :3])
    assert places.dtype == np.int32


def test_quantiles():
    np.testing.assert_allclose(both(lambda x: reductions.median(x, 1), X), np.median(X, 1), rtol=1e-6)
    assert both(lambda x: reductions.median(x), I).dtype == np.float32
    found = both(lambda x: reductions.quantile(x, np.float32([0.2, 0.7]), 1), X)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.quantile(X, [0.2, 0.7], axis=1), rtol=1e-5)
    found = both(lambda x: reductions.percentile(x, 30, method="hazen"), X)
    np.testing.assert_allclose(found, np.percentile(X, 30, method="hazen"), rtol=1e-5)
    holes = np.where(I == 0, np.float32(np.nan), X)
    found = both(lambda x: reductions.nanquantile(x, 0.4, 0), holes)
    np.testing.assert_allclose(found, np.nanquantile(holes, 0.4, axis=0), rtol=1e-5)
    np.testing.assert_allclose(both(lambda x: reductions.nanmedian(x), holes), np.nanmedian(holes), rtol=1e-6)


def test_unique():
    np.testing.assert_array_equal(selection.unique(I), np.unique(I))
    np.testing.assert_array_equal(both(lambda x: selection.unique(x, size=7, fill_value=-1), I)[:5], np.unique(I))


@pytest.mark.parametrize("axis", [0, 1])
def test_sparsemax_is_a_projection(axis):
    out = both(lambda x: activations.sparsemax(x, axis), X)
    np.testing.assert_allclose(out.sum(axis), 1, rtol=1e-6)
    assert (out >= 0).all() and (out == 0).any()
    gap = X - out  # the same for all that is not 0, and no greater for the others
    over = np.where(out > 0, gap, -np.inf).max(axis, keepdims=True)
    np.testing.assert_allclose(np.where(out > 0, gap, over), np.broadcast_to(over, X.shape), atol=1e-6)
    assert (gap <= over + 1e-6).all()
