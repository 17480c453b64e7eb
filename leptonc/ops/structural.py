"""Ops that move elements without computing: broadcast, reshape, transpose, concatenate, slice, pad; constants, iota."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from leptonc.errors import DtypeError, IRError, op_error
from leptonc.ir.batching import BatchAxis
from leptonc.ir.graph import Literal
from leptonc.ir.kernel import Axis, Index, Kernel
from leptonc.ir.kernelbuilder import KernelBuilder
from leptonc.ir.op import Op, Sample, get_op, register
from leptonc.ir.types import TensorType, dtype_of
from leptonc.ir.value import Value

Shape = tuple[int, ...]


def with_attrs(operand: Shape, **attrs: Any) -> Sample:
    """A sample with one float operand of that shape."""
    return Sample(lambda rng: [np.asarray(rng.standard_normal(operand))], attrs, True, f"{operand}{tuple(attrs.values())}")


def copying_kernel(name: str, source: TensorType, result: TensorType, place: Any, pad: float | int | None = None) -> Kernel:
    """A map over the result whose element at ``axes`` is the operand's at ``place(axes)``."""
    k = KernelBuilder(name)
    x, out = k.input(source), k.output(result)
    axes = k.axes(result.shape)
    stage = k.stage(axes)
    stage.store(out, axes, stage.load(x, place(axes), pad))
    return k.build()


class Source(Op):
    """It has no operands, and so is one for all examples."""

    operand_names = ()

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        raise IRError(f"{self.name} has no operands that could be batched")

SIDE_BY_SIDE = 8  # operands of a concatenation that one loop reads, at most


@register
class constant(Source):
    name = "constant"
    stores = True

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        literal: Literal = attrs["value"]
        return literal.type

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        return np.asarray(attrs["value"].array)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return ()

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        """Of a constant that is one number throughout; others become buffers of the Program."""
        literal: Literal = attrs["value"]
        k = KernelBuilder("constant")
        out = k.output(literal.type)
        axes = k.axes(literal.type.shape)
        stage = k.stage(axes)
        number = literal.array.flat[0].item() if literal.type.size else 0
        stage.store(out, axes, stage.const(number, literal.type.dtype))
        return k.build()

    def samples(self) -> Sequence[Sample]:
        values = (np.float32(1.5), np.full((3, 2), 7), np.array(True), np.full(5, -0.0))
        return [Sample(lambda rng: [], {"value": Literal.of(v)}, False, str(np.shape(v))) for v in values]


@register
class iota(Source):
    """0, 1, 2 ... along one axis."""

    name = "iota"
    stores = True

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        shape, axis, dtype = attrs["shape"], attrs["axis"], attrs["dtype"]
        if not 0 <= axis < len(shape):
            raise op_error("iota", f"axis {axis} is outside a shape of rank {len(shape)}", {})
        if not (dtype.is_int or dtype.is_float):
            raise op_error("iota", f"takes integers or floats, not {dtype}", {}, kind=DtypeError)
        return TensorType(tuple(shape), dtype)

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        type_ = self.infer(**attrs)
        along = [1] * type_.rank
        along[attrs["axis"]] = -1
        numbers = np.arange(type_.shape[attrs["axis"]]).astype(type_.dtype.numpy)
        return np.broadcast_to(numbers.reshape(along), type_.shape).copy()

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return ()

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        k = KernelBuilder("iota")
        out = k.output(self.infer(**attrs))
        axes = k.axes(out.type.shape)
        stage = k.stage(axes)
        stage.store(out, axes, stage.index(axes[attrs["axis"]], out.type.dtype))
        return k.build()

    def samples(self) -> Sequence[Sample]:
        cases = (((67,), 0, "i64"), ((3, 5), 0, "f32"), ((3, 5), 1, "i32"), ((0, 2), 1, "f64"), ((300,), 0, "u8"))
        return [Sample(lambda rng: [], {"shape": s, "axis": a, "dtype": dtype_of(d)}, False, f"{d}{s}") for s, a, d in cases]


