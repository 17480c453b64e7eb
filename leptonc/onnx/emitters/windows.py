"""Pooling: maxima and sums of windows."""

from __future__ import annotations

from math import prod
from typing import Any

from leptonc.ir.graph import Node
from leptonc.ir.types import f64
from leptonc.onnx.emitters.products import channels_first, channels_last
from leptonc.onnx.writer import Tensor, Writer, emits


@emits("max_pool")
def max_pool(w: Writer, node: Node, x: Tensor) -> str:
    return _pooled(w, "MaxPool", x, node.attributes)


@emits("window_sum")
def window_sum(w: Writer, node: Node, x: Tensor) -> str:
    """The mean of all places of a window, those outside of x included, as often as there are places."""
    mean = _pooled(w, "AveragePool", x, node.attributes, count_include_pad=1)
    return str(w.add("Mul", mean, w.number(prod(node.attributes["window"]), x.type.dtype)))


def _pooled(w: Writer, op: str, x: Tensor, attrs: dict[str, Any], **more: int) -> str:
    """Ints that an f64 holds go by way of it."""
    dtype, rank = x.type.dtype, x.type.rank
    wide = dtype if dtype.is_float else f64
    pads = [*(low for low, _ in attrs["padding"]), *(high for _, high in attrs["padding"])]
    image = w.transpose(w.cast(w.full(x), dtype, wide), channels_first(rank))
    out = w.add(op, image, kernel_shape=list(attrs["window"]), strides=list(attrs["stride"]), pads=pads, **more)
    return w.cast(w.transpose(out, channels_last(rank)), wide, dtype)
