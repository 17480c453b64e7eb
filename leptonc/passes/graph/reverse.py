"""Reverse mode: cotangents from results to operands, node by node, by the ops' own rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from leptonc.errors import IRError, LeptonError, op_error
from leptonc.frames import gradient_of
from leptonc.ir.builder import Builder
from leptonc.ir.cotangents import plus
from leptonc.ir.differentiation import Differentiation
from leptonc.ir.graph import Graph, Node
from leptonc.ir.op import Op, get_op
from leptonc.ir.parts import reaching_values, varied_values
from leptonc.ir.value import Value

MOST_PIECES = 64  # that wait until all are there


class Reverse:
    """A graph under differentiation: its own nodes are there, and ``env`` has their values."""

    def __init__(self, graph: Graph, wrt: Sequence[int], rules: Differentiation):
        for position in wrt:
            if not 0 <= position < len(graph.inputs):
                raise LeptonError(f"differentiate: {graph.name} has {len(graph.inputs)} inputs, none at {position}")
        self.graph, self.wrt, self.rules = graph, wrt, rules
        self.builder, self.env, self.seeds = _begin(graph)
        self.saved: dict[int, Any] = {}  # by the first result of a node with passes
        # what nothing reads but stop_gradient need not have a derivative
        self.varied = varied_values(graph, [graph.inputs[p] for p in wrt]) & reaching_values(graph)
        for node in graph.nodes:
            self._forward(node)

    @property
    def outputs(self) -> list[Value]:
        return [self.env[i] for i in self.graph.outputs]

    def _forward(self, node: Node) -> None:
        operands = [self.env[i] for i in node.operands]
        op = get_op(node.op)
        if not op.has_passes or self.varied.isdisjoint(node.results):
            results: Sequence[Value] = self.builder.copy_node(node, operands)
        else:
            varied = tuple(i in self.varied for i in node.operands)
            with self.builder.at(node.loc):
                results, saved = op.forward_pass(self.rules, varied, *operands, **rule_attributes(node))
            self.saved[node.results[0]] = saved
        self.env.update(zip(node.results, results, strict=True))

    def cotangents(self) -> list[Value]:
        """One for each of ``wrt``."""
        sums = _seeded(self.graph, self.seeds)
        for node in reversed(self.graph.nodes):
            if not self.varied.isdisjoint(node.results):
                self._pull_back(node, sums)
        return [_input_cotangent(self.builder, self.graph, position, sums) for position in self.wrt]

    def _pull_back(self, node: Node, sums: dict[int, Sum]) -> None:
        with self.builder.at(gradient_of(node.loc)):
            # A finished sum goes: its adds are emitted here, and nothing asks for it again.
            found = [sums.pop(i).total() if i in sums else None for i in node.results]
            if all(g is None for g in found):
                return
            operands = [self.env[i] for i in node.operands]
            if get_op(node.op).has_passes:
                saved = self.saved[node.results[0]]
                cotangents = get_op(node.op).backward_pass(self.rules, saved, tuple(found), *operands, **rule_attributes(node))
            else:
                cotangents = operand_cotangents(node, found, [self.env[i] for i in node.results], operands)
            add_cotangents(node, found, operands, cotangents, sums, self.varied)


@dataclass(frozen=True)
class Piece:
    """A cotangent that is ``value`` from ``start`` of an axis on, and zeros elsewhere: ``whole``."""

    axis: int
    start: int
    value: Value
    whole: Value


class Sum:
    """Cotangents of one value, added as a binary counter carries.

    The tree of adds is balanced, so rounding grows with the logarithm of their number, and only as many partial
    sums wait at a time. A list summed at the end would keep every contribution of a 5,000-fold fan-out in memory.
    Some pieces do wait: where they make up the value, as the parts of a split do, they are joined, not added.
    """

    def __init__(self) -> None:
        self.partial: list[tuple[int, Value]] = []  # (level, sum of 2**level contributions), levels decreasing
        self.pieces: list[Piece] = []

    def add(self, value: Value, piece: Piece | None = None) -> None:
        if piece is not None and len(self.pieces) < MOST_PIECES:
            self.pieces.append(piece)
        else:
            self._count(value)

    def _count(self, value: Value) -> None:
        level = 0
        while self.partial and self.partial[-1][0] == level:
            value = plus(self.partial.pop()[1], value)
            level += 1
        self.partial.append((level, value))

    def total(self) -> Value:
        for found in _joined(self.pieces):
            self._count(found)
        self.pieces = []
        value = self.partial[-1][1]
        for _, other in reversed(self.partial[:-1]):
            value = plus(other, value)
        self.partial = [(0, value)]
        return value


def _joined(pieces: Sequence[Piece]) -> list[Value]:
    """Pieces that follow each other and make up the whole as one value, others as wholes."""
    ordered = sorted(pieces, key=lambda p: p.start)
    ends = [p.start + p.value.shape[p.axis] for p in ordered]
    follow = len({p.axis for p in ordered}) == 1 and [p.start for p in ordered] == [0, *ends[:-1]]
    if len(ordered) > 1 and follow and ends[-1] == ordered[0].whole.shape[ordered[0].axis]:
        return [get_op("concatenate")(*(p.value for p in ordered), axis=ordered[0].axis)]
    return [p.whole for p in pieces]


def _begin(graph: Graph) -> tuple[Builder, dict[int, Value], list[Value]]:
    """A builder with all inputs, the Values of ``graph``'s, and one cotangent input per float output."""
    builder = Builder(graph.name)
    names = graph.input_names or ("",) * len(graph.inputs)
    env = {i: builder.input(t, n) for i, t, n in zip(graph.inputs, graph.input_types, names, strict=True)}
    seeds = [builder.input(t, "") for t in graph.output_types if t.dtype.is_inexact]
    return builder, env, seeds


