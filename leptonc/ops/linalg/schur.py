"""Square matrices as Z T Z' with T upper triangular, but for 2x2 blocks of pairs of conjugate eigenvalues of a real matrix.

Francis's QR iterations on the Hessenberg form: each sweep chases a bulge of 3 rows, which two shifts make, down the window that is
not done yet, of complex matrices as of real ones. Matrices of a stack have windows of their own, and those outside of it stay. What
is left, 2x2 blocks, is split by a rotation each, or made standard: equal on the diagonal (LAPACK's lanv2).

H is a panel [n + 1, n + 1, b]: behind it there are a row and a column of zeros, which bulges run out into. Z' is one of rows, of
which there is one more as well: what meets the rows of H meets these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from leptonc.ir.op import Sample, register
from leptonc.ir.types import TensorType, i32, i64
from leptonc.ir.value import Value
from leptonc.ops.linalg.building import (
    adjoint,
    as_panel,
    as_stack,
    behind,
    both,
    compare,
    conjugate,
    counted,
    cropped,
    divided,
    extent,
    filled,
    flattened,
    identity,
    in_field,
    in_quarters,
    loop,
    op,
    padded,
    part,
    repeat_while,
    replaced,
    reshaped,
    scaled,
    scaled_columns,
    scaled_rows,
    select,
    size,
    spread,
    squared,
    triangle,
    zeros,
)
from leptonc.ops.linalg.francis import francis
from leptonc.ops.linalg.hessenberg import Underived, reflected_columns, reflected_rows
from leptonc.ops.linalg.jacobi import all_finite, epsilon, or_nan, power_of_two, signs_of_rows
from leptonc.ops.linalg.qr import reflector

SWEEPS = 30  # for each row, at most, as in LAPACK: two or three are the rule
ODD = 10  # sweeps at one place after which the shifts are others for once: there are matrices that a sweep brings back as they were


@register
class schur(Underived):
    """(t, z) with a = z t z', z [..., n, n] unitary and t upper triangular; of real a there may be 2x2 blocks on its diagonal, each
    [[p, q], [r, p]] with q r < 0. NaN for a matrix that holds an infinity or NaN, or of which the iterations find no end."""

    name, operand_names, results = "schur", ("a",), 2

    def infer(self, *types: TensorType, **attrs: Any) -> tuple[TensorType, ...]:
        self.matrices(types[0], square=True)
        return types[0], types[0]

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> tuple[np.ndarray, ...]:
        a = np.asarray(arrays[0])
        t, z = np.full(a.shape, np.nan, a.dtype), np.full(a.shape, np.nan, a.dtype)
        for at in np.ndindex(a.shape[:-2]):
            if a.size and np.isfinite(a[at]).all():
                t[at], z[at] = francis(a[at], most=SWEEPS * max(a.shape[-1], 10), odd=ODD)
        return t, z

    def expand(self, *operands: Value, **attrs: Any) -> tuple[Value, ...]:
        a = operands[0]
        if not a.type.size:
            return a, a
        stack = flattened(a)
        finite = all_finite(stack)
        stack = select(spread(finite, stack.shape, 0), stack, 0)
        scale = power_of_two(op("reduce_max", extent(stack), axes=(1, 2)))
        t, z, done = _factors(divided(stack, spread(scale, stack.shape, 0)))
        t = scaled(t, spread(scale, t.shape, 0))
        t, z = or_nan(both(finite, done), t + 0, z + 0)  # no zero is negative
        return reshaped(t, a.shape), reshaped(z, a.shape)

    def samples(self) -> Sequence[Sample]:
        def make(*shape: int) -> Sample:
            return Sample(lambda rng: [rng.standard_normal(shape) + 3 * np.diag(np.arange(shape[-1]))], {}, False, str(shape))

        turning = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
        nan = Sample(lambda rng: [np.stack([np.array([[1.0, np.nan], [0.0, 1.0]]), np.diag([2.0, 1.0])])], {}, False, "nan")
        return [make(4, 4), make(2, 3, 3), make(2, 2), make(1, 1), make(0, 0),
                Sample(lambda rng: [turning + rng.standard_normal((2, 3, 3)) / 8], {}, False, "turning"), nan]


def _factors(a: Value) -> tuple[Value, Value, Value]:
    """T and Z of a [b, n, n], whose greatest elements are about 1, and which of them are done [b]."""
    b, n, _ = a.shape
    h, z = _hessenberg(a)
    h, w = as_panel(padded(h, n + 1, n + 1)), as_panel(padded(adjoint(z), n + 1, n))
    last = a.builder.full(TensorType((b,), i32), 0)
    h, w, last = _iterated(h, w) if n > 2 else (h, w, last)
    h, w = loop(n - 1, _made_standard, [h, w]) if n > 1 else (h, w)
    t, rows = cropped(as_stack(h), n, n), cropped(as_stack(w), n, n)
    signs = signs_of_rows(conjugate(rows))
    t = scaled_columns(scaled_rows(conjugate(signs), t), signs)
    return t, adjoint(scaled_rows(conjugate(signs), rows)), op("eq", last, filled(last, 0))


def _hessenberg(a: Value) -> tuple[Value, Value]:
    b, n, _ = a.shape
    packed, taus = op("hessenberg", a)
    if n == 1:
        return packed, filled(packed, 1)
    inner = op("householder_product", cropped(behind(packed, 1, 0), n - 1, n - 1), taus)
    top = cropped(identity(a, n), 1, n)
    return triangle(packed, lower=False, offset=-1), in_quarters(top, zeros(a, (b, n - 1, 1)), inner)


class Lines(NamedTuple):
    """Of H, [n, b] each: the diagonal, what is left of it and what is above it, the first of which are 0."""

    diagonal: Value
    below: Value
    above: Value


def _lines(h: Value) -> Lines:
    width, _, b = h.shape
    flat, n = reshaped(h, (width * width, b)), width - 1

    def line(start: int, count: int) -> Value:
        found: Value = op("slice", flat, start=(start, 0), size=(count, b), step=(width + 1, 1))
        return found if count == n else op("concatenate", zeros(h, (1, b)), found, axis=0)

    return Lines(line(0, n), line(width, n - 1), line(1, n - 1))


def _iterated(h: Value, w: Value) -> tuple[Value, Value, Value]:
    """Both panels with no two elements of H below its diagonal next to each other, and the row [b] where there still are, or 0."""
    n, b, builder = w.shape[1], w.shape[2], w.builder
    none = builder.full(TensorType((b,), i32), 0)
    most = SWEEPS * max(n, 10)

    def goes_on(count: Value, h: Value, w: Value, last: Value, stays: Value) -> Value:
        return both(op("lt", count, filled(count, most)), op("any", op("ne", last, filled(last, 0)), axes=(0,)))

    def sweep(count: Value, h: Value, w: Value, last: Value, stays: Value) -> Sequence[Value]:
        h, lines = _without_least(h)
        low, high = _window(lines)
        stays = select(op("eq", high, last), stays + 1, 0)
        h, w = _chased(h, w, _bulge(lines, low, high, stays), low, high)
        return [count + 1, h, w, high, stays]

    start = [builder.constant(np.int32(0)), h, w, filled(none, n), none]
    _, h, w, last, _ = repeat_while(goes_on, sweep, start)
    return h, w, last


def _without_least(h: Value) -> tuple[Value, Lines]:
    """Elements below the diagonal are 0 where they are a rounding error of those on it beside them."""
    lines = _lines(h)
    diagonal = size(lines.diagonal)
    beside = diagonal + _before(diagonal)
    beside = select(op("eq", beside, filled(beside, 0)), filled(beside, 1), beside)
    least = op("le", size(lines.below), beside * epsilon(h))
    wide = op("concatenate", least, filled(cropped(least, 1, least.shape[1]), 0), axis=0)
    under = op("eq", counted(h, h.shape, 0), counted(h, h.shape, 1) + 1)
    cleared = select(both(under, spread(wide, h.shape, 0, 2)), filled(h, 0), h)
    return cleared, lines._replace(below=select(least, filled(lines.below, 0), lines.below))


def _before(x: Value) -> Value:
    """Each row of x [n, b] one place later, 0 (False) in the first."""
    n, b = x.shape
    return op("concatenate", filled(cropped(x, 1, b), 0), cropped(x, n - 1, b), axis=0)


def _window(lines: Lines) -> tuple[Value, Value]:
    """The first and the last row [b] of the last window of more than two rows; both are 0 if there is none."""
    there = op("ne", lines.below, filled(lines.below, 0))
    row = counted(there, there.shape, 0)
    high = op("reduce_max", select(both(there, _before(there)), row, 0), axes=(0,))
    begins = both(op("not", there), op("le", row, spread(high, row.shape, 1)))
    return op("reduce_max", select(begins, row, 0), axes=(0,)), high


def _bulge(lines: Lines, low: Value, high: Value, stays: Value) -> Value:
    """[3, b]: the first column of (H - s)(H - t) within the window, up to a factor, for the eigenvalues s and t of its last two
    rows; H - s and H - t are not formed (EISPACK's hqr)."""
    d, below, above = lines
    x, y = _at(d, high), _at(d, high - 1)
    across, under = _at(above, high), _at(below, high)
    odd = op("eq", op("mod", stays, filled(stays, ODD)), filled(stays, ODD - 1))
    extra = in_field(size(under) + size(_at(below, high - 1)), x)
    x, y = select(odd, _at(d, high) + extra * 0.75, x), select(odd, _at(d, high) + extra * 0.75, y)
    across, under = select(odd, extra * -0.4375, across), select(odd, extra, under)
    first, beside, behind_ = _at(d, low), _at(below, low + 1), _at(below, low + 2)
    r, s = x - first, y - first
    unit = size(r) + size(s) + size(beside) + size(under)
    unit = select(op("eq", unit, filled(unit, 0)), filled(unit, 1), unit)
    made = [r * divided(s, unit) - divided(under, unit) * across + _at(above, low + 1) * divided(beside, unit),
            divided(beside, unit) * (_at(d, low + 1) - first - r - s), divided(beside, unit) * behind_]
    return op("concatenate", *(reshaped(v, (1, *v.shape)) for v in made), axis=0)


def _at(x: Value, row: Value) -> Value:
    """x[row[i], i] of x [n, b]; 0 where there is no such row."""
    here = op("eq", counted(x, x.shape, 0), spread(row, x.shape, 1))
    return op("sum", select(here, x, 0), axes=(0,))


def _chased(h: Value, w: Value, bulge: Value, low: Value, high: Value) -> tuple[Value, Value]:
    """Both panels after a sweep of reflections of 3 rows, the bulge's first, from the first window's row to the last one's."""
    n = w.shape[1]
    first = op("cast", op("reduce_min", select(op("eq", high, filled(high, 0)), filled(low, n), low), axes=(0,)), dtype=i64)
    last = op("cast", op("reduce_max", high, axes=(0,)), dtype=i64)

    def goes_on(at: Value, last: Value, *_: Value) -> Value:
        found: Value = op("lt", at, last)
        return found

    def step(at: Value, last: Value, h: Value, w: Value, bulge: Value, low: Value, high: Value) -> Sequence[Value]:
        return [at + 1, last, *_reflected(h, w, bulge, low, high, at), bulge, low, high]

    _, _, h, w, *_rest = repeat_while(goes_on, step, [first, last, h, w, bulge, low, high])
    return h, w


def _reflected(h: Value, w: Value, bulge: Value, low: Value, high: Value, at: Value) -> tuple[Value, Value]:
    """Three rows and columns from ``at`` on reflected, where that is in the window, so that one element is left of the column
    before."""
    rows, _, b = h.shape
    here = spread(op("cast", at, dtype=i32), (b,))
    begins, inside = op("eq", here, low), both(op("ge", here, low), op("lt", here, high))
    top = part(h, (at, 0, 0), (3, rows, b))
    before = op("max", at - 1, filled(at, 0))
    column = reshaped(part(top, (0, before, 0), (3, 1, b)), (3, b))
    column = select(spread(begins, (3, b), 1), bulge, column)
    row = counted(column, (3, b), 0)
    v, tau, beta = reflector(column, compare("gt", row, 0), reshaped(cropped(column, 1, b), (b,)))
    v, tau = select(compare("eq", row, 0), filled(v, 1), v), select(inside, tau, 0)
    left = select(compare("eq", row, 0), spread(beta, (3, b), 1), 0)
    eliminated = both(compare("eq", counted(top, top.shape, 1), at - 1),
                      spread(both(inside, op("not", begins)), top.shape, 2))
    top = select(eliminated, spread(left, top.shape, 0, 2), reflected_rows(top, v, tau))
    h, lines = replaced(h, top, (at, 0, 0)), part(w, (at, 0, 0), (3, rows - 1, b))
    w = replaced(w, reflected_rows(lines, v, tau), (at, 0, 0))
    return replaced(h, reflected_columns(part(h, (0, at, 0), (rows, 3, b)), v, tau), (0, at, 0)), w


def _made_standard(k: Value, consts: Sequence[Value], carries: Sequence[Value], xs: Sequence[Value]) -> list[Value]:
    """The block of rows k and k + 1 turned: twice, for one that rounding alone made a pair of conjugates is split then."""
    h, w = carries
    for _ in range(2):
        h, w = _turned(h, w, k)
    return [h, w]


def _turned(h: Value, w: Value, k: Value) -> tuple[Value, Value]:
    rows, _, b = h.shape
    block = part(h, (k, k, 0), (2, 2, b))
    a, beside, below, d = (reshaped(part(block, (i, j, 0), (1, 1, b)), (b,)) for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)))
    cosine, sine, splits = _rotation(a, beside, below, d)
    there = op("ne", below, filled(below, 0))
    cosine, sine = select(there, cosine, filled(cosine, 1)), select(there, sine, 0)
    h, w = (replaced(x, _rotated(part(x, (k, 0, 0), (2, x.shape[1], b)), cosine, sine, 0), (k, 0, 0)) for x in (h, w))
    h = replaced(h, _rotated(part(h, (0, k, 0), (rows, 2, b)), conjugate(cosine), conjugate(sine), 1), (0, k, 0))
    return replaced(h, _exact(part(h, (k, k, 0), (2, 2, b)), there, splits), (k, k, 0)), w


