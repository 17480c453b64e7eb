"""Characters one by one: a GRU in Keras learns from Python's documentation, and writes on in one compiled loop.

    python examples/keras_text_generator.py [--epochs 4]

``fit`` trains on stretches of the text. Writing feeds each character back with the state of the GRU: ``ops.scan`` over the model's
own layers, compiled as one function.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import text_data

import leptonc
from leptonc import keras
from leptonc.keras import layers, ops

LENGTH, BATCH = 32, 32


def build(symbols: int, width: int = 96) -> keras.Model:
    """Logits of the character that comes next, at each place."""
    model = keras.Sequential([
        layers.Input((LENGTH,), dtype="int32"),
        layers.Embedding(symbols, width),
        layers.GRU(width, return_sequences=True),
        layers.Dense(symbols),
    ])
    model.compile(optimizer=keras.optimizers.Adam(4e-3, clipnorm=1.0),
                  loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def stretches(codes: np.ndarray, batches: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(characters, those behind them), both i32[n, LENGTH]."""
    rows = text_data.windows(codes, np.random.default_rng(seed), batches * BATCH, LENGTH + 1)
    return rows[:, :-1], rows[:, 1:]


def writer(model: keras.Model, count: int, warmth: float = 0.7) -> Any:
    """A function of (a start i32[t], a seed), which gives i32[count] characters behind it."""
    embedding, gru, dense = model.layers

    def write(start: Any, seed: Any) -> Any:
        width = gru.units

        def read(state: Any, symbol: Any) -> Any:
            _, (state,) = gru.cell(embedding(symbol[None]), [state])
            return state, None

        def draw(carry: Any, key: Any) -> Any:
            state, symbol = carry
            _, (state,) = gru.cell(embedding(symbol[None]), [state])
            symbol = keras.random.categorical(dense(state) / warmth, 1, seed=key)[0, 0]
            return (state, symbol), symbol

        state, _ = ops.scan(read, ops.zeros((1, width)), start[:-1])
        keys = leptonc.random.split(seed, count)
        return ops.scan(draw, (state, start[-1]), keys)[1]

    return leptonc.jit(write)


def main(arguments: list[str] | None = None) -> tuple[float, float]:
    """Returns the validation perplexities of the model, and of a count of three characters."""
    parser = argparse.ArgumentParser(description="Learn to write like Python's documentation, character by character.")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batches", type=int, default=400, help="of an epoch (default 400)")
    parser.add_argument("--characters", type=int, default=None, help="how much of the text is read (default all)")
    options = parser.parse_args(arguments)
    keras.utils.set_random_seed(0)
    text = text_data.load(options.characters)
    model = build(len(text.symbols))
    model.fit(*stretches(text.training, options.batches, 0), batch_size=BATCH, epochs=options.epochs, verbose=2)
    loss = model.evaluate(*stretches(text.validation, 40, 1), batch_size=BATCH, verbose=0)
    found = float(np.exp(loss)), text_data.trigram_perplexity(text)
    start = "The following "
    written = writer(model, 200)(text.encode(start), leptonc.random.key(0))
    print(start + text.decode(written))
    print("validation perplexity {:.2f}; by counts of three characters {:.2f}".format(*found))
    return found


if __name__ == "__main__":
    main()
