"""Which axis nests are vectorized along: the one whose neighbours lie next to each other in what is touched most."""

from __future__ import annotations

import re

import numpy as np
import pytest

import leptonc
from leptonc import lax
from leptonc import numpy as lnp
from leptonc.codegen.step.build import build_step
from leptonc.target import TARGETS


def vectors(f, *args):
    """The extent of each nest's vector axis."""
    step = build_step(leptonc.jit(f).trace(*args).lower().program, TARGETS["avx512"])
    return [int(n) for unit in step.units for n in re.findall(r"vector \w+:(\d+)", unit.description)]


@pytest.mark.parametrize("f", [
    lambda x: lnp.log(lnp.sum(x, 1)),
    lambda x: lax.rsqrt(lnp.mean(x * x, 1) + 1e-5) * 3,
    lambda x: lnp.exp(lnp.max(x, 1)) / 7,
])
def test_what_is_made_of_a_row_counts_once_for_the_row(rng, f):
    """Functions of a row's sum are scalar: vectors of sums would read a row's length apart at each point."""
    assert vectors(f, rng.random((400, 256), np.float32)) == [256]


def test_short_rows_are_side_by_side(rng):
    assert vectors(lambda x: lnp.exp(lnp.log(lnp.sum(x, 1))) * 2, rng.random((400, 3), np.float32)) == [400]


def test_rows_of_a_table_are_read_as_they_lie(rng):
    """What is the same for a row (its number, a mean, a scale) is computed once, outside of the vector loop."""
    table, bias = rng.random((50, 96), np.float32), rng.random(96, np.float32)
    rows, mean, scale = rng.integers(0, 50, (6, 128)), *rng.random((2, 6, 128), np.float32)

    def f(table, bias, rows, mean, scale):
        return (table[rows] + bias - mean[..., None]) * scale[..., None]

    assert vectors(f, table, bias, rows, mean, scale) == [96]
    found, wanted = (g(table, bias, rows, mean, scale) for g in (leptonc.jit(f), f))
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)
