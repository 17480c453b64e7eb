"""What is known of objects that cannot change, kept as long as they live. To compare kernels, or to hash them, takes a look at
every instruction; the same one is known by its identity."""

from __future__ import annotations

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
        number = id(key)
        self._table[number] = ref(key, lambda gone: self._drop(number, gone)), value
        return value

    def _drop(self, number: int, gone: ref[K]) -> None:
        """Another object may have taken the number since."""
        found = self._table.get(number)
        if found is not None and found[0] is gone:
            self._table.pop(number, None)
