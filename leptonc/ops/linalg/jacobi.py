"""What Jacobi's methods for eigenvalues and singular values share.

Rotations of n / 2 disjoint pairs run at once: row i and row i + n / 2, for each i. Between two rounds the rows move on as the
players of a tournament (Brent and Luk 1985), so that in n - 1 rounds, a sweep, each meets each, and all are where they were.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leptonc.ir.types import i32
from leptonc.ir.value import Value
from leptonc.ops.linalg.building import (
    conjugate,
    counted,
    extent,
    filled,
    identity,
    in_field,
    op,
    picked,
    product,
    real,
    reshaped,
    select,
    size,
    spread,
)
from leptonc.ops.linalg.lu import inverse_of, permuted

FEW = 8  # rows of a matrix whose rotations are few enough not to lose digits
SWEEPS = {"f32": 30, "f64": 40}  # at most; random matrices take 6 to 10, repeated eigenvalues up to twice as many


def epsilon(x: Value) -> float:
    return float(np.finfo(x.dtype.real.numpy).eps)


def power_of_two(x: Value) -> Value:
    """The greatest that is not above x > 0; 1 of 0. What is divided by it is rounded nowhere."""
    number = x.dtype.numpy
    bits = op("to_bits", x)
    mask = int(np.array(np.inf, number).view(f"i{number.itemsize}"))
    found = op("from_bits", op("and", bits, filled(bits, mask)), dtype=x.dtype)
    return select(op("eq", found, filled(x, 0)), filled(x, 1), found)


def even(n: int) -> int:
    return n + n % 2


def rotation(first: Value, second: Value, both: Value, least: Value | None = None) -> tuple[Value, Value, Value]:
    """Cosine, sine and tangent of the angle, at most 45 degrees, that makes [[first, both], [both, second]] diagonal. None where
    ``both`` is 0, or not greater than ``least``."""
    tau = (second - first) / (both * 2)
    size = op("abs", tau)
    tangent = 1 / (size + op("sqrt", tau * tau + 1))
    tangent = select(op("ge", tau, filled(tau, 0)), tangent, -tangent)
    still = op("eq", both, filled(both, 0)) if least is None else op("le", op("abs", both), least)
    tangent = select(still, filled(tangent, 0), tangent)
    cosine = 1 / op("sqrt", tangent * tangent + 1)
    return cosine, cosine * tangent, tangent


def rotated_rows(x: Value, cosine: Value, sine: Value) -> Value:
    """Rows i and i + h of x [2 h, ...] rotated; cosine and sine are [h, b], x's last axis is b."""
    top, bottom = halves(x, 0)
    c, s = (spread(in_field(v, x), top.shape, 0, x.type.rank - 1) for v in (cosine, sine))
    return op("concatenate", c * top - s * bottom, s * top + c * bottom, axis=0)


def rotated_columns(x: Value, cosine: Value, sine: Value) -> Value:
    """Columns of x [m, 2 h, b] alike."""
    left, right = halves(x, 1)
    c, s = (spread(in_field(v, x), left.shape, 1, 2) for v in (cosine, sine))
    return op("concatenate", c * left - s * right, s * left + c * right, axis=1)


def phase_of(x: Value) -> Value:
    """x / |x| of complex numbers, 1 of 0."""
    return select(op("eq", x, filled(x, 0)), filled(x, 1), op("sign", x))


def turned_rows(x: Value, phase: Value) -> Value:
    """The second half of the rows of x [2 h, ..., b] times complex numbers [h, b] of size 1."""
    top, bottom = halves(x, 0)
    return op("concatenate", top, bottom * spread(phase, bottom.shape, 0, x.type.rank - 1), axis=0)


def turned_columns(x: Value, phase: Value) -> Value:
    """Columns of x [m, 2 h, b] alike."""
    left, right = halves(x, 1)
    return op("concatenate", left, right * spread(phase, right.shape, 1, 2), axis=1)


