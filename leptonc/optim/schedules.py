"""Learning rates as functions of the step count (0, 1, 2 ...), traced or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import pi
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import choice, flag, function, integer, listed, number, scalar
from leptonc.errors import ArgumentError, describe

Schedule = Callable[[Any], Any]


@dataclass(frozen=True)
class Rate:
    """A schedule that can be had in any float dtype: ``at(count, dtype)``; called with the count alone, in f32."""

    at: Callable[[Any, Any], Any]

    def __call__(self, count: Any) -> Any:
        return self.at(count, np.float32)


def rate_at(schedule: Schedule, count: Any, dtype: Any) -> Any:
    """What a schedule gives, computed in ``dtype`` where it can be, else cast to it."""
    return lnp.asarray(schedule.at(count, dtype) if isinstance(schedule, Rate) else schedule(count), dtype)


def constant_schedule(value: float) -> Schedule:
    """The same at every step."""
    scalar("constant_schedule", "value", value)
    return lambda count: value


def _progress(count: Any, steps: int, dtype: Any) -> Any:
    """How far count is into ``steps``, within [0, 1]."""
    return lnp.clip(lnp.divide(lnp.astype(count, dtype), float(max(steps, 1))), 0.0, 1.0)


def _check(name: str, steps: Any, **values: Any) -> None:
    integer(name, "the number of steps", steps, least=1)
    for what, value in values.items():
        scalar(name, what, value)


def _since(count: Any, begin: int) -> Any:
    """Steps since ``begin``; 0 before it."""
    return lnp.maximum(lnp.subtract(count, begin), 0) if begin else count


def linear_schedule(init_value: float, end_value: float, transition_steps: int, transition_begin: int = 0) -> Schedule:
    """From one value to the other in a straight line, from the step ``transition_begin`` on, then constant."""
    _check("linear_schedule", transition_steps, init_value=init_value, end_value=end_value)
    begin = integer("linear_schedule", "transition_begin", transition_begin, least=0)
    return Rate(lambda count, dtype: (
        init_value + (end_value - init_value) * _progress(_since(count, begin), transition_steps, dtype)))


def exponential_decay(init_value: float, transition_steps: int, decay_rate: float, transition_begin: int = 0,
                      staircase: bool = False, end_value: float | None = None) -> Schedule:
    """init_value * decay_rate ** (steps / transition_steps), of steps since ``transition_begin``; the exponent is whole with
    ``staircase``. It goes no further than ``end_value``."""
    name = "exponential_decay"
    _check(name, transition_steps, init_value=init_value, decay_rate=decay_rate)
    flag(name, "staircase", staircase)
    begin = integer(name, "transition_begin", transition_begin, least=0)
    end = None if end_value is None else scalar(name, "end_value", end_value)

    def at(count: Any, dtype: Any) -> Any:
        exponent = lnp.divide(lnp.astype(_since(count, begin), dtype), float(transition_steps))
        value = init_value * lnp.power(np.dtype(dtype).type(decay_rate), lnp.floor(exponent) if staircase else exponent)
        return value if end is None else (lnp.maximum if decay_rate < 1 else lnp.minimum)(value, end)

    return Rate(at)


def cosine_decay_schedule(init_value: float, decay_steps: int, alpha: float = 0.0, exponent: float = 1.0) -> Schedule:
    """Half a cosine, to the power of ``exponent``, from init_value to alpha * init_value (Loshchilov and Hutter 2017)."""
    _check("cosine_decay_schedule", decay_steps, init_value=init_value, alpha=alpha, exponent=exponent)

    def at(count: Any, dtype: Any) -> Any:
        cosine = 0.5 * (1 + lnp.cos(pi * _progress(count, decay_steps, dtype)))
        cosine = cosine if type(exponent) in (int, float) and exponent == 1 else lnp.power(cosine, exponent)
        return init_value * ((1 - alpha) * cosine + alpha)

    return Rate(at)


def piecewise_constant_schedule(init_value: float, boundaries_and_scales: Mapping[int, float] | None = None) -> Schedule:
    """Multiplied by each scale from its boundary on."""
    name = "piecewise_constant_schedule"
    scalar(name, "init_value", init_value)
    boundaries_and_scales = {} if boundaries_and_scales is None else boundaries_and_scales
    if not isinstance(boundaries_and_scales, Mapping):
        raise ArgumentError(f"{name}: boundaries_and_scales={describe(boundaries_and_scales)} must be a dict of step: scale")
    for boundary, scale in boundaries_and_scales.items():
        integer(name, "a boundary", boundary, least=0)
        number(name, "a scale", scale)

    def at(count: Any, dtype: Any) -> Any:
        in_dtype = np.dtype(dtype).type
        value: Any = in_dtype(init_value)
        for boundary, scale in sorted(boundaries_and_scales.items()):
            value = value * lnp.where(lnp.greater_equal(count, boundary), in_dtype(scale), in_dtype(1))
        return value

    return Rate(at)


def warmup_cosine_decay_schedule(init_value: float, peak_value: float, warmup_steps: int, decay_steps: int,
                                 end_value: float = 0.0, exponent: float = 1.0) -> Schedule:
    """A straight line up to the peak, then half a cosine, to the power of ``exponent``, down; ``decay_steps`` counts both."""
    name = "warmup_cosine_decay_schedule"
    number(name, "peak_value", peak_value)
    number(name, "end_value", end_value)
    scalar(name, "init_value", init_value)
    integer(name, "decay_steps", decay_steps, least=integer(name, "warmup_steps", warmup_steps, least=0) + 1)
    rise = linear_schedule(init_value, peak_value, warmup_steps)
    fall = cosine_decay_schedule(peak_value, decay_steps - warmup_steps, end_value / peak_value if peak_value else 0.0,
                                 exponent)

    def at(count: Any, dtype: Any) -> Any:
        return lnp.where(lnp.less(count, warmup_steps), rate_at(rise, count, dtype),
                         rate_at(fall, lnp.subtract(count, warmup_steps), dtype))

    return Rate(at)


def polynomial_schedule(init_value: float, end_value: float, power: float, transition_steps: int,
                        transition_begin: int = 0) -> Schedule:
    """From one value to the other as (1 - progress)^power, from the step ``transition_begin`` on."""
    _check("polynomial_schedule", transition_steps, init_value=init_value, end_value=end_value, power=power)
    begin = integer("polynomial_schedule", "transition_begin", transition_begin, least=0)

    def at(count: Any, dtype: Any) -> Any:
        left = 1 - _progress(lnp.maximum(lnp.subtract(count, begin), 0), transition_steps, dtype)
        return (init_value - end_value) * lnp.power(left, np.dtype(dtype).type(power)) + end_value

    return Rate(at)


def warmup_constant_schedule(init_value: float, peak_value: float, warmup_steps: int) -> Schedule:
    """A straight line up to the peak, then constant."""
    return linear_schedule(init_value, peak_value, warmup_steps)


def join_schedules(schedules: Sequence[Schedule], boundaries: Sequence[int]) -> Schedule:
    """One schedule after the other, each counting from its own boundary."""
    for schedule in listed("join_schedules", "schedules", schedules, least=1):
        function("join_schedules", "a schedule", schedule)
    if len(listed("join_schedules", "boundaries", boundaries)) != len(schedules) - 1:
        raise ArgumentError(f"join_schedules: {len(schedules)} schedules need one boundary fewer, got {len(boundaries)}")
    for boundary in boundaries:
        integer("join_schedules", "a boundary", boundary, least=0)

    def at(count: Any, dtype: Any) -> Any:
        value = rate_at(schedules[0], count, dtype)
        for boundary, schedule in zip(boundaries, schedules[1:]):
            later = rate_at(schedule, lnp.subtract(count, boundary), dtype)
            value = lnp.where(lnp.less(count, boundary), value, later)
        return value

    return Rate(at)


def warmup_exponential_decay_schedule(init_value: float, peak_value: float, warmup_steps: int, transition_steps: int,
                                      decay_rate: float, transition_begin: int = 0, staircase: bool = False,
                                      end_value: float | None = None) -> Schedule:
    """A straight line up to the peak, then ``exponential_decay``, whose steps begin there."""
    rise = linear_schedule(init_value, peak_value, warmup_steps)
    fall = exponential_decay(peak_value, transition_steps, decay_rate, transition_begin, staircase, end_value)
    return join_schedules([rise, fall], [warmup_steps])


def sgdr_schedule(cosine_kwargs: Sequence[Mapping[str, Any]]) -> Schedule:
    """Warm restarts: a ``warmup_cosine_decay_schedule`` after the other (Loshchilov and Hutter 2017)."""
    for kwargs in listed("sgdr_schedule", "cosine_kwargs", cosine_kwargs, least=1):
        if not isinstance(kwargs, Mapping) or "decay_steps" not in kwargs:
            raise ArgumentError(f"sgdr_schedule: cosine_kwargs has {describe(kwargs)}, wants dicts of arguments of "
                                "warmup_cosine_decay_schedule")
    parts = [warmup_cosine_decay_schedule(**kwargs) for kwargs in cosine_kwargs]
    ends = np.cumsum([kwargs["decay_steps"] for kwargs in cosine_kwargs])
    return join_schedules(parts, [int(end) for end in ends[:-1]])


def _interpolated(points: Sequence[tuple[int, float]], is_cosine: bool) -> Schedule:
    """Through (step, value) points, the last value from there on."""
    def at(count: Any, dtype: Any) -> Any:
        value: Any = np.dtype(dtype).type(points[-1][1])
        for (start, first), (stop, last) in reversed([*pairwise(points)]):
            progress = _progress(lnp.maximum(lnp.subtract(count, start), 0), stop - start, dtype)
            share = (1 - lnp.cos(pi * progress)) / 2 if is_cosine else progress
            value = lnp.where(lnp.less(count, stop), first + (last - first) * share, value)
        return value

    return Rate(at)


def piecewise_interpolate_schedule(interpolate_type: str, init_value: float,
                                   boundaries_and_scales: Mapping[int, float] | None = None) -> Schedule:
    """Through ``init_value`` at step 0 and, at each boundary, the value before times the boundary's scale: in straight lines
    ("linear") or half cosines ("cosine")."""
    kind = choice("piecewise_interpolate_schedule", "interpolate_type", interpolate_type, ("linear", "cosine"))
    points = [(0, init_value)]
    for boundary, scale in sorted((boundaries_and_scales or {}).items()):
        points.append((integer("piecewise_interpolate_schedule", "a boundary", boundary, least=1), points[-1][1] * scale))
    return _interpolated(points, kind == "cosine")


def _check_cycle(name: str, shares: Sequence[Any], factors: Sequence[Any]) -> None:
    """Where in the cycle it turns, and what rates are divided by."""
    for share in shares:
        number(name, "a share of the steps", share, least=0, most=1)
    for factor in factors:
        if number(name, "a factor", factor) == 0:
            raise ArgumentError(f"{name}: a factor that rates are divided by is 0")


def cosine_onecycle_schedule(transition_steps: int, peak_value: float, pct_start: float = 0.3, div_factor: float = 25.0,
                             final_div_factor: float = 1e4) -> Schedule:
    """Up to the peak and down again in half cosines (Smith and Topin 2018)."""
    _check("cosine_onecycle_schedule", transition_steps, peak_value=peak_value)
    _check_cycle("cosine_onecycle_schedule", (pct_start,), (div_factor, final_div_factor))
    return piecewise_interpolate_schedule("cosine", peak_value / div_factor, {
        int(pct_start * transition_steps): div_factor, int(transition_steps): 1 / (div_factor * final_div_factor)})


def linear_onecycle_schedule(transition_steps: int, peak_value: float, pct_start: float = 0.3, pct_final: float = 0.85,
                             div_factor: float = 25.0, final_div_factor: float = 1e4) -> Schedule:
    """Up to the peak, down to where it began, and to almost nothing, in straight lines (Smith and Topin 2018)."""
    _check("linear_onecycle_schedule", transition_steps, peak_value=peak_value)
    _check_cycle("linear_onecycle_schedule", (pct_start, pct_final), (div_factor, final_div_factor))
    return piecewise_interpolate_schedule("linear", peak_value / div_factor, {
        int(pct_start * transition_steps): div_factor, int(pct_final * transition_steps): 1 / div_factor,
        transition_steps: 1 / final_div_factor})
