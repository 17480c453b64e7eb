"""Anomalies in a series, in Keras: what an autoencoder that knows quiet days can't draw again is none of them.

    python examples/keras_anomaly.py [--epochs 10]

Convolutions make a window of a day small, transposed ones large again, as in Keras's own example of this kind. The largest error
on windows from training is the threshold. The series is made here: a count each quarter of an hour, with a morning and an evening
peak.
"""

from __future__ import annotations

import argparse

import numpy as np

from leptonc import keras
from leptonc.keras import layers

DAY = 96  # quarters of an hour


def counts(days: int, seed: int) -> np.ndarray:
    """f32[days * DAY], about 1."""
    rng = np.random.default_rng(seed)
    hour = np.arange(days * DAY) / 4
    peaks = sum(np.exp(-((hour % 24 - middle) / 2) ** 2) for middle in (8, 18))
    return (0.5 + peaks + rng.normal(0, 0.1, len(hour))).astype(np.float32)


def with_faults(x: np.ndarray, faults: dict[str, slice]) -> np.ndarray:
    """A loose contact, a counter that counts twice, a peak in the night."""
    x = x.copy()
    x[faults["loose"]] *= np.random.default_rng(2).integers(0, 2, x[faults["loose"]].shape)
    x[faults["twice"]] *= 2
    x[faults["night"]] += 1
    return x


def windows(x: np.ndarray) -> np.ndarray:
    """f32[n, DAY, 1], one from each quarter of an hour on; whole batches of a day's."""
    rows = np.lib.stride_tricks.sliding_window_view(x, DAY)
    return np.ascontiguousarray(rows[:len(rows) // DAY * DAY, :, None])


def build() -> keras.Model:
    def layer(kind: type, filters: int) -> keras.layers.Layer:
        return kind(filters, 7, strides=2, padding="same", activation="relu")

    model = keras.Sequential([
        layers.Input((DAY, 1)),
        layer(layers.Conv1D, 16), layers.Dropout(0.1), layer(layers.Conv1D, 8),
        layer(layers.Conv1DTranspose, 8), layers.Dropout(0.1), layer(layers.Conv1DTranspose, 16),
        layers.Conv1DTranspose(1, 7, padding="same"),
    ])
    model.compile(keras.optimizers.Adam(2e-3), "mse")
    return model


def main(arguments: list[str] | None = None) -> tuple[dict[str, bool], float]:
    """Returns which faults were found, and the share of quiet days' windows that raise a false alarm."""
    parser = argparse.ArgumentParser(description="Find what is unusual in a series.")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--days", type=int, default=40, help="for training (default 40)")
    options = parser.parse_args(arguments)
    keras.utils.set_random_seed(0)
    training = windows(counts(options.days, 0))
    model = build()
    model.fit(training, training, batch_size=DAY, epochs=options.epochs, verbose=2)

    def errors(x: np.ndarray) -> np.ndarray:
        """Of each window that starts at a step."""
        given = windows(x)
        return np.abs(model.predict(given, batch_size=DAY, verbose=0) - given).mean((1, 2))

    threshold = errors(counts(options.days, 0)).max()
    faults = {"loose": slice(200, 240), "twice": slice(700, 740), "night": slice(1160, 1172)}
    alarms = errors(with_faults(counts(16, 1), faults)) > threshold
    found = {name: bool(alarms[part.stop - DAY:part.start].any()) for name, part in faults.items()}
    false = float((errors(counts(16, 1)) > threshold).mean())
    print(f"threshold {threshold:.3f}; found: {', '.join(name for name in found if found[name])}; false alarms {false:.1%}")
    return found, false


if __name__ == "__main__":
    main()
