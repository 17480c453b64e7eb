"""Small matrices made tridiagonal or bidiagonal by one reflection after the other (LAPACK's sytd2 and gebd2).

A panel [n, n, b] less products of two vectors for each column: of a stack of small matrices that is vectors along the stack, and no
work on padding. ``tridiagonal`` and ``bidiagonal`` have that, and products of a panel's vectors as wide as a small matrix itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from leptonc.ir.value import Value
from leptonc.ops.linalg.building import (
    BLOCK,
    as_panel,
    as_stack,
    conjugate,
    in_field,
    loop,
    op,
    part,
    reshaped,
    spread,
)
from leptonc.ops.linalg.tridiagonal import eliminated, in_line

UNBLOCKED = 2 * BLOCK  # rows, at most
Reflections = tuple[Value, Value]  # vectors v [n, n, b] and their tau [n, b]


def tridiagonal_of_few(a: Value) -> tuple[Value, Value, Reflections]:
    """Hermitian a [b, n, n] as Q T Q' with T real: its diagonal [b, n], what is beside it [b, n] (the last is 0), and Q's
    reflections."""
    b, n, _ = a.shape

    def trip(j: Value, consts: Sequence[Value], carries: Sequence[Value], _: Sequence[Value]) -> list[Value]:
        p = carries[0]
        v, tau, diagonal, beside = eliminated(reshaped(part(p, (0, j, 0), (n, 1, b)), (n, b)), j)
        x = op("sum", p * spread(v, p.shape, 1, 2), axes=(1,)) * spread(tau, (n, b), 1)
        inner = op("sum", conjugate(x) * v, axes=(0,)) * tau * 0.5
        w = x - v * spread(inner, (n, b), 1)
        return [p - _outer(v, w) - _outer(w, v), diagonal, beside, v, tau]

    _, d, e, vectors, taus = loop(n, trip, [as_panel(a)])
    return _in_line(d), _in_line(e), (vectors, taus)


def bidiagonal_of_few(a: Value) -> tuple[Value, Value, Reflections]:
    """a [b, n, n] as Q B P' with B real: its diagonal [b, n], what is right of it [b, n] (the last is 0), and P's reflections."""
    b, n, _ = a.shape

    def trip(j: Value, consts: Sequence[Value], carries: Sequence[Value], _: Sequence[Value]) -> list[Value]:
        p = carries[0]
        v, tau, _diagonal, d = eliminated(reshaped(part(p, (0, j, 0), (n, 1, b)), (n, b)), j - 1)
        y = op("sum", conjugate(p) * spread(v, p.shape, 0, 2), axes=(0,)) * spread(tau, (n, b), 1)
        p = p - _outer(v, y)
        u, tau, _diagonal, e = eliminated(conjugate(reshaped(part(p, (j, 0, 0), (1, n, b)), (n, b))), j)
        x = op("sum", p * spread(u, p.shape, 1, 2), axes=(1,)) * spread(tau, (n, b), 1)
        return [p - _outer(x, u), d, e, u, tau]

    _, d, e, vectors, taus = loop(n, trip, [as_panel(a)])
    return _in_line(d), _in_line(e), (vectors, taus)


def _in_line(x: Value) -> Value:
    """[n, b] -> [b, n]"""
    return in_line(reshaped(x, (1, *x.shape)))


def _outer(x: Value, y: Value) -> Value:
    """x y', [n, n, b]."""
    shape = (*x.shape[:1], *y.shape)
    return spread(x, shape, 0, 2) * spread(conjugate(y), shape, 1, 2)


def turned_back_of_few(rows: Value, reflections: Reflections) -> Value:
    """X Q' for the rows X [b, n, n] of real numbers and the their reflections."""
    vectors, taus = reflections

    def back(_: Value, consts: Sequence[Value], carries: Sequence[Value], xs: Sequence[Value]) -> list[Value]:
        (x,), (v, tau) = carries, xs
        met = op("sum", x * spread(v, x.shape, 1, 2), axes=(1,)) * spread(conjugate(tau), x.shape[::2], 1)
        return [x - spread(met, x.shape, 0, 2) * spread(conjugate(v), x.shape, 1, 2)]

    x = in_field(rows, vectors) if vectors.dtype != rows.dtype else rows
    return as_stack(loop(vectors.shape[0], back, [as_panel(x)], [], [vectors, taus], reverse=True)[0])
