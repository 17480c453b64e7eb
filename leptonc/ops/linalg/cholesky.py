"""Cholesky's factor of symmetric positive definite matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.ir.op import Sample, get_op, register
from leptonc.ir.types import TensorType
from leptonc.ir.value import Value
from leptonc.ops.linalg.building import (
    BLOCK,
    SMALL,
    MatrixOp,
    adjoint,
    as_panel,
    as_stack,
    behind,
    blocks_of,
    compare,
    conjugate,
    counted,
    cropped,
    diagonal,
    divided,
    filled,
    flattened,
    in_field,
    in_quarters,
    in_triangle,
    line,
    loop,
    on_diagonal,
    op,
    padded,
    padded_square,
    panels_at_once,
    part,
    product,
    products_of_lines,
    real,
    replaced,
    reshaped,
    rows_of,
    select,
    spread,
    swapped,
    triangle,
    without_ends,
    zeros,
)
from leptonc.ops.linalg.strips import place_of, products, products_from, spread_out, turned

FEW_STRIPS = 2  # of a matrix that is factored sooner by panels, which ask for less around them


@register
class cholesky(MatrixOp):
    """L, lower triangular, with L L' = (a + a') / 2 for each matrix of a stack; all NaN where that is not positive definite.

    Of complex matrices ' is the adjoint, and L's diagonal is real.

    By panels: a panel less one product with the columns before it, then eliminated column by column; what some panels leave of the
    others is one product. One real matrix of some size in strips, in place.
    """

    name, operand_names = "cholesky", ("a",)

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        self.matrices(types[0], square=True)
        return types[0]

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        a = np.asarray(arrays[0])
        with np.errstate(all="ignore"):
            a = ((a + np.conj(np.swapaxes(a, -1, -2))) / 2).astype(a.dtype)
        out = np.empty_like(a)
        for at in np.ndindex(a.shape[:-2]):
            out[at] = _factor(a[at])
        return out

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """S = L^-T Phi(L^T g) conj(L)^-1, Phi the lower triangle with half the diagonal (Murray 2016); a's is the mean of
        S and S'."""
        inner = triangle(product(y, g, left=True), lower=True)
        inner = select(on_diagonal(inner), inner * 0.5, inner)
        solve = get_op("triangular_solve")
        half = solve(y, inner, lower=True, transpose=True, unit=False)
        s = swapped(solve(conjugate(y), swapped(half), lower=True, transpose=True, unit=False))
        return ((s + adjoint(s)) * 0.5,)

    def expand(self, *operands: Value, **attrs: Any) -> Value:
        a = operands[0]
        if not a.type.size:
            return a
        symmetric = flattened((a + adjoint(a)) * 0.5)
        n = a.shape[-1]
        if n > FEW_STRIPS * BLOCK and symmetric.shape[0] == 1 and not a.dtype.is_complex:
            found, sound = _of_one(symmetric)
        else:
            found = as_stack(_eliminated(as_panel(symmetric))) if n <= BLOCK else _blocked(symmetric)
            sound = op("all", op("gt", real(diagonal(found)), zeros(found, found.shape[:2], found.dtype.real)), axes=(1,))
        lower = in_triangle(found, lower=True)
        return reshaped(select(lower, select(spread(sound, found.shape, 0), found, np.nan), 0), a.shape)

    def samples(self) -> Sequence[Sample]:
        def make(*shape: int) -> Sample:
            return Sample(lambda rng: [_definite(rng, shape)], {}, True, str(shape))

        indefinite = Sample(lambda rng: [np.stack([np.array([[1.0, 2.0], [2.0, 1.0]]), np.eye(2), np.zeros((2, 2)),
                                                   np.array([[np.nan, 0.0], [0.0, 1.0]])])], {}, False, "indefinite")
        return [make(3, 3), make(2, 5, 5), make(0, 0), indefinite]


