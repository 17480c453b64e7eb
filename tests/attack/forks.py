"""Forks while other threads are inside a step or a compile: the child computes, compiles and ends."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import leptonc
from leptonc import numpy as lnp
from tests.attack.paths import W, X, layers, same, scan
from tests.attack.process import Attempt, Count, run

CHILD_SECONDS = 60.0


def _forever(work: Callable[[], Any]) -> None:
    def loop() -> None:
        while True:
            with contextlib.suppress(leptonc.errors.LeptonError):
                work()

    threading.Thread(target=loop, daemon=True).start()


def while_busy(what: str) -> Attempt:
    """``what``: "step", "compile", or "scan"; two threads do it all the time while this one forks, from another moment each."""
    leptonc.set_num_threads(2)
    f = leptonc.jit(layers)
    wanted = f(X, W)
    compiled = leptonc.jit(lambda x: lnp.cumsum(x * 2))(X[0])
    scanned = scan()
    work: dict[str, Callable[[], Any]] = {
        "step": lambda: f(X, W),
        "compile": lambda: leptonc.jit(lambda x, w: lnp.tanh(x @ w).sum(1))(X, W),
        "scan": scanned.act,
    }
    rng = np.random.default_rng(0)

    def child() -> int:
        same(f(X, W), wanted)
        same(leptonc.jit(lambda x: lnp.cumsum(x * 2))(X[0]), compiled)
        scanned.check()
        leptonc.set_num_threads(3)
        same(f(X, W), wanted)
        return 0

    def attempt(number: int) -> str:
        if number == 0 or threading.active_count() == 1:
            for _ in range(2):
                _forever(work[what])
        time.sleep(rng.uniform(0, 0.03))
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                code = child()
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        status = _wait(pid)
        assert status == 0, f"the child ended with {status}"
        return "right"

    return attempt


def _wait(pid: int) -> int | str:
    until = time.monotonic() + CHILD_SECONDS
    while time.monotonic() < until:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return "a hang"


def attacks(count: int = 100) -> Iterator[tuple[str, Count]]:
    for what in ("step", "compile", "scan"):
        yield f"forks while threads {what}", run("forks", "while_busy", range(count), what)
