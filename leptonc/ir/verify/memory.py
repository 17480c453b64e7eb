"""What must hold of a Program whose memory is planned, derived from its calls alone and not from how the planner works.

Every temporary lies in the arena, at an offset that vectors may be read from. Two that share bytes are not needed at once: one
has been touched for the last time when the other is first written, or in that very call, which must then read what it overwrites
before it does. The same holds of an input and what takes its memory.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from leptonc.ir.affine import disjoint, is_injective, meet_at_one
from leptonc.ir.control import Control
from leptonc.ir.kernel import Kernel, Load, Opaque, Program, Stage, Store
from leptonc.ir.text import print_program
from leptonc.ir.verify.faults import Fault, raised
from leptonc.memory import ALIGN

Access = Load | Store


def verify_memory(program: Program, after: str | None = None) -> None:
    """Raises IRError if some temporary of a verified program has no place, or places or donations are wrong."""
    fault = memory_fault(program)
    if fault is not None:
        raise raised(fault, f"program {program.name}: ", print_program(program), after)


def is_planned(program: Program) -> bool:
    """Whether the planner has run: temporaries have places."""
    return any(b.offset is not None for b in program.buffers)


def memory_fault(program: Program) -> Fault | None:
    """The first fault of places and donations."""
    return next(_faults(program), None)


def _faults(program: Program) -> Iterator[Fault]:
    for number, buffer in enumerate(program.buffers):
        if buffer.is_placed:
            reason = _place_fault(buffer.offset, buffer.type.nbytes, program.arena_bytes)
            if reason is not None:
                yield Fault(f"b{number}: {reason}", 1 + number)
    uses = _uses(program)
    for position, reason in (*_overlap_faults(program, uses), *_donation_faults(program, uses)):
        yield Fault(reason, 1 + len(program.buffers) + position)


def _place_fault(offset: int | None, nbytes: int, arena: int) -> str | None:
    if offset is None:
        return "a temporary without a place in the arena"
    if offset < 0 or offset % ALIGN:
        return f"a place at {offset}, which is no multiple of {ALIGN}"
    return f"ends at {offset + nbytes}, behind the arena's {arena} bytes" if offset + nbytes > arena else None


@dataclass(frozen=True)
class _Use:
    """The first and the last call that touch a buffer."""

    first: int
    last: int


def _uses(program: Program) -> dict[int, _Use]:
    found: dict[int, _Use] = {}
    for position, call in enumerate(program.calls):
        for number in call.args:
            known = found.get(number)
            found[number] = _Use(known.first if known else position, position)
    return found


# Places


def _overlap_faults(program: Program, uses: dict[int, _Use]) -> Iterator[tuple[int, str]]:
    """Calls in order; those temporaries that are needed lie side by side, sorted by where they begin."""
    live: list[tuple[int, int, int]] = []  # first byte, last + 1, number
    ending: dict[int, list[tuple[int, int, int]]] = {}
    for position, call in enumerate(program.calls):
        born = []
        for number in dict.fromkeys(call.args):
            buffer = program.buffers[number]
            if buffer.is_placed and uses[number].first == position and buffer.type.nbytes:
                assert buffer.offset is not None, "every temporary has a place"
                born.append((buffer.offset, buffer.offset + buffer.type.nbytes, number))
        for place in born:
            for other in _meeting(live, place):
                if not _may_take(program, position, uses, other[2], place[2]) or other[0] != place[0]:
                    yield position, f"b{place[2]} lies over b{other[2]}, which is still needed"
        dying = ending.pop(position, [])
        live = [place for place in live if place not in dying] if dying else live
        for place in sorted(born):
            if _meeting(live, place):
                yield position, f"b{place[2]} lies over another result of the same call"
            insort(live, place)
            ending.setdefault(uses[place[2]].last, []).append(place)
        ended = ending.pop(position, [])
        live = [place for place in live if place not in ended] if ended else live


def _meeting(live: list[tuple[int, int, int]], place: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """Those of disjoint places that share bytes with one."""
    at = bisect_left(live, (place[1], -1, -1))
    found = []
    while at and live[at - 1][1] > place[0]:
        at -= 1
        found.append(live[at])
    return found


def _donation_faults(program: Program, uses: dict[int, _Use]) -> Iterator[tuple[int, str]]:
    """Of those that take an input's memory one after the other, each begins when the one before has ended."""
    chains: dict[int, list[int]] = {}
    for number, buffer in enumerate(program.buffers):
        if buffer.donated is not None:
            chains.setdefault(buffer.donated, []).append(number)
    for source, takers in chains.items():
        takers = sorted((n for n in takers if n in uses), key=lambda n: (program.buffers[n].kind == "output", uses[n].first))
        order = [source, *takers] if source in uses else takers
        for before, number in pairwise(order):
            if uses[before].last >= uses[number].first and not _may_take(program, uses[number].first, uses, before, number):
                yield uses[number].first, f"b{number} is written over b{before}, which is still read"


