"""More directions, and the optimizers that are named after them: by differences of gradients, by signs, by rows and columns."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from leptonc import lax, random, tree
from leptonc import numpy as lnp
from leptonc.arguments import choice, flag, number, scalar
from leptonc.errors import ArgumentError, LeptonError
from leptonc.optim.base import (
    EmptyState,
    GradientTransformation,
    bias_correction,
    chain,
    counter,
    kept_dtype,
    kept_in,
    rate_argument,
    transformation,
    widened,
    zeros_in,
)
from leptonc.optim.clipping import scale_by_sign, scale_by_trust_ratio
from leptonc.optim.moments import check_moments
from leptonc.optim.optimizers import sgd
from leptonc.optim.schedules import Schedule
from leptonc.optim.transforms import add_decayed_weights, scale, scale_by_adam, scale_by_learning_rate
from leptonc.optim.wrappers import ema
from leptonc.tracer import Tracer

Rate = float | Schedule


class ScaleByAdanState(NamedTuple):
    """Decaying means of gradients, of their differences, and of squares of what looks ahead; the last gradient; steps so far."""

    m: Any
    v: Any
    n: Any
    g: Any
    t: Any


class ScaleByNovogradState(NamedTuple):
    """Steps so far, momentum, and of each array the decaying mean of its gradient's square norm."""

    count: Any
    mu: Any
    nu: Any


class ScaleByRpropState(NamedTuple):
    """The step of each element, and the last updates."""

    step_sizes: Any
    prev_updates: Any


class ScaleBySM3State(NamedTuple):
    """Of each array the largest sums of squares by each of its axes; momentum."""

    mu: Any
    nu: Any


class ScaleByOptimisticGradientState(NamedTuple):
    """Whether there was no step yet, and the last gradient."""

    is_initial_step: Any
    previous_gradient: Any


class AddNoiseState(NamedTuple):
    """Steps so far, and the key of the next one."""

    count: Any
    rng_key: Any


def _zeros(params: Any) -> Any:
    return tree.map(lnp.zeros_like, params)


def scale_by_adan(b1: float = 0.98, b2: float = 0.92, b3: float = 0.99, eps: float = 1e-8,
                  eps_root: float = 0.0) -> GradientTransformation:
    """By means of gradients and of their differences (Xie et al. 2022)."""
    check_moments("scale_by_adan", b1, b2, eps, eps_root)
    check_moments("scale_by_adan", b1, b3, eps)

    def update(grads: Any, state: ScaleByAdanState, params: Any = None) -> tuple[Any, ScaleByAdanState]:
        t = state.t + np.int32(1)
        moved = tree.map(lambda g, last: lnp.where(state.t == 0, lnp.zeros_like(g), g - last), grads, state.g)
        m = tree.map(lambda g, m: b1 * m + (1 - b1) * g, grads, state.m)
        v = tree.map(lambda d, v: b2 * v + (1 - b2) * d, moved, state.v)
        n = tree.map(lambda g, d, n: b3 * n + (1 - b3) * lnp.square(g + (1 - b2) * d), grads, moved, state.n)
        corrections = functools.cache(lambda dtype: tuple(bias_correction(b, t, dtype) for b in (b1, b2, b3)))

        def direction(m: Any, v: Any, n: Any) -> Any:
            first, second, third = corrections(m.dtype)
            return (m * first + (1 - b2) * (v * second)) / (lnp.sqrt(n * third + eps_root) + eps)

        return tree.map(direction, m, v, n), ScaleByAdanState(m, v, n, grads, t)

    return transformation("scale_by_adan", lambda params: ScaleByAdanState(
        _zeros(params), _zeros(params), _zeros(params), _zeros(params), counter()), update, ScaleByAdanState)


def adan(learning_rate: Rate, b1: float = 0.98, b2: float = 0.92, b3: float = 0.99, eps: float = 1e-8, eps_root: float = 1e-8,
         weight_decay: float = 0.0, mask: Any = None) -> GradientTransformation:
    """Adaptive Nesterov momentum (Xie et al. 2022)."""
    rate_argument("adan", learning_rate)
    return chain(scale_by_adan(b1, b2, b3, eps, eps_root), add_decayed_weights(weight_decay, mask),
                 scale_by_learning_rate(learning_rate))


