"""Loads and stores as linear addresses: strides per axis, and the conditions under which they are in range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from leptonc.ir.affine import span
from leptonc.ir.kernel import Index, Load, Param, Store


@dataclass(frozen=True)
class Check:
    """``index`` (before division) must lie in [0, extent * div) and divide evenly for the access to be in range."""

    index: Index
    extent: int
    lower: bool
    upper: bool


@dataclass(frozen=True)
class Access:
    """Element offset = ``offset + sum(strides[axis] * axis) + sum(stride * value) + sum(stride * (index / div))``, in a buffer of
    ``size`` elements."""

    offset: int
    strides: tuple[tuple[str, int], ...]
    values: tuple[tuple[int, int], ...]
    divided: tuple[tuple[Index, int], ...]
    checks: tuple[Check, ...]
    size: int

    def stride(self, axis: str) -> int:
        for name, stride in self.strides:
            if name == axis:
                return stride
        return 0

    @property
    def is_affine(self) -> bool:
        """Always in range, and linear in the axes alone."""
        return not (self.values or self.divided or self.checks)

    def is_of_pairs(self, axis: str, backwards: bool = False) -> bool:
        """Whether neighbours along an axis are one part each of pairs that follow each other, forwards or ``backwards``: complex
        numbers."""
        if not self.is_affine or self.stride(axis) != (-2 if backwards else 2):
            return False
        return not self.size % 2 and not any(s % 2 for _, s in self.strides)

    def check_depends_on(self, axis: str) -> bool:
        """Whether the axis decides whether the address is in range (dynamic values aside)."""
        return any(c.index.coeff(axis) for c in self.checks) or any(i.coeff(axis) for i, _ in self.divided)


def row_major(shape: tuple[int, ...]) -> list[int]:
    """Element strides of a contiguous array."""
    strides, step = [], 1
    for extent in reversed(shape):
        strides.append(step)
        step *= extent
    return strides[::-1]


def linearise(access: Load | Store, buffer: Param, extents: Mapping[str, int]) -> Access:
    """The access as a linear address; checks only where the index can leave its range."""
    guarded = access.pad is not None if isinstance(access, Load) else access.masked
    offset, strides, values = 0, dict[str, int](), dict[int, int]()
    divided, checks = [], []
    for index, extent, step in zip(access.index, buffer.type.shape, row_major(buffer.type.shape), strict=True):
        if guarded:
            checks += _check(index, extent, extents)
        if index.div != 1:
            divided.append((index, step))
            continue
        offset += step * index.offset
        for axis, coeff in index.axes:
            strides[axis] = strides.get(axis, 0) + step * coeff
        for value, coeff in index.values:
            values[value] = values.get(value, 0) + step * coeff
    return Access(offset, tuple((a, s) for a, s in strides.items() if s), tuple(values.items()), tuple(divided), tuple(checks),
                  buffer.type.size)


def _check(index: Index, extent: int, extents: Mapping[str, int]) -> list[Check]:
    reached = span(index, extents)
    lower = reached is None or reached.low < 0
    upper = reached is None or reached.high > (extent - 1) * index.div
    return [Check(index, extent, lower, upper)] if lower or upper or index.div != 1 else []
