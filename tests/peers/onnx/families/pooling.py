"""Pools: ONNX's are channels first, leptonc's last."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

import leptonc.numpy as lnp
from leptonc import nn
from tests.peers.onnx.families.convolutions import window
from tests.peers.onnx.families.resizing import sampled
from tests.peers.onnx.registry import Node, op
from tests.peers.onnx.values import integers


def _options(node: Node, x: Any) -> dict[str, Any]:
    strides, dilations, pads = window(node, x.shape[2:], node.get("kernel_shape"))
    return {"window": node.get("kernel_shape"), "stride": strides, "padding": pads, "dilation": dilations,
            "ceil_mode": bool(node.get("ceil_mode", 0))}


@op("MaxPool")
def max_pool(node: Node, x: Any) -> Any:
    last = lnp.moveaxis(x, 1, -1)
    if node.outputs == 1:
        return lnp.moveaxis(nn.max_pool(last, **_options(node, x)), -1, 1)
    y, places = (lnp.moveaxis(v, -1, 1) for v in nn.max_pool(last, **_options(node, x), return_indices=True))
    extents = x.shape[2:]
    if node.get("storage_order", 0):
        rest, columns = places, []
        for n in reversed(extents):
            columns.append(rest % n)
            rest = rest // n
        places, step = lnp.zeros_like(places), 1
        for column, n in zip(reversed(columns), extents):
            places, step = places + column * step, step * n
    images = np.arange(prod(x.shape[:2])).reshape(*x.shape[:2], *(1,) * len(extents)) * prod(extents)
    return y, lnp.astype(places, np.int64) + images


@op("AveragePool")
def average_pool(node: Node, x: Any) -> Any:
    y = nn.avg_pool(lnp.moveaxis(x, 1, -1), **_options(node, x), count_include_pad=bool(node.get("count_include_pad", 0)))
    return lnp.moveaxis(y, -1, 1)


@op("LpPool")
def lp_pool(node: Node, x: Any) -> Any:
    return lnp.moveaxis(nn.lp_pool(lnp.moveaxis(x, 1, -1), node.get("p", 2), **_options(node, x)), -1, 1)


@op("GlobalAveragePool")
def global_average_pool(node: Node, x: Any) -> Any:
    return lnp.mean(x, tuple(range(2, len(x.shape))), keepdims=True)


@op("GlobalMaxPool")
def global_max_pool(node: Node, x: Any) -> Any:
    return lnp.max(x, tuple(range(2, len(x.shape))), keepdims=True)


@op("MaxUnpool", known=(2,))
def max_unpool(node: Node, x: Any, places: Any, extents: Any = None) -> Any:
    kernel = node.get("kernel_shape")
    rank = len(kernel)
    strides, pads = node.get("strides", [1] * rank), node.get("pads", [0] * 2 * rank)
    inner = [(n - 1) * s + k - pads[d] - pads[d + rank] for d, (n, s, k) in enumerate(zip(x.shape[2:], strides, kernel))]
    flat = lnp.zeros((prod(x.shape[:2]) * prod(inner),), x.dtype)
    y = lnp.reshape(flat.at[lnp.reshape(places, (-1,))].set(lnp.reshape(x, (-1,))), (*x.shape[:2], *inner))
    wanted = y.shape if extents is None else integers(extents)
    return lnp.pad(y, [(0, n - m) for n, m in zip(wanted, y.shape)])


@op("RoiAlign")
def roi_align(node: Node, x: Any, rois: Any, images: Any) -> Any:
    """Bins of boxes, each read at a grid of places between elements, whose mean or greatest is taken."""
    scale, ratio = node.get("spatial_scale", 1.0), node.get("sampling_ratio", 0)
    sizes = (node.get("output_height", 1), node.get("output_width", 1))
    half = 0.5 if node.opset >= 16 and node.get("coordinate_transformation_mode", "half_pixel") == "half_pixel" else 0.0
    x0, y0, x1, y1 = (rois[:, k] * scale - half for k in range(4))
    least = 0.0 if half else 1.0
    spans = [lnp.maximum(high - low, least) if least else high - low for low, high in ((y0, y1), (x0, x1))]
    counts = [ratio or integers(lnp.max(lnp.ceil(span / n)))[0] for span, n in zip(spans, sizes)]
    axes = []
    for low, span, n, count in zip((y0, x0), spans, sizes, counts):
        inside = (np.arange(n)[:, None] + (np.arange(count) + 0.5) / count).reshape(-1).astype(x.dtype) / n
        axes.append(low[:, None] + span[:, None] * inside)
    rows, columns = axes
    grid = lnp.stack(lnp.broadcast_arrays(rows[:, :, None], columns[:, None, :]), -1)
    inside = (grid >= -1) & (grid <= np.array(x.shape[2:], x.dtype))
    places = lnp.clip(grid, 0, np.array(x.shape[2:], x.dtype) - 1)
    each = node.get("mode", "avg") == "max"
    read = sampled(lnp.take(x, images, 0), places, "linear", "border", False, greatest=each)
    read = lnp.where(lnp.all(inside, -1)[:, None], read, 0)
    parts = lnp.reshape(read, (*read.shape[:2], sizes[0], counts[0], sizes[1], counts[1]))
    return (lnp.max if each else lnp.mean)(parts, (3, 5))
