"""Who may do what at once: threads, signal handlers that call back, forks, exceptions at any place. A leaf module.

A lock that an exception, a handler or a fork leaves locked hangs a process. So nothing here is locked: work is *claimed*, and a
claim lives no longer than the call that holds it, whichever way that ends. What a claim guards is made first and assigned last, so
two who work at once, should it come to that, waste time and nothing else.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Hashable

POLL_SECONDS = 0.001  # between looks at another call's claim; what is waited for takes tens of milliseconds


class Claim:
    """The right of one call to do something; it ends with ``release``, or when the call no longer holds it."""

    __slots__ = ("__weakref__", "held", "process", "thread")

    def __init__(self) -> None:
        self.thread, self.process, self.held = threading.get_ident(), os.getpid(), True

    def release(self) -> None:
        self.held = False

    @property
    def live(self) -> bool:
        """A child has the claims of its parent's threads, but not the threads."""
        return self.held and self.process == os.getpid()


class Claims:
    """At most one live claim for each key."""

    def __init__(self) -> None:
        self._claims: dict[Hashable, weakref.ref[Claim]] = {}

    def take(self, key: Hashable = None) -> Claim | None:
        """A claim of ``key``; None while a call has one."""
        mine = Claim()
        reference = weakref.ref(mine)
        while self._claims.setdefault(key, reference) is not reference:
            if self.holder(key) is not None:
                return None
            self._claims.pop(key, None)
        return mine

    def holder(self, key: Hashable = None) -> int | None:
        """The thread whose call has a claim of ``key``."""
        found = self._claims.get(key)
        claim = None if found is None else found()
        return claim.thread if claim is not None and claim.live else None

    def wait(self, key: Hashable = None) -> Claim | None:
        """A claim of ``key``, once no other thread has one; None if a call of this very thread does: a handler runs within it."""
        while True:
            mine = self.take(key)
            if mine is not None or self.holder(key) == threading.get_ident():
                return mine
            time.sleep(POLL_SECONDS)

    def end(self, key: Hashable, claim: Claim | None) -> None:
        """Release what ``wait`` returned, and drop what is noted of ``key``."""
        if claim is not None:
            claim.release()
            self._claims.pop(key, None)


class Held:
    """``with``: a claim for as long as the block runs, waited for unless this thread has it."""

    def __init__(self, claims: Claims):
        self._claims = claims
        self._claim: Claim | None = None

    def __enter__(self) -> None:
        self._claim = self._claims.wait()

    def __exit__(self, *exc: object) -> None:
        self._claims.end(None, self._claim)


_compiler = Claims()


def compiling() -> Held:
    """The right to import code generation and to run LLVM. Both have locks of their own, which a fork must not find locked."""
    return Held(_compiler)


_forking: Held | None = None  # of the thread that forks


def _before_fork() -> None:
    global _forking
    held = compiling()
    held.__enter__()
    _forking = held


def _after_fork() -> None:
    global _forking
    held, _forking = _forking, None
    if held is not None:
        held.__exit__()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
