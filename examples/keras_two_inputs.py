"""Two pictures in, two answers out: the sum of two handwritten digits, and whether the left one is larger.

    python examples/keras_two_inputs.py [--epochs 12]

Both pictures go through the same layers, whose gradient is the sum of both ways. Each answer has a loss and a weight; pairs whose
sum is rare count more.
"""

from __future__ import annotations

import argparse

import numpy as np
from digits_data import load_data

from leptonc import keras
from leptonc.keras import layers

SUMS = 19  # 0 to 18


def pairs(part: str, count: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Inputs and answers by name, of so many random pairs of pictures."""
    x, y = load_data(part)
    left, right = np.random.default_rng(0).integers(0, len(x), (2, count))
    larger = (y[left] > y[right]).astype(np.float32)[:, None]
    return {"left": x[left], "right": x[right]}, {"sum": y[left] + y[right], "larger": larger}


def weights(sums: np.ndarray) -> np.ndarray:
    """A weight for each pair, so that every sum counts as much as any other; 1 on average."""
    counts = np.bincount(sums, minlength=SUMS)
    return (len(sums) / (np.count_nonzero(counts) * counts[sums])).astype(np.float32)


def build() -> keras.Model:
    encoder = keras.Sequential([
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(64, 3, padding="same", activation="relu"),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
    ], name="encoder")
    left, right = keras.Input((8, 8, 1), name="left"), keras.Input((8, 8, 1), name="right")
    one, other = encoder(left), encoder(right)
    hidden = layers.Dense(128, activation="relu")(layers.Concatenate()([one, other]))
    answers = {"sum": layers.Dense(SUMS, activation="softmax", name="sum")(hidden),
               "larger": layers.Dense(1, activation="sigmoid", name="larger")(layers.Subtract()([one, other]))}
    model = keras.Model({"left": left, "right": right}, answers)
    model.compile(optimizer="adam", loss={"sum": "sparse_categorical_crossentropy", "larger": "binary_crossentropy"},
                  loss_weights={"sum": 1.0, "larger": 0.5}, metrics={"sum": ["accuracy"], "larger": ["accuracy"]})
    return model


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Returns the validation losses and accuracies by name."""
    parser = argparse.ArgumentParser(description="Add and compare handwritten digits.")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--pairs", type=int, default=8000, help="to train on (default 8000)")
    options = parser.parse_args(arguments)
    keras.utils.set_random_seed(0)
    x, y = pairs("train", options.pairs)

    model = build()
    model.summary(line_length=78)
    model.fit(x, y, batch_size=64, epochs=options.epochs, verbose=2,
              sample_weight={"sum": weights(y["sum"]), "larger": np.ones(options.pairs, np.float32)})
    found = model.evaluate(*pairs("validation", 960), return_dict=True, verbose=0)
    print(f"validation accuracy of the sum {found['sum_accuracy']:.3f}, of the comparison {found['larger_accuracy']:.3f}")
    return found


if __name__ == "__main__":
    main()
