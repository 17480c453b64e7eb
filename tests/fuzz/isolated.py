"""A program checked in a process of its own, which may crash or hang; the copy is a fork, so that it costs milliseconds."""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Callable

from tests.fuzz.check import Fault, fault_of
from tests.fuzz.program import Program

PATIENCE = 60.0  # seconds


def isolated_fault(program: Program, way: str, seed: int = 0) -> Fault | None:
    """``fault_of``; a signal or a hang is a fault too."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        _answer(read, write, program, way, seed)
    os.close(write)
    try:
        return _heard(read, child)
    finally:
        os.close(read)


def _answer(read: int, write: int, program: Program, way: str, seed: int) -> None:
    """In the child; does not return."""
    code = 1
    try:
        os.close(read)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        fault = fault_of(program, way, seed)
        os.write(write, json.dumps(None if fault is None else [fault.way, fault.text[:1000]]).encode())
        code = 0
    finally:
        os._exit(code)


def _heard(read: int, child: int) -> Fault | None:
    ready, _, _ = select.select([read], [], [], PATIENCE)
    answer = os.read(read, 1 << 16) if ready else b""
    if not ready:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not answer:
        return Fault("crash", f"the process ended with {os.waitstatus_to_exitcode(status)}" if ready else "it hangs")
    found = json.loads(answer)
    return None if found is None else Fault(*found)


def fails_like(program: Program, way: str, seed: int = 0) -> Callable[[Program], bool]:
    """Whether another program fails in the way in which this one does."""
    first = isolated_fault(program, way, seed)

    def fails(candidate: Program) -> bool:
        found = isolated_fault(candidate, way, seed)
        return found is not None and first is not None and found.kind == first.kind

    return fails
