"""Recurrent layers in training: one loop, equal to the steps written out, and to TensorFlow's where it is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

if __name__ == "__main__":
    import keras
else:
    pytest.importorskip("leptonc.keras", reason="Keras is not installed", exc_type=ImportError)
    from leptonc import keras

layers = keras.layers
STEPS = 7  # each is written out in one of the programs


def data(steps=STEPS):
    """Sequences of numbers to add or to leave out, as the second column says."""
    rng = np.random.default_rng(3)
    x = np.stack([rng.uniform(-1, 1, (24, steps)), rng.integers(0, 2, (24, steps))], -1).astype("float32")
    x[::3, steps // 2:] = 0  # masked
    return x, (x[..., 0] * x[..., 1]).sum(1, keepdims=True)


def build(kind, unroll=False, steps=STEPS):
    x = inputs = layers.Input((steps, 2))
    x = layers.Masking()(x)
    x = layers.Bidirectional(getattr(layers, kind)(4, return_sequences=True, unroll=unroll))(x)
    x = getattr(layers, kind)(6, go_backwards=True, unroll=unroll)(x)
    return keras.Model(inputs, layers.Dense(1)(x))


def plain(kind, unroll=False, steps=STEPS):
    return keras.Sequential([layers.Input((steps, 2)), getattr(layers, kind)(6, unroll=unroll), layers.Dense(1)])


def weights(model):
    rng = np.random.default_rng(4)
    return [rng.normal(size=w.shape, scale=0.3).astype("float32") for w in model.get_weights()]


def losses(model, steps=STEPS):
    """Of some epochs, from weights that are the same in every backend."""
    model.set_weights(weights(model))
    model.compile(keras.optimizers.Adam(0.02), "mse")
    return model.fit(*data(steps), epochs=4, batch_size=8, shuffle=False, verbose=0).history["loss"]


@pytest.mark.parametrize("kind", ["SimpleRNN", "GRU", "LSTM"])
@pytest.mark.parametrize("made", [build, plain])
def test_a_loop_trains_as_the_steps_written_out(made, kind):
    looped = losses(made(kind))
    np.testing.assert_allclose(looped, losses(made(kind, unroll=True)), rtol=1e-4)
    assert looped[-1] < looped[0]


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_the_program_does_not_grow_with_the_steps(kind):
    lengths = set()
    for steps in (8, 80):
        model = build(kind, steps=steps)
        losses(model, steps)
        text = model.train_function.as_text("kernels")
        assert text.count("loop") >= 2
        lengths.add(len(text.splitlines()))
    assert len(lengths) == 1


@pytest.mark.skipif(find_spec("tensorflow") is None, reason="TensorFlow is not installed")
@pytest.mark.parametrize("kind", ["SimpleRNN", "GRU", "LSTM"])
def test_losses_are_those_of_tensorflow(kind):
    run = subprocess.run([sys.executable, __file__, kind], env={**os.environ, "KERAS_BACKEND": "tensorflow"}, capture_output=True,
                         text=True, timeout=300, check=True)
    theirs = json.loads(run.stdout.splitlines()[-1])
    for made in (build, plain):
        np.testing.assert_allclose(losses(made(kind)), theirs[made.__name__], rtol=1e-4)


class Draws(layers.Layer):
    """A cell that draws numbers at every step."""

    state_size = output_size = 3

    def __init__(self):
        super().__init__()
        self.dropout = layers.Dropout(0.5, seed=5)

    def call(self, x, states, training=False):
        new = keras.ops.tanh(self.dropout(x, training=training) + 0.5 * states[0])
        return new, [new]


def test_a_cell_draws_other_numbers_at_each_step():
    found = []
    for unroll in (False, True):
        model = keras.Sequential([layers.Input((5, 3)), layers.RNN(Draws(), return_sequences=True, unroll=unroll), layers.Dense(1)])
        model.set_weights([w if w.dtype == "uint32" else np.ones_like(w) for w in model.get_weights()])
        model.compile("sgd", "mse")
        x = np.ones((4, 5, 3), "float32")
        found.append([*model.fit(x, x[..., :1], epochs=2, verbose=0).history["loss"], model.get_weights()])
    np.testing.assert_allclose(found[0][:2], found[1][:2], rtol=1e-5)
    for one, other in zip(found[0][2], found[1][2]):
        np.testing.assert_allclose(one, other, rtol=1e-5)


if __name__ == "__main__":
    print(json.dumps({made.__name__: losses(made(sys.argv[1])) for made in (build, plain)}))