def _seeded(graph: Graph, seeds: Sequence[Value]) -> dict[int, Sum]:
    sums: dict[int, Sum] = {}
    floats = [i for i in graph.outputs if graph.types[i].dtype.is_inexact]
    for output, seed in zip(floats, seeds, strict=True):
        sums.setdefault(output, Sum()).add(seed)
    return sums


def add_cotangents(node: Node, g: Sequence[Value | None], operands: Sequence[Value], cotangents: Sequence[Value | None],
                   sums: dict[int, Sum], varied: set[int]) -> None:
    """Add what ``node``'s results, whose cotangents are ``g``, pass on to the cotangents of its operands."""
    for i, operand, cotangent in zip(node.operands, operands, cotangents, strict=True):
        if cotangent is None or i not in varied:
            continue
        if cotangent.type != operand.type:
            raise IRError(f"vjp of {node.op} gives {cotangent.type} for an operand {operand.type} ({node.loc})")
        sums.setdefault(i, Sum()).add(cotangent, _piece(node, g[0], cotangent))


def _piece(node: Node, g: Value | None, cotangent: Value) -> Piece | None:
    """The cotangent of what a node slices along one axis."""
    if node.op != "slice" or g is None or set(node.attributes["step"]) - {1}:
        return None
    cut = [d for d, (part, whole) in enumerate(zip(g.shape, cotangent.shape)) if part != whole]
    return Piece(cut[0], node.attributes["start"][cut[0]], g, cotangent) if len(cut) == 1 else None


def rule_attributes(node: Node) -> dict[str, Any]:
    """What the rules of a node's op get by name."""
    return node.attributes | ({"regions": node.regions} if node.regions else {})


def operand_cotangents(node: Node, g: Sequence[Value | None], y: Sequence[Value],
                       operands: Sequence[Value]) -> tuple[Value | None, ...]:
    """Cotangents of a node's operands by its op's vjp. Raises LeptonError if it has none."""
    op = _differentiable(node, operands)
    if op.results == 1:
        return op.vjp(g[0], y[0], *operands, **rule_attributes(node))
    return op.vjp(tuple(g), tuple(y), *operands, **rule_attributes(node))


def _differentiable(node: Node, operands: Sequence[Value]) -> Op:
    op = get_op(node.op)
    if not op.differentiable:
        names = {name: str(v.type) for name, v in zip(op.operand_names, operands)}
        raise op_error(op.title(rule_attributes(node)), "has no derivative", names,
                       "pass its operand through stop_gradient to treat the result as a constant", LeptonError, node.loc)
    return op


def _input_cotangent(builder: Builder, graph: Graph, position: int, sums: dict[int, Sum]) -> Value:
    type_ = graph.input_types[position]
    total = sums.get(graph.inputs[position])
    return builder.full(type_, 0) if total is None or not type_.dtype.is_inexact else total.total()
