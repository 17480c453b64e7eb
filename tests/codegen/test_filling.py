"""What of a result is filled before the stages run: no more than they leave, and no less."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import driver, nn
from leptonc.codegen.loops.filling import filling
from leptonc.ir.interpret import run_kernel
from leptonc.ir.kernel import Index, Kernel
from leptonc.ir.kernelbuilder import KernelBuilder
from leptonc.ir.types import TensorType, f32
from tests.codegen.test_kernels import program_of
from tests.compare import both

SHAPE = (3, 6, 7, 4)


def writer(*boxes, step: int = 1, outer: int = 0, accumulate: bool = False) -> Kernel:
    """Copies from an input into boxes of a result that begins as 7s; ``step`` > 1 goes in strides, one store for each remainder."""
    b = KernelBuilder("writer")
    source, result = b.input(TensorType(SHAPE, f32)), b.output(TensorType(SHAPE, f32), init=7)
    axes = b.axes([high - low for low, high in boxes[0]])
    b.outer = tuple(axes[:outer])
    for box in boxes:
        counted = list(axes)
        if step > 1:
            counted[2] = b.axes([(box[2][1] - box[2][0]) // step])[0]
        stage = b.stage(counted[outer:])
        for rest in range(step):
            at = [Index.of(a) + low for a, (low, _) in zip(counted, box)]
            at[2] = counted[2] * step + (box[2][0] + rest)
            stage.store(result, at, stage.load(source, at), accumulate=accumulate)
    return b.build()


WHOLE = tuple((0, n) for n in SHAPE)
INNER = ((0, 3), (1, 5), (2, 7), (0, 4))


def filled(kernel: Kernel) -> np.ndarray:
    """How often each element is filled."""
    count = np.zeros(SHAPE, int)
    for part in filling(kernel, kernel.outputs[0]).parts:
        count[tuple(slice(*span) for span in part)] += 1
    return count


@pytest.mark.parametrize("kernel, left", [
    (writer(WHOLE), 0), (writer(INNER), 504 - 240), (writer(INNER, outer=1), 504 - 240), (writer(INNER, outer=2), 504 - 240),
    (writer(((0, 3), (1, 5), (1, 7), (0, 4)), step=2), 504 - 288),
    (writer(((0, 3), (1, 5), (1, 7), (0, 4)), step=3, outer=1), 504 - 288),
    (writer(((1, 3), (0, 6), (0, 7), (0, 4))), 504),  # nothing whole to share between threads: all of it
    (writer(INNER, accumulate=True), 504), (writer(WHOLE, accumulate=True), 504),
    (writer(INNER, ((0, 3), (0, 4), (0, 5), (0, 4))), 504),  # two boxes that make none
], ids=str)
def test_what_is_left_is_filled_once(kernel, left, rng):
    count = filled(kernel)
    assert count.max(initial=0) <= 1 and count.sum() == left
    array = rng.standard_normal(SHAPE).astype(np.float32)
    (wanted,) = run_kernel(kernel, [array])
    compiled = driver.compile_program(program_of(kernel))
    for threads in (1, 3):
        np.testing.assert_array_equal(compiled.executable([array], nthreads=threads)[0], wanted)


def test_a_pool_writes_into_the_halo_from_the_convolution_s_tile(rng):
    """conv -> pool -> padded conv: no image between the first two, and of the third's operand only the border is filled."""
    def f(x, w, v):
        return nn.conv(nn.max_pool(nn.conv(x, w, padding=1), 2), v, padding=1)

    args = (rng.standard_normal((2, 16, 16, 8)).astype(np.float32), rng.standard_normal((3, 3, 8, 16)).astype(np.float32),
            rng.standard_normal((3, 3, 16, 8)).astype(np.float32))
    program = leptonc.jit(f).trace(*args).lower().program
    (tiled,) = [c.kernel for c in program.calls if "max_pool" in c.kernel.name]
    assert tiled.outer and tiled.outputs[0].init == 0 and tiled.outputs[0].type.shape == (2, 10, 10, 16)
    assert filling(tiled, tiled.outputs[0]).whole == 1
    both(f, *args, rtol=1e-4, atol=1e-5)


def test_routed_sums_clear_their_own_share(rng):
    """Nothing is filled before an input gradient behind a pool."""
    def loss(x, w):
        return (nn.max_pool(nn.relu(nn.conv(x, w)), 2) ** 2).sum()

    args = (rng.standard_normal((3, 14, 14, 16)).astype(np.float32), rng.standard_normal((3, 3, 16, 16)).astype(np.float32))
    compiled = leptonc.jit(leptonc.grad(loss)).trace(*args).lower().compile()
    schedule = compiled.executable.module.schedule
    assert "routed" in schedule and "fill" not in schedule
    both(leptonc.grad(loss), *args, rtol=1e-3, atol=1e-4)
