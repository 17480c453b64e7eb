"""What an optimizer is, in the shape of optax: ``init(params) -> state``, ``update(grads, state, params)``; chains of them."""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Any, NamedTuple

import numpy as np

from leptonc import numpy as lnp
from leptonc import tree
from leptonc.arguments import scalar
from leptonc.errors import ArgumentError, LeptonError, describe
from leptonc.public import public


class GradientTransformation(NamedTuple):
    """``init(params)`` gives the state; ``update(grads, state, params)`` gives (updates, new state)."""

    init: Callable[[Any], Any]
    update: Callable[..., tuple[Any, Any]]


def transformation(name: str, init: Callable[[Any], Any], update: Callable[..., tuple[Any, Any]],
                    state_type: type = tuple) -> GradientTransformation:
    """The pair as users get it, whose update checks that the state is of the kind that init makes."""
    def checked(grads: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        if not isinstance(state, state_type):
            raise ArgumentError(f"{name}: update got the state {describe(state)}, wants a {state_type.__name__}; fix: use the "
                                "state that this optimizer's init, or its last update, made")
        return update(grads, state, params)

    return GradientTransformation(public(init, f"{name}.init"), public(checked, f"{name}.update"))


def rate_argument(name: str, learning_rate: Any) -> Any:
    """A learning rate: a number, traced or not, or a function of the step count."""
    return learning_rate if callable(learning_rate) else scalar(name, "learning_rate", learning_rate)


class EmptyState(NamedTuple):
    """Of a transformation that remembers nothing."""


class ScheduleState(NamedTuple):
    """``count``: steps so far."""

    count: Any


def counter() -> np.ndarray:
    return np.zeros((), np.int32)


def apply_updates(params: Any, updates: Any) -> Any:
    """params + updates, leaf by leaf."""
    return tree.map(lambda p, u: lnp.add(p, u), params, updates)


def identity() -> GradientTransformation:
    """Updates as they come."""
    return transformation("identity", lambda params: EmptyState(), lambda grads, state, params=None: (grads, state))


def chain(*transformations: GradientTransformation) -> GradientTransformation:
    """One after the other; the state is the tuple of theirs."""
    for n, part in enumerate(transformations):
        if not isinstance(part, tuple) or len(part) != 2 or not all(map(callable, part)):
            raise ArgumentError(f"chain: number {n} is {describe(part)}, wants a GradientTransformation; fix: call its "
                                "factory, such as sgd(0.1)")

    def init(params: Any) -> Any:
        return tuple(t.init(params) for t in transformations)

    def update(grads: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        if len(state) != len(transformations):
            raise LeptonError(f"chain of {len(transformations)} transformations got a state of {len(state)}; fix: use the state "
                              "that this optimizer's init made")
        states = []
        for part, own in zip(transformations, state):
            grads, own = part.update(grads, own, params)
            states.append(own)
        return grads, tuple(states)

    return transformation("chain", init, update)


def bias_correction(decay: float, count: Any, dtype: Any) -> Any:
    """1 / (1 - decay^count), by expm1: 0.999 is off by 1.3e-8 in f32, and so 1 - 0.999 would be by 1.3e-5 of itself."""
    number = np.dtype(dtype).type
    return -1 / lnp.expm1(lnp.astype(count, dtype) * number(log(decay))) if decay > 0 else number(1)
