"""Kernels of tiles that ask for the next tile's memory: what they ask for, and that results stay the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import leptonc
from leptonc import driver, nn
from leptonc.codegen.loops.linear import linear_stage
from leptonc.codegen.step.prefetch import prefetches
from leptonc.ir.interpret import run_program
from leptonc.target import host_target


def pooled(x, w):
    return nn.max_pool(nn.conv(x, w), window=2)


def padded(x, w):
    return nn.relu(nn.conv(x, w, padding="SAME"))


def tiled(f, x, w):
    program = leptonc.jit(f).trace(x, w).lower().program
    kernel = next(call.kernel for call in program.calls if call.kernel.outer)
    return program, kernel, [linear_stage(kernel, stage) for stage in kernel.stages]


def operands(rng, shape, out):
    return (rng.standard_normal(shape).astype(np.float32),
            (rng.standard_normal((3, 3, shape[-1], out)) * 0.1).astype(np.float32))


def test_the_next_rows_are_asked_for(rng):
    """Two new rows of the image for a row of windows, and that row of the result."""
    x, w = operands(rng, (32, 34, 34, 3), 16)
    _, kernel, stages = tiled(pooled, x, w)
    small = replace(host_target(), l2_bytes=128 << 10)
    found = {r.write: r for r in prefetches(kernel, stages, small)}
    assert found[False].lines == -(-2 * 34 * 3 * 4 // 64) and found[True].lines == 16 * 16 * 4 // 64
    assert not prefetches(kernel, stages, replace(small, l2_bytes=8 << 20))  # all of it is near anyway


@pytest.mark.parametrize("f, shape, out, l2", [(pooled, (32, 34, 34, 3), 16, 128), (pooled, (64, 18, 18, 16), 32, 400),
                                           (padded, (256, 8, 8, 16), 16, 400)])
def test_results_stay_the_same(f, shape, out, l2, rng):
    """Beyond the last tile nothing is there to ask for, which does no harm."""
    x, w = operands(rng, shape, out)
    program, kernel, stages = tiled(f, x, w)
    target = replace(host_target(), l2_bytes=l2 << 10)
    assert prefetches(kernel, stages, target)
    got = driver.compile_program(program, target)
    wanted = run_program(program, [x, w])[0]
    for threads in (1, 2, 3):
        np.testing.assert_allclose(got.executable([x, w], nthreads=threads)[0], wanted, rtol=1e-4, atol=1e-4)
