"""A variational autoencoder (Kingma and Welling 2014) in Keras: digits as a few numbers each, and new digits from such numbers.

    python examples/keras_vae.py [--epochs 60] [--out out]

A layer draws the numbers, and adds to the loss how far they are from normal ones.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import tiles
from digits_data import load_data

from leptonc import keras
from leptonc.keras import layers, ops

LATENT = 4


class Sampling(layers.Layer):
    """Numbers from (their mean, the logarithm of their variance), and as a loss their divergence from normal ones, in nats."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(0)

    def call(self, mean: Any, spread: Any) -> Any:
        self.add_loss(ops.mean(ops.sum(ops.square(mean) + ops.exp(spread) - spread - 1, -1)) / 2)
        return mean + ops.exp(spread / 2) * keras.random.normal(ops.shape(mean), seed=self.seed_generator)


def of_pixels(y: Any, logits: Any) -> Any:
    """Minus the logarithm of the chance of a picture: a sum over its pixels."""
    return ops.sum(ops.binary_crossentropy(y, logits, from_logits=True), (1, 2, 3))


def build() -> tuple[keras.Model, keras.Model]:
    """The autoencoder, pictures to logits of their pixels; and the decoder by itself."""
    picture, code = layers.Input((8, 8, 1)), layers.Input((LATENT,))
    h = layers.Dense(128, activation="relu")(layers.Flatten()(picture))
    drawn = Sampling()(layers.Dense(LATENT)(h), layers.Dense(LATENT)(h))
    h = layers.Dense(128, activation="relu")(code)
    decoder = keras.Model(code, layers.Reshape((8, 8, 1))(layers.Dense(64)(h)))
    model = keras.Model(picture, decoder(drawn))
    model.compile(optimizer=keras.optimizers.Adam(2e-3), loss=of_pixels)
    return model, decoder


def main(arguments: list[str] | None = None) -> tuple[float, float]:
    """Returns the validation losses before and after training."""
    parser = argparse.ArgumentParser(description="Learn to draw handwritten digits from four numbers each.")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path("out"), help="where the pictures go (default out)")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(0)
    (x, _), (validation, _) = load_data("train"), load_data("validation")
    model, decoder = build()
    before = model.evaluate(validation, validation, verbose=0)
    model.fit(x, x, batch_size=32, epochs=options.epochs, verbose=2)
    after = model.evaluate(validation, validation, verbose=0)
    codes = np.random.default_rng(0).normal(size=(32, LATENT)).astype(np.float32)
    drawn = ops.sigmoid(decoder.predict(codes, verbose=0))
    path = options.out / "keras_vae.png"
    tiles.save(path, drawn[..., 0], columns=8)
    print(f"validation loss {before:.1f} nats a picture before, {after:.1f} after training; drawn: {path}")
    return before, after


if __name__ == "__main__":
    main()
