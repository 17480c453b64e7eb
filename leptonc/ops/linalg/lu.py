"""LU factors with partial pivoting, and what is solved by them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from leptonc.errors import op_error
from leptonc.ir.op import Sample, get_op, register
from leptonc.ir.types import TensorType, i32, i64
from leptonc.ir.value import Value
from leptonc.ops.linalg.building import (
    BLOCK,
    SMALL,
    MatrixOp,
    as_panel,
    as_stack,
    behind,
    blocks_of,
    both,
    compare,
    counted,
    cropped,
    filled,
    flattened,
    in_quarters,
    line,
    loop,
    op,
    padded,
    panels_at_once,
    part,
    picked,
    product,
    products_of_lines,
    replaced,
    reshaped,
    select,
    spread,
    triangle,
    without_ends,
    zeros,
)
from leptonc.ops.windows import Layout

OF_ROWS = Layout(window_dims=(2,), inserted=(1,), index_dims=(1,), batch_dims=(0,), index_batch_dims=(0,))


@register
class lu(MatrixOp):
    """(factors, pivots, permutation) of [..., m, n], m >= n: L below the diagonal, without its ones, U above.

    a[permutation] = L U. ``pivots``[..., n] i32: the rows swapped with row 0, 1 ...; ``permutation``[..., m] i32. Right-looking by
    panels, with one product behind each. A singular matrix has a 0 in U's diagonal. Complex pivots are the greatest by |re| + |im|,
    as LAPACK's.
    """

    name, operand_names, results = "lu", ("a",), 3

    def infer(self, *types: TensorType, **attrs: Any) -> tuple[TensorType, ...]:
        a = types[0]
        self.matrices(a)
        if a.shape[-2] < a.shape[-1]:
            raise op_error(self.name, "a has more columns than rows", {"a": a}, "factor its first columns, and solve for the rest")
        return a, TensorType((*a.shape[:-2], a.shape[-1]), i32), TensorType(a.shape[:-1], i32)

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> tuple[np.ndarray, ...]:
        shape, (m, n) = arrays[0].shape, arrays[0].shape[-2:]
        a = np.array(arrays[0]).reshape(prod(shape[:-2]), m, n)
        pivots = np.zeros((len(a), n), np.int32)
        permutation = np.broadcast_to(np.arange(m, dtype=np.int32), (len(a), m)).copy()
        with np.errstate(all="ignore"):
            _eliminate(a, pivots, permutation)
        return a.reshape(shape), pivots.reshape((*shape[:-2], n)), permutation.reshape(shape[:-1])

    def vjp(self, g: Any, y: Any, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """P' L^-T (tril(L' gL, -1) + triu(gU U')) U^-T of the square part, after what the rows below it ask of U."""
        factors, _, permutation = y
        solve = get_op("triangular_solve")
        m, n = factors.shape[-2:]
        lead = factors.type.rank - 2
        top, g_top = cropped(factors, n, n), cropped(g[0], n, n)
        lower, upper = _unit_lower(top), triangle(top, lower=False)
        g_lower, g_upper = triangle(g_top, lower=True, offset=-1), triangle(g_top, lower=False)

        def by_upper(x: Value) -> Value:
            """x U^-T"""
            return _swap(solve(upper, _swap(x), lower=False, transpose=False, unit=False))

        below = None
        if m > n:
            start, size = (*(0,) * lead, n, 0), (*factors.shape[:-2], m - n, n)
            rows, g_rows = (op("slice", x, start=start, size=size, step=(1,) * (lead + 2)) for x in (factors, g[0]))
            below = by_upper(g_rows)
            g_upper = g_upper - triangle(product(rows, below, left=True), lower=False)
        inner = triangle(product(lower, g_lower, left=True), lower=True, offset=-1) + triangle(
            product(g_upper, upper, right=True), lower=False)
        found = by_upper(solve(lower, inner, lower=True, transpose=True, unit=True))
        whole = found if below is None else op("concatenate", found, below, axis=lead)
        return (permuted(whole, inverse_of(permutation)),)

    def expand(self, *operands: Value, **attrs: Any) -> tuple[Value, ...]:
        a = operands[0]
        m, n = a.shape[-2:]
        stack = flattened(a)
        b = stack.shape[0]
        if not a.type.size:
            rows = counted(a, a.shape[:-1], a.type.rank - 2)
            return a, zeros(a, (*a.shape[:-2], n), i32), rows
        if n <= BLOCK:
            panel, pivots, order = _eliminated(as_panel(stack), n)
            factors = as_stack(panel)
        else:
            factors, pivots, order = _blocked(stack)
        return reshaped(factors, a.shape), reshaped(_behind(pivots, n), (*a.shape[:-2], n)), reshaped(_behind(order, m), (
            *a.shape[:-2], m)) if b else order

    def samples(self) -> Sequence[Sample]:
        def make(*shape: int) -> Sample:
            return Sample(lambda rng: [rng.standard_normal(shape)], {}, True, str(shape))

        singular = Sample(lambda rng: [np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [0.0, 0.0, 1.0]])], {}, False, "singular")
        return [make(5, 3), make(2, 4, 4), make(0, 0), singular]


