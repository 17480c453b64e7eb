"""Learning rates as functions of the step count (0, 1, 2 ...), traced or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import pi
from typing import Any

import numpy as np

from leptonc import numpy as lnp

Schedule = Callable[[Any], Any]


def constant_schedule(value: float) -> Schedule:
    """The same at every step."""
    return lambda count: value


def _progress(count: Any, steps: int) -> Any:
    """How far count is into ``steps``, within [0, 1], in f32."""
    return lnp.clip(lnp.divide(lnp.astype(count, np.float32), float(max(steps, 1))), 0.0, 1.0)


def linear_schedule(init_value: float, end_value: float, transition_steps: int) -> Schedule:
    """From one value to the other in a straight line, then constant."""
    return lambda count: init_value + (end_value - init_value) * _progress(count, transition_steps)


def exponential_decay(init_value: float, transition_steps: int, decay_rate: float, staircase: bool = False) -> Schedule:
    """init_value * decay_rate ** (count / transition_steps); the exponent is whole with ``staircase``."""
    def schedule(count: Any) -> Any:
        exponent = lnp.divide(lnp.astype(count, np.float32), float(transition_steps))
        return init_value * lnp.power(np.float32(decay_rate), lnp.floor(exponent) if staircase else exponent)

    return schedule


def cosine_decay_schedule(init_value: float, decay_steps: int, alpha: float = 0.0) -> Schedule:
    """Half a cosine from init_value to alpha * init_value (Loshchilov and Hutter 2017)."""
    def schedule(count: Any) -> Any:
        cosine = 0.5 * (1 + lnp.cos(pi * _progress(count, decay_steps)))
        return init_value * ((1 - alpha) * cosine + alpha)

    return schedule


def piecewise_constant_schedule(init_value: float, boundaries_and_scales: Mapping[int, float]) -> Schedule:
    """Multiplied by each scale from its boundary on."""
    def schedule(count: Any) -> Any:
        value: Any = np.float32(init_value)
        for boundary, scale in sorted(boundaries_and_scales.items()):
            value = value * lnp.where(lnp.greater_equal(count, boundary), np.float32(scale), np.float32(1))
        return value

    return schedule


def warmup_cosine_decay_schedule(init_value: float, peak_value: float, warmup_steps: int, decay_steps: int,
                                 end_value: float = 0.0) -> Schedule:
    """A straight line up to the peak, then half a cosine down; ``decay_steps`` counts both."""
    rise = linear_schedule(init_value, peak_value, warmup_steps)
    fall = cosine_decay_schedule(peak_value, decay_steps - warmup_steps, end_value / peak_value if peak_value else 0.0)
    return lambda count: lnp.where(lnp.less(count, warmup_steps), rise(count), fall(lnp.subtract(count, warmup_steps)))
