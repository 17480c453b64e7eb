"""Small networks that several tests share."""

from __future__ import annotations

from typing import Any

import numpy as np

import leptonc
from leptonc import nn, optim

optimizer = optim.adam(1e-3)


def init(seed: int = 0, size: int = 12, channels: int = 3, classes: int = 3) -> dict[str, Any]:
    """The reference model for small images."""
    rng = np.random.default_rng(seed)
    left = ((size - 2) // 2 - 2) // 2
    shapes = {"conv1": (3, 3, channels, 4), "conv2": (3, 3, 4, 8), "dense1": (left * left * 8, 16), "dense2": (16, classes)}
    glorot = nn.initializers.glorot_uniform()
    return {name: {"kernel": glorot(rng, shape), "bias": np.zeros(shape[-1], np.float32)} for name, shape in shapes.items()}


def logits(params: Any, x: Any) -> Any:
    for name in ("conv1", "conv2"):
        x = nn.max_pool(nn.relu(nn.conv(x, params[name]["kernel"]) + params[name]["bias"]), 2)
    x = x.reshape((x.shape[0], -1))
    x = nn.relu(x @ params["dense1"]["kernel"] + params["dense1"]["bias"])
    return x @ params["dense2"]["kernel"] + params["dense2"]["bias"]


def loss(params: Any, x: Any, y: Any) -> Any:
    return nn.cross_entropy(logits(params, x), y)


def step(params: Any, state: Any, x: Any, y: Any) -> Any:
    value, grads = leptonc.value_and_grad(loss)(params, x, y)
    updates, state = optimizer.update(grads, state, params)
    return optim.apply_updates(params, updates), state, value


def batch(seed: int = 1, size: int = 12, count: int = 4, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random((count, size, size, 3), np.float32), np.eye(classes, dtype=np.float32)[rng.integers(0, classes, count)]


def arguments() -> tuple[Any, ...]:
    params = init()
    return (params, optimizer.init(params), *batch())