def scale_by_novograd(b1: float = 0.9, b2: float = 0.25, eps: float = 1e-8, eps_root: float = 0.0,
                      weight_decay: float = 0.0, mu_dtype: Any = None) -> GradientTransformation:
    """By each array's norm, with momentum, kept in ``mu_dtype``, and decay behind it (Ginsburg et al. 2019)."""
    kept = kept_dtype("scale_by_novograd", "mu_dtype", mu_dtype)
    check_moments("scale_by_novograd", b1, b2, eps, eps_root)
    scalar("scale_by_novograd", "weight_decay", weight_decay)

    def update(grads: Any, state: ScaleByNovogradState, params: Any = None) -> tuple[Any, ScaleByNovogradState]:
        if params is None:
            raise LeptonError("scale_by_novograd: update needs the parameters; fix: update(grads, state, params)")
        first = state.count == 0
        nu = tree.map(lambda g, n: lnp.where(first, lnp.sum(g * g), b2 * n + (1 - b2) * lnp.sum(g * g)), grads, state.nu)
        scaled = tree.map(lambda g, p, n: g / (lnp.sqrt(n + eps_root) + eps) + weight_decay * p, grads, params, nu)
        mu = kept_in(kept, tree.map(lambda s, m: lnp.where(first, s, b1 * widened(m, s) + s), scaled, state.mu))
        return mu, ScaleByNovogradState(state.count + np.int32(1), mu, nu)

    def init(params: Any) -> ScaleByNovogradState:
        return ScaleByNovogradState(counter(), zeros_in(kept, params), tree.map(lambda p: lnp.zeros((), p.dtype), params))

    return transformation("scale_by_novograd", init, update, ScaleByNovogradState)


def novograd(learning_rate: Rate, b1: float = 0.9, b2: float = 0.25, eps: float = 1e-6, eps_root: float = 0.0,
             weight_decay: float = 0.0) -> GradientTransformation:
    """NovoGrad (Ginsburg et al. 2019)."""
    rate_argument("novograd", learning_rate)
    return chain(scale_by_novograd(b1, b2, eps, eps_root, weight_decay), scale_by_learning_rate(learning_rate))


def scale_by_rprop(learning_rate: float, eta_minus: float = 0.5, eta_plus: float = 1.2, min_step_size: float = 1e-6,
                   max_step_size: float = 50.0) -> GradientTransformation:
    """Steps of each element's own size, which grows while the gradient keeps its sign, and shrinks where it turns (Riedmiller and
    Braun 1993)."""
    for what, value in (("learning_rate", learning_rate), ("eta_minus", eta_minus), ("eta_plus", eta_plus)):
        scalar("scale_by_rprop", what, value)

    def update(grads: Any, state: ScaleByRpropState, params: Any = None) -> tuple[Any, ScaleByRpropState]:
        turns = tree.map(lambda g, last: g * last, grads, state.prev_updates)
        sizes = tree.map(lambda s, size: lnp.where(s == 0, size, lnp.clip(
            size * lnp.where(s > 0, size.dtype.type(eta_plus), size.dtype.type(eta_minus)), min_step_size, max_step_size)),
            turns, state.step_sizes)
        steps = tree.map(lambda s, g, size: lnp.where(s < 0, lnp.zeros_like(g), size * lnp.sign(g)), turns, grads, sizes)
        # As optax has it: the step of the call before, or none where the gradient has turned.
        out = tree.map(lambda s, last: lnp.where(s < 0, lnp.zeros_like(last), last), turns, state.prev_updates)
        return out, ScaleByRpropState(sizes, steps)

    return transformation("scale_by_rprop", lambda params: ScaleByRpropState(
        tree.map(lambda p: lnp.full_like(p, learning_rate), params), _zeros(params)), update, ScaleByRpropState)


def rprop(learning_rate: float, eta_minus: float = 0.5, eta_plus: float = 1.2, min_step_size: float = 1e-6,
          max_step_size: float = 50.0) -> GradientTransformation:
    """Resilient backpropagation, for gradients of all data (Riedmiller and Braun 1993)."""
    return chain(scale_by_rprop(learning_rate, eta_minus, eta_plus, min_step_size, max_step_size), scale(-1.0))


