"""take_along_axis, put_along_axis, take's modes and segments against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import numpy as lnp
from leptonc import segments
from leptonc.errors import ArgumentError, ShapeError


def everywhere(f, *args):
    """The result of a function, the same compiled, on known arrays and op by op."""
    compiled = leptonc.jit(f)(*args)
    with leptonc.disable_jit():
        by_ops = leptonc.jit(f)(*args)
    for got, of in zip(leptonc.tree.leaves(compiled), leptonc.tree.leaves(by_ops), strict=True):
        assert got.dtype == of.dtype
        np.testing.assert_allclose(got, of, rtol=1e-12)
    return compiled


@pytest.mark.parametrize("shape, places, axis", [((3, 5), (3, 2), 1), ((3, 5), (4, 5), 0), ((2, 1, 4), (1, 3, 6), -1),
                                                 ((7,), (3,), 0), ((3, 5), (3, 0), 1), ((2, 3), (5,), None)])
def test_take_along_axis(shape, places, axis, rng):
    x = rng.standard_normal(shape)
    n = x.size if axis is None else shape[axis]
    i = rng.integers(-n, n, places)
    np.testing.assert_array_equal(everywhere(lambda x, i: lnp.take_along_axis(x, i, axis), x, i), np.take_along_axis(x, i, axis))


def test_places_out_of_range_along_an_axis():
    x, i = np.arange(6.0).reshape(2, 3), np.array([[5, -1], [-9, 0]])
    np.testing.assert_array_equal(everywhere(lambda x, i: lnp.take_along_axis(x, i, 1), x, i), [[2, 2], [3, 3]])
    filled = everywhere(lambda x, i: lnp.take_along_axis(x, i, 1, mode="fill"), x, i)
    np.testing.assert_array_equal(filled, [[np.nan, 2], [np.nan, 3]])
    np.testing.assert_array_equal(everywhere(lambda x, i: lnp.take_along_axis(x, i, 1, fill_value=8), x, i), [[8, 2], [8, 3]])
    np.testing.assert_array_equal(everywhere(lambda x, i: lnp.put_along_axis(x, i, 7, 1), x, i), [[0, 1, 7], [7, 4, 5]])
    with pytest.raises(ArgumentError, match="in place"):
        lnp.put_along_axis(x, i, 7, 1, inplace=True)
    with pytest.raises(ShapeError, match="2 axes"):
        lnp.take_along_axis(x, i[0], 1)


@pytest.mark.parametrize("axis", [0, 1, None])
def test_put_along_axis(axis, rng):
    x = rng.standard_normal((4, 5))
    i = rng.permuted(np.tile(np.arange(4), (5, 1)), axis=1)[:, :3].T if axis == 0 else np.argsort(rng.random((4, 5)), 1)[:, :2]
    i = np.array([3, -1, 0]) if axis is None else i
    values, wanted = rng.standard_normal(i.shape), x.copy()
    np.put_along_axis(wanted, i, values, axis)
    np.testing.assert_array_equal(everywhere(lambda x, i, v: lnp.put_along_axis(x, i, v, axis), x, i, values), wanted)


@pytest.mark.parametrize("axis", [0, 1, None])
@pytest.mark.parametrize("mode", ["clip", "wrap"])
def test_modes_of_take(mode, axis, rng):
    x, i = rng.standard_normal((4, 5)), np.array([[0, -1], [9, -8]])
    np.testing.assert_array_equal(everywhere(lambda x, i: lnp.take(x, i, axis, mode=mode), x, i), np.take(x, i, axis, mode=mode))
    wanted = np.take(x, np.array([[0, -1], [0, 0]]), axis)
    wanted[(slice(None),) * (axis or 0) + (1,)] = np.nan
    found = everywhere(lambda x, i: lnp.take(x, i, axis, mode="fill"), x, np.array([[0, -1], [90, -80]]))
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("kind", ["sum", "prod", "max", "min"])
@pytest.mark.parametrize("dtype", [np.float32, np.int32, bool])
def test_segments(kind, dtype, rng):
    data, ids = rng.integers(0, 4, (9, 3)).astype(dtype), np.array([2, 0, 2, -1, 5, 2, 0, 4, 4])
    function = getattr(segments, f"segment_{kind}")
    ufunc = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum}[kind]
    low, high = (-np.inf, np.inf) if dtype == np.float32 else (False, True) if dtype is bool else (
        np.iinfo(dtype).min, np.iinfo(dtype).max)
    wanted = np.full((5, 3), {"sum": 0, "prod": 1, "max": low, "min": high}[kind], dtype)
    for row, at in zip(data, ids):
        if 0 <= at < 5:
            wanted[at] = ufunc(wanted[at], row)
    np.testing.assert_array_equal(everywhere(lambda data, ids: function(data, ids, 5), data, ids), wanted)


def test_gradients_of_segments():
    data, ids, weights = np.array([1.0, 4, 4, 2, 7]), np.array([0, 1, 1, 9, 0]), np.array([2.0, 3])

    def slope(function):
        return leptonc.jit(leptonc.grad(lambda data, ids: lnp.sum(function(data, ids, 2) * weights)))(data, ids)

    np.testing.assert_allclose(slope(segments.segment_sum), [2, 3, 3, 0, 2])
    np.testing.assert_allclose(slope(segments.segment_max), [0, 1.5, 1.5, 0, 2])
    np.testing.assert_allclose(slope(segments.segment_min), [2, 1.5, 1.5, 0, 0])


def test_segments_stand_where_jax_has_them():
    assert all(getattr(leptonc.ops, name) is getattr(segments, name) for name in segments.__all__)


def test_the_number_of_segments_must_be_known():
    assert segments.segment_sum(np.ones(3), np.array([0, 3, 0])).tolist() == [2, 0, 0, 1]
    with pytest.raises(ShapeError, match="give num_segments"):
        leptonc.jit(segments.segment_sum)(np.ones(3), np.array([0, 3, 0]))
