"""The transformation itself; the ops' own rules are swept in tests/ops."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from leptonc.errors import LeptonError
from leptonc.ir.evaluate import evaluate
from leptonc.ir.verify import verify
from leptonc.passes.graph.autodiff import differentiate
from leptonc.passes.graph.dce import Dce
from tests.passes.check import emit, graph_of, ops


def test_product_rule_and_reuse():
    graph = graph_of(lambda x, y: x * y + emit(x, "sin") * x, "f64[3]", "f64[3]")
    both = differentiate(graph, (0, 1))
    verify(both)
    x, y, g = np.array([0.5, -1, 2]), np.array([3.0, 4, 5]), np.array([1.0, 2, 3])
    value, dx, dy = evaluate(both, [x, y, g])
    np.testing.assert_allclose(value, x * y + np.sin(x) * x)
    np.testing.assert_allclose(dx, g * (y + np.cos(x) * x + np.sin(x)))
    np.testing.assert_allclose(dy, g * x)


def test_several_outputs_and_unused_inputs():
    graph = graph_of(lambda x, y, n: (x * 2, emit(x, "exp"), n), "f64[2]", "f64[2]", "i64[2]")
    found = differentiate(graph, (0, 1, 2))
    x, n = np.array([0.0, 1]), np.array([5, 6])
    out = evaluate(found, [x, x, n, np.ones(2), np.ones(2)])
    np.testing.assert_allclose(out[3], 2 + np.exp(x))
    np.testing.assert_array_equal(out[4], 0)
    np.testing.assert_array_equal(out[5], 0)
    assert out[5].dtype == np.int64


def test_third_derivative():
    graph = graph_of(lambda x: emit(x, "sin") * x * x, "f64[]")
    for _ in range(3):
        inner = differentiate(graph, (0,))
        graph = graph_of(lambda x, inner=inner: x.builder.inline(inner, [x, x.builder.constant(np.float64(1))])[1], "f64[]")
        verify(graph)
    x = 0.7
    wanted = 6 * np.cos(x) - 6 * x * np.sin(x) - x * x * np.cos(x)
    np.testing.assert_allclose(evaluate(graph, [np.float64(x)])[0], wanted)


def test_stop_gradient():
    graph = graph_of(lambda x: emit(x * x, "stop_gradient") * x, "f64[]")
    assert evaluate(differentiate(graph, (0,)), [np.float64(3), np.float64(1)])[1] == 9


def test_wrong_position():
    with pytest.raises(LeptonError, match="2 inputs, none at 5"):
        differentiate(graph_of(lambda x, y: x + y, "f64[]", "f64[]"), (5,))


def sliced(x, start, size):
    return emit(x, "slice", start=start, size=size, step=(1,) * len(size))


@pytest.mark.parametrize("cuts, joined", [((0, 3, 7, 8), True), ((0, 4, 8), True), ((0, 3, 7), False), ((1, 3, 8), False)])
def test_cotangents_of_parts_are_joined(cuts, joined):
    """Those of slices that make up a value are its cotangent side by side; of other slices they are padded and added."""
    def parts(x):
        return tuple(emit(sliced(x, (0, a), (2, b - a)), "sin") for a, b in reversed([*pairwise(cuts)]))

    found = Dce()(differentiate(graph_of(parts, "f64[2,8]"), (0,)))
    found = replace(found, outputs=found.outputs[-1:])
    used = ops(Dce()(found))
    assert ("concatenate" in used, "pad" in used) == (joined, not joined)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 8))
    g = [rng.standard_normal((2, b - a)) for a, b in reversed([*pairwise(cuts)])]
    wanted = np.zeros_like(x)
    for (a, b), part in zip(reversed([*pairwise(cuts)]), g):
        wanted[:, a:b] = part * np.cos(x[:, a:b])
    np.testing.assert_allclose(evaluate(found, [x, *g])[0], wanted)


def test_parts_that_overlap_and_the_whole_are_added():
    def f(x):
        return sliced(x, (0,), (4,)), sliced(x, (2,), (4,)), sliced(x, (0,), (2,)) * 2, sliced(x, (4,), (2,)), x * 3

    found = differentiate(graph_of(f, "f64[6]"), (0,))
    g = [np.arange(1.0, 5), np.arange(5.0, 9), np.arange(2.0), np.arange(2.0, 4), np.arange(6.0)]
    wanted = 3 * g[4]
    wanted[:4] += g[0]
    wanted[2:] += g[1]
    wanted[:2] += 2 * g[2]
    wanted[4:] += g[3]
    np.testing.assert_allclose(evaluate(found, [np.zeros(6), *g])[-1], wanted)
