"""What all elements up to each one make along an axis: sums, products, extremes, logarithms of sums of exponentials."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from leptonc.errors import DtypeError, op_error
from leptonc.ir.batching import BatchAxis
from leptonc.ir.differentiation import Differentiation
from leptonc.ir.graph import Graph
from leptonc.ir.kernel import Kernel, Param
from leptonc.ir.op import Op, Sample, get_op, register
from leptonc.ir.policies import saved_values
from leptonc.ir.prefix import Prefix, accumulated, doubled, neutral
from leptonc.ir.types import TensorType
from leptonc.ir.value import Value
from leptonc.ops.regions import region


class Cumulative(Op):
    """All elements of a row up to each one (from it on, with ``reverse``), joined by ``join`` of ``ir/prefix.py``."""

    join = ""

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x = types[0]
        if not 0 <= attrs["axis"] < x.rank:
            raise op_error(self.name, f"axis {attrs['axis']} is outside x", {"x": x})
        if not self.takes(x):
            raise op_error(self.name, f"does not take {x.dtype}", {"x": x}, kind=DtypeError)
        return x

    def takes(self, x: TensorType) -> bool:
        return not x.dtype.is_complex

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        return accumulated(self.join, np.asarray(arrays[0]), attrs["axis"], attrs["reverse"])

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        axis, shape = attrs["axis"], types[0].shape
        rows = types[0].with_shape((prod(shape[:axis]), shape[axis], prod(shape[axis + 1:])))
        return Prefix(self.name, (Param("a0", rows), Param("r0", rows, "out")), (), (), (), self.join, attrs["reverse"])

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        return self(*operands, axis=attrs["axis"] + 1, reverse=attrs["reverse"])

    def samples(self) -> Sequence[Sample]:
        def make(shape: tuple[int, ...], axis: int, reverse: bool) -> Sample:
            return Sample(lambda rng: [rng.standard_normal(shape)], {"axis": axis, "reverse": reverse}, True,
                          f"{shape}{axis}{reverse}")

        return [make((17,), 0, False), make((17,), 0, True), make((3, 5), 1, False), make((3, 5), 0, True), make((1,), 0, False),
                make((0, 2), 0, False)]


@register
class cumsum(Cumulative):
    name, join, componentwise = "cumsum", "add", True

    def takes(self, x: TensorType) -> bool:
        return not x.dtype.is_bool

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (self(g, axis=attrs["axis"], reverse=not attrs["reverse"]),)


class Doubling(Cumulative):
    """Differentiated as log2(n) joins with itself, shifted (Hillis and Steele 1986): they divide by nothing, ties share."""

    pair = ""  # the op of two operands

    def jvp(self, autodiff: Differentiation, tangents: tuple[Value | None, ...], /, *operands: Value,
            **attrs: Any) -> tuple[Sequence[Value], Sequence[Value | None]]:
        out, (x,) = self(*operands, **attrs), operands
        if tangents[0] is None or not x.dtype.is_float:
            return [out], [None]
        *_, tangent = x.builder.inline(autodiff.forward(self._doubled(x.type, attrs), [0]), [x, tangents[0]])
        return [out], [tangent]

    def forward_pass(self, autodiff: Differentiation, varied: tuple[bool, ...], /, *operands: Value,
                     **attrs: Any) -> tuple[Sequence[Value], Any]:
        return [self(*operands, **attrs)], None

    def backward_pass(self, autodiff: Differentiation, saved: Any, g: tuple[Value | None, ...], /, *operands: Value,
                      **attrs: Any) -> Sequence[Value | None]:
        (x,) = operands
        if g[0] is None:
            return [None]
        split = autodiff.split(self._doubled(x.type, attrs), [0], partial(saved_values, "everything"))
        _, *kept = x.builder.inline(split.forward, [x])
        return x.builder.inline(split.backward, [*([x] if split.needed else []), *kept, g[0]])

    def _doubled(self, x: TensorType, attrs: dict[str, Any]) -> Graph:
        edges = {"interior": (0,) * x.rank, "value": neutral(self.join, x.dtype)}

        def shifted(v: Value, low: tuple[int, ...], high: tuple[int, ...]) -> Value:
            return get_op("pad")(v, low=low, high=high, **edges)

        return region(self.name, [x], lambda v: [doubled(v, attrs["axis"], attrs["reverse"], get_op(self.pair), shifted)])


@register
class cumprod(Doubling):
    name, join, pair = "cumprod", "mul", "mul"


@register
class cummax(Doubling):
    name, join, pair = "cummax", "max", "max"


@register
class cummin(Doubling):
    name, join, pair = "cummin", "min", "min"


@register
class cumlogsumexp(Doubling):
    name, join, pair = "cumlogsumexp", "logaddexp", "logaddexp"

    def takes(self, x: TensorType) -> bool:
        return x.dtype.is_float
