"""``scipy.ndimage.map_coordinates`` against NumPy's padding: at whole places, between them, and beyond the ends."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc.errors import ArgumentError, DtypeError, LeptonError
from leptonc.scipy.ndimage import MODES, map_coordinates

PADDINGS = {"constant": "constant", "nearest": "edge", "wrap": "wrap", "mirror": "reflect", "reflect": "symmetric"}


@pytest.mark.parametrize("run", [leptonc.jit, lambda f: f], ids=["compiled", "eager"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("extent", [1, 2, 5])
def test_lines_are_read_as_numpy_pads_them(run, mode, extent, rng):
    x = rng.standard_normal(extent)
    whole = np.arange(-12, extent + 12)
    padded = np.pad(x, 12, PADDINGS[mode])
    np.testing.assert_array_equal(run(lambda x, at: map_coordinates(x, [at], 1, mode))(x, whole), padded)
    np.testing.assert_array_equal(run(lambda x, at: map_coordinates(x, [at], 0, mode))(x, whole + 0.25), padded)
    between = run(lambda x, at: map_coordinates(x, at, 1, mode))(x, (whole[:-1] + 0.25)[None])
    np.testing.assert_allclose(between, 0.75 * padded[:-1] + 0.25 * padded[1:], rtol=1e-13, atol=1e-15)


def test_ints_are_rounded_and_planes_are_bilinear():
    x = np.array([[0, 10], [20, 255]], np.uint8)
    got = leptonc.jit(lambda y, z: map_coordinates(x, [y, z], 1, cval=7))(np.array([0.5, 0, -1]), np.array([0.5, 0.25, 0]))
    assert got.dtype == np.uint8 and got.tolist() == [71, 3, 7]


@pytest.mark.parametrize("arguments, kind, words", [
    (([np.zeros(2)], 1), LeptonError, "1 coordinates for an array of 2 axes"),
    (([np.zeros(2)] * 2, 3), LeptonError, "order=3"),
    (([np.zeros(2)] * 2, 1, "mirrored"), ArgumentError, "did you mean mirror"),
    (([np.zeros(2), np.zeros(2, complex)], 1), DtypeError, "real numbers"),
])
def test_wrong_calls(arguments, kind, words):
    with pytest.raises(kind, match=words):
        map_coordinates(np.zeros((2, 3)), *arguments)
