"""Eigenvalues and eigenvectors of small Hermitian matrices, by Jacobi's cyclic method."""

from __future__ import annotations

from collections.abc import Sequence

from leptonc.ir.types import bool_, i32
from leptonc.ir.value import Value
from leptonc.ops.linalg.building import (
    adjoint,
    as_panel,
    as_stack,
    conjugate,
    counted,
    cropped,
    diagonal,
    filled,
    identity,
    in_field,
    loop,
    op,
    padded,
    picked,
    product,
    real,
    repeat_while,
    select,
    size,
    spread,
    squared,
    zeros,
)
from leptonc.ops.linalg.jacobi import (
    FEW,
    SWEEPS,
    epsilon,
    even,
    halves,
    moved_on,
    orthonormal_rows,
    phase_of,
    rotated_columns,
    rotated_rows,
    rotation,
    turned_columns,
    turned_rows,
)


def diagonalized(a: Value) -> tuple[Value, Value]:
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
