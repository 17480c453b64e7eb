"""Transformations around others: means over steps, several steps as one, what to do about NaN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from leptonc import lax, tree
from leptonc import numpy as lnp
from leptonc.arguments import can_take, flag, function, number
from leptonc.optim.base import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    at_least_single,
    bias_correction,
    counter,
    extended,
    kept_dtype,
    step_count,
    transformation,
    transformation_argument,
    widened,
)


class EmaState(NamedTuple):
    """``count``: steps so far; ``ema``: the decaying mean."""

    count: Any
    ema: Any


class ApplyEveryState(NamedTuple):
    """``count``: steps since the last update; ``grad_acc``: the sum of updates since then."""

    count: Any
    grad_acc: Any


class ApplyIfFiniteState(NamedTuple):
    """Steps in a row that were not finite, whether the last was, how many were not, and the state within."""

    notfinite_count: Any
    last_finite: Any
    total_notfinite: Any
    inner_state: Any


class MultiStepsState(NamedTuple):
    """Steps since the last update, updates so far, the state within, the mean of the gradients since, and what the function said
    that skips steps."""

    mini_step: Any
    gradient_step: Any
    inner_opt_state: Any
    acc_grads: Any
    skip_state: Any = ()


def ema(decay: float, debias: bool = True, accumulator_dtype: Any = None) -> GradientTransformation:
    """The decaying mean of updates, kept in ``accumulator_dtype``, with ``debias`` that of those there were."""
    kept = kept_dtype("ema", "accumulator_dtype", accumulator_dtype)
    return _ema(decay, debias, lambda like: like.dtype if kept is None else kept)


def ema_at_least_single(decay: float, dtype: Any) -> GradientTransformation:
    """As ``ema``, without debiasing, in ``dtype``, by default f32 or a wider dtype of the parameters."""
    kept = kept_dtype("adafactor", "dtype_momentum", dtype)
    return _ema(decay, False, lambda like: at_least_single(kept, like))


def _ema(decay: float, debias: bool, dtype_of: Callable[[Any], Any]) -> GradientTransformation:
    number("ema", "decay", decay, least=0, below=1)
    flag("ema", "debias", debias)

    def init(params: Any) -> EmaState:
        return EmaState(counter(), tree.map(lambda p: lnp.zeros_like(p, dtype_of(p)), params))

    def update(grads: Any, state: EmaState, params: Any = None) -> tuple[Any, EmaState]:
        mean = tree.map(lambda g, m: decay * widened(m, g) + (1 - decay) * g, grads, state.ema)
        count = state.count + np.int32(1)
        out = tree.map(lambda m: m * bias_correction(decay, count, m.dtype), mean) if debias else mean
        return out, EmaState(count, tree.map(_in_dtype_of, state.ema, mean))

    return transformation("ema", init, update, EmaState)


def _in_dtype_of(old: Any, new: Any) -> Any:
    return new if new.dtype == old.dtype else lnp.astype(new, old.dtype)


def apply_every(k: int = 1) -> GradientTransformation:
    """The sum of k updates at every k-th step, none at the others."""
    every = step_count("apply_every", "k", k)

    def update(grads: Any, state: ApplyEveryState, params: Any = None) -> tuple[Any, ApplyEveryState]:
        is_first, is_last = state.count == 0, state.count == every - 1
        total = tree.map(lambda g, a: g + lnp.where(is_first, lnp.zeros_like(a), a), grads, state.grad_acc)
        out = tree.map(lambda a: lnp.where(is_last, a, lnp.zeros_like(a)), total)
        return out, ApplyEveryState((state.count + np.int32(1)) % every, total)

    return transformation("apply_every", lambda params: ApplyEveryState(counter(), tree.map(lnp.zeros_like, params)), update,
                          ApplyEveryState)


def all_finite(grads: Any) -> Any:
    """Whether all elements are numbers."""
    result: Any = np.bool_(True)
    for leaf in tree.leaves(grads):
        result = lnp.logical_and(result, lnp.all(lnp.isfinite(leaf)))
    return result


def chosen(condition: Any, new: Any, old: Any) -> Any:
    """One tree or the other of the same structure."""
    return tree.map(lambda a, b: lnp.where(condition, a, b), new, old)


def apply_if_finite(inner: GradientTransformation, max_consecutive_errors: int) -> GradientTransformation:
    """``inner``, but nothing where an element is not finite, unless that was so more often in a row than given."""
    whole = transformation_argument("apply_if_finite", "inner", inner)
    most = step_count("apply_if_finite", "max_consecutive_errors", max_consecutive_errors, least=0)

    def init(params: Any) -> ApplyIfFiniteState:
        return ApplyIfFiniteState(counter(), np.bool_(True), counter(), whole.init(params))

    def update(grads: Any, state: ApplyIfFiniteState, params: Any = None) -> tuple[Any, ApplyIfFiniteState]:
        is_finite = all_finite(grads)
        failed = lnp.where(is_finite, np.int32(0), state.notfinite_count + np.int32(1))
        taken = lnp.logical_or(is_finite, failed > most)
        updates, after = lax.cond(taken, lambda: whole.update(grads, state.inner_state, params),
                                  lambda: (tree.map(lnp.zeros_like, grads), state.inner_state))
        total = state.total_notfinite + lnp.where(is_finite, np.int32(0), np.int32(1))
        return updates, ApplyIfFiniteState(failed, is_finite, total, after)

    return transformation("apply_if_finite", init, update, ApplyIfFiniteState)


def skip_not_finite(updates: Any, gradient_step: Any, params: Any) -> tuple[Any, dict[str, Any]]:
    """For ``MultiSteps(should_skip_update_fn=...)``: whether an element is not finite, and how many are not."""
    count: Any = np.int32(0)
    for leaf in tree.leaves(updates):
        count = count + lnp.sum(lnp.logical_not(lnp.isfinite(leaf)), dtype=np.int32)
    skips = count > 0
    return skips, {"should_skip": skips, "num_not_finite": count}


class MultiSteps:
    """``opt`` at every k-th step, on the mean of the gradients since; no update at the others.

    ``every_k_schedule``: k, or a function of the number of updates so far. Steps of which ``should_skip_update_fn(gradients,
    gradient_step, params)`` gives (True, what ``state.skip_state`` is to be) do not count; a function of the gradients alone may
    give True. Means are kept in ``accumulator_dtype``, by default f32 or a wider dtype of the parameters. A pair ``init``,
    ``update`` as any transformation; ``has_updated(state)``: whether the last step updated.
    """

    def __init__(self, opt: GradientTransformation, every_k_schedule: int | Callable[[Any], Any], use_grad_mean: bool = True,
                 should_skip_update_fn: Callable[..., Any] | None = None, accumulator_dtype: Any = None):
        name = "MultiSteps"
        self._opt = extended(name, "opt", opt)
        self._mean = flag(name, "use_grad_mean", use_grad_mean)
        self._dtype = kept_dtype(name, "accumulator_dtype", accumulator_dtype)
        self._skips = None if should_skip_update_fn is None else function(name, "should_skip_update_fn", should_skip_update_fn)
        self._every = every_k_schedule if callable(every_k_schedule) else step_count(name, "every_k_schedule", every_k_schedule)

    @property
    def inner_opt(self) -> GradientTransformation:
        return self._opt

    def init(self, params: Any) -> MultiStepsState:
        sums = tree.map(lambda p: lnp.zeros_like(p, at_least_single(self._dtype, p)), params)
        _, said = self._asked(tree.map(lnp.zeros_like, params), counter(), params)
        return MultiStepsState(counter(), counter(), self._opt.init(params), sums, said)

    def _asked(self, updates: Any, step: Any, params: Any) -> tuple[Any, Any]:
        """Whether a step does not count, and what else its function says."""
        if self._skips is None:
            return False, ()
        found = self._skips(*(updates, step, params) if can_take(self._skips, 3) else (updates,))
        return found if isinstance(found, tuple) else (found, ())

    def update(self, updates: Any, state: MultiStepsState, params: Any = None, **more: Any) -> tuple[Any, MultiStepsState]:
        if self._skips is None:
            return self._taken(updates, state, params, more)
        skips, said = self._asked(updates, state.gradient_step, params)
        found, after = lax.cond(skips, lambda: (tree.map(lnp.zeros_like, updates), state),
                                lambda: self._taken(updates, state, params, more))
        return found, after._replace(skip_state=said)

    def _taken(self, grads: Any, state: MultiStepsState, params: Any, more: dict[str, Any]) -> tuple[Any, MultiStepsState]:
        every = self._every(state.gradient_step) if callable(self._every) else self._every
        step = state.mini_step
        count = step + np.int32(1)
        total = tree.map(lambda g, a: widened(a, g) + ((g - a) / lnp.astype(count, a.dtype) if self._mean else g), grads,
                         state.acc_grads)
        zeros = tree.map(lnp.zeros_like, grads)
        is_last = step == every - 1

        def emitted() -> Any:
            return *self._opt.update(tree.map(_in_dtype_of, grads, total), state.inner_opt_state, params, **more), tree.map(
                lnp.zeros_like, state.acc_grads)

        def kept() -> Any:
            return zeros, state.inner_opt_state, tree.map(_in_dtype_of, state.acc_grads, total)

        updates, inner, left = lax.cond(is_last, emitted, kept)
        return updates, MultiStepsState(lnp.where(is_last, np.int32(0), step + np.int32(1)),
                                        state.gradient_step + lnp.where(is_last, np.int32(1), np.int32(0)), inner, left,
                                        state.skip_state)

    def has_updated(self, state: MultiStepsState) -> Any:
        return lnp.logical_and(state.mini_step == 0, state.gradient_step > 0)

    def gradient_transformation(self) -> GradientTransformation:
        return GradientTransformationExtraArgs(self.init, self.update)
