"""Models that one backend saved and another loads: equal predictions, both ways.

    python -m tests.keras.exchange save FOLDER      # with KERAS_BACKEND=jax, torch or leptonc
    python -m tests.keras.exchange check FOLDER     # with another one

It imports nothing of leptonc unless that is the backend, so that it runs where only another one is installed.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

if os.environ.get("KERAS_BACKEND", "leptonc") == "leptonc":
    importlib.import_module("leptonc.keras")
keras: Any = importlib.import_module("keras")
CLOSE = 1e-5


def convolutional() -> Any:
    layers = keras.layers
    return keras.Sequential([
        keras.Input((12, 12, 3)), layers.Rescaling(1 / 2), layers.Conv2D(8, 3, padding="same", activation="relu"),
        layers.BatchNormalization(), layers.MaxPooling2D(), layers.DepthwiseConv2D(3, activation="gelu"),
        layers.SeparableConv2D(6, 2, strides=2), layers.Flatten(),
        layers.Dropout(0.3), layers.Dense(5, activation="softmax", kernel_regularizer="l2")])


def functional() -> Any:
    """Two inputs, two outputs, a layer used twice."""
    layers = keras.layers
    image, numbers = keras.Input((8, 8, 2), name="image"), keras.Input((4,), name="numbers")
    shared = layers.Dense(6, activation="tanh")
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2DTranspose(4, 3, strides=2)(image))
    joined = layers.LayerNormalization()(layers.Concatenate()([shared(pooled), shared(numbers)]))
    return keras.Model([image, numbers], [layers.Dense(3, name="first")(joined), layers.Dense(1, activation="sigmoid")(joined)])


def sequence() -> Any:
    layers = keras.layers
    return keras.Sequential([keras.Input((7,), dtype="int32"), layers.Embedding(20, 6),
                             layers.LSTM(5, return_sequences=True, recurrent_initializer="he_normal"),
                             layers.GRU(4, recurrent_initializer="he_normal"), layers.Dense(2, activation="softmax")])


def attention() -> Any:
    layers = keras.layers
    x = keras.Input((6, 4))
    attended = layers.MultiHeadAttention(2, 3)(x, x)
    return keras.Model(x, layers.Dense(2)(layers.GlobalMaxPooling1D()(layers.Add()([x, attended]))))


MODELS: dict[str, Callable[[], Any]] = {made.__name__: made for made in (convolutional, functional, sequence, attention)}


def inputs(model: Any, samples: int = 6) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 20, (samples, *x.shape[1:])).astype(np.int32) if x.dtype == "int32" else
            rng.standard_normal((samples, *x.shape[1:])).astype(np.float32) for x in model.inputs]


def predictions(model: Any) -> list[np.ndarray]:
    x = inputs(model)
    found = model.predict(x if len(x) > 1 else x[0], verbose=0)
    return [np.asarray(y) for y in (found if isinstance(found, list | tuple) else [found])]


def trained(name: str) -> Any:
    """With an optimizer that has moments, and statistics that are no longer those of a new model."""
    keras.utils.set_random_seed(0)
    model = MODELS[name]()
    model.compile("adam", ["mse"] * len(model.outputs), metrics=[["mae"]] * len(model.outputs),
                  jit_compile=False if keras.backend.backend() == "torch" else "auto")  # minutes
    x, y = inputs(model), [np.ones((6, *y.shape[1:]), np.float32) for y in model.outputs]
    model.fit(x if len(x) > 1 else x[0], y if len(y) > 1 else y[0], epochs=2, batch_size=3, verbose=0)
    return model


def save(folder: Path, names: Any = MODELS) -> None:
    for name in names:
        model = trained(name)
        model.save(folder / f"{name}.keras")
        model.save_weights(folder / f"{name}.weights.h5")
        np.savez(folder / f"{name}.npz", *predictions(model), iterations=int(model.optimizer.iterations))


def check(folder: Path, names: Any = MODELS) -> list[str]:
    """What differs between the predictions in ``folder`` and those of the models in it, as this backend loads them."""
    found = []
    for name in names:
        with np.load(folder / f"{name}.npz") as file:
            expected = [file[f"arr_{n}"] for n in range(len(file.files) - 1)]
            iterations = int(file["iterations"])
        # torch's backend writes the name of an optimizer class of its own, which no other backend can load
        whole = keras.models.load_model(folder / f"{name}.keras", compile="torch" not in folder.name)
        weights = MODELS[name]()
        weights.load_weights(folder / f"{name}.weights.h5", skip_mismatch=False)
        for what, model in ((f"{name}.keras", whole), (f"{name}.weights.h5", weights)):
            off = max(float(np.abs(a - b).max()) for a, b in zip(expected, predictions(model), strict=True))
            found += [f"{what}: predictions differ by {off:.2e}"] if not off <= CLOSE else []
        steps = int(whole.optimizer.iterations) if whole.compiled else iterations
        if steps != iterations:
            found.append(f"{name}.keras: the optimizer made {steps} steps, not {iterations}")
    return found


def main(what: str, folder: str) -> int:
    if what == "save":
        Path(folder).mkdir(parents=True, exist_ok=True)
        save(Path(folder))
        return 0
    wrong = check(Path(folder))
    print("\n".join(wrong) or f"{len(MODELS)} models of {folder} on {keras.backend.backend()}: equal predictions")
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
