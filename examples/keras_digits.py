"""Handwritten digits: a CNN in Keras whose first layers move, turn and zoom the pictures, other ways at every step.

    python examples/keras_digits.py [--epochs 15] [--out out]

The layers that vary the pictures are part of the model and of the one compiled step. They do so in training alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from digits_data import load_data

from leptonc import keras, plot
from leptonc.keras import layers


def build() -> keras.Model:
    model = keras.Sequential([
        layers.Input((8, 8, 1)),
        layers.RandomTranslation(0.1, 0.1, fill_mode="constant"),
        layers.RandomRotation(0.04, fill_mode="constant"),
        layers.RandomZoom(0.1, fill_mode="constant"),
        layers.Conv2D(32, 3, padding="same", use_bias=False),
        layers.BatchNormalization(),
        layers.Activation("relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(64, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dropout(0.3),
        layers.Dense(10),
    ])
    model.compile(optimizer=keras.optimizers.Adam(2e-3), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                  metrics=["accuracy"])
    return model


def draw(history: keras.callbacks.History, x: np.ndarray, logits: np.ndarray, y: np.ndarray, out: Path) -> list[Path]:
    paths = [out / f"digits_{name}.png" for name in ("training", "predictions", "confusion")]
    plot.history(history, path=paths[0])
    plot.predictions(x, logits, y, path=paths[1])
    plot.confusion_matrix(y, logits, path=paths[2])
    return paths


def main(arguments: list[str] | None = None) -> float:
    """Returns the validation accuracy."""
    parser = argparse.ArgumentParser(description="Train a CNN on handwritten digits.")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path("out"), help="where pictures and the model go (default out)")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(0)
    x, y = load_data("train")
    validation = load_data("validation")

    model = build()
    slower = keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=2)
    history = model.fit(x, y, batch_size=32, epochs=options.epochs, validation_data=validation, callbacks=[slower])
    loss, accuracy = model.evaluate(*validation, verbose=0)
    print(f"validation loss {loss:.3f}, accuracy {accuracy:.3f}")

    path = options.out / "digits.keras"
    model.save(path)
    logits = keras.saving.load_model(path).predict(validation[0], verbose=0)
    np.testing.assert_array_equal(logits.argmax(1), model.predict(validation[0], verbose=0).argmax(1))
    written = [*draw(history, validation[0], logits, validation[1], options.out), path]
    print("written: " + ", ".join(map(str, written)))
    return accuracy


if __name__ == "__main__":
    main()