@register
class broadcast(Op):
    """``dims[i]`` is the result dimension of x's dimension i; x's extent there is the result's, or 1."""

    name = "broadcast"
    stores = True

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x, shape, dims = types[0], attrs["shape"], attrs["dims"]
        if len(dims) != x.rank or list(dims) != sorted(set(dims)) or any(not 0 <= d < len(shape) for d in dims):
            raise op_error("broadcast", f"dims {dims} must name a dimension of {shape} for each of x's", {"x": x})
        if any(n not in (1, shape[d]) for n, d in zip(x.shape, dims)):
            raise op_error("broadcast", f"x does not broadcast to {shape} along {dims}", {"x": x})
        return x.with_shape(shape)

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x, shape, dims = np.asarray(arrays[0]), attrs["shape"], attrs["dims"]
        lifted = [1] * len(shape)
        for n, d in zip(x.shape, dims):
            lifted[d] = n
        return np.broadcast_to(x.reshape(lifted), shape).copy()

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        x, shape, dims = operands[0], attrs["shape"], attrs["dims"]
        spread = tuple(d for d in range(len(shape)) if d not in dims or (shape[d] != 1 and x.shape[dims.index(d)] == 1))
        summed = get_op("sum")(g, axes=spread) if spread else g
        return (get_op("reshape")(summed, shape=x.shape) if summed.shape != x.shape else summed,)

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        x, dims = types[0], attrs["dims"]
        return copying_kernel("broadcast", x, self.infer(x, **attrs),
                              lambda axes: [axes[d] if n != 1 else Index() for n, d in zip(x.shape, dims)])

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        return self(*operands, shape=(axis.size, *attrs["shape"]), dims=(0, *(d + 1 for d in attrs["dims"])))

    def samples(self) -> Sequence[Sample]:
        cases = (((), (3, 2), ()), ((3,), (2, 3), (1,)), ((3,), (3, 2), (0,)), ((2, 1), (2, 67), (0, 1)),
                 ((1, 3), (4, 2, 3), (0, 2)),
                 ((3,), (0, 3), (1,)), ((1,), (0,), (0,)))
        return [with_attrs(x, shape=s, dims=d) for x, s, d in cases]


@register
class reshape(Op):
    """The same elements in row-major order under another shape."""

    name = "reshape"
    stores = True

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x, shape = types[0], attrs["shape"]
        if prod(shape) != x.size or any(n < 0 for n in shape):
            raise op_error("reshape", f"{x.size} elements do not fill {tuple(shape)}", {"x": x})
        return x.with_shape(shape)

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        return np.asarray(arrays[0]).reshape(attrs["shape"]).copy()

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (self(g, shape=operands[0].shape),)

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        flat = types[0].with_shape((types[0].size,))
        return copying_kernel("reshape", flat, flat, lambda axes: axes)

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        return self(*operands, shape=(axis.size, *attrs["shape"]))

    def samples(self) -> Sequence[Sample]:
        cases = (((6,), (2, 3)), ((2, 3), (3, 2)), ((), (1, 1)), ((1,), ()), ((0, 3), (5, 0)))
        return [with_attrs(x, shape=s) for x, s in cases]


@register
class transpose(Op):
    """``result.shape[i] == x.shape[perm[i]]``."""

    name = "transpose"
    stores = True

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x, perm = types[0], attrs["perm"]
        if sorted(perm) != list(range(x.rank)):
            raise op_error("transpose", f"{perm} is no permutation of x's {x.rank} axes", {"x": x})
        return x.with_shape(tuple(x.shape[p] for p in perm))

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        return np.ascontiguousarray(np.transpose(arrays[0], attrs["perm"])).reshape([np.shape(arrays[0])[p] for p in attrs["perm"]])

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (self(g, perm=tuple(int(i) for i in np.argsort(attrs["perm"]))),)

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        perm = attrs["perm"]
        return copying_kernel("transpose", types[0], self.infer(types[0], **attrs),
                              lambda axes: [axes[perm.index(d)] for d in range(len(perm))])

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        perm = attrs["perm"]
        images = axis.as_images(batched, operands) if perm and perm[0] == 0 else None
        if images is not None:
            return axis.examples(self(*images, perm=perm), operands[0].shape[1])
        return self(*operands, perm=(0, *(p + 1 for p in perm)))

    def samples(self) -> Sequence[Sample]:
        cases = (((), ()), ((3, 17), (1, 0)), ((2, 3, 4), (2, 0, 1)), ((2, 3, 4), (0, 2, 1)), ((0, 3), (1, 0)))
        return [with_attrs(x, perm=p) for x, p in cases]


