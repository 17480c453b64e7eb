"""Passes as values, and the manager that runs a list of them.

A pass is a frozen dataclass called on an IR (a Graph, a Program) and returning one. It has a ``name``; its other fields are its
options, ``Fuse(max_insts=12)``. A class with ``required = True`` is one that what follows the passes cannot do without: it always
runs.
"""

from __future__ import annotations

import operator
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, Protocol

from leptonc.errors import LeptonError, near_names
from leptonc.ir.graph import Graph
from leptonc.ir.verify import verify


class Pass(Protocol):
    """A frozen dataclass; every field but ``name`` is an option with a default."""

    @property
    def name(self) -> str: ...

    def __call__(self, ir: Any, /) -> Any: ...


def is_required(step: Pass) -> bool:
    """Whether the pass says that it always runs."""
    return getattr(step, "required", False) is True


@singledispatch
def verify_stage(ir: object, after: str = "", before: object = None) -> None:
    """Check an IR of any stage: ``verify_stage.register(Type)`` says how; a type without a verifier passes.

    ``after`` names the pass that made it, for the message of the IRError raised; ``before``: what it made it of, verified already.
    """


@verify_stage.register
def _verify_graph(ir: Graph, after: str = "", before: object = None) -> None:
    if not (isinstance(before, Graph) and _has_parts_of(ir, before)):
        verify(ir, after=after)


def _has_parts_of(ir: Graph, before: Graph) -> bool:
    """Whether it is made of the very same nodes in the same order, with the same inputs and outputs."""
    return (len(ir.nodes) == len(before.nodes) and all(map(operator.is_, ir.nodes, before.nodes)) and ir.outputs == before.outputs
            and ir.inputs == before.inputs and ir.input_types == before.input_types and ir.input_names == before.input_names)


@dataclass(frozen=True)
class PassManager:
    """Runs ``passes`` in order: ``PassManager(passes)(ir)``.

    verify(ir, after=name, before=ir) is called after each pass that made something new and raises if it broke the IR; None checks
    nothing.
    What the first pass is given counts as verified.
    disable: names of passes to leave out. stop_after: the name of the last pass to run.
    bisect_limit: how many passes to apply, for finding the one that breaks a program by halving.
    observe(pass, before, after, seconds) is called after each pass, before its result is verified.

    Required passes run whatever the limit is. Raises LeptonError when ``disable`` or ``stop_after`` names none of ``passes``, and
    when ``disable`` names a required one.
    """

    passes: tuple[Pass, ...]
    verify: Callable[..., object] | None = verify_stage
    disable: frozenset[str] = frozenset()
    stop_after: str | None = None
    bisect_limit: int | None = None
    observe: Callable[[Pass, Any, Any, float], object] | None = None

    def __post_init__(self) -> None:
        names = [p.name for p in self.passes]
        for wanted in sorted(self.disable) + ([self.stop_after] if self.stop_after is not None else []):
            if wanted not in names:
                hint = near_names(wanted, names) or f"there are {', '.join(sorted(set(names))) or 'none'}"
                raise LeptonError(f"unknown pass {wanted!r}; {hint}")
        for step in self.passes:
            if step.name in self.disable and is_required(step):
                raise LeptonError(f"pass {step.name} always runs: what follows needs its work")

    @property
    def selected(self) -> tuple[Pass, ...]:
        """The passes that run, in order."""
        passes = self.passes
        if self.stop_after is not None:
            last = max(i for i, p in enumerate(passes) if p.name == self.stop_after)
            passes = passes[: last + 1]
        chosen = [p for p in passes if p.name not in self.disable]
        limit = len(chosen) if self.bisect_limit is None else self.bisect_limit
        return tuple(p for n, p in enumerate(chosen) if n < limit or is_required(p))

    def __call__(self, ir: Any) -> Any:
        for step in self.selected:
            ir = self._apply(step, ir)
        return ir

    def _apply(self, step: Pass, before: Any) -> Any:
        start = time.perf_counter()
        after = step(before)
        seconds = time.perf_counter() - start
        if self.observe is not None:
            self.observe(step, before, after, seconds)
        if self.verify is not None and after is not before:  # a value: what was right is so still
            self.verify(after, after=step.name, before=before)
        return after
