"""Ops that are defined by other ops, replaced by those."""

from __future__ import annotations

from dataclasses import dataclass

from leptonc.ir.builder import rebuild
from leptonc.ir.graph import Graph, Node
from leptonc.ir.op import get_op


@dataclass(frozen=True)
class Expand:
    """Replace each op that is defined by other ops by them, but for those in ``keep``."""

    keep: frozenset[str] = frozenset()
    name: str = "expand"

    def __call__(self, graph: Graph) -> Graph:
        while any(self._replaces(node) for node in graph.nodes):
            graph = self._expanded(graph)
        return graph

    def _replaces(self, node: Node) -> bool:
        return node.op not in self.keep and get_op(node.op).expands

    def _expanded(self, graph: Graph) -> Graph:
        builder, env = rebuild(graph)
        for node in graph.nodes:
            operands = [env[i] for i in node.operands]
            if self._replaces(node):
                with builder.at(node.loc):
                    regions = {"regions": node.regions} if node.regions else {}
                    out = get_op(node.op).expand(*operands, **node.attributes, **regions)
                results = out if isinstance(out, tuple) else (out,)
            else:
                results = builder.copy_node(node, operands)
            env.update(zip(node.results, results, strict=True))
        return builder.finish([env[i] for i in graph.outputs])
