"""Prefix scans of a Program: a kernel that joins each element with all that stand before it in its row.

The joins are associative and commutative, so that a row may be cut in blocks, whose totals are joined first (Blelloch 1990).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from leptonc.ir.kernel import RowKernel, reduction_identity
from leptonc.ir.types import DType, dtype_of


def logaddexp(s: Any, x: Any, y: Any) -> Any:
    """log(e^x + e^y) without overflow, as a scalar function over a handler."""
    top, gap = s.max(x, y), s.abs(s.sub(x, y))
    return s.select(s.isnan(gap), top, s.add(top, s.log1p(s.exp(s.neg(gap)))))  # two equal infinities have no gap


JOINS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "add": lambda s, x, y: s.add(x, y),
    "mul": lambda s, x, y: s.mul(x, y),
    "max": lambda s, x, y: s.max(x, y),
    "min": lambda s, x, y: s.min(x, y),
    "logaddexp": logaddexp,
}
"""Scalar functions over a handler (``ir/scalar.py``)."""

UFUNCS = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum, "logaddexp": np.logaddexp}


def neutral(join: str, dtype: DType) -> float | int | bool:
    """What joined with any x is x, -0.0 too."""
    if join == "add":
        return -0.0 if dtype.is_float else 0
    return reduction_identity({"mul": "prod", "logaddexp": "max"}.get(join, join), dtype)


@dataclass(frozen=True)
class Prefix(RowKernel):
    """Each element of the result is all of the operand's row up to it joined, or, if ``reverse``, all from it on."""

    join: str = "add"
    reverse: bool = False

    @property
    def dtype(self) -> DType:
        return self.params[0].type.dtype

    def run(self, env: dict[str, np.ndarray]) -> None:
        source, target = (env[p.name] for p in self.params)
        target[...] = accumulated(self.join, source, 1, self.reverse)

    def faults(self) -> Iterator[str]:
        yield from super().faults()
        if [p.role for p in self.params] != ["in", "out"]:
            yield "it has an operand and a result"
            return
        if self.params[0].type != self.params[1].type or self.params[0].type.rank != 3:
            yield "operand and result have one type [outer, n, inner]"
        if self.join not in JOINS or (self.join == "logaddexp" and not self.dtype.is_float):
            yield f"{self.join!r} joins no {self.dtype}"
        if self.dtype.is_narrow:
            yield "floats of 16 bits or fewer are not computed with"


def accumulated(join: str, x: np.ndarray, axis: int, reverse: bool = False) -> np.ndarray:
    """The prefixes of rows along an axis, one element after the other."""
    turned = np.flip(x, axis) if reverse else x
    with np.errstate(all="ignore"):
        found = np.asarray(UFUNCS[join].accumulate(turned, axis, x.dtype))
        if join == "logaddexp":
            found = found + x.dtype.type(0)  # of one element log(e^x), which is no -0.0
    return np.ascontiguousarray(np.flip(found, axis)) if reverse else found


def doubled(x: Any, axis: int, reverse: bool, join: Callable[[Any, Any], Any],
            shifted: Callable[[Any, tuple[int, ...], tuple[int, ...]], Any]) -> Any:
    """All prefixes along an axis by doubling (Hillis and Steele 1986): log2(n) steps, each of which joins x with itself, shifted.
    ``shifted(x, low, high)`` pads x by so many neutral elements, or cuts off where they are negative."""
    rank, shift = len(x.shape), 1
    while shift < x.shape[axis]:
        by = tuple(shift if d == axis else 0 for d in range(rank))
        back = tuple(-b for b in by)
        moved = shifted(x, *((back, by) if reverse else (by, back)))
        x = join(x, moved) if reverse else join(moved, x)
        shift *= 2
    return x


def joined(join: str, x: np.ndarray, axis: int) -> np.ndarray:
    """Rows along an axis joined as a whole, from the neutral element on."""
    with np.errstate(all="ignore"):
        return np.asarray(UFUNCS[join].reduce(x, axis, x.dtype, initial=neutral(join, dtype_of(x.dtype))))
