"""Kernels written by hand: machine code against the reference interpreter, in forms that no pass makes yet as well."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import driver
from leptonc.ir.interpret import run_program
from leptonc.ir.kernel import Axis, Buffer, Call, Kernel, Program
from leptonc.ir.kernelbuilder import KernelBuilder
from leptonc.ir.op import get_op
from leptonc.ir.reader import parse
from leptonc.ir.types import TensorType, f32, i64
from leptonc.ir.verify import verify_program


def program_of(kernel: Kernel) -> Program:
    buffers = tuple(Buffer(p.type, "input" if p.role == "in" else "output") for p in kernel.params)
    numbers = tuple(range(len(buffers)))
    inputs = tuple(n for n in numbers if buffers[n].kind == "input")
    return Program(kernel.name, buffers, (Call(kernel, numbers),), inputs, tuple(n for n in numbers if n not in inputs))


def check(kernel: Kernel, *arrays: np.ndarray) -> list[np.ndarray]:
    program = program_of(kernel)
    verify_program(program)
    assert parse(str(program)) == program
    wanted = run_program(program, arrays)
    for threads in (1, 2, 3):
        got = driver.compile_program(program).executable(list(arrays), nthreads=threads)
        for a, b in zip(got, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    return wanted


@pytest.mark.parametrize("rows, columns", [(5, 7), (64, 100), (301, 33)])
def test_softmax_row_by_row_in_a_local_tile(rng, rows, columns):
    """Three stages per outer row; the exponentials stay in a buffer of one row."""
    k = KernelBuilder("softmax_rows")
    type_ = TensorType((rows, columns), f32)
    x, out = k.input(type_), k.output(type_)
    row = Axis("row", rows)
    k.outer = (row,)
    top, tile, total = k.local(TensorType((), f32)), k.local(TensorType((columns,), f32)), k.local(TensorType((), f32))
    (column,) = k.axes((columns,), reduce=True)
    stage = k.stage([column])
    stage.store(top, [], stage.reduce("max", stage.load(x, [row, column])))
    (column,) = k.axes((columns,))
    stage = k.stage([column])
    stage.store(tile, [column], stage.exp(stage.sub(stage.load(x, [row, column]), stage.load(top))))
    (column,) = k.axes((columns,), reduce=True)
    stage = k.stage([column])
    stage.store(total, [], stage.reduce("sum", stage.load(tile, [column])))
    (column,) = k.axes((columns,))
    stage = k.stage([column])
    stage.store(out, [row, column], stage.div(stage.load(tile, [column]), stage.load(total)))
    data = rng.standard_normal((rows, columns)).astype(np.float32)
    (found,) = check(k.build(), data)
    exponentials = np.exp(data - data.max(1, keepdims=True))
    np.testing.assert_allclose(found, exponentials / exponentials.sum(1, keepdims=True), rtol=1e-5)


def test_scatter_with_collisions(rng):
    """A histogram: stores accumulate where the data say."""
    k = KernelBuilder("histogram")
    index, out = k.input(TensorType((1000,), i64)), k.output(TensorType((8,), f32), init=0)
    (axis,) = k.axes((1000,))
    stage = k.stage([axis])
    stage.store(out, [stage.load(index, [axis])], stage.const(1, f32), accumulate=True, masked=True)
    data = rng.integers(-2, 10, 1000)
    (found,) = check(k.build(), data)
    np.testing.assert_array_equal(found, np.bincount(data[(data >= 0) & (data < 8)], minlength=8))


def test_padded_and_divided_loads(rng):
    """x[(i - 1) / 2] where it is in range and divides, else -1."""
    k = KernelBuilder("spread")
    x, out = k.input(TensorType((3, 20), f32)), k.output(TensorType((9, 20), f32))
    i, j = k.axes((9, 20))
    stage = k.stage([i, j])
    stage.store(out, [i, j], stage.load(x, [(i - 1).exact_div(2), j], pad=-1))
    data = rng.standard_normal((3, 20)).astype(np.float32)
    (found,) = check(k.build(), data)
    wanted = np.full((9, 20), -1, np.float32)
    wanted[1:7:2] = data
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("m, n, k", [(1, 1, 1), (3, 5, 7), (64, 64, 64), (130, 67, 300), (7, 513, 33), (257, 1, 128),
                                     (1, 300, 5000), (33, 47, 9001)])
@pytest.mark.parametrize("transposed", [False, True])
def test_matrix_products_of_every_shape(rng, m, n, k, transposed):
    a = rng.standard_normal((k, m) if transposed else (m, k)).astype(np.float32)
    b = rng.standard_normal((n, k) if transposed else (k, n)).astype(np.float32)
    contract = ((0,), (1,)) if transposed else ((1,), (0,))
    types = [TensorType(x.shape, f32) for x in (a, b)]
    kernel = get_op("dot_general").lower(*types, contract=contract, batch=((), ()))
    program = program_of(kernel)
    got = driver.compile_program(program).executable([a, b])[0]
    left, right = (x.astype(np.float64) for x in ((a.T, b.T) if transposed else (a, b)))
    wanted = left @ right
    np.testing.assert_allclose(got, wanted, atol=2e-6 * k**0.5 * max(1.0, float(np.abs(wanted).max())), rtol=1e-5)


def test_schedules_are_told():
    x = np.zeros((300, 300), np.float32)
    text = leptonc.jit(lambda x: (x @ x).sum(0)).trace(x).lower().compile().as_text("llvm")
    assert "contraction" in text.splitlines()[0] or "pack" in text.splitlines()[0]
