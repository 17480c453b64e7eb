"""The bits of floats as signed integers of the same width, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.errors import DtypeError
from leptonc.ir.op import Sample, register
from leptonc.ir.scalar import NUMPY, bits_dtype
from leptonc.ir.types import DTYPES, DType, TensorType
from leptonc.ir.value import Value
from leptonc.ops.elementwise import FLOATS, SPECIAL, Elementwise


class Reinterpretation(Elementwise):
    """Its derivative is zero, as that of whatever is piecewise constant."""

    stores = True

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (None,)


@register
class to_bits(Reinterpretation):
    name, kinds = "to_bits", FLOATS

    def result_dtype(self, source: DType, **attrs: Any) -> DType:
        return bits_dtype(source)

    def samples(self) -> Sequence[Sample]:
        return [Sample(lambda rng: [np.concatenate([SPECIAL, rng.standard_normal(20)])], differentiable=False),
                Sample(lambda rng: [rng.standard_normal((2, 3)).astype(np.float16)], differentiable=False, name="f16")]


@register
class from_bits(Reinterpretation):
    """``dtype``: the float, as wide as the integers."""

    name, kinds = "from_bits", "i"

    def body(self, s: Any, x: Any, dtype: DType) -> Any:
        return s.from_bits(x, dtype)

    def result_dtype(self, source: DType, **attrs: Any) -> DType:
        dtype: DType = attrs["dtype"]
        return dtype

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        if types[0].dtype.bits != attrs["dtype"].bits:
            raise self.fault(f"integers as wide as {attrs['dtype']} only", types, DtypeError)
        return super().infer(*types, **attrs)

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        return np.asarray(arrays[0]).view(attrs["dtype"].numpy)

    def samples(self) -> Sequence[Sample]:
        def bits(name: str) -> Sample:
            dtype = DTYPES[name]
            whole = bits_dtype(dtype).numpy
            return Sample(lambda rng: [NUMPY.cast(rng.standard_normal(20), dtype).view(whole)], {"dtype": dtype}, False, name)

        return [bits("f32"), bits("f64"), bits("f16")]
