"""Optimizers in the shape of optax: ``state = opt.init(params)``, ``updates, state = opt.update(grads, state, params)``."""

from leptonc.optim.base import (
    EmptyState,
    GradientTransformation,
    GradientTransformationExtraArgs,
    apply_updates,
    chain,
    identity,
    incremental_update,
    named_chain,
    periodic_update,
    safe_increment,
    with_extra_args_support,
)
from leptonc.optim.clipping import (
    adaptive_grad_clip,
    centralize,
    clip,
    clip_by_block_rms,
    clip_by_global_norm,
    global_norm,
    keep_params_nonnegative,
    normalize_by_update_norm,
    scale_by_param_block_norm,
    scale_by_param_block_rms,
    scale_by_sign,
    scale_by_trust_ratio,
    set_to_zero,
    stateless,
    zero_nans,
)
from leptonc.optim.conditional import (
    conditionally_mask,
    conditionally_transform,
    flatten,
    freeze,
    selective_transform,
    skip_large_updates,
)
from leptonc.optim.directions import (
    adan,
    add_noise,
    fromage,
    noisy_sgd,
    novograd,
    optimistic_adam_v2,
    optimistic_gradient_descent,
    polyak_sgd,
    rprop,
    scale_by_adan,
    scale_by_novograd,
    scale_by_optimistic_gradient,
    scale_by_polyak,
    scale_by_rprop,
    scale_by_sm3,
    signum,
    sm3,
)
from leptonc.optim.injected import InjectHyperparamsState, inject_hyperparams
from leptonc.optim.lookahead import LookaheadParams, LookaheadState, lookahead
from leptonc.optim.moments import (
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
from leptonc.optim.optimizers import (
    adabelief,
    adadelta,
    adafactor,
    adagrad,
    adam,
    adamax,
    adamaxw,
    adamw,
    amsgrad,
    lamb,
    lars,
    lion,
    nadam,
    nadamw,
    radam,
    rmsprop,
    sgd,
    sign_sgd,
    yogi,
)
from leptonc.optim.precision import DynamicLossScale, StaticLossScale, select_tree, stochastic_round
from leptonc.optim.schedules import (
    constant_schedule,
    cosine_decay_schedule,
    cosine_onecycle_schedule,
    exponential_decay,
    join_schedules,
    linear_onecycle_schedule,
    linear_schedule,
    piecewise_constant_schedule,
    piecewise_interpolate_schedule,
    polynomial_schedule,
    sgdr_schedule,
    warmup_constant_schedule,
    warmup_cosine_decay_schedule,
    warmup_exponential_decay_schedule,
)
from leptonc.optim.selected import (
    masked,
    multi_transform,
    partition,
)
from leptonc.optim.sharpness import SAMState, normalize, sam
from leptonc.optim.transforms import (
    add_decayed_weights,
    scale,
    scale_by_adam,
    scale_by_learning_rate,
    scale_by_schedule,
    trace,
)
from leptonc.optim.wrappers import (
    MultiSteps,
    all_finite,
    apply_every,
    apply_if_finite,
    ema,
    skip_not_finite,
)
from leptonc.public import publish as _publish

__all__ = [
    "GradientTransformation", "GradientTransformationExtraArgs", "EmptyState", "apply_updates", "chain", "identity", "named_chain",
    "incremental_update", "periodic_update", "safe_increment", "with_extra_args_support",
    "adan", "fromage", "noisy_sgd", "novograd", "optimistic_adam_v2", "optimistic_gradient_descent", "polyak_sgd", "rprop",
    "signum", "sm3", "add_noise", "scale_by_adan", "scale_by_novograd", "scale_by_optimistic_gradient", "scale_by_polyak",
    "scale_by_rprop", "scale_by_sm3", "scale_by_schedule",
    "conditionally_mask", "conditionally_transform", "flatten", "freeze", "selective_transform", "skip_large_updates",
    "InjectHyperparamsState", "inject_hyperparams", "LookaheadParams", "LookaheadState", "lookahead", "SAMState", "normalize",
    "sam", "DynamicLossScale", "StaticLossScale", "all_finite", "select_tree", "stochastic_round",
    "adabelief", "adadelta", "adafactor", "adagrad", "adam", "adamax", "adamaxw", "adamw", "amsgrad", "lamb", "lars", "lion",
    "nadam", "nadamw", "radam", "rmsprop", "sgd", "sign_sgd", "yogi",
    "add_decayed_weights", "scale", "scale_by_adam", "scale_by_learning_rate", "trace",
    "scale_by_adadelta", "scale_by_adamax", "scale_by_amsgrad", "scale_by_belief", "scale_by_factored_rms", "scale_by_lion",
    "scale_by_radam", "scale_by_rms", "scale_by_rss", "scale_by_stddev", "scale_by_yogi",
    "adaptive_grad_clip", "centralize", "clip", "clip_by_block_rms", "clip_by_global_norm", "global_norm",
    "keep_params_nonnegative", "normalize_by_update_norm", "scale_by_param_block_norm", "scale_by_param_block_rms",
    "scale_by_sign", "scale_by_trust_ratio", "set_to_zero", "stateless", "zero_nans",
    "masked", "multi_transform", "partition",
    "MultiSteps", "apply_every", "apply_if_finite", "ema", "skip_not_finite",
    "constant_schedule", "cosine_decay_schedule", "cosine_onecycle_schedule", "exponential_decay", "join_schedules",
    "linear_onecycle_schedule", "linear_schedule", "piecewise_constant_schedule", "piecewise_interpolate_schedule",
    "polynomial_schedule", "sgdr_schedule", "warmup_constant_schedule", "warmup_cosine_decay_schedule",
    "warmup_exponential_decay_schedule",
]

_publish(globals(), __all__)