def scale_by_sm3(b1: float = 0.9, b2: float = 1.0, eps: float = 1e-8) -> GradientTransformation:
    """By sums of squares that are kept for each row and column alone, with momentum (Anil et al. 2019)."""
    number("scale_by_sm3", "b1", b1, least=0, below=1)
    scalar("scale_by_sm3", "b2", b2)
    scalar("scale_by_sm3", "eps", eps, least=0)
    weight = 1.0 if b2 == 1.0 else 1 - b2

    def total(g: Any, sums: Any) -> Any:
        least = functools.reduce(lnp.minimum, [lnp.expand_dims(s, [d for d in range(g.ndim) if d != axis])
                                               for axis, s in enumerate(sums)])
        return weight * g * g + b2 * least

    def by_axes(sums: Any) -> list[Any]:
        return [lnp.max(sums, tuple(d for d in range(sums.ndim) if d != axis)) for axis in range(sums.ndim)]

    def update(grads: Any, state: ScaleBySM3State, params: Any = None) -> tuple[Any, ScaleBySM3State]:
        sums = tree.map(total, grads, state.mu)
        scaled = tree.map(lambda g, s: g * lnp.where(s > 0, lax.rsqrt(s + eps), lnp.zeros_like(s)), grads, sums)
        nu = tree.map(lambda u, v: b1 * v + (1 - b1) * u, scaled, state.nu)
        return nu, ScaleBySM3State(tree.map(by_axes, sums), nu)

    def init(params: Any) -> ScaleBySM3State:
        return ScaleBySM3State(tree.map(lambda p: [lnp.zeros(n, p.dtype) for n in p.shape], params), _zeros(params))

    return transformation("scale_by_sm3", init, update, ScaleBySM3State)


def sm3(learning_rate: float, momentum: float = 0.9) -> GradientTransformation:
    """SM3, for little memory (Anil et al. 2019)."""
    scalar("sm3", "learning_rate", learning_rate)
    return chain(scale_by_sm3(momentum), scale(-learning_rate))


def scale_by_optimistic_gradient(alpha: float = 1.0, beta: float = 1.0) -> GradientTransformation:
    """(alpha + beta) g - beta times the gradient before (Mokhtari et al. 2019)."""
    scalar("scale_by_optimistic_gradient", "alpha", alpha)
    scalar("scale_by_optimistic_gradient", "beta", beta)

    def update(grads: Any, state: ScaleByOptimisticGradientState,
               params: Any = None) -> tuple[Any, ScaleByOptimisticGradientState]:
        out = tree.map(lambda g, last: (alpha + beta) * g - beta * lnp.where(state.is_initial_step, g, last), grads,
                       state.previous_gradient)
        return out, ScaleByOptimisticGradientState(lnp.zeros_like(state.is_initial_step), grads)

    return transformation("scale_by_optimistic_gradient", lambda params: ScaleByOptimisticGradientState(
        np.ones((), np.bool_), _zeros(params)), update, ScaleByOptimisticGradientState)


def optimistic_gradient_descent(learning_rate: Rate, alpha: float = 1.0, beta: float = 1.0) -> GradientTransformation:
    """Optimistic gradient descent, for games (Mokhtari et al. 2019)."""
    rate_argument("optimistic_gradient_descent", learning_rate)
    return chain(scale_by_optimistic_gradient(alpha, beta), scale_by_learning_rate(learning_rate))


def optimistic_adam_v2(learning_rate: Rate, *, alpha: float = 1.0, beta: float = 1.0, b1: float = 0.9, b2: float = 0.999,
                       eps: float = 1e-8, eps_root: float = 0.0, mu_dtype: Any = None,
                       nesterov: bool = True) -> GradientTransformation:
    """Optimistic Adam, for games (Daskalakis et al. 2017)."""
    rate_argument("optimistic_adam_v2", learning_rate)
    return chain(scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=flag("optimistic_adam_v2", "nesterov", nesterov)),
                 scale_by_optimistic_gradient(alpha, beta), scale_by_learning_rate(learning_rate))


