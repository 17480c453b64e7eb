"""Translation validation over many programs: ``python -m tests.validate examples bench golden plants fuzz:0:200``.

``fuzz:A:B`` are the fuzzer's programs with seeds from A to below B. Benchmark cases and examples run on smaller batches and images
than they are timed on: the same layers, and every pass that takes them, on what an interpreter can run.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import leptonc
from leptonc import driver, optim
from leptonc.bench import systems
from leptonc.bench.cases import CASES
from leptonc.bench.program_steps import compiled
from leptonc.bench.programs import TINY_PROGRAMS
from leptonc.errors import LeptonError
from leptonc.stages import Traced
from leptonc.validation.validator import Result, Validator
from tests import models
from tests.fuzz import generate
from tests.fuzz.program import build
from tests.plant_programs import PROGRAMS

sys.path.append(str(Path(__file__).parents[1] / "examples"))
import seed_cnn
import tour

IMAGE, BATCH = 30, 2  # the largest side and batch of a benchmark case

Named = tuple[str, Traced]


def examples() -> Iterator[Named]:
    params, x = tour.arguments()
    yield "tour", leptonc.jit(leptonc.value_and_grad(tour.layer)).trace(params, x)
    image = (34, 34, 3)
    params = seed_cnn.init(0, image)
    state, y = optim.adam(1e-3).init(params), np.eye(2, dtype=np.float32)
    x = np.zeros((BATCH, *image), np.float32)
    yield "seed_cnn.train_step", seed_cnn.train_step.trace(params, state, x, y)
    yield "seed_cnn.predict", seed_cnn.predict.trace(params, x)


def bench() -> Iterator[Named]:
    for name, case in CASES.items():
        side = tuple(min(n, IMAGE) for n in case.input[:-1])
        small = replace(case, batch=min(case.batch, BATCH), input=(*side, case.input[-1]))
        step, args = (systems.training_step if case.training else systems.forward)(small)
        yield name, step.trace(*args)
    for name, tiny in TINY_PROGRAMS.items():
        step, args = compiled(tiny)
        yield name, step.trace(*args)


def golden() -> Iterator[Named]:
    """The programs of tests/golden."""
    yield "step", leptonc.jit(models.step, donate_argnums=(0, 1)).trace(*models.arguments())
    params, x = {"kernel": np.ones((6, 4), np.float32), "bias": np.ones(4, np.float32)}, np.ones((5, 6), np.float32)
    yield "dense", leptonc.jit(leptonc.value_and_grad(tour.layer)).trace(params, x)


def plants() -> Iterator[Named]:
    for name, made in PROGRAMS.items():
        with mock.patch.object(driver, "PROGRAM_PASSES", driver.PROGRAM_PASSES):  # some set other thresholds, for themselves alone
            function, args = made()
            yield name, function.trace(*args)


def fuzz(start: int, stop: int) -> Iterator[Named]:
    for seed in range(start, stop):
        made = build(generate.program(seed))
        if hasattr(made.call, "trace"):  # a scan outside of any trace is the runtime's
            yield f"fuzz {seed}", made.call.trace(*made.args)


def programs(what: str) -> Iterator[Named]:
    name, *numbers = what.split(":")
    made: Any = globals()[name]
    yield from made(*map(int, numbers))


def main(chosen: Sequence[str]) -> int:
    """1 if anything was found."""
    counts, start = Counter[str](), time.perf_counter()
    for what in chosen:
        for name, traced in programs(what):
            results: list[Result] = []
            try:
                driver.check(traced.graph, traced.interface.aliases(traced.graph), Validator(tell=results.append))
                counts["right"] += 1
            except LeptonError as error:
                counts["found"] += 1
                print(f"{name}: {error}", flush=True)
            counts["steps"] += len(results)
            counts["too large"] += any(r.note for r in results)
        print(f"{what}: {dict(counts)} after {time.perf_counter() - start:.0f} s", flush=True)
    return int(counts["found"] > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
