"""Products of floats of 16 bits: converted as they are read, or multiplied in pairs, on every target, against sums in f64."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leptonc import driver
from leptonc.codegen.contraction.choose import find_contraction
from leptonc.codegen.llvm.assemble import compile_object
from leptonc.codegen.loops.linear import linear_stage
from leptonc.codegen.step.build import build_step
from leptonc.codegen.step.interpret import run_step
from leptonc.codegen.step.module import emit_program
from leptonc.codegen.step.verify import verify_step
from leptonc.ir.interpret import run_program
from leptonc.ir.kernel import Kernel
from leptonc.ir.kernelbuilder import KernelBuilder
from leptonc.ir.types import TensorType, bf16, bool_, f16, f32, i8, i16, i32, u8
from leptonc.target import AVX2, AVX512, AVX512_BF16, TARGETS, host_target
from tests.codegen.test_kernels import program_of

RUNNING = list(TARGETS.values())[:list(TARGETS).index(host_target().name) + 1]
SHAPES = [(37, 61, 19), (3, 200, 70), (130, 48, 301)]
OPERANDS = {"bf16": ((bf16,), (bf16,)), "f16": ((f16,), (f16,)), "mixed": ((bf16,), (f32,)), "rounded": ((bf16,), (f32, bf16)),
            "both rounded": ((f32, bf16), (f32, bf16)), "i8": ((i8,), (i8,)),
            "u8 i8": ((u8,), (i8,)), "i16": ((i16,), (i16,))}


def product(m, n, k, turned="", operands=((bf16,), (bf16,)), out=None) -> Kernel:
    """``c[m, n] = cast(sum a[m, k] * b[k, n])`` of factors that are loaded as the first of some dtypes, cast to the others and to
    that of the sum; the letters in ``turned`` name operands that are stored transposed."""
    def type_of(name, dtype, *extents):
        return TensorType(extents[::-1] if name in turned else extents, dtype)

    total = i32 if operands[0][0].is_int else f32
    build = KernelBuilder("product")
    left = build.input(type_of("a", operands[0][0], m, k))
    right = build.input(type_of("b", operands[1][0], k, n))
    result = build.output(type_of("c", out or total, m, n))
    i, j = build.axes((m, n))
    (r,) = build.axes((k,), reduce=True)
    stage = build.stage([j, i, r] if "c" in turned else [i, j, r])

    def factor(name, buffer, casts, *axes):
        value = stage.load(buffer, axes[::-1] if name in turned else axes)
        for dtype in (*casts[1:], total):
            value = stage.cast(value, dtype)
        return value

    value = stage.reduce("sum", stage.mul(factor("a", left, operands[0], i, r), factor("b", right, operands[1], r, j)))
    stage.store(result, (j, i) if "c" in turned else (i, j), stage.cast(value, out) if out else value)
    return build.build()


def plan_of(kernel, target):
    return find_contraction(linear_stage(kernel, kernel.stages[0]), target)


def arrays_of(kernel, rng):
    types = [p.type for p in kernel.inputs]
    return [rng.random(t.shape) < 0.5 if t.dtype.is_bool
            else rng.integers(*ends(t.dtype), t.shape, endpoint=True).astype(t.dtype.numpy) if t.dtype.is_int
            else rng.standard_normal(t.shape).astype(t.dtype.numpy) for t in types]


def ends(dtype):
    """All there are: sums of i16 wrap around."""
    info = np.iinfo(dtype.numpy)
    return int(info.min), int(info.max)


def agrees(kernel, arrays, got):
    """To within the rounding of f32 sums in any order, and of the result."""
    wanted, = run_program(program_of(kernel), arrays)
    if wanted.dtype.kind == "i":
        np.testing.assert_array_equal(got, wanted)
        return
    sizes, = run_program(program_of(kernel), [np.abs(a) for a in arrays])
    depth = kernel.stages[0].reduce_axes[0].extent
    unit = {2: 2.0**-7, 4: 0.0}[wanted.dtype.itemsize]
    allowed = sizes.astype(np.float64) * (depth + 2) * 2.0**-24 + np.abs(wanted.astype(np.float64)) * unit
    assert np.all(np.abs(got.astype(np.float64) - wanted.astype(np.float64)) <= allowed)


@pytest.fixture(params=OPERANDS)
def operands(request):
    if "bf16" in str(OPERANDS[request.param]):
        pytest.importorskip("ml_dtypes")
    return OPERANDS[request.param]


@pytest.mark.parametrize("turned", ["", "ab", "c"])
@pytest.mark.parametrize("target", RUNNING, ids=lambda t: t.name)
def test_products(turned, target, operands, rng):
    """The same bits for any number of threads."""
    for shape in SHAPES if target == host_target() or not turned else SHAPES[:1]:
        kernel = product(*shape, turned, operands)
        arrays = arrays_of(kernel, rng)
        compiled = driver.compile_program(program_of(kernel), target).executable
        one, three = (compiled(list(arrays), nthreads=n)[0] for n in (1, 3))
        assert one.tobytes() == three.tobytes()
        agrees(kernel, arrays, one)


@pytest.mark.parametrize("turned", ["", "a", "b", "ab"])
@pytest.mark.parametrize("target", [AVX2, AVX512_BF16], ids=lambda t: t.name)
def test_steps_as_they_are_scheduled(turned, target, operands, rng):
    """Of any target: panels, words in them, what an item touches."""
    kernel = product(9, 37, 31, turned, operands)
    arrays = arrays_of(kernel, rng)
    step = build_step(program_of(kernel), target)
    verify_step(step)
    for threads, order in ((1, "forward"), (2, "backward")):
        agrees(kernel, arrays, run_step(step, list(arrays), threads, order)[0])


@pytest.mark.parametrize("dtypes", [(bool_, f32), (f32, bool_), (bool_, bool_)], ids=str)
@pytest.mark.parametrize("shape, turned", [((9, 37, 31), ""), ((64, 64, 12), "ab"), ((33, 161, 128), "")], ids=str)
def test_bools_are_bytes_of_memory_and_numbers_where_they_are_multiplied(shape, turned, dtypes, rng):
    """In panels (A's and B's) and as they lie in memory, the last vector of a line too."""
    kernel = product(*shape, turned, tuple((d,) for d in dtypes))
    arrays = arrays_of(kernel, rng)
    agrees(kernel, arrays, driver.compile_program(program_of(kernel))(arrays)[0])


def test_pairs_are_multiplied_where_the_machine_does_and_both_are_narrow():
    for name, operands in OPERANDS.items():
        pairs = name not in ("mixed", "f16")
        kernel = product(64, 64, 65, "", operands)
        assert plan_of(kernel, AVX512_BF16).pairs is pairs
        assert not plan_of(kernel, AVX512).pairs
        plan = plan_of(kernel, AVX512_BF16)
        assert plan.depth == (33 if pairs else 65) and plan.odd is pairs
    for target, found in ((AVX512_BF16, True), (AVX512, False)):
        text = emit_program(program_of(product(64, 64, 64)), target).text
        assert ("dpbf16ps" in text) is found
        assert compile_object(text, target)[:4] == b"\x7fELF"


def test_words_of_memory_are_read_as_they_are():
    """Panels only where the elements of a pair lie apart, are not bf16 in memory, or the last one would reach beyond the end."""
    assert not plan_of(product(64, 64, 64), AVX512_BF16).a.pack
    assert plan_of(product(64, 64, 64, "a"), AVX512_BF16).a.pack
    assert plan_of(product(64, 64, 65), AVX512_BF16).a.pack
    rounded = plan_of(product(256, 256, 64, "", OPERANDS["both rounded"]), AVX512_BF16)
    assert rounded.a.pack and rounded.b.pack


@pytest.mark.parametrize("shape", [(64, 256, 784), (256, 512, 128)])
def test_results_are_rounded_where_they_are_made(shape, rng):
    pytest.importorskip("ml_dtypes")
    for target in RUNNING:
        kernel = product(*shape, out=bf16)
        arrays = arrays_of(kernel, rng)
        agrees(kernel, arrays, driver.compile_program(program_of(kernel), target)(arrays)[0])


def test_special_values_in_pairs(rng):
    """An infinity meets its own partner alone, and what stands beside the last element is none of the product."""
    pytest.importorskip("ml_dtypes")
    kernel = product(40, 40, 33)
    a, b = arrays_of(kernel, rng)
    flat = np.concatenate([a.ravel(), np.full(64, np.nan, a.dtype)])  # memory behind the last row
    a = flat[:a.size].reshape(a.shape)
    a[3, 4], a[7, 32], b[32, 5] = np.inf, -np.inf, np.inf
    for target in RUNNING:
        got = driver.compile_program(program_of(kernel), target)([a, b])[0]
        wanted = a.astype(np.float64) @ b.astype(np.float64)
        np.testing.assert_array_equal(np.isfinite(got), np.isfinite(wanted))
        np.testing.assert_array_equal(got[~np.isfinite(wanted)], wanted[~np.isfinite(wanted)].astype(np.float32))


def test_cache_keys_tell_the_targets_apart():
    assert repr(replace(AVX512_BF16, bf16=False)) != repr(AVX512_BF16) != repr(AVX512)


@pytest.mark.parametrize("target", RUNNING, ids=lambda t: t.name)
@pytest.mark.parametrize("m, n, k", [(64, 130, 100), (61, 200, 77), (700, 64, 31)])
def test_panels_narrower_than_a_register_are_turned(m, n, k, target, rng):
    """Rows of A are converted once, into panels of as many as a tile has."""
    kernel = product(m, n, k, "b")
    plan = plan_of(kernel, replace(target, bf16=False))
    assert plan.a.pack and plan.a.access.stride(plan.fold[-1].name) == 1
    executable = driver.compile_program(program_of(kernel), replace(target, bf16=False)).executable
    for _ in range(3):
        arrays = arrays_of(kernel, rng)
        agrees(kernel, arrays, executable(arrays)[0])
    text = emit_program(program_of(kernel), replace(target, bf16=False)).text
    packing = [f for f in text.split("define internal ") if "%panel = " in f]
    assert packing and ("shufflevector" in packing[0]) == (2 * plan.rows >= plan.lanes)
