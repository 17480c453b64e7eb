"""Which passes changed a program: what the manager's hook sees."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from leptonc import driver
from leptonc.ir.graph import Graph
from leptonc.ir.kernel import Program


def labels() -> list[str]:
    """The passes in order; a second one of a name is "name 2"."""
    seen: Counter[str] = Counter()
    out = []
    for p in (*driver.GRAPH_PASSES, *driver.PROGRAM_PASSES):
        seen[p.name] += 1
        out.append(p.name if seen[p.name] == 1 else f"{p.name} {seen[p.name]}")
    return out


@dataclass
class Watch:
    """``observe`` for one compilation; ``changed`` has the labels of what did something."""

    changed: set[str] = field(default_factory=set)
    seen: Counter[str] = field(default_factory=Counter)

    def observe(self, step: Any, before: Any, after: Any, seconds: float) -> None:
        self.seen[step.name] += 1
        if _form(before) != _form(after):
            self.changed.add(step.name if self.seen[step.name] == 1 else f"{step.name} {self.seen[step.name]}")


def _form(ir: Any) -> Any:
    """An IR without the numbers that a pass may give anew."""
    if isinstance(ir, Graph):
        number: dict[int, int] = {}
        for value in (*ir.inputs, *(r for n in ir.nodes for r in n.results)):
            number[value] = len(number)
        nodes = [(n.op, tuple(number[i] for i in n.operands), repr(n.attrs)) for n in ir.nodes]
        return nodes, [number[i] for i in ir.outputs]
    if isinstance(ir, Program):
        place: dict[int, int] = {}
        for call in ir.calls:
            for n in call.args:
                place.setdefault(n, len(place))
        used = [(b.kind, b.donated is not None, getattr(b, "offset", None)) for n, b in enumerate(ir.buffers) if n in place]
        return [(call.kernel, tuple(place[n] for n in call.args)) for call in ir.calls], used
    return ir


def table(changed: Counter[str], total: int) -> str:
    """Markdown: pass, programs that it changed, share."""
    rows = [f"| {name} | {changed[name]:,} | {100 * changed[name] / max(total, 1):.1f} % |" for name in labels()]
    return "\n".join(["| pass | programs changed | share |", "|---|---|---|", *rows])
