"""Roots of unity, made when a program is compiled: exact angles, cosines and sines in f64, rounded once."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from leptonc.ir.op import Sample, register
from leptonc.ir.types import DType, TensorType, f32, f64
from leptonc.ir.value import Value
from leptonc.ops.structural import Source


def roots(numbers: np.ndarray, n: int) -> np.ndarray:
    """e^(-2 pi i k / n) of integers k, by way of the first octant: symmetric angles have symmetric roots."""
    k = np.asarray(numbers, np.int64) % n
    eighths, rest = np.divmod(8 * k, n)
    odd = eighths % 2 == 1
    angle = np.where(odd, n - rest, rest) * (2 * np.pi / (8 * n))
    c, s = np.cos(angle), np.sin(angle)
    c, s = np.where(odd, s, c), np.where(odd, c, s)
    quarter = eighths // 2
    turned = np.choose(quarter, [c, -s, -c, s]), np.choose(quarter, [s, c, -s, -c])
    return np.asarray(turned[0] - 1j * turned[1])


class Table(Source):
    """Numbers that its attributes say; its value becomes a constant of the Program."""

    tabulated = True

    def values(self, **attrs: Any) -> np.ndarray:
        """In f64."""
        raise NotImplementedError

    def shape(self, **attrs: Any) -> tuple[int, ...]:
        raise NotImplementedError

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        dtype: DType = attrs["dtype"]
        return TensorType(self.shape(**attrs), dtype)

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        return self.values(**attrs).astype(attrs["dtype"].numpy)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return ()

    def samples(self) -> Sequence[Sample]:
        return [Sample(lambda rng: [], {**attrs, "dtype": dtype}, False, f"{dtype}{n}")
                for n, attrs in enumerate(self.examples()) for dtype in (f32, f64)]

    def examples(self) -> Sequence[dict[str, Any]]:
        return ()


def _parts(z: np.ndarray) -> np.ndarray:
    return np.stack([z.real, z.imag])


@register
class pass_roots(Table):
    """For each pass but the last of a transform of ``radices``, of a part of r m points: w^(p k) of order r m, [2, r - 1, m] in a
    row, for k from 1 on."""

    name = "pass_roots"

    def shape(self, **attrs: Any) -> tuple[int, ...]:
        return (table_offsets(attrs["radices"])[-1],)

    def values(self, **attrs: Any) -> np.ndarray:
        found, rest = [np.zeros(0)], prod(attrs["radices"])
        for r in attrs["radices"][:-1]:
            m = rest // r
            found.append(_parts(roots(np.outer(np.arange(1, r), np.arange(m)), rest)).reshape(-1))
            rest = m
        return np.concatenate(found)

    def examples(self) -> Sequence[dict[str, Any]]:
        return [{"radices": (8, 5)}, {"radices": (3,)}]


def table_offsets(radices: Sequence[int]) -> list[int]:
    """Where the roots of each pass begin, and where they end."""
    at, rest = [0], prod(radices)
    for r in radices[:-1]:
        rest //= r
        at.append(at[-1] + 2 * (r - 1) * rest)
    return at


@register
class line_roots(Table):
    """w^(k) of order ``n`` for k = 0, ``step``, 2 ``step`` ...: ``count`` of them, [count, 2]; ``conjugate``: of -k."""

    name = "line_roots"

    def shape(self, **attrs: Any) -> tuple[int, ...]:
        return (attrs["count"], 2)

    def values(self, **attrs: Any) -> np.ndarray:
        sign = -1 if attrs["conjugate"] else 1
        return np.moveaxis(_parts(roots(sign * np.arange(attrs["count"]), attrs["n"])), 0, -1)

    def examples(self) -> Sequence[dict[str, Any]]:
        return [{"n": 12, "count": 7, "conjugate": False}, {"n": 5, "count": 3, "conjugate": True}]


@register
class grid_roots(Table):
    """w^(j k ``step``) of order ``n`` for j < rows, k < columns: [2, rows, columns]."""

    name = "grid_roots"

    def shape(self, **attrs: Any) -> tuple[int, ...]:
        return (2, attrs["rows"], attrs["columns"])

    def values(self, **attrs: Any) -> np.ndarray:
        return _parts(roots(np.outer(np.arange(attrs["rows"]), np.arange(attrs["columns"]) * attrs["step"]), attrs["n"]))

    def examples(self) -> Sequence[dict[str, Any]]:
        return [{"n": 12, "rows": 3, "columns": 4, "step": 1}, {"n": 12, "rows": 3, "columns": 2, "step": 2}]


def _chirp(n: int, count: int) -> np.ndarray:
    k = np.arange(count, dtype=np.int64)
    return roots(k * k % (2 * n), 2 * n)


@register
class chirp(Table):
    """e^(-i pi k^2 / n) for k < n: [n, 2]."""

    name = "chirp"

    def shape(self, **attrs: Any) -> tuple[int, ...]:
        return (attrs["n"], 2)

    def values(self, **attrs: Any) -> np.ndarray:
        return np.moveaxis(_parts(_chirp(attrs["n"], attrs["n"])), 0, -1)

    def examples(self) -> Sequence[dict[str, Any]]:
        return [{"n": 7}]


@register
class chirp_spectrum(Table):
    """The transform of ``m`` points of e^(i pi k^2 / n) for |k| < n, over m: [m, 2]."""

    name = "chirp_spectrum"

    def shape(self, **attrs: Any) -> tuple[int, ...]:
        return (attrs["m"], 2)

    def values(self, **attrs: Any) -> np.ndarray:
        n, m = attrs["n"], attrs["m"]
        row = np.zeros(m, np.complex128)
        row[:n] = _chirp(n, n).conj()
        row[m - n + 1:] = row[n - 1:0:-1]
        return np.moveaxis(_parts(np.fft.fft(row) / m), 0, -1)

    def examples(self) -> Sequence[dict[str, Any]]:
        return [{"n": 7, "m": 16}]
