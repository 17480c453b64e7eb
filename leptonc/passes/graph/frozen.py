"""What of a graph depends on frozen inputs alone, apart from the rest: it is computed once, not at every call."""

from __future__ import annotations

from leptonc.ir.graph import Graph, Node
from leptonc.passes.graph.dce import Dce


def split_graph(graph: Graph, frozen: int) -> tuple[Graph, Graph]:
    """Two graphs: ``compute`` takes the frozen inputs and gives values that depend on nothing else; ``step`` takes the frozen
    inputs, then what ``compute`` gives, named ``computed 0``, ``computed 1`` ..., then the others. What only repeats elements
    stays where it is read."""
    names = graph.input_names or ("",) * len(graph.inputs)
    ahead, behind, either = _nodes_apart(graph, frozen)
    made = {v for node in ahead for v in node.results}
    wanted = tuple(v for v in dict.fromkeys((*(v for node in behind for v in node.operands), *graph.outputs)) if v in made)
    inputs = (*graph.inputs[:frozen], *wanted, *graph.inputs[frozen:])
    compute = Graph(graph.name, graph.inputs[:frozen], graph.input_types[:frozen], (*either, *ahead), wanted, names[:frozen])
    step = Graph(graph.name, inputs, tuple(graph.types[v] for v in inputs), (*either, *behind), graph.outputs,
                 (*names[:frozen], *(f"computed {n}" for n in range(len(wanted))), *names[frozen:]))
    return Dce()(compute), Dce()(step)


def _nodes_apart(graph: Graph, frozen: int) -> tuple[list[Node], list[Node], list[Node]]:
    """Nodes to run ahead, the others, and those that depend on constants alone: either part may have them."""
    known, free = set(graph.inputs[:frozen]), set[int]()
    ahead: list[Node] = []
    behind: list[Node] = []
    either: list[Node] = []
    for node in graph.nodes:
        if set(node.operands) <= free:
            either.append(node)
            free |= set(node.results)
        elif set(node.operands) <= known | free and node.op != "broadcast":
            ahead.append(node)
            known |= set(node.results)
        else:
            behind.append(node)
    return ahead, behind, either
