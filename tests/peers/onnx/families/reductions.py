"""Sums, products, extremes, norms and their places, along axes, and cumulative."""

from __future__ import annotations

from typing import Any

import numpy as np

import leptonc.numpy as lnp
from leptonc import lax, nn
from tests.peers.onnx.registry import Node, op
from tests.peers.onnx.values import integers, one

REDUCTIONS = {
    "ReduceSum": lambda x, axes, keep: lnp.sum(x, axes, dtype=x.dtype, keepdims=keep),
    "ReduceProd": lambda x, axes, keep: lnp.prod(x, axes, dtype=x.dtype, keepdims=keep),
    "ReduceMean": lambda x, axes, keep: lnp.mean(x, axes, keepdims=keep),
    "ReduceMax": lambda x, axes, keep: lnp.max(x, axes, keepdims=keep, initial=_least(x.dtype)),
    "ReduceMin": lambda x, axes, keep: lnp.min(x, axes, keepdims=keep, initial=_greatest(x.dtype)),
    "ReduceL1": lambda x, axes, keep: lnp.sum(lnp.abs(x), axes, dtype=x.dtype, keepdims=keep),
    "ReduceL2": lambda x, axes, keep: lnp.sqrt(lnp.sum(x * x, axes, dtype=x.dtype, keepdims=keep)),
    "ReduceLogSum": lambda x, axes, keep: lnp.log(lnp.sum(x, axes, keepdims=keep)),
    "ReduceLogSumExp": lambda x, axes, keep: nn.logsumexp(x, axes, keepdims=keep),
    "ReduceSumSquare": lambda x, axes, keep: lnp.sum(x * x, axes, dtype=x.dtype, keepdims=keep),
}
MAPS = {"ReduceL1": lnp.abs, "ReduceL2": lnp.abs, "ReduceSumSquare": lnp.square, "ReduceLogSum": lnp.log}  # left without axes


def _least(dtype: np.dtype) -> Any:
    return False if dtype.kind == "b" else -np.inf if lnp.issubdtype(dtype, lnp.floating) else int(lnp.iinfo(dtype).min)


def _greatest(dtype: np.dtype) -> Any:
    return True if dtype.kind == "b" else np.inf if lnp.issubdtype(dtype, lnp.floating) else int(lnp.iinfo(dtype).max)


@op(*REDUCTIONS, known=(1,))
def reduction(node: Node, x: Any, axes: Any = None) -> Any:
    wanted = node.get("axes") if axes is None else integers(axes)
    if not wanted and node.get("noop_with_empty_axes", 0):
        return MAPS.get(node.op_type, lnp.positive)(x)
    return REDUCTIONS[node.op_type](x, tuple(wanted) if wanted else None, bool(node.get("keepdims", 1)))


@op("ArgMax", "ArgMin")
def place_of_extreme(node: Node, x: Any) -> Any:
    find, axis = lnp.argmax if node.op_type == "ArgMax" else lnp.argmin, node.get("axis", 0)
    if node.get("select_last_index", 0):
        out = x.shape[axis] - 1 - find(lnp.flip(x, axis), axis)
    else:
        out = find(x, axis)
    return lnp.expand_dims(out, axis % len(x.shape)) if node.get("keepdims", 1) else out


@op("CumSum", "CumProd", known=(1,))
def cumulative(node: Node, x: Any, axis: Any) -> Any:
    at, reverse = one(axis) % len(x.shape), bool(node.get("reverse", 0))
    fold, neutral = (lax.cumsum, 0) if node.op_type == "CumSum" else (lax.cumprod, 1)
    if node.get("exclusive", 0):
        n = x.shape[at]
        edge = lnp.full((*x.shape[:at], 1, *x.shape[at + 1:]), neutral, x.dtype)
        rest = lax.slice(x, [int(d == at and reverse) for d in range(len(x.shape))],
                         [n - 1 if d == at and not reverse else m for d, m in enumerate(x.shape)])
        x = lnp.concatenate([rest, edge] if reverse else [edge, rest], at)
    return fold(x, at, reverse)


@op("LpNormalization")
def lp_normalization(node: Node, x: Any) -> Any:
    axis, p = node.get("axis", -1), node.get("p", 2)
    norm = lnp.sum(lnp.abs(x), axis, keepdims=True) if p == 1 else lnp.sqrt(lnp.sum(x * x, axis, keepdims=True))
    return lnp.where(norm == 0, lnp.zeros_like(x), x / lnp.where(norm == 0, lnp.ones_like(norm), norm))
