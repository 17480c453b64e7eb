"""``cached_property`` without a lock, and the same for functions of one value. A leaf module.

``functools.cached_property`` of Python 3.11 has one lock for all instances of a class: it makes compiles that have nothing to do
with each other wait, and a child forked while another thread holds it waits for ever. Two threads that ask at once both compute
the value here, which is the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

if TYPE_CHECKING:
    from functools import cached_property
else:
    class cached_property:
        """A method whose value is kept in the instance's dictionary under its own name, where the next look finds it first."""

        def __init__(self, function: Any):
            self.function = function
            self.__doc__ = function.__doc__

        def __set_name__(self, owner: type, name: str) -> None:
            self.name = name

        def __get__(self, instance: Any, owner: type | None = None) -> Any:
            if instance is None:
                return self
            value = self.function(instance)
            return instance.__dict__.setdefault(self.name, value)


def remembered(function: Callable[[T], R]) -> Callable[[T], R]:
    """A function of one immutable value, whose result is kept in its dictionary, as that of a ``cached_property`` is: for facts
    of a value that its own module does not know."""
    name = f"{function.__module__}.{function.__qualname__}"

    @functools.wraps(function)
    def ask(value: T) -> R:
        known = value.__dict__
        if name not in known:
            known.setdefault(name, function(value))
        found: R = known[name]
        return found

    return ask


def hashed_once(cls: type[T]) -> type[T]:
    """A frozen dataclass whose instances keep their hash: it is asked for often, and takes a look at all they hold."""
    full: Callable[[Any], int] = cls.__hash__

    def __hash__(self: Any) -> int:
        known: int | None = self.__dict__.get("_hash")
        return known if known is not None else int(self.__dict__.setdefault("_hash", full(self)))

    cls.__hash__ = __hash__  # type: ignore[method-assign]
    return cls


__all__ = ["cached_property", "hashed_once", "remembered"]
