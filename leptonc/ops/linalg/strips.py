"""Matrices in strips, on which a factorization works in place: a product over some of a matrix goes over that alone.

A strip [n, BLOCK] has BLOCK columns of a matrix of n rows: a row of a strip is some registers, and what a product wants of two
strips lies in one piece.
"""

from __future__ import annotations

import numpy as np

from leptonc.ir.value import Value
from leptonc.ops.linalg.building import BLOCK, compare, counted, op, padded, part, reshaped, select, spread

WAYS = 8  # parts of memory that strips are spread over: as many threads have equal shares


def products(strips: Value, heads: Value, rows: Value | None = None) -> Value:
    """[count, c, BLOCK]: heads [n, c] times each strip, over the first ``rows`` alone, if not all."""
    count, n, _ = strips.shape
    shape = (count, n, heads.shape[1], BLOCK)
    each = spread(heads, shape, 1, 2) * spread(strips, shape, 0, 1, 3)
    if rows is not None:
        each = select(compare("lt", counted(strips, shape, 1), rows), each, 0)
    out: Value = op("sum", each, axes=(1,))
    return out


def spread_out(a: Value) -> Value:
    """A symmetric [1, n, n] as strips, which are as many as a multiple of WAYS. Those that follow each other lie in WAYS parts of
    memory, one in each in turn: of a part, which is what a thread has, as many are near the end as near the beginning of the
    matrix, where work ends first."""
    n = a.shape[-1]
    rows = -(-n // (BLOCK * WAYS))
    wide = reshaped(padded(a, n, rows * WAYS * BLOCK), (n, rows, WAYS, BLOCK))
    return reshaped(op("transpose", wide, perm=(2, 1, 0, 3)), (WAYS * rows, n, BLOCK))


def turned(strips: Value) -> Value:
    """The transpose [1, m, n], m >= n, of a matrix that is spread out."""
    count, n, _ = strips.shape
    rows = reshaped(strips, (WAYS, count // WAYS, n, BLOCK))
    return reshaped(op("transpose", rows, perm=(1, 0, 3, 2)), (1, count * BLOCK, n))


def place_of(strips: Value, number: Value) -> Value:
    """Where a strip lies."""
    order = _order(strips)
    places = strips.builder.constant(np.array([order.index(k) for k in range(len(order))], np.int64))
    return reshaped(part(places, (number,), (1,)), ())


def _order(strips: Value) -> list[int]:
    """The numbers of the strips as they lie."""
    rows = strips.shape[0] // WAYS
    return [row * WAYS + way for way in range(WAYS) for row in range(rows)]


def products_from(strips: Value, number: Value, rows: Value) -> Value:
    """[count, BLOCK, BLOCK]: strip ``number`` times itself and each behind it, over the first ``rows`` alone; 0 for others."""
    _, n, _ = strips.shape
    sums = products(strips, reshaped(part(strips, (place_of(strips, number), 0, 0), (1, n, BLOCK)), (n, BLOCK)), rows)
    numbers = [k if k * BLOCK < n else -1 for k in _order(strips)]
    order = spread(strips.builder.constant(np.array(numbers, np.int64)), sums.shape, 0)
    return select(op("ge", order, spread(number, sums.shape)), sums, 0)
