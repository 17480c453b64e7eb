"""Hermitian matrices as Q T Q' with T real and tridiagonal, by Householder's reflections (LAPACK's sytrd).

A panel of columns is reduced one by one, each by one product of the matrix as it was before the panel with a vector, and
corrections by the panel's own vectors; then the panel's reflections meet the matrix in one product of matrices (Dongarra, Sorensen
and Hammarling 1989). Vectors lie as rows. Extents are fixed, so the matrix shrinks in some steps: a third of its rows goes at each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from leptonc.ir.value import Value
from leptonc.ops.linalg.building import (
    BLOCK,
    behind,
    compare,
    conjugate,
    counted,
    filled,
    in_field,
    loop,
    op,
    panels_at_once,
    part,
    product,
    real,
    replaced,
    reshaped,
    select,
    spread,
    swapped,
    zeros,
)
from leptonc.ops.linalg.jacobi import window
from leptonc.ops.linalg.qr import reflector


class Step(NamedTuple):
    """Reflections of the rows and columns behind the first ``at``, those of a panel joined as I - V T V': V' [p, b, w, m] without
    conjugates, and T [p, b, w, w]."""

    at: int
    vectors: Value
    factors: Value


def tridiagonal(a: Value) -> tuple[Value, Value, list[Step]]:
    """The diagonal [b, n], what is beside it [b, n] (the last is 0), and the reflections of Hermitian a [b, n, n], n a multiple of
    BLOCK."""
    return by_panels(a, _reduced)


def by_panels(a: Value, reduced: Callable[[Value, int], tuple[Value, ...]]) -> tuple[Value, Value, list[Step]]:
    """The diagonal, what is beside it, and the reflections, of panels that ``reduced`` takes some at a time off what is left."""
    n, at = a.shape[-1], 0
    diagonals, besides, steps = [], [], []
    while at < n:
        panels = panels_at_once(n - at)
        a, d, e, vectors, factors = reduced(a, panels)
        steps.append(Step(at, vectors, factors))
        diagonals.append(d)
        besides.append(e)
        at += panels * BLOCK
        if at < n:
            a = behind(a, panels * BLOCK, panels * BLOCK)
    return in_one(diagonals), in_one(besides), steps


def turned_back(rows: Value, steps: Sequence[Step]) -> Value:
    """X Q' for the rows X [b, n, n] of real numbers and the reflections of ``tridiagonal``."""
    first = steps[0].vectors
    x = in_field(rows, first) if first.dtype != rows.dtype else rows
    for step in reversed(steps):
        x = _reflected(x, step)
    return x


def in_one(parts: Sequence[Value]) -> Value:
    """Parts of lines [b, n]."""
    return parts[0] if len(parts) == 1 else op("concatenate", *parts, axis=1)


def _reduced(a: Value, panels: int) -> tuple[Value, ...]:
    """The first columns of a reduced: what is left of it, [b, p w] of the diagonal and beside it, and the reflections."""

    def trip(i: Value, consts: Sequence[Value], carries: Sequence[Value], _: Sequence[Value]) -> list[Value]:
        a = carries[0]
        pairs, d, e, factors = _panel(a, i * BLOCK)
        vectors = window(pairs, 1, 0, BLOCK)
        return [a - product(pairs, conjugate(_exchanged(pairs)), left=True), d, e, vectors, factors]

    a, d, e, vectors, factors = loop(panels, trip, [a])

    return a, in_line(d), in_line(e), vectors, factors


def in_line(x: Value) -> Value:
    """[p, w, b] -> [b, p w]"""
    p, w, b = x.shape
    return reshaped(x, (1, p * w)) if b == 1 else swapped(reshaped(x, (p * w, b)))


def _exchanged(pairs: Value) -> Value:
    """The second half of the rows [b, 2 w, m] before the first."""
    w = pairs.shape[1] // 2
    return op("concatenate", window(pairs, 1, w, 2 * w), window(pairs, 1, 0, w), axis=1)


