"""Determinants and adjugates by LU factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.errors import op_error
from leptonc.ir.op import Sample, get_op, register
from leptonc.ir.types import TensorType, i32
from leptonc.ir.value import Value
from leptonc.ops.linalg.building import (
    MatrixOp,
    counted,
    diagonal,
    extent,
    filled,
    identity,
    in_field,
    op,
    product,
    real,
    select,
    size,
    spread,
    swapped,
    zeros,
)
from leptonc.ops.linalg.lu import permuted


class OfFactors(MatrixOp):
    """An op of a and its ``lu``, by which it is computed. The factors have no derivative of their own: so a's is a formula, and
    nothing is factored twice."""

    operand_names = ("a", "factors", "pivots", "permutation")

    def check(self, types: Sequence[TensorType]) -> None:
        a, factors, pivots, permutation = types
        self.matrices(a, square=True)
        order = TensorType(a.shape[:-1], i32)
        if factors != a or pivots != order or permutation != order:
            raise op_error(self.name, "a must be [..., n, n] with its factors", dict(zip(self.operand_names, types)))

    def samples(self) -> Sequence[Sample]:
        def make(*shape: int) -> Sample:
            def arrays(rng: np.random.Generator) -> list[np.ndarray]:
                x = rng.permuted(rng.standard_normal(shape) + 4 * np.eye(shape[-1]), axis=-2)
                return [x, *get_op("lu").eager(x)]

            return Sample(arrays, {}, False, str(shape))

        return [make(5, 5), make(0, 0)]


def _transposed_inverse(a: Value, factors: Value, permutation: Value) -> Value:
    return op("lu_solve", a, factors, permutation, identity(a, a.shape[-1]), transpose=True)


def _parity(pivots: Value, like: Value) -> Value:
    """-1 where the rows were swapped an odd number of times, else 1."""
    moved = op("ne", pivots, counted(pivots, pivots.shape, pivots.type.rank - 1))
    count = op("sum", op("cast", moved, dtype=i32), axes=(pivots.type.rank - 1,))
    count = op("cast", count, dtype=i32)
    odd = op("eq", op("mod", count, filled(count, 2)), filled(count, 1))
    one = filled(zeros(like, pivots.shape[:-1]), 1)
    return select(odd, -one, one)


def _eager_parity(pivots: np.ndarray, dtype: Any) -> np.ndarray:
    odd = np.count_nonzero(pivots != np.arange(pivots.shape[-1]), axis=-1) % 2
    return np.asarray(1 - 2 * np.asarray(odd)).astype(dtype)


@register
class lu_det(OfFactors):
    """The determinant; its derivative is the adjugate, of singular matrices as well."""

    name = "lu_det"

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        self.check(types)
        return types[0].with_shape(types[0].shape[:-2])

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        factors, pivots = arrays[1], arrays[2]
        with np.errstate(all="ignore"):
            return np.asarray(np.prod(np.diagonal(factors, axis1=-2, axis2=-1), axis=-1) * _eager_parity(pivots, factors.dtype))

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        adjugate = swapped(get_op("lu_adjugate")(*operands))
        return spread(g, adjugate.shape, *range(g.type.rank)) * adjugate, None, None, None

    def expand(self, *operands: Value, **attrs: Any) -> Value:
        _, factors, pivots, _ = operands
        if not factors.type.size:
            return filled(zeros(factors, factors.shape[:-2]), 1)
        pivot = diagonal(factors)
        return op("prod", pivot, axes=(pivot.type.rank - 1,)) * _parity(pivots, factors)


@register
class lu_adjugate(OfFactors):
    """det(a) a^-1, also of matrices of rank n - 1; of less than that it is 0.

    JAX's way: the last pivot of U, which may be 0, is kept out of the division; what it divided is scaled by the others' product.
    """

    name = "lu_adjugate"

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        self.check(types)
        return types[0]

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        a, factors, pivots, permutation = map(np.asarray, arrays)
        n = a.shape[-1]
        if n < 2 or not a.size:
            return np.ones_like(a)
        solve, lu = get_op("triangular_solve").eager, factors.copy()
        with np.errstate(all="ignore"):
            partial = np.cumprod(np.diagonal(lu, axis1=-2, axis2=-1), -1) * _eager_parity(pivots, a.dtype)[..., None]
            lu[..., -1, -1] = 1 / partial[..., -2]
            whole = np.broadcast_to(np.eye(n, dtype=a.dtype), a.shape)
            reached = solve(lu, np.ones((*a.shape[:-1], 1), a.dtype), lower=False, transpose=False, unit=False)
            x = np.take_along_axis(whole, np.broadcast_to(np.clip(permutation, -n, n - 1)[..., None] % n, a.shape), -2)
            x = solve(lu, x, lower=True, transpose=False, unit=True)
            x[..., :-1, :] *= partial[..., -1, None, None]
            x = solve(lu, x, lower=False, transpose=False, unit=False)
        return np.where(np.isfinite(reached).all((-2, -1))[..., None, None], x, 0).astype(a.dtype)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """<g, X> Y' - X' g Y' with X the inverse: of regular matrices."""
        turned = _transposed_inverse(operands[0], operands[1], operands[3])
        rank = y.type.rank
        total = op("sum", g * swapped(turned), axes=(rank - 2, rank - 1))
        first = spread(total, y.shape, *range(rank - 2)) * swapped(y)
        return first - product(product(turned, g), y, right=True), None, None, None

    def expand(self, *operands: Value, **attrs: Any) -> Value:
        a, factors, pivots, permutation = operands
        n, rank = a.shape[-1], a.type.rank
        if n < 2 or not a.type.size:
            return filled(a, 1)
        solve = get_op("triangular_solve")
        pivot = diagonal(factors)
        sign = _parity(pivots, factors)
        before = op("slice", pivot, start=(0,) * (rank - 1), size=(*pivot.shape[:-1], n - 1), step=(1,) * (rank - 1))
        partial = op("prod", before, axes=(rank - 2,)) * sign
        whole = op("prod", pivot, axes=(rank - 2,)) * sign
        row, column = counted(a, a.shape, rank - 2), counted(a, a.shape, rank - 1)
        last = op("eq", row, filled(row, n - 1))
        corner = op("and", last, op("eq", column, filled(column, n - 1)))
        lu = select(corner, spread(1 / partial, a.shape, *range(rank - 2)), factors)
        ones = filled(zeros(a, (*a.shape[:-1], 1)), 1)
        reached = solve(lu, ones, lower=False, transpose=False, unit=False)
        finite = op("all", op("lt", extent(reached), filled(real(reached), np.inf)), axes=(rank - 2, rank - 1))
        x = solve(lu, permuted(identity(a, n), permutation), lower=True, transpose=False, unit=True)
        x = select(last, x, x * spread(whole, a.shape, *range(rank - 2)))
        x = solve(lu, x, lower=False, transpose=False, unit=False)
        return select(spread(finite, a.shape, *range(rank - 2)), x, 0)


