"""Moving a ReLU behind the max-pool that reads it, where it has fewer elements, with its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from leptonc.ir.graph import Graph, Node
from leptonc.ir.value import Value
from leptonc.passes.graph.dce import Dce
from leptonc.passes.graph.rewriter import Rewriter

POOLS = ("max_pool", "max_pool_index")


@dataclass(frozen=True)
class SinkRelu:
    """max_pool(relu(x)) => relu(max_pool(x)), and select(relu(x) > 0, unpool(g, i), 0) => unpool(select(y > 0, g, 0), i').

    Exact. Let r = relu(x), y the pooled result, i and i' the indices of the first maximum of r and of x.
    max commutes with relu (both monotone, both give NaN for NaN, and relu gives 0.0 for -0.0, so that y has no -0.0
    either way). Where y > 0 the maximum of a window is positive, so r and x have it at the same first cell: i = i'.
    Where y <= 0 or NaN, the chosen cell c has r_c <= 0 or NaN, the mask r_c > 0 is false and the gradient 0 on both
    sides, wherever it is put. Windows that choose the same cell have the same y, so the mask may be taken per window
    also where windows overlap. (No window lies in padding alone: max_pool does not allow it.)

    There i and i' do differ, so nothing but the masked gradients may read the index or what is unpooled with it.
    """

    name: str = "sink-relu"

    def __call__(self, graph: Graph) -> Graph:
        found = _Finder(graph)
        sinks = [s for node in graph.nodes if node.op == "relu" for s in [found.sink(node)] if s is not None]
        if not sinks:
            return graph
        pools = {pool.results[0]: sink for sink in sinks for pool in sink.pools}
        selects = {node.results[0]: sink for sink in sinks for node in sink.selects}
        r = Rewriter(graph)
        for node in graph.nodes:
            value = node.results[0]
            with r.builder.at(node.loc):
                if value in pools:
                    r.env[value] = _pooled(r, pools[value], node)
                elif value in selects:
                    r.env[value] = _unpooled(r, selects[value], found, node)
                else:
                    r.env.update(zip(node.results, r.builder.copy_node(node, [r.env[i] for i in node.operands]), strict=True))
        return Dce()(r.finish(graph.outputs))


@dataclass(frozen=True)
class _Sink:
    """One relu with what reads it: pools (max_pool and max_pool_index nodes), and selects that mask a gradient."""

    relu: Node
    attrs: dict[str, Any]
    pools: tuple[Node, ...]
    selects: tuple[Node, ...]
    made: dict[str, Value]


class _Finder:
    def __init__(self, graph: Graph):
        self.graph = graph
        self.outputs = frozenset(graph.outputs)
        self.readers: dict[int, list[Node]] = {}
        for node in graph.nodes:
            for value in dict.fromkeys(node.operands):
                self.readers.setdefault(value, []).append(node)

    def sink(self, relu: Node) -> _Sink | None:
        value = relu.results[0]
        readers = self.readers.get(value, [])
        pools = tuple(n for n in readers if n.op in POOLS)
        if value in self.outputs or not any(n.op == "max_pool" for n in pools) or len({n.attrs for n in pools}) != 1:
            return None
        attrs = pools[0].attributes
        if not relu.types[0].dtype.is_float:
            return None
        selects: list[Node] = []
        for node in readers:
            if node.op in POOLS:
                continue
            masked = self._masked(node, value, attrs)
            if masked is None:
                return None
            selects += masked
        if not self._masks_every_index(pools, selects):
            return None
        return _Sink(relu, attrs, pools, tuple(selects), {})

    def _masks_every_index(self, pools: Sequence[Node], selects: Sequence[Node]) -> bool:
        """Whether the indices are read by unpools alone, and those by ``selects`` alone."""
        masked = {select.results[0] for select in selects}
        indices = [pool.results[0] for pool in pools if pool.op == "max_pool_index"]
        unpools = [node for index in indices for node in self.readers.get(index, [])]
        if any(node.op != "unpool" for node in unpools) or not self.outputs.isdisjoint(indices):
            return False
        images = [node.results[0] for node in unpools]
        return self.outputs.isdisjoint(images) and all(
            reader.results[0] in masked for image in images for reader in self.readers.get(image, []))

    def _masked(self, compare: Node, value: int, attrs: dict[str, Any]) -> list[Node] | None:
        """The selects fed by ``gt(value, 0)`` if they all mask an unpool that follows this pool's index."""
        mask = compare.results[0]
        if compare.op != "gt" or compare.operands[0] != value or not self.is_zero(compare.operands[1]):
            return None
        if mask in self.outputs:
            return None
        selects = self.readers.get(mask, [])
        for select in selects:
            if select.op != "select" or select.operands[0] != mask or not self.is_zero(select.operands[2]):
                return None
            unpool = self.graph.producer.get(select.operands[1])
            if unpool is None or unpool.op != "unpool":
                return None
            index = self.graph.producer.get(unpool.operands[1])
            if index is None or index.op != "max_pool_index" or index.operands != (value,) or index.attributes != attrs:
                return None
            if {k: v for k, v in unpool.attrs if k != "shape"} != attrs:
                return None
        return selects

    def is_zero(self, value: int) -> bool:
        """Whether a value is the constant 0 throughout, and not -0.0."""
        node = self.graph.producer.get(value)
        if node is not None and node.op == "broadcast":
            node = self.graph.producer.get(node.operands[0])
        return node is not None and node.op == "constant" and not node.attributes["value"].data.strip(b"\0")


def _pooled(r: Rewriter, sink: _Sink, node: Node) -> Value:
    """max_pool(relu(x)) => relu(max_pool(x)); max_pool_index(relu(x)) => max_pool_index(x)."""
    x = r.env[sink.relu.operands[0]]
    if node.op == "max_pool_index":
        if "index" not in sink.made:
            sink.made["index"] = r.builder.emit("max_pool_index", (x,), sink.attrs)
        return sink.made["index"]
    return _result(r, sink)


def _result(r: Rewriter, sink: _Sink) -> Value:
    if "result" not in sink.made:
        x = r.env[sink.relu.operands[0]]
        sink.made["result"] = r.builder.emit("relu", (r.builder.emit("max_pool", (x,), sink.attrs),))
    return sink.made["result"]


def _unpooled(r: Rewriter, sink: _Sink, found: _Finder, node: Node) -> Value:
    """select(relu(x) > 0, unpool(g, i), 0) => unpool(select(y > 0, g, 0), i')."""
    unpool = found.graph.producer[node.operands[1]]
    g, index = (r.env[i] for i in unpool.operands)
    y = _result(r, sink)
    zeros = r.builder.full(g.type, 0)
    masked = r.builder.emit("select", (r.builder.emit("gt", (y, r.builder.full(y.type, 0))), g, zeros))
    with r.builder.at(unpool.loc):
        return r.builder.emit("unpool", (masked, index), unpool.attributes)
