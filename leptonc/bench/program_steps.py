"""One step of a program in each system."""

from __future__ import annotations

from typing import Any

import numpy as np

import leptonc
from leptonc.bench.networks.program import Program
from leptonc.bench.peers.common import Step
from leptonc.bench.peers.jax_programs import Jax
from leptonc.bench.peers.tensorflow_programs import Tensorflow
from leptonc.bench.peers.torch_programs import Torch
from leptonc.errors import LeptonError

VALUE_IN_SCAN = 10  # of the first call, what other modes have after so many steps


def program_step(system: str, mode: str, program: Program, in_call: int) -> Step:
    """``in_call``: steps of one call in leptonc's mode "scan". Raises LeptonError for an unknown system."""
    if system == "leptonc":
        return _scan(program, in_call) if mode == "scan" else _own(program, eager=mode == "eager")
    if system == "torch":
        return program.peer_step(Torch(mode.removeprefix("compiled ").removesuffix("+memory kept"), mode.startswith("compiled ")))
    if system == "jax":
        return program.peer_step(Jax())
    if system == "tensorflow":
        return program.peer_step(Tensorflow(xla=mode == "xla"))
    raise LeptonError(f"bench: there is no system {system!r}")


def compiled(program: Program) -> tuple[Any, tuple[Any, ...]]:
    """The jitted step and its first arguments."""
    batch = tuple(leptonc.numpy.array(x) for x in program.data())
    return leptonc.jit(program.step, donate_argnums=0), (program.start(), *program.fixed(), *batch)


def _own(program: Program, eager: bool) -> Step:
    run, (carry, *inputs) = compiled(program)
    done = 0

    def step() -> float | np.ndarray:
        nonlocal carry, done
        if done and done == program.lasts:
            carry, done = program.start(), 0
        with leptonc.disable_jit(eager):
            carry, value = run(carry, *inputs)
        done += 1
        return np.asarray(value)

    return step


def _scan(program: Program, in_call: int) -> Step:
    """One call of ``lax.scan`` over batches in memory, the same one each time, from where the call before ended unless the program
    lasts for one call alone."""
    carry, fixed = program.start(), program.fixed()
    batches = tuple(np.repeat(x[None], in_call, 0) for x in program.data())

    def one(carry: Any, batch: Any) -> tuple[Any, Any]:
        return program.step(carry, *fixed, *batch)

    def step() -> float | np.ndarray:
        nonlocal carry
        if program.lasts is not None:
            carry = program.start()
        carry, values = leptonc.lax.scan(one, carry, batches, in_call)
        return np.asarray(values[VALUE_IN_SCAN - 1])

    return step
