"""Keras 3 with leptonc as its backend: ``leptonc.keras`` is Keras itself, and ``import keras`` behind it is the same.

Wants the extra: ``pip install leptonc[keras]``. Importing it sets KERAS_BACKEND=leptonc. Raises ImportError if Keras is missing, or
was imported before on another backend.
"""

from __future__ import annotations

import importlib
import os
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from keras_leptonc.registration import register


def _imported() -> ModuleType:
    register()
    os.environ["KERAS_BACKEND"] = "leptonc"
    try:
        return importlib.import_module("keras")
    except ModuleNotFoundError as error:
        if error.name != "keras":
            raise
        raise ImportError("leptonc.keras is Keras 3 on leptonc, and Keras is not installed; fix: pip install leptonc[keras]"
                          ) from None


class _Alias(MetaPathFinder, Loader):
    """``leptonc.keras.layers`` is the module ``keras.layers``, for ``from leptonc.keras.layers import Dense``."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        own = f"{__name__}."
        if not fullname.startswith(own) or fullname.startswith(f"{own}src"):
            return None
        return ModuleSpec(fullname, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(spec.name.removeprefix("leptonc."))
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It has run under its own name, which it keeps."""
        if module.__spec__ is not None and module.__spec__.loader is self:
            module.__spec__ = module.__spec__.loader_state


_keras = _imported()
sys.meta_path.insert(0, _Alias())


def __getattr__(name: str) -> Any:
    return getattr(_keras, name)


def __dir__() -> list[str]:
    return dir(_keras)
