"""Updates scaled, with momentum, by Adam's moments, with weights that decay."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from leptonc import numpy as lnp
from leptonc import tree
from leptonc.arguments import flag, scalar
from leptonc.errors import ArgumentError, LeptonError, describe
from leptonc.optim.base import (
    EmptyState,
    GradientTransformation,
    ScheduleState,
    bias_correction,
    counter,
    identity,
    kept_dtype,
    kept_in,
    rate_argument,
    transformation,
    widened,
    zeros_in,
)
from leptonc.optim.moments import check_moments
from leptonc.optim.schedules import Schedule, rate_at
from leptonc.optim.selected import masked


class TraceState(NamedTuple):
    """``trace``: the decaying sum of gradients."""

    trace: Any


class ScaleByAdamState(NamedTuple):
    """``count``: steps so far; ``mu`` and ``nu``: decaying means of the gradient and of its square."""

    count: Any
    mu: Any
    nu: Any


def scale(factor: float) -> GradientTransformation:
    """Updates times a number."""
    scalar("scale", "factor", factor)
    return transformation("scale", lambda params: EmptyState(),
                           lambda grads, state, params=None: (tree.map(lambda g: g * factor, grads), state))


def scale_by_learning_rate(learning_rate: float | Schedule | None = None, *, flip_sign: bool = True) -> GradientTransformation:
    """Updates times minus the learning rate, a number or a function of the step count, or, without ``flip_sign``, times itself; as
    they come for None."""
    flipped = flag("scale_by_learning_rate", "flip_sign", flip_sign)
    if learning_rate is None:
        return identity()
    rate_of = rate_argument("scale_by_learning_rate", learning_rate)
    if not callable(rate_of):
        return scale(-rate_of if flipped else rate_of)

    def update(grads: Any, state: ScheduleState, params: Any = None) -> tuple[Any, ScheduleState]:
        rate = functools.cache(lambda dtype: rate_at(rate_of, state.count, dtype))
        return tree.map(lambda g: (-g if flipped else g) * rate(g.dtype), grads), ScheduleState(state.count + np.int32(1))

    return transformation("scale_by_learning_rate", lambda params: ScheduleState(counter()), update, ScheduleState)


def trace(decay: float, nesterov: bool = False, accumulator_dtype: Any = None) -> GradientTransformation:
    """Momentum: t = g + decay t (Polyak 1964), kept in ``accumulator_dtype``; ``nesterov`` looks one step ahead: g + decay t."""
    scalar("trace", "decay", decay)
    flag("trace", "nesterov", nesterov)
    kept = kept_dtype("trace", "accumulator_dtype", accumulator_dtype)

    def update(grads: Any, state: TraceState, params: Any = None) -> tuple[Any, TraceState]:
        moved = tree.map(lambda g, t: g + decay * widened(t, g), grads, state.trace)
        out = tree.map(lambda g, t: g + decay * t, grads, moved) if nesterov else moved
        return out, TraceState(kept_in(kept, moved))

    return transformation("trace", lambda params: TraceState(zeros_in(kept, params)), update, TraceState)


def scale_by_adam(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, eps_root: float = 0.0, mu_dtype: Any = None, *,
                  nesterov: bool = False) -> GradientTransformation:
    """m / (sqrt(v + eps_root) + eps) with bias-corrected moments (Kingma and Ba 2015), m kept in ``mu_dtype``; ``nesterov`` looks
    one step ahead (Dozat 2016)."""
    check_moments("scale_by_adam", b1, b2, eps, eps_root)
    flag("scale_by_adam", "nesterov", nesterov)
    kept = kept_dtype("scale_by_adam", "mu_dtype", mu_dtype)

    has_root = type(eps_root) is not float or eps_root != 0  # a sum less in the step

    def init(params: Any) -> ScaleByAdamState:
        return ScaleByAdamState(counter(), zeros_in(kept, params), tree.map(lnp.zeros_like, params))

    def update(grads: Any, state: ScaleByAdamState, params: Any = None) -> tuple[Any, ScaleByAdamState]:
        count = state.count + np.int32(1)
        mu = tree.map(lambda g, m: b1 * widened(m, g) + (1 - b1) * g, grads, state.mu)
        nu = tree.map(lambda g, v: b2 * v + (1 - b2) * (g * g), grads, state.nu)
        following = count + np.int32(1) if nesterov else count
        of_first = functools.cache(lambda dtype: bias_correction(b1, count, dtype))
        of_second = functools.cache(lambda dtype: bias_correction(b2, count, dtype))

        def direction(g: Any, m: Any, v: Any) -> Any:
            first = m * of_first(m.dtype)
            if nesterov:
                ahead = m * bias_correction(b1, following, m.dtype)
                first = b1 * ahead + (1 - b1) * (g * of_first(m.dtype))
            second = v * of_second(v.dtype)
            return first / (lnp.sqrt(second + eps_root if has_root else second) + eps)

        return tree.map(direction, grads, mu, nu), ScaleByAdamState(count, kept_in(kept, mu), nu)

    return transformation("scale_by_adam", init, update, ScaleByAdamState)


def scale_by_schedule(step_size_fn: Schedule) -> GradientTransformation:
    """Updates times a function of the step count."""
    if not callable(step_size_fn):
        raise ArgumentError(f"scale_by_schedule: step_size_fn={describe(step_size_fn)} must be a function of the step count")

    def update(grads: Any, state: ScheduleState, params: Any = None) -> tuple[Any, ScheduleState]:
        factor = functools.cache(lambda dtype: rate_at(step_size_fn, state.count, dtype))
        return tree.map(lambda g: g * factor(g.dtype), grads), ScheduleState(state.count + np.int32(1))

    return transformation("scale_by_schedule", lambda params: ScheduleState(counter()), update, ScheduleState)


def add_decayed_weights(weight_decay: float | Schedule = 0.0, mask: Any = None) -> GradientTransformation:
    """Updates plus weight_decay * params, where ``mask`` says (see ``masked``); the decay is a number, or a function of the step
    count. Raises LeptonError if update is not given the parameters."""
    decayed = _decayed_by_schedule(weight_decay) if callable(weight_decay) else _decayed(weight_decay)
    return decayed if mask is None else masked(decayed, mask)


def _needed(params: Any) -> Any:
    if params is None:
        raise LeptonError("add_decayed_weights: update needs the parameters; fix: update(grads, state, params)")
    return params


def _decayed(weight_decay: float) -> GradientTransformation:
    scalar("add_decayed_weights", "weight_decay", weight_decay)

    def update(grads: Any, state: EmptyState, params: Any = None) -> tuple[Any, EmptyState]:
        return tree.map(lambda g, p: g + weight_decay * p, grads, _needed(params)), state

    return transformation("add_decayed_weights", lambda params: EmptyState(), update)


def _decayed_by_schedule(weight_decay: Schedule) -> GradientTransformation:
    def update(grads: Any, state: ScheduleState, params: Any = None) -> tuple[Any, ScheduleState]:
        decay = functools.cache(lambda dtype: rate_at(weight_decay, state.count, dtype))
        moved = tree.map(lambda g, p: g + decay(p.dtype) * p, grads, _needed(params))
        return moved, ScheduleState(state.count + np.int32(1))

    return transformation("add_decayed_weights", lambda params: ScheduleState(counter()), update, ScheduleState)
