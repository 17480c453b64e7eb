"""Dead code elimination."""

from __future__ import annotations

from dataclasses import dataclass, replace

from leptonc.ir.graph import Graph, Node


@dataclass(frozen=True)
class Dce:
    """Drop every node no output depends on, in regions too. Inputs stay, and so do the ids of values."""

    name: str = "dce"

    def __call__(self, graph: Graph) -> Graph:
        live = set(graph.outputs)
        kept: list[Node] = []
        for node in reversed(graph.nodes):
            if live.isdisjoint(node.results):
                continue
            live.update(node.operands)
            kept.append(replace(node, regions=tuple(map(self, node.regions))) if node.regions else node)
        return replace(graph, nodes=tuple(reversed(kept)))
