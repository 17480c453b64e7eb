"""What Keras asks of a backend and leptonc does not have yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from leptonc.errors import LeptonError


class MissingOpError(LeptonError, NotImplementedError):
    """An op, dtype or transformation that leptonc lacks."""


def missing(name: str, what: str) -> Callable[..., Any]:
    """A function that says what is missing when it is called; ``what`` is leptonc's part that would serve."""

    def call(*args: Any, **kwargs: Any) -> Any:
        raise MissingOpError(f"keras.ops.{name}: leptonc has no {what} yet")

    call.__name__ = call.__qualname__ = name
    call.needs = what  # type: ignore[attr-defined]  # docs/keras.md lists it
    return call