def _definite(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    x = rng.standard_normal(shape)
    return np.asarray(x @ np.swapaxes(x, -1, -2) / max(shape[-1], 1) + np.eye(shape[-1]))


def _factor(a: np.ndarray) -> np.ndarray:
    try:
        found = np.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        found = np.full_like(a, np.nan)
    return found if np.all(np.diagonal(found).real > 0) else np.tril(np.full_like(a, np.nan))


def _eliminated(panel: Value, first: Value | int = 0) -> Value:
    """A panel [m, w, b] whose diagonal begins in row ``first`` as these columns of the factor."""
    m, w, b = panel.shape
    if m <= SMALL:
        return _written_out(panel)
    if b == 1:
        return _by_columns(panel, first)

    def trip(j: Value, consts: Sequence[Value], carries: Sequence[Value], _: Sequence[Value]) -> list[Value]:
        p = carries[0]
        at = j + consts[0] if consts else j
        column = reshaped(part(p, (0, j, 0), (m, 1, b)), (m, b))
        pivot = real(reshaped(part(column, (at, 0), (1, b)), (b,)))
        root = _root(pivot)
        row = counted(p, (m, b), 0)
        below = select(compare("ge", row, at), divided(column, spread(root, (m, b), 1)), 0)
        below = select(compare("eq", row, at), spread(in_field(root, p), (m, b), 1), below)  # which may be infinite
        head = conjugate(below if not consts else part(below, (consts[0], 0), (w, b)))
        less = p - spread(below, p.shape, 0, 2) * spread(head, p.shape, 1, 2)
        place = counted(p, p.shape, 1)
        rest = select(compare("gt", place, j), less, p)
        return [select(compare("eq", place, j), spread(below, p.shape, 0, 2), rest)]

    return loop(w, trip, [panel], [] if isinstance(first, int) else [first])[0]


def _by_columns(panel: Value, first: Value | int) -> Value:
    """``_eliminated`` of one matrix: of a column the products with those before it are taken off when its turn comes. That reads
    the panel for each column, and writes one column."""
    m, w, _ = panel.shape

    def trip(j: Value, consts: Sequence[Value], carries: Sequence[Value], _: Sequence[Value]) -> list[Value]:
        p = carries[0]  # [w, m], a column after the other
        at = j + consts[0] if consts else j
        heads = conjugate(reshaped(part(p, (0, at), (w, 1)), (w,)))
        column = reshaped(part(p, (j, 0), (1, m)), (m,)) - products_of_lines(p, heads, j, 0)
        root = spread(_root(real(part(column, (at,), (1,)))), (m,), 0)
        row = counted(column, (m,), 0)
        below = select(compare("ge", row, at), divided(column, root), 0)
        below = select(compare("eq", row, at), in_field(root, p), below)  # which may be infinite
        return [replaced(p, reshaped(below, (1, m)), (j, 0))]

    turned = op("transpose", reshaped(panel, (m, w)), perm=(1, 0))
    (found,) = loop(w, trip, [turned], [] if isinstance(first, int) else [first])
    return reshaped(op("transpose", found, perm=(1, 0)), panel.shape)


def _root(pivot: Value) -> Value:
    return select(op("gt", pivot, filled(pivot, 0)), op("sqrt", pivot), np.nan)


def _written_out(panel: Value) -> Value:
    """``_eliminated`` of a whole matrix of few columns, whose loop is written out: each column less products with those before it,
    which is a third of the memory traffic of taking each off all that follow."""
    n, _, b = panel.shape
    found: list[Value] = []
    for j in range(n):
        column = without_ends(line(panel, 1, j), j, 0)
        for k, before in enumerate(found):
            rows = without_ends(before, j - k, 0)
            column = column - rows * spread(conjugate(line(rows, 0, 0)), rows.shape, 1)
        root = _root(real(line(column, 0, 0)))
        below = divided(column, spread(root, column.shape, 1))
        first = op("eq", counted(column, column.shape, 0), filled(counted(column, column.shape, 0), 0))
        found.append(select(first, spread(in_field(root, column), column.shape, 1), below))
    wide = (op("pad", x, low=(j, 0), high=(0, 0), interior=(0, 0), value=0) for j, x in enumerate(found))
    return op("concatenate", *(reshaped(x, (n, 1, b)) for x in wide), axis=1)


def _of_one(a: Value) -> tuple[Value, Value]:
    """Of one real matrix, in the place of its strips: of a strip's columns the products with those before are taken off, and they
    are eliminated some at a time. Also whether it is positive definite: a pivot that is not positive makes all later ones NaN."""
    n = a.shape[-1]
    strips = spread_out(padded_square(a, blocks_of(n) * BLOCK))
    count = strips.shape[0]

    def trip(k: Value, consts: Sequence[Value], carries: Sequence[Value], _: Sequence[Value]) -> list[Value]:
        strips, first, here = carries[0], k * BLOCK, place_of(carries[0], k)
        rest = part(strips, (0, first, 0), (count, BLOCK, BLOCK)) - products_from(strips, k, first)
        for start in range(0, BLOCK, SMALL):
            inner = reshaped(part(rest, (here, 0, start), (1, SMALL, SMALL)), (SMALL, SMALL))
            found = op("elimination", inner, rest)
            strips = replaced(strips, found, (0, first + start, 0))
            left = BLOCK - start - SMALL
            if left:
                heads = reshaped(part(found, (here, 0, start + SMALL), (1, SMALL, left)), (SMALL, left))
                rest = rows_of(rest, SMALL, left) - products(found, heads)
        return [strips]

    strips = loop(blocks_of(n), trip, [strips])[0]
    number = strips.builder.constant(np.int64((n - 1) // BLOCK))
    last = part(strips, (place_of(strips, number), n - 1, (n - 1) % BLOCK), (1, 1, 1))
    return cropped(turned(strips), n, n), op("gt", reshaped(last, (1,)), zeros(last, (1,)))


def _blocked(a: Value) -> Value:
    """By panels: [b, n, n] of any n."""
    n = a.shape[-1]
    return cropped(_in_steps(padded_square(a, blocks_of(n) * BLOCK)), n, n)


def _in_steps(a: Value) -> Value:
    """The first columns, panel by panel; then what these leave of the others."""
    b, n, _ = a.shape
    count = panels_at_once(n)
    width = count * BLOCK
    strip = cropped(a, n, width)

    def trip(k: Value, consts: Sequence[Value], carries: Sequence[Value], _: Sequence[Value]) -> list[Value]:
        found, first = carries[0], k * BLOCK
        rows = part(found, (0, first, 0), (b, BLOCK, width))
        panel = part(consts[0], (0, 0, first), (b, n, BLOCK)) - product(found, conjugate(rows), right=True)
        return [replaced(found, as_stack(_eliminated(as_panel(panel), first)), (0, 0, first))]

    found = loop(count, trip, [filled(strip, 0)], [strip])[0]
    if width == n:
        return found
    left = behind(found, width, 0)
    rest = _in_steps(behind(a, width, width) - product(left, conjugate(left), right=True))
    return in_quarters(padded(cropped(found, width, width), width, n), left, rest)
