"""Gradients of a convolution whose result goes through a max-pool: sums over the cells that won their window alone.

``g`` is the cotangent of the pooled result [n, pooled..., o] and ``index`` the number of the cell in its window that g
belongs to, as ``max_pool_index`` gives it. ``window`` and ``pool_stride`` describe the pool (no padding, windows that do not
overlap), ``image`` the spatial extents between convolution and pool; ``stride`` and ``dilation`` are the convolution's.
Each op equals the convolution's gradient of ``unpool(g, index)``, with a window's worth fewer products.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.errors import op_error
from leptonc.ir.batching import BatchAxis
from leptonc.ir.kernel import Axis, Kernel, Param
from leptonc.ir.kernelbuilder import KernelBuilder, Scalar, StageBuilder
from leptonc.ir.op import Op, Sample, get_op, register
from leptonc.ir.types import TensorType, dtype_of
from leptonc.ir.value import Value
from leptonc.ops.conv import out_spatial
from leptonc.ops.pool import distinct, pooled_spatial, tap_number

Shape = tuple[int, ...]


def _type(x: np.ndarray) -> TensorType:
    return TensorType(x.shape, dtype_of(x.dtype))


def _pool(attrs: dict[str, Any]) -> dict[str, Any]:
    return {"window": attrs["window"], "stride": attrs["pool_stride"], "padding": ((0, 0),) * len(attrs["window"])}


class RoutedGradient(Op):
    """What the two ops share: the cotangent put back in its place, and the routed factor of a kernel."""

    def unrouted(self, *operands: Any, **attrs: Any) -> Any:
        """The gradient that it stands for, of the unpooled cotangent."""
        raise NotImplementedError

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        """Of what it stands for: graphs are batched before gradients are routed."""
        return axis.by_definition(lambda *values: self.unrouted(*values, **attrs), batched, operands)

    def _unpooled(self, g: Any, index: Any, attrs: dict[str, Any]) -> Any:
        return get_op("unpool")(g, index, shape=attrs["image"], **_pool(attrs))

    def _check(self, g: TensorType, index: TensorType, attrs: dict[str, Any]) -> TensorType:
        """The type of the unpooled cotangent."""
        if any(s < w for w, s in zip(attrs["window"], attrs["pool_stride"])):
            raise op_error(self.name, "windows of the pool overlap", {"g": g})
        image = get_op("unpool").infer(g, index, shape=attrs["image"], **_pool(attrs))
        assert isinstance(image, TensorType)
        return image


def _routed_value(stage: StageBuilder, g: Param, index: Param, at: Sequence[Any], taps: Sequence[Axis], window: Shape) -> Scalar:
    """``select(index == tap, g, 0)``: one-hot along the taps."""
    here = stage.eq(stage.load(index, at), tap_number(stage, taps, window, index.type.dtype))
    return stage.select(here, stage.load(g, at), stage.const(0, g.type.dtype))


def _places(p: Sequence[Axis], t: Sequence[Axis], k: Sequence[Axis], low: Sequence[int], attrs: dict[str, Any]) -> list[Any]:
    """Where tap ``t`` of pool window ``p`` meets the convolution's input under kernel position ``k``."""
    return [(a * ps + b) * s + c * d - lo for a, b, c, lo, ps, s, d in
            zip(p, t, k, low, attrs["pool_stride"], attrs["stride"], attrs["dilation"])]


