"""Schedules of contractions: each form is what it is meant to be, and right."""

from __future__ import annotations

import re
from math import prod

import numpy as np
import pytest
import seed_cnn

from leptonc import driver
from leptonc.codegen.contraction.choose import find_contraction
from leptonc.codegen.contraction.emit import workspace_bytes
from leptonc.codegen.contraction.panels import Panels
from leptonc.codegen.contraction.plan import Contraction
from leptonc.codegen.loops.linear import linear_stage
from leptonc.ir.interpret import run_program
from leptonc.ir.kernel import Kernel
from leptonc.ir.kernelbuilder import KernelBuilder
from leptonc.ir.op import get_op
from leptonc.ir.types import TensorType, f32, f64
from leptonc.target import AVX2, AVX512, SSE, host_target
from tests.codegen.test_kernels import program_of
from tests.codegen.test_routed import blocks

TARGETS = [t for t in (SSE, AVX2, AVX512) if t.vector_bytes <= host_target().vector_bytes]


def product(m: int, n: int, k: int, turned: str = "", dtype=f32, masked: bool = False,
            steps: int = 0) -> Kernel:
    """``c[m, n] = sum a[m, k] * b[k, n]``; the letters in ``turned`` name operands that are stored transposed."""
    def shape(name, *extents):
        return TensorType(extents[::-1] if name in turned else extents, dtype)

    b = KernelBuilder("product")
    left, right, out = b.input(shape("a", m, k)), b.input(shape("b", k, n)), b.output(shape("c", m, n))
    other = b.input(out.type) if masked else None
    i, j = b.axes((m, n))
    (r,) = b.axes((k,), reduce=True)
    stage = b.stage([j, i, r] if "c" in turned else [i, j, r])

    def at(name, *axes):
        return axes[::-1] if name in turned else axes

    total = stage.reduce("sum", stage.mul(stage.load(left, at("a", i, r)), stage.load(right, at("b", r, j))))
    if other is not None:
        total = stage.select(stage.gt(stage.load(other, at("c", i, j)), 0), total, stage.const(0, dtype))
    for _ in range(steps):
        total = stage.add(stage.mul(total, total), 1)
    stage.store(out, at("c", i, j), total)
    built = b.build()
    return built if other is None else Kernel(built.name, (*built.params[:2], built.params[3], built.params[2]), built.stages)


def plan_of(kernel: Kernel, target) -> Contraction:
    plan = find_contraction(linear_stage(kernel, kernel.stages[0]), target)
    assert plan is not None
    return plan


def compiled_agrees(kernel: Kernel, target, rng):
    program = program_of(kernel)
    dtype = kernel.params[0].type.dtype.numpy
    arrays = [rng.standard_normal(p.type.shape).astype(dtype) for p in kernel.inputs]
    rtol = 1e-4 if dtype == np.float32 else 1e-11
    compiled = driver.compile_program(program, target)
    found = None
    for threads in (1, 2, 3):
        got = compiled.executable(list(arrays), nthreads=threads)
        for a, b in zip(got, run_program(program, arrays), strict=True):
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)
        bits = [a.tobytes() for a in got]
        assert found in (None, bits)
        found = bits


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("turned", ["", "a", "b", "c", "ab", "bc", "abc"])
@pytest.mark.parametrize("m, n, k", [(16, 16, 16), (37, 61, 19), (3, 200, 70), (200, 5, 33), (64, 257, 1), (1, 300, 40),
                                     (130, 48, 300)])
def test_products(m, n, k, turned, target, rng):
    compiled_agrees(product(m, n, k, turned), target, rng)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("dtype", [f32, f64])
@pytest.mark.parametrize("rows, batch", [(1500, 32), (803, 31), (1600, 64)])
def test_results_turned_in_registers(rows, batch, dtype, target, rng):
    """The gradient of a wide dense layer: its weights are broadcast, and results lie along the rows."""
    kernel = product(batch, rows, 128, "b", dtype, masked=True)
    plan = plan_of(kernel, target)
    assert plan.transposed and plan.row.extent == rows
    compiled_agrees(kernel, target, rng)


