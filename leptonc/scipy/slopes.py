"""Functions with derivatives that are given by formulas, not by those of their parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from leptonc.custom import custom_jvp


def with_slopes(function: Callable[..., Any], *slopes: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` of some operands; each of ``slopes`` gives its derivative by one of them, of the operands and the result."""
    ruled = custom_jvp(function)

    @ruled.defjvp
    def rule(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
        y = ruled(*primals)
        total = slopes[0](*primals, y) * tangents[0]
        for slope, tangent in zip(slopes[1:], tangents[1:]):
            total = total + slope(*primals, y) * tangent
        return y, total

    return ruled
