"""The vocabulary of the factorizations: stacks of matrices [b, m, n], panels [m, n, b], and loops of a fixed number of trips.

A panel has the batch last, so that a stack of small matrices runs in vectors along it; one matrix lies in memory the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from leptonc.errors import DtypeError, op_error
from leptonc.ir.batching import BatchAxis
from leptonc.ir.op import Op, get_op
from leptonc.ir.types import DType, TensorType, bool_, i32, i64
from leptonc.ir.value import Value
from leptonc.ops.regions import region

BLOCK = 32  # columns of a panel: what a loop eliminates one by one; wider ones are products of matrices
SMALL = 8  # columns whose loop is written out: each step of it then takes what is left alone
FEW_PANELS = 8  # of which no loop is cut: smaller products take less time than what is around them
Body = Callable[..., Sequence[Value]]


class MatrixOp(Op):
    """An op on the last two axes; those before them are a stack, so a batch is one more of these."""

    def matrices(self, x: TensorType, what: str = "a", square: bool = False) -> None:
        """Raises ShapeError or DtypeError unless x is a stack of (square) matrices of floats or complex numbers."""
        if x.rank < 2 or (square and x.shape[-1] != x.shape[-2]):
            raise op_error(self.name, f"{what} must be [..., n, n]" if square else f"{what} must be [..., m, n]", {what: x})
        if not x.dtype.is_inexact:
            raise op_error(self.name, f"{what} must be of floats", {what: x}, "cast it", DtypeError)

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        return self(*axis.front(batched, operands), **attrs)


def op(name: str, *operands: Any, **attrs: Any) -> Any:
    return get_op(name)(*operands, **attrs)


def zeros(x: Value, shape: Sequence[int], dtype: DType | None = None) -> Value:
    return x.builder.full(TensorType(tuple(shape), dtype or x.dtype), 0)


def filled(like: Value, number: Any) -> Value:
    return like.builder.full(like.type, number)


def counted(x: Value, shape: Sequence[int], axis: int) -> Value:
    """The place along an axis, i32."""
    return x.builder.emit("iota", (), {"shape": tuple(shape), "axis": axis, "dtype": i32})


def spread(x: Value, shape: Sequence[int], *dims: int) -> Value:
    """x in a greater shape; ``dims`` are the places of its axes."""
    return x if x.shape == tuple(shape) else op("broadcast", x, shape=tuple(shape), dims=dims)


def compare(relation: str, places: Value, number: Value | int) -> Value:
    """``places`` against one number, which an i64 may give."""
    if isinstance(number, int):
        return op(relation, places, filled(places, number))
    return op(relation, places, spread(op("cast", number, dtype=places.dtype), places.shape))


def select(mask: Value, x: Value, y: Value | float) -> Value:
    return op("select", mask, x, y if isinstance(y, Value) else filled(x, y))


def both(x: Value, y: Value) -> Value:
    return op("and", x, y)


def swapped(x: Value) -> Value:
    """The matrices transposed."""
    rank = x.type.rank
    return op("transpose", x, perm=(*range(rank - 2), rank - 1, rank - 2))


def conjugate(x: Value) -> Value:
    """Of real numbers x itself, as all that is below."""
    return op("conj", x) if x.dtype.is_complex else x


def adjoint(x: Value) -> Value:
    return conjugate(swapped(x))


def real(x: Value) -> Value:
    return op("real", x) if x.dtype.is_complex else x


def in_field(x: Value, like: Value) -> Value:
    """Real x as a number of like's dtype."""
    return op("complex", x, filled(x, 0)) if like.dtype.is_complex else x


def size(x: Value) -> Value:
    return op("complex_abs", x) if x.dtype.is_complex else op("abs", x)


def extent(x: Value) -> Value:
    """The greater of the sizes of both parts."""
    return op("max", op("abs", op("real", x)), op("abs", op("imag", x))) if x.dtype.is_complex else op("abs", x)


def squared(x: Value) -> Value:
    """|x|^2."""
    if not x.dtype.is_complex:
        return x * x
    re, im = op("real", x), op("imag", x)
    return re * re + im * im


def divided(x: Value, by: Value) -> Value:
    """x over real numbers of its shape."""
    return op("complex", op("real", x) / by, op("imag", x) / by) if x.dtype.is_complex else x / by


def scaled(x: Value, by: Value) -> Value:
    """x times real numbers of its shape."""
    return op("complex", op("real", x) * by, op("imag", x) * by) if x.dtype.is_complex else x * by


