"""Places that are data: gathers, scatters, what is greatest."""

from __future__ import annotations

from typing import Any

import numpy as np

import leptonc.numpy as lnp
from leptonc import lax
from tests.peers.onnx.registry import Node, op
from tests.peers.onnx.values import known, one


@op("Gather")
def gather(node: Node, x: Any, indices: Any) -> Any:
    return lnp.take(x, indices, node.get("axis", 0))


@op("GatherElements")
def gather_elements(node: Node, x: Any, indices: Any) -> Any:
    return lnp.take_along_axis(x, indices, node.get("axis", 0))


@op("GatherND")
def gather_nd(node: Node, x: Any, indices: Any) -> Any:
    batch, count = node.get("batch_dims", 0), indices.shape[-1]
    grid = np.indices(indices.shape[:batch], sparse=True)
    rank = len(indices.shape) - 1
    rows = tuple(g.reshape(*g.shape, *(1,) * (rank - batch)) for g in grid)
    return x[(*rows, *(indices[..., k] for k in range(count)))]


@op("Scatter", "ScatterElements")
def scatter_elements(node: Node, x: Any, indices: Any, updates: Any) -> Any:
    axis = node.get("axis", 0) % len(x.shape)
    grid = np.indices(indices.shape, sparse=True)
    return _updated(x, (*grid[:axis], indices, *grid[axis + 1:]), updates, node.get("reduction", "none"))


@op("ScatterND")
def scatter_nd(node: Node, x: Any, indices: Any, updates: Any) -> Any:
    return _updated(x, tuple(indices[..., k] for k in range(indices.shape[-1])), updates, node.get("reduction", "none"))


def _updated(x: Any, index: Any, updates: Any, reduction: str) -> Any:
    at = x.at[index] if hasattr(x, "at") else lnp.asarray(x).at[index]
    how = {"none": at.set, "add": at.add, "mul": at.multiply, "max": at.max, "min": at.min}
    return how[reduction](updates)


@op("TensorScatter")
def tensor_scatter(node: Node, cache: Any, update: Any, starts: Any = None) -> Any:
    axis = node.get("axis", -2) % len(cache.shape)
    first = np.zeros(cache.shape[0], np.int64) if starts is None else starts
    rows = lnp.reshape(first, (-1, 1)) + np.arange(update.shape[axis])
    if node.get("mode", "linear") == "circular":
        rows = rows % cache.shape[axis]
    moved, new = lnp.moveaxis(cache, axis, 1), lnp.moveaxis(update, axis, 1)
    return lnp.moveaxis(moved.at[np.arange(cache.shape[0])[:, None], rows].set(new), 1, axis)


@op("TopK", known=(1,))
def top_k(node: Node, x: Any, k: Any) -> Any:
    axis = node.get("axis", -1)
    count = node.get("k") if k is None else one(k)
    order = lnp.argsort(x, axis, descending=bool(node.get("largest", 1)), stable=True)
    places = lax.slice(order, (0,) * len(x.shape), [count if d == axis % len(x.shape) else n for d, n in enumerate(x.shape)])
    return lnp.take_along_axis(x, places, axis), lnp.astype(places, np.int64)


@op("NonZero")
def nonzero(node: Node, x: Any) -> Any:
    return lnp.astype(lnp.stack(lnp.nonzero(x, size=node.shape()[1])), np.int64)


@op("Unique")
def unique(node: Node, x: Any) -> Any:
    axis = node.get("axis")
    count = node.shape()[axis or 0]
    values, first, inverse, counts = lnp.unique(x, True, True, True, axis, size=count)
    if not node.get("sorted", 1):
        order = lnp.argsort(first)
        values, first, counts = lnp.take(values, order, axis or 0), first[order], counts[order]
        inverse = lnp.argsort(order)[inverse]
    found = (values, *(lnp.astype(lnp.reshape(v, (-1,)), np.int64) for v in (first, inverse, counts)))
    return found[:node.outputs]


@op("NonMaxSuppression", known=(2, 3, 4))
def non_max_suppression(node: Node, boxes: Any, scores: Any, most: Any = None, iou: Any = None, least: Any = None) -> Any:
    """Of each class the boxes in descending order of score, each one kept that overlaps none kept before it too much."""
    limit = 0 if most is None else one(most)
    bound = 0.0 if iou is None else float(known(iou).reshape(()))
    lowest = -np.inf if least is None else float(known(least).reshape(()))
    batch, classes, n = scores.shape
    corners = _corners(boxes, node.get("center_point_box", 0))
    order = lnp.argsort(scores, -1, descending=True, stable=True)
    ranked = lnp.take_along_axis(scores, order, -1) > lowest
    rows = lnp.arange(batch)[:, None, None]
    overlap = _overlaps(corners)[rows[..., None], order[..., :, None], order[..., None, :]] > bound

    def step(i: Any, state: Any) -> Any:
        kept, count = state
        hidden = lnp.any(overlap[..., i, :] & kept, -1)
        keeps = ranked[..., i] & ~hidden & (count < limit)
        return kept.at[..., i].set(keeps), count + lnp.astype(keeps, np.int64)

    start = (lnp.zeros((batch, classes, n), bool), lnp.zeros((batch, classes), np.int64))
    kept, _ = lax.fori_loop(0, n, step, start)
    which = lnp.nonzero(kept, size=node.shape()[0])
    return lnp.astype(lnp.stack([which[0], which[1], order[which]], -1), np.int64)


def _corners(boxes: Any, centered: int) -> tuple[Any, ...]:
    a, b, c, d = (boxes[..., k] for k in range(4))
    if centered:
        return b - d / 2, a - c / 2, b + d / 2, a + c / 2
    return lnp.minimum(a, c), lnp.minimum(b, d), lnp.maximum(a, c), lnp.maximum(b, d)


def _overlaps(corners: tuple[Any, ...]) -> Any:
    """The intersection over the union of each two boxes."""
    low_y, low_x, high_y, high_x = corners
    sides = [lnp.maximum(lnp.minimum(high[:, :, None], high[:, None]) - lnp.maximum(low[:, :, None], low[:, None]), 0)
             for low, high in ((low_y, high_y), (low_x, high_x))]
    both, area = sides[0] * sides[1], (high_y - low_y) * (high_x - low_x)
    union = area[:, :, None] + area[:, None] - both
    return lnp.where(union > 0, both / lnp.where(union > 0, union, 1), 0)
