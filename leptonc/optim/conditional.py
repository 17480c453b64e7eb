"""Transformations at some steps only, of some parameters only, or of all of them as one vector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from leptonc import lax, tree
from leptonc import numpy as lnp
from leptonc.arguments import flag, function, scalar
from leptonc.optim.base import GradientTransformation, counter, extended, transformation, transformation_argument
from leptonc.optim.clipping import set_to_zero
from leptonc.optim.selected import masked, partition


class ConditionallyTransformState(NamedTuple):
    """Of the transformation within, and steps so far."""

    inner_state: Any
    step: Any


class ConditionallyMaskState(NamedTuple):
    """Steps so far, and the state of the transformation within."""

    step: Any
    inner_state: Any


def _conditionally(name: str, inner: GradientTransformation, condition: Callable[..., Any], forward_extra_args: bool,
                   otherwise: Any, state_type: Any) -> GradientTransformation:
    whole = extended(name, "inner", inner)
    function(name, "should_transform_fn", condition)
    flag(name, "forward_extra_args", forward_extra_args)

    def init(params: Any) -> Any:
        return state_type(inner_state=whole.init(params), step=counter())

    def update(grads: Any, state: Any, params: Any = None, **more: Any) -> tuple[Any, Any]:
        updates, after = lax.cond(condition(state.step, **(more if forward_extra_args else {})),
                                  lambda: whole.update(grads, state.inner_state, params, **more),
                                  lambda: (otherwise(grads), state.inner_state))
        return updates, state_type(inner_state=after, step=state.step + np.int32(1))

    return transformation(name, init, update, state_type, extra=True)


def conditionally_transform(inner: GradientTransformation, should_transform_fn: Callable[..., Any],
                            forward_extra_args: bool = False) -> GradientTransformation:
    """``inner`` at steps for whose number the function gives True, updates as they come at others. ``forward_extra_args``: it is
    given what update takes by name, too."""
    return _conditionally("conditionally_transform", inner, should_transform_fn, forward_extra_args, lambda grads: grads,
                          ConditionallyTransformState)


def conditionally_mask(inner: GradientTransformation, should_transform_fn: Callable[..., Any],
                       forward_extra_args: bool = False) -> GradientTransformation:
    """As ``conditionally_transform``, but no update at other steps."""
    return _conditionally("conditionally_mask", inner, should_transform_fn, forward_extra_args,
                          lambda grads: tree.map(lnp.zeros_like, grads), ConditionallyMaskState)


def freeze(mask: Any) -> GradientTransformation:
    """No update of what ``mask`` says (see ``masked``)."""
    return masked(set_to_zero(), mask)


def selective_transform(optimizer: GradientTransformation, *, freeze_mask: Any) -> GradientTransformation:
    """``optimizer``, but nothing for what ``freeze_mask``, a tree of bools, says."""
    trained = transformation_argument("selective_transform", "optimizer", optimizer)
    labels = tree.map(lambda frozen: "freeze" if frozen else "train", freeze_mask)
    return partition({"train": trained, "freeze": set_to_zero()}, labels)


def flatten(inner: GradientTransformation) -> GradientTransformation:
    """``inner`` of all parameters as one vector."""
    whole = extended("flatten", "inner", inner)

    def joined(values: Any) -> Any:
        return lnp.concatenate([lnp.ravel(leaf) for leaf in tree.leaves(values)])

    def update(grads: Any, state: Any, params: Any = None, **more: Any) -> tuple[Any, Any]:
        flat, after = whole.update(joined(grads), state, None if params is None else joined(params), **more)
        leaves, structure = tree.flatten(grads)
        ends = np.cumsum([leaf.size for leaf in leaves]).tolist()
        parts = lnp.split(flat, ends[:-1])
        return tree.unflatten(structure, [lnp.reshape(part, leaf.shape) for part, leaf in zip(parts, leaves)]), after

    return transformation("flatten", lambda params: whole.init(joined(params)), update, extra=True)


def skip_large_updates(updates: Any, gradient_step: Any, params: Any, max_squared_norm: float) -> tuple[Any, dict[str, Any]]:
    """For ``MultiSteps(should_skip_update_fn=...)``, by functools.partial: whether the square norm is not below a bound, and it."""
    scalar("skip_large_updates", "max_squared_norm", max_squared_norm)
    total: Any = np.float32(0)
    for leaf in tree.leaves(updates):
        total = total + lnp.sum(lnp.square(leaf))
    skips = lnp.logical_not(total < max_squared_norm)
    return skips, {"should_skip": skips, "norm_squared": total}