def test_items_of_turned_results_hold_whole_vectors_of_rows(rng):
    """However many items are wanted: what is left over of a vector is stored one by one."""
    for rows, batch, depth in ((512, 128, 512), (2048, 64, 128), (100, 256, 300)):
        kernel = product(batch, rows, depth, "b", masked=True)
        plan = plan_of(kernel, AVX512)
        if plan.transposed:
            assert plan.row_block * plan.rows % plan.lanes == 0 or plan.row_block == plan.row_tiles
        compiled_agrees(kernel, host_target(), rng)
    assert plan_of(product(128, 512, 512, "b", masked=True), AVX512).transposed


def test_rows_from_memory_are_prefetched_and_their_panel_stays_in_cache(rng):
    kernel = product(32, 20_000, 128, "b")
    plan = plan_of(kernel, AVX512)
    assert plan.prefetch_rows and plan.transposed
    assert 0 < plan.fold_block * plan.width * 4 <= AVX512.l1_bytes // 4
    compiled_agrees(kernel, host_target(), rng)


def weight_gradient(extent: int, kernel: int, channels: int, units: int, stride: int = 1, dtype=f64) -> Kernel:
    attrs = {"stride": (stride,) * 2, "padding": ((0, 0),) * 2, "dilation": (1, 1), "groups": 1, "shape": (kernel,) * 2}
    out = (extent - kernel) // stride + 1
    return get_op("conv_weight_grad").lower(TensorType((3, extent, extent, channels), dtype),
                                            TensorType((3, out, out, units), dtype), **attrs)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("kernel", [
    product(130, 24, 3000, "a", f64), product(400, 14, 2500, "a", f64), weight_gradient(60, 1, 48, 80),
    weight_gradient(41, 3, 32, 40, stride=2), weight_gradient(90, 3, 32, 64), weight_gradient(30, 3, 64, 300),
], ids=lambda kernel: kernel.name)
def test_weight_gradients_take_the_fold_in_parts(kernel, target, rng):
    """A part of B's tile stays in L1, and each tile asks for the lines of the next part."""
    plan = plan_of(kernel, target)
    if plan.a.pack:  # a tile would use a part of each line
        assert plan.rows * plan.dtype.itemsize <= 32
        return compiled_agrees(kernel, target, rng)
    assert plan.k_strided and plan.prefetch_blocks == (plan.fold_block > 0) == (plan.row_block > 1)
    if plan.prefetch_blocks:
        inner = prod(a.extent for a in plan.fold[plan.fold_outer + 1:])
        assert plan.fold_block * inner * plan.width * plan.dtype.itemsize <= target.l1_bytes * 2 // 3
    compiled_agrees(kernel, target, rng)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
def test_rows_that_share_lines_come_before_rows_that_do_not(target, rng):
    """A 2x2 kernel by steps of 2: along its taps each element of the image is in a line of its own, and so is that of the next
    position; channels lie side by side."""
    kernel = weight_gradient(32, 2, 16, 32, stride=2, dtype=f32)
    plan = plan_of(kernel, target)
    assert plan.a.access.stride(plan.row.name) == 1 and plan.row.extent in (16, 32)
    compiled_agrees(kernel, target, rng)


@pytest.mark.parametrize("m, n, k", [(1000, 260, 700), (96, 128, 64), (61, 520, 100), (256, 1024, 2048)])
def test_what_shares_lines_with_many_tiles_is_packed(m, n, k, rng):
    """Six elements of each line of A: panels of as many, filled side by side, where enough columns read them."""
    kernel = product(m, n, k, "a")
    plan = plan_of(kernel, AVX2)
    assert plan.a.pack and plan.rows <= 6 and plan.col_tiles >= 8
    panels = Panels(plan, plan.a, plan.row, plan.rows)
    assert panels.beside > 1 and panels.beside * panels.width * 4 >= 128
    assert not plan_of(kernel, AVX512).a.pack and not plan_of(product(60, 40, k, "a"), AVX2).a.pack
    compiled_agrees(kernel, AVX2 if AVX2 in TARGETS else host_target(), rng)


