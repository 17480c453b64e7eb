"""Square matrices as Q B P' with B real and upper bidiagonal, by Householder's reflections (LAPACK's gebrd).

As ``tridiagonal``, but for two products of the matrix with a vector for each column: reflections of rows and of columns take turns.
"""

from __future__ import annotations

from collections.abc import Sequence

from leptonc.ir.value import Value
from leptonc.ops.linalg.building import (
    BLOCK,
    conjugate,
    loop,
    part,
    product,
    replaced,
    reshaped,
    spread,
    zeros,
)
from leptonc.ops.linalg.jacobi import window
from leptonc.ops.linalg.tridiagonal import Step, by_panels, eliminating, in_line, with_column


def bidiagonal(a: Value) -> tuple[Value, Value, list[Step]]:
    """B's diagonal [b, n], what is right of it [b, n] (the last is 0), P's reflections; a is [b, n, n], n a multiple of BLOCK."""
    return by_panels(a, _reduced)


def _reduced(a: Value, panels: int) -> tuple[Value, ...]:
    """The first rows and columns of a reduced: what is left of it, [b, p w] of B's diagonals, and the reflections of rows."""

    def trip(i: Value, consts: Sequence[Value], carries: Sequence[Value], _: Sequence[Value]) -> list[Value]:
        a = carries[0]
        left, right, factors, d, e = _panel(a, i * BLOCK)
        return [a - product(left, conjugate(right), left=True), d, e, window(right, 1, BLOCK, 2 * BLOCK), factors]

    a, d, e, vectors, factors = loop(panels, trip, [a])
    return a, in_line(d), in_line(e), vectors, factors


def _panel(a: Value, first: Value) -> tuple[Value, ...]:
    """Of the rows and columns from ``first`` on: (V, X) and (Y, U) as rows [b, 2 w, m], a - V Y' - X U' having these reduced; T of
    the reflections U; B's diagonals [w, b]."""
    b, m, _ = a.shape

    def trip(j: Value, consts: Sequence[Value], carries: Sequence[Value], _: Sequence[Value]) -> list[Value]:
        (a, first), (left, right, joined) = consts, carries
        at = first + j
        crossed = conjugate(part(right, (0, 0, at), (b, 2 * BLOCK, 1)))
        column = part(a, (0, 0, at), (b, m, 1)) - product(left, crossed, left=True)
        v, tau, _diagonal, d = eliminating(reshaped(column, (b, m)), at - 1)
        met = product(conjugate(left), reshaped(v, (b, m, 1)))
        through = conjugate(product(a, reshaped(conjugate(v), (b, m, 1)), left=True)) - product(right, met, left=True)
        y = reshaped(through, (b, m)) * spread(tau, (b, m), 0)
        left, right = (replaced(x, reshaped(line, (b, 1, m)), (0, j, 0)) for x, line in ((left, v), (right, y)))
        row = part(a, (0, at, 0), (b, 1, m)) - product(part(left, (0, 0, at), (b, 2 * BLOCK, 1)), conjugate(right), left=True)
        u, tau, _diagonal, e = eliminating(conjugate(reshaped(row, (b, m))), at)
        met = product(conjugate(right), reshaped(u, (b, m, 1)))
        through = product(a, reshaped(u, (b, m, 1))) - product(left, met, left=True)
        x = reshaped(through, (b, m)) * spread(tau, (b, m), 0)
        left, right = (replaced(z, reshaped(line, (b, 1, m)), (0, j + BLOCK, 0)) for z, line in ((left, x), (right, u)))
        return [left, right, with_column(joined, window(met, 1, BLOCK, 2 * BLOCK), tau, j), d, e]

    empty = zeros(a, (b, 2 * BLOCK, m))
    return tuple(loop(BLOCK, trip, [empty, empty, zeros(a, (b, BLOCK, BLOCK))], [a, first]))