def line(x: Value, axis: int, at: int) -> Value:
    """One line of x across an axis, which goes."""
    start, size = [0] * x.type.rank, list(x.shape)
    start[axis], size[axis] = at, 1
    only = op("slice", x, start=tuple(start), size=tuple(size), step=(1,) * x.type.rank)
    return reshaped(only, x.shape[:axis] + x.shape[axis + 1:])


def without_ends(x: Value, first: int, last: int) -> Value:
    """x without its first and last rows."""
    rest = tuple(x.shape[1:])
    return op("slice", x, start=(first, *(0,) * len(rest)), size=(x.shape[0] - first - last, *rest), step=(1,) * x.type.rank)


def rows_of(x: Value, first: int, count: int) -> Value:
    """Some rows of each matrix of a stack [b, m, n]."""
    return op("slice", x, start=(0, first, 0), size=(x.shape[0], count, x.shape[2]), step=(1, 1, 1))


def picked(mask: Value, x: Value, axis: int) -> Value:
    """The one element along an axis where ``mask`` is true: a maximum, for a sum would lose the sign of a zero."""
    if x.dtype.is_complex:
        return op("complex", *(picked(mask, op(name, x), axis) for name in ("real", "imag")))
    least = (-1, -np.inf)[x.dtype.is_float]  # below any place, below any number
    return op("reduce_max", select(mask, x, least), axes=(axis,))


def product(a: Value, b: Value, left: bool = False, right: bool = False) -> Value:
    """a @ b, matrix by matrix; ``left`` and ``right`` say which are transposed."""
    lead = tuple(range(a.type.rank - 2))
    k, n = len(lead) + (0 if left else 1), len(lead) + (1 if right else 0)
    return op("dot_general", a, b, contract=((k,), (n,)), batch=(lead, lead))


def products_of_lines(a: Value, x: Value, count: Value, axis: int) -> Value:
    """The first ``count`` lines along an axis of a matrix, each times its number in x, added up."""
    wide = spread(x, a.shape, axis)
    out: Value = op("sum", select(compare("lt", counted(a, a.shape, axis), count), a * wide, 0), axes=(axis,))
    return out


def scaled_columns(a: Value, s: Value) -> Value:
    """a @ diag(s)."""
    return a * spread(in_field(s, a) if s.dtype != a.dtype else s, a.shape, *range(a.type.rank - 2), a.type.rank - 1)


def scaled_rows(s: Value, a: Value) -> Value:
    """diag(s) @ a."""
    return a * spread(in_field(s, a) if s.dtype != a.dtype else s, a.shape, *range(a.type.rank - 1))


def triangle(x: Value, lower: bool, offset: int = 0) -> Value:
    """The elements below the diagonal ``offset``, or above, with it; the others are 0."""
    return select(in_triangle(x, lower, offset), x, 0)


def in_triangle(x: Value, lower: bool, offset: int = 0) -> Value:
    rank = x.type.rank
    row, column = counted(x, x.shape, rank - 2), counted(x, x.shape, rank - 1)
    return op("le" if lower else "ge", column, row + offset)


def on_diagonal(x: Value) -> Value:
    rank = x.type.rank
    return op("eq", counted(x, x.shape, rank - 2), counted(x, x.shape, rank - 1))


def diagonal(x: Value) -> Value:
    """[..., m, n] -> [..., min(m, n)], not empty: the maximum of one element each, for the others are left out."""
    rank = x.type.rank
    axis = rank - 1 if x.shape[-1] >= x.shape[-2] else rank - 2
    return picked(on_diagonal(x), x, axis)


def as_diagonal(s: Value) -> Value:
    """[..., n] -> [..., n, n]."""
    shape = (*s.shape, s.shape[-1])
    wide = spread(s, shape, *range(s.type.rank))
    return select(on_diagonal(wide), wide, 0)


def identity(like: Value, n: int) -> Value:
    """[..., n, n] with the stack of ``like``."""
    empty = zeros(like, (*like.shape[:-2], n, n))
    return select(on_diagonal(empty), filled(empty, 1), 0)


def flattened(x: Value, trailing: int = 2) -> Value:
    """[..., m, n] as [b, m, n]."""
    shape = (prod(x.shape[:x.type.rank - trailing]), *x.shape[x.type.rank - trailing:])
    return reshaped(x, shape)


def reshaped(x: Value, shape: Sequence[int]) -> Value:
    return x if x.shape == tuple(shape) else op("reshape", x, shape=tuple(shape))


