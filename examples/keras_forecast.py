"""A forecast: an LSTM in Keras goes on with a chaotic series, from what it was like until now.

    python examples/keras_forecast.py [--epochs 8]

The series is that of Mackey and Glass (1977), a model of how blood cells are made, whose change depends on what it was a while
ago. A forecast is compared with the guess that nothing changes.
"""

from __future__ import annotations

import argparse

import numpy as np

from leptonc import keras
from leptonc.keras import layers

PAST, AHEAD, DELAY = 48, 12, 17  # steps that are seen, the step that is asked for, and how long ago the change depends on


def series(length: int) -> np.ndarray:
    """f32[length]: dx/dt = 0.2 x(t - 17) / (1 + x(t - 17)^10) - 0.1 x(t), in tenths of a step."""
    fine, before = 10, 500
    x = np.full((length + before + DELAY) * fine, 1.2)
    for n in range(DELAY * fine, len(x) - 1):
        late = x[n - DELAY * fine]
        x[n + 1] = x[n] + (0.2 * late / (1 + late**10) - 0.1 * x[n]) / fine
    return x[::fine][-length:].astype(np.float32)


def windows(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(f32[n, PAST, 1], f32[n, 1] the value AHEAD steps later); whole batches of 32."""
    rows = np.lib.stride_tricks.sliding_window_view(x, PAST + AHEAD)
    rows = rows[:len(rows) // 32 * 32]
    return np.ascontiguousarray(rows[:, :PAST, None]), np.ascontiguousarray(rows[:, -1:])


def build() -> keras.Model:
    normal = layers.Normalization(axis=None, mean=0.9, variance=0.06)
    model = keras.Sequential([layers.Input((PAST, 1)), normal, layers.LSTM(48), layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.Adam(3e-3), loss="mse")
    return model


def main(arguments: list[str] | None = None) -> tuple[float, float]:
    """Returns the root mean square errors of the model, and of the guess that nothing changes."""
    parser = argparse.ArgumentParser(description="Forecast the series of Mackey and Glass.")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--length", type=int, default=5000, help="steps of the series (default 5000)")
    options = parser.parse_args(arguments)
    keras.utils.set_random_seed(0)
    x = series(options.length)
    cut = options.length * 4 // 5
    training, validation = windows(x[:cut]), windows(x[cut:])
    model = build()
    model.fit(*training, batch_size=32, epochs=options.epochs, verbose=2)
    forecast = model.predict(validation[0], verbose=0)
    still = validation[0][:, -1]
    found = tuple(float(np.sqrt(np.mean((guess - validation[1])**2))) for guess in (forecast, still))
    print("error of the forecast {:.3f}, of the guess that nothing changes {:.3f}".format(*found))
    return found  # type: ignore[return-value]


if __name__ == "__main__":
    main()
