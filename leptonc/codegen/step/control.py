"""Loops and branches as units: each body is a step of its own, which is run again and again, or not at all.

The memory of a body is the unit's workspace; its panels and scratch are those of the step around it. Where no body has work for
more than one thread, the unit runs on one, and no thread waits for another from trip to trip; nor where rows are independent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from leptonc.codegen.loops.schedule import SERIAL_COST
from leptonc.codegen.step.regions import whole
from leptonc.codegen.step.rows import find_rows, row_count
from leptonc.codegen.step.step import PANELS, Barrier, ControlUnit, Region, Serial, Step, Unit
from leptonc.codegen.step.units import kernel_units
from leptonc.ir.control import Control, Loop
from leptonc.ir.copying import copy_kernel
from leptonc.ir.kernel import Program
from leptonc.target import Target

BuildStep = Callable[[Program, Target, str, int], Step]
TRIPS = 16  # taken for the number of a loop's that is not known


def control_units(control: Control, name: str, target: Target, build_step: BuildStep) -> tuple[Unit, ...]:
    """The unit of a loop or a branch; functions of its bodies begin with ``name``."""
    extent = row_count(control, target) if isinstance(control, Loop) else 0
    bodies = tuple(build_step(body, target, f"{name}.{n}.", extent) for n, body in enumerate(control.bodies))
    starts = tuple(_starts(control, name, target))
    rows = find_rows(control, bodies[0]) if isinstance(control, Loop) else None
    if rows is None and isinstance(control, Loop):
        bodies = tuple(map(_on_one_thread, bodies))
    schedule = ControlUnit(bodies, starts, not isinstance(control, Loop) or control.trips is not None, rows)
    panels = max((body.arena_bytes - body.panels_at for body in bodies), default=0)
    regions = tuple(_regions(control, panels))
    trips = 1 if not isinstance(control, Loop) else TRIPS if control.trips is None else control.trips
    cost = trips * max((sum(launch.cost for launch in body.launches) for body in bodies), default=0)
    counted = isinstance(control, Loop) and control.trips is not None
    what = f"a loop of {trips} trips" if counted else "a loop" if isinstance(control, Loop) else "a branch"
    return (Unit(f"@{name}", control, schedule, (), regions, cost, f"{what}{'' if schedule.parallel else ', on one thread'}",
                 panels, max((body.local_bytes for body in bodies), default=0)),)


def _on_one_thread(step: Step) -> Step:
    """A loop's body that one thread runs, if threads would save less of a trip than its barriers take."""
    shared = [launch.unit for launch in step.launches if not launch.serial]
    barriers = 1 + sum(isinstance(statement, Barrier) for statement in step.body)
    loops = any(isinstance(unit.schedule, ControlUnit) for unit in shared)
    if not shared or loops or sum(unit.cost for unit in shared) >= barriers * SERIAL_COST:
        return step
    return replace(step, launches=tuple(replace(launch, serial=True) for launch in step.launches),
                   body=(Serial(tuple(range(len(step.launches)))),))


def _starts(control: Control, name: str, target: Target) -> Iterator[Unit]:
    """Copies of carries, and of what a branch updates, from where they begin to where they end."""
    what = "carry" if isinstance(control, Loop) else "update"
    for n, (start, _) in enumerate(control.carried):
        (unit,) = kernel_units(copy_kernel(control.buffer(start).type), f"{name}.start{n}", target)
        yield replace(unit, description=f"copies {what} {n} unless it begins where it ends; {unit.description}")


def _regions(control: Control, panels: int) -> Iterator[Region]:
    """All of every parameter; of what a loop gives it reads as well, the carries."""
    for param in control.params:
        if param.type.nbytes:
            yield whole(control, param.name, param.role == "out")
        if param.role == "out" and param.type.nbytes:
            yield whole(control, param.name, False)
    if panels:
        yield Region(PANELS, True, 0, (), panels)
