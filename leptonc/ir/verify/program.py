"""What must hold of a Program.

Its buffers are single assignments: an input or a constant is written by nobody, a temporary or an output by one call, whole or
in a box outside of which nobody reads, before anything reads it. Every call binds a kernel's parameters to buffers of the same
elements, results to buffers that the call binds once. If memory is planned, ``verify/memory.py`` has the rest.
"""

from __future__ import annotations

from collections.abc import Iterator

from leptonc.ir.affine import Interval
from leptonc.ir.control import Control
from leptonc.ir.kernel import Buffer, Call, Kernel, Load, Opaque, Param, Program
from leptonc.ir.text import print_kernel, print_program
from leptonc.ir.types import MOST_BYTES, is_addressable
from leptonc.ir.verify.control import control_fault
from leptonc.ir.verify.faults import Fault, raised
from leptonc.ir.verify.kernel import kernel_fault
from leptonc.ir.verify.known import Known
from leptonc.ir.verify.memory import is_planned, memory_fault
from leptonc.ir.written import within, written

KINDS = ("input", "output", "temp", "constant")
Part = tuple[tuple[int, ...], tuple[Interval, ...]]  # a box of a buffer under a shape

_verified = Known[Kernel, dict[str, Part]]()
"""Kernels in which nothing is wrong, with the boxes of those results of which they do not write everything."""
_sound = Known[Buffer, bool]()
_reading = Known[Kernel, dict[tuple[str, Part], bool]]()
"""Whether kernels stay, in a buffer, within the part of it that is written."""


def verify_program(program: Program, after: str | None = None) -> None:
    """Raises IRError with the first fault, naming the pass ``after`` which it was found and showing the lines around it.
    A kernel is looked at once, however often a program with it is."""
    fault = program_fault(program)
    if fault is not None:
        if fault.kernel is not None:
            raise raised(fault, f"kernel {fault.kernel.name}: ", print_kernel(fault.kernel), after)
        raise raised(fault, f"program {program.name}: ", print_program(program), after)


def program_fault(program: Program) -> Fault | None:
    """The first thing that is wrong, with its line in the program's text or in that of one of its kernels."""
    return next(_faults(program), None)


def _faults(program: Program) -> Iterator[Fault]:
    """Later checks need what earlier ones have found to hold."""
    for number, buffer in enumerate(program.buffers):
        if _sound.get(buffer) is None:
            reason = _buffer_fault(buffer)
            if reason is not None:
                yield Fault(f"b{number}: {reason}", 1 + number)
            _sound.set(buffer, True)
        reason = None if buffer.donated is None else _donation_fault(program, buffer)
        if reason is not None:
            yield Fault(f"b{number}: {reason}", 1 + number)
    reason = _signature_fault(program)
    if reason is not None:
        yield Fault(reason, 0)
    for call in program.calls:
        if _verified.get(call.kernel) is None:
            fault = control_fault(call.kernel, program_fault) if isinstance(call.kernel, Control) else kernel_fault(call.kernel)
            if fault is not None:
                yield Fault(fault.reason, fault.line, call.kernel)
            _verified.set(call.kernel, _made(call.kernel))
    yield from _call_faults(program)
    if is_planned(program):
        fault = memory_fault(program)
        if fault is not None:
            yield fault


# Buffers


def _buffer_fault(buffer: Buffer) -> str | None:
    if buffer.kind not in KINDS:
        return f"{buffer.kind!r} is no kind of buffer"
    if not is_addressable(buffer.type.shape, buffer.type.dtype):
        return f"{buffer.type} has a negative extent, or is larger than any memory"
    if (buffer.literal is not None) != (buffer.kind == "constant"):
        return "a constant has a value, and nothing else has"
    if buffer.literal is not None and (buffer.literal.type != buffer.type or len(buffer.literal.data) != buffer.type.nbytes):
        return f"a {buffer.type} with the value of a {buffer.literal.type}"
    if buffer.type.dtype.is_complex and buffer.kind not in ("input", "output"):
        return "only inputs and outputs are complex"
    if buffer.offset is not None and buffer.kind != "temp":
        return "only a temporary has a place in the arena"
    if buffer.frozen and buffer.kind != "input":
        return "only an input is frozen"
    return None


def _donation_fault(program: Program, buffer: Buffer) -> str | None:
    if buffer.kind not in ("output", "temp") or buffer.donated not in program.inputs or buffer.offset is not None:
        return "only an output, or a temporary without a place, takes the memory of an input"
    source = program.buffers[buffer.donated]
    same = source.type == buffer.type if buffer.kind == "output" else source.type.nbytes == buffer.type.nbytes
    if not same:
        return f"a {buffer.type} takes the memory of b{buffer.donated}, a {source.type}"
    return None


