"""Parts of graphs: what depends on some values, what some values are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from leptonc.ir.graph import Graph, Node


def live_nodes(nodes: Sequence[Node], outputs: Iterable[int], given: Iterable[int] = ()) -> list[Node]:
    """The nodes that make ``outputs``, of values that are ``given``, and of what no node makes."""
    live, known, kept = set(outputs), set(given), list[Node]()
    for node in reversed(nodes):
        if known.isdisjoint(node.results) and not live.isdisjoint(node.results):
            live.update(node.operands)
            kept.append(node)
    return kept[::-1]


def part(graph: Graph, inputs: Sequence[int], outputs: Sequence[int]) -> Graph:
    """The part of a graph that makes some of its values of others, which may be made by nodes of it."""
    types = graph.types
    return Graph(graph.name, tuple(inputs), tuple(types[i] for i in inputs), tuple(live_nodes(graph.nodes, outputs, inputs)),
                 tuple(outputs), ("",) * len(inputs))


def dependents(graph: Graph, values: Iterable[int]) -> set[int]:
    """``values``, and all that is made of them."""
    found = set(values)
    for node in graph.nodes:
        if not found.isdisjoint(node.operands):
            found.update(node.results)
    return found


def varied_values(graph: Graph, values: Iterable[int]) -> set[int]:
    """The float values that depend on some of ``values`` through floats alone, and not through stop_gradient."""
    varied = {i for i in values if graph.types[i].dtype.is_inexact}
    for node in graph.nodes:
        if node.op != "stop_gradient" and not varied.isdisjoint(node.operands):
            varied.update(i for i, t in zip(node.results, node.types) if t.dtype.is_inexact)
    return varied


def reaching_values(graph: Graph) -> set[int]:
    """The float values on which some float output depends through floats alone, and not through stop_gradient."""
    found = {i for i in graph.outputs if graph.types[i].dtype.is_inexact}
    for node in reversed(graph.nodes):
        if node.op != "stop_gradient" and not found.isdisjoint(node.results):
            found.update(i for i in node.operands if graph.types[i].dtype.is_inexact)
    return found
