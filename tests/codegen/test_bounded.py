"""Sums of products over the first points of an axis, and those that not all items are asked for: what is left out is not read."""

from __future__ import annotations

import numpy as np
import pytest

from leptonc import driver
from leptonc.codegen.contraction.choose import find_contraction
from leptonc.codegen.loops.linear import linear_stage
from leptonc.ir.interpret import run_program
from leptonc.ir.kernel import Kernel
from leptonc.ir.kernelbuilder import KernelBuilder
from leptonc.ir.structure import bounded_sum, product_sum
from leptonc.ir.types import TensorType, bf16, dtype_of, f32, f64, i8, i32, i64, u32
from leptonc.target import AVX2, AVX512, SSE, host_target
from tests.codegen.test_kernels import program_of

TARGETS = [t for t in (SSE, AVX2, AVX512) if t.vector_bytes <= host_target().vector_bytes]


def product(t: int, m: int, n: int, k: int, *, dtype=f32, stored=None, counter=i64, turned: str = "", guard: bool = True,
            bounded: bool = True, relation: str = "lt", scale: bool = False) -> Kernel:
    """``c[t, m, n] = sum of a[k, m] * b[t, k, n] for k < limit``, 0 where ``number[t] < least``."""
    stored = stored or dtype
    b = KernelBuilder("bounded")
    left = b.input(TensorType((m, k) if "a" in turned else (k, m), stored))
    right = b.input(TensorType((t, n, k) if "b" in turned else (t, k, n), stored))
    limit, least = b.input(TensorType((), counter)), b.input(TensorType((), counter))
    numbers = b.input(TensorType((t,), counter))
    out = b.output(TensorType((t, n, m) if "c" in turned else (t, m, n), dtype))
    s, i, j = b.axes((t, m, n))
    (r,) = b.axes((k,), reduce=True)
    stage = b.stage([s, i, j, r])
    x = stage.cast(stage.load(left, (i, r) if "a" in turned else (r, i)), dtype)
    y = stage.cast(stage.load(right, (s, j, r) if "b" in turned else (s, r, j)), dtype)
    each = stage.mul(x, y)
    if bounded:
        below = stage.apply(relation, stage.index(r, counter), stage.load(limit, ()))
        each = stage.select(below, each, stage.const(0, dtype))
    total = stage.reduce("sum", each)
    if scale:
        total = stage.add(total, total)
    if guard:
        total = stage.select(stage.ge(stage.load(numbers, (s,)), stage.load(least, ())), total, stage.const(7, dtype))
    stage.store(out, (s, j, i) if "c" in turned else (s, i, j), total)
    return b.build()


def plan_of(kernel: Kernel, target=AVX2):
    return find_contraction(linear_stage(kernel, kernel.stages[0]), target)


def agrees(kernel: Kernel, target, rng, limits, least: int = 1) -> None:
    """Compiled as interpreted; what is beyond the limit, or belongs to no item that is asked for, is NaN."""
    a, b, limit, _, numbers = (p.type for p in kernel.inputs)
    places = np.array([n % 3 for n in range(numbers.size)], numbers.dtype.numpy)
    compiled = driver.compile_program(program_of(kernel), target)
    for count in limits:
        left = rng.standard_normal(a.shape) * (4 if a.dtype.is_float else 20)
        right = rng.standard_normal(b.shape) * (4 if a.dtype.is_float else 20)
        arrays = [x.astype(kind.dtype.numpy) for x, kind in ((left, a), (right, b))]
        arrays += [np.asarray(count, limit.dtype.numpy), np.asarray(least, limit.dtype.numpy), places]
        (expected,) = run_program(program_of(kernel), arrays)
        if a.dtype.is_float and a.shape[0] == b.shape[1]:
            arrays[0][max(count, 0):] = np.nan
            arrays[1][:, max(count, 0):] = np.inf
        for threads in (1, 2):
            (got,) = compiled.executable([np.array(x) for x in arrays], nthreads=threads)
            np.testing.assert_allclose(got.astype("f8"), expected.astype("f8"), rtol=2e-4 if expected.dtype != "f8" else 1e-10,
                                       atol=1e-3 if expected.dtype != "f8" else 1e-10)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("t, m, n, k", [(5, 32, 32, 300), (3, 24, 40, 20), (1, 17, 64, 129), (4, 6, 100, 64), (2, 40, 33, 5000),
                                        (7, 8, 16, 1200)])
