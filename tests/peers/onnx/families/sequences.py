"""Sequences, which are lists while tracing, and optional values, which are None or there."""

from __future__ import annotations

from typing import Any

import numpy as np

import leptonc.numpy as lnp
from leptonc import lax
from tests.peers.onnx.registry import Node, op
from tests.peers.onnx.values import integers, one


@op("SequenceEmpty")
def empty(node: Node) -> Any:
    return []


@op("SequenceConstruct")
def construct(node: Node, *xs: Any) -> Any:
    return list(xs)


@op("SequenceLength")
def length(node: Node, xs: Any) -> Any:
    return np.array(len(xs), np.int64)


@op("SequenceAt", known=(1,))
def at(node: Node, xs: Any, place: Any) -> Any:
    return xs[one(place)]


@op("SequenceInsert", known=(2,))
def insert(node: Node, xs: Any, x: Any, place: Any = None) -> Any:
    where = len(xs) if place is None else one(place)
    where += len(xs) if where < 0 else 0
    return [*xs[:where], x, *xs[where:]]


@op("SequenceErase", known=(1,))
def erase(node: Node, xs: Any, place: Any = None) -> Any:
    where = (len(xs) - 1 if place is None else one(place)) % len(xs)
    return [*xs[:where], *xs[where + 1:]]


@op("ConcatFromSequence")
def concat(node: Node, xs: Any) -> Any:
    return (lnp.stack if node.get("new_axis", 0) else lnp.concatenate)(xs, node.get("axis"))


@op("SplitToSequence", known=(1,))
def split(node: Node, x: Any, sizes: Any = None) -> Any:
    axis = node.get("axis", 0) % len(x.shape)
    n = x.shape[axis]
    if sizes is None or not np.ndim(sizes):
        step = 1 if sizes is None else one(sizes)
        extents = [min(step, n - i) for i in range(0, n, step)]
    else:
        extents = integers(sizes)
    parts = list(lax.split(x, extents, axis))
    return parts if sizes is not None or node.get("keepdims", 1) else [lnp.squeeze(p, axis) for p in parts]


@op("SequenceMap")
def map_(node: Node, xs: Any, *others: Any) -> Any:
    found = [node.subgraph(node.get("body"), x, *(o[i] if isinstance(o, list) else o for o in others)) for i, x in enumerate(xs)]
    return tuple(list(column) for column in zip(*found))


@op("Optional")
def optional(node: Node, x: Any = None) -> Any:
    return x


@op("OptionalGetElement")
def get_element(node: Node, x: Any) -> Any:
    return x


@op("OptionalHasElement")
def has_element(node: Node, x: Any = None) -> Any:
    return np.array(x is not None)
