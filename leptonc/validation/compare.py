"""Comparing results: the element that differs most, or None."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from leptonc.ir.types import in_reals

RELATIVE, OF_LARGEST = 1e-9, 1e-11  # f64 keeps 1e-16; the rest is for other orders of long sums


@dataclass(frozen=True)
class Difference:
    """``output`` and ``index`` say where; ``wrong`` of ``size`` elements differ."""

    output: int
    index: tuple[int, ...]
    expected: Any
    got: Any
    wrong: int
    size: int

    def __str__(self) -> str:
        at = f"[{', '.join(map(str, self.index))}]" if self.index else ""
        return f"output {self.output}{at} is {self.got}, expected {self.expected} ({self.wrong} of {self.size} elements differ)"


def difference(expected: Sequence[np.ndarray], got: Sequence[np.ndarray], tolerance: Sequence[np.ndarray] | None = None,
               signs: bool = False) -> Difference | None:
    """The first output that differs, at its worst element: integers to the bit, floats by ``tolerance``, where both are finite.
    An infinity or a NaN must be met by the same; ``signs``: so must a zero, by one of its sign. Complex numbers are compared
    part by part, along a last axis."""
    for n, (want, have) in enumerate(zip(map(in_reals, expected), map(in_reals, got), strict=True)):
        if want.shape != have.shape:
            return Difference(n, (), f"shape {want.shape}", f"shape {have.shape}", have.size, have.size)
        wrong = _wrong(want, have, None if tolerance is None else tolerance[n])
        if signs and want.dtype.kind == "f":
            wrong |= (want == 0) & (have == 0) & (np.signbit(want) != np.signbit(have))
        if wrong.any():
            at = np.unravel_index(int(np.argmax(_excess(want, have, wrong))), want.shape)
            index = tuple(int(k) for k in at)
            return Difference(n, index, want[index].item(), have[index].item(), int(wrong.sum()), want.size)
    return None


def _wrong(want: np.ndarray, have: np.ndarray, tolerance: np.ndarray | None) -> np.ndarray:
    if want.dtype.kind != "f":
        return np.asarray(want != have)
    with np.errstate(all="ignore"):
        limit = default_tolerance(want) if tolerance is None else tolerance
        same = (want == have) | (np.isnan(want) & np.isnan(have))
        near = np.isfinite(want) & np.isfinite(have) & (np.abs(want - have) <= limit)
    return np.asarray(~(same | near | np.isposinf(limit)))


def default_tolerance(want: np.ndarray) -> np.ndarray:
    """That of f64, beside the largest element."""
    finite = np.where(np.isfinite(want), np.abs(want), 0)
    return np.asarray(RELATIVE * finite + OF_LARGEST * finite.max(initial=0.0) + 1e-290)


def _excess(want: np.ndarray, have: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """How wrong each element is; one that is not finite is worst."""
    if want.dtype.kind != "f":
        return wrong
    with np.errstate(all="ignore"):
        size = np.abs(want.astype(np.float64) - have)
    return np.where(wrong, np.where(np.isfinite(size), size, np.inf), -1)
