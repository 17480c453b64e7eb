"""MAML (Finn et al. 2017): parameters from which a few gradient steps on ten points are enough for a sine wave never seen.

``python examples/maml_sines.py`` trains for some seconds on two cores and prints what it reached: an error of 0.5 after one
step and of 0.2 after ten, where parameters that were drawn at random have 6 after ten.

The loss of a task is that after its own gradient steps, so the gradient goes through gradients; ``vmap`` takes a batch of tasks.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import leptonc
from leptonc import lax, nn, optim, random
from leptonc import numpy as lnp

TASKS, POINTS, RATE = 25, 10, 0.01


class Task(NamedTuple):
    """Points of a wave to learn from, and others of it to be judged by, each f32[points, 1]."""

    x: Any
    y: Any
    x_test: Any
    y_test: Any


def tasks(key: Any, count: int) -> Task:
    """Waves of amplitudes 0.1 to 5 and any phase, at places from -5 to 5."""
    keys = random.split(key, 3)
    amplitude = random.uniform(keys[0], (count, 1, 1), minval=0.1, maxval=5.0)
    phase = random.uniform(keys[1], (count, 1, 1), maxval=np.pi)
    x = random.uniform(keys[2], (count, 2 * POINTS, 1), minval=-5.0, maxval=5.0)
    y = amplitude * lnp.sin(x + phase)
    return Task(x[:, :POINTS], y[:, :POINTS], x[:, POINTS:], y[:, POINTS:])


def error(model: nn.MLP, x: Any, y: Any) -> Any:
    return nn.mean_squared_error(model(x), y)


def adapted(model: nn.MLP, task: Task, steps: int) -> nn.MLP:
    """After some gradient steps on a task."""
    def step(model: nn.MLP, _: Any) -> Any:
        grads = leptonc.grad(error)(model, task.x, task.y)
        return leptonc.tree.map(lambda p, g: p - RATE * g, model, grads), ()

    return lax.scan(step, model, None, steps)[0]


def error_after(model: nn.MLP, task: Task, steps: int) -> Any:
    return error(adapted(model, task, steps), task.x_test, task.y_test)


def loss(model: nn.MLP, batch: Task) -> Any:
    """After one step, the mean over tasks."""
    return lnp.mean(leptonc.vmap(lambda task: error_after(model, task, 1))(batch))


def train(model: nn.MLP, steps: int, chunk: int = 500, seed: int = 0) -> tuple[nn.MLP, list[float]]:
    """The trained model, and the mean loss of each ``chunk`` of steps, which is one call; tasks are drawn in it."""
    optimizer = optim.adam(1e-3)

    def step(carry: Any, key: Any) -> Any:
        model, state = carry
        value, grads = leptonc.value_and_grad(loss)(model, tasks(key, TASKS))
        updates, state = optimizer.update(grads, state, model)
        return (optim.apply_updates(model, updates), state), value

    losses, carry = [], (model, optimizer.init(model))
    for key in random.split(random.key(seed), steps // chunk):
        carry, values = lax.scan(step, carry, random.split(key, chunk))
        losses.append(float(np.mean(values)))
        print(f"error {losses[-1]:.3f} after one step", flush=True)
    return carry[0], losses


def errors_by_steps(model: nn.MLP, steps: int, count: int = 200, seed: int = 1) -> list[float]:
    """The mean error on new tasks after 0, 1, ... steps."""
    batch = tasks(random.key(seed), count)
    after = leptonc.jit(lambda model, batch, n: lnp.mean(leptonc.vmap(lambda task: error_after(model, task, n))(batch)),
                        static_argnums=2)
    return [float(after(model, batch, n)) for n in range(steps + 1)]


def main() -> None:
    fresh = nn.MLP(1, [40, 40], 1).init(random.key(0))
    model, _ = train(fresh, 10_000)
    for name, errors in (("trained", errors_by_steps(model, 10)), ("fresh", errors_by_steps(fresh, 10))):
        print(f"{name}: error {errors[0]:.2f} before any step, {errors[1]:.2f} after one, {errors[10]:.2f} after ten")


if __name__ == "__main__":
    main()