@register
class lu_slogdet(OfFactors):
    """(sign, log of the size) of the determinant; the derivative of the log is the transposed inverse."""

    name, results = "lu_slogdet", 2

    def infer(self, *types: TensorType, **attrs: Any) -> tuple[TensorType, ...]:
        self.check(types)
        out = types[0].with_shape(types[0].shape[:-2])
        return out, out.with_dtype(out.dtype.real)

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> tuple[np.ndarray, ...]:
        pivot = np.diagonal(arrays[1], axis1=-2, axis2=-1)
        with np.errstate(all="ignore"):
            sign = np.prod(np.sign(pivot), axis=-1, dtype=pivot.dtype) * _eager_parity(arrays[2], pivot.dtype)
            return np.asarray(sign), np.asarray(np.sum(np.log(np.abs(pivot)), axis=-1))

    def vjp(self, g: Any, y: Any, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        sign, moves = y[0], y[0].dtype.is_complex and g[0] is not None
        if g[1] is None and not moves:
            return (None,) * 4
        factor = None if g[1] is None else in_field(g[1], sign)
        if moves:  # sign i Im(trace(inverse of a times its change))
            across = op("imag", g[0] * sign)
            turn = op("complex", filled(across, 0), across)
            factor = turn if factor is None else factor + turn
        assert factor is not None
        turned = _transposed_inverse(operands[0], operands[1], operands[3])
        return spread(factor, turned.shape, *range(factor.type.rank)) * turned, None, None, None

    def expand(self, *operands: Value, **attrs: Any) -> tuple[Value, ...]:
        _, factors, pivots, _ = operands
        if not factors.type.size:
            empty = zeros(factors, factors.shape[:-2])
            return filled(empty, 1), real(empty)
        pivot = diagonal(factors)
        last = (pivot.type.rank - 1,)
        sign = op("prod", op("sign", pivot), axes=last) * _parity(pivots, factors)
        return sign, op("sum", op("log", size(pivot)), axes=last)


