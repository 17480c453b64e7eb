"""Functions whose gradient is given, or whose inner values are computed again for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras.src import tree

import leptonc
from leptonc.keras.src.ops.effects import performed, with_effects
from leptonc.keras.src.ops.tensors import convert_to_tensor, is_tensor, operand
from leptonc.trace import tracing

__all__ = ["custom_gradient", "remat"]


def custom_gradient(fun: Callable[..., Any]) -> Callable[..., Any]:
    """``fun`` gives (result, a function from the result's gradient to those of its arguments, None for a zero)."""

    def call(*args: Any, **kwargs: Any) -> Any:
        if not tracing():
            return fun(*args, **kwargs)[0]
        named = tree.map_structure(operand, kwargs)

        def with_tensors(*given: Any) -> tuple[Any, Callable[..., Any]]:
            result, gradient = fun(*given, **named)
            return tree.map_structure(convert_to_tensor, result), _pulled(gradient, given)

        return leptonc.custom_gradient(with_tensors)(*tree.map_structure(operand, args))

    return call


def _pulled(gradient: Callable[..., Any], args: tuple[Any, ...]) -> Callable[..., Any]:
    """``gradient``, whose results are in the arguments' dtypes."""

    def pulled(upstream: Any) -> tuple[Any, ...]:
        found = gradient(upstream)
        found = tuple(found) if isinstance(found, list | tuple) and len(found) == len(args) else (found,)
        return tuple(_in_dtype_of(x, g) for x, g in zip(args, found, strict=True))

    return pulled


def _in_dtype_of(x: Any, gradient: Any) -> Any:
    return gradient if gradient is None or not is_tensor(x) else convert_to_tensor(gradient, x.dtype)


def remat(f: Callable[..., Any]) -> Callable[..., Any]:
    """``f``, whose inner values are computed again in the backward pass."""

    def call(*args: Any, **kwargs: Any) -> Any:
        if not tracing():
            return f(*args, **kwargs)
        return performed(lambda variables, values: _checkpointed(f, args, kwargs, variables, values))

    return call


def _checkpointed(f: Callable[..., Any], args: Any, kwargs: Any, variables: Any, values: list[Any]) -> Any:
    """Tensors among the arguments are the checkpoint's; the others, such as ``training``, are known."""
    leaves = tree.flatten((args, kwargs))
    places = [n for n, leaf in enumerate(leaves) if is_tensor(leaf)]

    def run(*tensors: Any) -> Any:
        given, named = tree.pack_sequence_as((args, kwargs), _placed(leaves, places, tensors))
        return f(*given, **named)

    return leptonc.checkpoint(with_effects(run, variables))(values, *(leaves[n] for n in places))


def _placed(leaves: list[Any], places: list[int], tensors: tuple[Any, ...]) -> list[Any]:
    at = dict(zip(places, tensors))
    return [at.get(n, leaf) for n, leaf in enumerate(leaves)]
