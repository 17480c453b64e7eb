"""Where the time of one compiled step goes: every kernel timed on its own, beside what the machine could do.

Kernels run in the order of the step, on its memory, so each finds its operands as the step leaves them; caches are those of
the kernel before. ``share`` is the time the machine's limits allow (multiply-adds or memory traffic, whichever is more) over the
time taken. A routed sum counts the products of the dense one, so its share may exceed 1.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from leptonc import config, driver, tree
from leptonc.bench.cases import Case
from leptonc.bench.systems import forward, training_step
from leptonc.codegen.step.step import Unit
from leptonc.ir.kernel import Apply, Kernel, Reduce, Stage, operands

WARM_STEPS = 3


@dataclass(frozen=True)
class Row:
    """One kernel, or the packing or filling before it. ``flops`` and ``bytes`` are what it has to compute and move."""

    function: str
    line: str
    schedule: str
    seconds: float
    flops: int
    bytes: int


def profile(compiled: driver.Compiled, arrays: Sequence[np.ndarray], repeats: int = 7) -> list[Row]:
    """A row for each kernel of the program, in order; the time is the median of ``repeats`` runs. Overwrites donated arrays."""
    executable, module = compiled.in_parts()
    threads = config.num_threads()
    names = [part.name for part in module.parts]
    runs = [executable.run_parts(arrays, names, threads) for _ in range(repeats + 1)][1:]
    rows = []
    for n, part in enumerate(module.parts):
        main = not part.unit.description.startswith(("pack ", "fill "))
        rows.append(Row(part.unit.function.lstrip("@"), str(part.loc or ""), part.unit.description, median(run[n] for run in runs),
                        kernel_flops(part.unit.kernel) if main else 0, _bytes(part.unit)))
    return rows


def profile_case(case: Case, machine: dict[str, Any], trace: Path | None = None) -> list[Row]:
    """Profile a case's step, in training after some steps of it; print the table, and write a Chrome trace if asked for."""
    rows = _training_rows(case) if case.training else _forward_rows(case)
    print(f"{case.name}: {table(rows, machine)}\n")
    if trace is not None:
        write_trace(rows, trace)
    return rows


def _training_rows(case: Case) -> list[Row]:
    train, (params, state, x, y) = training_step(case)
    for _ in range(WARM_STEPS):
        params, state, _ = train(params, state, x, y)
    return _rows(train, params, state, x, y)


def _forward_rows(case: Case) -> list[Row]:
    run, args = forward(case)
    return _rows(run, *args)


def _rows(jitted: Any, *args: Any) -> list[Row]:
    arrays = [np.asarray(leaf) for leaf in tree.leaves(args)]
    return profile(jitted.trace(*args).lower().compile().executable, arrays)


def kernel_flops(kernel: Kernel) -> int:
    """Arithmetic operations of a kernel: a multiply-add counts as two."""
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


def table(rows: Sequence[Row], machine: dict[str, Any]) -> str:
    """The rows, the slowest first, as a Markdown table."""
    total = sum(row.seconds for row in rows)
    limits = f"{machine['fma_gflops']} GFLOP/s, {machine['copy_gbs']} GB/s"
    lines = [f"{len(rows)} kernels, {total * 1e3:.3f} ms; limits of this run: {limits}", "",
             "| ms | % | GFLOP/s | GB/s | share of limit | line | kernel | schedule |", "|---|---|---|---|---|---|---|---|"]
    for row in sorted(rows, key=lambda row: -row.seconds):
        limit = max(row.flops / machine["fma_gflops"], row.bytes / machine["copy_gbs"]) / 1e9
        rates = f"{row.flops / row.seconds / 1e9:.1f} | {row.bytes / row.seconds / 1e9:.1f} | {limit / row.seconds:.2f}"
        lines.append(f"| {row.seconds * 1e3:.3f} | {100 * row.seconds / total:.1f} | {rates} | {row.line} | {row.function} | "
                     f"{row.schedule} |")
    return "\n".join(lines)


def write_trace(rows: Sequence[Row], file: Path) -> None:
    """The rows one after the other as a Chrome trace: open it with chrome://tracing or Perfetto."""
    events, now = [], 0.0
    for row in rows:
        events.append({"name": row.function, "ph": "X", "pid": 0, "tid": 0, "ts": now * 1e6, "dur": row.seconds * 1e6,
                       "args": {"line": row.line, "schedule": row.schedule, "flops": row.flops, "bytes": row.bytes}})
        now += row.seconds
    file.write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}) + "\n")
