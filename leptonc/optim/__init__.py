"""Optimizers in the shape of optax: ``state = opt.init(params)``, ``updates, state = opt.update(grads, state, params)``."""

from leptonc.optim.base import (
    GradientTransformation,
    apply_updates,
    chain,
    identity,
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
from leptonc.optim.transforms import (
    add_decayed_weights,
    scale,
    scale_by_adam,
    scale_by_learning_rate,
    trace,
)
from leptonc.optim.wrappers import (
    MultiSteps,
    apply_every,
    apply_if_finite,
    ema,
    skip_not_finite,
)
from leptonc.public import publish as _publish

__all__ = [
    "GradientTransformation", "apply_updates", "chain", "identity",
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
