"""Constants that follow open dimensions: arrays computed while a function is traced, as what they are at any extent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from leptonc.ir.graph import Literal


@dataclass(frozen=True)
class Ramp:
    """``base + sum of steps[d] * the index along axis d``; of a number throughout, steps are 0. ``base`` has one number for each
    trace."""

    base: tuple[int, ...]
    steps: tuple[int, ...]


@dataclass(frozen=True)
class Share:
    """One over a number, throughout; ``of`` has one for each trace."""

    of: tuple[int, ...]


@dataclass(frozen=True)
class Triangle:
    """Whether an element of a matrix is on the diagonal ``k`` or below; with ``above``, on it or above."""

    k: int
    above: bool


Pattern = Literal | Ramp | Share | Triangle
MOST_SHARES = 1 << 22  # to which whole numbers are told apart by their f32 reciprocals


def pattern(arrays: Sequence[np.ndarray]) -> Pattern | None:
    """What a constant is that was ``arrays`` in the traces; None if nothing known."""
    if not all(a.size for a in arrays):
        return None
    if all((a == a.flat[0]).all() for a in arrays):
        numbers = [a.reshape(-1)[0] for a in arrays]
        return Literal.of(numbers[0]) if len({n.tobytes() for n in numbers}) == 1 else _ramp(arrays) or _share(numbers)
    return _triangle(arrays) if arrays[0].dtype == bool else _ramp(arrays)


def _ramp(arrays: Sequence[np.ndarray]) -> Ramp | None:
    if arrays[0].dtype.kind not in "iuf" or not all(np.isfinite(a).all() and (a == np.rint(a)).all() for a in arrays):
        return None
    base = tuple(int(a.flat[0]) for a in arrays)
    steps = {tuple(int(a.take(1, d).flat[0]) - b if n > 1 else 0 for d, n in enumerate(a.shape)) for a, b in zip(arrays, base)}
    if len(steps) > 1:
        return None
    found = Ramp(base, *steps)
    return found if all(np.array_equal(a, _values(b, found.steps, a.shape)) for a, b in zip(arrays, base)) else None


def _values(base: int, steps: Sequence[int], shape: Sequence[int]) -> np.ndarray:
    out = np.full(shape, base)
    for d, step in enumerate(steps):
        out += step * np.indices(shape)[d]
    return out


def _share(numbers: Sequence[Any]) -> Share | None:
    one = numbers[0].dtype.type(1)
    if numbers[0].dtype.kind != "f" or not all(1 / MOST_SHARES < n < 1 for n in numbers):
        return None
    of = tuple(int(np.rint(one / n)) for n in numbers)
    return Share(of) if all(one / one.dtype.type(m) == n for m, n in zip(of, numbers)) else None


def _triangle(arrays: Sequence[np.ndarray]) -> Triangle | None:
    if arrays[0].ndim != 2:
        return None
    first = arrays[0][0]
    above = bool(first[-1])
    k = int(np.argmax(first)) if above else int(first.sum()) - 1
    found = np.triu if above else np.tril
    return Triangle(k, above) if all((a == found(np.ones(a.shape, bool), k)).all() for a in arrays) else None
