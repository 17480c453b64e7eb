"""``cached_property`` without a lock. A leaf module.

``functools.cached_property`` of Python 3.11 has one lock for all instances of a class: it makes compiles that have nothing to do
with each other wait, and a child forked while another thread holds it waits for ever. Two threads that ask at once both compute
the value here, which is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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

__all__ = ["cached_property"]