@register
class concatenate(Op):
    name, operand_names = "concatenate", tuple(f"x{n}" for n in range(64))
    stores = True

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        axis = attrs["axis"]
        operands = {f"x{n}": t for n, t in enumerate(types[:8])}
        if not types or not 0 <= axis < types[0].rank:
            raise op_error("concatenate", f"axis {axis} is outside the operands' rank", operands)
        rest = {(t.shape[:axis], t.shape[axis + 1:]) for t in types if t.rank == types[0].rank}
        if len(rest) != 1 or any(t.rank != types[0].rank for t in types):
            raise op_error("concatenate", f"shapes differ off axis {axis}", operands)
        if len({t.dtype for t in types}) != 1:
            raise op_error("concatenate", "dtypes differ", operands, kind=DtypeError)
        shape = list(types[0].shape)
        shape[axis] = sum(t.shape[axis] for t in types)
        return types[0].with_shape(tuple(shape))

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        return np.concatenate(arrays, attrs["axis"])

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        axis, at, out = attrs["axis"], 0, []
        for x in operands:
            start = tuple(at if d == axis else 0 for d in range(x.type.rank))
            out.append(get_op("slice")(g, start=start, size=x.shape, step=(1,) * x.type.rank))
            at += x.shape[axis]
        return tuple(out)

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        """A copy of each operand; of a few equal shapes all in one loop, which what makes them can be joined with."""
        k = KernelBuilder("concatenate")
        params = [k.input(t) for t in types]
        out, at = k.output(self.infer(*types, **attrs)), 0
        if len(types) <= SIDE_BY_SIDE and len({t.shape for t in types}) == 1:
            axes = k.axes(types[0].shape)
            stage = k.stage(axes)
            for n, param in enumerate(params):
                shift = n * types[0].shape[attrs["axis"]]
                stage.store(out, [axis + shift if d == attrs["axis"] else axis for d, axis in enumerate(axes)],
                            stage.load(param, axes))
            return k.build()
        for param in params:
            axes = k.axes(param.type.shape)
            stage = k.stage(axes)
            place = [axis + at if d == attrs["axis"] else axis for d, axis in enumerate(axes)]
            stage.store(out, place, stage.load(param, axes))
            at += param.type.shape[attrs["axis"]]
        return k.build()

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        return self(*axis.front(batched, operands), axis=attrs["axis"] + 1)

    def samples(self) -> Sequence[Sample]:
        def make(axis: int, *shapes: Shape) -> Sample:
            return Sample(lambda rng: [rng.standard_normal(s) for s in shapes], {"axis": axis}, True, f"{axis}{shapes}")

        return [make(0, (3,)), make(0, (2,), (0,), (5,)), make(1, (2, 3), (2, 17)), make(0, (2, 3), (1, 3), (4, 3))]


@register
class slice_(Op):
    """``result[i] = x[start + i * step]`` in every dimension; steps may be negative, indices must be in range."""

    name = "slice"
    stores = True

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x, start, size, step = types[0], attrs["start"], attrs["size"], attrs["step"]
        if not len(start) == len(size) == len(step) == x.rank:
            raise op_error("slice", f"start, size and step need {x.rank} entries", {"x": x})
        for n, first, count, stride in zip(x.shape, start, size, step):
            last = first + (count - 1) * stride
            if count < 0 or stride == 0 or (count and not (0 <= first < n and 0 <= last < n)):
                raise op_error("slice", f"start {start}, size {size}, step {step} leave x", {"x": x})
        return x.with_shape(size)

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        index = np.ix_(*(first + np.arange(count) * stride for first, count, stride in
                         zip(attrs["start"], attrs["size"], attrs["step"])))
        return np.asarray(np.asarray(arrays[0])[index]).copy() if index else np.asarray(arrays[0]).copy()

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """Flip what runs backwards, then spread out with gaps."""
        x, start, step = operands[0], attrs["start"], attrs["step"]
        size = attrs["size"]
        if any(s < 0 for s in step):
            turned = tuple((n - 1 if s < 0 else 0) if n else 0 for n, s in zip(size, step))
            g = self(g, start=turned, size=size, step=tuple(-1 if s < 0 else 1 for s in step))
        first = [min(a, a + (n - 1) * s) for a, n, s in zip(start, size, step)]
        last = [max(a, a + (n - 1) * s) for a, n, s in zip(start, size, step)]
        if 0 in size:
            return (zeros_like(x),)
        return (get_op("pad")(g, low=tuple(first), high=tuple(n - 1 - b for n, b in zip(x.shape, last)),
                              interior=tuple(abs(s) - 1 for s in step), value=0),)

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        return copying_kernel("slice", types[0], self.infer(types[0], **attrs), lambda axes: [
            axis * stride + first for axis, first, stride in zip(axes, attrs["start"], attrs["step"])])

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        return self(*operands, start=(0, *attrs["start"]), size=(axis.size, *attrs["size"]), step=(1, *attrs["step"]))

    def samples(self) -> Sequence[Sample]:
        cases = (((10,), (2,), (3,), (2,)), ((10,), (9,), (10,), (-1,)), ((5, 7), (4, 0), (2, 7), (-2, 1)), ((), (), (), ()),
                 ((4,), (0,), (0,), (1,)), ((3, 70), (1, 2), (2, 67), (1, 1)))
        return [with_attrs(x, start=a, size=n, step=s) for x, a, n, s in cases]


