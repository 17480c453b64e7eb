"""What an optimizer is, in the shape of optax: ``init(params) -> state``, ``update(grads, state, params)``; chains of them."""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Any, NamedTuple

import numpy as np

from leptonc import numpy as lnp
from leptonc import tree
from leptonc.arguments import array, floats, integer, scalar
from leptonc.errors import ArgumentError, LeptonError, describe
from leptonc.public import public
from leptonc.tracer import Tracer


class GradientTransformation(NamedTuple):
    """``init(params)`` gives the state; ``update(grads, state, params)`` gives (updates, new state)."""

    init: Callable[[Any], Any]
    update: Callable[..., tuple[Any, Any]]


class GradientTransformationExtraArgs(GradientTransformation):
    """One whose update takes more, by name, such as ``value``, the loss."""

    __slots__ = ()


def transformation(name: str, init: Callable[[Any], Any], update: Callable[..., tuple[Any, Any]],
                    state_type: type = tuple, extra: bool = False) -> GradientTransformation:
    """The pair as users get it, whose update checks that the state is of the kind that init makes; ``extra``: it takes more than
    gradients, state and parameters."""
    def check(state: Any) -> None:
        if not isinstance(state, state_type):
            raise ArgumentError(f"{name}: update got the state {describe(state)}, wants a {state_type.__name__}; fix: use the "
                                "state that this optimizer's init, or its last update, made")

    def checked(grads: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        check(state)
        return update(grads, state, params)

    def checked_with_more(grads: Any, state: Any, params: Any = None, **more: Any) -> tuple[Any, Any]:
        check(state)
        return update(grads, state, params, **more)

    if extra:
        return GradientTransformationExtraArgs(public(init, f"{name}.init"), public(checked_with_more, f"{name}.update"))
    return GradientTransformation(public(init, f"{name}.init"), public(checked, f"{name}.update"))


def transformation_argument(name: str, what: str, value: Any) -> GradientTransformation:
    """A pair of functions ``init`` and ``update``, this library's or another's. Raises ArgumentError for anything else."""
    is_pair = not isinstance(value, type) and all(callable(getattr(value, part, None)) for part in ("init", "update"))
    if not is_pair:
        raise ArgumentError(f"{name}: {what} is {describe(value)}, wants a GradientTransformation; fix: call its factory, such as "
                            "sgd(0.1)")
    found: GradientTransformation = value
    return found


def extended(name: str, what: str, inner: Any) -> GradientTransformationExtraArgs:
    """``with_extra_args_support`` of the argument of a function."""
    plain = transformation_argument(name, what, inner)
    if isinstance(plain, GradientTransformationExtraArgs):
        return plain
    return GradientTransformationExtraArgs(plain.init, lambda grads, state, params=None, **more: plain.update(grads, state, params))


def with_extra_args_support(inner: GradientTransformation) -> GradientTransformationExtraArgs:
    """``inner``, which is handed what its update takes by name and else does without."""
    return extended("with_extra_args_support", "inner", inner)


def rate_argument(name: str, learning_rate: Any, what: str = "learning_rate") -> Any:
    """A learning rate: a number, traced or not, or a function of the step count."""
    return learning_rate if callable(learning_rate) else scalar(name, what, learning_rate)


class EmptyState(NamedTuple):
    """Of a transformation that remembers nothing."""


class ScheduleState(NamedTuple):
    """``count``: steps so far."""

    count: Any


def counter() -> np.ndarray:
    return np.zeros((), np.int32)


def step_count(name: str, what: str, value: Any, least: int = 1) -> np.int32:
    """A number of steps, as counters of steps hold them."""
    return np.int32(integer(name, what, value, least=least, most=np.iinfo(np.int32).max))


def apply_updates(params: Any, updates: Any) -> Any:
    """params + updates, leaf by leaf."""
    return tree.map(lambda p, u: lnp.add(p, u), params, updates)


def incremental_update(new_tensors: Any, old_tensors: Any, step_size: Any) -> Any:
    """step_size * new + (1 - step_size) * old: one step of Polyak's averaging."""
    size = scalar("incremental_update", "step_size", step_size)
    return tree.map(lambda new, old: lnp.add(lnp.multiply(size, new), lnp.multiply(lnp.subtract(1, size), old)), new_tensors,
                    old_tensors)


def periodic_update(new_tensors: Any, old_tensors: Any, steps: Any, update_period: int) -> Any:
    """The new tree at every ``update_period``-th step, from step 0 on, else the old one."""
    now = lnp.equal(lnp.remainder(steps, update_period), 0)
    return tree.map(lambda new, old: lnp.where(now, new, old), new_tensors, old_tensors)


def safe_increment(count: Any) -> Any:
    """count + 1, or count where it is the largest int of its dtype."""
    known = array("safe_increment", "count", count)
    one = known.dtype.type(1)
    if known.dtype.kind in "iu":
        known = lnp.minimum(known, known.dtype.type(np.iinfo(known.dtype).max - 1))
    return lnp.add(known, one)


def identity() -> GradientTransformation:
    """Updates as they come."""
    return transformation("identity", lambda params: EmptyState(), lambda grads, state, params=None: (grads, state))


def chain(*transformations: GradientTransformation) -> GradientTransformation:
    """One after the other; the state is the tuple of theirs. What update gets by name goes to those that take it."""
    parts = [extended("chain", f"number {n}", part) for n, part in enumerate(transformations)]

    def init(params: Any) -> Any:
        return tuple(t.init(params) for t in transformations)

    def update(grads: Any, state: Any, params: Any = None, **more: Any) -> tuple[Any, Any]:
        if len(state) != len(transformations):
            raise LeptonError(f"chain of {len(transformations)} transformations got a state of {len(state)}; fix: use the state "
                              "that this optimizer's init made")
        states = []
        for part, own in zip(parts, state):
            grads, own = part.update(grads, own, params, **more)
            states.append(own)
        return grads, tuple(states)

    return transformation("chain", init, update, extra=any(isinstance(t, GradientTransformationExtraArgs) for t in transformations))


def named_chain(*transformations: tuple[str, GradientTransformation]) -> GradientTransformation:
    """As ``chain``, of pairs (name, transformation); the state is a dict. Raises ArgumentError for a name that is there twice."""
    if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in transformations):
        raise ArgumentError("named_chain: wants pairs (name, transformation)")
    names = [name for name, _ in transformations]
    if len({*names}) < len(names):
        raise ArgumentError(f"named_chain: names must differ, got {names}")
    inner = chain(*(part for _, part in transformations))

    def update(grads: Any, state: Any, params: Any = None, **more: Any) -> tuple[Any, Any]:
        updates, states = inner.update(grads, tuple(state[name] for name in names), params, **more)
        return updates, dict(zip(names, states))

    return transformation("named_chain", lambda params: dict(zip(names, inner.init(params))), update, dict,
                          isinstance(inner, GradientTransformationExtraArgs))


