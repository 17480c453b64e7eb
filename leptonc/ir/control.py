"""Loops and branches of a Program: kernels whose bodies are programs.

To the passes they are opaque kernels. A body is a Program whose memory is planned; it takes and gives buffers of its own, bound to
parameters by name. The parameter ``workspace`` is a result that nobody reads: the body's arena.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from leptonc.ir.graph import Literal
from leptonc.ir.kernel import Buffer, Opaque, Param, Program
from leptonc.ir.types import TensorType, u8

NOTHING = Program("nothing", (), (), (), ())
WORKSPACE = "workspace"

RunProgram = Callable[[Program, Sequence[np.ndarray]], list[np.ndarray]]


@dataclass(frozen=True)
class Control(Opaque):
    """``takes``: the parameter behind each input of a body; ``gives``: behind each output; ``workspace``: the one its arena is."""

    takes: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
    workspace: str = ""

    @property
    def bodies(self) -> tuple[Program, ...]:
        return ()

    @property
    def carried(self) -> tuple[tuple[str, str], ...]:
        """Of each result that bodies give in the memory of what they take, the parameter it begins with and itself."""
        return ()

    @property
    def reads(self) -> tuple[str, ...]:
        """The parameters that bodies take, and those that something else is made of."""
        return self.takes

    def with_names(self, names: Mapping[str, str]) -> Self:
        """With other names for its parameters, and for what they are bound to."""
        def name(old: str) -> str:
            return names.get(old, old)

        found = super().with_names(names)
        takes, gives = (tuple(map(name, of)) for of in (self.takes, self.gives))
        return replace(found, takes=takes, gives=gives, workspace=name(self.workspace))

    def run(self, env: dict[str, np.ndarray], run_program: RunProgram) -> None:
        """On arrays by parameter name; the results are written into theirs."""
        raise NotImplementedError


@dataclass(frozen=True)
class Loop(Control):
    """``trips`` times ``body``; None: as long as its first carry is True. The body takes ``consts`` that stay, ``carries``, and a
    slice of each x; it gives the carries, in the memory of those it takes, and a slice of each y. ``reverse``: the last slice
    first.
    """

    body: Program = NOTHING
    consts: int = 0
    carries: int = 0
    trips: int | None = None
    reverse: bool = False

    @property
    def bodies(self) -> tuple[Program, ...]:
        return (self.body,)

    @property
    def carried(self) -> tuple[tuple[str, str], ...]:
        """Of each carry."""
        return tuple(zip(self.takes[self.consts:self.consts + self.carries], self.gives[:self.carries]))

    @property
    def xs(self) -> tuple[str, ...]:
        return self.takes[self.consts + self.carries:]

    @property
    def ys(self) -> tuple[str, ...]:
        return self.gives[self.carries:]

    def run(self, env: dict[str, np.ndarray], run_program: RunProgram) -> None:
        carry = [env[start].copy() for start, _ in self.carried]
        first = [env[name] for name in self.takes[:self.consts]]
        trip = 0
        while trip < self.trips if self.trips is not None else carry[0].reshape(-1)[0]:
            place = trip if not self.reverse or self.trips is None else self.trips - 1 - trip
            out = run_program(self.body, [*first, *carry, *(env[x][place] for x in self.xs)])
            carry = out[:self.carries]
            for y, item in zip(self.ys, out[self.carries:], strict=True):
                env[y][place] = item
            trip += 1
        for (_, end), value in zip(self.carried, carry):
            env[end][...] = value.reshape(env[end].shape)


@dataclass(frozen=True)
class Branch(Control):
    """One of ``choices``, that of a number in the parameter ``index``, which is clamped to those there are. ``updates``: the
    number of something taken and that of something given in its memory, in each choice."""

    choices: tuple[Program, ...] = ()
    index: str = ""
    updates: tuple[tuple[int, int], ...] = ()

    @property
    def bodies(self) -> tuple[Program, ...]:
        return self.choices

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.index, *self.takes)

    @property
    def carried(self) -> tuple[tuple[str, str], ...]:
        return tuple((self.takes[source], self.gives[result]) for source, result in self.updates)

    def with_names(self, names: Mapping[str, str]) -> Self:
        found = super().with_names(names)
        return replace(found, index=names.get(self.index, self.index))

    def run(self, env: dict[str, np.ndarray], run_program: RunProgram) -> None:
        number = min(max(int(env[self.index].reshape(-1)[0]), 0), len(self.choices) - 1)
        out = run_program(self.choices[number], [env[name] for name in self.takes])
        for name, value in zip(self.gives, out, strict=True):
            env[name][...] = value.reshape(env[name].shape)


def workspace_of(bodies: Sequence[Program]) -> Param:
    """The parameter for the arena of any of the bodies."""
    return Param(WORKSPACE, TensorType((max([body.arena_bytes for body in bodies], default=0),), u8), "out")


def with_arguments(programs: Sequence[Program]) -> tuple[tuple[Program, ...], tuple[Literal, ...]]:
    """The programs with the constants of all of them as inputs, the first ones, and what those are."""
    literals = tuple(dict.fromkeys(b.literal for program in programs for b in program.buffers if b.literal is not None))
    return tuple(_taking(program, literals) for program in programs), literals


def _taking(program: Program, literals: Sequence[Literal]) -> Program:
    buffers, inputs = list(program.buffers), list[int]()
    for literal in literals:
        found = [n for n, b in enumerate(program.buffers) if b.literal == literal]
        inputs.append(found[0] if found else len(buffers))
        given = Buffer(literal.type, "input")
        buffers = [given if n in found[:1] else b for n, b in enumerate(buffers)] if found else [*buffers, given]
    return replace(program, buffers=tuple(buffers), inputs=(*inputs, *program.inputs))
