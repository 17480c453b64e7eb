"""Products of many matrices, traces, and the exponential."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.accumulation import checked_precision
from leptonc.arguments import array, arrays, flag, integer
from leptonc.errors import ShapeError, op_error
from leptonc.numpy.linalg.operands import matrices
from leptonc.numpy.linalg.solving import solve
from leptonc.scan import scan
from leptonc.trace import bind, broadcast


def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """The diagonals of x [..., m, n], ``offset`` places to the right of the main one. Raises ShapeError or ArgumentError."""
    a = array("diagonal", "x", x)
    if len(a.shape) < 2:
        raise op_error("diagonal", "x must be [..., m, n]", {"x": a}, kind=ShapeError)
    m, n = a.shape[-2:]
    by = integer("diagonal", "offset", offset, {"x": a})
    count = max(min(m, n - by) if by >= 0 else min(m + by, n), 0)
    lead = tuple(a.shape[:-2])
    flat = bind("reshape", a, shape=(*lead, m * n))
    zeros, ones = (0,) * len(lead), (1,) * len(lead)
    start = (by if by >= 0 else -by * n) if count else 0
    return bind("slice", flat, start=(*zeros, start), size=(*lead, count), step=(*ones, n + 1))


def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """The sums of the diagonals of x [..., m, n]. Raises ShapeError, DtypeError or ArgumentError."""
    return lnp.sum(diagonal(x, offset=offset), axis=-1, dtype=dtype)


def multi_dot(arrays: Sequence[Any], *, precision: Any = None) -> Any:
    """The product of two or more matrices, in the order of the fewest multiplications; the first and the last may be vectors.

    ``precision``, JAX's, changes nothing. Raises ShapeError or DtypeError.
    """
    checked_precision("multi_dot", precision)
    given = _operands(arrays)
    first, last = len(given[0].shape) == 1, len(given[-1].shape) == 1
    chain = [bind("reshape", given[0], shape=(1, *given[0].shape)) if first else given[0], *given[1:]]
    chain[-1] = bind("reshape", chain[-1], shape=(*chain[-1].shape, 1)) if last else chain[-1]
    for x, y in pairwise(chain):
        if len(x.shape) != 2 or len(y.shape) != 2 or x.shape[1] != y.shape[0]:
            raise op_error("multi_dot", "each must be a matrix with as many rows as the one before has columns", {"x": x, "y": y},
                           kind=ShapeError)
    out = _multiplied(chain, _splits([*(x.shape[0] for x in chain), chain[-1].shape[1]]), 0, len(chain) - 1)
    out = out[0] if first else out
    return out[..., 0] if last else out


def _operands(given: Any) -> list[Any]:
    found = arrays("multi_dot", "arrays", given)
    if len(found) < 2:
        raise op_error("multi_dot", f"takes two arrays or more, got {len(found)}", {}, kind=ShapeError)
    return found


def _splits(extents: Sequence[int]) -> dict[tuple[int, int], int]:
    """Where to split the product of matrices i ... j (Cormen and others, chapter 15)."""
    count = len(extents) - 1
    cost = {(i, i): 0 for i in range(count)}
    split: dict[tuple[int, int], int] = {}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            options = [(cost[i, k] + cost[k + 1, j] + extents[i] * extents[k + 1] * extents[j + 1], k) for k in range(i, j)]
            cost[i, j], split[i, j] = min(options)
    return split


def _multiplied(chain: Sequence[Any], split: dict[tuple[int, int], int], i: int, j: int) -> Any:
    if i == j:
        return chain[i]
    k = split[i, j]
    return lnp.matmul(_multiplied(chain, split, i, k), _multiplied(chain, split, k + 1, j))


# Padé's numerators [m/m] of the exponential, and the norms up to which they are exact to a rounding error (Higham 2005)
_PADE = {
    "float32": (3.925724783138660, (17297280, 8648640, 1995840, 277200, 25200, 1512, 56, 1)),
    "float64": (5.371920351148152, (64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000,
                                    10559470521600, 670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1)),
}


def expm(A: Any, *, upper_triangular: bool = False, max_squarings: int = 16) -> Any:
    """The exponentials of A [..., n, n], by scaling, Padé's approximant and squaring; NaN if it takes more than ``max_squarings``.

    ``upper_triangular`` changes nothing but time in JAX, and nothing here. Raises ShapeError or DtypeError.
    """
    a = matrices("expm", A, "A", square=True)
    flag("expm", "upper_triangular", upper_triangular)
    most = integer("expm", "max_squarings", max_squarings, {"A": a}, least=0)
    if not a.size:
        return a
    limit, coefficients = _PADE.get(np.finfo(a.dtype).dtype.name, _PADE["float32"])
    size = bind("stop_gradient", lnp.max(lnp.sum(lnp.absolute(a), axis=-2), axis=-1))
    counts = lnp.maximum(lnp.ceil(lnp.log2(size / np.asarray(limit, size.dtype))), 0)[..., None, None]
    found = _approximant(a * lnp.power(np.asarray(2, size.dtype), -counts), coefficients)

    def square(x: Any, n: Any) -> tuple[Any, None]:
        return lnp.where(n < counts, x @ x, x), None

    found, _ = scan(square, found, np.arange(most).astype(size.dtype))
    return lnp.where(counts > most, np.asarray(np.nan, a.dtype), found)


def _approximant(a: Any, coefficients: Sequence[int]) -> Any:
    """(V - U)^-1 (V + U), U the odd powers and V the even ones."""
    squared = a @ a
    eye = broadcast(np.eye(a.shape[-1], dtype=a.dtype), tuple(a.shape))
    sums, power = [0 * eye, 0 * eye], eye
    for n, c in enumerate(coefficients):
        sums[n % 2] = sums[n % 2] + power * np.asarray(c, a.dtype)
        power = power @ squared if n % 2 and n + 1 < len(coefficients) else power
    odd = a @ sums[1]
    return solve(sums[0] - odd, sums[0] + odd)
