"""What the rules of ops with regions may ask of differentiation: see ``passes/graph/autodiff.py``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from leptonc.ir.graph import Graph, Node


class Linearized(NamedTuple):
    """``known`` takes a graph's inputs and gives its outputs, then what the derivative needs of them. ``linear`` takes ``needed``
    of the inputs (by position), these residuals, and the tangents; it gives a tangent for each float output."""

    known: Graph
    linear: Graph
    needed: tuple[int, ...]


class Split(NamedTuple):
    """``forward`` takes a graph's inputs and gives its outputs, then the values saved. ``backward`` takes ``needed`` of the inputs
    (by position), the saved values, and a cotangent for each float output; it gives those of the inputs asked for."""

    forward: Graph
    backward: Graph
    needed: tuple[int, ...]


class Differentiation(Protocol):
    """Regions differentiated. ``wrt`` are positions of inputs; integers have neither tangents nor cotangents."""

    @property
    def apart(self) -> bool:
        """Whether results and their tangents are wanted from nodes of their own, so that the graph can be cut between them."""
        ...

    @property
    def linear(self) -> bool:
        """Whether a graph is transposed: what is made of others than its linear inputs is made anew, of what there is of these."""
        ...

    def forward(self, graph: Graph, wrt: Sequence[int]) -> Graph:
        """Inputs: those of ``graph``, then a tangent for each of ``wrt``. Outputs: those of ``graph``, then a tangent for each
        float output."""
        ...

    def linearize(self, graph: Graph, wrt: Sequence[int]) -> Linearized:
        """``forward`` in two: what needs no tangents, and what is linear in them."""
        ...

    def linearized(self, forward: Graph, tangents: int, outputs: int) -> Linearized:
        """A graph of forward mode in two: its last inputs are ``tangents`` many tangents, on which its first ``outputs`` do not
        depend."""
        ...

    def transpose(self, graph: Graph, wrt: Sequence[int]) -> Graph:
        """Of a graph that is linear in the inputs ``wrt``. Inputs: its others, then a cotangent for each float output. Outputs: a
        cotangent for each of ``wrt``. Raises LeptonError if it is not linear."""
        ...

    def split(self, graph: Graph, wrt: Sequence[int], saves: Callable[[Sequence[Node]], Sequence[int]]) -> Split:
        """Reverse mode in two parts; the second computes anew what ``saves`` does not say to save."""
        ...
