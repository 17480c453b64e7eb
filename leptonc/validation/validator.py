"""What the driver calls after each step of a compilation."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from leptonc.errors import ValidationError
from leptonc.ir.graph import Graph
from leptonc.ir.kernel import Program
from leptonc.ir.op import get_op
from leptonc.ir.structure import find_routing, product_sum
from leptonc.ir.verify import verify, verify_program
from leptonc.validation.claim import BREAKS, ROUNDING, SPECIAL_VALUES, Claim, check, input_types, least, narrowed
from leptonc.validation.execution import Runner, cost, wide_arrays
from leptonc.validation.inputs import Kind, generate, kinds_for
from leptonc.validation.placed import GARBAGE
from leptonc.validation.report import report

BUDGET = 2_000_000_000  # instructions over points, of one run of a program: some ten seconds
FEW, ONE = 30_000_000, 500_000_000  # above them, two kinds of inputs are tried, or one, not all
PER_VALUE = 2  # what an element of a graph's value is counted as


class Code(Protocol):
    """Machine code of a program; donated arrays are overwritten."""

    @property
    def program(self) -> Program: ...

    def __call__(self, arrays: Sequence[np.ndarray], /) -> list[np.ndarray]: ...

    def soil(self, byte: int, /) -> None:
        """Fill the memory that calls share, once it is there."""


@dataclass(frozen=True)
class Result:
    """``kinds``: the inputs that were tried; ``note``: why there are none."""

    step: str
    kinds: tuple[str, ...]
    seconds: float
    note: str = ""


def _print_note(result: Result) -> None:
    if result.note:
        print(f"validate: {result.step}: {result.note}", file=sys.stderr)


class Validator:
    """Checks the steps of one compilation; raises ValidationError at the first that changes a result.

    seed: of the inputs. budget: programs of more instructions over points than this are not run, which ``tell`` is told.
    """

    def __init__(self, seed: int = 0, budget: int = BUDGET, tell: Callable[[Result], object] = _print_note):
        self.seed, self.budget, self.tell = seed, budget, tell
        self.runner = Runner()
        self.given: dict[tuple[tuple[Any, ...], str], list[np.ndarray]] = {}

    def after_pass(self, step: Any, before: Any, after: Any, seconds: float = 0.0) -> None:
        """The hook of the pass manager. Raises IRError for an ``after`` that does not verify."""
        if not isinstance(after, Graph | Program):
            return
        if isinstance(after, Graph):
            verify(after, step.name)
        else:
            verify_program(after, step.name)
        changes = frozenset(getattr(step, "changes", ()))
        if before != after:
            signs = isinstance(after, Graph)  # a sum's depends on the order of its terms
            self._validate(Claim(step.name, step, self.runner.outputs, changes, signs=signs), before, after)
        if isinstance(after, Program) and getattr(step, "places", False):
            self._validate(Claim(step.name, step, self.runner.in_place, changes), before, after)
        self.runner.forget(after)

    def after_lowering(self, lower: Callable[[Graph], Program], graph: Graph, program: Program) -> None:
        """A graph's kernels against the meaning of its ops. Eager convolutions leave out what meets padding, kernels multiply by 0;
        routed sums leave out more. Transforms' factors are rounded, and infinities become NaN where they meet."""
        if _is_given_tables(graph):
            self.tell(Result("lower-graph", (), 0.0, "it is given tables, of which no inputs are drawn"))
            return
        changes = frozenset({SPECIAL_VALUES} if _multiplies_padding(program) or _has_routing(program) else ())
        changes |= {ROUNDING, SPECIAL_VALUES} if _rounds_constants(graph) else set()
        self._validate(Claim("lower-graph", lower, self.runner.outputs, changes), graph, program)
        self.runner.forget(program)

    def after_code(self, build: Callable[[Program], Code], program: Program, code: Code) -> None:
        """Machine code against its program. It is run twice: the second time its memory holds garbage."""
        changes = frozenset({ROUNDING, SPECIAL_VALUES} if _has_routing(program) else {ROUNDING})
        self._validate(Claim("machine code", build, _run_code, changes, most=40), program, code)

    def _validate(self, claim: Claim, before: Any, after: Any) -> None:
        start = time.perf_counter()
        size = _size(before)
        if size > self.budget:
            self.tell(Result(claim.step, (), 0.0, f"too large: {size} instructions over all points; the budget is {self.budget}"))
            return
        kinds = [k for k in kinds_for(input_types(before)) if claim.covers(k)]
        kinds = kinds[:1 if size > ONE else 2 if size > FEW else None]
        for kind in kinds:
            self._check(claim, before, after, kind)
        self.tell(Result(claim.step, tuple(k.name for k in kinds), time.perf_counter() - start))

    def _check(self, claim: Claim, before: Any, after: Any, kind: Kind) -> None:
        arrays = self._inputs(before, kind)
        try:
            want = self.runner.outputs(before, arrays)
        except BREAKS:
            return  # such inputs are not for this program: an index that must be in range
        found = check(self.runner, claim, before, after, kind, arrays, want)
        if found is None:
            return
        finding = least(self.runner, claim, before, after, kind, self.seed, arrays, found)
        if finding is not None:
            raise ValidationError(report(finding))

    def _inputs(self, ir: Any, kind: Kind) -> list[np.ndarray]:
        types = tuple(input_types(ir))
        key = types, kind.name
        if key not in self.given:
            self.given[key] = wide_arrays(generate(types, kind, self.seed))
        return self.given[key]


def _run_code(code: Code, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    types = input_types(code.program)
    code(narrowed(types, [a.copy() for a in arrays]))
    code.soil(GARBAGE)
    return [r.copy() for r in code(narrowed(types, [a.copy() for a in arrays]))]


def _size(ir: Any) -> int:
    return cost(ir) if isinstance(ir, Program) else PER_VALUE * sum(t.size for t in ir.types.values())


def _rounds_constants(graph: Graph) -> bool:
    """Whether there are tables and factors that a program has in their own type."""
    return any(op.tabulated or op.rounds for op in (get_op(node.op) for node in graph.walk()))


def _is_given_tables(graph: Graph) -> bool:
    """Whether tables, which the op's meaning does not ask for, come from outside, as into the body of a loop."""
    given = set(graph.inputs)
    return any(get_op(node.op).rounds and given & {*node.operands[1:]} for node in graph.nodes)


def _has_routing(program: Program) -> bool:
    return any(find_routing(s.insts, s.axes) is not None for call in program.calls for s in call.kernel.stages)


def _multiplies_padding(program: Program) -> bool:
    sums = [product_sum(stage.insts) for call in program.calls for stage in call.kernel.stages]
    return any(load.pad is not None for found in sums if found is not None for load in found.factors)
