"""Keras's ModelCheckpoint, with files that are whole whenever the process is killed."""

from __future__ import annotations

from typing import Any

import leptonc.keras
from leptonc.callbacks import atomic

keras: Any = leptonc.keras


class ModelCheckpoint(keras.callbacks.ModelCheckpoint):
    """``keras.callbacks.ModelCheckpoint``, which writes over its file in place, made safe: a kill leaves the old or the new."""

    _model: Any

    def _save_model(self, *args: Any, **kwargs: Any) -> None:
        model = self._model
        self._model = _Whole(model)
        try:
            super()._save_model(*args, **kwargs)
        finally:
            self._model = model


class _Whole:
    """A model whose files appear whole."""

    def __init__(self, model: Any):
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def save(self, filepath: str, **kwargs: Any) -> None:
        with atomic.replaced(filepath) as part:
            self._model.save(part, **kwargs)

    def save_weights(self, filepath: str, **kwargs: Any) -> None:
        with atomic.replaced(filepath) as part:
            self._model.save_weights(part, **kwargs)
