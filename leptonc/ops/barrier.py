"""Values that are there no sooner than others: recomputation waits behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.errors import op_error
from leptonc.ir.batching import BatchAxis
from leptonc.ir.kernel import Kernel
from leptonc.ir.kernelbuilder import KernelBuilder
from leptonc.ir.op import Op, Sample, get_op, register
from leptonc.ir.types import TensorType, bool_, f32
from leptonc.ir.value import Value


@register
class barrier_token(Op):
    """true, when x is there; if x has no elements, at once."""

    name = "barrier_token"
    stores = True

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        return TensorType((), bool_)

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        return np.array(True)

    def vjp(self, g: Any, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (None,)

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        """Whether its first element is one number or another: code generation knows nothing of it that would make it a constant."""
        k = KernelBuilder(self.name)
        x, out = k.input(types[0]), k.output(TensorType((), bool_))
        stage = k.stage([])
        if not types[0].size:
            stage.store(out, [], stage.const(True, bool_))
            return k.build()
        first = stage.load(x, [0] * types[0].rank)
        first = stage.cast(first, f32) if types[0].dtype.is_narrow else first
        zero = stage.const(0, first.dtype)
        stage.store(out, [], stage.or_(stage.eq(first, zero), stage.ne(first, zero)))
        return k.build()

    def in_parts(self, *operands: Any, **attrs: Any) -> Any:
        return self(operands[0].re)

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        return axis.broadcast(self(operands[0]))

    def samples(self) -> Sequence[Sample]:
        nan = Sample(lambda rng: [np.array([[np.nan, 1]])], {}, False, "nan")
        return [Sample(lambda rng: [rng.standard_normal(3)], {}, False), nan]


@register
class barrier(Op):
    """x, when ``token`` is there: a copy that no pass takes for x, and that is made no sooner."""

    name, operand_names = "barrier", ("x", "token")
    stores = True

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x, token = types
        if token != TensorType((), bool_):
            raise op_error(self.name, "token must be bool[]", {"x": x, "token": token})
        return x

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        return np.where(arrays[1], arrays[0], np.zeros((), arrays[0].dtype))

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return self(g, operands[1]), None

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        k = KernelBuilder(self.name)
        x, token, out = k.input(types[0]), k.input(types[1]), k.output(types[0])
        axes = k.axes(types[0].shape)
        stage = k.stage(axes)
        stage.store(out, axes, stage.select(stage.load(token, []), stage.load(x, axes), stage.const(0, types[0].dtype)))
        return k.build()

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        if not batched[1]:
            return self(*operands)
        x, tokens = axis.front(batched, operands)
        wide = get_op("broadcast")(tokens, shape=x.shape, dims=(0,))
        return get_op("select")(wide, x, x.builder.full(x.type, 0))

    def samples(self) -> Sequence[Sample]:
        def make(shape: tuple[int, ...]) -> Sample:
            return Sample(lambda rng: [rng.standard_normal(shape), np.array(True)], {}, True, str(shape))

        return [make(s) for s in ((), (5,), (2, 0), (3, 67))]
