"""How often Python looks for circles of garbage while something compiles. A leaf module.

Graphs and kernels are values: millions of small objects, none in a circle, so that reference counts free them. By default the
collector looks at the youngest after 700 of them, and so again and again at all that a program and its libraries hold: a third of
the time that a network of many layers took to compile. Nothing here is locked: who comes between two calls leaves the user's own
thresholds, or compiles with them.
"""

from __future__ import annotations

import functools
import gc
import os
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

SELDOM = (1_000_000, 20, 100)  # as good as never: looks at 50,000 took a fifteenth of ResNet-18's lowering

_working: set[object] = set()  # calls
_before = gc.get_threshold()


def seldom_collected(f: Callable[P, R]) -> Callable[P, R]:
    """The function, while which runs, on any thread, the collector runs seldom. What the user set to be rarer stays."""
    @functools.wraps(f)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        call = object()
        try:
            _begin(call)
            return f(*args, **kwargs)
        finally:
            _end(call)

    return run


def _begin(call: object) -> None:
    global _before
    _working.add(call)
    now = gc.get_threshold()
    if 0 < now[0] < SELDOM[0]:
        _before = now
        gc.set_threshold(*SELDOM)


def _end(call: object) -> None:
    _working.discard(call)
    if not _working and gc.get_threshold() == SELDOM:
        gc.set_threshold(*_before)


def _after_fork() -> None:
    """A child has none of its parent's other threads, and what this one runs ends soon enough."""
    _working.clear()
    _end(None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
