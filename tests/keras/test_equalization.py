"""Keras's Equalization within a compiled step, against itself op by op."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("keras") is None:
    pytest.skip("Keras is not installed", allow_module_level=True)

import leptonc
from leptonc.keras import layers
from leptonc.keras.src.equalization import equalization, histogram

PIXELS = np.random.default_rng(0).beta(2, 7, (4, 9, 8, 3)).astype("float32")


@pytest.mark.parametrize("options", [{}, {"bins": 32}, {"value_range": (0, 1), "bins": 64}, {"data_format": "channels_first"}])
def test_compiled_is_op_by_op(options):
    x = PIXELS * options.get("value_range", (0, 255))[1]
    x[..., 0] = x[0, 0, 0, 0]  # of one value, which stays
    if "data_format" in options:
        x = np.moveaxis(x, -1, 1)
    layer = layers.Equalization(**options)
    np.testing.assert_array_equal(leptonc.jit(lambda x: layer(x, training=True))(x), layer(x, training=True))


def test_a_step_with_it_is_compiled():
    model = leptonc.keras.Sequential([layers.Input((9, 8, 3)), layers.Equalization(), layers.Flatten(), layers.Dense(2)])
    model.compile(loss="mse")
    model.fit(PIXELS * 255, np.zeros((4, 2)), verbose=0)
    assert model.train_function.compiles == 1


def test_counts_of_many_pixels_do_not_overflow():
    pixels = np.array([0.0, 100.0, 255.0], "float32")
    counts = np.zeros(256, "int32")
    counts[[0, 100, 255]] = 1, 2**26, 2**26
    np.testing.assert_array_equal(equalization(pixels, counts), [0, 128, 255])


def test_bins():
    np.testing.assert_array_equal(histogram(np.array([0, 0.4, 1.0, -3.0, 9.0], "float32"), 0.0, 1.0, 3), [3, 0, 2])
