"""Export of models: no format so far."""

from __future__ import annotations

from typing import Any, NoReturn

from leptonc.keras.src.missing import MissingOpError


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    raise MissingOpError("`export_saved_model` only currently supports the tensorflow, jax and torch backends. On leptonc: "
                         "model.save('name.keras') writes what each of them loads")


class LeptoncExportArchive:
    """What ``model.export`` asks for: each way says what to do instead."""

    def track(self, resource: Any) -> None:
        _refuse()

    def add_endpoint(self, name: str, fn: Any, input_signature: Any = None, **kwargs: Any) -> None:
        _refuse()

    def track_and_add_endpoint(self, name: str, resource: Any, input_signature: Any, **kwargs: Any) -> None:
        _refuse()