def number_of(value: Any) -> Any:
    """What an attribute says: a number, or the two parts of one."""
    return complex(*value) if isinstance(value, tuple) else value


def part_of(value: Any, number: int) -> Any:
    """The real (0) or imaginary (1) part of what an attribute says."""
    return value[number] if isinstance(value, tuple) else value if number == 0 else 0


def zeros_like(x: Value) -> Value:
    return x.builder.full(x.type, 0)


@register
class pad(Op):
    """lax.pad: ``interior`` gaps between elements, then ``low``/``high`` added (negative: cropped) at the edges. ``value``: a
    number, of complex ones their two parts, or a real one."""

    name = "pad"
    stores = True

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x, low, high, interior = types[0], attrs["low"], attrs["high"], attrs["interior"]
        if not len(low) == len(high) == len(interior) == x.rank or any(i < 0 for i in interior):
            raise op_error("pad", f"low, high and interior (>= 0) need {x.rank} entries", {"x": x})
        shape = tuple(n + max(n - 1, 0) * i + a + b for n, a, b, i in zip(x.shape, low, high, interior))
        if any(n < 0 for n in shape):
            raise op_error("pad", f"low {low} and high {high} crop more than there is", {"x": x})
        return x.with_shape(shape)

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x = np.asarray(arrays[0])
        type_ = self.infer(TensorType(x.shape, dtype_of(x.dtype)), **attrs)
        out = np.full(type_.shape, number_of(attrs["value"]), x.dtype)
        spots, kept = [], []
        for n, low, gap, extent in zip(x.shape, attrs["low"], attrs["interior"], type_.shape):
            at = low + np.arange(n) * (gap + 1)
            inside = (at >= 0) & (at < extent)
            spots.append(at[inside])
            kept.append(np.nonzero(inside)[0])
        if not spots:
            return x.copy()
        out[np.ix_(*spots)] = x[np.ix_(*kept)]
        return out

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """Crop, then take every (interior + 1)-th."""
        x, step = operands[0], tuple(i + 1 for i in attrs["interior"])
        if x.type.size == 0:
            return (zeros_like(x),)
        if min((*attrs["low"], *attrs["high"]), default=0) >= 0:
            return (get_op("slice")(g, start=attrs["low"], size=x.shape, step=step),)
        cropped = self(g, low=tuple(-a for a in attrs["low"]), high=tuple(-b for b in attrs["high"]),
                       interior=(0,) * x.type.rank, value=0)
        return (get_op("slice")(cropped, start=(0,) * x.type.rank, size=x.shape, step=step),)

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        def place(axes: list[Axis]) -> list[Index]:
            moved = [axis - low for axis, low in zip(axes, attrs["low"])]
            return [i.exact_div(gap + 1) if gap else i for i, gap in zip(moved, attrs["interior"])]

        value = types[0].dtype.numpy.type(attrs["value"]).item()
        return copying_kernel("pad", types[0], self.infer(types[0], **attrs), place, value)

    def part_attrs(self, number: int, attrs: dict[str, Any]) -> dict[str, Any]:
        return {**attrs, "value": part_of(attrs["value"], number)}

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        edges = {key: (0, *attrs[key]) for key in ("low", "high", "interior")}
        return self(*operands, **edges, value=attrs["value"])

    def samples(self) -> Sequence[Sample]:
        cases = (((3,), (1,), (2,), (0,)), ((5,), (-1,), (-2,), (0,)), ((3, 4), (0, 1), (2, 0), (1, 2)), ((), (), (), ()),
                 ((0,), (2,), (1,), (3,)), ((4,), (-1,), (2,), (1,)))
        return [with_attrs(x, low=a, high=b, interior=i, value=v) for (x, a, b, i), v in zip(cases, (0, 0, 1.5, 0, -2.0, 0))]

