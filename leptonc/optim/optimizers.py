"""Whole optimizers, by the names that optax gives them: directions, decay and learning rate behind one another."""

from __future__ import annotations

from typing import Any

from leptonc.arguments import flag, scalar
from leptonc.optim.base import GradientTransformation, chain, rate_argument
from leptonc.optim.clipping import clip_by_block_rms, scale_by_param_block_rms, scale_by_sign, scale_by_trust_ratio
from leptonc.optim.moments import (
    check_moments,
    scale_by_adadelta,
    scale_by_adamax,
    scale_by_amsgrad,
    scale_by_belief,
    scale_by_factored_rms,
    scale_by_lion,
    scale_by_radam,
    scale_by_rms,
    scale_by_rss,
    scale_by_stddev,
    scale_by_yogi,
)
from leptonc.optim.schedules import Schedule
from leptonc.optim.selected import masked
from leptonc.optim.transforms import add_decayed_weights, scale, scale_by_adam, scale_by_learning_rate, trace
from leptonc.optim.wrappers import ema_at_least_single

Rate = float | Schedule


def _with_rate(name: str, learning_rate: Any, *parts: GradientTransformation) -> GradientTransformation:
    rate_argument(name, learning_rate)
    return chain(*parts, scale_by_learning_rate(learning_rate))


def sgd(learning_rate: Rate, momentum: float | None = None, nesterov: bool = False,
        accumulator_dtype: Any = None) -> GradientTransformation:
    """Stochastic gradient descent, with momentum, if there is one, kept in ``accumulator_dtype``."""
    flag("sgd", "nesterov", nesterov)
    factor = scalar("sgd", "momentum", 0.0 if momentum is None else momentum)
    is_none = type(factor) in (int, float) and factor == 0
    return _with_rate("sgd", learning_rate, *([] if is_none else [trace(factor, nesterov, accumulator_dtype)]))


def sign_sgd(learning_rate: Rate) -> GradientTransformation:
    """By the gradient's sign (Bernstein et al. 2018)."""
    return _with_rate("sign_sgd", learning_rate, scale_by_sign())


def adam(learning_rate: Rate, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, eps_root: float = 0.0, mu_dtype: Any = None,
         *, nesterov: bool = False) -> GradientTransformation:
    """Adam (Kingma and Ba 2015), its first moment kept in ``mu_dtype``, by default the parameters'."""
    check_moments("adam", b1, b2, eps, eps_root)
    return _with_rate("adam", learning_rate, scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov))


def adamw(learning_rate: Rate, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, eps_root: float = 0.0, mu_dtype: Any = None,
          weight_decay: float = 1e-4, mask: Any = None, *, nesterov: bool = False) -> GradientTransformation:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019), of what ``mask`` says (see ``masked``)."""
    check_moments("adamw", b1, b2, eps, eps_root)
    rate_argument("adamw", weight_decay, "weight_decay")
    return _with_rate("adamw", learning_rate, scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
                      add_decayed_weights(weight_decay, mask))


def nadam(learning_rate: Rate, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, eps_root: float = 0.0, mu_dtype: Any = None,
          *, nesterov: bool = True) -> GradientTransformation:
    """Adam with Nesterov's momentum (Dozat 2016)."""
    return adam(learning_rate, b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)


def nadamw(learning_rate: Rate, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, eps_root: float = 0.0, mu_dtype: Any = None,
           weight_decay: float = 1e-4, mask: Any = None, *, nesterov: bool = True) -> GradientTransformation:
    """``nadam`` with decoupled weight decay."""
    return adamw(learning_rate, b1, b2, eps, eps_root, mu_dtype, weight_decay, mask, nesterov=nesterov)


