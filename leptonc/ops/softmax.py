"""Softmax, log-softmax and logsumexp along an axis, defined by other ops so that fusion sees through them.

The greatest element is taken off before exp, so logits of ±1e4 are safe. A row of all -inf has logsumexp -inf and softmax
NaN; a +inf makes the row's softmax NaN, as in JAX.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.errors import DtypeError, op_error
from leptonc.ir.batching import BatchAxis
from leptonc.ir.op import Op, Sample, get_op, register
from leptonc.ir.types import TensorType, dtype_of
from leptonc.ir.value import Value


def _spread(x: Value, like: Value, axis: int) -> Value:
    dims = tuple(d for d in range(like.type.rank) if d != axis)
    return get_op("broadcast")(x, shape=like.shape, dims=dims)


def _greatest(x: Value, axis: int) -> Value:
    """The maximum along the axis."""
    return get_op("stop_gradient")(get_op("reduce_max")(x, axes=(axis,)))


def _shift(x: Value, axis: int) -> Value:
    """The maximum along the axis where it is finite, else 0: no inf - inf."""
    top = _greatest(x, axis)
    full = x.builder.full
    finite = get_op("lt")(get_op("abs")(top), full(top.type, np.inf))
    return get_op("select")(finite, top, full(top.type, 0))


def _eager_shift(x: np.ndarray, axis: int) -> np.ndarray:
    top = np.max(x, axis, keepdims=True)
    return np.where(np.isfinite(top), top, 0).astype(x.dtype)


class AlongAxis(Op):
    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x, axis = types[0], attrs["axis"]
        if not 0 <= axis < x.rank:
            raise op_error(self.name, f"axis {axis} is outside x", {"x": x})
        if not x.dtype.is_float:
            raise op_error(self.name, "takes floats", {"x": x}, kind=DtypeError)
        if not x.shape[axis]:
            raise op_error(self.name, "the axis is empty", {"x": x})
        return x

    def checked(self, x: Any, axis: int) -> np.ndarray:
        x = np.asarray(x)
        self.infer(TensorType(x.shape, dtype_of(x.dtype)), axis=axis)
        return x

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        return self(*operands, axis=attrs["axis"] + 1)

    def samples(self) -> Sequence[Sample]:
        def make(shape: tuple[int, ...], axis: int) -> Sample:
            return Sample(lambda rng: [rng.standard_normal(shape)], {"axis": axis}, True, f"{shape}{axis}")

        huge = Sample(lambda rng: [np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]])], {"axis": 1}, False, "huge")
        infinite = Sample(lambda rng: [np.array([[-np.inf, 0.0, 1.0], [-np.inf] * 3, [np.inf, 0, 1], [np.nan, 0, 1]])],
                          {"axis": 1}, False, "infinite")
        return [make((7,), 0), make((3, 67), 1), make((3, 5), 0), make((4, 1), 1), make((0, 3), 1), make((2, 3, 4), 1), huge,
                infinite]


@register
class softmax(AlongAxis):
    name = "softmax"

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x, axis = self.checked(arrays[0], attrs["axis"]), attrs["axis"]
        with np.errstate(all="ignore"):
            e = np.exp(x - np.max(x, axis, keepdims=True))
            return np.asarray(e / np.sum(e, axis, keepdims=True))

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        axis = attrs["axis"]
        return (y * (g - _spread(get_op("sum")(g * y, axes=(axis,)), y, axis)),)

    def expand(self, *operands: Value, **attrs: Any) -> Value:
        x, axis = operands[0], attrs["axis"]
        e: Value = get_op("exp")(x - _spread(_greatest(x, axis), x, axis))
        return e / _spread(get_op("sum")(e, axes=(axis,)), x, axis)


@register
class log_softmax(AlongAxis):
    name = "log_softmax"

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x, axis = self.checked(arrays[0], attrs["axis"]), attrs["axis"]
        with np.errstate(all="ignore"):
            shifted = x - np.max(x, axis, keepdims=True)
            return np.asarray(shifted - np.log(np.sum(np.exp(shifted), axis, keepdims=True)))

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        axis = attrs["axis"]
        total = _spread(get_op("sum")(g, axes=(axis,)), y, axis)
        return (g - get_op("exp")(y) * total,)

    def expand(self, *operands: Value, **attrs: Any) -> Value:
        x, axis = operands[0], attrs["axis"]
        shifted = x - _spread(_greatest(x, axis), x, axis)
        total = get_op("log")(get_op("sum")(get_op("exp")(shifted), axes=(axis,)))
        return shifted - _spread(total, x, axis)


@register
class logsumexp(AlongAxis):
    """log(sum(exp(x))) along the axis, which vanishes."""

    name = "logsumexp"

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x, axis = super().infer(*types, **attrs), attrs["axis"]
        return x.with_shape((*x.shape[:axis], *x.shape[axis + 1:]))

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x, axis = self.checked(arrays[0], attrs["axis"]), attrs["axis"]
        with np.errstate(all="ignore"):
            shift = _eager_shift(x, axis)
            return np.asarray(np.log(np.sum(np.exp(x - shift), axis)) + np.squeeze(shift, axis))

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """Of softmax's shares, 0 beside an infinity."""
        x, axis = operands[0], attrs["axis"]
        e: Value = get_op("exp")(x - _spread(_shift(x, axis), x, axis))
        return (_spread(g, x, axis) * (e / _spread(get_op("sum")(e, axes=(axis,)), x, axis)),)

    def expand(self, *operands: Value, **attrs: Any) -> Value:
        x, axis = operands[0], attrs["axis"]
        shift = _shift(x, axis)
        e = get_op("exp")(x - _spread(shift, x, axis))
        return get_op("log")(get_op("sum")(e, axes=(axis,))) + shift
