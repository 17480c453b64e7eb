"""Routed sums: machine code against the interpreter, over the forms their schedules take."""

from __future__ import annotations

import re

import numpy as np
import pytest

from leptonc import driver
from leptonc.codegen.loops.linear import linear_stage
from leptonc.codegen.routed.lookup import find_lookup
from leptonc.codegen.routed.plan import find_routed
from leptonc.ir.interpret import run_program
from leptonc.ir.kernel import Kernel
from leptonc.ir.op import get_op
from leptonc.ir.types import TensorType, dtype_of
from leptonc.target import AVX2, AVX512, SSE, host_target
from tests.codegen.test_kernels import program_of

TARGETS = [t for t in (SSE, AVX2, AVX512) if t.vector_bytes <= host_target().vector_bytes]

# (n, pooled, window, pool stride, kernel, channels in, channels out)
FORMS = {
    "vectors along groups and lists": (2, (5, 20), (2, 2), (2, 2), (3, 3), 8, 32),
    "groups left over": (1, (3, 17), (2, 2), (2, 2), (3, 3), 4, 37),
    "held rows in several chunks": (1, (4, 9), (2, 2), (2, 2), (3, 3), 70, 16),
    "short lists, strips of rows": (2, (7, 3), (2, 2), (2, 2), (3, 3), 6, 20),
    "long lists in blocks": (1, (2, 150), (2, 2), (2, 2), (3, 3), 32, 64),
    "one dimension": (2, (40,), (3,), (4,), (5,), 3, 19),
    "one result channel": (2, (6, 6), (2, 2), (2, 2), (3, 3), 5, 1),
    "pointwise": (2, (5, 16), (2, 2), (2, 2), (1, 1), 16, 16),
    "looked up in two tables": (3, (5, 20), (2, 2), (2, 2), (3, 3), 3, 32),
    "looked up in one table": (2, (4, 12), (1, 2), (1, 3), (2, 3), 4, 16),
    "looked up, all rows at once": (2, (4, 9), (2, 2), (2, 2), (3, 3), 1, 48),
    "tall windows": (1, (4, 12), (3, 1), (3, 2), (2, 3), 7, 16),
}


def kernels(form, dtype, density, rng):
    n, pooled, window, pool_stride, kernel, c, o = form
    image = tuple((p - 1) * s + w for p, s, w in zip(pooled, pool_stride, window))
    spatial = tuple(i + k - 1 for i, k in zip(image, kernel))
    attrs = {"image": image, "window": window, "pool_stride": pool_stride, "stride": (1,) * len(image),
             "dilation": (1,) * len(image)}
    x, w = (rng.standard_normal(s).astype(dtype) for s in ((n, *spatial, c), (*kernel, c, o)))
    g = rng.standard_normal((n, *pooled, o)).astype(dtype)
    g[rng.random(g.shape) >= density] = 0
    index = rng.integers(0, int(np.prod(window)), g.shape).astype(np.uint8)
    weight = {**attrs, "shape": kernel, "padding": ((0, 0),) * len(image)}
    yield "conv_weight_grad_routed", (x, g, index), weight
    yield "conv_input_grad_routed", (g, index, w), {**attrs, "shape": spatial}


def compiled_agrees(kernel: Kernel, arrays, target, rtol):
    program = program_of(kernel)
    wanted = run_program(program, arrays)
    found, compiled = None, driver.compile_program(program, target)
    for threads in (1, 2, 3):
        got = compiled.executable(list(arrays), nthreads=threads)
        for a, b in zip(got, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * 20)
        bits = [a.tobytes() for a in got]
        assert found in (None, bits)
        found = bits


def lowered(name, arrays, attrs) -> Kernel:
    return get_op(name).lower(*(TensorType(a.shape, dtype_of(a.dtype)) for a in arrays), **attrs)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("form", FORMS)
