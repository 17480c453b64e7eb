"""Calls replaced by what they call: once differentiation is done, nothing asks for them any more."""

from __future__ import annotations

from dataclasses import dataclass, replace

from leptonc.ir.builder import rebuild
from leptonc.ir.graph import Graph
from leptonc.ir.op import get_op
from leptonc.ops.calls import Call
from leptonc.passes.graph.reverse import rule_attributes


@dataclass(frozen=True)
class InlineCalls:
    """``y = custom_vjp_call(x) regions [f, ...] => y = f(x)``, in regions too; what a checkpoint computes anew waits behind a
    barrier."""

    name: str = "inline-calls"

    def __call__(self, graph: Graph) -> Graph:
        while any(isinstance(get_op(node.op), Call) for node in graph.walk()):
            graph = self._once(graph)
        return graph

    def _once(self, graph: Graph) -> Graph:
        builder, env = rebuild(graph)
        inputs = {v.id for v in builder.inputs}
        for node in graph.nodes:
            operands = [env[i] for i in node.operands]
            op = get_op(node.op)
            if isinstance(op, Call):
                with builder.at(node.loc):
                    results = op.inline([x.id in inputs for x in operands], *operands, **rule_attributes(node))
            else:
                results = builder.copy_node(replace(node, regions=tuple(map(self, node.regions))), operands)
            env.update(zip(node.results, results, strict=True))
        return builder.finish([env[i] for i in graph.outputs])
