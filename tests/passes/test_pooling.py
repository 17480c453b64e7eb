"""A ReLU behind its pool: fewer elements, the same values and gradients."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import driver, nn
from leptonc.ir.evaluate import evaluate
from leptonc.passes.canonicalize import Canonicalize
from leptonc.passes.cse import Cse
from leptonc.passes.dce import Dce
from leptonc.passes.pooling import SinkRelu
from tests.passes.check import ops


def graphs(f, x):
    before = Dce()(Cse()(Canonicalize()(leptonc.make_graph(f)(x))))
    return before, SinkRelu()(before)


def model(**pool):
    def f(x, w):
        y = nn.max_pool(nn.relu(x), **pool)
        return (y * w[:y.shape[1], :y.shape[2]]).sum()

    return f


@pytest.mark.parametrize("pool", [
    {"window": 2}, {"window": 3, "stride": 2}, {"window": 3, "stride": 1, "padding": 1},
    {"window": (2, 3), "stride": (1, 2), "padding": "SAME"},
])
def test_values_and_gradients_are_the_same(rng, pool):
    # few distinct numbers: ties in most windows, zeros of both signs, NaN
    x = rng.choice([-1.0, -0.5, -0.0, 0.0, 0.5, 0.5, 2.0, np.nan], (2, 9, 8, 3), p=[0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.08, 0.02])
    w = rng.standard_normal((9, 8, 3))
    graph = leptonc.make_graph(leptonc.value_and_grad(model(**pool)))(x, w)
    before = Dce()(Cse()(Canonicalize()(graph)))
    after = SinkRelu()(before)
    relu = next(node for node in after.nodes if node.op == "relu")
    assert after.producer[relu.operands[0]].op == "max_pool"
    for a, b in zip(evaluate(before, [x, w]), evaluate(after, [x, w]), strict=True):
        np.testing.assert_array_equal(a, b)
    compiled = driver.compile_program(driver.lower(driver.optimize(graph)))
    for a, b in zip(compiled([x, w]), evaluate(before, [x, w]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("f", [
    lambda x: nn.max_pool(nn.relu(x), 2).sum() + nn.relu(x).sum(),  # the image of the relu is needed itself
    lambda x: nn.max_pool(nn.relu(x), 2).sum() + nn.max_pool(nn.relu(x), 4).sum(),  # two pools
    lambda x: nn.relu(nn.max_pool(x, 2)).sum(),
    lambda x: nn.max_pool(nn.relu(x.astype("i32")), 2).sum(),
])
def test_other_graphs_stay(f):
    before, after = graphs(f, np.ones((1, 8, 8, 2)))
    assert ops(before) == ops(after)