def _may_take(program: Program, position: int, uses: dict[int, _Use], source: int, result: int) -> bool:
    """Whether a call may write a result over what it reads for the last time."""
    call = program.calls[position]
    if uses[source].last != position or call.args.count(source) != 1 or call.args.count(result) != 1:
        return False
    read, made = (call.kernel.params[call.args.index(n)] for n in (source, result))
    same = read.type == made.type and read.role == "in" and made.role == "out" and made.init is None
    return same and reads_before_writing(call.kernel, read.name, made.name)


# In place


def reads_before_writing(kernel: Kernel, source: str, result: str) -> bool:
    """Whether a kernel, its two buffers in the same memory, reads every element of the one before it writes it to the other:
    in an earlier stage of the same outer point, or at the very point of the stage that writes."""
    if isinstance(kernel, Opaque):
        return isinstance(kernel, Control) and begins_in(kernel, source, result)
    reads, writes = _accesses(kernel, source), _accesses(kernel, result)
    last = max((n for n, _ in reads), default=-1)
    if any(isinstance(access, Store) and access.accumulate and (n <= last or kernel.outer) for n, access in writes):
        return False  # it would add to what is there, and not to what an earlier stage has put there
    return all(_is_ahead(kernel, n, read, m, write) for n, read in reads for m, write in writes)


def begins_in(control: Control, source: str, result: str) -> bool:
    """Whether a carry, or what a branch updates, may begin in the memory that it ends in: nothing else is made of what it begins
    with."""
    return (source, result) in control.carried and control.reads.count(source) == 1


def _accesses(kernel: Kernel, buffer: str) -> list[tuple[int, Access]]:
    return [(n, access) for n, stage in enumerate(kernel.stages) for access in (*stage.insts, *stage.stores)
            if isinstance(access, Load | Store) and access.buffer == buffer]


def _is_ahead(kernel: Kernel, n: int, read: Access, m: int, write: Access) -> bool:
    extents, others = (_extents(kernel, kernel.stages[k]) for k in (n, m))
    if disjoint(read.index, write.index, extents, others):
        return True
    if n == m:
        return read.index == write.index and _is_alone(kernel.stages[n], read, extents)
    return n < m and all(meet_at_one(read.index, write.index, a.name, extents, others) for a in kernel.outer if a.extent > 1)


def _is_alone(stage: Stage, access: Access, extents: dict[str, int]) -> bool:
    """Whether no two points, outer ones included, meet the same element."""
    return not any(i.values for i in access.index) and is_injective(access.index, _moving(stage, extents), extents)


def _moving(stage: Stage, extents: dict[str, int]) -> Sequence[str]:
    folded = {a.name for a in stage.reduce_axes} if stage.has_reduce else set[str]()
    return [name for name in extents if name not in folded]


def _extents(kernel: Kernel, stage: Stage) -> dict[str, int]:
    return {a.name: a.extent for a in (*kernel.outer, *stage.axes)}