def scale_by_polyak(f_min: float = 0.0, max_learning_rate: float = 1.0, eps: float = 0.0,
                    variant: str = "sps") -> GradientTransformation:
    """Times Polyak's step (loss - f_min) / |g|^2, at most ``max_learning_rate``: ``update(grads, state, params, value=loss)``
    (Loizou et al. 2021). ``variant`` "sps+": 0 for a loss below f_min."""
    choice("scale_by_polyak", "variant", variant, ("sps", "sps+"))
    for what, value in (("f_min", f_min), ("max_learning_rate", max_learning_rate), ("eps", eps)):
        scalar("scale_by_polyak", what, value)

    def update(grads: Any, state: EmptyState, params: Any = None, *, value: Any, **more: Any) -> tuple[Any, EmptyState]:
        square = functools.reduce(lnp.add, [lnp.sum(g * g) for g in tree.leaves(grads)])
        gap = lnp.astype(lnp.asarray(value) - f_min, square.dtype)
        gap = lnp.maximum(gap, 0) if variant == "sps+" else gap
        none = square + eps <= float(np.finfo(np.float32).eps)
        step = lnp.where(none, lnp.zeros_like(square), lnp.minimum(gap / lnp.where(none, 1, square + eps), max_learning_rate))
        return tree.map(lambda g: g * step, grads), state

    return transformation("scale_by_polyak", lambda params: EmptyState(), update, EmptyState, extra=True)


def polyak_sgd(max_learning_rate: float = 1.0, scaling: Rate = 1.0, f_min: float = 0.0, eps: float = 0.0,
               variant: str = "sps") -> GradientTransformation:
    """Gradient descent by Polyak's step; update takes the loss, ``value=loss`` (Loizou et al. 2021)."""
    return chain(sgd(scaling), scale_by_polyak(f_min, max_learning_rate, eps, variant))


def add_noise(eta: float, gamma: float, key: Any = None, *, seed: int | None = None) -> GradientTransformation:
    """Updates plus normal noise of variance eta / step^gamma (Neelakantan et al. 2015), by a key, or a number (0) that makes one;
    ``seed`` is its older name."""
    scalar("add_noise", "eta", eta, least=0)
    scalar("add_noise", "gamma", gamma)
    if seed is not None and key is not None:
        raise ArgumentError("add_noise: key and seed are the same thing; fix: give one of them")
    key = 0 if key is None and seed is None else seed if key is None else key
    start = key if isinstance(key, Tracer | np.ndarray) and key.shape else random.key(key)

    def update(grads: Any, state: AddNoiseState, params: Any = None) -> tuple[Any, AddNoiseState]:
        count = state.count + np.int32(1)
        following, own = random.split(state.rng_key)
        leaves, structure = tree.flatten(grads)
        deviation = functools.cache(lambda dtype: lnp.sqrt(eta / lnp.power(lnp.astype(count, dtype), gamma)))
        keys = random.split(own, len(leaves))
        noisy = [g + deviation(g.dtype) * random.normal(keys[n], g.shape, g.dtype) for n, g in enumerate(leaves)]
        return tree.unflatten(structure, noisy), AddNoiseState(count, following)

    return transformation("add_noise", lambda params: AddNoiseState(counter(), start), update, AddNoiseState)


def noisy_sgd(learning_rate: Rate, eta: float = 0.01, gamma: float = 0.55, key: Any = None, *,
              seed: int | None = None) -> GradientTransformation:
    """Gradient descent with noise that decays (Neelakantan et al. 2015)."""
    rate_argument("noisy_sgd", learning_rate)
    return chain(add_noise(eta, gamma, key, seed=seed), scale_by_learning_rate(learning_rate))


def signum(learning_rate: Rate, beta: float = 0.9, accumulator_dtype: Any = None) -> GradientTransformation:
    """By the sign of the decaying mean of gradients (Bernstein et al. 2018)."""
    rate_argument("signum", learning_rate)
    return chain(ema(beta, False, accumulator_dtype), scale_by_sign(), scale_by_learning_rate(learning_rate))


def fromage(learning_rate: Rate, min_norm: float = 1e-6) -> GradientTransformation:
    """Steps in proportion to weights' norms (Bernstein et al. 2020)."""
    rate = rate_argument("fromage", learning_rate)
    if not callable(rate):
        factor = 1 / (1 + rate**2) ** 0.5
        return chain(scale_by_trust_ratio(min_norm), scale_by_learning_rate(rate * factor), add_decayed_weights(factor - 1))

    def factor_at(count: Any) -> Any:
        return 1 / lnp.sqrt(1 + lnp.square(rate(count)))

    return chain(scale_by_trust_ratio(min_norm), scale_by_learning_rate(lambda count: factor_at(count) * rate(count)),
                 add_decayed_weights(lambda count: factor_at(count) - 1))
