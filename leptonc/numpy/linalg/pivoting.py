"""QR factors with pivots: of the columns that are left, the longest comes next (Businger and Golub 1965; LAPACK's geqp3)."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.numpy.linalg.operands import conjugated
from leptonc.scan import scan
from leptonc.trace import bind
from leptonc.vmap import vmap


def column_order(a: Any) -> Any:
    """The order [..., n] i32 of the columns of a [..., m, n]; it has no derivative. Of equally long columns the first is taken."""
    *lead, m, n = a.shape
    if not a.size:
        return lnp.broadcast_to(np.arange(n, dtype=np.int32), (*lead, n))
    stack = bind("stop_gradient", bind("reshape", a, shape=(prod(lead), m, n)))
    size = lnp.max(lnp.absolute(stack), axis=(1, 2), keepdims=True)
    scaled = stack / lnp.where(size > 0, size, 1)  # squares of what is very large or small stay in range
    return bind("reshape", vmap(_order_of_one)(scaled), shape=(*lead, n))


def _order_of_one(a: Any) -> Any:
    m, n = a.shape
    rows, columns = np.arange(m), np.arange(n)

    def step(state: tuple[Any, Any], j: Any) -> tuple[tuple[Any, Any], None]:
        left, order = state
        lengths = lnp.sum(lnp.where(rows[:, None] >= j, lnp.absolute(left) ** 2, 0), axis=0)
        longest = lnp.argmax(lnp.where(columns >= j, lengths, -1))
        x, other = left[:, longest], left[:, j]
        left = left.at[:, longest].set(other).at[:, j].set(x)
        order = order.at[longest].set(order[j]).at[j].set(order[longest])
        below = lnp.where(rows >= j, x, 0)
        return (_without(left, below, lnp.where(rows == j, _turned(x[j], lnp.sqrt(lengths[longest])), 0)), order), None

    (_, order), _ = scan(step, (a, np.arange(n, dtype=np.int32)), np.arange(min(m, n)))
    return order


def _turned(head: Any, length: Any) -> Any:
    """A number of that length opposite to ``head``: their difference loses no digits."""
    size = lnp.absolute(head)
    return -length * lnp.where(size > 0, head / lnp.where(size > 0, size, 1), 1)


def _without(a: Any, x: Any, goal: Any) -> Any:
    """a reflected as the vector x [m] becomes ``goal``."""
    v = x - goal
    square = lnp.sum(lnp.absolute(v) ** 2)
    along = 2 * (conjugated(v) @ a) / lnp.where(square > 0, square, 1)
    return a - v[:, None] * along[None, :]
