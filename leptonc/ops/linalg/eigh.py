"""Eigenvalues and eigenvectors of symmetric matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.ir.op import Sample, register
from leptonc.ir.types import TensorType
from leptonc.ir.value import Value
from leptonc.ops.linalg.building import (
    BLOCK,
    MatrixOp,
    adjoint,
    as_diagonal,
    blocks_of,
    conjugate,
    cropped,
    divided,
    extent,
    flattened,
    in_field,
    op,
    padded,
    product,
    reshaped,
    scaled_rows,
    select,
    spread,
    zeros,
)
from leptonc.ops.linalg.conquering import conquered
from leptonc.ops.linalg.degenerate import Basis
from leptonc.ops.linalg.jacobi import (
    FEW,
    all_finite,
    eager_signs,
    in_order,
    or_nan,
    order_of,
    power_of_two,
    signs_of_rows,
    window,
)
from leptonc.ops.linalg.lu import permuted
from leptonc.ops.linalg.rotations import diagonalized
from leptonc.ops.linalg.tridiagonal import tridiagonal, turned_back
from leptonc.ops.linalg.unblocked import UNBLOCKED, tridiagonal_of_few, turned_back_of_few


@register
class eigh(MatrixOp):
    """(w, v): eigenvalues of (a + a') / 2, ascending, and eigenvectors as columns, the first of the largest elements positive.

    Of less than eight rows Jacobi's cyclic method, whose angles of at most 45 degrees make it converge (Forsythe and Henrici
    1960), until what is off the diagonal is a rounding error of the whole; of more reduction to a tridiagonal matrix, then divide
    and conquer. NaN for a matrix that holds an infinity or NaN.
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
        """v (diag(gw) + X / (w[j] - w[i])) v', X the part of v' gv that is not symmetric. For complex matrices that is the rule of
        the cotangents' conjugates, ' the adjoint; phases of vectors stay, as in JAX."""
        w, v = y
        inner = None if g[0] is None else in_field(as_diagonal(g[0]), v)
        if g[1] is not None:
            turned = product(conjugate(v), conjugate(g[1]), left=True)
            change = Basis(w, alone=g[0] is None).turn((turned - adjoint(turned)) * 0.5, -1, turned)
            inner = change if inner is None else inner + change
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
        v = adjoint(scaled_rows(signs_of_rows(rows), rows))
        w, v = or_nan(finite, w, v)
        return reshaped(w, a.shape[:-1]), reshaped(v, a.shape)

    def samples(self) -> Sequence[Sample]:
        def make(*shape: int) -> Sample:
            def arrays(rng: np.random.Generator) -> list[np.ndarray]:
                return [rng.standard_normal(shape) + 3 * np.diag(np.arange(shape[-1]))]

            return Sample(arrays, {}, True, str(shape))

        nan = Sample(lambda rng: [np.stack([np.array([[1.0, np.nan], [0.0, 1.0]]), np.diag([2.0, 1.0])])], {}, False, "nan")
        return [make(3, 3), make(2, 4, 4), make(0, 0), nan]


def _diagonalized(a: Value) -> tuple[Value, Value]:
    """Eigenvalues [b, n], ascending, and eigenvectors, adjoint, as rows [b, n, n], of finite Hermitian a [b, n, n]."""
    n = a.shape[-1]
    if n >= FEW:
        scale = power_of_two(op("reduce_max", extent(a), axes=(1, 2)))
        w, rows = (_by_panels if n > UNBLOCKED else _one_by_one)(divided(a, spread(scale, a.shape, 0)))
        return w * spread(scale, w.shape, 0), rows
    w, rows = diagonalized(a)
    order = order_of(w)
    return in_order(w, order), permuted(rows, order)


def _by_panels(a: Value) -> tuple[Value, Value]:
    """By way of a tridiagonal matrix, whose padding is behind all else."""
    n = a.shape[-1]
    size = blocks_of(n) * BLOCK
    main, beside, steps = tridiagonal(padded(a, size, size))
    w, rows = conquered(window(main, 1, 0, n), window(beside, 1, 0, n), n)
    return w, cropped(turned_back(padded(rows, n, size), steps), n, n)


def _one_by_one(a: Value) -> tuple[Value, Value]:
    """The same of few rows, one after the other."""
    main, beside, reflections = tridiagonal_of_few(a)
    w, rows = conquered(main, beside, a.shape[-1], leaf=FEW // 2)
    return w, turned_back_of_few(rows, reflections)
