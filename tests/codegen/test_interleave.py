"""Units that run block by block: which do, in what order, and that nothing changes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import leptonc
from leptonc import nn, optim
from leptonc.codegen.step.interleave import Run, Touch, grouped
from leptonc.codegen.step.step import Memory
from leptonc.driver import compile_program
from leptonc.ir.interpret import run_program


def runs(*units: tuple[int, str]) -> list[Run]:
    """Units as ``blocks, "Wx rx wy"``: what each reads and writes of regions x, y ...; a capital for its rows alone."""
    return [Run(tuple(Touch(Memory(name[1:], 0, 1), name[0] in "wW", name[0] in "WR") for name in touched.split()), blocks, n)
            for n, (blocks, touched) in enumerate(units)]


def numbers(found: Any) -> list[list[int]]:
    return [[run.number for run in group.members] for group in found]


@pytest.mark.parametrize(("units", "wanted"), [
    ([(16, "Rx Wy"), (16, "Ry Wz")], [[0, 1]]),
    ([(16, "Rx Wy"), (48, "Ry Wz"), (16, "Rz Wu")], [[0, 1, 2]]),
    ([(16, "Rx Wy"), (24, "Ry Wz")], [[0, 1]]),  # eight blocks
    ([(16, "Rx Wy"), (20, "Ry Wz")], [[0], [1]]),  # only four
    ([(4, "Rx Wy"), (4, "Ry Wz")], [[0], [1]]),
    ([(16, "Rx Wy"), (16, "ry Wz")], [[0], [1]]),  # reads all of y
    ([(16, "Rx wy"), (16, "Ry Wz")], [[0], [1]]),
    ([(16, "Rx Wy"), (16, "Ru Wz")], [[0], [1]]),  # nothing in common
    ([(16, "Rx Wy"), (16, "Rx Wz")], [[0, 1]]),  # read twice
    ([(16, "Rx Wy"), (0, "ra wb"), (16, "Ry rb Wz")], [[1], [0, 2]]),  # weights made before
    ([(16, "Rx Wy"), (0, "ry wb"), (16, "Ry rb Wz")], [[0], [1], [2]]),  # made of what the first gives
    ([(16, "Rx Wy"), (0, "rb wx"), (16, "Ry Wz")], [[0], [1], [2]]),  # overwrites what the first reads
    ([(16, "Rx Wy"), (16, "Wz"), (16, "Ry Wz")], [[0, 1, 2]]),  # a halo filled first
    ([(16, "Rx Wy"), (16, "Wz"), (0, "rz wc"), (16, "Ry Wz")], [[1], [2], [0, 3]]),  # that something else reads
    ([(0, "rx wy"), (0, "ry wz")], [[0], [1]]),
])
def test_groups(units, wanted):
    assert numbers(grouped(runs(*units))) == wanted


def test_parts_of_one_region_meet():
    one, other = Touch(Memory("arena", 0, 8), True, True), Touch(Memory("arena", 4, 12), False, True)
    assert one.crosses(other) and not one.shares(other)
    assert not one.crosses(Touch(Memory("arena", 8, 12), True, True))


def network(rng: np.random.Generator, batch: int) -> Any:
    channels = (8, 4, 8, 8)
    params = [(rng.standard_normal((3, 3, *c)) * 0.1).astype(np.float32) for c in pairwise(channels)]
    x = rng.standard_normal((batch, 16, 16, channels[0])).astype(np.float32)
    y = rng.standard_normal((batch, 8, 8, channels[-1])).astype(np.float32)
    optimizer = optim.sgd(0.1, momentum=0.9)

    def step(params: Any, state: Any, x: Any, y: Any) -> Any:
        def loss(params: Any) -> Any:
            h = x
            for w in params[:-1]:
                h = nn.relu(nn.conv(h, w, padding="SAME"))
            return ((nn.max_pool(nn.conv(h, params[-1], padding="SAME"), window=2) - y) ** 2).mean()

        value, grads = leptonc.value_and_grad(loss)(params)
        updates, state = optimizer.update(grads, state, params)
        return optim.apply_updates(params, updates), state, value

    return step, (params, optimizer.init(params), x, y)


@pytest.mark.parametrize("batch", [16, 17, 7])
def test_a_training_step_is_the_same_for_any_number_of_threads(batch, rng):
    """With few threads by blocks, with many unit by unit."""
    step, args = network(rng, batch)
    program = leptonc.jit(step).trace(*args).lower().program
    compiled = compile_program(program)
    assert ("blocks, all of these in each" in compiled.module.schedule) == (batch != 7)
    arrays = [np.asarray(leaf) for leaf in leptonc.tree.leaves(args)]
    results = [compiled.executable(arrays, nthreads=n) for n in (1, 2, 3, 4, 7, 13)]
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
    for a, b in zip(results[0], run_program(program, arrays), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