@pytest.mark.parametrize("target", [SSE, AVX2, AVX512], ids=lambda t: t.name)
def test_a_tile_fits_the_registers(target):
    for m, n, k in [(32, 1024, 256), (256, 256, 256), (16, 64, 64), (48, 24, 300), (1000, 1000, 1000), (7, 96, 50), (3, 512, 512)]:
        plan = plan_of(product(m, n, k), target)
        assert plan.rows * plan.vectors + plan.vectors + 1 <= target.registers


def test_few_rows_do_not_read_wide_columns_from_l2():
    """A batch of 32 by the weights of four gates: a tile of two rows would wait for the columns."""
    plan = plan_of(product(32, 1024, 256), AVX2)
    assert plan.rows >= 4


def test_parts_of_the_fold_may_lie_behind_whole_axes():
    """Images one by one, rows one by one, or all of a short fold at once."""
    plans = [plan_of(weight_gradient(extent, 3, 32, 64, dtype=f32), AVX512) for extent in (90, 20)]
    assert [plan.fold_outer for plan in plans] == [2, 1]


def test_a_tall_operand_is_not_turned_to_save_broadcasts():
    """4096 rows a page apart: packing them would cost more than the product."""
    plan = plan_of(product(4096, 32, 1024), AVX512)
    assert plan.row.extent == 4096 and not plan.a.pack


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
def test_long_epilogues_follow_each_tile(target, rng):
    """Sums of one register tile wait for them, in L1, and what they read beside the sums is asked for before."""
    kernel = product(300, 128, 32, "a", masked=True, steps=4)
    plan = plan_of(kernel, target)
    assert plan.tile_function and not plan.local_tile and len(plan.epilogue_operands) == 1
    assert workspace_bytes(plan) == plan.rows * plan.width * 4
    assert "llvm.prefetch" in driver.Compiled(program_of(kernel), target).llvm_text()
    compiled_agrees(kernel, target, rng)


def test_sums_that_wait_in_a_local_tile_stay_in_cache():
    for target in TARGETS:
        plan = plan_of(product(128, 20_000, 64, "b", masked=True), target)
        assert plan.local_tile
        assert workspace_bytes(plan) <= target.l2_bytes // 4


def test_columns_that_stay_in_cache_are_not_copied():
    """Panels pay where many tiles read them, or where the columns of a tile are too long for L2."""
    assert not plan_of(product(128, 512, 784), AVX512).b.pack
    assert plan_of(product(2048, 512, 784), AVX512).b.pack
    assert plan_of(product(128, 1024, 8192), AVX512).b.pack


def test_threads_share_the_smaller_operand(rng):
    tall, wide = product(1000, 96, 200), product(96, 1000, 200)
    assert plan_of(tall, host_target()).columns_first and not plan_of(wide, host_target()).columns_first
    for kernel in (tall, wide):
        compiled_agrees(kernel, host_target(), rng)


@pytest.mark.parametrize("target", [AVX2, AVX512], ids=lambda t: t.name)
@pytest.mark.parametrize("turned", ["", "b", "a"])
@pytest.mark.parametrize("m, n, k", [(96, 128, 256), (109, 64, 288), (37, 61, 500), (784, 512, 128), (28, 100, 256)])
def test_hot_loops_have_no_stack_traffic(m, n, k, turned, target):
    """Accumulators live in registers."""
    assembly = driver.Compiled(program_of(product(m, n, k, turned)), target).asm_text()
    loops = [b for b in blocks(assembly) if b.count("vfmadd") >= 6]
    assert loops
    assert not [line for b in loops for line in b.splitlines() if "%rsp" in line and "mm" in line]


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("m, n, k, blocked", [(64, 96, 64, False), (300, 1024, 1100, True)])
def test_plain_sums_are_written_where_they_belong(m, n, k, blocked, target, rng):
    """No epilogue: tiles accumulate in the result itself, also over blocks of the fold."""
    kernel = product(m, n, k)
    plan = plan_of(kernel, target)
    assert plan.direct_store and not plan.local_tile
    assert bool(plan.fold_block) == blocked
    compiled_agrees(kernel, target, rng)


