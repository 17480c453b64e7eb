"""Functions traced into the regions of one node: closure conversion."""

from __future__ import annotations

from collections.abc import Sequence

from leptonc.ir.builder import Builder
from leptonc.ir.graph import Graph
from leptonc.trace import ClosedGraph, Tracer


def closed_over(*closed: ClosedGraph) -> tuple[Tracer, ...]:
    """The traced values that any of the functions closes over, each once: several tracers may stand for one."""
    return tuple({_value(x): x for one in closed for x in one.captured}.values())


def _value(x: Tracer) -> tuple[int, int]:
    """What a tracer stands for."""
    return id(x.trace), x.value.id


def region(closed: ClosedGraph, captured: Sequence[Tracer], at: int) -> Graph:
    """A traced function as a graph of its own inputs, with one for each of ``captured`` among them, from position ``at`` on."""
    builder = Builder(closed.graph.name)
    graph, count = closed.graph, len(closed.graph.inputs) - len(closed.captured)
    names = graph.input_names or ("",) * count
    own = list(zip(graph.input_types, names))[:count]
    before = [builder.input(*given) for given in own[:at]]
    outer = {_value(x): builder.input(x.type, x.label) for x in captured}
    behind = [builder.input(*given) for given in own[at:]]
    return builder.finish(builder.inline(graph, [*before, *behind, *(outer[_value(x)] for x in closed.captured)]))
