"""Convolutions: ONNX's are channels first, leptonc's last."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any

import numpy as np

import leptonc.numpy as lnp
from leptonc import lax, nn
from tests.peers.onnx.families.resizing import sampled
from tests.peers.onnx.registry import Node, op
from tests.peers.onnx.values import integers


def window(node: Node, spatial: tuple[int, ...], kernel: tuple[int, ...]) -> tuple[list[int], list[int], Any]:
    """Strides, dilations, and padding as pairs."""
    rank = len(spatial)
    strides, dilations = node.get("strides", [1] * rank), node.get("dilations", [1] * rank)
    auto, given = node.get("auto_pad", "NOTSET"), node.get("pads", [0] * 2 * rank)
    if auto in ("NOTSET", "VALID"):
        return strides, dilations, [(given[d], given[d + rank]) for d in range(rank)]
    totals = [max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0) for n, k, s, d in zip(spatial, kernel, strides, dilations)]
    pairs = [(t // 2, t - t // 2) for t in totals]
    return strides, dilations, pairs if auto == "SAME_UPPER" else [(b, a) for a, b in pairs]


def convolved(node: Node, x: Any, w: Any) -> Any:
    strides, dilations, pads = window(node, x.shape[2:], w.shape[2:])
    return lax.conv_general_dilated(x, w, strides, pads, rhs_dilation=dilations, feature_group_count=node.get("group", 1))


def _biased(y: Any, bias: Any) -> Any:
    return y if bias is None else y + lnp.reshape(bias, (-1, *(1,) * (len(y.shape) - 2)))


@op("Conv")
def conv(node: Node, x: Any, w: Any, bias: Any = None) -> Any:
    return _biased(convolved(node, x, w), bias)


@op("ConvInteger")
def conv_integer(node: Node, x: Any, w: Any, x_zero: Any = None, w_zero: Any = None) -> Any:
    x, w = lnp.astype(x, np.int32), lnp.astype(w, np.int32)
    x = x if x_zero is None else x - lnp.astype(x_zero, np.int32)
    w = w if w_zero is None else w - lnp.reshape(lnp.astype(w_zero, np.int32), (-1, *(1,) * (len(w.shape) - 1)))
    return convolved(node, x, w)


@op("ConvTranspose")
def conv_transpose(node: Node, x: Any, w: Any, bias: Any = None) -> Any:
    rank = len(x.shape) - 2
    strides, dilations, pads = window(node, x.shape[2:], w.shape[2:])
    extra = node.get("output_padding", [0] * rank)
    whole = [s * (n - 1) + o + (k - 1) * d + 1 for s, n, o, k, d in zip(strides, x.shape[2:], extra, w.shape[2:], dilations)]
    wanted = node.get("output_shape")
    auto = node.get("auto_pad", "NOTSET")
    if wanted is None and auto.startswith("SAME"):
        wanted = [n * s for n, s in zip(x.shape[2:], strides)]
    if wanted is not None:
        totals = [n - m for n, m in zip(whole, wanted)]
        pads = [(t // 2, t - t // 2) if auto == "SAME_UPPER" else (t - t // 2, t // 2) for t in totals]
    y = nn.conv_transpose(lnp.moveaxis(x, 1, -1), lnp.moveaxis(w, (0, 1), (-2, -1)), stride=strides, padding=pads,
                          dilation=dilations, groups=node.get("group", 1), output_padding=extra, convention="pytorch")
    return _biased(lnp.moveaxis(y, -1, 1), bias)


@op("QLinearConv")
def quantized_conv(node: Node, x: Any, x_scale: Any, x_zero: Any, w: Any, w_scale: Any, w_zero: Any, y_scale: Any, y_zero: Any,
                   bias: Any = None) -> Any:
    from tests.peers.onnx.families.quantization import rounded

    y = _biased(conv_integer(node, x, w, x_zero, w_zero), bias)
    return rounded(lnp.astype(y, np.float32) * (x_scale * lnp.reshape(w_scale, (-1, *(1,) * (len(w.shape) - 2)))) / y_scale, y_zero)


@op("Col2Im", known=(1, 2))
def col2im(node: Node, x: Any, image: Any, block: Any) -> Any:
    """Blocks added up where they overlap: the gradient of taking them, a convolution with one-hot weights."""
    extents, kernel = integers(image), integers(block)
    taps = prod(kernel)
    strides, dilations, pads = window(node, tuple(extents), tuple(kernel))
    counts = [(n + low + high - (k - 1) * d - 1) // s + 1
              for n, k, s, d, (low, high) in zip(extents, kernel, strides, dilations, pads)]
    columns = lnp.reshape(x, (-1, taps, *counts))
    extra = [n + low + high - (k - 1) * d - 1 - (c - 1) * s
             for n, k, s, d, c, (low, high) in zip(extents, kernel, strides, dilations, counts, pads)]
    weights = np.eye(taps, dtype=x.dtype).reshape(taps, *kernel, 1)
    y = nn.conv_transpose(lnp.moveaxis(columns, 1, -1), lnp.moveaxis(weights, 0, -2), stride=strides, dilation=dilations,
                          padding=pads, output_padding=extra, convention="pytorch")
    return lnp.reshape(y, (x.shape[0], x.shape[1] // taps, *extents))


@op("DeformConv")
def deform_conv(node: Node, x: Any, w: Any, offset: Any, bias: Any = None, mask: Any = None) -> Any:
    """Each tap reads where its offset says, between elements; what it reads is multiplied as in any convolution."""
    kernel, groups, parts = w.shape[2:], node.get("group", 1), node.get("offset_group", 1)
    strides, dilations, pads = window(node, x.shape[2:], kernel)
    rank, n, taps = len(kernel), x.shape[0], prod(kernel)
    out = offset.shape[2:]
    moves = lnp.reshape(offset, (n * parts, taps, rank, *out))
    images = lnp.reshape(x, (n * parts, x.shape[1] // parts, *x.shape[2:]))
    columns = []
    for number, tap in enumerate(product(*map(range, kernel))):
        start = np.stack(np.meshgrid(*(np.arange(o) * s - low + t * d for o, s, (low, _), t, d in zip(
            out, strides, pads, tap, dilations)), indexing="ij"))
        places = lnp.moveaxis(moves[:, number] + start.astype(x.dtype), 1, -1)
        read = sampled(images, places, "linear", "zeros", False)
        if mask is not None:
            read = read * lnp.reshape(mask, (n * parts, taps, *out))[:, number][:, None]
        columns.append(lnp.reshape(read, (n, x.shape[1], *out)))
    stacked = lnp.reshape(lnp.stack(columns, 2), (n, groups, x.shape[1] // groups, taps, *out))
    weights = lnp.reshape(w, (groups, w.shape[0] // groups, w.shape[1], taps))
    y = lnp.einsum("ngct...,goct->ngo...", stacked, weights)
    return _biased(lnp.reshape(y, (n, w.shape[0], *out)), bias)
