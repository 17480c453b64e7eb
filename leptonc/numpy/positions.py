"""Numbers of places along axes, as formulas where something is traced: as data they would be large."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.trace import bind, broadcast, current_trace


def numbers(like: Any, count: int) -> Any:
    """0, 1 ... count - 1 (i64), of ``like``'s trace if there is one."""
    trace = current_trace(like)
    found = np.arange(count)
    return found if trace is None else trace.lift(found)


def along(like: Any, shape: tuple[int, ...], axis: int) -> Any:
    """The place along ``axis`` of each element of an array of ``shape``."""
    flat = bind("reshape", numbers(like, shape[axis]), shape=tuple(n if d == axis else 1 for d, n in enumerate(shape)))
    return broadcast(flat, shape)
