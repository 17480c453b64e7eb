"""``quantize("float8")``: a layer whose inputs, weights and gradients go through floats of 8 bits, scaled by what they were."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("keras") is None:
    pytest.skip("Keras is not installed", allow_module_level=True)

import ml_dtypes

from leptonc import keras


def test_casts_are_those_of_ml_dtypes():
    x = np.float32([1.1, 449.0, -0.3, 2.0**-10])
    for name in ("float8_e4m3fn", "float8_e5m2"):
        low = keras.ops.cast(x, name)
        assert keras.backend.standardize_dtype(low.dtype) == name
        np.testing.assert_array_equal(keras.ops.cast(low, "float32"), x.astype(getattr(ml_dtypes, name)).astype(np.float32))


def test_a_quantized_layer_trains():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((32, 8)).astype(np.float32)
    layer = keras.layers.Dense(4, use_bias=False)
    model = keras.Sequential([keras.layers.Input((8,)), layer])
    layer.quantize("float8")
    model.compile("sgd", "mse")
    weight = np.asarray(layer.kernel)
    losses = model.fit(x, np.tanh(x[:, :4]), batch_size=16, epochs=3, verbose=0).history["loss"]
    assert losses[2] < losses[0]
    scale, history = np.asarray(layer.kernel_scale), np.asarray(layer.kernel_amax_history)
    assert scale < 1 and history.max() > 0 and np.count_nonzero(layer.outputs_grad_amax_history) > 0

    # what the layer gives now: inputs and weights, each divided by its scale, as floats of 8 bits, multiplied
    def rounded(v, scale):
        return np.clip(v / scale, -448, 448).astype(ml_dtypes.float8_e4m3fn).astype(np.float32) * scale

    assert not np.array_equal(weight, layer.kernel)
    wanted = rounded(x, np.asarray(layer.inputs_scale)) @ rounded(np.asarray(layer.kernel), scale)
    np.testing.assert_allclose(model(x), wanted, rtol=1e-5, atol=1e-5)
