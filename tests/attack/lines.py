"""An exception at the n-th line of a path: whatever was being built is thrown away, and the next call is right."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import leptonc
from tests.attack.paths import PATHS, Path, check_everywhere
from tests.attack.process import Attempt, Count, run

PACKAGE = os.path.dirname(os.path.abspath(leptonc.__file__)) + os.sep
RUNTIME = ("runtime", "jit", "scan", "freeze", "stages", "programs", "exclusive", "cache", "driver", "config", "memory", "trace",
           "treecode", "signature", "lazy", "transforms")  # where every event is an attempt; elsewhere each line is one
STRIDES = {"compile_anew": (1, 8), "store": (5, 10), "load": (1, 3)}  # every so many lines of paths of thousands, by kind
KINDS: tuple[type[BaseException], ...] = (KeyboardInterrupt, MemoryError, RuntimeError)


class Lines:
    """Counts the lines that run in the package, and raises at one of them."""

    def __init__(self, at: int = -1, kind: type[BaseException] = KeyboardInterrupt):
        self.at, self.kind, self.events = at, kind, 0
        self.seen: list[int] = []  # of the events, those worth an attempt
        self._lines: set[tuple[str, int]] = set()

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            self._count(frame)
        return self

    def _count(self, frame: FrameType) -> None:
        if self.at < 0:
            where = frame.f_code.co_filename, frame.f_lineno
            name = where[0][len(PACKAGE):].split(os.sep)[0].removesuffix(".py")
            if name in RUNTIME or where not in self._lines:
                self.seen.append(self.events)
            self._lines.add(where)
        elif self.events == self.at:
            self.events += 1
            raise self.kind(f"at {frame.f_code.co_filename}:{frame.f_lineno}")
        self.events += 1


def _traced(path: Path, lines: Lines) -> None:
    path.ready()
    sys.settrace(lines)
    try:
        path.act()
    finally:
        sys.settrace(None)


def events(path: Path) -> list[int]:
    """The numbers of the events to attempt."""
    lines = Lines()
    path.ready()
    path.act()
    _traced(path, lines)
    return lines.seen


def _path(name: str) -> Path:
    leptonc.set_num_threads(2)
    return PATHS[name]()


def at_lines(names: str, kind: str = "0") -> Attempt:
    """``names``: of one path, or of several with a + between; their events stand one behind the other."""
    seen: list[tuple[Path, int]] = []
    for name in names.split("+"):
        path = _path(name)
        path.check()
        seen += [(path, event) for event in events(path)]
    raised = KINDS[int(kind)]

    def attempt(number: int) -> str:
        if number >= len(seen):
            return "past the end"
        path, event = seen[number]
        lines = Lines(event, raised)
        try:
            _traced(path, lines)
            outcome = "handled" if lines.events > event else "not reached"  # the order of some sets differs from run to run
            assert outcome != "handled" or raised is not KeyboardInterrupt, f"Ctrl-C was swallowed at event {event}"
        except raised:
            outcome = "raised"
        except leptonc.errors.LeptonError:  # a line of it read as damage, or as a cause
            outcome = "became an error"
        check_everywhere(path)
        return outcome

    return attempt


def total(name: str) -> Attempt:
    """How many there are, as an outcome."""
    return lambda number: str(len(events(_path(name))))


def attacks(every: int = 1) -> Iterator[tuple[str, Count]]:
    """Each path, and what its attempts came to; every so many lines."""
    for name in PATHS:
        (found,) = run("lines", "total", range(1), name).outcomes
        for kind, raised in enumerate(KINDS):
            stride = every * (STRIDES[name][kind > 0] if name in STRIDES else 1)
            yield f"{name}, {raised.__name__}", run("lines", "at_lines", range(0, int(found), stride), name, str(kind))
