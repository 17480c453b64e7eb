"""Every kernel of a compiled program timed on its own, beside what it has to compute and move.

Kernels run in the order of the step, on its memory, so each finds its operands as the step leaves them; caches are those of
the kernel before.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from statistics import median

import numpy as np

from leptonc import driver
from leptonc.codegen.step.step import Unit
from leptonc.frames import Loc
from leptonc.ir.control import Control, Loop
from leptonc.ir.kernel import Apply, Kernel, Reduce, Stage, operands

PARTS_RUNS = 7  # of all kernels, one after the other
STEP_RUNS, STEP_SECONDS = 7, 0.5  # of the step: so many at least, and until so much has gone by
MOST_RUNS = 1000
GRADIENT = "gradient"


@dataclass(frozen=True)
class KernelTime:
    """One kernel, or the packing or filling before it. ``flops`` and ``bytes`` are what it has to compute and move.

    ``layers``: the parts of a model that are joined in it, the main one first; ``part``: of a step, such as "gradient", or "".
    """

    function: str
    layers: tuple[str, ...]
    part: str
    loc: Loc | None
    schedule: str
    seconds: float
    flops: int
    bytes: int

    @property
    def line(self) -> str:
        return str(self.loc or "")

    @property
    def layer(self) -> str:
        """The main one; "" where there is none."""
        return self.layers[0] if self.layers else ""


def kernel_times(compiled: driver.Compiled, arrays: Sequence[np.ndarray], threads: int) -> list[KernelTime]:
    """One for each kernel of the program, in order; the time is the median of some runs. Overwrites donated arrays."""
    executable, module = compiled.in_parts()
    names = [part.name for part in module.parts]
    runs = [executable.run_parts(arrays, names, threads) for _ in range(PARTS_RUNS + 1)][1:]
    found = []
    for n, part in enumerate(module.parts):
        unit, loc = part.unit, part.loc
        main = not unit.description.startswith(("pack ", "fill "))
        found.append(KernelTime(
            unit.function.lstrip("@"), loc.scopes if loc else (), GRADIENT if loc and loc.gradient else "", loc, unit.description,
            median(run[n] for run in runs), kernel_flops(unit.kernel) if main else 0, _bytes(unit)))
    return found


def step_seconds(compiled: driver.Compiled, arrays: Sequence[np.ndarray]) -> float:
    """The median time of a call. Overwrites donated arrays."""
    compiled(arrays)
    times: list[float] = []
    while len(times) < STEP_RUNS or (sum(times) < STEP_SECONDS and len(times) < MOST_RUNS):
        start = time.perf_counter()
        compiled(arrays)
        times.append(time.perf_counter() - start)
    return median(times)


def kernel_flops(kernel: Kernel) -> int:
    """Arithmetic operations of a kernel: a multiply-add counts as two. Of a branch the longest choice."""
    if isinstance(kernel, Control):
        trips = (1 if kernel.trips is None else kernel.trips) if isinstance(kernel, Loop) else 1
        return trips * max(sum(kernel_flops(call.kernel) for call in body.calls) for body in kernel.bodies)
    outer = prod(a.extent for a in kernel.outer)
    return outer * sum(_stage_flops(stage) for stage in kernel.stages)


def _stage_flops(stage: Stage) -> int:
    """What a Reduce needs is done at every point, the rest once per result."""
    points, results = prod(a.extent for a in stage.axes), prod(a.extent for a in stage.map_axes)
    folded, work = set[int](), [i.arg for i in stage.insts if isinstance(i, Reduce)]
    while work:
        n = work.pop()
        if n not in folded:
            folded.add(n)
            work += operands(stage.insts[n])
    total = 0
    for n, inst in enumerate(stage.insts):
        if isinstance(inst, Reduce):
            total += points
        elif isinstance(inst, Apply) and inst.dtype.is_float and inst.op not in ("select", "cast"):
            total += points if n in folded else results
    return total


def _bytes(unit: Unit) -> int:
    """What lies in the buffers it reads and writes, once each."""
    return sum(p.type.nbytes for p in unit.kernel.params if p.name in unit.reads | unit.writes)
