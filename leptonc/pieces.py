"""Graphs with calls of Python, run piece by piece: native code up to a call, the call with all threads at rest, native code on.

A call may stand in the graph itself, also in a function with a derivative of its own. In a region of a loop or a branch there is no
place between two pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from leptonc import driver
from leptonc.errors import LeptonError
from leptonc.ir.graph import Graph, Node
from leptonc.ir.op import get_op
from leptonc.ir.parts import live_nodes, part

CALL = "host_call"
Values = dict[int, np.ndarray]


def with_calls(graph: Graph) -> Graph | None:
    """The graph, what it calls with a derivative of its own written out, if Python is called in it; else None. Raises LeptonError
    if that is in a region."""
    if all(node.op != CALL for node in graph.walk()):
        return None
    plain = driver.inlined(graph)
    for node in plain.nodes:
        inner = next((n for region in node.regions for n in region.walk() if n.op == CALL), None)
        if inner is not None:
            raise LeptonError(f"{_title(inner)} stands in a {node.op} of {graph.name}, and compiled loops and branches wait for no "
                              "Python; fix: call it outside of them")
    return plain


def _title(node: Node) -> str:
    return get_op(node.op).title(dict(node.attrs)) + (f" ({node.loc})" if node.loc else "")


class Pieces:
    """A graph in pieces, called as compiled code is."""

    def __init__(self, graph: Graph):
        self._graph = graph
        self._steps: list[Callable[[Values], None]] = []
        self._known = set(graph.inputs)
        for node in graph.nodes:
            if node.op == CALL:
                self._compute(node.operands)
                self._steps.append(_call_of(node))
                self._known.update(node.results)
        self._compute(graph.outputs)

    def _compute(self, wanted: Sequence[int]) -> None:
        """A piece that makes what is wanted, and whatever else of its values is needed behind it."""
        missing = [i for i in wanted if i not in self._known]
        if not missing:
            return
        made = live_nodes(self._graph.nodes, missing, self._known)
        inside = {i for node in made for i in node.results} - self._known
        ids = {id(node) for node in made}
        used = {i for node in self._graph.nodes if id(node) not in ids for i in node.operands} | set(self._graph.outputs)
        outputs = sorted(inside & (used | set(missing)))
        inputs = sorted({i for node in made for i in node.operands} & self._known)
        compiled = driver.compile_graph(part(self._graph, inputs, outputs), {})

        def run(values: Values) -> None:
            values.update(zip(outputs, compiled([values[i] for i in inputs])))

        self._steps.append(run)
        self._known.update(outputs)

    @property
    def executable(self) -> Pieces:
        return self

    def rest(self) -> None:
        """The pieces keep the memory of their intermediates."""

    def __getattr__(self, name: str) -> Any:
        """Raises LeptonError: there is no one text, or program, of several pieces."""
        if name.startswith("__"):
            raise AttributeError(name)
        raise LeptonError(f"{self._graph.name} calls Python, so it is compiled in pieces and has no {name}; fix: look at the stage "
                          "'traced', or take the call out")

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        values = dict(zip(self._graph.inputs, arrays))
        for step in self._steps:
            step(values)
        return [np.array(values[i]) if i in self._graph.inputs else values[i] for i in self._graph.outputs]


def _call_of(node: Node) -> Callable[[Values], None]:
    op, attrs = get_op(node.op), dict(node.attrs)

    def run(values: Values) -> None:
        given = [np.array(values[i]) for i in node.operands]
        values.update(zip(node.results, op.run(*given, **attrs), strict=True))

    return run