def _panel(a: Value, first: Value) -> tuple[Value, Value, Value, Value]:
    """Of the columns from ``first`` on: V and W as rows [b, 2 w, m], for which a - V W' - W V' has these reduced; the diagonal and
    what is below it [w, b]; T [b, w, w], upper triangular, with I - V T V' the product of the reflections."""
    b, m, _ = a.shape

    def trip(j: Value, consts: Sequence[Value], carries: Sequence[Value], _: Sequence[Value]) -> list[Value]:
        (a, first), (pairs, joined) = consts, carries
        at = first + j
        crossed = conjugate(_exchanged(part(pairs, (0, 0, at), (b, 2 * BLOCK, 1))))
        column = conjugate(part(a, (0, at, 0), (b, 1, m))) - product(crossed, pairs, left=True)
        v, tau, diagonal, beside = eliminating(reshaped(column, (b, m)), at)
        upright = reshaped(v, (b, m, 1))
        along = product(conjugate(pairs), upright)
        scale = spread(tau, (b, m), 0)
        x = reshaped(product(a, upright), (b, m)) - reshaped(product(_exchanged(along), pairs, left=True), (b, m))
        x = x * scale
        inner = op("sum", conjugate(x) * v, axes=(1,)) * tau * 0.5
        w = x - spread(inner, (b, m), 0) * v
        pairs = replaced(replaced(pairs, reshaped(v, (b, 1, m)), (0, j, 0)), reshaped(w, (b, 1, m)), (0, j + BLOCK, 0))
        return [pairs, with_column(joined, window(along, 1, 0, BLOCK), tau, j), diagonal, beside]

    pairs, joined, d, e = loop(BLOCK, trip, [zeros(a, (b, 2 * BLOCK, m)), zeros(a, (b, BLOCK, BLOCK))], [a, first])
    return pairs, d, e, joined


def with_column(joined: Value, along: Value, tau: Value, j: Value) -> Value:
    """T with its column j, that of a reflection with this tau, whose v gives ``along`` [b, w, 1] with those before it."""
    column = product(joined, along)
    place = counted(along, column.shape, 1)
    wide = spread(tau, column.shape, 0)
    return replaced(joined, select(compare("eq", place, j), wide, -column * wide), (0, 0, j))


def eliminating(column: Value, at: Value) -> tuple[Value, Value, Value, Value]:
    """``eliminated`` of a column [b, m]; v is [b, m] too."""
    b, m = column.shape
    v, tau, diagonal, beside = eliminated(reshaped(column, (m, b)) if b == 1 else swapped(column), at)
    return reshaped(v, (b, m)) if b == 1 else swapped(v), tau, diagonal, beside


def eliminated(column: Value, at: Value) -> tuple[Value, Value, Value, Value]:
    """Of a column [m, b] the reflection that leaves two elements from row ``at`` on: v [m, b], tau, and these, real, [b]."""
    m, b = column.shape
    row = counted(column, (m, b), 0)
    here, under = compare("eq", row, at + 1), compare("gt", row, at + 1)
    alpha = op("sum", select(here, column, 0), axes=(0,))
    v, tau, beta = reflector(column, under, alpha)
    diagonal = real(reshaped(part(column, (at, 0), (1, b)), (b,)))
    return select(here, filled(v, 1), v), tau, diagonal, real(beta)


def _reflected(x: Value, step: Step) -> Value:
    """x (H1 H2 ...)' for one step's reflections, panel by panel, the last first."""
    p, n = step.vectors.shape[0], x.shape[-1]
    kept, behind = (None, x) if not step.at else (window(x, 2, 0, step.at), window(x, 2, step.at, n))

    def back(i: Value, consts: Sequence[Value], carries: Sequence[Value], xs: Sequence[Value]) -> list[Value]:
        vectors, t = xs
        met = product(product(carries[0], vectors, right=True), conjugate(t), right=True)
        return [carries[0] - product(met, conjugate(vectors))]

    behind = loop(p, back, [behind], [], [step.vectors, step.factors], reverse=True)[0]
    return behind if kept is None else op("concatenate", kept, behind, axis=2)
