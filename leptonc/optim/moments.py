"""Directions from decaying moments of the gradient: what optimizers are named after, without learning rates."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from leptonc import numpy as lnp
from leptonc import tree
from leptonc.arguments import choice, flag, function, integer, number, scalar
from leptonc.optim import base
from leptonc.optim.base import GradientTransformation, counter, kept_dtype, kept_in, transformation, widened, zeros_in
from leptonc.tracer import Tracer


class Moments(NamedTuple):
    """``count``: steps so far; ``mu`` and ``nu``: decaying means of the gradient, and of its square or what stands for it."""

    count: Any
    mu: Any
    nu: Any


class Mean(NamedTuple):
    """A decaying mean of the gradient, or of its square, or a sum of squares."""

    value: Any


class CountedMean(NamedTuple):
    """Steps so far, and a decaying mean of the square of the gradient."""

    count: Any
    value: Any


class Deviation(NamedTuple):
    """Decaying means of the gradient and of its square."""

    mu: Any
    nu: Any


class AmsgradState(NamedTuple):
    """As of Adam, and the largest second moment so far."""

    count: Any
    mu: Any
    nu: Any
    nu_max: Any


class AdadeltaState(NamedTuple):
    """Decaying means of squares: of the gradient, and of the updates."""

    e_g: Any
    e_x: Any


class FactoredState(NamedTuple):
    """``count``: steps so far; second moments, of a matrix by rows and columns, of what is not factored whole in ``v``."""

    count: Any
    v_row: Any
    v_col: Any
    v: Any


def _filled(value: float) -> Callable[[Any], Any]:
    return lambda params: tree.map(lambda p: lnp.full_like(p, value), params)


_zeros = _filled(0.0)


def _mean(decay: float, new: Any, old: Any, power: int = 1) -> Any:
    """decay old + (1 - decay) new^power, leaf by leaf."""
    return tree.map(lambda g, m: decay * widened(m, g) + (1 - decay) * (g * g if power == 2 else g), new, old)


def _first(b1: float, grads: Any, mu: Any, count: Any, nesterov: bool) -> Any:
    """The first moments, corrected; with ``nesterov`` those of one step ahead (Dozat 2016)."""
    if not nesterov:
        return _corrected(b1, mu, count)
    return _mean(b1, _corrected(b1, grads, count), _corrected(b1, mu, count + np.int32(1)))


def _corrected(decay: float, moments: Any, count: Any) -> Any:
    correction = functools.cache(lambda dtype: base.bias_correction(decay, count, dtype))
    return tree.map(lambda m: m * correction(m.dtype), moments)


def check_moments(name: str, b1: Any, b2: Any, eps: Any, eps_root: Any = 0.0) -> None:
    for what, decay in (("b1", b1), ("b2", b2)):
        if isinstance(decay, Tracer):  # of inject_hyperparams
            scalar(name, what, decay)
        else:
            number(name, what, decay, least=0, below=1)
    scalar(name, "eps", eps, least=0)
    scalar(name, "eps_root", eps_root, least=0)


def scale_by_rms(decay: float = 0.9, eps: float = 1e-8, initial_scale: float = 0.0, eps_in_sqrt: bool = True,
                 bias_correction: bool = False) -> GradientTransformation:
    """g / sqrt(v + eps), v the decaying mean of g^2 (Tieleman and Hinton 2012); ``eps_in_sqrt=False``: g / (sqrt(v) + eps).
    ``bias_correction``: v as of the steps there were."""
    name = "scale_by_rms"
    scalar(name, "decay", decay)
    scalar(name, "eps", eps, least=0)
    flag(name, "eps_in_sqrt", eps_in_sqrt)

    def scaled(grads: Any, nu: Any) -> Any:
        return tree.map(lambda g, v: g / (lnp.sqrt(v + eps) if eps_in_sqrt else lnp.sqrt(v) + eps), grads, nu)

    def update(grads: Any, state: Mean, params: Any = None) -> tuple[Any, Mean]:
        nu = _mean(decay, grads, state.value, 2)
        return scaled(grads, nu), Mean(nu)

    def corrected_update(grads: Any, state: CountedMean, params: Any = None) -> tuple[Any, CountedMean]:
        count, nu = state.count + np.int32(1), _mean(decay, grads, state.value, 2)
        return scaled(grads, _corrected(decay, nu, count)), CountedMean(count, nu)

    start = _filled(initial_scale)
    if flag(name, "bias_correction", bias_correction):
        return transformation(name, lambda params: CountedMean(counter(), start(params)), corrected_update, CountedMean)
    return transformation(name, lambda params: Mean(start(params)), update, Mean)


def scale_by_stddev(decay: float = 0.9, eps: float = 1e-8, initial_scale: float = 0.0, eps_in_sqrt: bool = True,
                    bias_correction: bool = False) -> GradientTransformation:
    """As ``scale_by_rms``, v being the decaying variance: that of g^2 less the square of that of g (Graves 2013)."""
    name = "scale_by_stddev"
    scalar(name, "decay", decay)
    scalar(name, "eps", eps, least=0)
    flag(name, "eps_in_sqrt", eps_in_sqrt)

    def direction(g: Any, m: Any, v: Any) -> Any:
        variance = v - m * m
        return g / (lnp.sqrt(variance + eps) if eps_in_sqrt else lnp.sqrt(variance) + eps)

    def update(grads: Any, state: Deviation, params: Any = None) -> tuple[Any, Deviation]:
        mu, nu = _mean(decay, grads, state.mu), _mean(decay, grads, state.nu, 2)
        return tree.map(direction, grads, mu, nu), Deviation(mu, nu)

    def corrected_update(grads: Any, state: Moments, params: Any = None) -> tuple[Any, Moments]:
        count = state.count + np.int32(1)
        mu, nu = _mean(decay, grads, state.mu), _mean(decay, grads, state.nu, 2)
        return tree.map(direction, grads, _corrected(decay, mu, count), _corrected(decay, nu, count)), Moments(count, mu, nu)

    start = _filled(initial_scale)
    if flag(name, "bias_correction", bias_correction):
        return transformation(name, lambda params: Moments(counter(), _zeros(params), start(params)), corrected_update, Moments)
    return transformation(name, lambda params: Deviation(_zeros(params), start(params)), update, Deviation)


def scale_by_rss(initial_accumulator_value: float = 0.1, eps: float = 1e-7) -> GradientTransformation:
    """g / sqrt(s + eps), s the sum of g^2 so far (Duchi et al. 2011); 0 where that sum is."""
    name = "scale_by_rss"
    scalar(name, "initial_accumulator_value", initial_accumulator_value, least=0)
    scalar(name, "eps", eps, least=0)

    def update(grads: Any, state: Mean, params: Any = None) -> tuple[Any, Mean]:
        total = tree.map(lambda g, s: s + g * g, grads, state.value)
        return tree.map(lambda g, s: g * lnp.where(s > 0, 1 / lnp.sqrt(s + eps), lnp.zeros_like(s)), grads, total), Mean(total)

    return transformation(name, lambda params: Mean(_filled(initial_accumulator_value)(params)), update, Mean)


def scale_by_adadelta(rho: float = 0.9, eps: float = 1e-6) -> GradientTransformation:
    """g sqrt(x + eps) / sqrt(v + eps), x the decaying mean of squared updates (Zeiler 2012)."""
    scalar("scale_by_adadelta", "rho", rho)
    scalar("scale_by_adadelta", "eps", eps, least=0)

    def update(grads: Any, state: AdadeltaState, params: Any = None) -> tuple[Any, AdadeltaState]:
        e_g = _mean(rho, grads, state.e_g, 2)
        updates = tree.map(lambda g, v, x: lnp.sqrt(x + eps) / lnp.sqrt(v + eps) * g, grads, e_g, state.e_x)
        return updates, AdadeltaState(e_g, _mean(rho, updates, state.e_x, 2))

    return transformation("scale_by_adadelta", lambda params: AdadeltaState(_zeros(params), _zeros(params)), update, AdadeltaState)


def scale_by_adamax(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> GradientTransformation:
    """m / u, u the larger of |g| + eps and b2 u (Kingma and Ba 2015, section 7.1)."""
    check_moments("scale_by_adamax", b1, b2, eps)

    def update(grads: Any, state: Moments, params: Any = None) -> tuple[Any, Moments]:
        count = state.count + np.int32(1)
        mu = _mean(b1, grads, state.mu)
        nu = tree.map(lambda g, u: lnp.maximum(lnp.abs(g) + eps, b2 * u), grads, state.nu)
        return tree.map(lambda m, u: m / u, _corrected(b1, mu, count), nu), Moments(count, mu, nu)

    return transformation("scale_by_adamax", lambda params: Moments(counter(), _zeros(params), _zeros(params)), update, Moments)


def scale_by_amsgrad(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, eps_root: float = 0.0, mu_dtype: Any = None,
                     bias_correction_mu: bool = True, bias_correction_nu: bool = True) -> GradientTransformation:
    """As Adam, by the largest second moment so far (Reddi et al. 2018); the first moment is kept in ``mu_dtype``, and either is
    corrected or not."""
    name = "scale_by_amsgrad"
    check_moments(name, b1, b2, eps, eps_root)
    kept = kept_dtype(name, "mu_dtype", mu_dtype)
    of_mu, of_nu = flag(name, "bias_correction_mu", bias_correction_mu), flag(name, "bias_correction_nu", bias_correction_nu)

    def init(params: Any) -> AmsgradState:
        return AmsgradState(counter(), zeros_in(kept, params), _zeros(params), _zeros(params))

    def update(grads: Any, state: AmsgradState, params: Any = None) -> tuple[Any, AmsgradState]:
        count = state.count + np.int32(1)
        mu, nu = _mean(b1, grads, state.mu), _mean(b2, grads, state.nu, 2)
        largest = tree.map(lnp.maximum, state.nu_max, _corrected(b2, nu, count) if of_nu else nu)
        first = _corrected(b1, mu, count) if of_mu else mu
        updates = tree.map(lambda m, v: m / (lnp.sqrt(v + eps_root) + eps), first, largest)
        return updates, AmsgradState(count, kept_in(kept, mu), nu, largest)

    return transformation("scale_by_amsgrad", init, update, AmsgradState)


def scale_by_belief(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-16, eps_root: float = 1e-16, *,
                    nesterov: bool = False) -> GradientTransformation:
    """As Adam, by the second moment of the gradient's distance from its mean (Zhuang et al. 2020)."""
    check_moments("scale_by_belief", b1, b2, eps, eps_root)
    flag("scale_by_belief", "nesterov", nesterov)

    def update(grads: Any, state: Moments, params: Any = None) -> tuple[Any, Moments]:
        count = state.count + np.int32(1)
        mu = _mean(b1, grads, state.mu)
        nu = tree.map(lambda g, m, v: b2 * v + (1 - b2) * ((g - m) * (g - m)) + eps_root, grads, mu, state.nu)
        first = _first(b1, grads, mu, count, nesterov)
        updates = tree.map(lambda m, v: m / (lnp.sqrt(v) + eps), first, _corrected(b2, nu, count))
        return updates, Moments(count, mu, nu)

    return transformation("scale_by_belief", lambda params: Moments(counter(), _zeros(params), _zeros(params)), update, Moments)


