"""Rows of Cholesky's factor, all rows of a column at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.errors import op_error
from leptonc.ir.kernel import Kernel
from leptonc.ir.kernelbuilder import KernelBuilder
from leptonc.ir.op import Sample, register
from leptonc.ir.types import TensorType
from leptonc.ops.linalg.building import MatrixOp


@register
class elimination(MatrixOp):
    """L^-1 b, L the factor of a [n, n], whose upper triangle is read, b the first n rows of what is given: columns of a symmetric
    matrix become rows of its factor, NaN from the first pivot that is not positive on. For few rows of reals: written out in one
    kernel, whose registers hold all rows of some columns."""

    name, operand_names = "elimination", ("a", "b")

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        a, b = types
        self.matrices(a, square=True)
        self.matrices(b, "b")
        stack = a.shape[:-2]
        if a.dtype.is_complex or a.dtype != b.dtype or b.shape[:len(stack)] != stack or b.shape[-2] < a.shape[-1]:
            raise op_error(self.name, "a must be [..., n, n], b [..., ..., m, k], m >= n, of reals of one dtype", {"a": a, "b": b})
        return b.with_shape((*b.shape[:-2], a.shape[-1], b.shape[-1]))

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        n = arrays[0].shape[-1]
        left, rows = np.array(np.swapaxes(arrays[0], -1, -2)), np.array(arrays[1][..., :n, :])
        lead = (*left.shape[:-2], *(1,) * (rows.ndim - left.ndim))
        with np.errstate(all="ignore"):
            for j in range(n):
                root = np.sqrt(np.where(left[..., j, j] > 0, left[..., j, j], np.nan))
                below = left[..., j + 1:, j] / root[..., None]
                pivot, wide = (x.reshape(*lead, 1) for x in (np.array(left[..., j, j]), root))
                rows[..., j, :] = np.where(rows[..., j, :] == pivot, wide, rows[..., j, :] / wide)
                rows[..., j + 1:, :] -= below.reshape(*lead, n - j - 1, 1) * rows[..., j, None, :]
                left[..., j + 1:, j + 1:] -= below[..., :, None] * below[..., None, :]
        return rows

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        n, columns = types[0].shape[-1], types[1].shape[-1]
        k = KernelBuilder(self.name)
        a, b, out = k.input(types[0]), k.input(types[1]), k.output(self.infer(*types))
        *stack, column = k.axes((*types[1].shape[:-2], columns))
        stage = k.stage([*stack, column])
        own = stack[:types[0].rank - 2]
        left = {(i, j): stage.load(a, (*own, j, i)) for i in range(n) for j in range(i + 1)}
        rows = [stage.load(b, (*stack, j, column)) for j in range(n)]
        for j in range(n):
            root = stage.select(stage.gt(left[j, j], 0), stage.sqrt(left[j, j]), np.nan)
            rows[j] = stage.select(stage.eq(rows[j], left[j, j]), root, stage.div(rows[j], root))  # which may be infinite
            below = {i: stage.div(left[i, j], root) for i in range(j + 1, n)}
            for i in range(j + 1, n):
                rows[i] = stage.sub(rows[i], stage.mul(below[i], rows[j]))
                for other in range(j + 1, i + 1):
                    left[i, other] = stage.sub(left[i, other], stage.mul(below[i], below[other]))
        for j, row in enumerate(rows):
            stage.store(out, (*stack, j, column), row)
        return k.build()

    def samples(self) -> Sequence[Sample]:
        def make(n: int, *right: int, stack: tuple[int, ...] = ()) -> Sample:
            return Sample(lambda rng: [rng.standard_normal((*stack, n, n)) / n + 2 * np.eye(n),
                                       rng.standard_normal((*stack, *right))], {}, False, f"{stack}{n}{right}")

        return [make(3, 3, 2), make(4, 5, 6, 1, stack=(2,)), make(1, 4, 2), make(2, 3, 4, 17)]
