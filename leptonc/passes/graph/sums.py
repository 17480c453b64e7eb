"""Factors that stay the same along what is summed up leave the sum, and sums of such terms are taken one by one.

    sum(x * broadcast(c) + y * broadcast(d)) => sum(x) * c + sum(y) * d

where x and y are summed over the same axes anyway, alone or times something: no memory is then read for it. So it is
with what normalizing by a mean and variance makes of gradients, whose mean is subtracted: it needs the sums that the gradients of
scale and shift are, not a pass of its own.

In exact arithmetic both sides are the same. Each product is rounded on the left, each sum on the right: the bound of the error, of
sums of |x * c| + |y * d|, is no larger. Terms that are no products stay together: ``x - broadcast(mean)`` cancels before it is
summed. A sum may overflow where its products do not, or the other way; an infinite factor makes NaN of a sum that is 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from leptonc.ir.graph import Graph, Node
from leptonc.ir.value import Value
from leptonc.passes.graph.rewriter import Rewriter

MOST_TERMS = 8


@dataclass(frozen=True)
class _Term:
    """``leaf`` times the broadcasts that ``factors`` makes."""

    leaf: int
    negative: bool
    factors: tuple[Node, ...] = ()


@dataclass(frozen=True)
class FactorSums:
    """Takes factors out of sums."""

    name: str = "factor-sums"
    changes: ClassVar[tuple[str, ...]] = ("rounding", "special values")

    def __call__(self, graph: Graph) -> Graph:
        finder = _Finder(graph)
        found = {node.results[0]: terms for node in graph.nodes if node.op == "sum" for terms in [finder.terms(node)] if terms}
        if not found:
            return graph
        r = Rewriter(graph)
        for node in graph.nodes:
            with r.builder.at(node.loc):
                if node.results[0] in found:
                    r.env[node.results[0]] = _factored(r, graph, node, found[node.results[0]])
                else:
                    r.env.update(zip(node.results, r.builder.copy_node(node, [r.env[i] for i in node.operands]), strict=True))
        return r.finish(graph.outputs)


class _Finder:
    def __init__(self, graph: Graph):
        self.graph = graph
        self.summed: set[tuple[int, Any]] = set()  # what is summed over which axes, alone or as a factor
        for node in graph.nodes:
            if node.op == "sum":
                product = graph.producer.get(node.operands[0])
                factors = product.operands if product is not None and product.op == "mul" else ()
                self.summed |= {(value, node.attributes["axes"]) for value in (*node.operands, *factors)}

    def terms(self, node: Node) -> list[_Term]:
        """The terms of a sum; none if it is better left as it is."""
        axes, terms = node.attributes["axes"], list[_Term]()
        if not node.types[0].dtype.is_float or not axes:
            return []
        for term in self._terms(_Term(node.operands[0], False), frozenset(axes)):
            terms.append(term)
            if len(terms) > MOST_TERMS:
                return []
        shared = all(term.factors and (term.leaf, axes) in self.summed for term in terms)
        return terms if shared and len(terms) > 1 else []

    def _terms(self, term: _Term, axes: frozenset[int]) -> Iterator[_Term]:
        made = self.graph.producer.get(term.leaf)
        match made.op if made is not None else "":
            case "neg" if not term.factors:
                yield from self._terms(self._at(term, made, 0, negative=True), axes)
            case "add" | "sub" as op if not term.factors:
                yield from self._terms(self._at(term, made, 0), axes)
                yield from self._terms(self._at(term, made, 1, negative=op == "sub"), axes)
            case "mul" if (number := self._scale(made, axes)) is not None:
                assert made is not None
                scale = self.graph.producer[made.operands[number]]
                yield from self._terms(_Term(made.operands[1 - number], term.negative, (*term.factors, scale)), axes)
            case _:
                yield term

    def _at(self, term: _Term, made: Node | None, number: int, negative: bool = False) -> _Term:
        assert made is not None
        return _Term(made.operands[number], term.negative != negative, term.factors)

    def _scale(self, made: Node | None, axes: frozenset[int]) -> int | None:
        """Which operand of a product is a broadcast that does not vary along the axes."""
        for number in (0, 1) if made is not None else ():
            node = self.graph.producer.get(made.operands[number]) if made is not None else None
            if node is not None and node.op == "broadcast" and axes.isdisjoint(node.attributes["dims"]):
                return number
        return None


def _factored(r: Rewriter, graph: Graph, node: Node, terms: list[_Term]) -> Value:
    axes = node.attributes["axes"]
    kept = [d for d in range(len(graph.types[node.operands[0]].shape)) if d not in axes]
    total: Value | None = None
    for term in terms:
        value: Value = r.builder.emit("sum", (r.env[term.leaf],), {"axes": axes})
        for factor in term.factors:
            value = r.builder.emit("mul", (value, _embedded(r, factor, node, kept)))
        if total is None:
            total = r.builder.emit("neg", (value,)) if term.negative else value
        else:
            total = r.builder.emit("sub" if term.negative else "add", (total, value))
    assert total is not None
    # a sum that is 0 is 0.0, whatever the signs of its factors
    out: Value = r.builder.emit("add", (total, r.builder.full(total.type, 0.0)))
    return out


def _embedded(r: Rewriter, factor: Node, node: Node, kept: list[int]) -> Value:
    """What a broadcast repeats, of the sum's shape."""
    value, shape = r.env[factor.operands[0]], node.types[0].shape
    dims = tuple(kept.index(d) for d in factor.attributes["dims"])
    if value.shape == shape and dims == tuple(range(len(shape))):
        return value
    out: Value = r.builder.emit("broadcast", (value,), {"shape": shape, "dims": dims})
    return out
