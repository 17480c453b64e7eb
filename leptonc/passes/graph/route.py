"""Gradients behind a max-pool summed over the cells that won, instead of over an image that is mostly zeros."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, prod
from typing import Any, ClassVar

from leptonc.frames import joined
from leptonc.ir.graph import Graph, Node
from leptonc.ir.value import Value
from leptonc.passes.graph.dce import Dce
from leptonc.passes.graph.rewriter import Rewriter

ENTRY_COST = 8  # vector multiply-adds that finding one nonzero cotangent and its place costs
LOOKUP_COST = 1  # the same where entries need not be listed
DENSE_LANES = 16  # elements a dense gradient handles at once
DENSE_MOVES = 5  # what unpooling, and reading the unpooled image twice, costs per cotangent, in vector multiply-adds
UNFINISHED = 8  # what it costs more to mask a routed input gradient in a pass of its own, and to cut off its halo
POSITIONS, CHANNELS = 1024, 32  # from which on, measured, an input gradient by squares is no slower than a routed one
TAPS = 3  # of such, along each dimension
SAVED = {4: 2.0, 2: 1.5}  # how many times fewer products squares that divide an extent take, along each dimension


@dataclass(frozen=True)
class RouteGradients:
    """conv_*_grad(unpool(g, i)) => conv_*_grad_routed(g, i), and sum(unpool(g, i)) => sum(g), where all readers are such.

    A pool passes one cotangent per window on, and ``i`` says where to: of a window's cells all but one would be multiplied
    as zeros. Results differ from the dense ones in rounding (other order of sums) and in that a zero cotangent meets no
    infinity or NaN of the other operand. An input gradient that Winograd's algorithms make of fewer products keeps the image
    for itself, in its tiles (``passes/loops/unpool.py``).
    """

    name: str = "route-gradients"
    changes: ClassVar[tuple[str, ...]] = ("special values",)  # products with a cotangent of 0 are left out

    def __call__(self, graph: Graph) -> Graph:
        routed = _routable(graph)
        if not routed:
            return graph
        r = Rewriter(graph)
        for node in graph.nodes:
            source = next((routed[v] for v in node.operands if v in routed), None)
            with r.builder.at(node.loc if source is None else joined(node.loc, source.loc)):
                if source is not None and not _by_squares(graph, node, source):
                    r.env[node.results[0]] = _ROUTED[node.op](r, node, source)
                else:
                    r.env.update(zip(node.results, r.builder.copy_node(node, [r.env[i] for i in node.operands]), strict=True))
        return Dce()(r.finish(graph.outputs))


def _routable(graph: Graph) -> dict[int, Node]:
    """The unpooled images that need not be, with the node that makes each."""
    readers: dict[int, list[Node]] = {}
    for node in graph.nodes:
        for value in dict.fromkeys(node.operands):
            readers.setdefault(value, []).append(node)
    out = {}
    for node in graph.nodes:
        if node.op == "unpool" and node.results[0] not in graph.outputs and _follows_a_pool(graph, node):
            image = node.results[0]
            users = readers.get(image, [])
            if any(user.op in _GRADIENTS for user in users) and all(
                    _may_route(graph, user, node) or _by_squares(graph, user, node) for user in users):
                out[image] = node
    return out


def _by_squares(graph: Graph, user: Node, unpool: Node) -> bool:
    """Whether an input gradient takes less work as a dense one by Winograd's algorithms."""
    attrs, pool = user.attributes, unpool.attributes
    if user.op != "conv_input_grad" or attrs["groups"] != 1 or len(attrs["shape"]) != 2:
        return False
    w, g = graph.types[user.operands[1]].shape, graph.types[user.operands[0]].shape
    if prod((g[0], *attrs["shape"])) < POSITIONS or min(w[2:]) < CHANNELS:
        return False
    once = {*attrs["stride"], *attrs["dilation"]} == {1} and pool["window"] == pool["stride"] == (2, 2)
    if not once or w[:2] != (TAPS, TAPS) or any(n % 2 for n in attrs["shape"]):
        return False
    saved = prod(SAVED[gcd(n, 4)] for n in attrs["shape"])
    dense = prod(pool["window"]) * TAPS * TAPS * w[2] / DENSE_LANES / saved + DENSE_MOVES
    return dense < TAPS * -(-TAPS * w[2] // DENSE_LANES) + ENTRY_COST + UNFINISHED


def _follows_a_pool(graph: Graph, unpool: Node) -> bool:
    """Whether the index points into the image, at windows that lie apart."""
    attrs = unpool.attributes
    index = graph.producer.get(unpool.operands[1])
    if index is None or index.op != "max_pool_index":
        return False
    whole = all(pair == (0, 0) for pair in attrs["padding"]) and all(w <= s for w, s in zip(attrs["window"], attrs["stride"]))
    same = index.attributes == {k: v for k, v in unpool.attrs if k != "shape"}
    return whole and same and unpool.types[0].dtype.is_float


def _may_route(graph: Graph, user: Node, unpool: Node) -> bool:
    image = unpool.results[0]
    if user.op == "sum":
        spatial = set(range(1, unpool.types[0].rank - 1))
        return spatial <= set(user.attributes["axes"]) and not user.attributes.get("keepdims", False)
    if user.op not in _GRADIENTS or user.operands.count(image) != 1 or user.operands[_GRADIENTS[user.op]] != image:
        return False
    attrs = user.attributes
    if attrs["groups"] != 1 or any(p < 0 for pair in attrs["padding"] for p in pair):
        return False
    return _pays(graph, user, unpool)


def _pays(graph: Graph, user: Node, unpool: Node) -> bool:
    """Whether multiplying along the kernel's row costs less than multiplying all cells of the window."""
    x_or_w = graph.types[user.operands[1 - _GRADIENTS[user.op]]]
    kernel = user.attributes["shape"] if user.op == "conv_weight_grad" else x_or_w.shape[:-2]
    channels = x_or_w.shape[-1] if user.op == "conv_weight_grad" else x_or_w.shape[-2]
    row = channels * (kernel[-1] if user.attributes["dilation"][-1] == 1 else 1)
    rows = prod(kernel) * channels // row
    window = unpool.attributes["window"]
    dense = prod(window) * rows * row / DENSE_LANES + DENSE_MOVES
    listed = rows * -(-row // DENSE_LANES) + ENTRY_COST
    # weight gradients that reach a register's worth of each line are looked up, a register of entries at a time
    looked_up = user.op == "conv_weight_grad" and prod(window[:-1]) <= 2 and row + (window[-1] - 1) * channels <= DENSE_LANES
    return min(listed, 2 * rows * row / DENSE_LANES + LOOKUP_COST if looked_up else listed) < dense


def _pool_attrs(unpool: Node) -> dict[str, Any]:
    attrs = unpool.attributes
    return {"image": attrs["shape"], "window": attrs["window"], "pool_stride": attrs["stride"]}


def _weight_grad(r: Rewriter, node: Node, unpool: Node) -> Value:
    g, index = (r.env[v] for v in unpool.operands)
    attrs = {key: value for key, value in node.attributes.items() if key != "groups"}
    return r.builder.emit("conv_weight_grad_routed", (r.env[node.operands[0]], g, index), {**attrs, **_pool_attrs(unpool)})


def _input_grad(r: Rewriter, node: Node, unpool: Node) -> Value:
    """The gradient of the padded input, cut to the input."""
    g, index = (r.env[v] for v in unpool.operands)
    attrs = node.attributes
    low = [lo for lo, _ in attrs["padding"]]
    padded = tuple(n + lo + hi for n, (lo, hi) in zip(attrs["shape"], attrs["padding"]))
    routed = {"shape": padded, "stride": attrs["stride"], "dilation": attrs["dilation"], **_pool_attrs(unpool)}
    whole = r.builder.emit("conv_input_grad_routed", (g, index, r.env[node.operands[1]]), routed)
    if padded == attrs["shape"]:
        return whole
    size = (whole.shape[0], *attrs["shape"], whole.shape[-1])
    return r.builder.emit("slice", (whole,), {"start": (0, *low, 0), "size": size, "step": (1,) * len(size)})


def _sum(r: Rewriter, node: Node, unpool: Node) -> Value:
    return r.builder.emit("sum", (r.env[unpool.operands[0]],), node.attributes)


_GRADIENTS = {"conv_weight_grad": 1, "conv_input_grad": 0}  # where each takes the cotangent
_ROUTED = {"conv_weight_grad": _weight_grad, "conv_input_grad": _input_grad, "sum": _sum}
