"""Optimizers in the shape of optax: ``state = opt.init(params)``, ``updates, state = opt.update(grads, state, params)``."""

from leptonc.optim.schedules import (
    constant_schedule,
    cosine_decay_schedule,
    exponential_decay,
    linear_schedule,
    piecewise_constant_schedule,
    warmup_cosine_decay_schedule,
)
from leptonc.optim.transforms import (
    GradientTransformation,
    adam,
    adamw,
    add_decayed_weights,
    apply_updates,
    chain,
    clip_by_global_norm,
    global_norm,
    identity,
    scale,
    scale_by_adam,
    scale_by_learning_rate,
    sgd,
    trace,
)
from leptonc.public import publish as _publish

__all__ = [
    "GradientTransformation", "apply_updates", "chain", "global_norm", "identity",
    "adam", "adamw", "sgd",
    "add_decayed_weights", "clip_by_global_norm", "scale", "scale_by_adam", "scale_by_learning_rate", "trace",
    "constant_schedule", "cosine_decay_schedule", "exponential_decay", "linear_schedule", "piecewise_constant_schedule",
    "warmup_cosine_decay_schedule",
]

_publish(globals(), __all__)
