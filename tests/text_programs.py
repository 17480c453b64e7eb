"""Small programs whose texts are changed: their graphs, and the program after every pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import leptonc
import leptonc.numpy as lnp
from leptonc import driver, lax, nn
from leptonc.driver import Options
from leptonc.ir.graph import Graph


def _r(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype("f")


def _dense_step(w: Any, b: Any, x: Any, y: Any) -> Any:
    def loss(w: Any, b: Any) -> Any:
        return nn.cross_entropy(nn.relu(x @ w + b), y)

    g = leptonc.grad(loss, argnums=(0, 1))(w, b)
    return w - 0.1 * g[0], b - 0.1 * g[1]


def _conv_step(w: Any, x: Any) -> Any:
    return leptonc.grad(lambda w: lnp.sum(nn.max_pool(nn.relu(nn.conv(x, w, padding=1)), 2) ** 2))(w)


def _lookups(x: Any, i: Any, v: Any) -> Any:
    return x[i] * 2, lnp.sort(v), lnp.argmax(x, 1), lax.dynamic_slice(x, (i[0], i[1]), (2, 2))


def _recurrence(c: Any, x: Any, w: Any) -> Any:
    def step(c: Any, x: Any) -> Any:
        return lax.cond(x[0] > 0, lambda c: lnp.tanh(c @ w + x), lambda c: c * 2, c), c * x

    return lax.scan(step, c, x, reverse=True)


def _goes_on(c: Any, w: Any) -> Any:
    return lax.while_loop(lambda s: s[1] < 4, lambda s: (s[0] @ w, s[1] + 1), (c, 0))


CASES: tuple[tuple[Callable[..., Any], tuple[Any, ...], dict[int, int]], ...] = (
    (_dense_step, (_r(6, 4), _r(4), _r(5, 6), np.array([0, 1, 3, 2, 1])), {0: 0, 1: 1}),
    (_conv_step, (_r(3, 3, 2, 4), _r(2, 6, 6, 2)), {}),
    (lambda x, w: leptonc.grad(lambda x: lnp.sum(nn.conv(x, w, stride=2) ** 2))(x), (_r(1, 7, 7, 2), _r(3, 3, 2, 3)), {}),
    (lambda x: lnp.pad(x[:3], (2, 1)), (_r(7),), {}),
    (lambda x: (nn.softmax(x), lnp.cumsum(x, 0)), (_r(3, 5),), {}),
    (lambda x, i: leptonc.grad(lambda x: lnp.sum(x[i] ** 2))(x), (_r(5, 3), np.array([0, -1, 4])), {}),
    (lambda x, i, v: (x[i] * v, lnp.argmax(x, 1)), (_r(4, 3), np.array([3, 0]), _r(2, 3)), {}),
    (lambda x: (x // 3, x % 4, x > 2, lnp.sum(x, 0)), (np.arange(12, dtype=np.int32).reshape(3, 4),), {}),
    (lambda x: lnp.sum(x * x), (_r(5000),), {}),
    (lambda x, y: (lnp.maximum(x, y), lnp.where(x > y, x, -y), lnp.concatenate([x, y])), (_r(8), _r(8)), {1: 0}),
    (_recurrence, (_r(3), _r(5, 3), _r(3, 3)), {0: 0}),
    (leptonc.grad(lambda c, x, w: lnp.sum(_recurrence(c, x, w)[0]), (0, 2)), (_r(3), _r(5, 3), _r(3, 3)), {}),
    (_goes_on, (_r(3), _r(3, 3)), {}),
)


def programs() -> Iterator[list[str]]:
    """All texts of each case."""
    for fn, args, donated in CASES:
        graph: Graph = leptonc.make_graph(fn)(*args)
        texts = [str(graph)]

        def observe(step: Any, before: Any, after: Any, seconds: float, texts: list[str] = texts) -> None:
            texts.append(str(after))

        options = Options(observe=observe)
        optimized = driver.optimize(graph, options)
        driver.lower(optimized, donated, options)
        yield texts
