"""Common subexpression elimination: of equal nodes on equal operands, the first stays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from leptonc.ir.graph import Graph, Node

# max and min are not among them: which of 0.0 and -0.0 they give depends on the order.
COMMUTATIVE = frozenset({"add", "mul", "and", "or", "xor", "eq", "ne"})


@dataclass(frozen=True)
class Cse:
    """Merge equal nodes, in regions too; commutative ones also with their operands exchanged. Every op is pure."""

    name: str = "cse"

    def __call__(self, graph: Graph) -> Graph:
        known: dict[Any, Node] = {}
        renamed: dict[int, int] = {}
        kept: list[Node] = []
        for node in graph.nodes:
            if node.regions or not renamed.keys().isdisjoint(node.operands):  # the others stay what they are
                node = replace(node, operands=tuple([renamed.get(i, i) for i in node.operands]),
                               regions=tuple(map(self, node.regions)))
            first = known.setdefault(_key(node), node)
            if first is node:
                kept.append(node)
            else:
                renamed.update(zip(node.results, first.results))
        return replace(graph, nodes=tuple(kept), outputs=tuple(renamed.get(i, i) for i in graph.outputs))


def _key(node: Node) -> Any:
    operands = tuple(sorted(node.operands)) if node.op in COMMUTATIVE else node.operands
    attrs = tuple((name, exact_key(value)) for name, value in node.attrs)
    return node.op, operands, attrs, tuple(map(_region_key, node.regions))


def _region_key(region: Graph) -> Any:
    nodes = tuple((_key(node), node.results) for node in region.nodes)
    return region.inputs, region.input_types, nodes, region.outputs


def exact_key(attr: Any) -> Any:
    """A key equal only for the same value: Python has 0.0 == -0.0, 1 == True and nan != nan."""
    if isinstance(attr, tuple):
        return tuple(map(exact_key, attr))
    return (type(attr), attr.hex()) if isinstance(attr, float) else (type(attr), attr)
