"""What large variables are while only shapes are asked for: a number stretched, for an array in a trace is copied and hashed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from leptonc import numpy as lnp

LARGE = 1 << 16  # elements; small ones keep their values, by which a layer may decide something

_number: ContextVar[Any] = ContextVar("number", default=None)


@contextmanager
def standing_in(number: Any) -> Iterator[None]:
    """Large variables that are read within are this traced number, stretched."""
    token = _number.set(number)
    try:
        yield
    finally:
        _number.reset(token)


def standin(value: Any) -> Any:
    """What stands in for a variable's value now, or None."""
    number = _number.get()
    return None if number is None or value is None or value.size < LARGE else lnp.full(value.shape, number.astype(value.dtype))
