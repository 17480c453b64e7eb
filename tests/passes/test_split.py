"""Long reductions in parts: how many, and that they give what one sum gives."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest

import leptonc
from leptonc import driver
from leptonc import numpy as lnp
from leptonc.ir.kernel import Program, Reduce
from tests.compare import both


def lowered(f, *args) -> Program:
    return driver.lower(driver.optimize(leptonc.make_graph(f)(*args)))


def longest_fold(program: Program) -> int:
    return max(prod(a.extent for a in s.reduce_axes) for c in program.calls for s in c.kernel.stages
               if any(isinstance(i, Reduce) for i in s.insts))


@pytest.mark.parametrize("rows, depth, columns, parts", [
    (1, 1600, 128, 8),  # one example: the weights' rows are shared out
    (2, 4096, 100, 8),
    (1, 1000, 128, 1),  # short
    (1, 1607, 128, 1),  # no parts of equal length
    (1, 50_000, 8, 16),  # no part longer than other sums
    (64, 1600, 128, 1),  # rows enough for a register tile
])
def test_a_dense_layer_of_one_example_is_cut_along_its_weights(rows, depth, columns, parts, rng):
    x, w = rng.standard_normal((rows, depth)).astype(np.float32), rng.standard_normal((depth, columns)).astype(np.float32)
    program = lowered(lambda x, w: x @ w + 1, x, w)
    assert longest_fold(program) == depth // parts
    both(lambda x, w: x @ w + 1, x, w, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape, axis", [((50_000,), 0), ((3, 9001), 1), ((70, 80, 90), (0, 2)), ((4100, 3), 0)])
def test_long_sums_are_cut(shape, axis, rng):
    x = rng.standard_normal(shape).astype(np.float32)
    assert longest_fold(lowered(lambda x: x.sum(axis=axis), x)) <= 4096
    both(lambda x: (x.sum(axis=axis), lnp.max(x, axis=axis)), x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
@pytest.mark.parametrize("extreme, sign", [(lnp.max, -1), (lnp.min, 1)])
def test_what_lies_beyond_the_last_part_is_no_extreme(extreme, sign, dtype, rng):
    """10,007 is prime: the last part is short, and what it lacks must not be the greatest of numbers that are all below 0."""
    x = (sign * rng.integers(3, 100, (10_007,))).astype(dtype)
    assert longest_fold(lowered(extreme, x)) <= 4096
    assert leptonc.jit(extreme)(x) == 3 * sign


@pytest.mark.parametrize("reduction", [lnp.prod, lnp.all])
def test_what_lies_beyond_the_last_part_is_no_factor(reduction):
    x = np.ones(10_007, np.float32)
    assert longest_fold(lowered(reduction, x)) <= 4096
    assert leptonc.jit(reduction)(x) == 1
