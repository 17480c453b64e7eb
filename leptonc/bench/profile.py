"""Where the time of one compiled step of a case goes, kernel by kernel: ``leptonc bench --profile``."""

from __future__ import annotations

from leptonc import profile
from leptonc.bench.cases import Case
from leptonc.bench.networks.program import Program
from leptonc.bench.program_steps import compiled
from leptonc.bench.systems import forward, training_step

WARM_STEPS = 3


def profile_case(case: Case | Program) -> profile.Profile:
    """Of a case's step, after some steps of it where they change something."""
    if isinstance(case, Program):
        return _program(case)
    return _training(case) if case.training else _forward(case)


def _program(program: Program) -> profile.Profile:
    run, (carry, *inputs) = compiled(program)
    for _ in range(WARM_STEPS):
        carry, _ = run(carry, *inputs)
    return profile.function(run, carry, *inputs)


def _training(case: Case) -> profile.Profile:
    train, (params, state, x, y) = training_step(case)
    for _ in range(WARM_STEPS):
        params, state, _ = train(params, state, x, y)
    return profile.function(train, params, state, x, y)


def _forward(case: Case) -> profile.Profile:
    run, args = forward(case)
    return profile.function(run, *args)
