"""Normalization by means and variances."""

from __future__ import annotations

from typing import Any

import numpy as np

import leptonc.numpy as lnp
from leptonc import lax
from tests.peers.onnx import types
from tests.peers.onnx.registry import Node, op


def per_channel(v: Any, rank: int) -> Any:
    return lnp.reshape(v, (-1, *(1,) * (rank - 2)))


@op("BatchNormalization")
def batch_norm(node: Node, x: Any, scale: Any, bias: Any, mean: Any, var: Any) -> Any:
    rank, momentum = len(x.shape), node.get("momentum", 0.9)
    axes = tuple(d for d in range(rank) if d != 1)
    now = (mean, var)
    if node.get("training_mode", 0):
        now = (lnp.mean(x, axes), lnp.var(x, axes))
    center, spread = (per_channel(v, rank) for v in now)
    y = (x - center) / lnp.sqrt(spread + node.get("epsilon", 1e-5)) * per_channel(scale, rank) + per_channel(bias, rank)
    y = lnp.astype(y, x.dtype)
    if node.outputs == 1:
        return y
    return (y, *(old * momentum + new * (1 - momentum) for old, new in zip((mean, var), now)))[:node.outputs]


def standardized(x: Any, axes: tuple[int, ...], epsilon: float) -> Any:
    off = x - lnp.mean(x, axes, keepdims=True)
    return off / lnp.sqrt(lnp.mean(off * off, axes, keepdims=True) + epsilon)


@op("InstanceNormalization")
def instance_norm(node: Node, x: Any, scale: Any, bias: Any) -> Any:
    rank = len(x.shape)
    y = standardized(x, tuple(range(2, rank)), node.get("epsilon", 1e-5))
    return y * per_channel(scale, rank) + per_channel(bias, rank)


@op("GroupNormalization")
def group_norm(node: Node, x: Any, scale: Any, bias: Any) -> Any:
    rank, groups = len(x.shape), node.get("num_groups")
    parts = lnp.reshape(x, (x.shape[0], groups, -1))
    y = standardized(parts, (2,), node.get("epsilon", 1e-5))
    if scale.shape[0] == groups != x.shape[1]:
        return lnp.reshape(y * scale[:, None] + bias[:, None], x.shape)
    return lnp.reshape(y, x.shape) * per_channel(scale, rank) + per_channel(bias, rank)


@op("LayerNormalization")
def layer_norm(node: Node, x: Any, scale: Any, bias: Any = None) -> Any:
    axes = tuple(range(node.get("axis", -1) % len(x.shape), len(x.shape)))
    wide = lnp.astype(x, types.dtype(node.get("stash_type", 1)))
    mean = lnp.mean(wide, axes, keepdims=True)
    inverse = lax.rsqrt(lnp.mean(lnp.square(wide - mean), axes, keepdims=True) + node.get("epsilon", 1e-5))
    y = lnp.astype((wide - mean) * inverse, x.dtype) * scale
    y = y if bias is None else y + bias
    return (y, mean, inverse)[:node.outputs]


@op("RMSNormalization")
def rms_norm(node: Node, x: Any, scale: Any) -> Any:
    axes = tuple(range(node.get("axis", -1) % len(x.shape), len(x.shape)))
    wide = lnp.astype(x, types.dtype(node.get("stash_type", 1)))
    return lnp.astype(wide * lax.rsqrt(lnp.mean(wide * wide, axes, keepdims=True) + node.get("epsilon", 1e-5)), x.dtype) * scale


@op("LRN")
def local_response(node: Node, x: Any) -> Any:
    size = node.get("size")
    window = [size if d == 1 else 1 for d in range(len(x.shape))]
    pads = [((size - 1) // 2, size // 2) if d == 1 else (0, 0) for d in range(len(x.shape))]
    total = lax.reduce_window(x * x, np.zeros((), x.dtype), lax.add, window, None, pads)
    return x / (node.get("bias", 1.0) + node.get("alpha", 1e-4) / size * total) ** node.get("beta", 0.75)
