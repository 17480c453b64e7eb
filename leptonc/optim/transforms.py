"""Gradient transformations in the shape of optax: ``init(params) -> state``, ``update(grads, state, params)``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from math import log
from typing import Any, NamedTuple

import numpy as np

from leptonc import numpy as lnp
from leptonc import tree
from leptonc.arguments import flag, number, scalar
from leptonc.errors import ArgumentError, LeptonError, describe
from leptonc.optim.schedules import Schedule, rate_at
from leptonc.public import public


class GradientTransformation(NamedTuple):
    """``init(params)`` gives the state; ``update(grads, state, params)`` gives (updates, new state)."""

    init: Callable[[Any], Any]
    update: Callable[..., tuple[Any, Any]]


def _transformation(name: str, init: Callable[[Any], Any], update: Callable[..., tuple[Any, Any]],
                    state_type: type = tuple) -> GradientTransformation:
    """The pair as users get it, whose update checks that the state is of the kind that init makes."""
    def checked(grads: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        if not isinstance(state, state_type):
            raise ArgumentError(f"{name}: update got the state {describe(state)}, wants a {state_type.__name__}; fix: use the "
                                "state that this optimizer's init, or its last update, made")
        return update(grads, state, params)

    return GradientTransformation(public(init, f"{name}.init"), public(checked, f"{name}.update"))


def _rate(name: str, learning_rate: Any) -> Any:
    """A learning rate: a number, traced or not, or a function of the step count."""
    return learning_rate if callable(learning_rate) else scalar(name, "learning_rate", learning_rate)


class EmptyState(NamedTuple):
    """Of a transformation that remembers nothing."""


class TraceState(NamedTuple):
    """``trace``: the decaying sum of gradients."""

    trace: Any


class ScaleByAdamState(NamedTuple):
    """``count``: steps so far; ``mu`` and ``nu``: decaying means of the gradient and of its square."""

    count: Any
    mu: Any
    nu: Any


class ScheduleState(NamedTuple):
    """``count``: steps so far."""

    count: Any


def _counter() -> np.ndarray:
    return np.zeros((), np.int32)


def apply_updates(params: Any, updates: Any) -> Any:
    """params + updates, leaf by leaf."""
    return tree.map(lambda p, u: lnp.add(p, u), params, updates)


def identity() -> GradientTransformation:
    """Updates as they come."""
    return _transformation("identity", lambda params: EmptyState(), lambda grads, state, params=None: (grads, state))


def chain(*transformations: GradientTransformation) -> GradientTransformation:
    """One after the other; the state is the tuple of theirs."""
    for n, transformation in enumerate(transformations):
        if not isinstance(transformation, tuple) or len(transformation) != 2 or not all(map(callable, transformation)):
            raise ArgumentError(f"chain: number {n} is {describe(transformation)}, wants a GradientTransformation; fix: call its "
                                "factory, such as sgd(0.1)")

    def init(params: Any) -> Any:
        return tuple(t.init(params) for t in transformations)

    def update(grads: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        if len(state) != len(transformations):
            raise LeptonError(f"chain of {len(transformations)} transformations got a state of {len(state)}; fix: use the state "
                              "that this optimizer's init made")
        states = []
        for transformation, own in zip(transformations, state):
            grads, own = transformation.update(grads, own, params)
            states.append(own)
        return grads, tuple(states)

    return _transformation("chain", init, update)


def scale(factor: float) -> GradientTransformation:
    """Updates times a number."""
    scalar("scale", "factor", factor)
    return _transformation("scale", lambda params: EmptyState(),
                           lambda grads, state, params=None: (tree.map(lambda g: g * factor, grads), state))


def scale_by_learning_rate(learning_rate: float | Schedule) -> GradientTransformation:
    """Updates times minus the learning rate, a number or a function of the step count."""
    rate_of = _rate("scale_by_learning_rate", learning_rate)
    if not callable(rate_of):
        return scale(-rate_of)

    def update(grads: Any, state: ScheduleState, params: Any = None) -> tuple[Any, ScheduleState]:
        rate = functools.cache(lambda dtype: rate_at(rate_of, state.count, dtype))
        return tree.map(lambda g: -g * rate(g.dtype), grads), ScheduleState(state.count + np.int32(1))

    return _transformation("scale_by_learning_rate", lambda params: ScheduleState(_counter()), update, ScheduleState)


def trace(decay: float, nesterov: bool = False) -> GradientTransformation:
    """Momentum: t = g + decay t (Polyak 1964); ``nesterov`` looks one step ahead: g + decay t."""
    scalar("trace", "decay", decay)
    flag("trace", "nesterov", nesterov)

    def update(grads: Any, state: TraceState, params: Any = None) -> tuple[Any, TraceState]:
        moved = tree.map(lambda g, t: g + decay * t, grads, state.trace)
        out = tree.map(lambda g, t: g + decay * t, grads, moved) if nesterov else moved
        return out, TraceState(moved)

    return _transformation("trace", lambda params: TraceState(tree.map(lnp.zeros_like, params)), update, TraceState)


def _bias_correction(decay: float, count: Any, dtype: Any) -> Any:
    """1 / (1 - decay^count), by expm1: 0.999 is off by 1.3e-8 in f32, and so 1 - 0.999 would be by 1.3e-5 of itself."""
    number = np.dtype(dtype).type
    return -1 / lnp.expm1(lnp.astype(count, dtype) * number(log(decay))) if decay > 0 else number(1)


def scale_by_adam(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> GradientTransformation:
    """m / (sqrt(v) + eps) with bias-corrected moments (Kingma and Ba 2015)."""
    _check_adam("scale_by_adam", b1, b2, eps)

    def init(params: Any) -> ScaleByAdamState:
        return ScaleByAdamState(_counter(), tree.map(lnp.zeros_like, params), tree.map(lnp.zeros_like, params))

    def update(grads: Any, state: ScaleByAdamState, params: Any = None) -> tuple[Any, ScaleByAdamState]:
        count = state.count + np.int32(1)
        mu = tree.map(lambda g, m: b1 * m + (1 - b1) * g, grads, state.mu)
        nu = tree.map(lambda g, v: b2 * v + (1 - b2) * (g * g), grads, state.nu)
        correction = functools.cache(lambda decay, dtype: _bias_correction(decay, count, dtype))

        def direction(m: Any, v: Any) -> Any:
            return (m * correction(b1, m.dtype)) / (lnp.sqrt(v * correction(b2, v.dtype)) + eps)

        return tree.map(direction, mu, nu), ScaleByAdamState(count, mu, nu)

    return _transformation("scale_by_adam", init, update, ScaleByAdamState)


def _check_adam(name: str, b1: Any, b2: Any, eps: Any) -> None:
    number(name, "b1", b1, least=0, below=1)
    number(name, "b2", b2, least=0, below=1)
    scalar(name, "eps", eps, least=0)


def add_decayed_weights(weight_decay: float) -> GradientTransformation:
    """Updates plus weight_decay * params. Raises LeptonError if update is not given the parameters."""
    scalar("add_decayed_weights", "weight_decay", weight_decay)

    def update(grads: Any, state: EmptyState, params: Any = None) -> tuple[Any, EmptyState]:
        if params is None:
            raise LeptonError("add_decayed_weights: update needs the parameters; fix: update(grads, state, params)")
        return tree.map(lambda g, p: g + weight_decay * p, grads, params), state

    return _transformation("add_decayed_weights", lambda params: EmptyState(), update)


def global_norm(grads: Any) -> Any:
    """The Euclidean norm of all leaves taken together."""
    total: Any = None
    for leaf in tree.leaves(grads):
        square = lnp.sum(lnp.multiply(leaf, leaf))
        total = square if total is None else total + square
    return lnp.sqrt(np.float32(0) if total is None else total)


def clip_by_global_norm(max_norm: float) -> GradientTransformation:
    """Updates scaled down where their global norm exceeds ``max_norm`` (Pascanu et al. 2013)."""
    scalar("clip_by_global_norm", "max_norm", max_norm, least=0)

    def update(grads: Any, state: EmptyState, params: Any = None) -> tuple[Any, EmptyState]:
        norm = global_norm(grads)
        factor = max_norm / lnp.maximum(norm, max_norm)
        return tree.map(lambda g: g * lnp.asarray(factor, g.dtype), grads), state

    return _transformation("clip_by_global_norm", lambda params: EmptyState(), update)


def sgd(learning_rate: float | Schedule, momentum: float = 0.0, nesterov: bool = False) -> GradientTransformation:
    """Stochastic gradient descent."""
    scalar("sgd", "momentum", momentum)
    flag("sgd", "nesterov", nesterov)
    _rate("sgd", learning_rate)
    rate = scale_by_learning_rate(learning_rate)
    return chain(trace(momentum, nesterov), rate) if momentum else chain(rate)


def adam(learning_rate: float | Schedule, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> GradientTransformation:
    """Adam (Kingma and Ba 2015)."""
    _check_adam("adam", b1, b2, eps)
    _rate("adam", learning_rate)
    return chain(scale_by_adam(b1, b2, eps), scale_by_learning_rate(learning_rate))


def adamw(learning_rate: float | Schedule, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8,
          weight_decay: float = 1e-4) -> GradientTransformation:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""
    _check_adam("adamw", b1, b2, eps)
    _rate("adamw", learning_rate)
    scalar("adamw", "weight_decay", weight_decay)
    return chain(scale_by_adam(b1, b2, eps), add_decayed_weights(weight_decay), scale_by_learning_rate(learning_rate))
