"""What must hold of a loop or a branch, whatever program it is in: its bodies are programs that can be run, on what they take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod

from leptonc.ir.control import Branch, Control, Loop
from leptonc.ir.kernel import Param, Program
from leptonc.ir.types import TensorType, bool_, i32, u8
from leptonc.ir.verify.faults import Fault


def control_fault(control: Control, program_fault: Callable[[Program], Fault | None]) -> Fault | None:
    """The first thing that is wrong, as a fault of its first line."""
    reason = next(_faults(control, program_fault), None)
    return None if reason is None else Fault(reason, 0)


def _faults(control: Control, program_fault: Callable[[Program], Fault | None]) -> Iterator[str]:
    params = {p.name: p for p in control.params}
    if len(params) < len(control.params) or control.stages or control.outer or control.locals:
        yield "its parameters have names of their own, and it has no stages"
    if any(p.role not in ("in", "out") or p.init is not None for p in control.params):
        yield "its parameters are read or written, and have no initial values"
    if missing := [n for n in (*control.takes, *control.gives, control.workspace) if n not in params]:
        yield f"{missing[0]} is no parameter"
    if any(params[n].role != "in" for n in control.takes) or any(params[n].role != "out" for n in control.gives):
        yield "bodies take what is read and give what is written"
    results = [*control.gives, control.workspace]
    if len(set(results)) < len(results) or {p.name for p in control.params if p.role == "out"} != set(results):
        yield "each result is given once"
    for body in control.bodies:
        yield from _body_faults(control, body, params, program_fault)
    if isinstance(control, Loop):
        yield from _loop_faults(control, params)
    elif isinstance(control, Branch):
        if control.index not in params or params[control.index].role != "in" or not _is_one(params[control.index].type, i32):
            yield "its index must be one i32"
        if not control.choices:
            yield "it has no choices"
        yield from _update_faults(control)


def _is_one(type: TensorType, dtype: object) -> bool:
    return type.dtype == dtype and type.size == 1


def _body_faults(control: Control, body: Program, params: dict[str, Param], program_fault: Callable[[Program], Fault | None],
                 ) -> Iterator[str]:
    fault = program_fault(body)
    if fault is not None:
        yield f"in its body: {fault.reason}"
    if any(b.kind == "constant" or b.frozen for b in body.buffers):
        yield "a body has no constants of its own"
    if any(b.is_placed and b.offset is None for b in body.buffers):
        yield "the memory of its body is not planned"
    room = params[control.workspace].type
    if room.dtype != u8 or len(room.shape) != 1 or room.nbytes < body.arena_bytes:
        yield f"a workspace of {room} for an arena of {body.arena_bytes} bytes"
    if len(body.inputs) != len(control.takes) or len(body.outputs) != len(control.gives):
        yield (f"its body takes {len(body.inputs)} buffers and gives {len(body.outputs)}, bound to {len(control.takes)} and "
               f"{len(control.gives)}")


def _update_faults(branch: Branch) -> Iterator[str]:
    sources, results = ([pair[n] for pair in branch.updates] for n in (0, 1))
    if any(not 0 <= n < len(of) for numbers, of in ((sources, branch.takes), (results, branch.gives)) for n in numbers):
        yield f"updates {branch.updates} of {len(branch.takes)} taken and {len(branch.gives)} given"
        return
    if len(set(sources)) < len(sources) or len(set(results)) < len(results):
        yield "what is taken is given in its memory once"
    of = {result: source for source, result in branch.updates}
    for body in branch.choices:
        for n, number in enumerate(body.outputs):
            if body.buffers[number].donated != (body.inputs[of[n]] if n in of else None):
                yield "updates, and nothing else, are given in the memory of what is taken"


def _loop_faults(loop: Loop, params: dict[str, Param]) -> Iterator[str]:
    body, kept = loop.body, loop.consts + loop.carries
    if loop.consts < 0 or loop.carries < 0 or kept > len(body.inputs) or loop.carries > len(body.outputs):
        yield f"{loop.consts} constants and {loop.carries} carries of {len(body.inputs)} inputs"
        return
    if (loop.trips or 0) < 0:
        yield f"{loop.trips} trips"
    for n, number in enumerate(body.outputs):
        wanted = body.inputs[loop.consts + n] if n < loop.carries else None
        if body.buffers[number].donated != wanted:
            yield "a carry, and nothing else, is given in the memory of the one taken"
    trips = loop.trips
    for n, number in enumerate(body.inputs):
        yield from _size_faults(body, number, params[loop.takes[n]], trips if n >= kept else 1)
    for n, number in enumerate(body.outputs):
        yield from _size_faults(body, number, params[loop.gives[n]], trips if n >= loop.carries else 1)
    if trips is None:
        condition = body.buffers[body.inputs[loop.consts]].type if loop.carries else None
        if condition is None or not _is_one(condition, bool_) or len(body.inputs) > kept or len(body.outputs) > loop.carries:
            yield "a loop without a number of trips has a first carry that is one bool, and no slices"


def _size_faults(body: Program, number: int, param: Param, trips: int | None) -> Iterator[str]:
    type_ = body.buffers[number].type
    if trips is not None and (type_.dtype != param.type.dtype or trips * prod(type_.shape) != param.type.size):
        yield f"{param.name} is a {param.type}, for {trips} of {type_}"
