"""Eigenvalues and eigenvectors of tridiagonal symmetric matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.errors import op_error
from leptonc.ir.op import Sample, get_op, register
from leptonc.ir.types import TensorType
from leptonc.ir.value import Value
from leptonc.ops.linalg.building import (
    MatrixOp,
    behind,
    cropped,
    diagonal,
    divided,
    flattened,
    op,
    reshaped,
    scaled_rows,
    select,
    spread,
    swapped,
    zeros,
)
from leptonc.ops.linalg.conquering import conquered
from leptonc.ops.linalg.jacobi import all_finite, eager_signs, or_nan, power_of_two, signs_of_rows


@register
class eigh_tridiagonal(MatrixOp):
    """(w, v): eigenvalues, ascending, and eigenvectors as columns, the first of the largest elements positive, of real symmetric
    matrices with the diagonal d [..., n] and e [..., n - 1] beside it. NaN for what holds an infinity or NaN."""

    name, operand_names, results = "eigh_tridiagonal", ("d", "e"), 2

    def infer(self, *types: TensorType, **attrs: Any) -> tuple[TensorType, ...]:
        d, e = types
        if not d.rank or not d.dtype.is_float or e != d.with_shape((*d.shape[:-1], max(d.shape[-1] - 1, 0))):
            raise op_error(self.name, "d must be [..., n] and e [..., n - 1], of one dtype of floats", {"d": d, "e": e})
        return d, d.with_shape((*d.shape, d.shape[-1]))

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> tuple[np.ndarray, ...]:
        d, e = map(np.asarray, arrays)
        n = d.shape[-1]
        finite = np.isfinite(d).all(-1) & np.isfinite(e).all(-1)
        whole = np.zeros((*d.shape, n), d.dtype)
        place = np.arange(n - 1)
        whole[..., range(n), range(n)] = np.where(finite[..., None], d, 0)
        whole[..., place + 1, place] = np.where(finite[..., None], e, 0)
        w, v = np.linalg.eigh(whole)
        if v.size:
            v = v * np.swapaxes(eager_signs(np.swapaxes(v, -1, -2)), -1, -2)
        return (np.where(finite[..., None], w, np.nan).astype(d.dtype),
                np.where(finite[..., None, None], v, np.nan).astype(d.dtype))

    def vjp(self, g: Any, y: Any, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """The diagonals of the derivative by the whole matrix."""
        n = operands[0].shape[-1]
        (whole,) = get_op("eigh").vjp(g, y, operands[0])
        assert whole is not None
        if n < 2:
            return diagonal(whole) if n else reshaped(whole, operands[0].shape), zeros(operands[1], operands[1].shape)
        beside = diagonal(cropped(behind(whole, 1, 0), n - 1, n - 1)) + diagonal(cropped(behind(whole, 0, 1), n - 1, n - 1))
        return diagonal(whole), beside

    def expand(self, *operands: Value, **attrs: Any) -> tuple[Value, ...]:
        d, e = operands
        n = d.shape[-1]
        if not d.type.size:
            return d, zeros(d, (*d.shape, n))
        d, e = flattened(d, 1), flattened(e, 1)
        both = op("concatenate", d, e, zeros(d, (d.shape[0], 1)), axis=1)
        finite = all_finite(both)
        both = select(spread(finite, both.shape, 0), both, 0)
        scale = power_of_two(op("reduce_max", op("abs", both), axes=(1,)))
        lines = divided(both, spread(scale, both.shape, 0))
        b = lines.shape[0]
        main, beside = (op("slice", lines, start=(0, at), size=(b, n), step=(1, 1)) for at in (0, n))
        w, rows = conquered(main, beside, n)
        v = swapped(scaled_rows(signs_of_rows(rows), rows))
        w, v = or_nan(finite, w * spread(scale, w.shape, 0), v)
        return reshaped(w, operands[0].shape), reshaped(v, (*operands[0].shape, n))

    def samples(self) -> Sequence[Sample]:
        def make(*shape: int) -> Sample:
            def arrays(rng: np.random.Generator) -> list[np.ndarray]:
                beside = rng.standard_normal((*shape[:-1], max(shape[-1] - 1, 0)))
                return [rng.standard_normal(shape) + 3 * np.arange(shape[-1]), beside]

            return Sample(arrays, {}, True, str(shape))

        nan = Sample(lambda rng: [np.array([[1.0, 2], [1, 5]]), np.array([[np.nan], [1]])], {}, False, "nan")
        return [make(4), make(2, 3), make(1), make(0), nan]
