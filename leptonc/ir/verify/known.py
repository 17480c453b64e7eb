"""What is known of objects that cannot change, kept as long as they live. To compare kernels, or to hash them, takes a look at
every instruction; the same one is known by its identity."""

from __future__ import annotations

from functools import partial
from typing import Generic, TypeVar
from weakref import ref

K = TypeVar("K")
V = TypeVar("V")


class Known(Generic[K, V]):
    """A table by identity that keeps nothing alive."""

    def __init__(self) -> None:
        self._table: dict[int, tuple[ref[K], V]] = {}

    def get(self, key: K) -> V | None:
        found = self._table.get(id(key))
        return found[1] if found is not None and found[0]() is key else None

    def set(self, key: K, value: V) -> V:
        """The entry goes with the key, before another object can have its number. No Python runs then: what is raised in there,
        Ctrl-C included, would be lost."""
        number = id(key)
        self._table[number] = ref(key, partial(self._table.pop, number)), value
        return value