def scale_by_yogi(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-3, eps_root: float = 0.0,
                  initial_accumulator_value: float = 1e-6) -> GradientTransformation:
    """As Adam, whose second moment moves by no more than g^2 in either direction (Zaheer et al. 2018)."""
    check_moments("scale_by_yogi", b1, b2, eps, eps_root)
    start = _filled(scalar("scale_by_yogi", "initial_accumulator_value", initial_accumulator_value))

    def moved(g: Any, v: Any) -> Any:
        square = g * g
        return v - (1 - b2) * lnp.sign(v - square) * square

    def update(grads: Any, state: Moments, params: Any = None) -> tuple[Any, Moments]:
        count = state.count + np.int32(1)
        mu, nu = _mean(b1, grads, state.mu), tree.map(moved, grads, state.nu)
        updates = tree.map(lambda m, v: m / (lnp.sqrt(v + eps_root) + eps), _corrected(b1, mu, count), _corrected(b2, nu, count))
        return updates, Moments(count, mu, nu)

    return transformation("scale_by_yogi", lambda params: Moments(counter(), start(params), start(params)), update, Moments)


def scale_by_radam(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, eps_root: float = 0.0,
                   threshold: float = 5.0, *, nesterov: bool = False) -> GradientTransformation:
    """As Adam, rectified: the first moment alone until the second's variance is tractable (Liu et al. 2020)."""
    check_moments("scale_by_radam", b1, b2, eps, eps_root)
    flag("scale_by_radam", "nesterov", nesterov)
    scalar("scale_by_radam", "threshold", threshold)
    most = 2 / (1 - b2) - 1

    def rectified(m: Any, v: Any, count: Any) -> Any:
        steps = lnp.astype(count, np.float64)  # the length is a small difference of large numbers
        length = most - 2 * steps * lnp.power(np.float64(b2), steps) * base.bias_correction(b2, count, np.float64)
        ratio = (length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length)
        is_long = length >= threshold
        factor = lnp.astype(lnp.sqrt(lnp.where(is_long, ratio, lnp.ones_like(ratio))), m.dtype)
        return lnp.where(is_long, factor * m / (lnp.sqrt(v + eps_root) + eps), m)

    def update(grads: Any, state: Moments, params: Any = None) -> tuple[Any, Moments]:
        count = state.count + np.int32(1)
        mu, nu = _mean(b1, grads, state.mu), _mean(b2, grads, state.nu, 2)
        first = _first(b1, grads, mu, count, nesterov)
        updates = tree.map(lambda m, v: rectified(m, v, count), first, _corrected(b2, nu, count))
        return updates, Moments(count, mu, nu)

    return transformation("scale_by_radam", lambda params: Moments(counter(), _zeros(params), _zeros(params)), update, Moments)


