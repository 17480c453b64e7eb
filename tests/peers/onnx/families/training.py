"""Optimizers: one step for each tensor of parameters."""

from __future__ import annotations

from typing import Any

import leptonc.numpy as lnp
from tests.peers.onnx.registry import Node, op

DOMAIN = "ai.onnx.preview.training"


def _groups(xs: tuple[Any, ...], kinds: int) -> list[tuple[Any, ...]]:
    count = len(xs) // kinds
    return list(zip(*(xs[k * count:(k + 1) * count] for k in range(kinds))))


def _flat(results: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    return tuple(v for column in zip(*results) for v in column)


@op("Adagrad", domain=DOMAIN)
def adagrad(node: Node, rate: Any, t: Any, *xs: Any) -> Any:
    rate = rate / (1 + t * node.get("decay_factor", 0.0))
    out = []
    for x, g, h in _groups(xs, 3):
        g = g + node.get("norm_coefficient", 0.0) * x
        h = h + g * g
        out.append((x - rate * g / (lnp.sqrt(h) + node.get("epsilon", 0.0)), h))
    return tuple(lnp.astype(v, xs[0].dtype) for v in _flat(out))


@op("Momentum", domain=DOMAIN)
def momentum(node: Node, rate: Any, t: Any, *xs: Any) -> Any:
    alpha, beta = node.get("alpha"), lnp.where(t > 0, node.get("beta"), 1.0)
    out = []
    for x, g, v in _groups(xs, 3):
        g = g + node.get("norm_coefficient") * x
        v = alpha * v + beta * g
        out.append((x - rate * (v if node.get("mode") == "standard" else g + alpha * v), v))
    return tuple(lnp.astype(v, xs[0].dtype) for v in _flat(out))


@op("Adam", domain=DOMAIN)
def adam(node: Node, rate: Any, t: Any, *xs: Any) -> Any:
    alpha, beta = node.get("alpha", 0.9), node.get("beta", 0.999)
    step = lnp.astype(t, xs[0].dtype)
    scaled = lnp.where(t > 0, rate * lnp.sqrt(1 - beta ** step) / (1 - alpha ** step), rate)
    out = []
    for x, g, v, h in _groups(xs, 4):
        g = g + node.get("norm_coefficient", 0.0) * x
        v, h = alpha * v + (1 - alpha) * g, beta * h + (1 - beta) * g * g
        new = x - scaled * v / (lnp.sqrt(h) + node.get("epsilon", 0.0))
        out.append(((1 - node.get("norm_coefficient_post", 0.0)) * new, v, h))
    return tuple(lnp.astype(v, xs[0].dtype) for v in _flat(out))
