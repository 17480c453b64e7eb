"""Graphs that are linear in some inputs, and what can be computed without these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from leptonc.errors import LeptonError
from leptonc.ir.differentiation import Differentiation, Linearized, Split
from leptonc.ir.graph import Graph, Node
from leptonc.ir.parts import dependents, live_nodes, part
from leptonc.passes.graph.reverse import Reverse

Saves = Callable[[Sequence[Node]], Sequence[int]]  # the values to save, of nodes of a forward pass


def linearized(forward: Graph, tangents: int, outputs: int) -> Linearized:
    """A graph cut where its last inputs come in, on which its first outputs do not depend: see ``ir/differentiation.py``."""
    count = len(forward.inputs) - tangents
    given, moving = forward.inputs[:count], dependents(forward, forward.inputs[count:])
    primals, tail = forward.outputs[:outputs], forward.outputs[outputs:]
    behind = live_nodes([n for n in forward.nodes if not moving.isdisjoint(n.results)], tail)
    constants = {r for n in forward.nodes if n.op == "constant" for r in n.results}
    read = dict.fromkeys([*(i for n in behind for i in n.operands), *tail])
    own = [n for n in forward.nodes if n.op == "constant" and not read.keys().isdisjoint(n.results)]
    residuals = tuple(i for i in read if i not in moving and i not in constants and i not in given)
    needed = tuple(p for p, i in enumerate(given) if i in read)
    inputs = (*(given[p] for p in needed), *residuals, *forward.inputs[count:])
    linear = Graph(forward.name, inputs, tuple(forward.types[i] for i in inputs), (*own, *behind), tail, ("",) * len(inputs))
    known = part(forward, given, (*primals, *residuals))
    return Linearized(known, linear, needed)


def transpose(graph: Graph, wrt: Sequence[int], rules: Differentiation) -> Graph:
    """The transpose of a graph in its inputs ``wrt``: see ``ir/differentiation.py``."""
    reverse = Reverse(graph, wrt, rules)
    whole = reverse.builder.finish(reverse.cotangents())
    linear = {whole.inputs[p] for p in wrt}
    out = part(whole, [i for i in whole.inputs if i not in linear], whole.outputs)
    if any(not linear.isdisjoint(n.operands) for n in out.nodes):
        raise LeptonError(f"transpose: {graph.name} is not linear in what it is transposed by")
    return out


def split(graph: Graph, wrt: Sequence[int], saves: Saves, rules: Differentiation) -> Split:
    """Reverse mode in two graphs, the second of which computes anew: see ``ir/differentiation.py``."""
    reverse = Reverse(graph, wrt, rules)
    made = {i for n in reverse.builder.nodes for i in n.results}
    saved = [i for i in saves(reverse.builder.nodes) if i in made]
    whole = reverse.builder.finish(reverse.cotangents())
    count = len(graph.inputs)
    cut = part(whole, (*whole.inputs[:count], *saved, *whole.inputs[count:]), whole.outputs)
    read = {i for n in cut.nodes for i in n.operands} | set(cut.outputs)
    needed = tuple(p for p in range(count) if whole.inputs[p] in read)
    used = [n for n, i in enumerate(saved) if i in read]
    inputs = (*(whole.inputs[p] for p in needed), *(saved[n] for n in used), *whole.inputs[count:])
    backward = replace(cut, inputs=inputs, input_types=tuple(cut.types[i] for i in inputs), input_names=("",) * len(inputs))
    outputs = (*(x.id for x in reverse.outputs), *(saved[n] for n in used))
    return Split(part(whole, whole.inputs[:count], outputs), backward, needed)
