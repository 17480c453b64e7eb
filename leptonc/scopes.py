"""Names for parts of a model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from leptonc.errors import ArgumentError
from leptonc.frames import inner_scope


@contextmanager
def named_scope(name: str) -> Iterator[None]:
    """A context manager, or decorator, that names a part of a model: what is traced inside shows the name, behind those of scopes
    around it and a ``/``, in ``leptonc dump``, the step's text and the profile. It changes no code, and costs nothing at run time.
    Raises ArgumentError for a name that is no string."""
    if not isinstance(name, str) or not name:
        raise ArgumentError(f"named_scope: name={name!r:.60} must be a string")
    with inner_scope(name):
        yield