def _eliminate(a: np.ndarray, pivots: np.ndarray, permutation: np.ndarray) -> None:
    """In place, stacks [b, m, n], [b, n] and [b, m]."""
    every = np.arange(len(a))
    for j in range(a.shape[-1]):
        at = pivots[:, j] = j + np.argmax(_eager_weight(a[:, j:, j]), axis=-1)
        for x in (a, permutation):
            x[every, at], x[:, j] = x[:, j].copy(), x[every, at].copy()
        pivot = a[:, j, j, None]
        a[:, j + 1:, j] /= np.where(pivot == 0, 1, pivot)
        a[:, j + 1:, j + 1:] -= a[:, j + 1:, j, None] * a[:, j, None, j + 1:]


def _eager_weight(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(x.real) + np.abs(x.imag) if x.dtype.kind == "c" else np.abs(x))


def _weight(x: Value) -> Value:
    """What pivots are chosen by."""
    return op("abs", op("real", x)) + op("abs", op("imag", x)) if x.dtype.is_complex else op("abs", x)


def _swap(x: Value) -> Value:
    rank = x.type.rank
    return op("transpose", x, perm=(*range(rank - 2), rank - 1, rank - 2))


def _unit_lower(factors: Value) -> Value:
    below = triangle(factors, lower=True, offset=-1)
    rank = below.type.rank
    eye = op("eq", counted(below, below.shape, rank - 2), counted(below, below.shape, rank - 1))
    return select(eye, filled(below, 1), below)


def permuted(x: Value, order: Value) -> Value:
    """The rows of x [..., m, n] in an order [..., k] of each matrix."""
    stack, places = flattened(x), flattened(order, 1)
    b, m, n = stack.shape
    if not x.type.size:
        return x
    if b > 1:
        places = places + counted(places, places.shape, 0) * m
    taken = op("take", reshaped(stack, (b * m, n)), reshaped(places, (places.type.size,)), axis=0)
    return reshaped(taken, (*order.shape, n))


def inverse_of(order: Value) -> Value:
    """The permutation that takes an order back."""
    m, rank = order.shape[-1], order.type.rank
    if not order.type.size:
        return order
    flat = flattened(order, 1)
    b = flat.shape[0]
    places = reshaped(flat + counted(flat, flat.shape, 0) * m, (b * m,))
    found = op("scatter_add", zeros(flat, (b * m,)), places, reshaped(counted(flat, flat.shape, 1), (b * m,)), axis=0)
    assert rank >= 1
    return reshaped(found, order.shape)


