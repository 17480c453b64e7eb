"""LLVM text of a Program with what the runtime must provide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from leptonc.codegen.step.build import build_step
from leptonc.codegen.step.emit import emit_step
from leptonc.codegen.step.step import Blocks, Parallel, Serial, Statement, Step, Unit
from leptonc.codegen.step.verify import verify_step
from leptonc.ir.graph import Loc
from leptonc.ir.kernel import Program
from leptonc.target import Target


@dataclass(frozen=True)
class Module:
    """LLVM text with what the runtime must provide. ``step`` is what it was made of; ``parts``: its launches, if they are
    functions as well."""

    text: str
    entry: str
    step: Step
    parts: tuple[Part, ...] = ()

    @property
    def arena_bytes(self) -> int:
        return self.step.arena_bytes

    @property
    def local_bytes(self) -> int:
        return self.step.local_bytes

    @property
    def parallel(self) -> bool:
        return self.step.parallel

    @property
    def lasts(self) -> bool:
        return self.step.lasts

    @property
    def schedule(self) -> str:
        """In words how each unit runs."""
        return "\n".join(_describe(self.step, self.step.body))


@dataclass(frozen=True)
class Part:
    """A launch as a function ``name(ctx)`` of its own, for measurements; ``loc`` is the user's line."""

    name: str
    unit: Unit
    loc: Loc | None


def emit_program(program: Program, target: Target, entry: str = "step", parts: bool = False) -> Module:
    """The module of a program; with ``parts``, every launch is a function ``part.<n>(ctx)`` of its own as well."""
    step = verified_step(program, target)
    found = tuple(Part(f"part.{n}", launch.unit, launch.loc) for n, launch in enumerate(step.launches)) if parts else ()
    return Module(emit_step(step, entry, parts), entry, step, found)


def verified_step(program: Program, target: Target) -> Step:
    """The program's step. Raises IRError if its memory is not planned, or threads would race in it."""
    step = build_step(program, target)
    verify_step(step)
    return step


def _describe(step: Step, body: tuple[Statement, ...]) -> Iterator[str]:
    for statement in body:
        match statement:
            case Parallel(number):
                yield _line(step, number, "parallel")
            case Serial(numbers):
                yield from (_line(step, number, "serial") for number in numbers)
            case Blocks(count, numbers):
                yield from (_line(step, number, f"in {count} blocks, all of these in each") for number in numbers)


def _line(step: Step, number: int, how: str) -> str:
    unit = step.launches[number].unit
    return f"{unit.function}: {how} {unit.description}"
