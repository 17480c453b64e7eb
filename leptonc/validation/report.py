"""What a finding says: the step, the element, the smallest program that shows it, before and after, and its inputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.ir.graph import Graph
from leptonc.ir.kernel import Program
from leptonc.validation.claim import Finding, input_types

SHOWN = 8  # elements of an input
LINES = 60  # of a program


def report(finding: Finding) -> str:
    """Some lines of text."""
    lines = [f"after '{finding.step}': {finding.whole} ({finding.kind.name} inputs, seed {finding.seed})"]
    lines.append(f"the smallest part found that shows it: {finding.difference}")
    lines += _clip(str(finding.before))
    lines += [f"; {name}" for name in _inputs(finding)]
    if isinstance(finding.after, Graph | Program):
        lines += ["became", *_clip(str(finding.after))]
    return "\n".join(lines)


def _clip(text: str) -> list[str]:
    lines = text.splitlines()
    return lines if len(lines) <= LINES else [*lines[:LINES], f"; and {len(lines) - LINES} lines more"]


def _inputs(finding: Finding) -> list[str]:
    names = _names(finding.before)
    return [f"{name}: {t} = {_array(a)}" for name, t, a in zip(names, input_types(finding.before), finding.arrays)]


def _names(ir: Any) -> list[str]:
    return [f"%{v}" for v in ir.inputs] if isinstance(ir, Graph) else [f"b{n}" for n in ir.inputs]


def _array(array: np.ndarray) -> str:
    """In full if it is small, else where it is not zero."""
    if array.size <= SHOWN:
        return " ".join(str(array.tolist()).split())
    places = np.argwhere(array)
    if len(places) > SHOWN:
        return f"numbers from {array.min()} to {array.max()}"
    return "zeros" + (" but " if len(places) else "") + ", ".join(f"{array[tuple(at)].item()} at {at.tolist()}" for at in places)
