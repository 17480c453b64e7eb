"""What the machine can do, measured in the same run: multiply-adds and memory traffic."""

from __future__ import annotations

import platform
import time
from typing import Any

import numpy as np

import leptonc
from leptonc import config
from leptonc.codegen.llvm.assemble import compile_object
from leptonc.codegen.llvm.emitter import Emitter, llvm_type
from leptonc.ir.types import f32
from leptonc.runtime.code import Code
from leptonc.runtime.executable import Executable
from leptonc.target import Target, host_target

CHAINS = 20  # independent accumulators: more than latency times throughput of any x86 so far
STEPS = 4_000_000
REPEATS = 7
COPY_FLOATS = 1 << 26


def describe_machine() -> dict[str, Any]:
    """The processor, and the limits of all threads together."""
    target = host_target()
    return {
        "cpu": _cpu_name(), "target": target.name, "threads": config.num_threads(), "platform": platform.platform(),
        "python": platform.python_version(), "leptonc": leptonc.__version__, "numpy": np.__version__,
        "fma_gflops": round(fma_gflops(target), 1), "copy_gbs": round(copy_gbs(), 1),
        "note": "fma_gflops: register-only f32 FMA loop on all threads; copy_gbs: y = 2 x over 256 MB, read + written",
    }


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown")
    except OSError:
        return platform.processor() or "unknown"


def fma_text(target: Target) -> str:
    """``step(ctx)``: every thread runs CHAINS independent multiply-adds in registers, STEPS times."""
    lanes = target.lanes(4)
    vector = llvm_type(f32, lanes)
    e = Emitter(target.fma)
    start = e.let("alloca " + vector, "start")
    x = e.let(f"load volatile {vector}, ptr {start}", "x")
    with e.reduce_loop("n", "0", str(STEPS), 1, [(vector, x)] * CHAINS) as (_, phis, following):
        for acc in phis:
            if target.fma:
                args = ", ".join(f"{vector} {v}" for v in (acc, x, x))
                following.append(e.call(f"{vector} @llvm.fma.v{lanes}f32({vector}, {vector}, {vector})", args, "acc"))
            else:
                following.append(e.let(f"fadd {vector} {e.let(f'fmul {vector} {acc}, {x}', 'mul')}, {x}", "acc"))
    for acc in phis:
        e.line(f"store volatile {vector} {acc}, ptr {start}")
    return "\n".join([f'target triple = "{target.triple}"', "define void @step(ptr %ctx) {", "entry:", *e.lines, "  ret void", "}",
                      *sorted(e.declarations), ""])


def fma_gflops(target: Target) -> float:
    run = Executable(Code(compile_object(fma_text(target), target), "step", (), ()))
    threads = config.num_threads()
    best = _best(lambda: run([]))
    return 2.0 * CHAINS * STEPS * target.lanes(4) * threads / best / 1e9


def copy_gbs() -> float:
    x = np.ones(COPY_FLOATS, np.float32)
    y = np.zeros(COPY_FLOATS, np.float32)
    double = leptonc.jit(lambda x, y: x * 2, donate_argnums=(1,))

    def run() -> None:
        nonlocal y
        y = double(x, y)

    run()
    return 2 * x.nbytes / _best(run) / 1e9


def _best(function: Any) -> float:
    """Least time of some calls, in seconds."""
    found = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    return min(found)
