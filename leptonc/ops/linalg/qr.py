"""QR factors by Householder's reflections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.errors import LeptonError, op_error
from leptonc.ir.op import Sample, get_op, register
from leptonc.ir.types import TensorType
from leptonc.ir.value import Value
from leptonc.ops.linalg.building import (
    BLOCK,
    MatrixOp,
    adjoint,
    as_diagonal,
    as_panel,
    as_stack,
    behind,
    blocks_of,
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
    on_diagonal,
    op,
    padded,
    panels_at_once,
    part,
    product,
    real,
    replaced,
    reshaped,
    scaled_rows,
    select,
    spread,
    squared,
    swapped,
    triangle,
    zeros,
)
from leptonc.ops.linalg.jacobi import all_finite, or_nan


@register
class qr(MatrixOp):
    """(q, r) of [..., m, n], m >= n: q has orthonormal columns, n of them, or m if ``complete``; r is upper triangular; a = q r.

    LAPACK's signs; NaN for a matrix that holds an infinity or NaN. By panels: reflections one by one, joined as I - V T V' for the
    columns behind the panel, and for q.
    """

    name, operand_names, results = "qr", ("a",), 2

    def infer(self, *types: TensorType, **attrs: Any) -> tuple[TensorType, ...]:
        a = types[0]
        self.matrices(a)
        m, n = a.shape[-2:]
        if m < n:
            raise op_error(self.name, "a has more columns than rows", {"a": a}, "factor its first columns, and multiply the rest")
        k = m if attrs["complete"] else n
        return a.with_shape((*a.shape[:-1], k)), a.with_shape((*a.shape[:-2], k, n))

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> tuple[np.ndarray, ...]:
        a = np.asarray(arrays[0])
        finite = np.isfinite(a).all((-2, -1))[..., None, None]
        with np.errstate(all="ignore"):
            q, r = np.linalg.qr(np.where(finite, a, 0).astype(a.dtype), "complete" if attrs["complete"] else "reduced")
        return np.where(finite, q + 0, np.nan).astype(a.dtype), np.triu(np.where(finite, r + 0, np.nan).astype(a.dtype))

    def vjp(self, g: Any, y: Any, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """(gq + q C) R^-T, C the lower triangle of R gR' - gq' q with its mirror image above (Walter and Lehmann 2013); of complex
        matrices for the conjugates of all cotangents, with adjoints, and C's diagonal real."""
        q, r = y
        g = [None if x is None else conjugate(x) for x in g]
        if q.shape[-1] != r.shape[-1]:
            raise op_error(self.name, "has no derivative of a complete q of a tall matrix", {"a": operands[0]},
                           "mode='reduced'", LeptonError)
        total = None if g[1] is None else product(r, conjugate(triangle(g[1], lower=False)), right=True)
        if g[0] is not None:
            crossed = product(conjugate(g[0]), q, left=True)
            total = -crossed if total is None else total - crossed
        assert total is not None
        if total.dtype.is_complex:
            total = select(on_diagonal(total), in_field(real(total), total), total)
        inner = product(q, triangle(total, lower=True) + adjoint(triangle(total, lower=True, offset=-1)))
        inner = inner if g[0] is None else g[0] + inner
        found = get_op("triangular_solve")(conjugate(r), swapped(inner), lower=False, transpose=False, unit=False)
        return (conjugate(swapped(found)),)

    def expand(self, *operands: Value, **attrs: Any) -> tuple[Value, ...]:
        a = operands[0]
        m, n = a.shape[-2:]
        k = m if attrs["complete"] else n
        if not a.type.size:
            return cropped(identity(a, m), m, k), zeros(a, (*a.shape[:-2], k, n))
        stack = flattened(a)
        finite = all_finite(stack)
        stack = select(spread(finite, stack.shape, 0), stack, 0)
        q, r = _small(stack, k) if n <= BLOCK else _blocked(stack, k)
        q, r = or_nan(finite, q + 0, r + 0)  # zeros are positive, however they came about
        r = triangle(r, lower=False)
        return reshaped(q, (*a.shape[:-1], k)), reshaped(r, (*a.shape[:-2], k, n))

    def samples(self) -> Sequence[Sample]:
        def make(*shape: int, complete: bool = False, smooth: bool = True) -> Sample:
            def arrays(rng: np.random.Generator) -> list[np.ndarray]:
                return [rng.standard_normal(shape) + 2 * np.eye(shape[-2], shape[-1])]

            return Sample(arrays, {"complete": complete}, smooth, f"{shape}{complete}")

        return [make(3, 3), make(2, 5, 3), make(4, 2, complete=True, smooth=False), make(0, 0)]


