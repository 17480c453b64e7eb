"""Gradients behind a pool, routed: when they are, and that they are the same."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import driver, nn
from leptonc.ir.evaluate import evaluate
from leptonc.passes.graph.route import RouteGradients
from tests.compare import both
from tests.passes.check import ops

ROUTED = {"conv_weight_grad_routed", "conv_input_grad_routed"}


def step(window=2, stride=None, groups=1, padding="VALID", pool_padding="VALID", relu=True):
    def loss(w, x):
        y = nn.conv(x, w, padding=padding, groups=groups)
        y = nn.relu(y) if relu else y
        return (nn.max_pool(y, window=window, stride=stride, padding=pool_padding) ** 2).sum()

    return leptonc.grad(loss, argnums=(0, 1))


def operands(rng, c=6, o=12, groups=1, extent=14):
    """Small multiples of powers of two, whose sums are exact: rounding may not decide which cell of a window wins. (And so few
    channels that no Winograd convolution is made of them, where it would.)"""
    return (rng.integers(-8, 9, (3, 3, c // groups, o)).astype(np.float32) / 16,
            rng.integers(-16, 17, (3, extent, extent + 3, c)).astype(np.float32) / 8)


def optimized(f, *args):
    return driver.optimize(leptonc.make_graph(f)(*args))


@pytest.mark.parametrize("options", [{}, {"relu": False}, {"padding": "SAME"}, {"padding": ((2, 1), (0, 3))}, {"window": (2, 3)},
                                     {"window": 2, "stride": 3}])
def test_routed_and_equal(options, rng):
    f, args = step(**options), operands(rng)
    graph = optimized(f, *args)
    assert set(ops(graph)) >= ROUTED
    assert not {"unpool", "conv_weight_grad", "conv_input_grad"} & set(ops(graph))
    dense = driver.optimize(leptonc.make_graph(f)(*args), driver.Options(disable=frozenset({"route-gradients"})))
    assert not ROUTED & set(ops(dense))
    for a, b in zip(evaluate(graph, list(args)), evaluate(dense, list(args)), strict=True):
        np.testing.assert_array_equal(a, b)  # the eager meaning is the dense one, and these sums are exact
    both(f, *args, rtol=2e-4, atol=1e-4)


@pytest.mark.parametrize("options, shape", [
    ({"window": 3, "stride": 2}, {}),  # windows overlap
    ({"pool_padding": "SAME"}, {"extent": 13}),  # windows reach into padding
    ({"groups": 2}, {}),
    ({}, {"c": 1}),  # rows too short to pay
])
def test_dense_where_routing_does_not_fit(options, shape, rng):
    f, args = step(**options), operands(rng, groups=options.get("groups", 1), **shape)
    assert not ROUTED & set(ops(optimized(f, *args)))
    both(f, *args, rtol=2e-4, atol=1e-4)


def test_weight_gradients_over_one_channel_are_looked_up_and_so_pay(rng):
    """A network's first layer: lists of single elements would not."""
    w, x = operands(rng, c=1, o=16)
    f = leptonc.grad(lambda w, x: (nn.max_pool(nn.relu(nn.conv(x, w)), window=2) ** 2).sum())
    assert set(ops(optimized(f, w, x))) & ROUTED == {"conv_weight_grad_routed"}
    both(f, w, x, rtol=2e-4, atol=1e-4)


def test_dense_where_the_unpooled_gradient_is_wanted(rng):
    """Something else reads the image that routing would leave out."""
    w, x = operands(rng)

    def f(w, x):
        y = nn.conv(x, w)
        pooled, back = leptonc.vjp(lambda y: nn.max_pool(y, window=2), y)
        (image,) = back(pooled)
        _, back = leptonc.vjp(lambda w: nn.conv(x, w), w)
        return image * 2.0, back(image)[0]

    graph = optimized(f, w, x)
    assert "unpool" in ops(graph) and not ROUTED & set(ops(graph))
    both(f, w, x, rtol=2e-4, atol=1e-4)


def test_bias_gradients_are_sums_of_pooled_cotangents(rng):
    w, x = operands(rng)

    def loss(b):
        return (nn.max_pool(nn.relu(nn.conv(x, w) + b), window=2) ** 2).sum()

    b = np.zeros(12, np.float32)
    both(leptonc.grad(loss), b, rtol=2e-4, atol=1e-4)

    def all_of(b, w):
        return (nn.max_pool(nn.relu(nn.conv(x, w) + b), window=2) ** 2).sum()

    graph = optimized(leptonc.grad(all_of, argnums=(0, 1)), b, w)
    assert "unpool" not in ops(graph) and "conv_weight_grad_routed" in ops(graph)


def test_nothing_to_route_is_the_same_graph(rng):
    graph = leptonc.make_graph(lambda x: x * 2.0)(np.ones(3, np.float32))
    assert RouteGradients()(graph) is graph
