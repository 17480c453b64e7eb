"""Whose code a stack frame runs: leptonc's own or the user's. A leaf module.

Errors, nodes of graphs and tracebacks all ask here, so that the line they name is the same one.
"""

from __future__ import annotations

import contextvars
import functools
import os
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any

OWN = __name__.partition(".")[0]
PROGRAMS = f"{OWN}.bench"  # uses the package as users do
COMMANDS = f"{OWN}.cli"  # whoever called the command line is no user of the library
LIBRARY = (sysconfig.get_path("stdlib") + os.sep, "<frozen")
BETWEEN = {"numpy", "keras"}  # packages that may stand between the user's code and leptonc's
BORROWED = sys.stdlib_module_names | BETWEEN

_scope: contextvars.ContextVar[str] = contextvars.ContextVar("scope", default="")


@dataclass(frozen=True)
class Loc:
    """A line of the user's program. ``scope``: the part of a model that was running, such as "model/dense"; see ``named_scope``.

    ``gradient``: whether what it made is the gradient of what the line computes. ``others``: scopes of what was joined with it.
    """

    file: str
    line: int
    scope: str = field(default="", compare=False)
    gradient: bool = field(default=False, compare=False)
    others: tuple[str, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return f"{self.file.rsplit('/', 1)[-1]}:{self.line}"

    @property
    def scopes(self) -> tuple[str, ...]:
        """The parts of a model that it stands for, its own first."""
        return (self.scope, *self.others) if self.scope else self.others


def gradient_of(loc: Loc | None) -> Loc | None:
    """The line of an op, for the gradient of that op."""
    return loc if loc is None or loc.gradient else replace(loc, gradient=True)


def joined(main: Loc | None, *others: Loc | None) -> Loc | None:
    """The line ``main``, with the scopes of all; the first line there is, if it is None."""
    locs = [loc for loc in (main, *others) if loc is not None]
    if not locs:
        return None
    scopes = tuple(dict.fromkeys(scope for loc in locs for scope in loc.scopes if scope != locs[0].scope))
    return locs[0] if scopes == locs[0].others else replace(locs[0], others=scopes)


@contextmanager
def named_scope(name: str) -> Iterator[None]:
    """Nodes of graphs that are made inside belong to this part of a model; it takes the place of the scope around it."""
    before = _scope.get()
    _scope.set(name)
    try:
        yield
    finally:
        _scope.set(before)


@contextmanager
def inner_scope(name: str) -> Iterator[None]:
    """As ``named_scope``, within the scope around it: ``outer/name``."""
    around = _scope.get()
    with named_scope(f"{around}/{name}" if around else name):
        yield


@functools.lru_cache(4096)
def _is_users(module: str, file: str) -> bool:
    root = module.partition(".")[0]
    if root == OWN:
        return module.startswith(PROGRAMS)
    # A user's file may have the name of a library's, and generated code has no file; site-packages are users.
    return not (root in BORROWED and (root in BETWEEN or (file.startswith(LIBRARY) and "-packages" not in file)))


def is_users(frame: FrameType) -> bool:
    """Whether the frame runs code of neither leptonc, nor NumPy, nor Keras, nor the standard library. Code that leptonc generates
    counts as its own: what matters is the module whose globals it has."""
    return _is_users(str(frame.f_globals.get("__name__", "")), frame.f_code.co_filename)


def is_own(frame: FrameType) -> bool:
    """Whether the frame runs code of leptonc."""
    return _is_own(frame.f_globals)


def is_own_code(function: Any) -> bool:
    """Whether a function is leptonc's."""
    return _is_own(getattr(function, "__globals__", {}))


def _is_own(names: dict[str, Any]) -> bool:
    module = str(names.get("__name__", ""))
    return module.partition(".")[0] == OWN and not module.startswith(PROGRAMS)


def users_line(programs: bool = True) -> Loc | None:
    """The line of the innermost frame that is the user's; None where there is none. ``programs`` counts those that come with
    leptonc as users."""
    frame = users_frame(programs)
    return None if frame is None else Loc(frame.f_code.co_filename, frame.f_lineno, _scope.get())


def users_frame(programs: bool = True) -> FrameType | None:
    """The innermost frame that is the user's, and its line."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__") != COMMANDS:
        if is_users(frame) and (programs or not str(frame.f_globals.get("__name__")).startswith(PROGRAMS)):
            return frame
        frame = frame.f_back
    return None
