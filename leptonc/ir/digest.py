"""A graph as bytes that are equal for equal graphs, in every process: the key of compiled code."""

from __future__ import annotations

import hashlib
from typing import Any

from leptonc.ir.graph import Graph, Literal, Node


def digest(graph: Graph) -> bytes:
    """SHA-256 of all that a graph says; source lines take no part."""
    return hashlib.sha256(repr(_graph(graph)).encode()).digest()


def _graph(graph: Graph) -> tuple[object, ...]:
    return (graph.name, graph.inputs, [str(t) for t in graph.input_types], graph.input_names, graph.outputs,
            [_node(n) for n in graph.nodes])


def _node(node: Node) -> tuple[object, ...]:
    return (node.op, node.operands, node.results, [str(t) for t in node.types],
            [(key, _attribute(value)) for key, value in node.attrs], [_graph(g) for g in node.regions])


def _attribute(value: Any) -> object:
    if isinstance(value, Literal):
        return "literal", str(value.type), hashlib.sha256(value.data).hexdigest()
    if isinstance(value, tuple):
        return tuple(_attribute(v) for v in value)
    return type(value).__name__, repr(value)
