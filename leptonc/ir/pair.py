"""A complex value of a graph as two real ones: what ``passes/graph/parts.py`` makes of it."""

from __future__ import annotations

from typing import NamedTuple

from leptonc.ir.value import Value


class Pair(NamedTuple):
    """Real and imaginary part, of one type."""

    re: Value
    im: Value


def parts_of(x: Value | Pair) -> Pair:
    """A real value has an imaginary part of 0."""
    return x if isinstance(x, Pair) else Pair(x, x.builder.full(x.type, 0))
