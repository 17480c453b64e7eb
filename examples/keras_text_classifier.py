"""Text classification: an LSTM in Keras reads a few words of a program, and says which program they are from.

    python examples/keras_text_classifier.py [--epochs 4]

The texts are programs of Python's standard library. Short ones are padded, and the padding is masked.
"""

from __future__ import annotations

import argparse
import collections
import inspect
import re
from importlib import import_module

import numpy as np

from leptonc import keras
from leptonc.keras import layers

PROGRAMS = ("argparse", "datetime", "decimal", "doctest", "tarfile", "turtle")
SOURCES = {"datetime": "_pydatetime", "decimal": "_pydecimal"}  # where a module only hands on what another defines
WORDS, LENGTH = 2000, 24
PADDING, OTHER = 0, 1  # words' numbers begin behind these


def texts() -> list[list[str]]:
    """The words of each program: names, and marks one by one."""
    found = []
    for name in PROGRAMS:
        try:
            module = import_module(SOURCES.get(name, name))
        except ImportError:  # an older Python, where the module itself defines it
            module = import_module(name)
        found.append(re.findall(r"[A-Za-z]+|[^\sA-Za-z]", inspect.getsource(module)))
    return found


def data(share: float = 1.0, seed: int = 0) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """(i32[n, LENGTH] words, i32[n] programs) to train on, and to validate by: the last fifth of each program."""
    programs = texts()
    common = collections.Counter(word for words in programs for word in words).most_common(WORDS - 2)
    number = {word: n for n, (word, _) in enumerate(common, 2)}
    rng = np.random.default_rng(seed)
    parts: tuple[list, list] = ([], [])
    for label, words in enumerate(programs):
        codes = np.array([number.get(word, OTHER) for word in words[:int(len(words) * share)]], np.int32)
        cut = len(codes) * 4 // 5
        for part, stretch in zip(parts, (codes[:cut], codes[cut:])):
            part += [(row, label) for row in pieces(stretch, rng)]
    return tuple(arrays(part, rng) for part in parts)  # type: ignore[return-value]


def pieces(codes: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Stretches of LENGTH / 2 to LENGTH words, one behind the other, padded to LENGTH."""
    found, start = [], 0
    while start + LENGTH <= len(codes):
        length = rng.integers(LENGTH // 2, LENGTH + 1)
        found.append(np.pad(codes[start:start + length], (0, LENGTH - length), constant_values=PADDING))
        start += length
    return found


def arrays(pairs: list[tuple[np.ndarray, int]], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Shuffled; whole batches of 32, for another shape is another program to compile."""
    order = rng.permutation(len(pairs))[:len(pairs) // 32 * 32]
    return np.stack([pairs[n][0] for n in order]), np.array([pairs[n][1] for n in order], np.int32)


def build(width: int = 64) -> keras.Model:
    model = keras.Sequential([
        layers.Input((LENGTH,), dtype="int32"),
        layers.Embedding(WORDS, width, mask_zero=True),
        layers.Bidirectional(layers.LSTM(width)),
        layers.Dropout(0.5),
        layers.Dense(len(PROGRAMS)),
    ])
    model.compile(optimizer=keras.optimizers.Adam(2e-3), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                  metrics=["accuracy"])
    return model


def main(arguments: list[str] | None = None) -> float:
    """Returns the validation accuracy."""
    parser = argparse.ArgumentParser(description="Tell programs apart by a few of their words.")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--share", type=float, default=1.0, help="how much of each program is read (default 1)")
    options = parser.parse_args(arguments)
    keras.utils.set_random_seed(0)
    training, validation = data(options.share)
    model = build()
    model.fit(*training, batch_size=32, epochs=options.epochs, validation_data=validation, verbose=2)
    accuracy = float(model.evaluate(*validation, verbose=0)[1])
    print(f"validation accuracy {accuracy:.3f}; one guess in {len(PROGRAMS)} would be right by chance")
    return accuracy


if __name__ == "__main__":
    main()
