"""A process that runs one system's steps on request: JSON lines in, JSON lines out.

    {"cmd": "warm", "steps": 10}  ->  {"compile_s": ..., "value_after_10_steps": ...}
    {"cmd": "run", "steps": 3}    ->  {"seconds": [...]}
    {"cmd": "quit"}               ->  {"peak_rss_mb": ...}
"""

from __future__ import annotations

import json
import resource
import sys
import time
from statistics import median
from typing import Any

import numpy as np

from leptonc.bench.peers.common import Step, magnitude
from leptonc.bench.systems import find_case, make, steps_in_call


def _timed(step: Step, count: int, in_call: int) -> tuple[list[float], float]:
    """Seconds per step, one for each call, of at least ``count`` steps; and a number of the last call's result."""
    seconds: list[float] = []
    result: float | np.ndarray = float("nan")
    for _ in range(-(-count // in_call)):
        start = time.perf_counter()
        result = step()
        seconds.append((time.perf_counter() - start) / in_call)
    return seconds, magnitude(result)


def _warm(step: Step, steps: int, in_call: int) -> dict[str, Any]:
    """The first call's time beyond a usual one's is what compiling costs."""
    seconds, value = _timed(step, steps, in_call)
    usual = seconds[1:] or _timed(step, in_call, in_call)[0]
    return {"compile_s": max(seconds[0] - median(usual), 0.0) * in_call, "value_after_10_steps": value, "seconds": min(usual)}


def _peak_mb() -> float:
    """Of this program alone: getrusage's figure would include what the parent had in memory when it forked."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(arguments: list[str]) -> int:
    system, mode, case = arguments
    answers = sys.stdout
    sys.stdout = sys.stderr  # what a system prints must not get between the answers
    step, in_call = make(system, mode, find_case(case)), steps_in_call(mode, find_case(case))
    for line in sys.stdin:
        request = json.loads(line)
        if request["cmd"] == "warm":
            answer = _warm(step, request["steps"], in_call)
        elif request["cmd"] == "run":
            answer = {"seconds": _timed(step, request["steps"], in_call)[0]}
        else:
            answer = {"peak_rss_mb": _peak_mb()}
        print(json.dumps(answer), file=answers, flush=True)
        if request["cmd"] == "quit":
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
