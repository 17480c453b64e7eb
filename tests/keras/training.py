"""A small training run that has everything a checkpoint must keep: used by the tests of checkpoints and by the kills."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

import leptonc.keras
from leptonc.callbacks import Checkpoint

keras: Any = leptonc.keras
EPOCHS = 3
SAMPLES = 150
BATCH = 16  # the last batch is smaller


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    x = rng.standard_normal((SAMPLES, 8, 8, 1)).astype(np.float32)
    return x, (x.mean((1, 2, 3)) > 0).astype(np.int32)


def model() -> Any:
    """Dropout has a seed, batch normalization statistics, Adam moments and an average of the weights."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(1)
    layers = keras.layers
    made = keras.Sequential([
        keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(6, activation="relu"), layers.BatchNormalization(),
        layers.Dropout(0.3), layers.Dense(2, activation="softmax")])
    adam = keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.9)
    made.compile(adam, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


def callbacks() -> list[Any]:
    """Each remembers something; the schedule multiplies, so that an epoch that is begun twice would show."""
    return [keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9),
            keras.callbacks.ReduceLROnPlateau("loss", patience=1, factor=0.5, min_delta=0.1),
            keras.callbacks.EarlyStopping("val_loss", patience=5, restore_best_weights=True)]


def fit(made: Any, path: Path | None, every: Any = "epoch", epochs: int = EPOCHS, extra: Any = (), **options: Any) -> Any:
    x, y = data()
    checkpoint = [Checkpoint(path, every)] if path is not None else []
    return made.fit(x, y, batch_size=BATCH, epochs=epochs, validation_split=0.2, verbose=0,
                    callbacks=[*checkpoint, *callbacks(), *extra], **options)


def digest(made: Any, history: Any) -> str:
    """Of every bit that training made."""
    hasher = hashlib.sha256()
    for v in [*made.variables, *made.optimizer.variables, *made.metrics_variables]:
        hasher.update(v.path.encode() + v.numpy().tobytes())
    hasher.update(repr((history.epoch, sorted(history.history.items()))).encode())
    return hasher.hexdigest()
