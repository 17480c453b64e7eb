"""Reductions over axes, positions of extremes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from leptonc.errors import DtypeError, op_error
from leptonc.ir.batching import BatchAxis
from leptonc.ir.kernel import Kernel
from leptonc.ir.kernelbuilder import KernelBuilder
from leptonc.ir.op import Op, Sample, get_op, register
from leptonc.ir.types import TensorType, bool_, dtype_of, i64
from leptonc.ir.value import Value
from leptonc.ops import ordered, pairs


def spread(g: Value, like: Value, axes: tuple[int, ...]) -> Value:
    """A reduced value broadcast back to the operand's shape."""
    dims = tuple(d for d in range(like.type.rank) if d not in axes)
    return get_op("broadcast")(g, shape=like.shape, dims=dims)


class Reduction(Op):
    """Folds the ``axes`` (which vanish from the shape) with ``kind``."""

    kind = ""
    kinds = "uif"

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x, axes = types[0], attrs["axes"]
        if len(set(axes)) != len(axes) or any(not 0 <= a < x.rank for a in axes):
            raise op_error(self.name, f"axes {axes} must be different axes of x", {"x": x})
        if x.dtype.kind not in self.kinds:
            raise op_error(self.name, f"does not take {x.dtype}", {"x": x}, kind=DtypeError)
        return x.with_shape(tuple(n for d, n in enumerate(x.shape) if d not in axes))

    def fold(self, x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        raise op_error(self.name, "has no eager rule", {"x": x})

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x = np.asarray(arrays[0])
        self.infer(TensorType(x.shape, dtype_of(x.dtype)), **attrs)
        with np.errstate(all="ignore"):
            return np.asarray(self.fold(x, tuple(attrs["axes"]))).astype(x.dtype, copy=False)

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        x, axes = types[0], attrs["axes"]
        k = KernelBuilder(self.name)
        source, out = k.input(x), k.output(self.infer(x, **attrs))
        kept, folded = k.axes(out.type.shape), k.axes([x.shape[d] for d in sorted(axes)], reduce=True)
        names = dict(zip([d for d in range(x.rank) if d not in axes], kept)) | dict(zip(sorted(axes), folded))
        stage = k.stage([*kept, *folded])
        stage.store(out, kept, stage.reduce(self.kind, stage.load(source, [names[d] for d in range(x.rank)])))
        return k.build()

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        x, axes = operands[0], attrs["axes"]
        images, rest = axis.as_images(batched, operands), tuple(a for a in axes if a)
        if images is not None and 0 not in axes:
            return axis.examples(self(*images, axes=axes), x.shape[1])
        if images is not None and rest and x.shape[1] == 1:
            return self(*images, axes=rest)
        return self(x, axes=tuple(a + 1 for a in axes))

    def samples(self) -> Sequence[Sample]:
        def make(shape: tuple[int, ...], *axes: int) -> Sample:
            return Sample(lambda rng: [self.numbers(rng, shape)], {"axes": axes}, self.smooth, f"{shape}{axes}")

        special = Sample(lambda rng: [np.array([[0.0, -0.0, np.nan], [np.inf, -np.inf, 1.0], [3.0, 2.0, 5.0]])],
                         {"axes": (1,)}, False, "special")
        ints = Sample(lambda rng: [rng.integers(-5, 5, (4, 9)).astype("int32")], {"axes": (0,)}, False, "ints")
        shapes = [make((), *()), make((67,), 0), make((3, 70), 0), make((3, 70), 1), make((2, 3, 5), 0, 2), make((4, 1, 3), 1),
                  make((2, 3), 0, 1), make((2, 0, 3), 0), make((2, 3), *())]
        return [*shapes, *([special, ints] if "f" in self.kinds else [])]

    smooth = True

    def numbers(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Distinct, away from zero."""
        size = int(np.prod(shape))
        return np.asarray((rng.permutation(size) + 1.5).reshape(shape) * 0.1)


@register
class sum_(Reduction):
    name = kind = "sum"
    kinds, componentwise = "uifc", True

    def fold(self, x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        """Floats in f64: NumPy adds up rows one by one unless the axis is the last."""
        return np.asarray(np.sum(x, axes, dtype={"f": np.float64, "c": np.complex128}.get(x.dtype.kind, x.dtype)))

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (spread(g, operands[0], attrs["axes"]),)


@register
class prod_(Reduction):
    name = kind = "prod"
    kinds = "uifc"

    def fold(self, x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        return np.asarray(np.prod(x, axes, dtype=x.dtype))

    def in_parts(self, *operands: Any, **attrs: Any) -> Any:
        return pairs.product_over(operands[0], attrs["axes"])

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """g times the product of all other elements: no quotient, so zeros need no care, at any order of derivative."""
        x, axes = operands[0], attrs["axes"]
        kept = tuple(d for d in range(x.type.rank) if d not in axes)
        order, inverse = (*kept, *axes), np.argsort((*kept, *axes)).tolist()
        moved = get_op("transpose")(x, perm=order)
        rows, n = tuple(x.shape[d] for d in kept), prod(x.shape[d] for d in axes)
        others = _products_of_others(get_op("reshape")(moved, shape=(prod(rows), n)))
        back = get_op("transpose")(get_op("reshape")(others, shape=moved.shape), perm=tuple(inverse))
        return (spread(g, x, axes) * back,)


def _products_of_others(x: Value) -> Value:
    """For each element of a row the product of the row's others: by halves, so that n elements take 3 n products."""
    rows, n = x.shape
    if n <= 1:
        return x.builder.full(x.type, 1)
    half = -(-n // 2)

    def part(start: int, size: int, of: Value) -> Value:
        return get_op("slice")(of, start=(0, start), size=(rows, size), step=(1, 1))

    first, second = part(0, half, x), part(half, n - half, x)
    even = second if n == 2 * half else get_op("pad")(second, low=(0, 0), high=(0, 1), interior=(0, 0), value=1)
    rest = _products_of_others(first * even)
    return get_op("concatenate")(rest * even, part(0, n - half, rest * first), axis=1)


class Extreme(Reduction):
    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        out = super().infer(*types, **attrs)
        if out.size and not types[0].size:
            raise op_error(self.name, "an extreme of no elements is undefined", {"x": types[0]})
        return out

    def in_parts(self, *operands: Any, **attrs: Any) -> Any:
        return ordered.extreme_over(self.kind, operands[0], tuple(attrs["axes"]))

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """Shared equally among equal extremes."""
        x, axes = operands[0], attrs["axes"]
        hit = get_op("cast")(get_op("eq")(x, spread(y, x, axes)), dtype=x.dtype)
        count = get_op("sum")(hit, axes=axes)
        return (hit * spread(g / count, x, axes),)


@register
class reduce_max(Extreme):
    """NaN if any element is."""

    name, kind, kinds = "reduce_max", "max", "buifc"

    def fold(self, x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        return np.asarray(np.max(x, axes)) if x.size or not axes else np.zeros([n for d, n in enumerate(x.shape) if d not in axes])


@register
class reduce_min(Extreme):
    """NaN if any element is."""

    name, kind, kinds = "reduce_min", "min", "buifc"

    def fold(self, x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        return np.asarray(np.min(x, axes)) if x.size or not axes else np.zeros([n for d, n in enumerate(x.shape) if d not in axes])


class Logical(Reduction):
    kinds, smooth = "b", False

    def numbers(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return np.asarray(rng.random(shape) < 0.8)


@register
class any_(Logical):
    name = kind = "any"

    def fold(self, x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        return np.asarray(np.any(x, axes))


@register
class all_(Logical):
    name = kind = "all"

    def fold(self, x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        return np.asarray(np.all(x, axes))


class ArgExtreme(Op):
    """Position (i64) of the first extreme along an axis; the first NaN wins."""

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x, axis = types[0], attrs["axis"]
        if not 0 <= axis < x.rank:
            raise op_error(self.name, f"axis {axis} is outside x", {"x": x})
        if not x.shape[axis]:
            raise op_error(self.name, "an extreme of no elements is undefined", {"x": x})
        return TensorType((*x.shape[:axis], *x.shape[axis + 1:]), i64)

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x = np.asarray(arrays[0])
        self.infer(TensorType(x.shape, dtype_of(x.dtype)), **attrs)
        return np.asarray(getattr(np, self.name)(x, attrs["axis"])).astype(np.int64)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (None,)

    def in_parts(self, *operands: Any, **attrs: Any) -> Any:
        return ordered.place_over(self.name.removeprefix("arg"), operands[0], attrs["axis"])

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        k = KernelBuilder(self.name)
        source, out, axis = k.input(types[0]), k.output(self.infer(types[0], **attrs)), attrs["axis"]
        kept, folded = k.axes(out.type.shape), k.axes([types[0].shape[axis]], reduce=True)
        stage = k.stage([*kept, *folded])
        x = stage.load(source, [*kept[:axis], *folded, *kept[axis:]])
        stage.store(out, kept, stage.reduce(self.name, stage.cast(x, dtype_of("u8")) if x.dtype == bool_ else x))
        return k.build()

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        return self(*operands, axis=attrs["axis"] + 1)

    def samples(self) -> Sequence[Sample]:
        def make(shape: tuple[int, ...], axis: int) -> Sample:
            return Sample(lambda rng: [rng.integers(0, 9, shape).astype(float)], {"axis": axis}, False, f"{shape}{axis}")

        special = Sample(lambda rng: [np.array([[-np.inf, -np.inf], [np.nan, np.nan], [1, np.nan], [np.inf, np.inf], [-0.0, 0.0]])],
                         {"axis": 1}, False, "special")
        return [make((70,), 0), make((3, 70), 0), make((3, 70), 1), make((2, 3, 5), 1), make((0, 3), 1), special]


@register
class argmax(ArgExtreme):
    name = "argmax"


@register
class argmin(ArgExtreme):
    name = "argmin"
