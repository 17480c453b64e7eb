"""Dead code elimination."""

from __future__ import annotations

from dataclasses import dataclass, replace

from leptonc.ir.graph import Graph, with_regions
from leptonc.ir.parts import live_nodes


@dataclass(frozen=True)
class Dce:
    """Drop every node no output depends on, in regions too. Inputs stay, and so do the ids of values."""

    name: str = "dce"

    def __call__(self, graph: Graph) -> Graph:
        return with_regions(replace(graph, nodes=tuple(live_nodes(graph.nodes, graph.outputs))), self)