def _reflections(panel: Value, first: Value | int = 0) -> tuple[Value, Value]:
    """A panel [m, w, b] whose diagonal begins in row ``first``: R, and V below it without its ones; and the factors tau [w, b]."""
    m, w, b = panel.shape

    def trip(j: Value, consts: Sequence[Value], carries: Sequence[Value], _: Sequence[Value]) -> list[Value]:
        p = carries[0]
        at = j + consts[0] if consts else j
        row, column = counted(p, (m, b), 0), reshaped(part(p, (0, j, 0), (m, 1, b)), (m, b))
        under = compare("gt", row, at)
        v, tau, beta = reflector(column, under, reshaped(part(column, (at, 0), (1, b)), (b,)))
        here = compare("eq", row, at)
        full = select(here, filled(v, 1), v)
        along = op("sum", p * spread(conjugate(full), p.shape, 0, 2), axes=(0,)) * spread(conjugate(tau), (w, b), 1)
        less = p - spread(full, p.shape, 0, 2) * spread(along, p.shape, 1, 2)
        place = counted(p, p.shape, 1)
        moved = both(both(compare("gt", place, j), compare("ge", counted(p, p.shape, 0), at)), _reflects(tau, p))
        rest = select(moved, less, p)
        kept = select(under, v, select(here, spread(beta, (m, b), 1), column))
        return [select(compare("eq", place, j), spread(kept, p.shape, 0, 2), rest), tau]

    found = loop(w, trip, [panel], [] if isinstance(first, int) else [first])
    return found[0], found[1]


def reflector(column: Value, under: Value, alpha: Value) -> tuple[Value, Value, Value]:
    """What takes ``alpha`` and the elements ``under`` it [m, b] to beta and zeros: v without its one, tau, beta (LAPACK's larfg).
    Nothing is reflected where they are zeros already."""
    m, b = column.shape
    tail = select(under, column, 0)
    size = op("max", op("reduce_max", extent(tail), axes=(0,)), extent(alpha))
    scale = select(op("eq", size, filled(size, 0)), filled(size, 1), size)
    squares = op("sum", squared(divided(tail, spread(scale, (m, b), 1))), axes=(0,))
    norm = scale * op("sqrt", squares + squared(divided(alpha, scale)))
    length = select(op("ge", real(alpha), filled(norm, 0)), -norm, norm)
    reflects = op("ne", squares, filled(squares, 0))
    if alpha.dtype.is_complex:
        reflects = op("or", reflects, op("ne", op("imag", alpha), filled(norm, 0)))
    beta = in_field(length, alpha)
    tau = select(reflects, divided(beta - alpha, length), 0)
    divisor = select(reflects, alpha - beta, filled(alpha, 1))
    return tail / spread(divisor, (m, b), 1), tau, select(reflects, beta, alpha)


def _reflects(tau: Value, like: Value) -> Value:
    """Where a factor is not 0: elsewhere zeros keep their signs."""
    return spread(op("ne", tau, filled(tau, 0)), like.shape, 2)


