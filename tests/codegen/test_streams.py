"""Nests that walk through more memory side by side than hardware prefetchers follow ask for lines ahead."""

from __future__ import annotations

import numpy as np
import pytest

from leptonc import driver
from leptonc.codegen.loops.linear import linear_stage
from leptonc.codegen.loops.schedule import Nest, schedule_nest
from leptonc.codegen.loops.streams import AHEAD, FOLLOWED
from leptonc.ir.kernel import Index, Kernel
from leptonc.ir.kernelbuilder import KernelBuilder
from leptonc.ir.types import TensorType, f32
from leptonc.target import AVX2
from tests.codegen.test_kernels import check, program_of

MANY = FOLLOWED + 4


def scattered(count: int, columns: int, reads: bool = False) -> Kernel:
    """``r[q, i] = q * a[i]`` for each q, or ``r[i] = sum over q of q * a[q, i]``, all q in one point."""
    b, wide = KernelBuilder("streams"), TensorType((count, columns), f32)
    one, (i,) = TensorType((columns,), f32), b.axes((columns,))
    x, out = b.input(wide if reads else one), b.output(one if reads else wide)
    stage = b.stage([i])
    rows = [stage.mul(stage.load(x, (Index(offset=q), i) if reads else (i,)), float(q + 1)) for q in range(count)]
    if reads:
        total = rows[0]
        for row in rows[1:]:
            total = stage.add(total, row)
        stage.store(out, (i,), total)
    else:
        for q, row in enumerate(rows):
            stage.store(out, (Index(offset=q), i), row)
    return b.build()


def nest_of(kernel: Kernel) -> Nest:
    return schedule_nest(linear_stage(kernel, kernel.stages[0]), AVX2)


@pytest.mark.parametrize("reads", [False, True])
def test_many_streams_ask_ahead(rng, reads):
    kernel = scattered(MANY, 1003, reads)
    nest = nest_of(kernel)
    assert len(nest.ahead) == MANY and {role for role, _ in nest.ahead} == {"load" if reads else "store"}
    compiled = driver.compile_program(program_of(kernel), AVX2)
    asked = [line for line in compiled.llvm_text().splitlines() if "call void @llvm.prefetch" in line]
    assert len(asked) >= MANY and all(f"i32 {int(not reads)}, i32 3, i32 1)" in line for line in asked)
    assert f", {AHEAD // 4}" in compiled.llvm_text()
    check(kernel, rng.integers(-9, 10, kernel.inputs[0].type.shape).astype(np.float32))


@pytest.mark.parametrize("kernel", [
    scattered(FOLLOWED, 1003), scattered(FOLLOWED, 1003, reads=True),  # hardware follows these
    scattered(MANY, 200),  # all of it is in L1 soon, and rows share pages
])
def test_few_streams_and_near_ones_do_not(kernel):
    assert not nest_of(kernel).ahead


def test_what_is_near_each_other_is_one_stream():
    """Rows less than a kilobyte apart, of a buffer that is large for other reasons."""
    b = KernelBuilder("near")
    n, i = b.axes((64, 64))
    x, out = b.input(TensorType((64, MANY, 64), f32)), b.output(TensorType((64, 64), f32))
    stage = b.stage([n, i])
    total = stage.load(x, (n, Index(), i))
    for q in range(1, MANY):
        total = stage.add(total, stage.load(x, (n, Index(offset=q), i)))
    stage.store(out, (n, i), total)
    assert not nest_of(b.build()).ahead
