"""Transforms of a few points as straight-line code: a function over a handler ``s``, as bodies of elementwise ops are."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, pi, sin
from typing import Any, NamedTuple

MOST = 13  # the greatest prime factor of lengths that need no Bluestein


class Point(NamedTuple):
    """A complex number under construction."""

    re: Any
    im: Any


def _add(s: Any, a: Point, b: Point) -> Point:
    return Point(s.add(a.re, b.re), s.add(a.im, b.im))


def _sub(s: Any, a: Point, b: Point) -> Point:
    return Point(s.sub(a.re, b.re), s.sub(a.im, b.im))


def product(s: Any, a: Point, b: Point) -> Point:
    return Point(s.sub(s.mul(a.re, b.re), s.mul(a.im, b.im)), s.add(s.mul(a.re, b.im), s.mul(a.im, b.re)))


def _over_i(s: Any, a: Point) -> Point:
    return Point(a.im, s.neg(a.re))


def _turned(s: Any, a: Point, k: int, n: int) -> Point:
    """Times w^k of order n; by eighths of a turn with fewer products."""
    k %= n
    if k == 0:
        return a
    if 4 * k % n == 0:
        quarter = _over_i(s, a)
        return {1: quarter, 2: Point(s.neg(a.re), s.neg(a.im)), 3: Point(s.neg(quarter.re), s.neg(quarter.im))}[4 * k // n]
    if 8 * k % n == 0:
        first, second = s.mul(s.add(a.re, a.im), 0.5**0.5), s.mul(s.sub(a.im, a.re), 0.5**0.5)
        eighth = Point(first, second)  # a (1 - i) / sqrt(2)
        return _turned(s, eighth, (8 * k // n - 1) // 2, 4)
    c, d = cos(2 * pi * k / n), sin(2 * pi * k / n)
    return Point(s.add(s.mul(a.re, c), s.mul(a.im, d)), s.sub(s.mul(a.im, c), s.mul(a.re, d)))


def transform(s: Any, x: Sequence[Point]) -> list[Point]:
    """The sums over j of x_j e^(-2 pi i j k / n)."""
    n = len(x)
    if n == 1:
        return list(x)
    if n == 2:
        return [_add(s, x[0], x[1]), _sub(s, x[0], x[1])]
    r = next((r for r in (4, 2, 3, 5, 7, 11, 13) if n % r == 0 and n != r), None)
    if n == 4:
        r = 2
    return _prime(s, x) if r is None else _composite(s, x, r)


def _composite(s: Any, x: Sequence[Point], r: int) -> list[Point]:
    """n = r m: transforms of m points with steps of r, turned, then of r points."""
    n = len(x)
    m = n // r
    inner = [transform(s, x[j::r]) for j in range(r)]
    out: list[Point | None] = [None] * n
    for k in range(m):
        for q, y in enumerate(transform(s, [_turned(s, inner[j][k], j * k, n) for j in range(r)])):
            out[k + m * q] = y
    return [y for y in out if y is not None]


def _prime(s: Any, x: Sequence[Point]) -> list[Point]:
    """Of an odd prime: sums and differences of the points j and n - j, each times cosines or sines."""
    n, half = len(x), (len(x) - 1) // 2
    sums = [_add(s, x[j], x[n - j]) for j in range(1, half + 1)]
    gaps = [_sub(s, x[j], x[n - j]) for j in range(1, half + 1)]
    total = x[0]
    for y in sums:
        total = _add(s, total, y)
    out = [total] * n
    for k in range(1, half + 1):
        even, odd = x[0], None
        for j in range(1, half + 1):
            c, d = cos(2 * pi * (j * k % n) / n), sin(2 * pi * (j * k % n) / n)
            even = Point(s.add(even.re, s.mul(sums[j - 1].re, c)), s.add(even.im, s.mul(sums[j - 1].im, c)))
            term = Point(s.mul(gaps[j - 1].im, d), s.mul(gaps[j - 1].re, -d))  # over i
            odd = term if odd is None else _add(s, odd, term)
        assert odd is not None
        out[k], out[n - k] = _add(s, even, odd), _sub(s, even, odd)
    return out


def radices_of(n: int) -> tuple[int, ...] | None:
    """The radices of the passes of n points, powers of two first; None if it has a prime factor above ``MOST``."""
    found: list[int] = []
    twos = (n & -n).bit_length() - 1 if n else 0
    rest = n >> twos
    eights, left = divmod(twos, 3)
    if left == 1 and eights:
        found, eights = [16], eights - 1
    elif left:
        found = [2**left]
    found = [8] * eights + found if found == [4] or found == [2] else found + [8] * eights
    for r in (9, 13, 11, 7, 5, 3):
        while rest % r == 0:
            found.append(r)
            rest //= r
    return tuple(found) if rest == 1 else None