def _small(a: Value, k: int) -> tuple[Value, Value]:
    """One panel: q by the reflections from the last to the first."""
    b, m, n = a.shape
    panel, taus = _reflections(as_panel(a))
    start = select(op("eq", counted(a, (m, k, b), 0), counted(a, (m, k, b), 1)), filled(zeros(a, (m, k, b)), 1), 0)

    def trip(j: Value, consts: Sequence[Value], carries: Sequence[Value], xs: Sequence[Value]) -> list[Value]:
        q, row = carries[0], counted(carries[0], (m, b), 0)
        column = reshaped(part(consts[0], (0, j, 0), (m, 1, b)), (m, b))
        v = select(compare("gt", row, j), column, select(compare("eq", row, j), filled(column, 1), 0))
        along = op("sum", q * spread(conjugate(v), q.shape, 0, 2), axes=(0,)) * spread(xs[0], (k, b), 1)
        return [select(_reflects(xs[0], q), q - spread(v, q.shape, 0, 2) * spread(along, q.shape, 1, 2), q)]

    q = loop(n, trip, [start], [panel], [taus], reverse=True)[0]
    return as_stack(q), _upper(as_stack(panel), k, n)


def _upper(x: Value, k: int, n: int) -> Value:
    return triangle(cropped(x, k, n), lower=False)


def _blocked(a: Value, k: int) -> tuple[Value, Value]:
    """In steps of some panels, behind each of which the matrix is cut; q from the last to the first."""
    _, m, n = a.shape
    columns = blocks_of(n) * BLOCK
    q, r = _in_steps(padded(a, max(m, columns), columns), k)
    return cropped(q, m, k), _upper(r, k, n)


def _in_steps(a: Value, k: int) -> tuple[Value, Value]:
    """k columns of q, and r with anything below its diagonal."""
    b, rows, columns = a.shape
    count = panels_at_once(columns)
    width = count * BLOCK
    found, vs, ts = _by_panels(a, count)
    if width == columns:
        q, r = cropped(identity(a, rows), rows, k), found
    else:
        rest, below = _in_steps(behind(found, width, width), k - width)
        q = in_quarters(cropped(identity(a, k), width, k), zeros(a, (b, rows - width, width)), rest)
        r = in_quarters(cropped(found, width, columns), zeros(a, (b, rows - width, width)), below)

    def back(i: Value, consts: Sequence[Value], carries: Sequence[Value], xs: Sequence[Value]) -> list[Value]:
        v, t = xs
        return [carries[0] - product(v, product(t, product(conjugate(v), carries[0], left=True)))]

    return loop(count, back, [q], [], [vs, ts], reverse=True)[0], r


def _by_panels(a: Value, count: int) -> tuple[Value, Value, Value]:
    """The first panels reflected, and all behind them; V and T of each."""
    b, rows, _ = a.shape

    def trip(i: Value, consts: Sequence[Value], carries: Sequence[Value], _: Sequence[Value]) -> list[Value]:
        found, first = carries[0], i * BLOCK
        panel, taus = _reflections(as_panel(part(found, (0, 0, first), (b, rows, BLOCK))), first)
        stack = as_stack(panel)
        place = counted(stack, stack.shape, 1) - counted(stack, stack.shape, 2)
        v = select(compare("gt", place, first), stack, select(compare("eq", place, first), filled(stack, 1), 0))
        t = _joined(v, taus)
        inner = product(conjugate(t), product(conjugate(v), found, left=True), left=True)
        inner = select(compare("ge", counted(inner, inner.shape, 2), first + BLOCK), inner, 0)
        return [replaced(found - product(v, inner), stack, (0, 0, first)), v, t]

    found, vs, ts = loop(count, trip, [a])
    return found, vs, ts


def _joined(v: Value, taus: Value) -> Value:
    """T, upper triangular, with H1 H2 ... = I - V T V': (1 + D U)^-1 D, U the part of V'V above its diagonal."""
    b, _, w = v.shape
    taus = reshaped(taus, (1, w)) if b == 1 else op("transpose", taus, perm=(1, 0))
    above = scaled_rows(taus, triangle(product(conjugate(v), v, left=True), lower=False, offset=1))
    return op("triangular_solve", above, as_diagonal(taus), lower=False, transpose=False, unit=True)
