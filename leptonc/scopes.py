"""Names for parts of a model."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from leptonc.errors import ArgumentError
from leptonc.frames import inner_scope

P = ParamSpec("P")
T = TypeVar("T")


@contextmanager
def named_scope(name: str) -> Iterator[None]:
    """A context manager, or decorator, that names a part of a model: what is traced inside shows the name, behind those of scopes
    around it and a ``/``, in ``leptonc dump``, the step's text and the profile. It changes no code, and costs nothing at run time.
    Raises ArgumentError for a name that is no string."""
    if not isinstance(name, str) or not name:
        raise ArgumentError(f"named_scope: name={name!r:.60} must be a string")
    with inner_scope(name):
        yield


def named_call(fun: Callable[P, T], *, name: str | None = None) -> Callable[P, T]:
    """``fun`` in a ``named_scope``, whose name is that of the function unless ``name`` is given. Raises ArgumentError for a name
    that is no string, or none where the function has none."""
    scope = name if name is not None else getattr(fun, "__name__", None)
    if not isinstance(scope, str) or not scope:
        raise ArgumentError(f"named_call: name={scope!r:.60} must be a string")

    @functools.wraps(fun)
    def named(*args: P.args, **kwargs: P.kwargs) -> T:
        with named_scope(scope):
            return fun(*args, **kwargs)

    return named
