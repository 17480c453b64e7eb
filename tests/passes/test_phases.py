"""Strided input gradients in phases: no product with a gap, and the same numbers."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest

import leptonc
from leptonc import driver, nn
from leptonc.ir.interpret import run_program
from leptonc.ir.kernel import Load, Program, Reduce
from leptonc.ir.structure import product_sum
from leptonc.passes.loops.phases import SplitPhases
from tests.compare import both

CASES = [  # image, kernel, channels, units, stride, padding, dilation
    ((12, 15), (3, 3), 5, 8, (2, 2), ((1, 1), (1, 1)), (1, 1)),
    ((12, 15), (1, 1), 5, 8, (2, 3), ((0, 0), (0, 0)), (1, 1)),  # most positions are reached by no product
    ((13, 11), (4, 2), 4, 6, (3, 2), ((2, 1), (0, 3)), (1, 1)),
    ((17, 18), (3, 3), 4, 6, (4, 2), ((0, 0), (2, 2)), (2, 3)),  # stride and dilation have a divisor in common, or none
    ((9, 10), (5, 3), 3, 7, (2, 1), ((2, 2), (1, 1)), (1, 1)),
    ((2, 9), (2, 2), 3, 7, (5, 2), ((0, 0), (0, 0)), (1, 1)),  # fewer rows than phases
]


def backward(stride, padding, dilation):
    def loss(x, w):
        y = nn.conv(nn.relu(x), w, stride=stride, padding=padding, dilation=dilation)
        return (y * y).sum()

    return leptonc.grad(loss)


def operands(rng, image, kernel, channels, units):
    return (rng.standard_normal((2, *image, channels)).astype(np.float32),
            rng.standard_normal((*kernel, channels, units)).astype(np.float32))


def lowered(f, args, *disable) -> Program:
    graph = leptonc.make_graph(f)(*args)
    return driver.lower(driver.optimize(graph), options=driver.Options(disable=frozenset(disable)))


def products(program: Program) -> int:
    """Multiply-adds of all contractions."""
    return sum(prod(a.extent for a in s.axes) for c in program.calls for s in c.kernel.stages
               if product_sum(s.insts) is not None)


@pytest.mark.parametrize("image, kernel, channels, units, stride, padding, dilation", CASES)
def test_the_same_numbers_with_fewer_products(image, kernel, channels, units, stride, padding, dilation, rng):
    f, args = backward(stride, padding, dilation), operands(rng, image, kernel, channels, units)
    program, whole = lowered(f, args), lowered(f, args, "split-phases")
    assert products(program) < products(whole)
    (parts,) = [c.kernel for c in program.calls if len(c.kernel.stages) > 1]
    assert not any(i.div != 1 for s in parts.stages for inst in s.insts if isinstance(inst, Load) for i in inst.index)
    wanted = run_program(whole, list(args))[0]
    np.testing.assert_allclose(run_program(program, list(args))[0], wanted, atol=1e-5 * np.abs(wanted).max())
    both(f, *args, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("image, kernel, stride, padding", [
    ((12, 8), (4, 4), (2, 2), ((1, 1), (1, 1))), ((12, 8), (4, 2), (2, 2), ((2, 0), (0, 0))),
    ((9, 8), (3, 4), (1, 2), ((1, 1), (1, 1))), ((8, 12), (4, 3), (2, 3), ((1, 1), (0, 0))),
])
def test_parts_that_are_alike_are_one_stage(image, kernel, stride, padding, rng):
    """With one operand in a halo for all of them."""
    f, args = backward(stride, padding, (1, 1)), operands(rng, image, kernel, 4, 8)
    program = lowered(f, args)
    assert all(len(c.kernel.stages) == 1 for c in program.calls) and products(program) < products(lowered(f, args, "split-phases"))
    assert [c.kernel.name for c in program.calls].count("halo") <= 1
    both(f, *args, rtol=1e-4, atol=1e-5)


def test_what_follows_is_computed_where_the_sums_are(rng):
    """The ReLU's mask is part of every phase, that of positions without products too."""
    f, args = backward((2, 2), ((0, 0), (0, 0)), (1, 1)), operands(rng, (12, 14), (1, 1), 4, 8)
    (parts,) = [c.kernel for c in lowered(f, args).calls if len(c.kernel.stages) > 1]
    assert len(parts.stages) == 4 and sum(any(isinstance(i, Reduce) for i in s.insts) for s in parts.stages) == 1
    assert all(any(i.op == "select" for i in s.insts if hasattr(i, "op")) for s in parts.stages)


def test_unit_stride_is_left_alone(rng):
    f, args = backward((1, 1), ((1, 1), (1, 1)), (1, 1)), operands(rng, (8, 8), (3, 3), 4, 8)
    program = lowered(f, args)
    assert SplitPhases()(program) == program


def test_too_many_parts_stay_one(rng):
    f, args = backward((9, 9), ((0, 0), (0, 0)), (1, 1)), operands(rng, (30, 30), (9, 9), 2, 3)
    assert all(len(c.kernel.stages) == 1 for c in lowered(f, args).calls)
    both(f, *args, rtol=1e-4, atol=1e-5)