def _behind(x: Value, n: int) -> Value:
    """[m, b] -> [b, n], cut."""
    m, b = x.shape
    turned = reshaped(x, (1, m)) if b == 1 else op("transpose", x, perm=(1, 0))
    return turned if m == n else op("slice", turned, start=(0, 0), size=(b, n), step=(1, 1))


def _row(p: Value, at: Value, place: Value) -> Value:
    """Row ``at``[b] of each matrix of a panel, [w, b]; ``place`` is the row of each element."""
    mask = op("eq", place, spread(at, p.shape, 2))
    return picked(mask, p, 0)


def _eliminated(panel: Value, columns: int, first: Value | int = 0) -> tuple[Value, Value, Value]:
    """A panel [m, w, b] whose diagonal begins in row ``first``, its pivots [w, b] and the order of its rows [m, b]; rows from
    ``columns`` on have no pivot."""
    m, w, b = panel.shape
    if w <= SMALL:
        return _written_out(panel)
    if b == 1:
        return _by_columns(panel, columns, first)
    start = [] if isinstance(first, int) else [first]

    def trip(j: Value, consts: Sequence[Value], carries: Sequence[Value], _: Sequence[Value]) -> list[Value]:
        p, order = carries
        at = j + consts[0] if consts else j
        row, row2 = counted(p, p.shape, 0), counted(p, (m, b), 0)
        column = reshaped(part(p, (0, j, 0), (m, 1, b)), (m, b))
        size = select(compare("ge", row2, at), _weight(column), -1)
        greatest = op("cast", op("argmax", size, axis=0), dtype=i32)
        here = spread(op("cast", at, dtype=i32), (b,))
        chosen = select(compare("lt", here, columns), greatest, here) if consts else greatest
        old, new = reshaped(part(p, (at, 0, 0), (1, w, b)), (w, b)), _row(p, chosen, row)
        lead, pivot = (reshaped(part(x, (j, 0), (1, b)), (b,)) for x in (old, new))
        is_chosen, is_here = op("eq", row2, spread(chosen, (m, b), 1)), op("eq", row2, spread(here, (m, b), 1))
        turned = select(is_here, spread(pivot, (m, b), 1), select(is_chosen, spread(lead, (m, b), 1), column))
        under = compare("gt", row2, at)
        divisor = select(op("eq", pivot, filled(pivot, 0)), filled(pivot, 1), pivot)
        scaled = select(under, turned / spread(divisor, (m, b), 1), turned)
        # what the rows that change places are is known by now: one pass over the panel swaps them and eliminates
        swapped = select(op("eq", row, spread(chosen, p.shape, 2)), spread(old, p.shape, 1, 2), p)
        swapped = select(op("eq", row, spread(here, p.shape, 2)), spread(new, p.shape, 1, 2), swapped)
        place = counted(p, p.shape, 1)
        less = spread(scaled, p.shape, 0, 2) * spread(new, p.shape, 1, 2)
        rest = swapped - select(both(compare("gt", place, j), compare("gt", row, at)), less, 0)
        after = select(compare("eq", place, j), spread(scaled, p.shape, 0, 2), rest)
        wide = reshaped(order, (m, 1, b))
        swap_order = reshaped(_swapping(wide, reshaped(row2, (m, 1, b)), chosen, at, here), (m, b))
        return [after, swap_order, chosen]

    order = counted(panel, (m, b), 0)
    found = loop(w, trip, [panel, order], start)
    return found[0], found[2], found[1]


