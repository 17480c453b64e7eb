"""Numbers on a grid: scales, zero points, products of ints."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from onnx import TensorProto, helper

import leptonc.numpy as lnp
from tests.peers.onnx import types
from tests.peers.onnx.families.products import matmul_integer
from tests.peers.onnx.registry import Node, op

RANGES = {TensorProto.INT4: (-8, 7), TensorProto.UINT4: (0, 15), TensorProto.INT2: (-2, 1), TensorProto.UINT2: (0, 3)}


def _stretched(v: Any, x: Any, axis: int, block: int) -> Any:
    """A scale or zero point as x's shape takes it: one, one for each place along the axis, or one for each block along it."""
    if v is None or (prod(v.shape) == 1 and len(v.shape) <= 1):
        return None if v is None else lnp.reshape(v, ())
    if block:
        return lnp.repeat(v, block, axis)[tuple(slice(0, n) for n in x.shape)]
    return lnp.reshape(v, [-1 if d == axis % len(x.shape) else 1 for d in range(len(x.shape))])


def rounded(x: Any, zero: Any) -> Any:
    """To the nearest of the zero point's ints, from that on, and within their range."""
    info = np.iinfo(zero.dtype)
    return lnp.astype(lnp.clip(lnp.rint(x) + lnp.astype(zero, x.dtype), info.min, info.max), zero.dtype)


@op("QuantizeLinear")
def quantize(node: Node, x: Any, scale: Any, zero: Any = None) -> Any:
    axis, block = node.get("axis", 1), node.get("block_size", 0)
    target = node.get("output_dtype", 0) or (TensorProto.UINT8 if zero is None else node.input_types[2]
                                             or helper.np_dtype_to_tensor_dtype(zero.dtype))
    precision = node.get("precision", 0)
    s, z = _stretched(scale, x, axis, block), _stretched(zero, x, axis, block)
    wide = types.dtype(precision) if precision else s.dtype
    y = lnp.astype(x, wide) / lnp.astype(s, wide)
    if types.is_small(target) and target not in types.INTS:
        return types.cast(y if z is None else y + z, target, bool(node.get("saturate", 1)))
    low, high = RANGES.get(target) or (lambda i: (i.min, i.max))(np.iinfo(types.dtype(target)))
    y = lnp.astype(lnp.rint(y), np.float32 if wide.itemsize < 4 else wide)
    y = y if z is None else y + lnp.astype(z, y.dtype)
    return lnp.astype(lnp.clip(y, low, high), types.dtype(target))


@op("DequantizeLinear")
def dequantize(node: Node, x: Any, scale: Any, zero: Any = None) -> Any:
    axis, block = node.get("axis", 1), node.get("block_size", 0)
    s, z = _stretched(scale, x, axis, block), _stretched(zero, x, axis, block)
    wide = np.float32 if types.is_small(node.input_types[0]) and node.input_types[0] not in types.INTS else np.int32
    y = lnp.astype(x, wide)
    y = y if z is None else y - lnp.astype(z, wide)
    out = types.dtype(node.get("output_dtype")) if node.get("output_dtype", 0) else s.dtype
    return lnp.astype(lnp.astype(y, np.float32) * lnp.astype(s, np.float32), out)


@op("DynamicQuantizeLinear")
def dynamic_quantize(node: Node, x: Any) -> Any:
    low, high = lnp.minimum(lnp.min(x), 0), lnp.maximum(lnp.max(x), 0)
    scale = (high - low) / 255
    scale = lnp.where(scale == 0, np.float32(1), scale)
    zero = lnp.astype(lnp.clip(lnp.rint(-low / scale), 0, 255), np.uint8)
    return rounded(x / scale, zero), scale, zero


@op("QLinearMatMul")
def quantized_matmul(node: Node, a: Any, a_scale: Any, a_zero: Any, b: Any, b_scale: Any, b_zero: Any, y_scale: Any,
                     y_zero: Any) -> Any:
    y = lnp.astype(matmul_integer(node, a, b, a_zero, b_zero), np.float32)
    scale = lnp.astype(a_scale, np.float32) * lnp.astype(b_scale, np.float32) / lnp.astype(y_scale, np.float32)
    return rounded(y * lnp.reshape(scale, () if prod(scale.shape) == 1 else scale.shape), lnp.reshape(y_zero, ()))
