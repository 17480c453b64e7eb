"""Eigenvalues and eigenvectors of symmetric tridiagonal matrices: divide and conquer (Cuppen 1981; Gu and Eisenstat 1995).

A matrix is torn into two by a change of rank one. Of the halves' eigenvalues d, and z, what their eigenvectors have in the tear,
the whole has those of diag(d) + rho z z': the roots of the secular equation 1 + rho sum z^2 / (d - x) = 0, one between each two
of d. All pairs of halves of a level run at once, all roots of a level too, by bisection of their bits. A root is kept as its
distance from the nearer end of its interval, and z is computed anew from the roots, for which these are exact: so eigenvectors are
orthogonal however near to each other roots are. What does not change the matrix by more than a rounding error is deflated: it
leaves z, and its eigenvalue stays. Extents stay as well; what is not ``alive`` is multiplied as all else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from leptonc.ir.types import i32
from leptonc.ir.value import Value
from leptonc.ops.linalg.building import (
    both,
    counted,
    filled,
    loop,
    on_diagonal,
    op,
    product,
    reshaped,
    select,
    spread,
    swapped,
    zeros,
)
from leptonc.ops.linalg.jacobi import epsilon, in_order, window
from leptonc.ops.linalg.lu import inverse_of, permuted
from leptonc.ops.linalg.rotations import diagonalized

LEAF = 16  # rows of the least parts, at least
DEFLATION = 4  # times eps and the greatest eigenvalue: what is left out, as in LAPACK (whose eps is half of NumPy's)
RANGE = {"f32": 64, "f64": 128}  # powers of 2 below the length of its interval within which the distance of a root is


def conquered(d: Value, e: Value, count: int, descending: bool = False, leaf: int = LEAF) -> tuple[Value, Value]:
    """The first ``count`` eigenvalues [b, k] in order, and eigenvectors as rows [b, k, n]. d [b, n] is the diagonal, e[:, i] beside
    it in row i, the last one 0. The least parts have at least ``leaf`` rows."""
    n = d.shape[1]
    size = _padded_size(n, leaf)
    w, rows = _conquered(_padded(d, size), _padded(e, size), leaf)
    beyond = _behind(rows, n)
    keys = op("cast", beyond, dtype=i32), -w if descending else w
    (order,) = op("sort", *keys, axis=1, keys=2, descending=False, count=count, values=False, order=True)
    order = op("cast", order, dtype=i32)
    return in_order(w, order), window(permuted(rows, order), 2, 0, n)


def _padded_size(n: int, leaf: int) -> int:
    """The number of rows that halves make: a power of 2 times as many as a leaf's, which are at least ``leaf``."""
    halvings = max((n // leaf).bit_length() - 1, 0)
    return -(-n >> halvings) << halvings


def _padded(x: Value, n: int) -> Value:
    b, m = x.shape
    return x if m == n else op("concatenate", x, zeros(x, (b, n - m)), axis=1)


def _behind(rows: Value, n: int) -> Value:
    """Which rows [b, m, m] are padding's: these have nothing in the first n columns, the others nothing but that, for what does not
    touch never mixes."""
    b, m, _ = rows.shape
    if m == n:
        return op("lt", zeros(rows, (b, m)), zeros(rows, (b, m)))
    return op("any", op("ne", window(rows, 2, n, m), zeros(rows, (b, m, m - n))), axes=(2,))


def _conquered(d: Value, e: Value, least: int) -> tuple[Value, Value]:
    """Eigenvalues [b, n], in any order, and eigenvectors as rows [b, n, n], of a padded size n."""
    b, n = d.shape
    leaf = n
    while leaf >= 2 * least:
        leaf //= 2
    w, rows = _leaves(_torn(d, e, leaf), e, leaf)
    size = leaf
    while size < n:
        size *= 2
        tears = reshaped(window(reshaped(e, (b * n // size, size)), 1, size // 2 - 1, size // 2), (b * n // size,))
        w, rows = _merged(reshaped(w, (b * n // size, size)), rows, tears)
    return reshaped(w, (b, n)), reshaped(rows, (b, n, n))


def _torn(d: Value, e: Value, leaf: int) -> Value:
    """The diagonal without what the tears between leaves take of it."""
    place = counted(d, d.shape, 1)
    b, n = d.shape
    last = op("eq", op("mod", place, filled(place, leaf)), filled(place, leaf - 1))
    taken = select(last, op("abs", e), 0)
    before = op("concatenate", zeros(d, (b, 1)), window(taken, 1, 0, n - 1), axis=1)
    return d - taken - before


def _leaves(d: Value, e: Value, leaf: int) -> tuple[Value, Value]:
    b, n = d.shape
    shape = (b * n // leaf, leaf, leaf)
    wide, beside = (spread(reshaped(x, shape[:2]), shape, 0, 1) for x in (d, e))
    row, column = counted(d, shape, 1), counted(d, shape, 2)
    above = select(op("eq", column, row + 1), beside, 0)
    return diagonalized(select(op("eq", row, column), wide, above + swapped(above)))


class _Secular(NamedTuple):
    """diag(d) + rho z z' of a stack, all [b, m] but rho [b]; ``alive``: which elements of z are not 0. Their d ascend."""

    d: Value
    z: Value
    alive: Value
    rho: Value


class _Roots(NamedTuple):
    """origin + distance, [b, m], of what is alive; of the others their d."""

    origin: Value
    distance: Value


def _merged(d: Value, rows: Value, tears: Value) -> tuple[Value, Value]:
    """Eigenvalues [b, 2 h] and rows [b, 2 h, 2 h] of matrices whose halves have the values d [b, 2 h] and the rows [2 b, h, h]."""
    b, m = d.shape
    h = m // 2
    whole = reshaped(rows, (b, m, h))
    ends = [reshaped(window(window(whole, 1, at, at + h), 2, end, end + 1), (b, h)) for at, end in ((0, h - 1), (h, 0))]
    sign = select(op("lt", tears, filled(tears, 0)), filled(tears, -1), filled(tears, 1))
    z = op("concatenate", ends[0], ends[1] * spread(sign, (b, h), 0), axis=1) * 0.5 ** 0.5
    problem, chain = _deflated(d, z, op("abs", tears) * 2)
    roots = _roots(problem)
    vectors = _unchained(_vectors(problem, roots), chain)
    values = select(problem.alive, roots.origin + roots.distance, problem.d)
    inner = product(reshaped(vectors, (2 * b, h, m)), rows, left=True)
    joined = op("transpose", reshaped(inner, (b, 2, m, h)), perm=(0, 2, 1, 3))
    return values, reshaped(joined, (b, m, m))


# Deflation


class _Chain(NamedTuple):
    """An ``order`` [b, m] of the values, and rotations of each and the next one in it: cosines and sines [m - 1, b]."""

    order: Value
    cosine: Value
    sine: Value


def _deflated(d: Value, z: Value, rho: Value) -> tuple[_Secular, _Chain]:
    """diag(d) + rho z z' in order, without small elements of z, nor those that a rotation with the next takes out, where two d are
    next to equal: LAPACK's laed2. What is not alive to begin with comes last."""
    m = d.shape[1]
    sizes = [op("reduce_max", op("abs", x), axes=(1,)) for x in (d, z)]
    limit = op("max", sizes[0], sizes[1] * rho) * (DEFLATION * epsilon(d))
    small = op("le", op("abs", z) * spread(rho, z.shape, 0), spread(limit, z.shape, 0))
    _, d, z, order = op("sort", op("cast", small, dtype=i32), d, select(small, filled(z, 0), z), axis=1, keys=2, descending=False,
                        count=m, values=True, order=True)
    d, z, cosine, sine = _chained(d, z, limit)
    return _Secular(d, z, op("ne", z, filled(z, 0)), rho), _Chain(op("cast", order, dtype=i32), cosine, sine)


def _meet(d: Value, after: Value, z: Value, other: Value, limit: Value) -> Value:
    """Whether a rotation that makes z 0 leaves no more than ``limit`` off the diagonal of diag(d, after), both being alive."""
    living = both(op("ne", z, filled(z, 0)), op("ne", other, filled(z, 0)))
    squares = select(living, z * z + other * other, 1.0)
    return both(living, op("le", op("abs", (after - d) * (z * other / squares)), limit))


def _chained(d: Value, z: Value, limit: Value) -> tuple[Value, Value, Value, Value]:
    """d and z, one neighbour after the other, and cosines and sines [m - 1, b] of the rotations of each and the next."""
    b, m = d.shape
    lines = [swapped(x) for x in (d, z)]
    first, rest = zip(*((reshaped(window(x, 0, 0, 1), (b,)), window(x, 0, 1, m)) for x in lines))

    def trip(_: Value, consts: Sequence[Value], carries: Sequence[Value], xs: Sequence[Value]) -> list[Value]:
        (d, z), (after, other) = carries, xs
        meets = _meet(d, after, z, other, consts[0])
        length = select(meets, op("sqrt", z * z + other * other), 1.0)
        sine = select(meets, -z / length, 0)
        change = (after - d) * (sine * sine)  # equal values stay what they are
        return [after - change, select(meets, length, other), d + change, select(meets, filled(z, 0), z),
                select(meets, other / length, 1.0), sine]

    d, z, ds, zs, cosines, sines = loop(m - 1, trip, first, [limit], rest)
    d, z = (swapped(op("concatenate", x, reshaped(last, (1, b)), axis=0)) for x, last in ((ds, d), (zs, z)))
    return d, z, cosines, sines


def _unchained(vectors: Value, chain: _Chain) -> Value:
    """What vectors [b, m, m], of the problem after the rotations, are before them, and before they were put in order."""
    b, m, _ = vectors.shape
    rows = reshaped(vectors, (m, b, m)) if b == 1 else op("transpose", vectors, perm=(1, 0, 2))

    def trip(_: Value, consts: Sequence[Value], carries: Sequence[Value], xs: Sequence[Value]) -> list[Value]:
        (row,), (before, *turn) = carries, xs
        c, s = (spread(v, row.shape, 0) for v in turn)
        return [c * before - s * row, s * before + c * row]

    last = reshaped(window(rows, 0, m - 1, m), (b, m))
    first, rest = loop(m - 1, trip, [last], [], [window(rows, 0, 0, m - 1), chain.cosine, chain.sine], reverse=True)
    rows = op("concatenate", reshaped(first, (1, b, m)), rest, axis=0)
    return permuted(reshaped(rows, (b, m, m)) if b == 1 else op("transpose", rows, perm=(1, 0, 2)), inverse_of(chain.order))


# The secular equation


def _roots(problem: _Secular) -> _Roots:
    """Of each interval its root, from the nearer end; the last one's upper end is that of d + rho |z|^2."""
    d, z, alive, rho = problem
    shape = (*d.shape, d.shape[-1])
    later = op("gt", counted(d, shape, 2), counted(d, shape, 1))
    after = op("reduce_min", select(both(later, spread(alive, shape, 0, 2)), spread(d, shape, 0, 2), np.inf), axes=(2,))
    is_last = op("eq", after, filled(after, np.inf))
    reach = op("sum", z * z, axes=(1,)) * rho
    half = select(both(alive, op("not", is_last)), (after - d) * 0.5, spread(reach, d.shape, 0))
    left = op("or", is_last, op("ge", _secular(problem, d, half), filled(d, 0)))
    origin = select(op("or", left, op("not", alive)), d, after)
    sign = select(left, filled(d, 1), filled(d, -1))
    low, high = (op("to_bits", x) for x in (half * 2.0 ** -RANGE[d.dtype.name], half))

    def trip(_: Value, consts: Sequence[Value], carries: Sequence[Value], xs: Sequence[Value]) -> list[Value]:
        z, rho, origin, sign = consts
        low, high, d = carries  # d as a carry: what is made of constants alone would be kept, [b, m, m], for the loop to read
        middle = low + op("shr", high - low, filled(low, 1))
        distance = op("from_bits", middle, dtype=d.dtype) * sign
        found = _secular(_Secular(d, z, z, rho), origin, distance)
        below = op("lt", found * sign, filled(d, 0))
        return [select(below, middle, low), select(below, high, middle), d]

    trips = np.finfo(d.dtype.numpy).nmant + RANGE[d.dtype.name].bit_length()
    _, high, _ = loop(trips, trip, [low, high, d], [z, rho, origin, sign])
    return _Roots(origin, op("from_bits", high, dtype=d.dtype) * sign)


def _apart(d: Value, roots: _Roots, root_axis: int) -> Value:
    """Each d less each root, [b, m, m]; the roots are along an axis."""
    shape = (*d.shape, d.shape[-1])
    origin, distance = (spread(x, shape, 0, root_axis) for x in roots)
    return spread(d, shape, 0, 3 - root_axis) - origin - distance


def _secular(problem: _Secular, origin: Value, distance: Value) -> Value:
    """1 + rho sum z^2 / (d - x) at each x = origin + distance, [b, m]; x is no d of what is alive."""
    d, z, _, rho = problem
    apart = _apart(d, _Roots(origin, distance), 1)
    squares = spread(z * z, apart.shape, 0, 2)
    terms = op("sum", squares / select(op("eq", apart, filled(apart, 0)), filled(apart, 1), apart), axes=(2,))
    return terms * spread(rho, d.shape, 0) + 1


def _vectors(problem: _Secular, roots: _Roots) -> Value:
    """Eigenvectors as columns [b, m, m], in the order of d: z / (d - x), of z made anew from the roots (Gu and Eisenstat's)."""
    d, z, alive, _ = problem
    shape = (*d.shape, d.shape[-1])
    pair = both(spread(alive, shape, 0, 1), spread(alive, shape, 0, 2))
    apart = _apart(d, roots, 2)
    between = spread(d, shape, 0, 1) - spread(d, shape, 0, 2)
    own = on_diagonal(apart)
    ratio = select(own, -apart, apart / select(op("eq", between, filled(between, 0)), filled(between, 1), between))
    squares = op("prod", select(pair, ratio, 1.0), axes=(2,))
    size = op("sqrt", op("max", squares, filled(squares, 0)))
    again = select(alive, select(op("lt", z, filled(z, 0)), -size, size), 0)
    raw = select(pair, spread(again, shape, 0, 1) / select(pair, apart, 1.0), 0)
    length = op("sqrt", op("sum", raw * raw, axes=(1,)))
    unit = raw / spread(select(alive, length, 1.0), shape, 0, 2)
    return select(spread(alive, shape, 0, 2), unit, select(own, filled(unit, 1), 0))
