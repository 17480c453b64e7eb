"""Neighbouring results of a short reduction, made together: the same bits as one by one, with fewer loads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import leptonc
from leptonc import nn
from leptonc import numpy as lnp
from leptonc.codegen.loops import neighbours
from leptonc.ir.interpret import run_program
from tests.compare import exact, lowered


def depthwise(**options: Any) -> Any:
    def f(x: Any, w: Any) -> Any:
        return nn.relu(nn.conv(x, w, **{"padding": "SAME", "groups": x.shape[-1], **options}))

    return f


def operands(rng: np.random.Generator, shape: tuple[int, ...], taps: tuple[int, int] = (3, 3)) -> list[np.ndarray]:
    return [rng.standard_normal(s).astype(np.float32) for s in (shape, (*taps, 1, shape[-1]))]


def schedule(f: Any, *args: Any) -> str:
    return str(lowered(f, *args).compile().as_text(stage="llvm")).split("\ndefine")[0]


@pytest.mark.parametrize("columns", [2, 3, 4, 5, 7, 8, 11])
@pytest.mark.parametrize("options, taps", [({}, (3, 3)), ({"stride": 2}, (3, 3)), ({}, (1, 5)), ({"dilation": 2}, (3, 3))])
def test_columns_of_a_depthwise_convolution(columns, options, taps, rng, monkeypatch):
    """Channels that fill a vector and some that do not, columns that go into fours and those that do not."""
    x, w = operands(rng, (3, 9, columns * options.get("stride", 1), 37), taps)
    f = depthwise(**options)
    together = np.asarray(leptonc.jit(f)(x, w))
    np.testing.assert_allclose(together, exact(f, x, w), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(run_program(lowered(f, x, w).program, [x, w])[0], together, rtol=1e-5, atol=1e-5)
    monkeypatch.setattr(neighbours, "TOGETHER", 1)
    assert np.array_equal(np.asarray(lowered(f, x, w).compile()(x, w)), together)


def test_which_loops_take_points_together(rng):
    f, (x, w) = depthwise(), operands(rng, (4, 12, 12, 32))
    assert "by 4" in schedule(f, x, w)
    assert "by 3" in schedule(f, *operands(rng, (4, 12, 3, 32)))
    assert " by " not in schedule(f, *operands(rng, (4, 12, 1, 32)))  # no neighbours
    assert " by " not in schedule(lambda x: nn.max_pool(x, 2), x)  # windows that share nothing
    assert " by " not in schedule(lambda x: lnp.sum(x.reshape(4, 12, 12, 8, 4), -1), x)


def test_gradients(rng):
    x, w = operands(rng, (2, 10, 13, 21))

    def f(x: Any, w: Any) -> Any:
        return leptonc.grad(lambda x, w: (depthwise()(x, w) ** 2).sum(), (0, 1))(x, w)

    for got, wanted in zip(leptonc.jit(f)(x, w), exact(f, x, w), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


def test_numbers_that_are_none_stay_where_they_are(rng):
    x, w = operands(rng, (2, 10, 13, 21))
    x[1, 4, 5, 3], x[0, 0, 0, 2] = np.nan, np.inf
    got = np.asarray(leptonc.jit(depthwise())(x, w))
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(got, exact(depthwise(), x, w), rtol=1e-5, atol=1e-5)
