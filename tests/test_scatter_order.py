"""Windows that overlap are written one after the other, each whole, in the order of the indices, wherever the axes of a window
stand among those of the updates; places in a flattened array are wide enough for any."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

import leptonc
from leptonc import lax
from leptonc import numpy as lnp

STARTS = np.random.default_rng(3).integers(-1, 5, (4, 3, 1))


def _one_by_one(x, updates, window_dims):
    """x [6, 7] with windows [6, 3] set at columns, those outside left out."""
    rows = np.moveaxis(updates, window_dims, (-2, -1))
    out = x.copy()
    for place in np.ndindex(STARTS.shape[:-1]):
        start = STARTS[place][0]
        if 0 <= start <= 4:
            out[:, start:start + 3] = rows[place]
    return out


@pytest.mark.parametrize("window_dims", list(combinations(range(4), 2)))
@pytest.mark.parametrize("jitted", [True, False])
def test_the_last_window_stays_whole(window_dims, jitted):
    rng = np.random.default_rng(0)
    x, rows = rng.standard_normal((6, 7)).astype("f4"), rng.standard_normal((4, 3, 6, 3)).astype("f4")
    updates = np.ascontiguousarray(np.moveaxis(rows, (-2, -1), window_dims))
    numbers = lax.ScatterDimensionNumbers(window_dims, (), (1,))
    call = leptonc.jit(lambda x, i, u: lax.scatter(x, i, u, numbers)) if jitted else lambda x, i, u: lax.scatter(x, i, u, numbers)
    np.testing.assert_array_equal(call(x, STARTS, updates), _one_by_one(x, updates, window_dims))


def test_the_gradient_goes_to_who_stays():
    """Each element of the result has a slope in one update alone."""
    numbers = lax.ScatterDimensionNumbers((0, 1), (), (1,))
    weights = np.random.default_rng(1).standard_normal((6, 7))
    grad = leptonc.jit(leptonc.grad(lambda u: lnp.sum(lax.scatter(np.zeros((6, 7)), STARTS, u, numbers) * weights)))
    numbered = np.arange(1, 6 * 3 * 12 + 1, dtype=float).reshape(6, 3, 4, 3)
    left = _one_by_one(np.zeros((6, 7)), numbered, (0, 1))
    expected = np.zeros(numbered.size)
    expected[left[left > 0].astype(int) - 1] = weights[left > 0]
    np.testing.assert_array_equal(grad(np.ones((6, 3, 4, 3))).ravel(), expected)


@pytest.mark.parametrize("dtype", ["i1", "u1", "u2", "i4"])
def test_places_of_narrow_indices(dtype):
    """300 * 40 places are more than a byte counts."""
    i, j = np.array([0, 7, 100], dtype), np.array([3, 39, 20], dtype)
    for call in (lnp.ravel_multi_index, leptonc.jit(lnp.ravel_multi_index, static_argnums=(1, 2))):
        found = call((i, j), (300, 40), "clip")
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, np.ravel_multi_index((i, j), (300, 40)))


@pytest.mark.parametrize("mode", ["fill", "clip"])
def test_windows_that_fill_rows(mode):
    """Their two axes are walked as one, and where they begin along the first is a number from memory."""
    rng = np.random.default_rng(2)
    x, at = rng.standard_normal((2, 4, 4)), rng.integers(-2, 6, (3, 2)).astype("i4")
    numbers = lax.GatherDimensionNumbers((0, 1), (0,), (1, 0))

    def f(x):
        return lax.gather(x, at, numbers, (1, 3, 4), mode=mode, fill_value=7)

    expected = np.full((3, 4, 3), 7.0)
    for n, (row, start) in enumerate(at):
        if mode == "clip":
            row, start = np.clip(row, 0, 1), np.clip(start, 0, 1)
        if 0 <= row <= 1 and 0 <= start <= 1:
            expected[..., n] = x[start, row:row + 3]
    np.testing.assert_array_equal(leptonc.jit(f)(x), expected)
    np.testing.assert_array_equal(f(x), expected)
    lost = leptonc.jit(leptonc.grad(lambda x: lnp.sum(f(x) * expected)))(x)
    with leptonc.disable_jit():
        np.testing.assert_allclose(lost, leptonc.grad(lambda x: lnp.sum(f(x) * expected))(x), rtol=1e-12)
