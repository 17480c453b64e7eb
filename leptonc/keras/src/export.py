"""Export of models."""

from __future__ import annotations

from typing import Any

from leptonc.keras.src.missing import MissingOpError


class LeptoncExportArchive:
    """What ``model.export`` makes on this backend: no format yet."""

    def track(self, resource: Any) -> None:
        raise MissingOpError("model.export: leptonc has no SavedModel; fix: model.save('name.keras'), which every backend loads")

    def add_endpoint(self, name: str, fn: Any, input_signature: Any = None, **kwargs: Any) -> None:
        raise MissingOpError("model.export: leptonc has no SavedModel; fix: model.save('name.keras'), which every backend loads")