def scale_by_lion(b1: float = 0.9, b2: float = 0.99, mu_dtype: Any = None, *, mode: str = "hard",
                  smooth_beta: float = 1.0) -> GradientTransformation:
    """The sign of x = b1 m + (1 - b1) g, m kept in ``mu_dtype`` (Chen et al. 2023). ``mode`` "smooth": tanh(smooth_beta x);
    "refined": x itself where that is within 1."""
    check_moments("scale_by_lion", b1, b2, 0.0)
    kept = kept_dtype("scale_by_lion", "mu_dtype", mu_dtype)
    scalar("scale_by_lion", "smooth_beta", smooth_beta)
    signs: dict[str, Callable[[Any], Any]] = {
        "hard": lnp.sign, "smooth": lambda x: lnp.tanh(smooth_beta * x),
        "refined": lambda x: lnp.where(lnp.abs(x) < 1, x, lnp.sign(x))}
    sign_of = signs[choice("scale_by_lion", "mode", mode, signs)]

    def update(grads: Any, state: Mean, params: Any = None) -> tuple[Any, Mean]:
        mu = kept_in(kept, _mean(b2, grads, state.value))
        return tree.map(lambda g, m: sign_of(b1 * widened(m, g) + (1 - b1) * g), grads, state.value), Mean(mu)

    return transformation("scale_by_lion", lambda params: Mean(zeros_in(kept, params)), update, Mean)


