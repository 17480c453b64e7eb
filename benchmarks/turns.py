"""Timing of systems that take turns in one process."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

REST = 0.05  # seconds between turns: thread pools spin on for some time
SETTLE = 0.1  # untimed, first: threads that have slept may wake up on one core, and take a while to part


def turn(run: Callable[[], object], steps: int) -> float:
    """Median seconds of a call, of so many."""
    begin = time.perf_counter()
    while time.perf_counter() < begin + SETTLE:
        run()
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    time.sleep(REST)
    return median(seconds)
