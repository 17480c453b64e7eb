"""Memory planning: intermediates placed in one arena by liveness, in place where a kernel allows it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from leptonc.ir.kernel import Buffer, Call, Program
from leptonc.passes.memory.arena import Arena
from leptonc.passes.memory.in_place import in_place


@dataclass(frozen=True)
class PlanMemory:
    """Give every temporary its place in the arena."""

    name: str = "plan-memory"
    places: ClassVar[bool] = True
    required: ClassVar[bool] = True

    def __call__(self, program: Program) -> Program:
        first, last = _lifetimes(program)
        arena = Arena()
        offsets: dict[int, int] = {}
        ending: dict[int, list[int]] = {}
        for number, end in last.items():
            ending.setdefault(end, []).append(number)
        for position, call in enumerate(program.calls):
            arena.advance(position)
            dying = [n for n in ending.get(position, ()) if n in offsets]
            for number in _born(first, call, position):
                shared = _shares_with(program, call, number, dying)
                if shared is not None:
                    dying.remove(shared)
                    offsets[number] = offsets[shared]
                else:
                    offsets[number] = arena.take(program.buffers[number].type.nbytes)
            for number in dying:
                arena.give(offsets[number], program.buffers[number].type.nbytes)
            for number in ending.get(position, ()):  # written, never read
                if number in offsets and number not in dying and first[number] == position:
                    arena.give(offsets[number], program.buffers[number].type.nbytes)
        buffers = tuple(replace(b, offset=offsets.get(n)) if b.is_placed else b
                        for n, b in enumerate(program.buffers))
        return replace(program, buffers=buffers, arena_bytes=arena.size)


def _born(first: dict[int, int], call: Call, position: int) -> list[int]:
    return [n for n in dict.fromkeys(call.args) if first.get(n) == position]


def _lifetimes(program: Program) -> tuple[dict[int, int], dict[int, int]]:
    """First and last call that touches each temporary in the arena."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for position, call in enumerate(program.calls):
        for number in call.args:
            if program.buffers[number].is_placed:
                first.setdefault(number, position)
                last[number] = position
    return first, last


def _shares_with(program: Program, call: Call, number: int, dying: list[int]) -> int | None:
    """A temporary read for the last time here whose memory the new one may take."""
    names = {arg: p.name for arg, p in zip(call.args, call.kernel.params)}
    for other in dying:
        if program.buffers[other].type.nbytes == program.buffers[number].type.nbytes and in_place(
                call.kernel, names[other], names[number]):
            return other
    return None


def memory_report(program: Program) -> list[tuple[str, Buffer, int, int]]:
    """(name, buffer, first call, last call) of every temporary, largest first."""
    first, last = _lifetimes(program)
    rows = [(f"b{n}", program.buffers[n], first[n], last[n]) for n in first]
    return sorted(rows, key=lambda row: -row[1].type.nbytes)
