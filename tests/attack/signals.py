"""Ctrl-C at any moment, and signal handlers and finalizers that call steps while steps run."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np

import leptonc
from tests.attack.paths import PATHS, W, X, check_everywhere, layers, same
from tests.attack.process import Attempt, Count, run

MOMENTS = ("call", "call_in_new_memory", "shapes", "donate", "threads", "first_threads", "scan_turned", "freeze", "store",
           "compile_anew")


def interrupted(name: str) -> Attempt:
    """The timer's signal has Ctrl-C's handler: what comes of it is the same, and the moment is chosen here."""
    leptonc.set_num_threads(2)
    path = PATHS[name]()
    path.check()
    rng = np.random.default_rng(0)
    signal.signal(signal.SIGALRM, signal.default_int_handler)

    def attempt(number: int) -> str:
        path.ready()
        try:
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-5, 2e-3 if name not in ("store", "compile_anew") else 5e-2))
            while True:
                path.act()
                if name == "donate":
                    path.check()
        except KeyboardInterrupt:
            pass
        check_everywhere(path)
        return "interrupted"

    return attempt


def handled(name: str) -> Attempt:
    """A handler runs steps, now and then a new one, while the path runs."""
    leptonc.set_num_threads(2)
    path = PATHS[name]()
    path.check()
    inner = PATHS[name]()
    plain = leptonc.jit(layers)
    wanted = plain(X, W)
    calls = [0]

    def handler(*_: Any) -> None:
        calls[0] += 1
        if leptonc.trace.tracing():  # within the user's function as it is traced, steps run op by op: right, to rounding
            for found, value in zip(plain(X, W), wanted):
                np.testing.assert_allclose(found, value, rtol=1e-3, atol=1e-3)
            return
        same(plain(X, W), wanted)
        inner.check()
        if calls[0] % 20 == 0:
            same(leptonc.jit(layers)(X, W), wanted)

    signal.signal(signal.SIGALRM, handler)

    def attempt(number: int) -> str:
        until = calls[0] + 1
        signal.setitimer(signal.ITIMER_REAL, 1e-4 * (1 + number % 17))
        while calls[0] < until:
            path.ready()
            path.act()
        check_everywhere(path)
        return "right"

    return attempt


def finalized(name: str) -> Attempt:
    """The garbage collector runs steps, wherever it happens to run."""
    leptonc.set_num_threads(2)
    path = PATHS[name]()
    path.check()
    plain = leptonc.jit(layers)
    wanted = plain(X, W)
    ran: list[Any] = []

    class Calls:
        def __init__(self) -> None:
            self.itself = self  # only the collector frees it

        def __del__(self) -> None:
            ran.append(plain(X, W))

    gc.set_threshold(40, 2, 2)

    def attempt(number: int) -> str:
        for _ in range(5):
            Calls()
            path.ready()
            path.act()
        found = ran[:]
        ran.clear()
        for result in found:
            same(result, wanted)
        check_everywhere(path)
        return "right"

    return attempt


def attacks(count: int = 100) -> Iterator[tuple[str, Count]]:
    for name in MOMENTS:
        yield f"Ctrl-C, {name}", run("signals", "interrupted", range(count), name)
    for name in ("call", "donate", "scan_turned", "threads", "shapes", "compile_anew"):
        yield f"handlers that call, {name}", run("signals", "handled", range(count), name)
        yield f"finalizers that call, {name}", run("signals", "finalized", range(count), name)
