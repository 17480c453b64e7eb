"""A Program as a Step: its units, their order, what runs in parallel, in blocks or on one thread, and where barriers stand.

Threads take static parts of each unit's items. A barrier stands only where a unit touches memory that another thread
may have written or may still read; units too small to share run on thread 0, and need no barrier between them. Where
``codegen/step/interleave.py`` finds that units can go block by block, they do, if there are blocks enough for the threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from leptonc.codegen.loops.schedule import SERIAL_COST
from leptonc.codegen.step.control import control_units
from leptonc.codegen.step.interleave import Run, Touch, grouped, lead_of
from leptonc.codegen.step.step import (
    PANELS,
    Barrier,
    Blocks,
    ControlUnit,
    Launch,
    Memory,
    Parallel,
    Serial,
    Statement,
    Step,
    Together,
    Unit,
    copies_onto_itself,
)
from leptonc.codegen.step.units import kernel_units
from leptonc.errors import IRError
from leptonc.ir.control import Control
from leptonc.ir.kernel import Kernel, Program
from leptonc.memory import aligned
from leptonc.target import Target

SLACK = 8  # blocks are taken if no thread has more than one in so many over the mean


def build_step(program: Program, target: Target, prefix: str = "", rows: int = 0) -> Step:
    """The program's step; its functions' names begin with ``prefix``. ``rows``: the extent of an axis that small nests are cut
    along as well, so that threads can share it. Raises IRError if its memory is not planned."""
    units = _units_of(program, target, prefix, rows)
    memory = tuple(_memory(program, number) for number in range(len(program.buffers)))
    launches = tuple(_launches(program, units, memory))
    panels_at = aligned(program.arena_bytes)
    body = _Body(launches, tuple(_touches(launch, memory, panels_at) for launch in launches)).of_all()
    every = tuple(unit for found in units.values() for unit in found)
    return Step(program, target, every, launches, body, memory, panels_at,
                panels_at + max((unit.panel_bytes for unit in every), default=0),
                max((unit.local_bytes for unit in every), default=0))


def _launches(program: Program, units: dict[Kernel, tuple[Unit, ...]], memory: Sequence[Memory]) -> Iterator[Launch]:
    for number, call in enumerate(program.calls):
        places = [memory[n] for n in call.args]
        for unit in _to_launch(units[call.kernel], places):
            stays = copies_onto_itself(unit, places)
            yield Launch(unit, call.args, stays or _is_serial(unit), number, call.loc, stays)


def _is_serial(unit: Unit) -> bool:
    if isinstance(unit.schedule, ControlUnit):
        return not unit.schedule.parallel
    return unit.items < 2 or unit.cost < SERIAL_COST


def _to_launch(units: Sequence[Unit], places: Sequence[Memory]) -> list[Unit]:
    """All units of a call, but those that copy onto itself what a later one updates in place."""
    return [unit for n, unit in enumerate(units)
            if not (copies_onto_itself(unit, places) and any(unit.writes <= later.writes for later in units[n + 1:]))]


def _units_of(program: Program, target: Target, prefix: str, rows: int) -> dict[Kernel, tuple[Unit, ...]]:
    """The units of each kernel; equal kernels have the same."""
    units: dict[Kernel, tuple[Unit, ...]] = {}
    for call in program.calls:
        if call.kernel not in units:
            name = f"{prefix}k{len(units)}.{_identifier(call.kernel.name)}"
            units[call.kernel] = (control_units(call.kernel, name, target, build_step) if isinstance(call.kernel, Control)
                                  else kernel_units(call.kernel, name, target, rows))
    return units


def _identifier(name: str) -> str:
    return "".join(c if c.isalnum() or c in "_." else "_" for c in name)[:60]


def _memory(program: Program, number: int) -> Memory:
    """Where a buffer lies: in the arena, or an argument of its own, or in the donated one that it overwrites."""
    buffer = program.buffers[number]
    if not buffer.is_placed:
        return Memory(f"b{number if buffer.donated is None else buffer.donated}", 0, max(buffer.type.nbytes, 1))
    if buffer.offset is None:
        raise IRError(f"b{number} has no place in the arena: the memory planner has not run")
    return Memory("arena", buffer.offset, buffer.offset + max(buffer.type.nbytes, 1))


def _touches(launch: Launch, memory: Sequence[Memory], panels_at: int) -> tuple[Touch, ...]:
    """What a launch touches: whole buffers, and its panels to the byte."""
    unit, lead = launch.unit, lead_of(launch.unit)
    by_name = {p.name: memory[n] for p, n in zip(unit.kernel.params, launch.args)}
    rows = lead.rows if lead else frozenset[str]()
    out = [Touch(Memory("arena", panels_at + region.reach.low, panels_at + region.reach.high + 1), region.write)
           for region in unit.regions if region.buffer == PANELS]
    for names, write in ((unit.reads, False), (unit.writes, True)):
        out += [Touch(by_name[name], write, name in rows, _side(launch, name, write)) for name in sorted(names) if name != PANELS]
    return tuple(out)


def _side(launch: Launch, name: str, write: bool) -> tuple[int, str, bool] | None:
    """Of the border around what a call writes of a result (``loops/filling.py``)."""
    unit = launch.unit
    border = unit.border and unit.fills == name
    if not write or not (border or unit.kernel.buffer(name).init is not None):
        return None
    return launch.call, name, border


# The body


@dataclass
class _Pending:
    """The launches since the last barrier, parallel and serial ones apart."""

    parallel: list[int] = field(default_factory=list)
    serial: list[int] = field(default_factory=list)


@dataclass
class _Body:
    """Makes the statements that run all launches; ``touches``: what each touches."""

    launches: Sequence[Launch]
    touches: Sequence[tuple[Touch, ...]]

    def of_all(self) -> tuple[Statement, ...]:
        out, pending, alone = list[Statement](), _Pending(), list[int]()
        for group in grouped([self._run(n) for n in range(len(self.launches))]):
            members = tuple(run.number for run in group.members)
            if len(members) == 1:
                alone += members
                continue
            statements, pending = self._alone(alone, pending)
            out += statements
            alone, before = [], self._barrier(members, pending, False)
            if before is not None:
                out.append(before)
                pending = _Pending()
            out.append(Blocks(group.blocks, members, tuple(self._alone(members, _Pending())[0]), SLACK))
            pending = _Pending([*pending.parallel, *members], pending.serial)
        return (*out, *self._alone(alone, pending)[0])

    def _run(self, number: int) -> Run:
        launch = self.launches[number]
        lead = lead_of(launch.unit)
        return Run(self.touches[number], lead.count if lead and not launch.serial else 0, number)

    def _barrier(self, numbers: Sequence[int], pending: _Pending, serial: bool) -> Barrier | None:
        """What must stand before some launches. Serial ones follow each other on one thread: only parallel ones before matter."""
        for earlier in pending.parallel if serial else pending.parallel + pending.serial:
            for number in numbers:
                for one in self.touches[earlier]:
                    for other in self.touches[number]:
                        if one.conflicts(other):
                            return Barrier(earlier, number, other.memory)
        return None

    def _alone(self, numbers: Sequence[int], pending: _Pending) -> tuple[list[Statement], _Pending]:
        """Launches one after the other, with barriers where they must be; and what is pending after them."""
        out = list[Statement]()
        for number in numbers:
            serial = self.launches[number].serial
            barrier = self._barrier((number,), pending, serial)
            if barrier is not None:
                out.append(barrier)
                pending = _Pending()
            if not serial:
                out.append((Together if isinstance(self.launches[number].unit.schedule, ControlUnit) else Parallel)(number))
                pending.parallel.append(number)
                continue
            if out and isinstance(out[-1], Serial):
                out[-1] = Serial((*out[-1].launches, number))
            else:
                out.append(Serial((number,)))
            pending.serial.append(number)
        return out, pending
