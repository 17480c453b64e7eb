"""Operands read along one axis and written along another, in squares of registers."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import numpy as lnp


def compiled(f, *arrays):
    """The results of a function, on one thread and on three the same, and the texts of its units."""
    code = leptonc.jit(f).trace(*arrays).lower().compile().executable
    one, three = (code.executable([x.copy() for x in arrays], nthreads=n)[0] for n in (1, 3))
    np.testing.assert_array_equal(one, three)
    return one, code.step_text()


@pytest.mark.parametrize("shape", [(64, 48), (33, 17), (16, 300), (100, 31), (1, 40), (7, 5), (129, 128)])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "i8", "u1", "bool", "f2"])
def test_transposes_of_every_size(rng, shape, dtype):
    x = rng.integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype)
    found, _ = compiled(lnp.transpose, x)
    np.testing.assert_array_equal(found, x.T)


@pytest.mark.parametrize("order", [(0, 2, 1), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_transposes_of_three_axes(rng, order):
    x = rng.standard_normal((18, 35, 52)).astype(np.float32)
    found, _ = compiled(lambda x: lnp.transpose(x, order), x)
    np.testing.assert_array_equal(found, np.transpose(x, order))


def test_a_strided_operand_beside_others(rng):
    """Each value of a square is computed with what lies along the vector axis, along the other, and along neither."""
    x, y, row, column = (rng.standard_normal(s).astype(np.float32) for s in ((70, 90), (90, 70), (90, 1), (70,)))
    found, text = compiled(lambda x, y, row, column: x.T * y + row - column * 3, x, y, row, column)
    np.testing.assert_allclose(found, x.T * y + row - column * 3, rtol=1e-5, atol=1e-6)
    assert "in squares with" in text


def test_only_what_is_strided_is_turned(rng):
    x = rng.standard_normal((70, 90)).astype(np.float32)
    assert "in squares with" in compiled(lnp.transpose, x)[1]
    assert "in squares with" not in compiled(lambda x: x * 2, x)[1]
    assert "in squares with" not in compiled(lambda x: lnp.sum(x, 0), x)[1]
