"""A small transformer in Keras: attention to the characters before, from which it learns what comes next.

    python examples/keras_transformer.py [--epochs 4]

It reads Python's documentation. Each block is attention and two dense layers, with a normalization before and a sum behind each.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import text_data

from leptonc import keras
from leptonc.keras import layers, ops

LENGTH, BATCH = 64, 32


class Positions(layers.Layer):
    """What is learned about each place is added to what stands there."""

    def build(self, shape: Any) -> None:
        self.table = self.add_weight(shape=shape[1:], initializer=keras.initializers.RandomNormal(stddev=0.02))

    def call(self, x: Any) -> Any:
        return x + self.table


def block(x: Any, heads: int) -> Any:
    width = x.shape[-1]
    h = layers.LayerNormalization()(x)
    x = x + layers.MultiHeadAttention(heads, width // heads)(h, h, use_causal_mask=True)
    h = layers.Dense(4 * width, activation="gelu")(layers.LayerNormalization()(x))
    return x + layers.Dense(width)(h)


def build(symbols: int, width: int = 64, depth: int = 2, heads: int = 4) -> keras.Model:
    """Logits of the character that comes next, at each place."""
    inputs = layers.Input((LENGTH,), dtype="int32")
    x = Positions()(layers.Embedding(symbols, width)(inputs))
    for _ in range(depth):
        x = block(x, heads)
    model = keras.Model(inputs, layers.Dense(symbols)(layers.LayerNormalization()(x)))
    model.compile(optimizer=keras.optimizers.AdamW(3e-3, weight_decay=0.01, clipnorm=1.0),
                  loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def stretches(codes: np.ndarray, batches: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(characters, those behind them), both i32[n, LENGTH]."""
    rows = text_data.windows(codes, np.random.default_rng(seed), batches * BATCH, LENGTH + 1)
    return rows[:, :-1], rows[:, 1:]


def sees_only_what_was(model: keras.Model, row: np.ndarray) -> bool:
    """Whether the logits stay the same where characters behind them change."""
    half = LENGTH // 2
    other = np.concatenate([row[:half], row[half:][::-1]])
    first, second = ops.convert_to_numpy(model(np.stack([row, other])))
    return bool(np.allclose(first[:half], second[:half], atol=1e-5))


def main(arguments: list[str] | None = None) -> tuple[float, float]:
    """Returns the validation perplexities of the model, and of a count of three characters."""
    parser = argparse.ArgumentParser(description="Learn what comes next in Python's documentation.")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batches", type=int, default=400, help="of an epoch (default 400)")
    parser.add_argument("--characters", type=int, default=None, help="how much of the text is read (default all)")
    parser.add_argument("--depth", type=int, default=2, help="blocks (default 2)")
    options = parser.parse_args(arguments)
    keras.utils.set_random_seed(0)
    text = text_data.load(options.characters)
    model = build(len(text.symbols), depth=options.depth)
    model.fit(*stretches(text.training, options.batches, 0), batch_size=BATCH, epochs=options.epochs, verbose=2)
    validation = stretches(text.validation, 40, 1)
    assert sees_only_what_was(model, validation[0][0])
    found = float(np.exp(model.evaluate(*validation, batch_size=BATCH, verbose=0))), text_data.trigram_perplexity(text)
    print("validation perplexity {:.2f}; by counts of three characters {:.2f}".format(*found))
    return found


if __name__ == "__main__":
    main()
