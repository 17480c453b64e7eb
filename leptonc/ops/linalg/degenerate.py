"""Derivatives of eigenvectors and singular vectors, of values that stand twice too.

Vectors turn by x / (the difference of two values), x being what a turn of both would change of the function. Where the values are
equal, but for rounding, any basis is right: a function of the vectors that is the same for all of them has x = 0, but for rounding,
and no turn matters to it. All else has no derivative there: one that depends on the basis, and one of values and vectors both,
whose x / 0 would be a limit that no cotangent tells. These are NaN where values are exactly equal, as all is in JAX.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from leptonc.ir.value import Value
from leptonc.ops.linalg.building import both, divided, filled, on_diagonal, op, select, size, spread, zeros

ROUNDING = 4  # times eps and the number of rows: what is left of a difference of equal products


def pairs(values: Value, sign: int) -> Value:
    """values[j] + sign values[i] of values [..., n], as [..., n, n]."""
    rank = values.type.rank
    shape, lead = (*values.shape, values.shape[-1]), tuple(range(rank - 1))
    row, column = spread(values, shape, *lead, rank - 1), spread(values, shape, *lead, rank)
    return column + row if sign > 0 else column - row


def rounding_of(x: Value, shape: Sequence[int], axes: int) -> Value:
    """What may be a rounding error in a difference of elements of x, whose last ``axes`` are reduced, in a shape."""
    rank = x.type.rank
    if not all(x.shape[rank - axes:]):
        return zeros(x, shape, x.dtype.real)
    most = op("reduce_max", size(x), axes=tuple(range(rank - axes, rank)))
    share = ROUNDING * max(x.shape[rank - axes:]) * float(np.finfo(x.dtype.real.numpy).eps)
    return spread(most * share, shape, *range(rank - axes))


class Basis(NamedTuple):
    """Values [..., n] whose vectors are a basis of spaces of equal ones; is the function one of vectors ``alone``?"""

    values: Value
    alone: bool

    def over(self, x: Value, by: Value, like: Value) -> Value:
        """x over values, or sums or differences of two, of its shape; a rounding error of the matrices ``like`` over one of the
        values is 0."""
        exact = op("eq", by, filled(by, 0))
        out = select(exact, filled(x, np.nan), divided(x, select(exact, filled(by, 1), by)))
        if not self.alone:
            return out
        none = [op("le", size(y), rounding_of(of, x.shape, axes)) for y, of, axes in ((x, like, 2), (by, self.values, 1))]
        return select(both(*none), filled(x, 0), out)

    def turn(self, x: Value, sign: int, like: Value) -> Value:
        """x [..., n, n] over the sums or differences of all pairs of values, 0 on the diagonal."""
        return select(on_diagonal(x), filled(x, 0), self.over(x, pairs(self.values, sign), like))
