"""Convolution and its two gradients, over any number of spatial dimensions (1 and 2 are tested).

x is [n, spatial..., c], w is [kernel..., c / groups, o], the result [n, spatial..., o]. ``padding`` is a (low, high)
pair per spatial dimension and may be negative; shapes follow ONNX's formula. The three ops are closed under
differentiation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np

from leptonc.errors import DtypeError, op_error
from leptonc.ir.batching import BatchAxis
from leptonc.ir.kernel import Axis, Index, Kernel
from leptonc.ir.kernelbuilder import KernelBuilder
from leptonc.ir.op import Op, Sample, get_op, register
from leptonc.ir.types import TensorType, dtype_of
from leptonc.ir.value import Value
from leptonc.ops.pairs import bilinear

Shape = tuple[int, ...]


def out_extent(n: int, k: int, stride: int, padding: tuple[int, int], dilation: int) -> int:
    """floor((n + low + high - (k - 1) dilation - 1) / stride) + 1"""
    return (n + padding[0] + padding[1] - (k - 1) * dilation - 1) // stride + 1


def out_spatial(x: Shape, w: Shape, attrs: dict[str, Any]) -> Shape:
    """Spatial extents of the result from those of x and w."""
    return tuple(out_extent(*case) for case in zip(x, w, attrs["stride"], attrs["padding"], attrs["dilation"]))


def _check_window(op: str, rank: int, attrs: dict[str, Any], operands: dict[str, object]) -> None:
    for key in ("stride", "padding", "dilation"):
        if len(attrs[key]) != rank:
            raise op_error(op, f"{key} {attrs[key]} needs {rank} entries", operands)
    if any(s < 1 for s in (*attrs["stride"], *attrs["dilation"])):
        raise op_error(op, "stride and dilation must be at least 1", operands)
    if attrs["groups"] < 1:
        raise op_error(op, "groups must be at least 1", operands)


def _taps(kernel: Shape) -> Iterator[Shape]:
    return product(*(range(k) for k in kernel))


def _tap_slices(extents: Shape, out: Shape, tap: Shape, attrs: dict[str, Any]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where a kernel tap reads x, and for which results: both clipped to what is in range."""
    read, made = [], []
    for n, o, k, stride, (low, _), dilation in zip(extents, out, tap, attrs["stride"], attrs["padding"], attrs["dilation"]):
        shift = k * dilation - low
        first = max(0, -(shift // stride)) if shift < 0 else 0
        last = min(o, (n - 1 - shift) // stride + 1)
        if last <= first:
            return (slice(0, 0),) * len(out), (slice(0, 0),) * len(out)
        read.append(slice(first * stride + shift, (last - 1) * stride + shift + 1, stride))
        made.append(slice(first, last))
    return tuple(read), tuple(made)


def _padded(x: np.ndarray, attrs: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
    """x with its zeros around it, which are multiplied as all else: an infinite weight makes NaN of them. What a negative padding
    cuts off is left to the window."""
    around = [(max(low, 0), max(high, 0)) for low, high in attrs["padding"]]
    rest = tuple((min(low, 0), min(high, 0)) for low, high in attrs["padding"])
    return np.pad(x, [(0, 0), *around, (0, 0)]), {**attrs, "padding": rest}


def _grouped(x: np.ndarray, groups: int) -> np.ndarray:
    return x.reshape((*x.shape[:-1], groups, x.shape[-1] // groups))


def _group_products(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """[..., g, a] times [g, a, b] -> [..., g, b]."""
    rows = np.moveaxis(x.reshape(prod(x.shape[:-2]), *x.shape[-2:]), 1, 0)
    return np.moveaxis(rows @ w, 0, 1).reshape((*x.shape[:-1], w.shape[-1]))


def _sum_of_products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """[..., n, g, c] and [..., n, g, o] -> [c, g, o]: rows of n first, then their sum in f64, so that long ones are exact."""
    left, right = (x.reshape(prod(x.shape[:-3]), *x.shape[-3:]) for x in (a, b))
    rows = np.transpose(left, (0, 2, 3, 1)) @ np.transpose(right, (0, 2, 1, 3))
    total = rows.sum(0, dtype=np.float64 if a.dtype.kind == "f" else a.dtype)
    return np.moveaxis(total, 1, 0).astype(a.dtype)


def _type(x: np.ndarray) -> TensorType:
    return TensorType(x.shape, dtype_of(x.dtype))


def _in_group(channels: int, groups: int) -> Shape:
    """The extent of an axis over the channels of a group; groups of one channel have none, so that a depthwise convolution's
    operands have the axes of its users'."""
    return () if groups > 1 and channels == groups else (channels // groups,)


def _flat_axes(channels: int, groups: int) -> Shape:
    """A channel extent as (groups, channels in a group) where there are groups."""
    return (groups, *_in_group(channels, groups)) if groups > 1 else (channels,)


def _examples_into(x: Value, at: int, outer: int) -> Value:
    """[examples, ..., outer * inner, ...] as [..., outer * examples * inner, ...]."""
    examples, *rest = x.shape
    split = get_op("reshape")(x, shape=(examples, *rest[:at], outer, rest[at] // outer, *rest[at + 1:]))
    moved = get_op("transpose")(split, perm=(*range(1, at + 2), 0, *range(at + 2, split.type.rank)))
    return get_op("reshape")(moved, shape=(*rest[:at], rest[at] * examples, *rest[at + 1:]))


def _examples_out_of(y: Value, at: int, outer: int, examples: int) -> Value:
    """[..., outer * examples * inner, ...] as [examples, ..., outer * inner, ...]."""
    before, inner, after = y.shape[:at], y.shape[at] // (outer * examples), y.shape[at + 1:]
    split = get_op("reshape")(y, shape=(*before, outer, examples, inner, *after))
    moved = get_op("transpose")(split, perm=(at + 1, *range(at + 1), *range(at + 2, split.type.rank)))
    return get_op("reshape")(moved, shape=(examples, *before, outer * inner, *after))


class Convolution(Op):
    """What the three ops share: the kernel as sums over taps."""

    alone: tuple[tuple[int, int] | None, ...] = ()  # see ``batch``

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        """Examples are more images if none has weights of its own, else groups of channels if both operands are batched, else
        more channels: ``alone`` says for each operand which of its axes takes them, and which of the result gives them back."""
        examples = [x.type.with_shape(x.shape[flag:]) for flag, x in zip(batched, operands)]
        result = self.infer(*examples, **attrs)
        assert isinstance(result, TensorType)
        if not axis.size:
            return operands[0].builder.full(result.with_shape((0, *result.shape)), 0)
        if all(batched):
            grouped = self(*(_examples_into(x, x.type.rank - 2, 1) for x in operands),
                           **{**attrs, "groups": axis.size * attrs["groups"]})
            return _examples_out_of(grouped, result.rank - 1, 1, axis.size)
        first = batched.index(True)
        places = self.alone[first]
        if places is None:
            return axis.examples(self(axis.images(operands[0]), operands[1], **attrs), result.shape[0])
        outer = [attrs["groups"] if place == -1 else 1 for place in places]
        joined = _examples_into(operands[first], result.rank + places[0], outer[0])
        product = self(*(joined if n == first else x for n, x in enumerate(operands)), **attrs)
        return _examples_out_of(product, result.rank + places[1], outer[1], axis.size)

    def in_parts(self, *operands: Any, **attrs: Any) -> Any:
        return bilinear(self, *operands, **attrs)

    def _check_dtypes(self, operands: dict[str, object], a: TensorType, b: TensorType) -> None:
        if a.dtype != b.dtype or a.dtype.is_bool:
            raise op_error(self.name, "operands must be numbers of one dtype", operands, kind=DtypeError)


@register
class conv(Convolution):
    name, operand_names = "conv", ("x", "w")
    alone = (None, (-1, -1))

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x, w = types
        operands: dict[str, object] = {"x": x, "w": w}
        rank = x.rank - 2
        if rank < 1 or w.rank != x.rank:
            raise op_error("conv", "x must be [n, spatial..., c] and w [kernel..., c / groups, o]", operands)
        _check_window("conv", rank, attrs, operands)
        self._check_dtypes(operands, x, w)
        groups = attrs["groups"]
        if x.shape[-1] != w.shape[-2] * groups:
            wants = f"{w.shape[-2] * groups}" if groups == 1 else f"{w.shape[-2]} in each of {groups} groups"
            raise op_error("conv", f"x has {x.shape[-1]} channels, w wants {wants}", operands)
        if w.shape[-1] % groups:
            raise op_error("conv", f"{w.shape[-1]} result channels do not divide into {groups} groups", operands)
        spatial = out_spatial(x.shape[1:-1], w.shape[:-2], attrs)
        if any(n < 1 for n in spatial) or 0 in w.shape[:-2]:
            raise op_error("conv", f"the kernel does not fit into x: spatial extents would be {spatial}", operands)
        return x.with_shape((x.shape[0], *spatial, w.shape[-1]))

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x, w = map(np.asarray, arrays)
        type_ = self.infer(_type(x), _type(w), **attrs)
        groups, kernel = attrs["groups"], w.shape[:-2]
        out = np.zeros((*type_.shape[:-1], groups, type_.shape[-1] // groups), x.dtype)
        x, window = _padded(x, attrs)
        xs = _grouped(x, groups)
        for tap in _taps(kernel):
            read, made = _tap_slices(x.shape[1:-1], type_.shape[1:-1], tap, window)
            out[(slice(None), *made)] += _group_products(xs[(slice(None), *read)], np.moveaxis(_grouped(w[tap], groups), 0, 1))
        return out.reshape(type_.shape)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        x, w = operands
        return (get_op("conv_input_grad")(g, w, shape=x.shape[1:-1], **attrs),
                get_op("conv_weight_grad")(x, g, shape=w.shape[:-2], **attrs))

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        x, w = types
        out_type = self.infer(x, w, **attrs)
        return _kernel("conv", x, w, out_type, attrs, "y")

    def samples(self) -> Sequence[Sample]:
        return [_sample("xw", *case) for case in CASES]


def _kernel(name: str, x: TensorType, w: TensorType, y: TensorType, attrs: dict[str, Any], result: str) -> Kernel:
    """y[n, p, (g) o] = sum x[n, p * stride + k * dilation - low, (g) c] * w[k, c, (g) o], solved for one of the three."""
    groups, rank = attrs["groups"], x.rank - 2
    k = KernelBuilder(name)
    views = {
        "x": x.with_shape((*x.shape[:-1], *_flat_axes(x.shape[-1], groups))),
        "w": w.with_shape((*w.shape[:-2], *_in_group(x.shape[-1], groups), *_flat_axes(w.shape[-1], groups))),
        "y": y.with_shape((*y.shape[:-1], *_flat_axes(y.shape[-1], groups))),
    }
    first, second = (name_ for name_ in ("x", "y", "w") if name_ != result) if result != "w" else ("x", "y")
    params = {first: k.input(views[first]), second: k.input(views[second]), result: k.output(views[result])}
    over = {
        "n": (x.shape[0], "xy"), "p": (y.shape[1:-1], "y"), "i": (x.shape[1:-1], "x"), "k": (w.shape[:-2], "w"),
        "g": ((groups,) if groups > 1 else (), "xyw"), "c": (_in_group(x.shape[-1], groups), "xw"),
        "o": (_in_group(w.shape[-1], groups), "yw"),
    }

    def make(key: str) -> list[Axis]:
        extents, users = over[key]
        shape = extents if isinstance(extents, tuple) else (extents,)
        return k.axes(shape, reduce=result not in users)

    spatial = "i" if result == "x" else "p"
    orders = {"y": ("n", "p", "g", "o", "k", "c"), "x": ("n", "i", "g", "c", "k", "o"), "w": ("k", "c", "g", "o", "n", "p")}
    axes = {key: make(key) for key in orders[result]}
    moved = _positions(axes, spatial, rank, attrs)
    index = {
        "x": [*axes["n"], *moved["x"], *axes["g"], *axes["c"]],
        "y": [*axes["n"], *moved["y"], *axes["g"], *axes["o"]],
        "w": [*axes["k"], *axes["c"], *axes["g"], *axes["o"]],
    }
    stage = k.stage([a for key in orders[result] for a in axes[key]])
    loads = [stage.load(params[s], index[s], _pad(index[s], views[s], {a.name: a.extent for a in stage.axes}))
             for s in (first, second)]
    stage.store(params[result], index[result], stage.reduce("sum", stage.mul(*loads)))
    return k.build()


def _positions(axes: dict[str, list[Axis]], spatial: str, rank: int, attrs: dict[str, Any]) -> dict[str, list[Any]]:
    """Spatial indices of x and y: one of them runs freely, the other follows from it and the kernel's position."""
    taps = zip(range(rank), attrs["stride"], attrs["padding"], attrs["dilation"])
    if spatial == "p":
        moved = [axes["p"][d] * stride + axes["k"][d] * dilation - low for d, stride, (low, _), dilation in taps]
        return {"x": moved, "y": list(axes["p"])}
    back = [(axes["i"][d] + low - axes["k"][d] * dilation).exact_div(stride) for d, stride, (low, _), dilation in taps]
    return {"x": list(axes["i"]), "y": list(back)}


def _pad(index: Sequence[Any], view: TensorType, extents: dict[str, int]) -> int | None:
    """0 where the index can leave its range, None where it cannot."""
    for i, n in zip(map(Index.of, index), view.shape):
        low = i.offset + sum(min(c * (extents[a] - 1), 0) for a, c in i.axes)
        high = i.offset + sum(max(c * (extents[a] - 1), 0) for a, c in i.axes)
        if low < 0 or high > (n - 1) * i.div or i.div != 1:
            return 0
    return None


@register
class conv_input_grad(Convolution):
    """The cotangent of x from that of the result; ``shape`` are x's spatial extents."""

    name, operand_names = "conv_input_grad", ("g", "w")
    alone = (None, (-2, -1))

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        g, w = types
        operands: dict[str, object] = {"g": g, "w": w}
        rank = g.rank - 2
        if rank < 1 or w.rank != g.rank or len(attrs["shape"]) != rank:
            raise op_error(self.name, "g must be [n, spatial..., o] and w [kernel..., c / groups, o]", operands)
        _check_window(self.name, rank, attrs, operands)
        self._check_dtypes(operands, g, w)
        if g.shape[-1] != w.shape[-1] or g.shape[1:-1] != out_spatial(attrs["shape"], w.shape[:-2], attrs):
            raise op_error(self.name, f"g does not come from a convolution of {attrs['shape']} with w", operands)
        return g.with_shape((g.shape[0], *attrs["shape"], w.shape[-2] * attrs["groups"]))

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        g, w = map(np.asarray, arrays)
        type_ = self.infer(_type(g), _type(w), **attrs)
        groups = attrs["groups"]
        out = np.zeros((*type_.shape[:-1], groups, w.shape[-2]), g.dtype)
        gs = _grouped(g, groups)
        for tap in _taps(w.shape[:-2]):
            read, made = _tap_slices(type_.shape[1:-1], g.shape[1:-1], tap, attrs)
            out[(slice(None), *read)] += _group_products(gs[(slice(None), *made)], np.moveaxis(_grouped(w[tap], groups), 0, 2))
        return out.reshape(type_.shape)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        cotangent, w = operands
        window = {key: value for key, value in attrs.items() if key != "shape"}
        return (get_op("conv")(g, w, **window), get_op("conv_weight_grad")(g, cotangent, shape=w.shape[:-2], **window))

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        g, w = types
        return _kernel(self.name, self.infer(g, w, **attrs), w, g, attrs, "x")

    def samples(self) -> Sequence[Sample]:
        return [_sample("yw", *case) for case in CASES]


@register
class conv_weight_grad(Convolution):
    """The cotangent of w from x and that of the result; ``shape`` are w's spatial extents."""

    name, operand_names = "conv_weight_grad", ("x", "g")
    alone = ((-1, -2), (-1, -1))

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x, g = types
        operands: dict[str, object] = {"x": x, "g": g}
        rank, groups = x.rank - 2, attrs["groups"]
        if rank < 1 or g.rank != x.rank or len(attrs["shape"]) != rank or g.shape[0] != x.shape[0]:
            raise op_error(self.name, "x must be [n, spatial..., c] and g [n, spatial..., o]", operands)
        _check_window(self.name, rank, attrs, operands)
        self._check_dtypes(operands, x, g)
        if x.shape[-1] % groups or g.shape[-1] % groups:
            raise op_error(self.name, f"channels do not divide into {groups} groups", operands)
        if g.shape[1:-1] != out_spatial(x.shape[1:-1], attrs["shape"], attrs):
            raise op_error(self.name, f"g does not come from a convolution of x with a {attrs['shape']} kernel", operands)
        return x.with_shape((*attrs["shape"], x.shape[-1] // groups, g.shape[-1]))

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x, g = map(np.asarray, arrays)
        type_ = self.infer(_type(x), _type(g), **attrs)
        groups, kernel = attrs["groups"], attrs["shape"]
        out = np.zeros((*kernel, x.shape[-1] // groups, groups, g.shape[-1] // groups), x.dtype)
        x, window = _padded(x, attrs)
        xs, gs = _grouped(x, groups), _grouped(g, groups)
        for tap in _taps(kernel):
            read, made = _tap_slices(x.shape[1:-1], g.shape[1:-1], tap, window)
            a, b = xs[(slice(None), *read)], gs[(slice(None), *made)]
            out[tap] = _sum_of_products(a, b)
        return out.reshape(type_.shape)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        x, cotangent = operands
        window = {key: value for key, value in attrs.items() if key != "shape"}
        return (get_op("conv_input_grad")(cotangent, g, shape=x.shape[1:-1], **window), get_op("conv")(x, g, **window))

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        x, g = types
        return _kernel(self.name, x, self.infer(x, g, **attrs), g, attrs, "w")

    def samples(self) -> Sequence[Sample]:
        return [_sample("xy", *case) for case in CASES]


# (x, w, stride, padding, dilation, groups)
CASES: tuple[tuple[Shape, Shape, Shape, tuple[tuple[int, int], ...], Shape, int], ...] = (
    ((2, 5, 6, 3), (3, 3, 3, 4), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((1, 7, 5, 2), (3, 2, 2, 5), (2, 1), ((1, 2), (0, 1)), (1, 1), 1),
    ((2, 9, 8, 1), (3, 3, 1, 3), (2, 3), ((1, 1), (2, 0)), (2, 1), 1),
    ((1, 6, 6, 4), (3, 3, 2, 6), (1, 1), ((1, 1), (1, 1)), (1, 1), 2),
    ((2, 5, 5, 3), (3, 3, 1, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 3),
    ((1, 4, 5, 3), (1, 1, 3, 7), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((1, 7, 7, 2), (2, 2, 2, 3), (3, 3), ((0, 0), (0, 0)), (1, 1), 1),
    ((1, 8, 7, 2), (3, 3, 2, 2), (1, 1), ((-1, 0), (1, -2)), (1, 1), 1),
    ((2, 9, 3), (3, 3, 4), (1,), ((0, 0),), (1,), 1),
    ((2, 11, 4), (4, 2, 6), (2,), ((2, 1),), (2,), 2),
    ((0, 5, 5, 2), (3, 3, 2, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
)


def _sample(operands: str, x: Shape, w: Shape, stride: Shape, padding: tuple[tuple[int, int], ...], dilation: Shape,
            groups: int) -> Sample:
    window = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    y = (x[0], *out_spatial(x[1:-1], w[:-2], window), w[-1])
    shapes = {"x": x, "w": w, "y": y}
    extra = {"yw": {"shape": x[1:-1]}, "xy": {"shape": w[:-2]}}.get(operands, {})
    return Sample(lambda rng: [rng.standard_normal(shapes[s]) for s in operands], {**window, **extra}, True, f"{x}{w}{stride}")
