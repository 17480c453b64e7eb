"""Which example teaches the most? The norm of each example's own gradient, by ``vmap`` of ``grad``, finds wrong labels.

``python examples/gradient_norms.py`` gives one digit in twenty a wrong label, trains a small CNN for some epochs on all of them,
and ranks the digits by the norm of their gradients. It prints what it reached: 89 % of the greatest are those with wrong labels.

No loop over examples: the gradients of a batch are one compiled program, whose products have the examples as an axis.
"""

from __future__ import annotations

from typing import Any

import digits_data
import numpy as np

import leptonc
from leptonc import lax, nn, optim, random
from leptonc import numpy as lnp

BATCH, WRONG = 64, 0.05


class Network(nn.Module):
    conv1: nn.Conv
    conv2: nn.Conv
    out: nn.Linear

    def __init__(self, width: int = 16):
        self.conv1, self.conv2 = nn.Conv(1, width, 3), nn.Conv(width, 2 * width, 3)
        self.out = nn.Linear(2 * width, 10)

    def __call__(self, x: Any) -> Any:
        x = nn.max_pool(nn.relu(self.conv1(x)), 2)
        return self.out(nn.global_avg_pool(nn.relu(self.conv2(x))))


def loss(model: Network, x: Any, y: Any) -> Any:
    return nn.cross_entropy(model(x), y)


def squared_norm(model: Network, x: Any, y: Any) -> Any:
    """Of one example's gradient, x [height, width, 1] and y a class."""
    grads = leptonc.grad(loss)(model, x[None], y[None])
    return sum(lnp.sum(g**2) for g in leptonc.tree.leaves(grads))


norms = leptonc.jit(lambda model, x, y: lnp.sqrt(leptonc.vmap(squared_norm, in_axes=(None, 0, 0))(model, x, y)))
"""f32[n] of n examples."""


def mislabelled(y: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels of which a share is wrong, and which."""
    rng = np.random.default_rng(seed)
    wrong = rng.random(len(y)) < WRONG
    return np.where(wrong, (y + rng.integers(1, 10, len(y))) % 10, y).astype(np.int32), wrong


def train(model: Network, x: np.ndarray, y: np.ndarray, epochs: int, seed: int = 0) -> Network:
    optimizer = optim.adam(3e-3)

    def step(carry: Any, batch: Any) -> Any:
        model, state = carry
        grads = leptonc.grad(loss)(model, *batch)
        updates, state = optimizer.update(grads, state, model)
        return (optim.apply_updates(model, updates), state), ()

    rng, carry = np.random.default_rng(seed), (model, optimizer.init(model))
    for _ in range(epochs):
        order = rng.permutation(len(x))[:len(x) // BATCH * BATCH].reshape(-1, BATCH)
        carry, _ = lax.scan(step, carry, (x[order], y[order]))
    return carry[0]


def found_among_first(values: np.ndarray, wrong: np.ndarray) -> float:
    """The share of the wrong ones among as many with the greatest values."""
    return float(wrong[np.argsort(-values)[:wrong.sum()]].mean())


def main() -> None:
    x, true = digits_data.load_data("train")
    y, wrong = mislabelled(true)
    model = train(Network().init(random.key(0)), x, y, 25)
    values = np.asarray(norms(model, x, y))
    print(f"{wrong.sum()} of {len(y)} labels are wrong; the mean norm is {values[wrong].mean():.2f} for those, "
          f"{values[~wrong].mean():.2f} for the others")
    print(f"{found_among_first(values, wrong):.0%} of the {wrong.sum()} greatest are wrong ones")


if __name__ == "__main__":
    main()
