"""Rebuilding a graph node by node, with what rewrite rules ask of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leptonc.ir.builder import rebuild
from leptonc.ir.graph import Graph, Node
from leptonc.ir.value import Value


class Rewriter:
    """A graph under reconstruction: values already made know the node that made them."""

    def __init__(self, graph: Graph):
        self.builder, self.env = rebuild(graph)

    def node_of(self, value: Value) -> Node | None:
        """The node that made a value; None for an input."""
        return self.builder.producer(value.id)

    def made_by(self, value: Value, op: str) -> Node | None:
        """The node that made a value if it is an ``op``."""
        node = self.node_of(value)
        return node if node is not None and node.op == op else None

    def operand(self, node: Node, number: int = 0) -> Value:
        """An operand of a node of the new graph."""
        return self.builder.value(node.operands[number])

    def array(self, value: Value) -> np.ndarray | None:
        """The elements of a constant."""
        node = self.made_by(value, "constant")
        return None if node is None else node.attributes["value"].array

    def splat(self, value: Value) -> np.generic | None:
        """The number that a constant, or a broadcast of one, has throughout; by bits, so that -0.0 is not 0.0."""
        broadcast = self.made_by(value, "broadcast")
        if broadcast is not None:
            value = self.operand(broadcast)
        array = self.array(value)
        if array is None or not array.size:
            return None
        first = array.reshape(-1)[:1]
        return first[0] if first.tobytes() * array.size == array.tobytes() else None

    def finish(self, outputs: Sequence[int]) -> Graph:
        return self.builder.finish([self.env[i] for i in outputs])