def kept_in(dtype: Any, values: Any) -> Any:
    """A tree of what a state keeps, in ``dtype``; as it is for None."""
    return values if dtype is None else tree.map(lambda x: lnp.astype(x, dtype), values)


def kept_dtype(name: str, what: str, dtype: Any) -> np.dtype | None:
    """The float dtype that a state is to be kept in, if there is one."""
    return None if dtype is None else floats(name, what, dtype)


def widened(kept: Any, new: Any) -> Any:
    """What a state keeps in fewer bits, in the dtype of what it is joined with, so that it is rounded once: when it is kept."""
    return kept if kept.dtype == new.dtype else lnp.astype(kept, lnp.promote_types(kept.dtype, new.dtype))


def zeros_in(dtype: Any, params: Any) -> Any:
    """Zeros like the parameters, in ``dtype`` if it is given."""
    return tree.map(lambda p: lnp.zeros_like(p, dtype), params)


def at_least_single(dtype: Any, like: Any) -> np.dtype:
    """What sums of arrays like one are kept in: ``dtype``, by default f32 or a wider dtype of the array."""
    found: np.dtype = lnp.promote_types(like.dtype, np.float32) if dtype is None else dtype
    return found


def bias_correction(decay: Any, count: Any, dtype: Any) -> Any:
    """1 / (1 - decay^count), by expm1: 0.999 is off by 1.3e-8 in f32, and so 1 - 0.999 would be by 1.3e-5 of itself."""
    if isinstance(decay, Tracer | np.ndarray):
        return -1 / lnp.expm1(lnp.astype(count, dtype) * lnp.log(lnp.astype(decay, dtype)))
    number = np.dtype(dtype).type
    return -1 / lnp.expm1(lnp.astype(count, dtype) * number(log(decay))) if decay > 0 else number(1)