def _by_columns(panel: Value, columns: int, first: Value | int) -> tuple[Value, Value, Value]:
    """``_eliminated`` of one matrix, Crout's way: of a column the products with those before it are taken off when its turn comes,
    and so of the row of its pivot. That reads the panel for each column, and writes one column and two rows."""
    m, w, _ = panel.shape
    start = [] if isinstance(first, int) else [first]

    def trip(j: Value, consts: Sequence[Value], carries: Sequence[Value], _: Sequence[Value]) -> list[Value]:
        p, order = carries  # [w, m], a column after the other, and [m]
        top = consts[0] if consts else 0
        at = j + top
        here = reshaped(op("cast", at, dtype=i32), (1,))
        block = part(p, (0, top), (w, w))  # [c, k]: U[k, c] for k < j
        whole = reshaped(part(p, (j, 0), (1, m)), (m,))
        column = whole - products_of_lines(p, reshaped(part(block, (j, 0), (1, w)), (w,)), j, 0)
        row = counted(column, (m,), 0)
        chosen = op("cast", op("argmax", select(compare("ge", row, at), _weight(column), -1), axis=0), dtype=i32)
        chosen = reshaped(chosen, (1,))
        chosen = select(compare("lt", here, columns), chosen, here) if consts else chosen
        below = op("cast", reshaped(chosen, ()), dtype=i64)
        old, new = (reshaped(part(p, (0, n), (w, 1)), (w,)) for n in (at, below))
        changed = new - products_of_lines(block, new, j, 1)
        place = counted(new, (w,), 0)
        new = select(compare("gt", place, j), changed, new)
        lead, pivot = (spread(part(column, (n,), (1,)), (m,), 0) for n in (at, below))
        turned = select(op("eq", row, spread(here, (m,), 0)), pivot, select(op("eq", row, spread(chosen, (m,), 0)), lead, column))
        divisor = select(op("eq", pivot, filled(pivot, 0)), filled(pivot, 1), pivot)
        scaled = select(compare("lt", row, at), whole, select(compare("gt", row, at), turned / divisor, turned))
        p = replaced(replaced(p, reshaped(old, (w, 1)), (0, below)), reshaped(new, (w, 1)), (0, at))
        p = replaced(p, reshaped(scaled, (1, m)), (j, 0))
        mine, other = (part(order, (n,), (1,)) for n in (at, below))
        return [p, replaced(replaced(order, mine, (below,)), other, (at,)), chosen]

    turned = op("transpose", reshaped(panel, (m, w)), perm=(1, 0))
    found, order, pivots = loop(w, trip, [turned, counted(panel, (m,), 0)], start)
    return reshaped(op("transpose", found, perm=(1, 0)), panel.shape), pivots, reshaped(order, (m, 1))


def _written_out(panel: Value) -> tuple[Value, Value, Value]:
    """``_eliminated`` of a whole matrix of few columns, whose loop is written out: a column has as many rows as are left."""
    m, w, b = panel.shape
    order = counted(panel, (m, b), 0)
    rows: list[Value] = []
    pivots: list[Value] = []
    places: list[Value] = []
    for j in range(w):
        column = line(panel, 1, j)
        chosen = op("cast", op("argmax", _weight(column), axis=0), dtype=i32)
        mine = op("eq", counted(order, order.shape, 0), spread(chosen, order.shape, 1))
        new, first = picked(spread(mine, panel.shape, 0, 2), panel, 0), picked(mine, order, 0)
        rest, after = (without_ends(_with_first(x, mine), 1, 0) for x in (panel, order))
        rows, pivots, places = [*rows, new], [*pivots, chosen + j], [*places, first]
        if j + 1 == m:
            break
        pivot = line(new, 0, j)
        divisor = select(op("eq", pivot, filled(pivot, 0)), filled(pivot, 1), pivot)
        factor = line(rest, 1, j)
        factor = factor / spread(divisor, factor.shape, 1)
        less = rest - spread(factor, rest.shape, 0, 2) * spread(new, rest.shape, 1, 2)
        place = counted(rest, rest.shape, 1)
        panel = select(compare("gt", place, j), less, select(compare("eq", place, j), spread(factor, rest.shape, 0, 2), rest))
        order = after
    found = [reshaped(x, (1, *x.shape)) for x in (*rows, *pivots, *places)]
    whole = op("concatenate", *found[:w], *([panel] if m > w else []), axis=0)
    moved = op("concatenate", *found[2 * w:], *([order] if m > w else []), axis=0)
    return whole, op("concatenate", *found[w:2 * w], axis=0), moved


