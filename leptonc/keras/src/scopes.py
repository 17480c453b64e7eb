"""Keras's name scopes, which every node that is traced inside carries: the layer that an op belongs to."""

from __future__ import annotations

from typing import Any

from keras.src.backend.common import name_scope as names

from leptonc.frames import named_scope


class name_scope(names.name_scope):  # Keras's name of it
    def __enter__(self) -> Any:
        entered = super().__enter__()
        self._named = named_scope(names.current_path())
        self._named.__enter__()
        return entered

    def __exit__(self, *error: Any) -> None:
        self._named.__exit__(None, None, None)
        super().__exit__(*error)
