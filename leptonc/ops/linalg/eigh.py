"""Eigenvalues and eigenvectors of symmetric matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.ir.op import Sample, register
from leptonc.ir.types import TensorType, bool_, i32
from leptonc.ir.value import Value
from leptonc.ops.linalg.building import (
    MatrixOp,
    adjoint,
    as_diagonal,
    as_panel,
    as_stack,
    conjugate,
    counted,
    cropped,
    diagonal,
    filled,
    flattened,
    identity,
    in_field,
    loop,
    on_diagonal,
    op,
    padded,
    picked,
    product,
    real,
    repeat_while,
    reshaped,
    scaled,
    scaled_rows,
    select,
    size,
    spread,
    squared,
    zeros,
)
from leptonc.ops.linalg.jacobi import (
    FEW,
    SWEEPS,
    all_finite,
    eager_signs,
    epsilon,
    even,
    halves,
    in_order,
    moved_on,
    or_nan,
    order_of,
    orthonormal_rows,
    phase_of,
    rotated_columns,
    rotated_rows,
    rotation,
    signs_of_rows,
    turned_columns,
    turned_rows,
)
from leptonc.ops.linalg.lu import permuted


@register
class eigh(MatrixOp):
    """(w, v): eigenvalues of (a + a') / 2, ascending, and eigenvectors as columns, the first of the largest elements positive.

    Jacobi's cyclic method, whose angles of at most 45 degrees make it converge (Forsythe and Henrici 1960), until what is off the
    diagonal is a rounding error of the whole. NaN for a matrix that holds an infinity or NaN.
    """

    name, operand_names, results = "eigh", ("a",), 2

    def infer(self, *types: TensorType, **attrs: Any) -> tuple[TensorType, ...]:
        self.matrices(types[0], square=True)
        a = types[0]
        return a.with_shape(a.shape[:-1]).with_dtype(a.dtype.real), a

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> tuple[np.ndarray, ...]:
        a = np.asarray(arrays[0])
        with np.errstate(all="ignore"):
            finite = np.isfinite(a).all((-2, -1))
            w, v = np.linalg.eigh(np.where(finite[..., None, None], (a + np.conj(np.swapaxes(a, -1, -2))) / 2, 0).astype(a.dtype))
        if v.size:
            v = v * np.swapaxes(eager_signs(np.swapaxes(v, -1, -2)), -1, -2)
        w, v = np.where(finite[..., None], w, np.nan), np.where(finite[..., None, None], v, np.nan)
        return w.astype(a.real.dtype), v.astype(a.dtype)

    def vjp(self, g: Any, y: Any, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """v (diag(gw) + F o (v' gv)) v', F the inverse differences of the eigenvalues; of (a + a') / 2 the symmetric part. For
        complex matrices that is the rule of the cotangents' conjugates, ' the adjoint; phases of vectors stay, as in JAX."""
        w, v = y
        inner = None if g[0] is None else in_field(as_diagonal(g[0]), v)
        if g[1] is not None:
            turned = scaled(product(conjugate(v), conjugate(g[1]), left=True), inverse_differences(w))
            inner = turned if inner is None else inner + turned
        assert inner is not None
        s = product(product(v, inner), conjugate(v), right=True)
        return (conjugate((s + adjoint(s)) * 0.5),)

    def expand(self, *operands: Value, **attrs: Any) -> tuple[Value, ...]:
        a = operands[0]
        if not a.type.size:
            return zeros(a, a.shape[:-1], a.dtype.real), a
        symmetric = flattened((a + adjoint(a)) * 0.5)
        finite = all_finite(symmetric)
        w, rows = _diagonalized(select(spread(finite, symmetric.shape, 0), symmetric, 0))
        order = order_of(w)
        rows = permuted(rows, order)
        v = adjoint(scaled_rows(signs_of_rows(rows), rows))
        w, v = or_nan(finite, in_order(w, order), v)
        return reshaped(w, a.shape[:-1]), reshaped(v, a.shape)

    def samples(self) -> Sequence[Sample]:
        def make(*shape: int) -> Sample:
            def arrays(rng: np.random.Generator) -> list[np.ndarray]:
                return [rng.standard_normal(shape) + 3 * np.diag(np.arange(shape[-1]))]

            return Sample(arrays, {}, True, str(shape))

        nan = Sample(lambda rng: [np.stack([np.array([[1.0, np.nan], [0.0, 1.0]]), np.diag([2.0, 1.0])])], {}, False, "nan")
        return [make(3, 3), make(2, 4, 4), make(0, 0), nan]


def inverse_differences(w: Value) -> Value:
    """1 / (w[j] - w[i]), 0 on the diagonal; infinite where an eigenvalue stands twice, as in JAX."""
    rank = w.type.rank
    shape = (*w.shape, w.shape[-1])
    lead = tuple(range(rank - 1))
    difference = spread(w, shape, *lead, rank) - spread(w, shape, *lead, rank - 1)
    same = on_diagonal(difference)
    return select(same, filled(difference, 0), 1 / select(same, filled(difference, 1), difference))


def _diagonalized(a: Value) -> tuple[Value, Value]:
    """Eigenvalues [b, n] and eigenvectors as rows [b, n, n], in any order, of finite symmetric a [b, n, n].

    Of more than a few rows twice: rotations round, and after some thousands of them the rows are orthonormal, and the matrix is
    theirs, to as many digits less. From rows made orthonormal, and the matrix made of them anew, next to nothing is left to rotate.
    """
    n = a.shape[-1]
    size = even(n)
    whole = padded(a, size, size)  # a row of zeros, where n is odd, is where it was after each sweep
    limit = op("sqrt", op("sum", squared(whole), axes=(1, 2))) * epsilon(a)

    def refined(_: Value, consts: Sequence[Value], carries: Sequence[Value], xs: Sequence[Value]) -> list[Value]:
        whole, limit = consts
        rows = orthonormal_rows(carries[0])
        matrix = product(product(rows, whole), conjugate(rows), right=True)
        matrix, rows = _rotated(as_panel((matrix + adjoint(matrix)) * 0.5), as_panel(rows), limit)
        return [as_stack(rows), real(diagonal(as_stack(matrix)))]

    if size <= FEW:
        matrix, rows = (as_stack(x) for x in _rotated(as_panel(whole), as_panel(identity(whole, size)), limit))
        return real(diagonal(cropped(matrix, n, n))), cropped(rows, n, n)
    rows, w = loop(2, refined, [identity(whole, size), zeros(whole, whole.shape[:2], a.dtype.real)], [whole, limit])
    return op("slice", w, start=(0, 0), size=(w.shape[0], n), step=(1, 1)), cropped(rows, n, n)


def _rotated(matrix: Value, rows: Value, limit: Value) -> tuple[Value, Value]:
    """Sweeps over a panel [n, n, b] until what is off its diagonal is at most ``limit`` [b], the rows of the rotations with it."""
    size = matrix.shape[0]
    least = limit * (0.5 / size)  # elements that together are below the limit: among equal eigenvalues angles are those of noise

    def goes_on(count: Value, going: Value, *_: Value) -> Value:
        return op("and", going, op("lt", count, filled(count, SWEEPS[matrix.dtype.real.name])))

    def sweep(count: Value, going: Value, m: Value, v: Value, limit: Value, least: Value) -> list[Value]:
        m, v = loop(size - 1, _round, [m, v], [least])
        return [count + 1, _is_off(m, limit), m, v, limit, least]

    first = [zeros(matrix, (), i32), _is_off(matrix, limit), matrix, rows, limit, least]
    _, _, matrix, rows, _, _ = repeat_while(goes_on, sweep, first)
    return matrix, rows


def _is_off(m: Value, limit: Value) -> Value:
    """Whether in any of the matrices [n, n, b] there is more than ``limit`` [b] off the diagonal."""
    row, column = counted(m, m.shape, 0), counted(m, m.shape, 1)
    off = select(op("eq", row, column), filled(m, 0), m)
    rest = op("sqrt", op("sum", squared(off), axes=(0, 1)))
    out: Value = op("any", op("gt", rest, limit), axes=(0,))
    assert out.dtype == bool_
    return out


def _round(_: Value, consts: Sequence[Value], carries: Sequence[Value], xs: Sequence[Value]) -> list[Value]:
    """One rotation of each pair, and the pairs of the next round."""
    m, v = carries
    h = m.shape[0] // 2
    top, bottom = halves(m, 0)
    (upper, crossed), (_left, lower) = halves(top, 1), halves(bottom, 1)
    first, second, both = (_diagonal(x) for x in (upper, lower, crossed))
    if m.dtype.is_complex:
        phase, both = phase_of(both), size(both)
        first, second = real(first), real(second)
        m, v = turned_rows(turned_columns(m, conjugate(phase)), phase), turned_rows(v, phase)
    cosine, sine, tangent = rotation(first, second, both, spread(consts[0], both.shape, 1))
    m = rotated_columns(rotated_rows(m, cosine, sine), cosine, sine)
    row, column = counted(m, m.shape, 0), counted(m, m.shape, 1)
    across = op("or", op("eq", row + h, column), op("eq", column + h, row))
    turned = op("ne", tangent, filled(tangent, 0))
    across = op("and", across, spread(op("concatenate", turned, turned, axis=0), m.shape, 0, 2))
    change = tangent * both
    exact = spread(in_field(op("concatenate", first - change, second + change, axis=0), m), m.shape, 0, 2)
    m = select(op("eq", row, column), exact, select(across, filled(m, 0), m))
    return [moved_on(moved_on(m, 0), 1), moved_on(rotated_rows(v, cosine, sine), 0)]


def _diagonal(x: Value) -> Value:
    """[h, h, b] -> [h, b]."""
    same = op("eq", counted(x, x.shape, 0), counted(x, x.shape, 1))
    return picked(same, x, 1)


