"""Attempts in processes of their own, one after the other in each until one of them takes it down."""

from __future__ import annotations

import faulthandler
import importlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.setting import ROOT

HANG_SECONDS = float(os.environ.get("ATTACK_HANG_SECONDS", "120"))  # without a word; an attempt takes less than one
TOLD = "attempt"


@dataclass
class Count:
    """What attempts ended in; ``faults`` say how to repeat those that went wrong."""

    attempts: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def add(self, outcome: str, fault: str = "") -> None:
        self.attempts += 1
        self.outcomes[outcome] += 1
        if fault:
            self.faults.append(fault)

    def __str__(self) -> str:
        outcomes = ", ".join(f"{n} {name}" for name, n in sorted(self.outcomes.items()))
        return "\n".join([f"{self.attempts} attempts: {outcomes}; {len(self.faults)} faults", *self.faults])


Attempt = Callable[[int], str]  # the number of an attempt -> what came of it; raises AssertionError for what must not be


def run(module: str, setup: str, numbers: range, *arguments: str, **environment: str) -> Count:
    """``tests.attack.<module>.<setup>(*arguments)`` gives an attempt, which is made for each of ``numbers``, in as few processes as
    survive them. Each must also end as it should."""
    count, left = Count(), list(numbers)
    while left:
        code, last, lines, error = _process(module, setup, left, arguments, environment)
        for line in lines:
            count.add(line.split(" ", 2)[2])
        left = left[len(lines):]
        if last is None and code == 0:
            break
        what = f"{module}.{setup}{arguments} {environment or ''} {'at exit' if last is None else f'number {last}'}"
        kind = "hang" if "Timeout (" in error else "crash" if code < 0 else "wrong"
        count.add(kind, f"{kind}: {what}: exit code {code}\n{error[-3000:]}")
        left = left[1:]
    return count


def _process(module: str, setup: str, numbers: list[int], arguments: tuple[str, ...],
             environment: dict[str, str]) -> tuple[int, int | None, list[str], str]:
    """(exit code, the attempt it ended in, the lines of those it finished, stderr)."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "tests.attack.process", module, setup,
               f"{numbers[0]}:{numbers[-1] + 1}:{numbers[1] - numbers[0] if len(numbers) > 1 else 1}", *arguments]
    found = {"LEPTONC_CACHE": "0", "PYTHONFAULTHANDLER": "1", **environment}
    try:
        done = subprocess.run(command, env={**os.environ, **found}, capture_output=True, text=True, cwd=ROOT, timeout=3600)
    except subprocess.TimeoutExpired as error:
        return -1, None, [], f"Timeout (of all): {error}"
    told = [line for line in done.stdout.splitlines() if line.startswith(TOLD)]
    last = numbers[len(told)] if len(told) < len(numbers) else None
    return done.returncode, last, told, done.stderr


def _numbers(text: str) -> Iterator[int]:
    yield from range(*map(int, text.split(":")))


def main(module: str, setup: str, numbers: str, *arguments: str) -> None:
    """In the process: attempts, each with a line of its outcome. One that hangs is ended with the stacks of all threads."""
    _rearm()
    attempt: Attempt = getattr(importlib.import_module(f"tests.attack.{module}"), setup)(*arguments)
    for number in _numbers(numbers):
        _rearm()
        outcome = attempt(number)
        print(TOLD, number, outcome, flush=True)
    _rearm()  # to end is a part of it


def _rearm() -> None:
    faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
