"""Sequences to sequences in Keras: one LSTM reads a sum such as "27+394", another writes "421", character by character.

    python examples/keras_addition.py [--digits 3] [--epochs 25]

The task is that of Zaremba and Sutskever (2014, "Learning to Execute"), which is also one of Keras's own examples. Characters are
rows of truth values; the question is read backwards, so that what it begins with is read last.
"""

from __future__ import annotations

import argparse

import numpy as np

from leptonc import keras
from leptonc.keras import layers

ALPHABET = "0123456789+ "
ROWS = np.eye(len(ALPHABET), dtype=bool)


def coded(texts: list[str]) -> np.ndarray:
    """bool[n, length, 12]: which character stands where."""
    return ROWS[[[ALPHABET.index(character) for character in text] for text in texts]]


def read(rows: np.ndarray) -> list[str]:
    return ["".join(ALPHABET[n] for n in numbers).strip() for numbers in rows.argmax(-1)]


def sums(digits: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(bool[n, 2 digits + 1, 12] questions, bool[n, digits + 1, 12] answers), at most ``count``, none twice."""
    rng = np.random.default_rng(0)
    highest = 10 ** digits
    terms = (highest ** rng.random((2 * count, 2))).astype(int)  # numbers of few digits are as frequent as those of many
    chosen = rng.permutation(np.unique(terms, axis=0))[:count]
    questions = [f"{a}+{b}".ljust(2 * digits + 1)[::-1] for a, b in chosen]
    return coded(questions), coded([str(a + b).ljust(digits + 1) for a, b in chosen])


def build(digits: int, units: int) -> keras.Model:
    model = keras.Sequential([
        layers.Input((2 * digits + 1, len(ALPHABET))),
        layers.LSTM(units),                         # the whole question in one vector
        layers.RepeatVector(digits + 1),            # which is seen at each character of the answer
        layers.LSTM(units, return_sequences=True),
        layers.Dense(len(ALPHABET), activation="softmax"),
    ])
    model.compile(optimizer=keras.optimizers.Adam(3e-3), loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def main(arguments: list[str] | None = None) -> tuple[float, float]:
    """Returns the shares of characters and of whole sums that are right, of those held out."""
    parser = argparse.ArgumentParser(description="Learn to add from examples.")
    parser.add_argument("--digits", type=int, default=3)
    parser.add_argument("--sums", type=int, default=30000, help="at most so many (default 30000)")
    parser.add_argument("--units", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=25)
    options = parser.parse_args(arguments)
    keras.utils.set_random_seed(0)
    questions, answers = sums(options.digits, options.sums)
    held = len(questions) // 10
    model = build(options.digits, options.units)
    model.fit(questions[held:], answers[held:], batch_size=64, epochs=options.epochs, verbose=2)
    said = model.predict(questions[:held], batch_size=held, verbose=0)
    same = said.argmax(-1) == answers[:held].argmax(-1)
    for question, answer in zip(read(questions[:8]), read(said[:8])):
        print(f"{question[::-1]:>{2 * options.digits + 1}} = {answer}")
    print(f"{same.all(1).mean():.1%} of {held} sums that were held out are right, {same.mean():.1%} of their characters")
    return float(same.mean()), float(same.all(1).mean())


if __name__ == "__main__":
    main()
