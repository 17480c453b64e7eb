"""The transformation itself; the ops' own rules are swept in tests/ops."""

from __future__ import annotations

import numpy as np
import pytest

from leptonc.errors import LeptonError
from leptonc.ir.evaluate import evaluate
from leptonc.ir.verify import verify
from leptonc.passes.graph.autodiff import differentiate
from tests.passes.check import emit, graph_of


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
