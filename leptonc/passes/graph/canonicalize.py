"""Applying the rewrite rules: one sweep in definition order, so that each rule sees simplified operands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from leptonc.ir.graph import Graph, Node
from leptonc.ir.op import get_op
from leptonc.ir.value import Value
from leptonc.passes.graph.rewriter import Rewriter
from leptonc.passes.graph.rules import RULES, sink_broadcast


@dataclass(frozen=True)
class Canonicalize:
    """``drop_stop_gradient``: stop_gradient(x) => x, sampling_parameter(x) => x, checkpoint_name(x) => x, in graphs that are not
    differentiated again."""

    drop_stop_gradient: bool = False
    name: str = "canonicalize"

    def __call__(self, graph: Graph) -> Graph:
        sweep = _Sweep(graph, self)
        for node in graph.nodes:
            sweep.node(node)
        return sweep.finish(graph.outputs)


IDENTITIES = frozenset({"stop_gradient", "sampling_parameter", "checkpoint_name"})  # that matter to differentiation alone


class _Sweep(Rewriter):
    def __init__(self, graph: Graph, options: Canonicalize):
        super().__init__(graph)
        self.options = options

    def node(self, node: Node) -> None:
        operands = [self.env[i] for i in node.operands]
        if node.regions or get_op(node.op).results != 1:  # no rule rewrites what may have several results
            node = replace(node, regions=tuple(map(self.options, node.regions)))
            self.env.update(zip(node.results, self.builder.copy_node(node, operands), strict=True))
            return
        with self.builder.at(node.loc):
            self.env[node.results[0]] = self.emit(node.op, operands, node.attributes)

    def emit(self, op: str, operands: Sequence[Value], attrs: dict[str, Any]) -> Value:
        if op in IDENTITIES and self.options.drop_stop_gradient:
            return operands[0]
        found = sink_broadcast(self, op, list(operands), attrs)
        for rule in RULES.get(op, ()):
            if found is not None:
                return found
            found = rule.function(self, list(operands), attrs)
        return found if found is not None else self.builder.emit(op, operands, attrs)
