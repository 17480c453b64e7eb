"""Forward mode: tangents from operands to results, node by node.

No op has a rule for it. What the vjp of one node does to a cotangent is linear, and its transpose is what the node does to
tangents: so the vjp is built beside the graph, and pulled back itself. Ops with regions have rules of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

from leptonc.ir.builder import Builder
from leptonc.ir.differentiation import Differentiation
from leptonc.ir.graph import Graph, Node
from leptonc.ir.op import get_op
from leptonc.ir.parts import reaching_values, varied_values
from leptonc.ir.value import Value
from leptonc.passes.graph.reverse import Sum, add_cotangents, operand_cotangents, rule_attributes


class Forward:
    """A graph under construction that computes ``graph`` and its tangents; what has none here is a zero."""

    def __init__(self, graph: Graph, wrt: Sequence[int], rules: Differentiation):
        self.graph, self.rules, self.wanted = graph, rules, reaching_values(graph)
        self.builder = Builder(graph.name)
        names = graph.input_names or ("",) * len(graph.inputs)
        self.env = {i: self.builder.input(t, n) for i, t, n in zip(graph.inputs, graph.input_types, names, strict=True)}
        self.tangents = {graph.inputs[p]: self.builder.input(graph.input_types[p], f"tangent of {names[p]}" if names[p] else "")
                         for p in wrt}
        for node in graph.nodes:
            with self.builder.at(node.loc):
                self._node(node)

    def outputs(self) -> list[Value]:
        """The outputs, then a tangent for each float one."""
        floats = [i for i in self.graph.outputs if self.graph.types[i].dtype.is_inexact]
        return [*(self.env[i] for i in self.graph.outputs), *(self._tangent(i) for i in floats)]

    def _tangent(self, i: int) -> Value:
        return self.tangents[i] if i in self.tangents else self.builder.full(self.graph.types[i], 0)

    def _node(self, node: Node) -> None:
        operands, op = [self.env[i] for i in node.operands], get_op(node.op)
        tangents = [self.tangents.get(i) for i in node.operands]
        moving = any(t is not None for t in tangents) and not self.wanted.isdisjoint(node.results)
        if moving and op.has_jvp:
            results, found = op.jvp(self.rules, tuple(tangents), *operands, **rule_attributes(node))
        else:
            results = self.builder.copy_node(node, operands)
            found = self._pushed(node, tangents, results) if moving else [None] * len(results)
        self.env.update(zip(node.results, results, strict=True))
        self.tangents.update((i, t) for i, t in zip(node.results, found, strict=True) if t is not None)

    def _pushed(self, node: Node, tangents: Sequence[Value | None], results: Sequence[Value]) -> list[Value | None]:
        """Tangents of the results: the cotangents of the node's vjp as a function of its own cotangents, pulled back."""
        vjp = Builder(node.op, lambda: node.loc)
        operands = [vjp.input(self.graph.types[i]) for i in node.operands]
        made = [vjp.input(t) for t in node.types]
        seeds = [vjp.input(t) if t.dtype.is_inexact else None for t in node.types]
        found = operand_cotangents(node, seeds, made, operands)
        wanted = [(c, t) for c, t in zip(found, tangents, strict=True) if c is not None and t is not None]
        pullback = vjp.finish([c for c, _ in wanted])
        known = {v.id: self.env[i] for v, i in zip(operands, node.operands)} | {v.id: x for v, x in zip(made, results)}
        pulled = self._transposed(pullback, known, [s.id for s in seeds if s is not None], [t for _, t in wanted])
        return [None if s is None else pulled[s.id] for s in seeds]

    def _transposed(self, pullback: Graph, known: dict[int, Value], seeds: Sequence[int],
                    cotangents: Sequence[Value]) -> dict[int, Value | None]:
        """Cotangents of the inputs ``seeds``, in which ``pullback`` is linear: they are zeros in the nodes that are copied, of
        which nothing is left that depends on them."""
        varied = varied_values(pullback, seeds)
        env = {**known, **{i: self.builder.full(pullback.types[i], 0) for i in seeds}}
        for node in pullback.nodes:
            env.update(zip(node.results, self.builder.copy_node(node, [env[i] for i in node.operands]), strict=True))
        sums: dict[int, Sum] = {}
        for i, cotangent in zip(pullback.outputs, cotangents):
            if i in varied:
                sums.setdefault(i, Sum()).add(cotangent)
        for node in reversed(pullback.nodes):
            g = [sums.pop(i).total() if i in sums else None for i in node.results]
            if varied.isdisjoint(node.results) or all(x is None for x in g):
                continue
            operands = [env[i] for i in node.operands]
            found = operand_cotangents(node, g, [env[i] for i in node.results], operands)
            add_cotangents(node, g, operands, found, sums, varied)
        return {i: sums[i].total() if i in sums else None for i in seeds}
