"""Complex numbers made of reals, and taken apart; the same memory as complex numbers or as reals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.errors import DtypeError, op_error
from leptonc.ir.batching import BatchAxis
from leptonc.ir.kernel import Kernel
from leptonc.ir.kernelbuilder import KernelBuilder
from leptonc.ir.op import Op, Sample, get_op, register
from leptonc.ir.pair import Pair
from leptonc.ir.types import TensorType, f32, f64, type_of_array
from leptonc.ir.value import Value
from leptonc.ops import pairs
from leptonc.ops.elementwise import check_same, select

SHAPES = ((), (3,), (67,), (2, 1, 5), (0, 4))


def complex_numbers(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(rng.standard_normal(shape) + 1j * rng.standard_normal(shape))


class OfComplex(Op):
    """An elementwise op on complex numbers alone, which expands."""

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        if not types[0].dtype.is_complex:
            raise op_error(self.name, f"takes complex numbers, not {types[0].dtype}", {"x": types[0]}, kind=DtypeError)
        return self.result(types[0])

    def result(self, x: TensorType) -> TensorType:
        return x.with_dtype(x.dtype.real)

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        return self(*operands)

    def samples(self) -> Sequence[Sample]:
        return [Sample(lambda rng, s=s: [complex_numbers(rng, s)], differentiable=False, name=f"shape{s}")  # type: ignore[misc]
                for s in SHAPES]


def _number(part: int, x: Value) -> Value:
    return get_op("part")(get_op("as_reals")(x), number=part)


@register
class real(OfComplex):
    name = "real"

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        return np.asarray(arrays[0]).real.copy()

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (get_op("complex")(g, g.builder.full(g.type, 0)),)

    def in_parts(self, *operands: Any, **attrs: Any) -> Any:
        return operands[0].re

    def expand(self, *operands: Value, **attrs: Any) -> Value:
        return _number(0, operands[0])


@register
class imag(OfComplex):
    name = "imag"

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        return np.asarray(arrays[0]).imag.copy()

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """As JAX: the real part of the cotangent times a change of z is what it is times the change of the result."""
        return (get_op("complex")(g.builder.full(g.type, 0), -g),)

    def in_parts(self, *operands: Any, **attrs: Any) -> Any:
        return operands[0].im

    def expand(self, *operands: Value, **attrs: Any) -> Value:
        return _number(1, operands[0])


@register
class conj(OfComplex):
    name = "conj"

    def result(self, x: TensorType) -> TensorType:
        return x

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        return np.asarray(np.conj(arrays[0]))

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (self(g),)

    def in_parts(self, *operands: Any, **attrs: Any) -> Any:
        return pairs.conjugate(operands[0])

    def expand(self, *operands: Value, **attrs: Any) -> Value:
        return get_op("complex")(_number(0, operands[0]), -_number(1, operands[0]))


@register
class complex_abs(OfComplex):
    """|z|; its derivative at 0 is 0, as JAX's."""

    name = "complex_abs"

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.asarray(np.abs(arrays[0]))

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        none = get_op("eq")(y, y.builder.full(y.type, 0))
        scale = g / select(none, y.builder.full(y.type, 1), y)
        whole = get_op("complex")(scale, scale.builder.full(scale.type, 0))
        return (whole * get_op("conj")(operands[0]),)

    def in_parts(self, *operands: Any, **attrs: Any) -> Any:
        return pairs.absolute(operands[0])

    def expand(self, *operands: Value, **attrs: Any) -> Value:
        return get_op("hypot")(_number(0, operands[0]), _number(1, operands[0]))


@register
class complex_(Op):
    """x + i y."""

    name, operand_names = "complex", ("x", "y")

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        check_same(self.name, self.operand_names, types)
        if types[0].dtype not in (f32, f64):
            raise op_error(self.name, f"takes f32 or f64, not {types[0].dtype}", dict(zip("xy", types)), kind=DtypeError)
        return types[0].with_dtype(types[0].dtype.complex)

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x, y = map(np.asarray, arrays)
        out = np.empty(x.shape, self.infer(*map(type_of_array, (x, y))).dtype.numpy)
        out.real, out.imag = x, y
        return out

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return get_op("real")(g), -get_op("imag")(g)

    def in_parts(self, *operands: Any, **attrs: Any) -> Any:
        return Pair(*operands)

    def expand(self, *operands: Value, **attrs: Any) -> Value:
        return get_op("from_reals")(get_op("joined")(*operands))

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        return self(*axis.front(batched, operands))

    def samples(self) -> Sequence[Sample]:
        return [Sample(lambda rng, s=s: [np.asarray(rng.standard_normal(s)) for _ in range(2)],  # type: ignore[misc]
                       differentiable=False, name=f"shape{s}") for s in SHAPES]


