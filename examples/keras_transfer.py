"""What was learned on one task serves another: a network trained on the digits 0 to 4 learns 5 to 9 from a few pictures of each.

    python examples/keras_transfer.py [--epochs 10]

First its base is frozen and only a new head is trained; then all is trained on, at a small learning rate.
"""

from __future__ import annotations

import argparse

import numpy as np
from digits_data import load_data

from leptonc import keras
from leptonc.keras import layers

FEW = 4  # pictures of each new digit


def base() -> keras.Model:
    return keras.Sequential([
        layers.Input((8, 8, 1)),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.BatchNormalization(),
        layers.MaxPooling2D(2),
        layers.Conv2D(64, 3, padding="same", activation="relu"),
        layers.Flatten(),
    ], name="base")


def with_head(features: keras.Model, normalizes: bool = True) -> keras.Model:
    """Five classes on top of the base. ``normalizes=False``: its normalization keeps to the statistics of its first task."""
    inputs = keras.Input((8, 8, 1))
    hidden = features(inputs, training=None if normalizes else False)
    return keras.Model(inputs, layers.Dense(5, activation="softmax", name="head")(layers.Dropout(0.2)(hidden)))


def train(model: keras.Model, x: np.ndarray, y: np.ndarray, epochs: int, rate: float) -> None:
    """``compile`` anew: which variables are trained is decided there."""
    model.compile(optimizer=keras.optimizers.Adam(rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=20, epochs=epochs, verbose=0)


def few_of_each(y: np.ndarray, count: int) -> np.ndarray:
    return np.concatenate([np.flatnonzero(y == digit)[:count] for digit in np.unique(y)])


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Returns the validation accuracies on the new digits: of a frozen base, of one trained on, and of one that starts fresh."""
    parser = argparse.ArgumentParser(description="Transfer learning from some handwritten digits to others.")
    parser.add_argument("--epochs", type=int, default=10, help="on the old digits; twice as many on the few new ones (default 10)")
    options = parser.parse_args(arguments)
    keras.utils.set_random_seed(0)
    (x, y), (test_x, test_y) = load_data("train"), load_data("validation")
    old, new, test = y < 5, y >= 5, test_y >= 5
    few = few_of_each(y[new], FEW)
    few_x, few_y = x[new][few], y[new][few] - 5
    found = {}

    def score(name: str, model: keras.Model) -> None:
        _, found[name] = model.evaluate(test_x[test], test_y[test] - 5, batch_size=sum(test), verbose=0)
        trained = sum(np.prod(v.shape) for v in model.trainable_variables)
        print(f"{name}: {trained:,} parameters trained, accuracy {found[name]:.3f} on digits that the base never saw")

    features = base()
    train(with_head(features), x[old][:700], y[old][:700], options.epochs, 1e-3)

    features.trainable = False
    before = features.get_weights()
    model = with_head(features, normalizes=False)
    train(model, few_x, few_y, 2 * options.epochs, 1e-2)
    score("frozen base", model)
    assert all(np.array_equal(a, b) for a, b in zip(before, features.get_weights()))

    features.trainable = True
    train(model, few_x, few_y, 2 * options.epochs, 1e-4)
    score("fine-tuned", model)

    fresh = with_head(base())
    train(fresh, few_x, few_y, 4 * options.epochs, 1e-3)
    score("from scratch", fresh)
    return found


if __name__ == "__main__":
    main()