def test_equal_tiles_share_one_function():
    """The loop's tile and the last one of equal shape, in any kernel of the module."""
    kernel = product(28, 128, 256)
    text = driver.Compiled(program_of(kernel), AVX512).module.text
    names = [line.split("(")[0] for line in text.splitlines() if line.startswith("define internal void @tile.")]
    assert len(names) == len(set(names)) == 1


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("dtype", [f32, f64])
@pytest.mark.parametrize("n, k", [(256, 512), (200, 77), (130, 15)])
def test_panels_across_lines_are_turned_in_registers(n, k, dtype, target, rng):
    kernel = product(256, n, k, "b", dtype)
    assert plan_of(kernel, target).b.pack
    text = driver.Compiled(program_of(kernel), target).module.text
    (packing,) = [f for f in text.split("define internal ") if f.startswith("void @k0.product(") and "%panel" in f]
    assert ("shufflevector" in packing) == (k >= plan_of(kernel, target).lanes)
    compiled_agrees(kernel, target, rng)


def test_rows_that_share_a_cache_set_are_few():
    """Rows of 4 KiB: as many as L1 holds of one set, rather than packed."""
    plan = plan_of(product(1024, 1024, 1024), AVX512)
    assert plan.row.extent == 1024 and not plan.a.pack and plan.rows == 5


@pytest.mark.parametrize("target", [AVX2, AVX512], ids=lambda t: t.name)
def test_hot_loops_of_the_reference_step_have_no_stack_traffic(target):
    """Its loops of multiply-adds over whole registers: convolutions, their routed gradients, dense layers with the optimizer
    behind them. (A layer of two results runs in quarter registers, takes microseconds, and may spill one. What is left of Winograd
    kernels beside their tiles, which are functions of their own, are transforms of 36 values: more than there are registers.)"""
    program = seed_cnn.train_step.trace(*seed_cnn.train_step.examples()).lower().program
    functions = re.split(r"^(?=[\w\"])", driver.Compiled(program, target).asm_text(), flags=re.MULTILINE)
    loops = [b for f in functions if "winograd" not in f.split(":")[0] for b in blocks(f) if b.count("vfmadd") >= 6]
    loops = [b for b in loops if f"%{'zmm' if target is AVX512 else 'ymm'}" in b]
    assert len(loops) > 10
    assert not [line for b in loops for line in b.splitlines() if "%rsp" in line and "mm" in line]


def test_rows_stay_in_cache_while_columns_go_by(rng):
    """An item's part of A is small beside L2 where that of B is: no part of the fold passes over the results twice."""
    kernel = product(50_000, 128, 256)
    plan = plan_of(kernel, AVX512)
    assert plan.col_block > 1 and not plan.fold_block
    assert plan.row_block * plan.rows * 256 * 4 <= AVX512.l2_bytes // 4
    compiled_agrees(product(3000, 128, 256), host_target(), rng)


def test_columns_that_many_outer_points_read_do_not_come_from_memory():
    """1x1 convolution of a few rows for each of many images."""
    attrs = {"stride": (2, 2), "padding": ((0, 0),) * 2, "dilation": (1, 1), "groups": 1}
    kernel = get_op("conv").lower(TensorType((16, 14, 14, 1024), f32), TensorType((1, 1, 1024, 2048), f32), **attrs)
    plan = plan_of(kernel, AVX512)
    assert plan.tiles_per_column > 8 and not plan.prefetch_blocks