def _exact(block: Value, there: Value, splits: Value) -> Value:
    """A turned block [2, 2, b] with 0 below the diagonal if it splits, else with equal elements on it."""
    row, column = counted(block, block.shape, 0), counted(block, block.shape, 1)
    below, on = op("gt", row, column), op("eq", row, column)
    mean = op("sum", select(on, block, 0), axes=(0, 1)) * 0.5
    split, joined = both(there, splits), both(there, op("not", splits))
    found = select(both(below, spread(split, block.shape, 2)), filled(block, 0), block)
    return select(both(on, spread(joined, block.shape, 2)), spread(mean, block.shape, 2), found)


def _rotated(x: Value, cosine: Value, sine: Value, axis: int) -> Value:
    """The two rows (columns) of x as cosine' x1 + sine' x2 and cosine x2 - sine x1."""
    lines = [op("slice", x, start=tuple(i if d == axis else 0 for d in range(3)),
                size=tuple(1 if d == axis else n for d, n in enumerate(x.shape)), step=(1, 1, 1)) for i in (0, 1)]
    c, s = (spread(v, lines[0].shape, 2) for v in (cosine, sine))
    turned = conjugate(c) * lines[0] + conjugate(s) * lines[1], c * lines[1] - s * lines[0]
    return op("concatenate", *turned, axis=axis)