def adamax(learning_rate: Rate, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> GradientTransformation:
    """Adam by the largest gradients (Kingma and Ba 2015, section 7.1)."""
    return _with_rate("adamax", learning_rate, scale_by_adamax(b1, b2, eps))


def adamaxw(learning_rate: Rate, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, weight_decay: float = 1e-4,
            mask: Any = None) -> GradientTransformation:
    """``adamax`` with decoupled weight decay."""
    return _with_rate("adamaxw", learning_rate, scale_by_adamax(b1, b2, eps), add_decayed_weights(weight_decay, mask))


def amsgrad(learning_rate: Rate, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, eps_root: float = 0.0,
            mu_dtype: Any = None, bias_correction_mu: bool = True, bias_correction_nu: bool = True) -> GradientTransformation:
    """Adam by the largest second moment so far (Reddi et al. 2018)."""
    return _with_rate("amsgrad", learning_rate, scale_by_amsgrad(b1, b2, eps, eps_root, mu_dtype, bias_correction_mu,
                                                                 bias_correction_nu))


def adabelief(learning_rate: Rate, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-16, eps_root: float = 1e-16, *,
              nesterov: bool = False) -> GradientTransformation:
    """Adam by the gradient's distance from its mean (Zhuang et al. 2020)."""
    return _with_rate("adabelief", learning_rate, scale_by_belief(b1, b2, eps, eps_root, nesterov=nesterov))


def yogi(learning_rate: Rate, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-3) -> GradientTransformation:
    """Yogi (Zaheer et al. 2018)."""
    return _with_rate("yogi", learning_rate, scale_by_yogi(b1, b2, eps))


def radam(learning_rate: Rate, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, eps_root: float = 0.0,
          threshold: float = 5.0, *, nesterov: bool = False) -> GradientTransformation:
    """Rectified Adam (Liu et al. 2020)."""
    return _with_rate("radam", learning_rate, scale_by_radam(b1, b2, eps, eps_root, threshold, nesterov=nesterov))


def lion(learning_rate: Rate, b1: float = 0.9, b2: float = 0.99, mu_dtype: Any = None, weight_decay: float = 1e-3,
         mask: Any = None) -> GradientTransformation:
    """Lion (Chen et al. 2023)."""
    return _with_rate("lion", learning_rate, scale_by_lion(b1, b2, mu_dtype), add_decayed_weights(weight_decay, mask))


def rmsprop(learning_rate: Rate, decay: float = 0.9, eps: float = 1e-8, initial_scale: float = 0.0, eps_in_sqrt: bool = True,
            centered: bool = False, momentum: float | None = None, nesterov: bool = False,
            bias_correction: bool = False) -> GradientTransformation:
    """By the root of the mean square (Tieleman and Hinton 2012); ``centered``: by the standard deviation (Graves 2013);
    ``bias_correction``: of the steps there were."""
    rate_argument("rmsprop", learning_rate)
    scale_by = scale_by_stddev if flag("rmsprop", "centered", centered) else scale_by_rms
    scaled = scale_by(decay, eps, initial_scale, eps_in_sqrt, bias_correction)
    behind = [] if momentum is None else [trace(momentum, nesterov)]
    return chain(scaled, scale_by_learning_rate(learning_rate), *behind)


def adagrad(learning_rate: Rate, initial_accumulator_value: float = 0.1, eps: float = 1e-7) -> GradientTransformation:
    """By the sum of squares (Duchi et al. 2011)."""
    return _with_rate("adagrad", learning_rate, scale_by_rss(initial_accumulator_value, eps))


def adadelta(learning_rate: Rate | None = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0.0,
             weight_decay_mask: Any = None) -> GradientTransformation:
    """Adadelta (Zeiler 2012). Of no learning rate, None, the updates point up the gradient, as optax's do."""
    parts = add_decayed_weights(weight_decay, weight_decay_mask), scale_by_adadelta(rho, eps)
    return chain(*parts) if learning_rate is None else _with_rate("adadelta", learning_rate, *parts)


def lamb(learning_rate: Rate, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-6, eps_root: float = 0.0,
         weight_decay: float = 0.0, mask: Any = None) -> GradientTransformation:
    """Adam, each layer's step in proportion to its weights (You et al. 2020)."""
    return _with_rate("lamb", learning_rate, scale_by_adam(b1, b2, eps, eps_root), add_decayed_weights(weight_decay, mask),
                      scale_by_trust_ratio())


def lars(learning_rate: Rate, weight_decay: float = 0.0, weight_decay_mask: Any = True, trust_coefficient: float = 1e-3,
         eps: float = 0.0, trust_ratio_mask: Any = True, momentum: float = 0.9, nesterov: bool = False) -> GradientTransformation:
    """Momentum, each layer's step in proportion to its weights (You et al. 2017)."""
    rate_argument("lars", learning_rate)
    ratio = masked(scale_by_trust_ratio(trust_coefficient=trust_coefficient, eps=eps), trust_ratio_mask)
    return chain(add_decayed_weights(weight_decay, weight_decay_mask), ratio, scale_by_learning_rate(learning_rate),
                 trace(momentum, nesterov))


def adafactor(learning_rate: Rate | None = None, min_dim_size_to_factor: int = 128, decay_rate: float = 0.8, decay_offset: int = 0,
              multiply_by_parameter_scale: bool = True, clipping_threshold: float | None = 1.0, momentum: float | None = None,
              dtype_momentum: Any = None, weight_decay_rate: float | None = None, eps: float = 1e-30, factored: bool = True,
              weight_decay_mask: Any = None) -> GradientTransformation:
    """With second moments of large matrices by rows and columns, for little memory (Shazeer and Stern 2018). Momentum, if there is
    any, is kept in ``dtype_momentum``: by default in f32, or a wider dtype of the parameters."""
    parts = [scale_by_factored_rms(factored, decay_rate, decay_offset, min_dim_size_to_factor, eps)]
    if clipping_threshold is not None:
        parts.append(clip_by_block_rms(clipping_threshold))
    if learning_rate is not None:
        parts.append(scale_by_learning_rate(rate_argument("adafactor", learning_rate), flip_sign=False))
    if flag("adafactor", "multiply_by_parameter_scale", multiply_by_parameter_scale):
        parts.append(scale_by_param_block_rms())
    if momentum is not None:
        parts.append(ema_at_least_single(momentum, dtype_momentum))
    if weight_decay_rate is not None:
        parts.append(add_decayed_weights(weight_decay_rate, weight_decay_mask))
    return chain(*parts, scale(-1))
