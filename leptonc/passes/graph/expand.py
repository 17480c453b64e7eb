"""Ops that are defined by other ops, replaced by those."""

from __future__ import annotations

from dataclasses import dataclass

from leptonc.ir.builder import rebuild
from leptonc.ir.graph import Graph
from leptonc.ir.op import get_op


@dataclass(frozen=True)
class Expand:
    """Replace each op that is defined by other ops by them."""

    name: str = "expand"

    def __call__(self, graph: Graph) -> Graph:
        while any(get_op(node.op).expands for node in graph.nodes):
            graph = _expanded(graph)
        return graph


def _expanded(graph: Graph) -> Graph:
    builder, env = rebuild(graph)
    for node in graph.nodes:
        operands = [env[i] for i in node.operands]
        op = get_op(node.op)
        if op.expands:
            with builder.at(node.loc):
                out = op.expand(*operands, **node.attributes, **({"regions": node.regions} if node.regions else {}))
            results = out if isinstance(out, tuple) else (out,)
        else:
            results = builder.copy_node(node, operands)
        env.update(zip(node.results, results, strict=True))
    return builder.finish([env[i] for i in graph.outputs])
