"""Numbers of places along axes, as formulas where something is traced: as data they would be large."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.arithmetic import add, multiply
from leptonc.trace import align, bind, broadcast, cast, current_trace


def numbers(like: Any, count: int) -> Any:
    """0, 1 ... count - 1 (i64), of ``like``'s trace if there is one."""
    trace = current_trace(like)
    found = np.arange(count)
    return found if trace is None else trace.lift(found)


def steps(first: Any, step: Any, count: int) -> Any:
    """first + n step for n = 0, 1 ... count - 1, along a new first axis. Products are rounded by themselves, as NumPy's are: by one
    instruction -0.5 + 5 * 0.1 is 7e-9 in f32, which is in another bin than 0."""
    places = bind("reshape", cast(numbers(first, count), first.dtype), shape=(count, *(1,) * len(first.shape)))
    if first.dtype.kind == "c":
        return add(multiply(places, step), first)
    return add(bind("fma", *align("steps", places, step, -0.0)), first)


def along(like: Any, shape: tuple[int, ...], axis: int) -> Any:
    """The place along ``axis`` of each element of an array of ``shape``."""
    flat = bind("reshape", numbers(like, shape[axis]), shape=tuple(n if d == axis else 1 for d, n in enumerate(shape)))
    return broadcast(flat, shape)
