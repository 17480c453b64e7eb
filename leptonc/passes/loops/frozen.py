"""What of a Program depends on frozen inputs alone, apart from the rest: it runs once, not at every call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from leptonc.ir.kernel import Call, Program
from leptonc.ir.written import written
from leptonc.passes.loops.draft import Draft


def split_frozen(program: Program) -> tuple[Program, Program]:
    """Two programs: ``prepare`` takes the frozen inputs, in order, and gives intermediates that depend on nothing else; ``step``
    takes the other inputs, then those frozen ones it still reads, then what ``prepare`` gives. Buffers of the latter are named
    ``prepared 0``, ``prepared 1`` ... Nothing is donated or placed yet."""
    ahead, behind = _apart(program)
    made = {n for call in ahead for n in _written(call)}
    wanted = sorted(made & {n for call in behind for n in call.args})
    ahead = [_filling(call, wanted) for call in ahead]
    names = {n: f"prepared {k}" for k, n in enumerate(wanted)}
    frozen = [n for n in program.inputs if program.buffers[n].frozen]
    read = {n for call in behind for n in call.args}
    given = [n for n in program.inputs if not program.buffers[n].frozen]
    prepare = _program(program, ahead, frozen, wanted, dict.fromkeys(wanted, "output"), names)
    step = _program(program, behind, [*given, *(n for n in frozen if n in read), *wanted], list(program.outputs),
                    dict.fromkeys(wanted, "input"), names)
    return prepare, step


def _apart(program: Program) -> tuple[list[Call], list[Call]]:
    """Calls that read frozen inputs, constants and each other's results alone; and the rest, which make all outputs."""
    known = {n for n, b in enumerate(program.buffers) if b.frozen or b.kind == "constant"}
    ahead: list[Call] = []
    behind: list[Call] = []
    for call in program.calls:
        written = _written(call)
        if set(call.args) - written <= known and all(program.buffers[n].kind == "temp" for n in written):
            ahead.append(call)
            known |= written
        else:
            behind.append(call)
    return ahead, behind


def _filling(call: Call, wanted: Sequence[int]) -> Call:
    """The call with 0 in what its kernel leaves out of results that leave the program: transformed weights have rows that nobody
    reads."""
    whole = written(call.kernel)
    params = tuple(replace(p, init=p.type.dtype.numpy.type(0).item()) if p.role == "out" and n in wanted and not whole.fills(p.name)
                   else p for p, n in zip(call.kernel.params, call.args))
    return call if params == call.kernel.params else replace(call, kernel=replace(call.kernel, params=params))


def _written(call: Call) -> set[int]:
    return {n for n, param in zip(call.args, call.kernel.params) if param.role != "in"}


def _program(program: Program, calls: list[Call], inputs: list[int], outputs: list[int], kinds: dict[int, str],
             names: dict[int, str]) -> Program:
    buffers = tuple(replace(b, kind=kinds.get(n, b.kind), name=names.get(n, b.name), frozen=False)
                    for n, b in enumerate(program.buffers))
    part = replace(program, buffers=buffers, calls=tuple(calls), inputs=tuple(inputs), outputs=tuple(outputs))
    return Draft(part).finish()
