"""Differentiation, graph to graph: reverse mode, forward mode, and what comes of both.

The results are graphs of the same ops, so they can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from leptonc.errors import LeptonError
from leptonc.ir.differentiation import Linearized, Split
from leptonc.ir.graph import Graph
from leptonc.ir.parts import dependents
from leptonc.ops.calls import refuse_unknown_tangents, without_rules
from leptonc.passes.graph.dce import Dce
from leptonc.passes.graph.forward import Forward
from leptonc.passes.graph.linear import Saves, linearized, split, transpose
from leptonc.passes.graph.reverse import Reverse


def differentiate(graph: Graph, wrt: Sequence[int]) -> Graph:
    """The graph that computes ``graph`` and its vector-Jacobian product.

    Inputs: those of ``graph``, then one cotangent per float output, of its type and in order. Outputs: those of
    ``graph``, then one cotangent per position in ``wrt``, of that input's type; zeros for an integer input and for
    one that no float output depends on.

    Raises LeptonError for a position that is no input, and for an op without a derivative between an input in
    ``wrt`` and a float output.
    """
    reverse = Reverse(graph, wrt, RULES)
    return Dce()(reverse.builder.finish(reverse.outputs + reverse.cotangents()))


def forward(graph: Graph, wrt: Sequence[int]) -> Graph:
    """The graph that computes ``graph`` and its Jacobian-vector product.

    Inputs: those of ``graph``, then one tangent per position in ``wrt``, all floats. Outputs: those of ``graph``, then one tangent
    per float output. Raises LeptonError for a position that is no float input, and for an op without a derivative.
    """
    for position in wrt:
        if not (0 <= position < len(graph.inputs) and graph.input_types[position].dtype.is_inexact):
            raise LeptonError(f"forward: {graph.name} has no float input at {position}")
    found = _forward(graph, wrt, RULES)
    refuse_unknown_tangents(found)
    return found


def _forward(graph: Graph, wrt: Sequence[int], rules: _Rules) -> Graph:
    mode = Forward(Dce()(graph), wrt, rules)  # what nobody reads may have no forward mode
    return Dce()(mode.builder.finish(mode.outputs()))


def linear_forward(graph: Graph, wrt: Sequence[int], rules: bool = True) -> Linearized:
    """``forward`` in two graphs: what needs no tangents, and what is linear in them. Where a rule makes results and tangents in
    one, the second graph does all the work again. Without ``rules``, calls in the second one have lost their own derivatives,
    as in JAX's ``linearize``: it is linear."""
    whole, count = _forward(graph, wrt, APART), len(graph.outputs)
    refuse_unknown_tangents(whole)
    moving = dependents(whole, whole.inputs[len(graph.inputs):])
    if moving.isdisjoint(whole.outputs[:count]):
        parts = linearized(whole, len(wrt), count)
        return parts if rules else parts._replace(linear=without_rules(parts.linear))
    return Linearized(graph, replace(whole, outputs=whole.outputs[count:]), tuple(range(len(graph.inputs))))


def linear_reverse(graph: Graph, wrt: Sequence[int]) -> Linearized:
    """``differentiate`` in two graphs: what needs no cotangents, and what is linear in them."""
    floats = sum(t.dtype.is_inexact for t in graph.output_types)
    return linearized(differentiate(graph, wrt), floats, len(graph.outputs))


def transposed(graph: Graph, wrt: Sequence[int]) -> Graph:
    """The transpose of a graph in its inputs ``wrt``: see ``ir/differentiation.py``. Raises LeptonError if it is not linear."""
    return transpose(graph, wrt, LINEAR)


@dataclass(frozen=True)
class _Rules:
    """``ir.differentiation.Differentiation``."""

    apart: bool = False
    linear: bool = False

    def forward(self, graph: Graph, wrt: Sequence[int]) -> Graph:
        return _forward(graph, wrt, self)

    def linearize(self, graph: Graph, wrt: Sequence[int]) -> Linearized:
        return linearized(_forward(graph, wrt, replace(self, apart=True)), len(wrt), len(graph.outputs))

    def linearized(self, forward: Graph, tangents: int, outputs: int) -> Linearized:
        return linearized(forward, tangents, outputs)

    def transpose(self, graph: Graph, wrt: Sequence[int]) -> Graph:
        return transpose(graph, wrt, replace(self, linear=True))

    def split(self, graph: Graph, wrt: Sequence[int], saves: Saves) -> Split:
        return split(graph, wrt, saves, self)


RULES, APART, LINEAR = _Rules(), _Rules(apart=True), _Rules(linear=True)
