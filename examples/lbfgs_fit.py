"""L-BFGS (Liu and Nocedal 1989) with a backtracking line search, as one compiled program of two nested ``lax.while_loop``.

``python examples/lbfgs_fit.py`` fits a logistic regression to the digits of scikit-learn and finds the minimum of Rosenbrock's
function of 50 variables. It prints what it reached: gradients below 1e-5 after 59 and 276 steps, and 0.966 of the digits it has not
seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import digits_data
import numpy as np

import leptonc
from leptonc import lax, nn
from leptonc import numpy as lnp

MEMORY = 10  # pairs of differences that stand for the curvature
ENOUGH, LEAST = 1e-4, 1e-10  # of the slope's promise that a step keeps (Armijo); the shortest step


class State(NamedTuple):
    """``moves`` and ``changes``: the last differences of x and of the gradient, newest last; ``count`` of all steps."""

    x: Any
    value: Any
    grad: Any
    moves: Any
    changes: Any
    count: Any
    evaluations: Any
    goes_on: Any


def minimize(f: Callable[[Any], Any], x: Any, tolerance: float = 1e-5, most: int = 500) -> State:
    """From x, f[n], to where the gradient is below ``tolerance`` everywhere, in ``most`` steps or fewer."""
    both = leptonc.value_and_grad(f)

    def step(state: State) -> State:
        direction = -_times_inverse(state, state.grad)
        slope = lnp.sum(direction * state.grad)
        length, value, tried = _searched(f, state, direction, slope)
        x = state.x + length * direction
        _, grad = both(x)
        move, change = x - state.x, grad - state.grad
        bends = lnp.sum(move * change) > 1e-8 * lnp.sqrt(lnp.sum(move**2) * lnp.sum(change**2))  # else it would spoil the curvature
        moves, changes = (lnp.where(bends, lnp.concatenate([old[1:], new[None]]), old)
                          for old, new in ((state.moves, move), (state.changes, change)))
        goes_on = lnp.logical_and(lnp.max(lnp.abs(grad)) > tolerance, length > LEAST)
        return State(x, value, grad, moves, changes, state.count + 1, state.evaluations + tried + 1, goes_on)

    value, grad = both(x)
    none = lnp.zeros((MEMORY, x.shape[0]), x.dtype)
    start = State(x, value, grad, none, none, np.int32(0), np.int32(1), lnp.max(lnp.abs(grad)) > tolerance)
    return lax.while_loop(lambda state: lnp.logical_and(state.goes_on, state.count < most), step, start)


def _times_inverse(state: State, vector: Any) -> Any:
    """The inverse of the Hessian, as the pairs have it, times a vector: two loops over them."""
    products = lnp.sum(state.moves * state.changes, 1)
    weights = lnp.where(products > 0, 1 / lnp.where(products > 0, products, 1), 0)  # pairs that are not there yet count for nothing

    def back(q: Any, pair: Any) -> Any:
        move, change, weight = pair
        share = weight * lnp.sum(move * q)
        return q - share * change, share

    def forth(r: Any, pair: Any) -> Any:
        move, change, weight, share = pair
        return r + move * (share - weight * lnp.sum(change * r)), ()

    pairs = (state.moves, state.changes, weights)
    q, shares = lax.scan(back, vector, pairs, reverse=True)
    newest = lnp.sum(state.changes[-1] ** 2)
    scale = lnp.where(newest > 0, products[-1] / lnp.where(newest > 0, newest, 1),
                      lnp.minimum(1, 1 / lnp.sqrt(lnp.sum(vector**2))))
    return lax.scan(forth, q * scale, (*pairs, shares))[0]


def _searched(f: Callable[[Any], Any], state: State, direction: Any, slope: Any) -> tuple[Any, Any, Any]:
    """(length, value there, evaluations): halved from 1 on until the value has fallen by enough of what the slope promises, as far
    as rounding lets it be seen: at the bottom values differ by less (Hager and Zhang 2005)."""
    unseen = 4 * lnp.finfo(state.x.dtype).eps * lnp.abs(state.value)

    def falls_short(at: Any) -> Any:
        length, value, _ = at
        return lnp.logical_and(lnp.logical_not(value <= state.value + ENOUGH * length * slope + unseen), length > LEAST)

    def shorter(at: Any) -> Any:
        length, _, tried = at
        return length / 2, f(state.x + length / 2 * direction), tried + 1

    one = lnp.ones((), state.x.dtype)
    return lax.while_loop(falls_short, shorter, (one, f(state.x + direction), np.int32(1)))


def rosenbrock(x: Any) -> Any:
    """0 at ones, at the end of a narrow bent valley."""
    return lnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def regression(images: Any, labels: Any, decay: float = 1e-3) -> Callable[[Any], Any]:
    """The loss of weights f[65 * 10], of pixels and one number more."""
    pixels = lnp.pad(lnp.reshape(images, (images.shape[0], -1)), ((0, 0), (0, 1)), constant_values=1)
    return lambda w: nn.cross_entropy(pixels @ lnp.reshape(w, (-1, 10)), labels) + decay * lnp.sum(w**2)


def accuracy(w: Any, images: np.ndarray, labels: np.ndarray) -> float:
    pixels = np.pad(images.reshape(len(images), -1), ((0, 0), (0, 1)), constant_values=1)
    return float(np.mean((pixels @ np.asarray(w).reshape(-1, 10)).argmax(1) == labels))


def main() -> None:
    valley = leptonc.jit(lambda x: minimize(rosenbrock, x))(np.full(50, -1.0))
    print(f"Rosenbrock: {float(valley.value):.1e} after {int(valley.count)} steps and {int(valley.evaluations)} evaluations, "
          f"x within {np.abs(np.asarray(valley.x) - 1).max():.1e} of ones")
    fit = leptonc.jit(lambda images, labels, w: minimize(regression(images, labels), w))
    found = fit(*digits_data.load_data("train"), np.zeros(650, np.float32))
    print(f"digits: loss {float(found.value):.4f} after {int(found.count)} steps, gradient below "
          f"{np.abs(np.asarray(found.grad)).max():.1e}; {accuracy(found.x, *digits_data.load_data('validation')):.4f} of the "
          "digits it has not seen")


if __name__ == "__main__":
    main()
