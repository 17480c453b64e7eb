"""Counts of successes: the least count at which the distribution function reaches a uniform number, found by halving."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import array, floats
from leptonc.arguments import shape as shape_of
from leptonc.errors import ShapeError, op_error
from leptonc.public import publish
from leptonc.random.draws import parameter, shape_or, stopped, stored, uniform
from leptonc.random.keys import pieces
from leptonc.scipy.incomplete import betainc
from leptonc.whiles import while_loop

State = tuple[Any, Any, Any, Any, Any]


def binomial(key: Any, n: Any, p: Any, shape: Sequence[int] | None = None, dtype: Any = np.float32) -> Any:
    """The number of successes in ``n`` trials of probability ``p``, as floats; NaN for n < 0 or p out of [0, 1]. Not JAX's bits;
    no derivatives."""
    kind, extents = floats("binomial", "dtype", dtype), shape_or("binomial", shape, n, p)
    trials, chance = (parameter("binomial", what, v, extents, np.dtype(np.float64)) for what, v in (("n", n), ("p", p)))
    given = (lnp.broadcast_to(stopped(v), extents) for v in (trials, chance))
    return stored(lnp.astype(_drawn(key, *given), kind))


def _drawn(key: Any, trials: Any, chance: Any) -> Any:
    proper = (trials >= 0) & (chance >= 0) & (chance <= 1)
    n, p = lnp.where(proper, lnp.floor(trials), 0.0), lnp.where(proper, chance, 0.5)
    u = uniform(key, n.shape, np.float64)
    high = while_loop(_is_open, _halved, (lnp.full_like(n, -1.0), n, n, p, u))[1]
    found = lnp.where(p == 0, 0.0, lnp.where(p == 1, n, high))
    return lnp.where(proper, found, np.nan)


def _is_open(state: State) -> Any:
    low, high = state[:2]
    return lnp.any(high - low > 1)


def _halved(state: State) -> State:
    """Bounds of the count: at ``low`` the distribution function is below u, at ``high`` it is not."""
    low, high, n, p, u = state
    middle = lnp.floor((low + high) / 2)
    inside = (middle > low) & (middle < n)
    k = lnp.where(inside, middle, 0.0)
    reached = betainc(lnp.where(inside, n - k, 1.0), k + 1, 1 - p) >= u  # P(X <= k)
    return lnp.where(inside & ~reached, middle, low), lnp.where(inside & reached, middle, high), n, p, u


def multinomial(key: Any, n: Any, p: Any, *, shape: Sequence[int] | None = None, dtype: Any = np.float32, unroll: Any = 1) -> Any:
    """[*shape, k]: how many of ``n`` trials end in each of k ways of probabilities ``p`` [..., k], as floats: a binomial draw of
    what is left for each way. ``shape`` includes the last axis. Not JAX's bits; no derivatives."""
    name = "multinomial"
    kind, shares = floats(name, "dtype", dtype), array(name, "p", p)
    if not shares.shape or not shares.shape[-1]:
        raise op_error(name, "p needs an axis of ways", {"p": shares}, kind=ShapeError)
    ways = shares.shape[-1]
    counts = lnp.astype(array(name, "n", n), np.float64)
    try:
        together = np.broadcast_shapes(tuple(counts.shape), tuple(shares.shape[:-1]))
    except ValueError:
        raise op_error(name, "n does not broadcast with p without its last axis", {"n": counts, "p": shares}) from None
    extents = (*together, ways) if shape is None else shape_of(name, shape)
    if extents[-1:] != (ways,):
        raise op_error(name, f"shape must end with {ways}", {"p": shares}, kind=ShapeError)
    front = extents[:-1]
    chances = lnp.broadcast_to(stopped(lnp.astype(shares, np.float64)), (*front, ways))
    left, rest = lnp.broadcast_to(stopped(counts), front), lnp.sum(chances, -1)
    found = []
    for way, each in enumerate(pieces(key, ways)):
        share = chances[..., way]
        last = way == ways - 1
        chance = lnp.clip(lnp.where(rest > 0, share / lnp.where(rest > 0, rest, 1.0), 0.0), 0.0, 1.0)
        drawn = left if last else _drawn(each, left, chance)
        found.append(drawn)
        left, rest = left - drawn, rest - share
    return stored(lnp.astype(lnp.stack(found, -1), kind))


__all__ = ["binomial", "multinomial"]

publish(globals(), __all__)