def _signature_fault(program: Program) -> str | None:
    """Inputs and outputs are the buffers of these kinds, each once, and an input's memory is given away once."""
    donated = [b.donated for b in program.buffers if b.kind == "output" and b.donated is not None]
    if len(set(donated)) < len(donated):
        return "an input's memory is given away twice"
    if not {b.donated for b in program.buffers if b.donated is not None} <= set(donated):
        return "a temporary takes memory that no output takes"
    for kind, numbers in (("input", program.inputs), ("output", program.outputs)):
        of_kind = [n for n, b in enumerate(program.buffers) if b.kind == kind]
        if sorted(numbers) != of_kind:
            return f"the {kind}s are {of_kind}, declared as {sorted(numbers)}"
    if not 0 <= program.arena_bytes <= MOST_BYTES:
        return f"an arena of {program.arena_bytes} bytes"
    return None


# Calls


def _call_faults(program: Program) -> Iterator[Fault]:
    known = {n for n, b in enumerate(program.buffers) if b.kind in ("input", "constant")}
    parts: dict[int, Part] = {}
    for position, call in enumerate(program.calls):
        reason = _binding_fault(program, call, known) or (_reading_fault(call, parts) if parts else None)
        if reason is not None:
            yield Fault(f"{call.kernel.name}: {reason}", 1 + len(program.buffers) + position)
        made = _verified.get(call.kernel) or {}
        for param, number in zip(call.kernel.params, call.args):
            if param.role != "in":
                known.add(number)
            if param.name in made:
                parts[number] = made[param.name]
    for number in program.outputs:
        if number not in known or number in parts:
            yield Fault(f"output b{number} is never written, or not all of it", 0)


def _binding_fault(program: Program, call: Call, known: set[int]) -> str | None:
    if len(call.args) != len(call.kernel.params):
        return f"takes {len(call.kernel.params)} buffers, got {len(call.args)}"
    for param, number in zip(call.kernel.params, call.args):
        if not 0 <= number < len(program.buffers):
            return f"there is no buffer b{number}"
        buffer = program.buffers[number]
        held = buffer.type.in_reals
        if (held.size, held.dtype) != (param.type.size, param.type.dtype):
            return f"wants {param.type} for {param.name}, b{number} is {buffer.type}"
        if param.role == "in" and number not in known:
            return f"reads b{number}, which nothing has written"
        if param.role != "in":
            reason = _result_fault(program, call, number, known, param.role)
            if reason is not None:
                return reason
    return None


def _result_fault(program: Program, call: Call, number: int, known: set[int], role: str) -> str | None:
    """Results go to a buffer of their own that nothing has written."""
    if role == "inout":
        return f"updates b{number}: the buffers of a program are written once"
    if program.buffers[number].kind in ("input", "constant"):
        return f"writes b{number}, an {program.buffers[number].kind}"
    if number in known:
        return f"writes b{number}, which has been written before"
    if call.args.count(number) > 1:
        return f"b{number} is a result and bound twice"
    return None


def _made(kernel: Kernel) -> dict[str, Part]:
    """The boxes of those results of which a kernel does not write everything."""
    stored = written(kernel)
    bare = [p for p in kernel.params if p.role == "out" and not stored.fills(p.name)]
    return {p.name: (p.type.shape, part) for p in bare for part in [stored.box(p.name)] if part is not None}


def _reading_fault(call: Call, parts: dict[int, Part]) -> str | None:
    """Of a buffer that is not written whole, only what is written may be read."""
    for param, number in zip(call.kernel.params, call.args):
        if number in parts and not _stays_within(call.kernel, param, parts[number]):
            return f"reads of b{number} what nothing has written"
    return None


def _stays_within(kernel: Kernel, param: Param, part: Part) -> bool:
    known = _reading.get(kernel) or _reading.set(kernel, {})
    key = param.name, part
    if key not in known:
        known[key] = _reads_within(kernel, param.name, param.type.shape, part)
    return known[key]


def _reads_within(kernel: Kernel, name: str, shape: tuple[int, ...], part: Part) -> bool:
    whole, box = part
    if whole != shape or isinstance(kernel, Opaque):
        return False
    for stage in kernel.stages:
        extents = {a.name: a.extent for a in (*kernel.outer, *stage.axes)}
        loads = (i for i in stage.insts if isinstance(i, Load) and i.buffer == name)
        if 0 not in extents.values() and not all(within(load, box, shape, extents) for load in loads):
            return False
    return True
