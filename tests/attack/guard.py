"""Guard pages before and behind every array of a call: inputs, results, constants, intermediates, scratch. Inputs that are not
given away lie in pages that cannot be written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import leptonc
from leptonc.driver import compile_program, lower, optimize
from leptonc.ir.graph import Graph
from leptonc.runtime import frame as frames
from leptonc.runtime.executable import Executable
from leptonc.runtime.system import address
from leptonc.target import TARGETS, host_target
from tests.attack.networks import random_network
from tests.attack.pages import ends, guarded, guarded_copy, release
from tests.attack.paths import same
from tests.attack.process import Attempt, Count, run
from tests.ops.sweep import cases


def run_guarded(executable: Executable, code: Any, arrays: list[np.ndarray], threads: int) -> list[np.ndarray]:
    """The results of a call whose memory is all guarded."""
    saved = frames.aligned_bytes, frames.copied
    frames.aligned_bytes, frames.copied = guarded, guarded_copy  # type: ignore[assignment]
    try:
        frame = frames.Frames(code).take(threads)
    finally:
        frames.aligned_bytes, frames.copied = saved
    given = [guarded_copy(a, read_only=not slot.donated) for a, slot in zip(arrays, executable.inputs)]
    results = [given[s.donated] if s.donated is not None else guarded(s.nbytes).view(s.dtype).reshape(s.shape)
               for s in executable.outputs]
    starts = [address(a) for a in (*given, *results)]
    frame.args[:len(starts)] = starts
    executable._run(executable._function, frame)
    return [r.copy() for r in results]


def check(graph: Graph, arrays: list[np.ndarray], donated: dict[int, int], target: str) -> None:
    """Guarded on both sides, with one thread and two, against the call as it is."""
    compiled = compile_program(lower(optimize(graph), donated), TARGETS[target])
    wanted = [np.copy(r) for r in compiled([np.array(a, order="C") for a in arrays])]
    for ends[0] in (True, False):
        for threads in (1, 2):
            same(run_guarded(compiled.executable, compiled.code, arrays, compiled.executable._thread_count(threads)), wanted)
            release()


def targets() -> list[str]:
    """Those that this machine runs."""
    order = list(TARGETS)
    return order[:order.index(host_target().name) + 1]


def ops(target: str) -> Attempt:
    """The samples of all ops."""
    found = cases()

    def attempt(number: int) -> str:
        case = found[number]
        arrays = case.arrays(np.random.default_rng(case.seed))
        try:
            graph = case.graph(arrays)
        except leptonc.errors.LeptonError:
            return "no program"
        check(graph, [np.asarray(a) for a in arrays], {}, target)
        return "right"

    return attempt


def networks(target: str) -> Attempt:
    """Random convolutional networks with their gradients, in f32 and f64, parameters given away."""
    def attempt(number: int) -> str:
        loss, args = random_network(number)
        dtype = np.float32 if number % 2 else np.float64
        args = leptonc.tree.map(lambda a: a.astype(dtype), args)
        step = leptonc.jit(lambda p, last, x: leptonc.tree.map(
            lambda a, g: a - 0.1 * g, (p, last), leptonc.grad(loss, argnums=(0, 1))(p, last, x)), donate_argnums=(0, 1))
        traced = step.trace(*args)
        check(traced.graph, leptonc.tree.leaves(args), traced.interface.aliases(traced.graph), target)
        return "right"

    return attempt


def attacks(every: int = 1) -> Iterator[tuple[str, Count]]:
    for target in targets():
        yield f"guard pages, ops, {target}", run("guard", "ops", range(0, len(cases()), every), target)
        yield f"guard pages, networks, {target}", run("guard", "networks", range(0, 60, every), target)
