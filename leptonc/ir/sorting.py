"""Sorts of a Program: a kernel that puts rows in order, and what that order is.

Elements are ordered by unsigned keys of as many bits: ints as they are, floats by value, zeros of both signs alike, every NaN
last. A descending sort orders by the complements, so NaN comes first. Equal keys keep their order in either direction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from leptonc.ir.kernel import Param, RowKernel
from leptonc.ir.types import DType, dtype_of, i64


@dataclass(frozen=True)
class Sort(RowKernel):
    """Rows of ``operands`` [outer, n, inner] along n, all by the first ``keys`` of them, the first one first.

    What is read are the operands; what is written, [outer, count, inner]: of each operand the first ``count`` elements in that
    order, unless ``values`` is False, then the places they come from (i64) if ``order`` is True.
    """

    keys: int = 1
    descending: bool = False
    values: bool = True
    order: bool = False

    @property
    def operands(self) -> tuple[Param, ...]:
        return self.inputs

    @property
    def count(self) -> int:
        return self.outputs[0].type.shape[1]

    def run(self, env: dict[str, np.ndarray]) -> None:
        operands = [env[p.name] for p in self.inputs]
        results = sort_arrays(operands, 1, self.keys, self.descending, self.count, self.values, self.order)
        for param, result in zip(self.outputs, results, strict=True):
            env[param.name][...] = result

    def faults(self) -> Iterator[str]:
        yield from super().faults()
        shapes = {p.type.shape for p in self.inputs}
        if not 0 < self.keys <= len(self.inputs) or len(shapes) != 1 or len(next(iter(shapes))) != 3:
            yield "its operands have one shape [outer, n, inner], and the first of them are keys"
            return
        wanted = [p.type.dtype for p in self.inputs if self.values] + [i64] * self.order
        if not wanted or [p.type.dtype for p in self.outputs] != wanted:
            yield f"its results must be {', '.join(map(str, wanted)) or 'more than none'}"
            return
        outer, n, inner = next(iter(shapes))
        results = {p.type.shape for p in self.outputs}
        if len(results) != 1 or any(len(s) != 3 or (s[0], s[2]) != (outer, inner) or s[1] > n for s in results):
            yield f"its results have one shape [{outer}, up to {n}, {inner}]"


# The order


def sort_arrays(operands: Sequence[np.ndarray], axis: int, keys: int, descending: bool, count: int, values: bool,
                order: bool) -> tuple[np.ndarray, ...]:
    """What a sort gives: see ``Sort``."""
    if len(operands) == 1 and values and not order and not descending and _is_plain(operands[0]):
        return (_first(np.sort(operands[0], axis), axis, count),)
    places = _first(_places(operands[:keys], axis, descending), axis, count)
    found = [np.take_along_axis(x, places, axis) for x in operands] if values else []
    return (*found, *([places] if order else []))


def _is_plain(x: np.ndarray) -> bool:
    """Whether elements that are equal are the same."""
    if x.dtype.kind != "f":
        return x.dtype.kind in "biu"
    return not bool((np.signbit(x) & (x == 0)).any())


def _first(x: np.ndarray, axis: int, count: int) -> np.ndarray:
    return np.ascontiguousarray(x[(slice(None),) * axis + (slice(count),)])


def _places(keys: Sequence[np.ndarray], axis: int, descending: bool) -> np.ndarray:
    """The permutation of each row that sorts it, equal elements as they were."""
    ordered = [~order_key(k) if descending else order_key(k) for k in keys]
    if len(ordered) == 1:
        return np.argsort(ordered[0], axis, kind="stable").astype(np.int64)
    return np.asarray(np.lexsort(ordered[::-1], axis)).astype(np.int64)


def order_key(x: np.ndarray) -> np.ndarray:
    """Unsigned ints that are ordered as the elements are."""
    dtype = dtype_of(x.dtype)
    bits = np.ascontiguousarray(x).view(f"u{dtype.itemsize}").reshape(x.shape)
    sign = bits.dtype.type(1 << (dtype.bits - 1))
    if not dtype.is_float:
        return bits ^ sign if dtype.kind == "i" else bits
    least = bits & sign
    magnitude = bits & ~sign
    flipped = np.where((least != 0) & (magnitude != 0), ~bits, bits | sign)
    return np.where(magnitude > infinity_bits(dtype), ~bits.dtype.type(0), flipped)


def infinity_bits(dtype: DType) -> int:
    """The bits of infinity: those of NaN without their sign are more."""
    return int(np.array(np.inf, dtype.numpy).view(f"u{dtype.itemsize}"))
