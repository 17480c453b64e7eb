"""Systems of equations with triangular matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.errors import op_error
from leptonc.ir.op import Sample, register
from leptonc.ir.types import TensorType
from leptonc.ir.value import Value
from leptonc.ops.linalg.building import (
    BLOCK,
    FEW_PANELS,
    SMALL,
    MatrixOp,
    as_panel,
    as_stack,
    behind,
    blocks_of,
    compare,
    counted,
    cropped,
    filled,
    flattened,
    line,
    loop,
    op,
    padded,
    padded_square,
    part,
    product,
    replaced,
    reshaped,
    select,
    spread,
    swapped,
    triangle,
    without_ends,
)


@register
class triangular_solve(MatrixOp):
    """x with a x = b (``transpose``: a' x = b), of a the lower or the upper triangle, with ones on its diagonal if ``unit``.

    A zero on the diagonal gives infinities and NaN. Block by block: what is solved is taken off by one product; a block's rows go
    eight at a time (``substitution``), of a stack and of complex numbers one by one.
    """

    name, operand_names = "triangular_solve", ("a", "b")

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        a, b = types
        self.matrices(a, square=True)
        self.matrices(b, "b")
        if a.shape[:-1] != b.shape[:-1] or a.dtype != b.dtype:
            raise op_error(self.name, "a must be [..., n, n] and b [..., n, k], of one dtype", {"a": a, "b": b})
        return b

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        a, x = np.asarray(arrays[0]), np.array(arrays[1])
        lower = attrs["lower"] != attrs["transpose"]
        a = np.swapaxes(a, -1, -2) if attrs["transpose"] else a
        n = a.shape[-1]
        with np.errstate(all="ignore"):
            for j in range(n) if lower else range(n - 1, -1, -1):
                if not attrs["unit"]:
                    x[..., j, :] /= a[..., j, j, None]
                rest = slice(j + 1, n) if lower else slice(0, j)
                x[..., rest, :] -= a[..., rest, j, None] * x[..., j, None, :]
        return x

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """b's: the transposed system's solution h; a's: the triangle of -h y'."""
        h = self(operands[0], g, lower=attrs["lower"], transpose=not attrs["transpose"], unit=attrs["unit"])
        pair = (y, h) if attrs["transpose"] else (h, y)
        offset = (-1 if attrs["lower"] else 1) if attrs["unit"] else 0
        return -triangle(product(pair[0], pair[1], right=True), attrs["lower"], offset), h

    def expand(self, *operands: Value, **attrs: Any) -> Value:
        a, b = operands
        if not b.type.size:
            return b
        stack, right = flattened(a), flattened(b)
        found = _of_block(stack, right, **attrs) if a.shape[-1] <= BLOCK else _in_halves(stack, right, **attrs)
        return reshaped(found, b.shape)

    def samples(self) -> Sequence[Sample]:
        def make(a: tuple[int, ...], columns: int, lower: bool, transpose: bool = False, unit: bool = False) -> Sample:
            attrs = {"lower": lower, "transpose": transpose, "unit": unit}
            return Sample(lambda rng: [rng.standard_normal(a) / a[-1] + 2 * np.eye(a[-1]), rng.standard_normal((*a[:-1], columns))],
                          attrs, True, f"{a}{columns}{lower}{transpose}{unit}")

        singular = Sample(lambda rng: [np.array([[0.0, 0.0], [1.0, 2.0]]), np.array([[1.0], [1.0]])],
                          {"lower": True, "transpose": False, "unit": False}, False, "singular")
        return [make((3, 3), 2, True), make((2, 4, 4), 1, False, True), make((2, 3, 3), 2, True, False, True),
                make((0, 0), 2, True), singular]


def _of_block(a: Value, b: Value, lower: bool, transpose: bool, unit: bool) -> Value:
    """A few rows: of one matrix some at a time, of a stack and of complex numbers one by one."""
    s, n, _ = b.shape
    if s == 1 and not b.dtype.is_complex:
        attrs = {"lower": lower, "transpose": transpose, "unit": unit}
        return op("substitution", a, b, **attrs) if n <= SMALL else _blocked(a, b, SMALL, **attrs)
    solve = _written_out if n <= SMALL else _eliminated
    return as_stack(solve(as_panel(swapped(a) if transpose else a), as_panel(b), lower != transpose, unit))


def _eliminated(a: Value, b: Value, lower: bool, unit: bool) -> Value:
    """a [n, n, s], b [n, k, s]: substitution, row by row."""
    n, k, s = b.shape

    def trip(j: Value, consts: Sequence[Value], carries: Sequence[Value], _: Sequence[Value]) -> list[Value]:
        a, x = consts[0], carries[0]
        column = reshaped(part(a, (0, j, 0), (n, 1, s)), (n, s))
        row = reshaped(part(x, (j, 0, 0), (1, k, s)), (k, s))
        if not unit:
            row = row / spread(reshaped(part(column, (j, 0), (1, s)), (s,)), (k, s), 1)
        less = x - spread(column, x.shape, 0, 2) * spread(row, x.shape, 1, 2)
        place = counted(x, x.shape, 0)
        rest = select(compare("gt" if lower else "lt", place, j), less, x)
        return [select(compare("eq", place, j), spread(row, x.shape, 1, 2), rest)]

    return loop(n, trip, [b], [a], reverse=not lower)[0]


def _written_out(a: Value, b: Value, lower: bool, unit: bool) -> Value:
    """``_eliminated`` of few rows."""
    n, k, s = b.shape
    found: list[Value] = []
    for j in range(n) if lower else range(n - 1, -1, -1):
        row = line(b, 0, 0 if lower else j)
        column = line(a, 1, j)
        found.append(row if unit else row / spread(line(column, 0, j), (k, s), 1))
        if len(found) < n:
            column = without_ends(column, j + 1, 0) if lower else without_ends(column, 0, n - j)
            b = without_ends(b, *((1, 0) if lower else (0, 1)))
            b = b - spread(column, b.shape, 0, 2) * spread(found[-1], b.shape, 1, 2)
    return op("concatenate", *(reshaped(x, (1, k, s)) for x in (found if lower else reversed(found))), axis=0)


def _in_halves(a: Value, b: Value, lower: bool, transpose: bool, unit: bool) -> Value:
    """Of many rows one half after the other, so that what is multiplied is what there is; of few columns all is one loop."""
    (_, n, k), kind = b.shape, {"lower": lower, "transpose": transpose, "unit": unit}
    if n <= FEW_PANELS * BLOCK or k <= BLOCK:
        return _blocked(a, b, BLOCK, **kind)
    half = (blocks_of(n) + 1) // 2 * BLOCK
    parts = cropped(a, half, half), behind(a, half, half)
    rows = cropped(b, half, k), behind(b, half, 0)
    corner = cropped(behind(a, half, 0), n - half, half) if lower else behind(cropped(a, half, n), 0, half)
    first, second = (0, 1) if lower != transpose else (1, 0)
    known = _in_halves(parts[first], rows[first], **kind)
    found = _in_halves(parts[second], rows[second] - product(corner, known, left=transpose), **kind)
    return op("concatenate", *((known, found) if first == 0 else (found, known)), axis=1)


def _blocked(a: Value, b: Value, height: int, lower: bool, transpose: bool, unit: bool) -> Value:
    s, n, k = b.shape
    count = -(-n // height)
    size = count * height
    whole, right = padded_square(a, size), padded(b, size, k)

    def trip(i: Value, consts: Sequence[Value], carries: Sequence[Value], _: Sequence[Value]) -> list[Value]:
        a, right = consts
        found, first = carries[0], i * height  # rows that are not solved yet are 0
        if transpose:
            strip = part(a, (0, 0, first), (s, size, height))
            inner = part(strip, (0, first, 0), (s, height, height))
        else:
            strip = part(a, (0, first, 0), (s, height, size))
            inner = part(strip, (0, 0, first), (s, height, height))
        rows = part(right, (0, first, 0), (s, height, k)) - product(strip, found, left=transpose)
        return [replaced(found, _of_block(inner, rows, lower, transpose, unit), (0, first, 0))]

    return cropped(loop(count, trip, [filled(right, 0)], [whole, right], reverse=lower == transpose)[0], n, k)
