"""A transformer that classifies series, in Keras: does a machine knock?

    python examples/keras_series_classifier.py [--epochs 12]

Encoder blocks (Vaswani et al. 2017) over the steps of a series, the mean over steps, a small classifier; training ends when the
validation loss has stopped to fall, as in Keras's own example of this kind. The series are made here: coloured noise, and in half
of them a short ringing somewhere, no louder than the noise.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from leptonc import keras
from leptonc.keras import layers

STEPS, PATCH, WIDTH = 128, 8, 32  # a series is cut into patches, each of which becomes a vector


def recordings(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(f32[count, STEPS, 1], i32[count]: 1 where it knocks)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, STEPS + 1))
    x = x[:, 1:] + 0.8 * x[:, :-1]
    knocks = rng.permutation(np.arange(count) % 2)
    since = np.arange(STEPS) - rng.integers(0, STEPS - 30, (count, 1))
    ringing = np.where(since >= 0, np.exp(-np.abs(since) / 8) * np.sin(since * 2.0), 0)
    x += 4 * knocks[:, None] * ringing
    return x[..., None].astype(np.float32), knocks.astype(np.int32)


def block(x: Any, heads: int, dropout: float) -> Any:
    """What a step takes from the others is added to it, then what it makes of that itself."""
    normal = layers.LayerNormalization()(x)
    x += layers.MultiHeadAttention(heads, WIDTH // heads, dropout=dropout)(normal, normal)
    inner = layers.Dense(2 * WIDTH, activation="gelu")(layers.LayerNormalization()(x))
    return x + layers.Dropout(dropout)(layers.Dense(WIDTH)(inner))


def build(blocks: int) -> keras.Model:
    inputs = keras.Input((STEPS, 1))
    x = layers.Conv1D(WIDTH, PATCH, strides=PATCH // 2, activation="gelu")(inputs)
    places = layers.Embedding(x.shape[1], WIDTH)(np.arange(x.shape[1]))
    x += places
    for _ in range(blocks):
        x = block(x, 4, 0.1)
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    model = keras.Model(inputs, layers.Dense(2, activation="softmax")(x))
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main(arguments: list[str] | None = None) -> float:
    """Returns the accuracy on series that were held out."""
    parser = argparse.ArgumentParser(description="Tell the series that knock.")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--series", type=int, default=4096, help="for training (default 4096)")
    parser.add_argument("--blocks", type=int, default=2)
    options = parser.parse_args(arguments)
    keras.utils.set_random_seed(0)
    model = build(options.blocks)
    stop = keras.callbacks.EarlyStopping(patience=3, restore_best_weights=True)
    model.fit(*recordings(options.series, 0), validation_data=recordings(512, 1), batch_size=32, epochs=options.epochs,
              callbacks=[stop], verbose=2)
    accuracy = model.evaluate(*recordings(512, 2), verbose=0)[1]
    print(f"{accuracy:.1%} of the series held out are told right")
    return float(accuracy)


if __name__ == "__main__":
    main()
