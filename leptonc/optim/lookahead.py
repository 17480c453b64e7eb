"""Two sets of parameters, one of which looks ahead (Zhang et al. 2019)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from leptonc import tree
from leptonc.arguments import flag, scalar
from leptonc.errors import ArgumentError, describe
from leptonc.optim.base import GradientTransformation, counter, step_count, transformation, transformation_argument
from leptonc.optim.wrappers import chosen


class LookaheadParams(NamedTuple):
    """``fast``: those that gradients are taken at; ``slow``: those to use afterwards."""

    fast: Any
    slow: Any

    @classmethod
    def init_synced(cls, params: Any) -> LookaheadParams:
        """Both the same."""
        return cls(params, params)


class LookaheadState(NamedTuple):
    """Of the optimizer of the fast parameters, and steps since both met."""

    fast_state: Any
    steps_since_sync: Any


def lookahead(fast_optimizer: GradientTransformation, sync_period: int, slow_step_size: float,
              reset_state: bool = False) -> GradientTransformation:
    """Every ``sync_period`` steps the slow parameters go ``slow_step_size`` of the way to the fast ones, which go on from there.

    Parameters are a ``LookaheadParams``; gradients are those at ``params.fast``. ``reset_state``: the optimizer's state begins anew
    where both meet.
    """
    inner = transformation_argument("lookahead", "fast_optimizer", fast_optimizer)
    period = step_count("lookahead", "sync_period", sync_period)
    scalar("lookahead", "slow_step_size", slow_step_size)
    flag("lookahead", "reset_state", reset_state)

    def init(params: Any) -> LookaheadState:
        fast = params.fast if isinstance(params, LookaheadParams) else params
        return LookaheadState(inner.init(fast), counter())

    def update(grads: Any, state: LookaheadState, params: Any = None) -> tuple[LookaheadParams, LookaheadState]:
        if not isinstance(params, LookaheadParams):
            raise ArgumentError(f"lookahead: update got the parameters {describe(params)}, wants LookaheadParams; fix: "
                                "LookaheadParams.init_synced(params)")
        updates, fast_state = inner.update(grads, state.fast_state, params.fast)
        meets = state.steps_since_sync == period - 1
        apart = tree.map(lambda f, u, s: f + u - s, params.fast, updates, params.slow)
        zeros = tree.map(lambda x: x * 0, apart)
        slow = chosen(meets, tree.map(lambda d: slow_step_size * d, apart), zeros)
        fast = chosen(meets, tree.map(lambda u, d: u - (1 - slow_step_size) * d, updates, apart), updates)
        if reset_state:
            fast_state = chosen(meets, inner.init(params.fast), fast_state)
        return LookaheadParams(fast, slow), LookaheadState(fast_state, (state.steps_since_sync + np.int32(1)) % period)

    return transformation("lookahead", init, update, LookaheadState)