def factored_axes(shape: tuple[int, ...], least: int) -> tuple[int, int] | None:
    """The two longest axes, the longest last, where both have at least so many elements."""
    if len(shape) < 2:
        return None
    order = sorted(range(len(shape)), key=lambda axis: (shape[axis], axis))
    return (order[-2], order[-1]) if shape[order[-2]] >= least else None


def scale_by_factored_rms(factored: bool = True, decay_rate: float = 0.8, step_offset: int = 0, min_dim_size_to_factor: int = 128,
                          epsilon: float = 1e-30,
                          decay_rate_fn: Callable[[Any, Any], Any] | None = None) -> GradientTransformation:
    """g / sqrt(v), v as the product of its means by rows and by columns where a matrix is large (Shazeer and Stern 2018).
    ``decay_rate_fn(step, decay_rate)`` gives the decay, by default 1 - (step + 1)^-decay_rate."""
    name = "scale_by_factored_rms"
    decays = None if decay_rate_fn is None else function(name, "decay_rate_fn", decay_rate_fn, 2)
    flag(name, "factored", factored)
    scalar(name, "decay_rate", decay_rate)
    integer(name, "step_offset", step_offset)
    least = integer(name, "min_dim_size_to_factor", min_dim_size_to_factor, least=1)

    def axes_of(p: Any) -> tuple[int, int] | None:
        return factored_axes(tuple(p.shape), least) if factored else None

    def without(p: Any, which: int) -> Any:
        axes = axes_of(p)
        return np.zeros(1, p.dtype) if axes is None else lnp.zeros_like(lnp.mean(p, axes[which]))

    def init(params: Any) -> FactoredState:
        return FactoredState(counter(), tree.map(lambda p: without(p, 1), params), tree.map(lambda p: without(p, 0), params),
                             tree.map(lambda p: lnp.zeros_like(p) if axes_of(p) is None else np.zeros(1, p.dtype), params))

    def step(g: Any, row: Any, column: Any, v: Any, decay: Any) -> tuple[Any, Any, Any, Any]:
        square, axes = g * g + epsilon, axes_of(g)
        if axes is None:
            v = decay * v + (1 - decay) * square
            return g / lnp.sqrt(v), row, column, v
        short, long = axes
        row = decay * row + (1 - decay) * lnp.mean(square, long)
        column = decay * column + (1 - decay) * lnp.mean(square, short)
        mean = lnp.mean(row, short - 1 if short > long else short, keepdims=True)
        return g * lnp.expand_dims(lnp.sqrt(mean / row), long) * lnp.expand_dims(1 / lnp.sqrt(column), short), row, column, v

    def update(grads: Any, state: FactoredState, params: Any = None) -> tuple[Any, FactoredState]:
        steps = state.count - step_offset + 1

        @functools.cache
        def rate(dtype: Any) -> Any:
            if decays is not None:
                return lnp.asarray(decays(state.count - step_offset, decay_rate), dtype)
            return 1 - lnp.power(lnp.astype(steps, dtype), dtype.type(-decay_rate))

        leaves, structure = tree.flatten(grads)
        olds = [tree.flatten_up_to(structure, t) for t in (state.v_row, state.v_col, state.v)]
        news = [step(g, row, column, v, rate(g.dtype)) for g, row, column, v in zip(leaves, *olds)]
        updates, row, column, v = (tree.unflatten(structure, part) for part in zip(*news))
        return updates, FactoredState(state.count + np.int32(1), row, column, v)

    return transformation(name, init, update, FactoredState)


def root_mean_square(x: Any) -> Any:
    return lnp.sqrt(lnp.sum(x * x) * x.dtype.type(1 / max(int(np.prod(x.shape)), 1)))


def euclidean(x: Any) -> Any:
    return lnp.sqrt(lnp.sum(x * x))