@pytest.mark.parametrize("guard", [True, False])
def test_first_products_alone(t, m, n, k, guard, target, rng):
    kernel = product(t, m, n, k, guard=guard)
    plan = plan_of(kernel, target)
    assert plan is not None and plan.limit is not None and (plan.guard is not None) == guard
    agrees(kernel, target, rng, (0, -3, 1, k // 2, k - 1, k, k + 9))


@pytest.mark.parametrize("turned", ["a", "b", "c", "ab", "bc", "abc"])
def test_operands_in_panels_and_turned_results(turned, rng):
    for shape in ((2, 48, 64, 200), (3, 30, 50, 70), (1, 130, 96, 1500)):
        agrees(product(*shape, turned=turned), host_target(), rng, (0, 33, 1000))


@pytest.mark.parametrize("dtype, stored", [(f64, f64), (f32, bf16), (i32, i8), (i32, i32)])
def test_dtypes(dtype, stored, rng):
    kernel = product(3, 32, 32, 128, dtype=dtype, stored=stored)
    plan = plan_of(kernel)
    assert plan is not None and not plan.pairs
    agrees(kernel, host_target(), rng, (0, 5, 77, 128))


@pytest.mark.parametrize("counter", [i32, u32, i64])
def test_counters(counter, rng):
    agrees(product(2, 32, 32, 100, counter=counter), host_target(), rng, (0, 7, 100))


def test_a_guard_alone(rng):
    """Without a bound: the sums of an item that nobody asks for are not made."""
    kernel = product(6, 32, 32, 300, bounded=False)
    plan = plan_of(kernel)
    assert plan is not None and plan.limit is None and plan.guard is not None
    agrees(kernel, host_target(), rng, (300,))


def test_what_is_no_bound(rng):
    """Other relations, counters that wrap around, limits that vary and conditions of single elements."""
    assert plan_of(product(2, 32, 32, 200, relation="le")) is None
    assert plan_of(product(2, 32, 32, 200, counter=dtype_of(np.dtype("i1")))) is None
    assert plan_of(product(2, 32, 32, 200, scale=True)).guard is None
    kernel = product(2, 32, 32, 200)
    found = bounded_sum(kernel.stages[0].insts)
    assert found is not None and found.bound is not None and product_sum(kernel.stages[0].insts) is None


def test_a_limit_that_varies_is_no_bound(rng):
    b = KernelBuilder("varying")
    left, right, limits = b.input(TensorType((64, 32), f32)), b.input(TensorType((64, 32), f32)), b.input(TensorType((32,), i32))
    out = b.output(TensorType((32, 32), f32))
    i, j = b.axes((32, 32))
    (r,) = b.axes((64,), reduce=True)
    stage = b.stage([i, j, r])
    each = stage.mul(stage.load(left, (r, i)), stage.load(right, (r, j)))
    below = stage.lt(stage.index(r, i32), stage.load(limits, (i,)))
    stage.store(out, (i, j), stage.reduce("sum", stage.select(below, each, stage.const(0, f32))))
    kernel = b.build()
    assert plan_of(kernel) is None
    arrays = [rng.standard_normal((64, 32)).astype("f4"), rng.standard_normal((64, 32)).astype("f4"),
              rng.integers(0, 65, 32).astype("i4")]
    (expected,) = run_program(program_of(kernel), arrays)
    (got,) = driver.compile_program(program_of(kernel), host_target()).executable(arrays, nthreads=2)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
