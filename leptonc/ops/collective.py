"""Collectives: sums, extremes and gathers over the examples of a batch axis that has a name.

``axis_name`` and ``axis_size`` are the axis's. Batching along it takes them out of the graph; along other axes they stay. Until
then an operand is that of one example, and what no batched input reaches is the same for all of them: so the eager meaning of
``psum`` is ``axis_size * x``. What an example's place on the axis decides takes that place as an operand, ``index``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.errors import DtypeError, op_error
from leptonc.ir.batching import BatchAxis, Unbatched
from leptonc.ir.op import Op, Sample, get_op, register
from leptonc.ir.types import TensorType, dtype_of
from leptonc.ir.value import Value

EXAMPLE: dict[str, Any] = {"axis_name": "i", "axis_size": 3}


def _times(x: Value, n: int) -> Value:
    """n * x, wrapping around as integers do."""
    return x * np.asarray(n).astype(x.dtype.numpy)


class Reduced(Op):
    """One number for all examples from theirs, element by element; ``reduction`` is the op that folds them."""

    reduction = ""

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        if types[0].dtype.is_bool:
            raise op_error(self.name, "does not take bool", {"x": types[0]}, "cast it", DtypeError)
        return types[0]

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        if attrs["axis_name"] != axis.name:
            return self(*operands, **attrs)
        return Unbatched(get_op(self.reduction)(*operands, axes=(0,)) if batched[0] else self.expand(*operands, **attrs))

    def samples(self) -> Sequence[Sample]:
        def make(shape: tuple[int, ...]) -> Sample:
            return Sample(lambda rng: [np.asarray(rng.standard_normal(shape))], EXAMPLE, True, str(shape))

        return [make(()), make((2, 3)), Sample(lambda rng: [rng.integers(-9, 9, 5)], EXAMPLE, False, "ints")]


@register
class psum(Reduced):
    name, reduction = "psum", "sum"

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x = np.asarray(arrays[0])
        return np.asarray(x * np.asarray(attrs["axis_size"]).astype(x.dtype))

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """Each example reaches the sums of all of them."""
        return (self(g, **attrs),)

    def expand(self, *operands: Value, **attrs: Any) -> Value:
        return _times(operands[0], attrs["axis_size"])


class Extreme(Reduced):
    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        return np.array(arrays[0])

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """Shared equally among equal extremes."""
        hit = get_op("cast")(get_op("eq")(operands[0], y), dtype=y.dtype)
        return (hit * (get_op("psum")(g, **attrs) / get_op("psum")(hit, **attrs)),)

    def expand(self, *operands: Value, **attrs: Any) -> Value:
        return operands[0]


@register
class pmax(Extreme):
    name, reduction = "pmax", "reduce_max"


@register
class pmin(Extreme):
    name, reduction = "pmin", "reduce_min"


class Placed(Op):
    """``axis`` is a dimension along which the examples lie, ``index`` the example's place there."""

    operand_names = ("x", "index")

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        if attrs["axis_name"] == axis.name:
            return self.along(axis, batched[0], operands[0], attrs["axis"])
        if batched[1]:  # places of another axis are the same for all examples of this one, unless somebody made them up
            return super().batch(axis, batched, *operands, **attrs)
        return self(*operands, **{**attrs, "axis": attrs["axis"] + 1})

    def along(self, axis: BatchAxis, batched: bool, x: Value, at: int) -> Any:
        """Batched along its own axis."""
        raise NotImplementedError


def _placed_sample(shape: tuple[int, ...], axis: int) -> Sample:
    """Not differentiable: cotangents are those of one example, no derivatives of the eager meaning, in which all are one."""
    return Sample(lambda rng: [np.asarray(rng.standard_normal(shape)), np.asarray(1, "int32")], {**EXAMPLE, "axis": axis}, False,
                  f"{shape}{axis}")


@register
class all_gather(Placed):
    """The x of all examples, stacked along a new ``axis``."""

    name = "all_gather"
    stores = True

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x, at = types[0], attrs["axis"]
        if not 0 <= at <= x.rank:
            raise op_error("all_gather", f"the result has no axis {at}", {"x": x})
        return x.with_shape((*x.shape[:at], attrs["axis_size"], *x.shape[at:]))

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x, at = np.asarray(arrays[0]), attrs["axis"]
        return np.repeat(np.expand_dims(x, at), attrs["axis_size"], at)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return get_op("psum_scatter")(g, operands[1], **attrs), None

    def expand(self, *operands: Value, **attrs: Any) -> Value:
        x, at, n = operands[0], attrs["axis"], attrs["axis_size"]
        dims = tuple(d + (d >= at) for d in range(x.type.rank))
        return get_op("broadcast")(x, shape=(*x.shape[:at], n, *x.shape[at:]), dims=dims)

    def along(self, axis: BatchAxis, batched: bool, x: Value, at: int) -> Any:
        if not batched:
            return Unbatched(self.expand(x, axis=at, axis_size=axis.size))
        return Unbatched(get_op("transpose")(x, perm=(*range(1, at + 1), 0, *range(at + 1, x.type.rank))))

    def samples(self) -> Sequence[Sample]:
        return [_placed_sample(*case) for case in (((), 0), ((2, 4), 0), ((2, 4), 1), ((2, 4), 2))]


@register
class psum_scatter(Placed):
    """The sum over all examples of the part of x, along ``axis``, that is this example's; the axis vanishes."""

    name = "psum_scatter"

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x, at = types[0], attrs["axis"]
        if not 0 <= at < x.rank or x.shape[at] != attrs["axis_size"] or x.dtype.is_bool:
            raise op_error("psum_scatter", f"x needs {attrs['axis_size']} numbers along axis {at}", {"x": x})
        return x.with_shape((*x.shape[:at], *x.shape[at + 1:]))

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x = np.asarray(arrays[0])
        self.infer(TensorType(x.shape, dtype_of(x.dtype)), **attrs)
        part = get_op("take").eager(x, np.asarray(arrays[1]), axis=attrs["axis"])
        return np.asarray(part * np.asarray(attrs["axis_size"]).astype(x.dtype))

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return get_op("all_gather")(g, operands[1], **attrs), None

    def expand(self, *operands: Value, **attrs: Any) -> Value:
        x, index = operands
        part: Value = get_op("take")(x, index, axis=attrs["axis"])
        return _times(part, attrs["axis_size"])

    def along(self, axis: BatchAxis, batched: bool, x: Value, at: int) -> Any:
        total = get_op("sum")(x, axes=(0,)) if batched else _times(x, axis.size)
        return get_op("transpose")(total, perm=(at, *(d for d in range(total.type.rank) if d != at)))

    def samples(self) -> Sequence[Sample]:
        return [_placed_sample(*case) for case in (((3,), 0), ((3, 4), 0), ((2, 3, 4), 1))]
