"""The programs of one function, by signature: each made once, those not called for longest forgotten. A leaf module."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

from leptonc.exclusive import Claims

PROGRAMS_KEPT = 256  # of a function; about 35 kB each without their intermediates
ARENAS_KEPT = 16  # of those, the ones called last keep the memory of their intermediates


class Rests(Protocol):
    def rest(self) -> None:
        """Give back what can be made again at the next call."""


Program = TypeVar("Program", bound=Rests)


class _Entry(Generic[Program]):
    __slots__ = ("program", "used")

    def __init__(self, program: Program, used: int):
        self.program, self.used = program, used


class Programs(Generic[Program]):
    """Up to ``PROGRAMS_KEPT`` programs. Threads that want the same one at once wait while one of them makes it."""

    def __init__(self) -> None:
        self._entries: dict[Hashable, _Entry[Program]] = {}
        self._claims = Claims()
        self._clock = itertools.count()

    def find(self, key: Hashable, make: Callable[[], Program]) -> Program:
        """The program of ``key``, made if it is not there. Raises what ``make`` raises."""
        while True:
            entry = self._entries.get(key)
            if entry is not None:
                entry.used = next(self._clock)
                return entry.program
            claim = self._claims.wait(key)
            try:
                if key not in self._entries:  # else another thread has made it meanwhile
                    self._keep(key, make())
            finally:
                self._claims.end(key, claim)

    def __len__(self) -> int:
        return len(self._entries)

    def values(self) -> list[Program]:
        """Those that are there, in the order they were made."""
        return [entry.program for entry in list(self._entries.values())]

    def _keep(self, key: Hashable, program: Program) -> None:
        self._entries[key] = _Entry(program, next(self._clock))
        ranked = sorted(list(self._entries.items()), key=lambda item: item[1].used, reverse=True)
        for old, _ in ranked[PROGRAMS_KEPT:]:
            self._entries.pop(old, None)
        for _, entry in ranked[ARENAS_KEPT:PROGRAMS_KEPT]:
            entry.program.rest()