def orthonormal_rows(x: Value) -> Value:
    """Rows [b, n, n] that are orthonormal but for some digits, to all digits: a step of Newton's for the polar factor."""
    error = product(x, conjugate(x), right=True)
    return x - product((error - identity(x, x.shape[-1])) * 0.5, x)


def halves(x: Value, axis: int) -> tuple[Value, Value]:
    h = x.shape[axis] // 2
    return window(x, axis, 0, h), window(x, axis, h, 2 * h)


def window(x: Value, axis: int, start: int, stop: int) -> Value:
    """Elements from ``start`` to ``stop`` along an axis."""
    at = tuple(start if d == axis else 0 for d in range(x.type.rank))
    size = tuple(stop - start if d == axis else n for d, n in enumerate(x.shape))
    return op("slice", x, start=at, size=size, step=(1,) * x.type.rank)


def moved_on(x: Value, axis: int) -> Value:
    """The next round's pairs: all but the first move one place on, up the second half and down the first."""
    n = x.shape[axis]
    h = n // 2
    if h < 2:
        return x
    parts = [(0, 1), (h, h + 1), (1, h - 1), (h + 1, n), (h - 1, h)]
    return op("concatenate", *(window(x, axis, a, b) for a, b in parts if b > a), axis=axis)


def order_of(values: Value, descending: bool = False) -> Value:
    """The places [b, n] i32 of values [b, n] in order, equal ones as they stand: each one's rank by comparison with all."""
    b, n = values.shape
    shape = (b, n, n)
    mine, other = spread(values, shape, 0, 1), spread(values, shape, 0, 2)
    before = op("gt" if descending else "lt", other, mine)
    earlier = op("and", op("eq", other, mine), op("lt", counted(values, shape, 2), counted(values, shape, 1)))
    rank = op("sum", op("cast", op("or", before, earlier), dtype=i32), axes=(2,))
    return inverse_of(op("cast", rank, dtype=i32))


def in_order(values: Value, order: Value) -> Value:
    b, n = values.shape
    return reshaped(permuted(reshaped(values, (b, n, 1)), order), order.shape)


def signs_of_rows(x: Value) -> Value:
    """[b, m] for x [b, m, n]: that of the first element which is about the largest of its row (of complex numbers what makes it
    positive). So the factors do not depend on the way they were found; of elements that are equal but for rounding always the first
    counts."""
    sizes = size(x)
    most = op("reduce_max", sizes, axes=(2,))
    large = op("ge", sizes, spread(most * 0.999, x.shape, 0, 1))
    first = op("cast", op("argmax", op("cast", large, dtype=i32), axis=2), dtype=i32)
    here = op("eq", counted(x, x.shape, 2), spread(first, x.shape, 0, 1))
    found = picked(here, x, 2)
    if x.dtype.is_complex:
        return conjugate(phase_of(found))
    one = filled(found, 1)
    return select(op("lt", found, filled(found, 0)), -one, one)


def eager_signs(x: np.ndarray) -> np.ndarray:
    """``signs_of_rows`` in NumPy, of any stack."""
    size = np.abs(x)
    large = size >= np.max(size, -1, keepdims=True) * size.dtype.type(0.999)
    found = np.take_along_axis(x, np.argmax(large, -1)[..., None], -1)
    if x.dtype.kind == "c":
        return np.where(found == 0, 1, np.conj(found) / np.where(found == 0, 1, np.abs(found))).astype(x.dtype)
    return np.where(found < 0, -1, 1).astype(x.dtype)


def all_finite(x: Value) -> Value:
    """[b] for x [b, ...]."""
    return op("all", op("lt", extent(x), filled(real(x), np.inf)), axes=tuple(range(1, x.type.rank)))


def or_nan(finite: Value, *results: Value) -> Sequence[Value]:
    """Results [b, ...], NaN where ``finite`` [b] is False."""
    return [select(spread(finite, x.shape, 0), x, np.nan) for x in results]