def _rotation(a: Value, b: Value, c: Value, d: Value) -> tuple[Value, Value, Value]:
    """Of blocks [[a, b], [c, d]] the cosine and sine of the unitary [[cosine, -sine'], [sine, cosine']] that makes c 0, if their
    eigenvalues are numbers of the field, or a and d equal; and whether they are."""
    most = op("max", op("max", extent(a - d), extent(b)), extent(c))
    most = select(op("eq", most, filled(most, 0)), filled(most, 1), most)
    b, c, p = divided(b, most), divided(c, most), divided(a - d, most) * 0.5
    if a.dtype.is_complex:
        root = op("sqrt", p * p + b * c)
        with_p = op("real", p * conjugate(root))
        z = select(op("lt", with_p, filled(with_p, 0)), p - root, p + root)
        one, other = _of_length_one(z, c)
        return one, other, filled(op("lt", with_p, with_p), True)
    square = p * p + b * c
    splits = op("ge", square, filled(square, 0))
    root = op("sqrt", select(splits, square, 0))
    one, other = _of_length_one(select(op("lt", p, filled(p, 0)), p - root, p + root), c)
    total, apart = b + c, p * 2
    length = op("sqrt", total * total + apart * apart)
    still = op("eq", length, filled(length, 0))
    length = select(still, filled(length, 1), length)
    cosine = op("sqrt", (select(still, length, op("abs", total)) / length + 1) * 0.5)
    sine = p / (length * cosine)
    sine = select(op("lt", total, filled(total, 0)), sine, -sine)
    less = op("lt", op("abs", b), op("abs", c))  # then it is above the diagonal as well, so turn by a right angle more
    cosine, sine = select(less, -sine, cosine), select(less, cosine, sine)
    return select(splits, one, cosine), select(splits, other, sine), splits


def _of_length_one(z: Value, c: Value) -> tuple[Value, Value]:
    most = op("max", extent(z), extent(c))
    most = select(op("eq", most, filled(most, 0)), filled(most, 1), most)
    z, c = divided(z, most), divided(c, most)
    length = op("sqrt", squared(z) + squared(c))
    length = select(op("eq", length, filled(length, 0)), filled(length, 1), length)
    return divided(z, length), divided(c, length)
