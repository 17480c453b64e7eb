"""Metric learning in Keras: pictures of one digit come near each other, also of digits that were never seen in training.

    python examples/keras_metric_learning.py [--epochs 15]

The loss looks at a whole batch: each picture is to be more like the others of its digit than like the rest (Khosla et al. 2020,
supervised contrastive learning). The digits 0 to 6 are learned; new pictures of them, and of 7, 8 and 9, are looked at.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from digits_data import load_data
from sklearn.metrics import silhouette_score

from leptonc import keras
from leptonc.keras import layers, ops

KNOWN, BATCH = 7, 64


class Contrastive(keras.losses.Loss):
    """-log of the share of a picture's likeness that goes to those of its own class, over unit vectors [n, d]."""

    def __init__(self, warmth: float = 0.2, **kwargs: Any):
        super().__init__(**kwargs)
        self.warmth = warmth

    def call(self, y_true: Any, y_pred: Any) -> Any:
        labels = ops.reshape(y_true, (-1,))
        itself = np.eye(labels.shape[0], dtype=bool)
        likeness = ops.where(itself, -1e9, ops.matmul(y_pred, ops.transpose(y_pred)) / self.warmth)
        alike = ops.logical_and(ops.equal(labels[:, None], labels[None, :]), ~itself)
        alike = ops.cast(alike, y_pred.dtype)
        shares = ops.log_softmax(likeness, -1)
        return -ops.sum(alike * shares, -1) / ops.maximum(ops.sum(alike, -1), 1)


def build() -> keras.Model:
    """Pictures to unit vectors."""
    model = keras.Sequential([
        layers.Input((8, 8, 1)),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(64, 3, padding="same", activation="relu"),
        layers.Flatten(),
        layers.Dense(16),
        layers.UnitNormalization(),
    ])
    model.compile(optimizer=keras.optimizers.Adam(2e-3), loss=Contrastive())
    return model


def main(arguments: list[str] | None = None) -> dict[str, tuple[float, float]]:
    """Returns how far classes lie apart (the silhouette, Rousseeuw 1987, at most 1) by pixels and by the model's vectors."""
    parser = argparse.ArgumentParser(description="Learn what makes pictures of a digit alike.")
    parser.add_argument("--epochs", type=int, default=15)
    options = parser.parse_args(arguments)
    keras.utils.set_random_seed(0)
    x, y = load_data("train")
    learned = np.flatnonzero(y < KNOWN)
    learned = learned[:len(learned) // BATCH * BATCH]
    model = build()
    model.fit(x[learned], y[learned], batch_size=BATCH, epochs=options.epochs, verbose=2)
    x_new, y_new = load_data("validation")
    found = {}
    for name, digits in (("learned", y_new < KNOWN), ("other", y_new >= KNOWN)):
        pictures, labels = x_new[digits], y_new[digits]
        found[name] = tuple(float(silhouette_score(vectors, labels)) for vectors in (
            pictures.reshape(len(pictures), -1), model.predict(pictures, verbose=0)))
        print(f"new pictures of {name} digits: silhouette {found[name][0]:.2f} by pixels, {found[name][1]:.2f} by the model")
    return found


if __name__ == "__main__":
    main()
