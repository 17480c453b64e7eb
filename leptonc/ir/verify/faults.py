"""Faults and where they show."""

from __future__ import annotations

from dataclasses import dataclass

from leptonc.errors import IRError
from leptonc.ir.kernel import Kernel

AROUND = 5  # lines shown on either side of the one at fault


@dataclass(frozen=True)
class Fault:
    """What is wrong, and at which line of the text of what it was found in (None: nowhere in particular), which is ``kernel`` if
    that is a program's."""

    reason: str
    line: int | None = None
    kernel: Kernel | None = None


def excerpt(text: str, line: int | None) -> str:
    """The lines around one, which is marked; the first ones if none is at fault."""
    lines = text.splitlines()
    if line is None:
        return "\n".join(f"  {shown}" for shown in lines[:2 * AROUND])
    first = max(line - AROUND, 0)
    return "\n".join(f"{'> ' if first + n == line else '  '}{shown}" for n, shown in enumerate(lines[first:line + AROUND + 1]))


def raised(fault: Fault, subject: str, text: str, after: str | None = None) -> IRError:
    """The error that names the pass ``after`` which a fault was found, and shows the lines around it."""
    where = f"after '{after}': " if after else ""
    return IRError(f"{where}{subject}{fault.reason}\n{excerpt(text, fault.line)}")
