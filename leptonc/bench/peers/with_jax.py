"""JAX: one jitted function for the whole step, Adam included; NHWC."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.bench.cases import EPSILON, LEARNING_RATE, Case
from leptonc.bench.peers.common import Step

BETAS = (0.9, 0.999)


def jax_step(case: Case) -> Step:
    import jax
    import jax.numpy as jnp

    params: Any = jax.tree.map(jnp.array, case.weights())
    x, y = (jnp.array(array) for array in case.data())
    if not case.training:
        forward = jax.jit(lambda params, x: _logits(case, params, x))
        return lambda: np.asarray(forward(params, x))

    def loss(params: Any, x: Any, y: Any) -> Any:
        scores = jax.nn.log_softmax(_logits(case, params, x))
        return -jnp.take_along_axis(scores, y[:, None], axis=1).mean()

    def train(params: Any, state: Any, x: Any, y: Any) -> Any:
        value, grads = jax.value_and_grad(loss)(params, x, y)
        params, state = adam(params, state, grads, LEARNING_RATE)
        return params, state, value

    compiled = jax.jit(train, donate_argnums=(0, 1))
    state = adam_start(params)

    def step() -> float:
        nonlocal params, state
        params, state, value = compiled(params, state, x, y)
        return float(value)

    return step


def _logits(case: Case, params: Any, x: Any) -> Any:
    import jax
    from jax import lax

    weights = iter(params)
    window = (1, 2, 2, 1)
    for number, layer in enumerate(case.layers):
        if layer.kind == "pool":
            x = lax.reduce_window(x, -np.inf, lax.max, window, window, "VALID")
            continue
        kernel, bias = next(weights)
        if layer.kind == "conv":
            padding = [(layer.padding, layer.padding)] * 2
            x = lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")) + bias
        else:
            x = x.reshape(x.shape[0], -1) @ kernel + bias
        x = jax.nn.relu(x) if number + 1 < len(case.layers) else x
    return x


def adam_start(params: Any) -> Any:
    """Steps so far, and both moments."""
    import jax
    import jax.numpy as jnp

    return jnp.zeros((), jnp.int32), jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params)


def adam(params: Any, state: Any, grads: Any, rate: float, betas: tuple[float, float] = BETAS) -> tuple[Any, Any]:
    """The next parameters and state."""
    import jax
    import jax.numpy as jnp

    first, second = betas
    count, means, squares = state
    count += 1
    means = jax.tree.map(lambda m, g: first * m + (1 - first) * g, means, grads)
    squares = jax.tree.map(lambda v, g: second * v + (1 - second) * g * g, squares, grads)

    def updated(p: Any, m: Any, v: Any) -> Any:
        return p - rate * (m / (1 - first**count)) / (jnp.sqrt(v / (1 - second**count)) + EPSILON)

    return jax.tree.map(updated, params, means, squares), (count, means, squares)