class View(Op):
    """The same memory under another type: ``passes/loops/lower.py`` gives it no kernel."""

    views = True

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        return self(*operands)


@register
class as_reals(View):
    """Complex numbers as reals, the two parts of each along a last axis."""

    name = "as_reals"

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        if not types[0].dtype.is_complex:
            raise op_error(self.name, f"takes complex numbers, not {types[0].dtype}", {"x": types[0]}, kind=DtypeError)
        return types[0].in_reals

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x = np.asarray(arrays[0])
        return np.stack([x.real, x.imag], -1)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (get_op("conj")(get_op("from_reals")(g)),)

    def in_parts(self, *operands: Any, **attrs: Any) -> Any:
        return get_op("joined")(*operands[0])

    def samples(self) -> Sequence[Sample]:
        return [Sample(lambda rng, s=s: [complex_numbers(rng, s)], differentiable=False, name=f"shape{s}")  # type: ignore[misc]
                for s in SHAPES]


@register
class from_reals(View):
    """Reals, pairs of which lie along a last axis of two, as complex numbers."""

    name = "from_reals"

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x = types[0]
        if x.dtype not in (f32, f64) or x.shape[-1:] != (2,):
            raise op_error(self.name, "takes f32 or f64 with a last axis of two", {"x": x}, kind=DtypeError)
        return TensorType(x.shape[:-1], x.dtype.complex)

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x = np.asarray(arrays[0])
        return np.asarray(get_op("complex").eager(x[..., 0], x[..., 1]))

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (get_op("as_reals")(get_op("conj")(g)),)

    def in_parts(self, *operands: Any, **attrs: Any) -> Any:
        return Pair(*(get_op("part")(operands[0], number=n) for n in range(2)))

    def samples(self) -> Sequence[Sample]:
        return [Sample(lambda rng, s=s: [rng.standard_normal((*s, 2))], differentiable=False, name=f"shape{s}")  # type: ignore[misc]
                for s in SHAPES]


@register
class part(Op):
    """One part, by its ``number``, of pairs of reals along a last axis."""

    name = "part"
    stores = True

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x = types[0]
        if x.shape[-1:] != (2,) or attrs["number"] not in (0, 1):
            raise op_error(self.name, f"number {attrs['number']}, and a last axis of two", {"x": x})
        return x.with_shape(x.shape[:-1])

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        return np.asarray(arrays[0])[..., attrs["number"]].copy()

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        zero = g.builder.full(g.type, 0)
        return (get_op("joined")(*((zero, g) if attrs["number"] else (g, zero))),)

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        k = KernelBuilder(self.name)
        x, out = k.input(types[0]), k.output(self.infer(types[0], **attrs))
        axes = k.axes(out.type.shape)
        stage = k.stage(axes)
        stage.store(out, axes, stage.load(x, [*axes, attrs["number"]]))
        return k.build()

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        return self(*operands, **attrs)

    def samples(self) -> Sequence[Sample]:
        return [Sample(lambda rng, s=s: [rng.standard_normal((*s, 2))], {"number": n}, name=f"{s}{n}")  # type: ignore[misc]
                for n, s in enumerate(SHAPES[:2])]


@register
class joined(Op):
    """Pairs along a last axis of what two arrays have."""

    name, operand_names = "joined", ("x", "y")
    stores = True

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        check_same(self.name, self.operand_names, types)
        return types[0].with_shape((*types[0].shape, 2))

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        return np.stack(arrays, -1)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return tuple(get_op("part")(g, number=n) for n in range(2))

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        k = KernelBuilder(self.name)
        x, y, out = k.input(types[0]), k.input(types[1]), k.output(self.infer(*types))
        axes = k.axes(types[0].shape)
        stage = k.stage(axes)
        loaded = stage.load(x, axes), stage.load(y, axes)
        for n, value in enumerate(loaded):
            stage.store(out, [*axes, n], value)
        return k.build()

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        return self(*axis.front(batched, operands))

    def samples(self) -> Sequence[Sample]:
        return [Sample(lambda rng, s=s: [np.asarray(rng.standard_normal(s)) for _ in range(2)],  # type: ignore[misc]
                       name=f"shape{s}") for s in SHAPES]
