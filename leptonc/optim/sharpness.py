"""Sharpness-aware minimization: gradients taken where the loss near by is high (Foret et al. 2021)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from leptonc import tree
from leptonc.arguments import flag
from leptonc.errors import ArgumentError
from leptonc.optim.base import (
    EmptyState,
    GradientTransformation,
    apply_updates,
    counter,
    step_count,
    transformation,
    transformation_argument,
)
from leptonc.optim.clipping import global_norm
from leptonc.optim.wrappers import chosen


class SAMState(NamedTuple):
    """Steps since the last one outside, the states of both optimizers, and the parameters that the steps inside began at."""

    steps_since_sync: Any
    opt_state: Any
    adv_state: Any
    cache: Any


def normalize() -> GradientTransformation:
    """All updates over their common norm, whatever it is: infinite or NaN of zeros."""
    def update(grads: Any, state: EmptyState, params: Any = None) -> tuple[Any, EmptyState]:
        norm = global_norm(grads)
        return tree.map(lambda g: g / norm, grads), state

    return transformation("normalize", lambda params: EmptyState(), update)


def sam(optimizer: GradientTransformation, adv_optimizer: GradientTransformation, sync_period: int = 2, reset_state: bool = True,
        opaque_mode: bool = False) -> GradientTransformation:
    """``sync_period - 1`` steps of ``adv_optimizer`` uphill, then one of ``optimizer`` from where they began, by the gradient at
    their end. ``adv_optimizer``: such as ``chain(normalize(), sgd(rho))``.

    Every update is one of these steps. With ``opaque_mode`` it is all of them: ``update(grads, state, params, grad_fn=f)``, where
    f(params, n) is the gradient at other parameters, for the n-th step. ``reset_state``: the uphill optimizer begins anew each
    time.
    """
    outer = transformation_argument("sam", "optimizer", optimizer)
    inner = transformation_argument("sam", "adv_optimizer", adv_optimizer)
    period = step_count("sam", "sync_period", sync_period)
    flag("sam", "reset_state", reset_state)
    opaque = flag("sam", "opaque_mode", opaque_mode)

    def init(params: Any) -> SAMState:
        return SAMState(counter(), outer.init(params), inner.init(params), None if opaque else params)

    def uphill(grads: Any, state: Any, params: Any) -> tuple[Any, Any]:
        updates, state = inner.update(grads, state, params)
        return tree.map(lambda u: -u, updates), state

    def one_step(grads: Any, state: SAMState, params: Any = None, grad_fn: Any = None) -> tuple[Any, SAMState]:
        step, is_last = state.steps_since_sync, state.steps_since_sync == period - np.int32(1)
        up, adv_state = uphill(grads, state.adv_state, params)
        down, opt_state = outer.update(grads, state.opt_state, state.cache)
        down = tree.map(lambda c, p, u: c - p + u, state.cache, params, down)
        begun = inner.init(params) if reset_state else state.adv_state
        return chosen(is_last, down, up), SAMState((step + np.int32(1)) % period,
                                                   chosen(is_last, opt_state, state.opt_state), chosen(is_last, begun, adv_state),
                                                   chosen(step == 0, params, state.cache))

    def all_steps(grads: Any, state: SAMState, params: Any = None,
                  grad_fn: Callable[..., Any] | None = None) -> tuple[Any, SAMState]:
        if grad_fn is None:
            raise ArgumentError("sam: with opaque_mode update needs the gradient's function; fix: update(..., grad_fn=f)")
        place, adv_state = params, state.adv_state
        for n in range(int(period) - 1):
            up, adv_state = uphill(grads, adv_state, place)
            place = apply_updates(place, up)
            grads = grad_fn(place, n)
        updates, opt_state = outer.update(grads, state.opt_state, params)
        begun = inner.init(params) if reset_state else adv_state
        return updates, SAMState(counter(), opt_state, begun, None)

    return transformation("sam", init, all_steps if opaque else one_step, SAMState, extra=True)
