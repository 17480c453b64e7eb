"""Functions that are computed in f64 whatever float they are given, so that f32 results are right to the last place or nearly."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from leptonc.ir.op import Sample
from leptonc.ir.types import f64
from leptonc.ops.elementwise import Smooth


class Doubles(Smooth):
    """A function of one operand; ``formula`` is its body in f64."""

    @abstractmethod
    def formula(self, s: Any, x: Any) -> Any:
        """One element in f64."""

    def body(self, s: Any, x: Any) -> Any:
        return s.cast(self.formula(s, s.cast(x, f64)), s.dtype(x))

    def samples(self) -> Sequence[Sample]:
        return [s for s in super().samples() if s.name in ("shape()", "shape(67,)", "special")]


def horner(s: Any, x: Any, coefficients: Sequence[float]) -> Any:
    """Polynomial in x, highest coefficient first; each step rounds once."""
    total = s.const(coefficients[0], f64)
    for c in coefficients[1:]:
        total = s.fma(total, x, s.const(c, f64))
    return total


def chebyshev(s: Any, y: Any, coefficients: Sequence[float]) -> Any:
    """Sum of a Chebyshev series, lowest first, by Clenshaw's recurrence."""
    twice = s.add(y, y)
    last, before = s.const(0.0, f64), s.const(0.0, f64)
    for c in reversed(coefficients[1:]):
        last, before = s.sub(s.fma(twice, last, s.const(c, f64)), before), last
    return s.sub(s.fma(y, last, s.const(coefficients[0], f64)), before)


def signed(s: Any, x: Any, magnitude: Any) -> Any:
    """``magnitude`` with the sign of x; a zero stays as it is."""
    return s.select(s.eq(x, 0), x, s.select(s.lt(x, 0), s.neg(magnitude), magnitude))