def _with_first(x: Value, mine: Value) -> Value:
    """x [m, ..., b] with its first row where ``mine`` [m, b] is true."""
    first = spread(line(x, 0, 0), x.shape, *range(1, x.type.rank))
    return select(spread(mine, x.shape, 0, x.type.rank - 1), first, x)


def _swapping(p: Value, row: Value, chosen: Value, at: Value, here: Value) -> Value:
    """Rows ``at`` and ``chosen`` of a panel [m, w, b] swapped."""
    _, w, b = p.shape
    old = reshaped(part(p, (at, 0, 0), (1, w, b)), (w, b))
    new = _row(p, chosen, row)
    down = select(op("eq", row, spread(chosen, p.shape, 2)), spread(old, p.shape, 1, 2), p)
    return select(op("eq", row, spread(here, p.shape, 2)), spread(new, p.shape, 1, 2), down)


def _blocked(a: Value) -> tuple[Value, Value, Value]:
    """By panels: [b, m, n], m >= n; pivots [k, b] and the order of the rows [m, b]."""
    _, m, n = a.shape
    columns = blocks_of(n) * BLOCK
    factors, pivots, order = _in_steps(padded(a, max(m, columns), columns), n)
    return cropped(factors, m, n), pivots, order


def _in_steps(a: Value, n: int) -> tuple[Value, Value, Value]:
    """Some panels, then what these leave of the others; ``n`` columns are not padding."""
    b, m, columns = a.shape
    count = panels_at_once(columns)
    width = count * BLOCK
    factors, pivots, order = _by_panels(a, n, count)
    if width == columns:
        return factors, pivots, order
    rest, more, moved = _in_steps(behind(factors, width, width), n - width)
    left = permuted(cropped(behind(factors, width, 0), m - width, width), _behind(moved, m - width))
    later = permuted(reshaped(_behind(order, m), (b, m, 1)), _behind(op("concatenate", counted(order, (width, b), 0), moved + width,
                                                                        axis=0), m))
    factors = in_quarters(cropped(factors, width, columns), left, rest)
    return factors, op("concatenate", pivots, more + width, axis=0), _in_columns(reshaped(later, (b, m)))


def _in_columns(x: Value) -> Value:
    """[b, m] -> [m, b]."""
    b, m = x.shape
    return reshaped(x, (m, b)) if b == 1 else op("transpose", x, perm=(1, 0))


def _by_panels(a: Value, n: int, count: int) -> tuple[Value, Value, Value]:
    """The first panels, all else less their products."""
    b, m, columns = a.shape

    def trip(k: Value, consts: Sequence[Value], carries: Sequence[Value], _: Sequence[Value]) -> list[Value]:
        found, order = carries
        first = k * BLOCK
        panel, pivots, moved = _eliminated(as_panel(part(found, (0, 0, first), (b, m, BLOCK))), n, first)
        moved_rows = _behind(moved, m)
        swapped = replaced(_with_rows_moved(found, _behind(pivots, BLOCK), moved_rows, first), as_stack(panel), (0, 0, first))
        top = part(swapped, (0, first, 0), (b, BLOCK, columns))
        inner = as_stack(part(panel, (first, 0, 0), (BLOCK, BLOCK, b)))
        solved = op("triangular_solve", inner, top, lower=True, transpose=False, unit=True)
        solved = select(compare("ge", counted(top, top.shape, 2), first + BLOCK), solved, 0)
        left = as_stack(panel)
        left = select(compare("ge", counted(left, left.shape, 1), first + BLOCK), left, 0)
        strip = select(compare("ge", counted(top, top.shape, 2), first + BLOCK), solved, top)
        after = replaced(swapped - product(left, solved), strip, (0, first, 0))
        later = reshaped(permuted(reshaped(_behind(order, m), (b, m, 1)), moved_rows), (b, m))
        return [after, _in_columns(later), pivots]

    found, order, pivots = loop(count, trip, [a, counted(a, (m, b), 0)])
    return found, reshaped(pivots, (count * BLOCK, b)), order


