"""Hyperparameters as part of the state, where they can be read, changed and saved."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from leptonc import numpy as lnp
from leptonc import tree
from leptonc.arguments import floats, function
from leptonc.bfloat16 import kind_of
from leptonc.errors import ArgumentError
from leptonc.optim.base import GradientTransformation, counter, extended, transformation
from leptonc.optim.schedules import rate_at
from leptonc.public import public
from leptonc.tracer import Tracer


class InjectHyperparamsState(NamedTuple):
    """``count``: steps so far; ``hyperparams``: by name, in their last values; ``inner_state``: of the transformation within."""

    count: Any
    hyperparams: dict[str, Any]
    inner_state: Any


def inject_hyperparams(inner_factory: Callable[..., GradientTransformation], static_args: str | Iterable[str] = (),
                       hyperparam_dtype: Any = None) -> Callable[..., GradientTransformation]:
    """``inner_factory``, whose numbers and schedules become ``state.hyperparams``: assigned there, numbers hold from the next
    update on, without compiling again; schedules are computed anew at every step.

    ``static_args``: names of arguments that stay as they are, such as functions that are no schedules. ``hyperparam_dtype``: that
    of floats, by default the widest of the parameters'. Raises ArgumentError for names that the factory does not have.
    """
    signature = _signature(inner_factory)
    static = _names(static_args, signature)

    dtype = None if hyperparam_dtype is None else floats("inject_hyperparams", "hyperparam_dtype", hyperparam_dtype)

    def injected(*args: Any, **kwargs: Any) -> GradientTransformation:
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        return _injected(inner_factory, given.arguments, static, dtype)

    return functools.wraps(inner_factory)(public(injected, getattr(inner_factory, "__name__", "inject_hyperparams")))


def _signature(factory: Any) -> inspect.Signature:
    try:
        return inspect.signature(function("inject_hyperparams", "inner_factory", factory))
    except ValueError:
        raise ArgumentError(f"inject_hyperparams: inner_factory={factory!r:.60} does not say what it takes") from None


def _names(static_args: Any, signature: inspect.Signature) -> set[str]:
    """One name, or several, of what a factory takes."""
    named = [*static_args] if isinstance(static_args, Iterable) and not isinstance(static_args, str) else [static_args]
    if not all(isinstance(name, str) and name in signature.parameters for name in named):
        raise ArgumentError(f"inject_hyperparams: static_args={named!r:.60}, but there are {[*signature.parameters]}")
    return set(named)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) or (isinstance(value, np.generic | np.ndarray | Tracer) and value.dtype.kind != "b")


def _widest(params: Any) -> np.dtype:
    floats = [leaf.dtype for leaf in tree.leaves(params) if kind_of(leaf.dtype) == "f"]
    return lnp.result_type(*floats) if floats else np.dtype(np.float32)


def _injected(factory: Callable[..., GradientTransformation], arguments: dict[str, Any], static: set[str],
              dtype: np.dtype | None) -> GradientTransformation:
    numbers = {name: v for name, v in arguments.items() if name not in static and _is_number(v)}
    schedules = {name: v for name, v in arguments.items() if name not in static and callable(v)
                 and not isinstance(v, type)}  # dtypes are callable
    others = {name: v for name, v in arguments.items() if name not in {*numbers, *schedules}}

    def converted(value: Any, kind: np.dtype) -> Any:
        is_int = type(value) is int or (hasattr(value, "dtype") and kind_of(value.dtype) in "iu")
        return lnp.asarray(value, np.int32 if type(value) is int else None if is_int else kind)

    def scheduled(count: Any, kind: np.dtype) -> dict[str, Any]:
        return {name: rate_at(schedule, count, kind) for name, schedule in schedules.items()}

    def inner(hyperparams: dict[str, Any]) -> Any:
        return extended("inject_hyperparams", "what inner_factory gave", factory(**others, **hyperparams))

    def init(params: Any) -> InjectHyperparamsState:
        kind = dtype or _widest(params)
        hyperparams = {name: converted(v, kind) for name, v in numbers.items()} | scheduled(counter(), kind)
        return InjectHyperparamsState(counter(), hyperparams, inner(hyperparams).init(params))

    def update(grads: Any, state: InjectHyperparamsState, params: Any = None, **more: Any) -> tuple[Any, InjectHyperparamsState]:
        kind = dtype or _widest(grads if params is None else params)
        kept = {name: converted(state.hyperparams[name], kind) for name in numbers}
        hyperparams = kept | scheduled(state.count, kind)
        updates, inner_state = inner(hyperparams).update(grads, state.inner_state, params, **more)
        return updates, InjectHyperparamsState(state.count + np.int32(1), hyperparams, inner_state)

    return transformation("inject_hyperparams", init, update, InjectHyperparamsState, extra=True)
