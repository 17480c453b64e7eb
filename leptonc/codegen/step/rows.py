"""Loops whose rows do not depend on each other: each thread takes its rows through all trips, and waits for no other.

A recurrent network computes each row of a batch from that row of the trip before, and from weights. So where each unit of a loop's
body has an axis along which it touches its own part of all that is written, and the same parts of the same memory as the others, no
barrier stands in a trip or between trips, and a thread finds in its caches what it wrote.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations_with_replacement
from math import ceil, lcm

from leptonc.codegen.loops.schedule import SERIAL_COST
from leptonc.codegen.step.interleave import Touch, in_rows
from leptonc.codegen.step.step import Launch, Memory, Rows, RowShare, Step
from leptonc.ir.control import Loop
from leptonc.target import Target

LEAST_COST = 2 * SERIAL_COST  # of all trips of a loop that threads share: a barrier stands before it, and one behind it


LEAST_TRIP = 4096  # of a trip: a line with the last row of a thread and the first of another goes from core to core at each


def row_count(loop: Loop, target: Target) -> int:
    """The extent of the first axis of all carries, which may be rows; 0 if they differ, or if what the trips have in common, each
    thread's at every trip, does not stay in a core's cache."""
    program = loop.body
    if sum(program.buffers[n].type.nbytes for n in program.inputs[:loop.consts]) > target.l2_bytes:
        return 0
    carries = [program.buffers[n].type.shape for n in program.inputs[loop.consts:loop.consts + loop.carries]]
    return carries[0][0] if carries and all(carries) and len({shape[0] for shape in carries}) == 1 else 0


def find_rows(loop: Loop, step: Step) -> Rows | None:
    """How threads share the rows of a loop whose body is ``step``; None if they depend on each other, or are too little work."""
    extent = row_count(loop, step.target)
    cost = sum(launch.unit.cost for launch in step.launches)
    if extent < 2 or cost < LEAST_TRIP or (loop.trips or 0) * cost < LEAST_COST:
        return None
    written = [step.memory[n] for launch in step.launches for n in _written(launch)]
    shares = [_share(launch, step.memory, written, extent) for launch in step.launches]
    found = [share for share in shares if share is not None]
    size = lcm(*(rows for _, rows in found))
    if len(found) < len(shares) or size >= extent:
        return None
    touched = [_touches(launch, step.memory, place) for launch, (place, _) in zip(step.launches, found)]
    if any(a.crosses(b) for one, other in combinations_with_replacement(touched, 2) for a in one for b in other):
        return None
    return Rows(ceil(extent / size), tuple(RowShare(place, size // rows) for place, rows in found))


def _written(launch: Launch) -> Iterable[int]:
    """The buffers that a launch writes."""
    return [n for p, n in zip(launch.unit.kernel.params, launch.args) if p.name in launch.unit.writes]


def _share(launch: Launch, memory: tuple[Memory, ...], written: list[Memory], extent: int) -> tuple[int, int] | None:
    """The place of the digit that counts rows, and how many rows a point of it has; None if there is none."""
    unit = launch.unit
    buffers = {p.name: memory[n] for p, n in zip(unit.kernel.params, launch.args)}
    moving = [r for r in unit.regions if r.buffer not in buffers or any(buffers[r.buffer].meets(m) for m in written)]
    for place, digit in enumerate(unit.digits):
        rows, rest = divmod(digit.block * extent, digit.extent or 1)
        if digit.extent and rows and not rest and all(in_rows(region, digit, unit) for region in moving):
            return place, rows
    return None


def _touches(launch: Launch, memory: tuple[Memory, ...], place: int) -> list[Touch]:
    unit = launch.unit
    numbers = {p.name: n for p, n in zip(unit.kernel.params, launch.args)}
    return [Touch(memory[numbers[r.buffer]], r.write, in_rows(r, unit.digits[place], unit)) for r in unit.regions]