def _with_rows_moved(a: Value, pivots: Value, moved: Value, first: Value) -> Value:
    """The rows of a [b, m, n] in the order ``moved`` [b, m], which is another than theirs at the pivots [b, w] and at as many rows
    from ``first`` on alone: of one matrix only these are touched. Of a stack threads move all rows in less time."""
    b, w = pivots.shape
    if b > 1:
        return permuted(a, moved)
    here = counted(pivots, (b, w), 1) + spread(op("cast", first, dtype=i32), (b, w))
    places = op("concatenate", here, pivots, axis=1)
    sources = reshaped(permuted(reshaped(moved, (*moved.shape, 1)), places), places.shape)
    out: Value = op("scatter", a, reshaped(places, (b, 2 * w, 1)), permuted(a, sources), **OF_ROWS.attrs, mode="clip", unique=False)
    return out


@register
class lu_solve(MatrixOp):
    """x with a x = b (``transpose``: a' x = b) from a, its ``lu`` factors and permutation, and b[..., n, k].

    The factors have no derivative of their own: a's is that of the solution.
    """

    name, operand_names = "lu_solve", ("a", "factors", "permutation", "b")

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        a, factors, permutation, b = types
        self.matrices(a, square=True)
        self.matrices(b, "b")
        if factors != a or permutation != TensorType(a.shape[:-1], i32) or b.shape[:-1] != a.shape[:-1] or a.dtype != b.dtype:
            raise op_error(self.name, "a must be [..., n, n] with its factors, b [..., n, k]", dict(zip(self.operand_names, types)))
        return b

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        _, factors, permutation, b = map(np.asarray, arrays)
        solve = get_op("triangular_solve").eager
        order = permutation[..., None].astype(np.int64)
        if attrs["transpose"]:
            inner = solve(factors, b, lower=False, transpose=True, unit=False)
            found, out = solve(factors, inner, lower=True, transpose=True, unit=True), np.empty_like(b)
            np.put_along_axis(out, np.broadcast_to(order, b.shape), found, -2)
            return out
        inner = solve(factors, np.take_along_axis(b, np.broadcast_to(order, b.shape), -2), lower=True, transpose=False, unit=True)
        return np.asarray(solve(factors, inner, lower=False, transpose=False, unit=False))

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """h = a^-T g, and -h y'."""
        h = self(*operands[:3], g, transpose=not attrs["transpose"])
        pair = (y, h) if attrs["transpose"] else (h, y)
        return -product(pair[0], pair[1], right=True), None, None, h

    def expand(self, *operands: Value, **attrs: Any) -> Value:
        _, factors, permutation, b = operands
        solve = get_op("triangular_solve")
        if attrs["transpose"]:
            inner = solve(factors, b, lower=False, transpose=True, unit=False)
            return permuted(solve(factors, inner, lower=True, transpose=True, unit=True), inverse_of(permutation))
        inner = solve(factors, permuted(b, permutation), lower=True, transpose=False, unit=True)
        return solve(factors, inner, lower=False, transpose=False, unit=False)

    def samples(self) -> Sequence[Sample]:
        def make(a: tuple[int, ...], columns: int, transpose: bool = False) -> Sample:
            def arrays(rng: np.random.Generator) -> list[np.ndarray]:
                x = rng.permuted(rng.standard_normal(a) + 4 * np.eye(a[-1]), axis=-2)
                factors, _, order = get_op("lu").eager(x)
                return [x, factors, order, rng.standard_normal((*a[:-1], columns))]

            return Sample(arrays, {"transpose": transpose}, False, f"{a}{columns}{transpose}")

        return [make((5, 5), 2, True)]
