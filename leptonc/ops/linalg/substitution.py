"""Triangular systems of few rows, all rows of a column at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.errors import DtypeError, op_error
from leptonc.ir.kernel import Kernel
from leptonc.ir.kernelbuilder import KernelBuilder, Scalar
from leptonc.ir.op import Sample, get_op, register
from leptonc.ir.types import TensorType
from leptonc.ir.value import Value
from leptonc.ops.linalg.building import MatrixOp


@register
class substitution(MatrixOp):
    """``triangular_solve`` of few rows, of reals: written out in one kernel, whose registers hold all rows of some columns. Longer
    systems are made of it."""

    name, operand_names = "substitution", ("a", "b")

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        if types[0].dtype.is_complex:
            raise op_error(self.name, "of real numbers only", {"a": types[0]}, "", DtypeError)
        out = get_op("triangular_solve").infer(*types, **attrs)
        assert isinstance(out, TensorType)
        return out

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        out: np.ndarray = get_op("triangular_solve").eager(*arrays, **attrs)
        return out

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return get_op("triangular_solve").vjp(g, y, *operands, **attrs)

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        n, columns = types[1].shape[-2:]
        k = KernelBuilder(self.name)
        a, b, out = k.input(types[0]), k.input(types[1]), k.output(types[1])
        *stack, column = k.axes((*types[1].shape[:-2], columns))
        stage = k.stage([*stack, column])

        def element(i: int, j: int) -> Scalar:
            return stage.load(a, (*stack, j, i) if attrs["transpose"] else (*stack, i, j))

        rows = [stage.load(b, (*stack, j, column)) for j in range(n)]
        order = range(n) if attrs["lower"] != attrs["transpose"] else range(n - 1, -1, -1)
        for place, j in enumerate(order):
            rows[j] = rows[j] if attrs["unit"] else stage.div(rows[j], element(j, j))
            for i in order[place + 1:]:
                rows[i] = stage.sub(rows[i], stage.mul(element(i, j), rows[j]))
        for j, row in enumerate(rows):
            stage.store(out, (*stack, j, column), row)
        return k.build()

    def samples(self) -> Sequence[Sample]:
        def make(a: tuple[int, ...], columns: int, lower: bool, transpose: bool = False, unit: bool = False) -> Sample:
            attrs = {"lower": lower, "transpose": transpose, "unit": unit}
            return Sample(lambda rng: [rng.standard_normal(a) / a[-1] + 2 * np.eye(a[-1]), rng.standard_normal((*a[:-1], columns))],
                          attrs, True, f"{a}{columns}{lower}{transpose}{unit}")

        return [make((3, 3), 2, True), make((2, 4, 4), 1, False, True), make((2, 3, 3), 2, True, True, True),
                make((1, 1), 2, False)]