def test_forms(form, dtype, target, rng):
    for name, arrays, attrs in kernels(FORMS[form], dtype, 0.5, rng):
        kernel = lowered(name, arrays, attrs)
        assert find_routed(linear_stage(kernel, kernel.stages[0]), target) is not None
        compiled_agrees(kernel, arrays, target, 2e-5 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("form, tables, rows", [("looked up in two tables", 2, 1), ("looked up in one table", 1, 1),
                                                ("looked up, all rows at once", 2, 3)])
def test_sums_that_reach_few_elements_are_looked_up(form, tables, rows, rng):
    """Where a target can; weight gradients alone."""
    (weight, arrays, attrs), (_, others, more) = kernels(FORMS[form], np.float32, 0.5, rng)
    kernel = lowered(weight, arrays, attrs)
    stage = linear_stage(kernel, kernel.stages[0])
    plan = find_lookup(find_routed(stage, AVX512), AVX512)
    assert (len(plan.segments), plan.chunk_rows) == (tables, rows)
    assert find_lookup(find_routed(stage, AVX2), AVX2) is None
    kernel = lowered("conv_input_grad_routed", others, more)
    assert find_lookup(find_routed(linear_stage(kernel, kernel.stages[0]), AVX512), AVX512) is None


@pytest.mark.parametrize("form", ["held rows in several chunks", "long lists in blocks", "groups left over"])
def test_sums_that_reach_many_elements_are_not(form, rng):
    (weight, arrays, attrs), _ = kernels(FORMS[form], np.float32, 0.5, rng)
    kernel = lowered(weight, arrays, attrs)
    assert find_lookup(find_routed(linear_stage(kernel, kernel.stages[0]), AVX512), AVX512) is None


BOTH = ["vectors along groups and lists", "groups left over", "looked up in two tables"]


@pytest.mark.parametrize("density", [0.0, 0.03, 1.0])
@pytest.mark.parametrize("form", BOTH)
def test_densities(form, density, rng):
    for name, arrays, attrs in kernels(FORMS[form], np.float32, density, rng):
        compiled_agrees(lowered(name, arrays, attrs), arrays, host_target(), 2e-5)


@pytest.mark.parametrize("form", BOTH)
def test_zero_cotangents_meet_no_infinity(form, rng):
    """They are left out, as the dense sum would not."""
    (name, (x, g, index), attrs), _ = kernels(FORMS[form], np.float32, 0.6, rng)
    x[0, 2, 3, 1], g[0] = np.inf, 0
    got = driver.compile_program(program_of(lowered(name, (x, g, index), attrs))).executable([x, g, index])[0]
    assert np.isfinite(got).all()


@pytest.mark.parametrize("form", BOTH)
def test_an_index_out_of_range_routes_nowhere(form, rng):
    for name, arrays, attrs in kernels(FORMS[form], np.float32, 0.7, rng):
        arrays = [np.where(rng.random(a.shape) < 0.3, 200, a).astype(np.uint8) if a.dtype == np.uint8 else a for a in arrays]
        compiled_agrees(lowered(name, arrays, attrs), arrays, host_target(), 2e-5)


def test_nan_and_infinity_are_passed_on_where_the_cotangent_is_not_zero(rng):
    for name, arrays, attrs in kernels(FORMS["one dimension"], np.float32, 1.0, rng):
        g = next(a for a in arrays if a.shape[-1] == 19 and a.shape[0] == 2)
        g[0, 3, 2], g[1, 5, 7], g[0, 0, 0] = np.nan, np.inf, -np.inf
        compiled_agrees(lowered(name, arrays, attrs), arrays, host_target(), 2e-5)


def test_hot_loops_have_no_stack_traffic(rng):
    """The loop over a list: place, value, multiply-adds."""
    for name, arrays, attrs in kernels(FORMS["long lists in blocks"], np.float32, 1.0, rng):
        program = program_of(lowered(name, arrays, attrs))
        text = driver.Compiled(program, AVX2).asm_text()
        loops = [b for b in blocks(text) if b.count("vfmadd") >= 6]
        assert loops
        assert not [line for b in loops for line in b.splitlines() if re.search(r"%rsp|\W-?\d+\(%rbp\)", line)]


def blocks(assembly: str) -> list[str]:
    """The basic blocks of a listing that end by jumping back to their own start: innermost loops."""
    out, label, lines = [], "", list[str]()
    for line in assembly.splitlines():
        if line.startswith(".LBB"):
            label, lines = line.split(":")[0], []
        lines.append(line)
        if line.strip().startswith("j") and line.split()[-1] == label:
            out.append("\n".join(lines))
    return out
