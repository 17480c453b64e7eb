"""Reverse-mode differentiation, graph to graph.

The result is a graph of the same ops, so it can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Sequence

from leptonc.errors import IRError, LeptonError, op_error
from leptonc.frames import gradient_of
from leptonc.ir.builder import Builder
from leptonc.ir.graph import Graph, Node
from leptonc.ir.op import Op, get_op
from leptonc.ir.value import Value
from leptonc.passes.graph.dce import Dce


def differentiate(graph: Graph, wrt: tuple[int, ...]) -> Graph:
    """The graph that computes ``graph`` and its vector-Jacobian product.

    Inputs: those of ``graph``, then one cotangent per float output, of its type and in order. Outputs: those of
    ``graph``, then one cotangent per position in ``wrt``, of that input's type; zeros for an integer input and for
    one that no float output depends on.

    Raises LeptonError for a position that is no input, and for an op without a derivative between an input in
    ``wrt`` and a float output.
    """
    for position in wrt:
        if not 0 <= position < len(graph.inputs):
            raise LeptonError(f"differentiate: {graph.name} has {len(graph.inputs)} inputs, none at {position}")
    builder, env, seeds = _begin(graph)
    for node in graph.nodes:
        env.update(zip(node.results, builder.copy_node(node, [env[i] for i in node.operands]), strict=True))
    sums = _seeded(graph, seeds)
    varied = _varied(graph, wrt)
    for node in reversed(graph.nodes):
        if not varied.isdisjoint(node.results):
            _pull_back(node, builder, env, sums, varied)
    results = [_input_cotangent(builder, graph, position, sums) for position in wrt]
    return Dce()(builder.finish([env[i] for i in graph.outputs] + results))


class _Sum:
    """Cotangents of one value, added as a binary counter carries.

    The tree of adds is balanced, so rounding grows with the logarithm of their number, and only as many partial
    sums wait at a time. A list summed at the end would keep every contribution of a 5,000-fold fan-out in memory.
    """

    def __init__(self) -> None:
        self.partial: list[tuple[int, Value]] = []  # (level, sum of 2**level contributions), levels decreasing

    def add(self, value: Value) -> None:
        level = 0
        while self.partial and self.partial[-1][0] == level:
            value = self.partial.pop()[1] + value
            level += 1
        self.partial.append((level, value))

    def total(self) -> Value:
        value = self.partial[-1][1]
        for _, other in reversed(self.partial[:-1]):
            value = other + value
        self.partial = [(0, value)]
        return value


def _begin(graph: Graph) -> tuple[Builder, dict[int, Value], list[Value]]:
    """A builder with all inputs, the Values of ``graph``'s, and one cotangent input per float output."""
    builder = Builder(graph.name)
    names = graph.input_names or ("",) * len(graph.inputs)
    env = {i: builder.input(t, n) for i, t, n in zip(graph.inputs, graph.input_types, names, strict=True)}
    seeds = [builder.input(t, "") for t in graph.output_types if t.dtype.is_float]
    return builder, env, seeds


def _seeded(graph: Graph, seeds: Sequence[Value]) -> dict[int, _Sum]:
    sums: dict[int, _Sum] = {}
    floats = [i for i in graph.outputs if graph.types[i].dtype.is_float]
    for output, seed in zip(floats, seeds, strict=True):
        sums.setdefault(output, _Sum()).add(seed)
    return sums


def _varied(graph: Graph, wrt: Sequence[int]) -> set[int]:
    """The float values that depend on an input in ``wrt`` through floats alone."""
    varied = {graph.inputs[p] for p in wrt if graph.input_types[p].dtype.is_float}
    for node in graph.nodes:
        if not varied.isdisjoint(node.operands):
            varied.update(i for i, t in zip(node.results, node.types) if t.dtype.is_float)
    return varied


def _pull_back(node: Node, builder: Builder, env: dict[int, Value], sums: dict[int, _Sum], varied: set[int]) -> None:
    """Add what ``node``'s results pass on to the cotangents of its operands."""
    with builder.at(gradient_of(node.loc)):
        # A finished sum goes: its adds are emitted here, and nothing asks for it again.
        found = [sums.pop(i).total() if i in sums else None for i in node.results]
        if all(g is None for g in found):
            return
        operands = [env[i] for i in node.operands]
        cotangents = _cotangents(node, found, [env[i] for i in node.results], operands)
        for i, operand, cotangent in zip(node.operands, operands, cotangents, strict=True):
            if cotangent is None or i not in varied:
                continue
            if cotangent.type != operand.type:
                raise IRError(f"vjp of {node.op} gives {cotangent.type} for an operand {operand.type} ({node.loc})")
            sums.setdefault(i, _Sum()).add(cotangent)


def _cotangents(node: Node, g: Sequence[Value | None], y: Sequence[Value],
                operands: Sequence[Value]) -> tuple[Value | None, ...]:
    op = _differentiable(node, operands)
    attrs = node.attributes | ({"regions": node.regions} if node.regions else {})
    if op.results == 1:
        return op.vjp(g[0], y[0], *operands, **attrs)
    return op.vjp(tuple(g), tuple(y), *operands, **attrs)


def _differentiable(node: Node, operands: Sequence[Value]) -> Op:
    op = get_op(node.op)
    if not op.differentiable:
        names = {name: str(v.type) for name, v in zip(op.operand_names, operands)}
        raise op_error(node.op, "has no derivative", names,
                       "pass its operand through stop_gradient to treat the result as a constant", LeptonError, node.loc)
    return op


def _input_cotangent(builder: Builder, graph: Graph, position: int, sums: dict[int, _Sum]) -> Value:
    type_ = graph.input_types[position]
    total = sums.get(graph.inputs[position])
    return builder.full(type_, 0) if total is None or not type_.dtype.is_float else total.total()