@register
class conv_weight_grad_routed(RoutedGradient):
    """conv_weight_grad(x, unpool(g, index)); ``shape`` are the kernel's spatial extents, ``padding`` the convolution's."""

    name, operand_names = "conv_weight_grad_routed", ("x", "g", "index")

    def _conv(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return {"groups": 1, **{key: attrs[key] for key in ("stride", "padding", "dilation", "shape")}}

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x, g, index = types
        out = get_op("conv_weight_grad").infer(x, self._check(g, index, attrs), **self._conv(attrs))
        assert isinstance(out, TensorType)
        return out

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> Any:
        x, g, index = map(np.asarray, arrays)
        self.infer(_type(x), _type(g), _type(index), **attrs)
        return self.unrouted(x, g, index, **attrs)

    def unrouted(self, *operands: Any, **attrs: Any) -> Any:
        x, g, index = operands
        return get_op("conv_weight_grad")(x, self._unpooled(g, index, attrs), **self._conv(attrs))

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        x, cotangent, index = operands
        window = {key: value for key, value in self._conv(attrs).items() if key != "shape"}
        to_x = get_op("conv_input_grad")(self._unpooled(cotangent, index, attrs), g, shape=x.shape[1:-1], **window)
        return to_x, get_op("pool_take")(get_op("conv")(x, g, **window), index, **_pool(attrs)), None

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        x, g, _ = types
        out = self.infer(*types, **attrs)
        b = KernelBuilder(self.name)
        px, pg, pi = map(b.input, types)
        result = b.output(out)
        k, c, o = b.axes(out.shape[:-2]), b.axes(x.shape[-1:]), b.axes(g.shape[-1:])
        n, p, t = b.axes(x.shape[:1], True), b.axes(g.shape[1:-1], True), b.axes(attrs["window"], True)
        stage = b.stage([*k, *c, *o, *n, *p, *t])
        low = [pair[0] for pair in attrs["padding"]]
        pad = 0 if any(q > 0 for pair in attrs["padding"] for q in pair) else None
        read = stage.load(px, [*n, *_places(p, t, k, low, attrs), *c], pad)
        value = _routed_value(stage, pg, pi, [*n, *p, *o], t, attrs["window"])
        stage.store(result, [*k, *c, *o], stage.reduce("sum", stage.mul(read, value)))
        return b.build()

    def samples(self) -> Sequence[Sample]:
        return [_sample("xg", *case) for case in CASES]


@register
class conv_input_grad_routed(RoutedGradient):
    """conv_input_grad(unpool(g, index), w) of a convolution without padding; ``shape`` are the input's spatial extents."""

    name, operand_names = "conv_input_grad_routed", ("g", "index", "w")

    def _conv(self, attrs: dict[str, Any]) -> dict[str, Any]:
        none = ((0, 0),) * len(attrs["window"])
        return {"groups": 1, "padding": none, **{key: attrs[key] for key in ("stride", "dilation", "shape")}}

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        g, index, w = types
        out = get_op("conv_input_grad").infer(self._check(g, index, attrs), w, **self._conv(attrs))
        assert isinstance(out, TensorType)
        return out

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> Any:
        g, index, w = map(np.asarray, arrays)
        self.infer(_type(g), _type(index), _type(w), **attrs)
        return self.unrouted(g, index, w, **attrs)

    def unrouted(self, *operands: Any, **attrs: Any) -> Any:
        g, index, w = operands
        return get_op("conv_input_grad")(self._unpooled(g, index, attrs), w, **self._conv(attrs))

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        cotangent, index, w = operands
        window = {key: value for key, value in self._conv(attrs).items() if key != "shape"}
        to_w = get_op("conv_weight_grad")(g, self._unpooled(cotangent, index, attrs), shape=w.shape[:-2], **window)
        return get_op("pool_take")(get_op("conv")(g, w, **window), index, **_pool(attrs)), None, to_w

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        g, _, w = types
        out = self.infer(*types, **attrs)
        b = KernelBuilder(self.name)
        pg, pi, pw = map(b.input, types)
        result = b.output(out, init=0)
        n, p, t = b.axes(g.shape[:1]), b.axes(g.shape[1:-1]), b.axes(attrs["window"])
        k, c, o = b.axes(w.shape[:-2]), b.axes(out.shape[-1:]), b.axes(g.shape[-1:], True)
        stage = b.stage([*n, *p, *t, *k, *c, *o])
        value = _routed_value(stage, pg, pi, [*n, *p, *o], t, attrs["window"])
        total = stage.reduce("sum", stage.mul(stage.load(pw, [*k, *c, *o]), value))
        stage.store(result, [*n, *_places(p, t, k, [0] * len(p), attrs), *c], total, accumulate=True)
        return b.build()

    def samples(self) -> Sequence[Sample]:
        return [_sample("gw", *case) for case in CASES]


# (x, w, stride, padding, dilation, window, pool stride)
Case = tuple[Shape, Shape, Shape, tuple[tuple[int, int], ...], Shape, Shape, Shape]
CASES: tuple[Case, ...] = (
    ((2, 8, 9, 3), (3, 3, 3, 5), (1, 1), ((0, 0), (0, 0)), (1, 1), (2, 2), (2, 2)),
    ((1, 7, 6, 2), (3, 2, 2, 4), (1, 1), ((1, 1), (0, 1)), (1, 1), (2, 2), (2, 2)),
    ((2, 11, 12, 1), (2, 3, 1, 3), (2, 1), ((0, 1), (1, 0)), (1, 2), (2, 3), (2, 3)),
    ((1, 9, 9, 4), (1, 1, 4, 6), (1, 1), ((0, 0), (0, 0)), (1, 1), (2, 2), (3, 4)),
    ((2, 9, 3), (3, 3, 17), (1,), ((1, 1),), (1,), (2,), (2,)),
    ((1, 6, 21, 4), (3, 3, 4, 33), (1, 1), ((1, 1), (1, 1)), (1, 1), (1, 2), (1, 2)),
    ((0, 6, 6, 2), (3, 3, 2, 4), (1, 1), ((0, 0), (0, 0)), (1, 1), (2, 2), (2, 2)),
)


def _sample(operands: str, x: Shape, w: Shape, stride: Shape, padding: tuple[tuple[int, int], ...], dilation: Shape,
            window: Shape, pool_stride: Shape) -> Sample:
    if operands == "gw":  # the input with its padding
        x = (x[0], *(n + lo + hi for n, (lo, hi) in zip(x[1:-1], padding)), x[-1])
        padding = ((0, 0),) * len(padding)
    conv: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation}
    image = out_spatial(x[1:-1], w[:-2], conv)
    attrs: dict[str, Any] = {"image": image, "window": window, "pool_stride": pool_stride, "stride": stride, "dilation": dilation}
    pool = _pool(attrs)
    attrs |= {"shape": x[1:-1]} if operands == "gw" else {"shape": w[:-2], "padding": padding}

    def make(rng: np.random.Generator) -> list[np.ndarray]:
        between = distinct(rng, (x[0], *image, w[-1]))
        g = rng.standard_normal((x[0], *pooled_spatial(image, pool), w[-1]))
        g[rng.random(g.shape) < 0.4] = 0  # as behind a relu
        index = get_op("max_pool_index").eager(between, **pool)
        return [rng.standard_normal(x), g, index] if operands == "xg" else [g, index, rng.standard_normal(w)]

    return Sample(make, attrs, True, f"{x}{w}{stride}{window}")