def as_panel(x: Value) -> Value:
    """[b, m, n] -> [m, n, b]."""
    b, m, n = x.shape
    return reshaped(x, (m, n, 1)) if b == 1 else op("transpose", x, perm=(1, 2, 0))


def as_stack(p: Value) -> Value:
    """[m, n, b] -> [b, m, n]."""
    m, n, b = p.shape
    return reshaped(p, (1, m, n)) if b == 1 else op("transpose", p, perm=(2, 0, 1))


def padded(x: Value, rows: int, columns: int) -> Value:
    """[b, m, n] -> [b, rows, columns], zeros beyond."""
    _, m, n = x.shape
    if (m, n) == (rows, columns):
        return x
    return op("pad", x, low=(0, 0, 0), high=(0, rows - m, columns - n), interior=(0, 0, 0), value=0)


def padded_square(x: Value, n: int) -> Value:
    """[b, m, m] -> [b, n, n], with ones on the diagonal beyond."""
    m = x.shape[-1]
    wide = padded(x, n, n)
    if m == n:
        return x
    return select(both(on_diagonal(wide), compare("ge", counted(wide, wide.shape, 1), m)), filled(wide, 1), wide)


def cropped(x: Value, m: int, n: int) -> Value:
    """The first m rows and n columns of each matrix."""
    rank = x.type.rank
    if x.shape[-2:] == (m, n):
        return x
    return op("slice", x, start=(0,) * rank, size=(*x.shape[:-2], m, n), step=(1,) * rank)


def part(x: Value, starts: Sequence[Value | int], size: Sequence[int]) -> Value:
    """A window at places that are known only when it runs."""
    return op("dynamic_slice", x, *_places(x, starts), size=tuple(size))


def replaced(x: Value, window: Value, starts: Sequence[Value | int]) -> Value:
    return op("dynamic_update_slice", x, window, *_places(x, starts))


def _places(x: Value, starts: Sequence[Value | int]) -> list[Value]:
    return [s if isinstance(s, Value) else x.builder.constant(np.int64(s)) for s in starts]


def blocks_of(n: int) -> int:
    """How many panels n columns make."""
    return -(-n // BLOCK)


def panels_at_once(columns: int) -> int:
    """How many panels a loop goes through before the matrix, whose extent is fixed in it, is cut: a third of all, or all of few."""
    count = blocks_of(columns)
    return count if count <= FEW_PANELS else -(-count // 3)


def behind(x: Value, rows: int, columns: int) -> Value:
    """Matrices without their first rows and columns."""
    lead = (0,) * (x.type.rank - 2)
    size = (*x.shape[:-2], x.shape[-2] - rows, x.shape[-1] - columns)
    return op("slice", x, start=(*lead, rows, columns), size=size, step=(1,) * x.type.rank)


def in_quarters(top: Value, left: Value, rest: Value) -> Value:
    """[b, m, n] of its first rows [b, k, n], the first columns of the others, and what is left."""
    return op("concatenate", top, op("concatenate", left, rest, axis=2), axis=1)


def loop(trips: int, body: Body, carries: Sequence[Value], consts: Sequence[Value] = (), xs: Sequence[Value] = (),
         reverse: bool = False) -> list[Value]:
    """``body(i, consts, carries, xs)`` for i = 0 ... trips - 1 (or the last first); it gives the carries, then ys."""
    builder = carries[0].builder
    count = builder.emit("iota", (), {"shape": (trips,), "axis": 0, "dtype": i64})
    types = [x.type for x in (*consts, *carries)]
    types += [x.type.with_shape(x.shape[1:]) for x in (*xs, count)]
    split = len(consts), len(consts) + len(carries)

    def trip(*values: Value) -> Sequence[Value]:
        return body(values[-1], values[:split[0]], values[split[0]:split[1]], values[split[1]:-1])

    made = region("trip", types, trip)
    return list(builder.emit("scan", [*consts, *carries, *xs, count], {
        "consts": len(consts), "carries": len(carries), "length": trips, "reverse": reverse}, (made,)))


def repeat_while(condition: Callable[..., Value], body: Callable[..., Sequence[Value]], carries: Sequence[Value]) -> list[Value]:
    """``body(*carries)`` as long as ``condition(*carries)``."""
    types = [x.type for x in carries]
    regions = (region("condition", types, lambda *values: [condition(*values)]), region("trip", types, body))
    return list(carries[0].builder.emit("while_loop", carries, {"consts": 0}, regions))


def truth(x: Value, relation: str, number: float) -> Value:
    out: Value = op(relation, x, filled(x, number))
    assert out.dtype == bool_
    return out
