"""Graphs as networkx graphs: for its algorithms, and for drawing. Imported where it is used, for networkx takes a while."""

from __future__ import annotations

import json

import networkx as nx

from leptonc.ir.graph import Graph


def to_networkx(graph: Graph) -> nx.MultiDiGraph:
    """A node per input and per operation, keyed ``("input", position)`` and ``("node", position)``; an edge per operand.

    Nodes have ``label``, ``op`` ("input" for inputs) and ``line``; edges have the ``type`` they carry and the operand's
    position ``operand``. Outputs are in the graph's attribute ``outputs``. Regions are not entered.
    """
    found = nx.MultiDiGraph(name=graph.name)
    maker = {value: ("input", n) for n, value in enumerate(graph.inputs)}
    names = graph.input_names or ("",) * len(graph.inputs)
    for n, (name, type_) in enumerate(zip(names, graph.input_types, strict=True)):
        found.add_node(("input", n), label=f"{name or f'input {n}'}: {type_}", op="input", line="")
    for n, node in enumerate(graph.nodes):
        key = ("node", n)
        maker.update(dict.fromkeys(node.results, key))
        types = ", ".join(map(str, node.types))
        found.add_node(key, label=f"{node.op}: {types}", op=node.op, line=str(node.loc or ""))
        for position, value in enumerate(node.operands):
            found.add_edge(maker[value], key, type=str(graph.types[value]), operand=position)
    found.graph["outputs"] = [maker[value] for value in graph.outputs]
    return found


def to_dot(graph: Graph) -> str:
    """Graphviz text: ``leptonc dump FILE.py:f --dot | dot -Tsvg``."""
    found = to_networkx(graph)
    number, outputs = {key: n for n, key in enumerate(found.nodes)}, set(found.graph["outputs"])
    lines = [f"digraph {json.dumps(graph.name)} {{", "  node [shape=box, fontname=monospace];"]
    for key, data in found.nodes(data=True):
        label = data["label"] + (f"\n{data['line']}" if data["line"] else "")
        style = ", style=filled, fillcolor=lightgrey" if data["op"] == "input" else ""
        style += ", peripheries=2" if key in outputs else ""
        lines.append(f"  n{number[key]} [label={json.dumps(label)}{style}];")
    lines += [f"  n{number[a]} -> n{number[b]};" for a, b in found.edges()]
    return "\n".join([*lines, "}"])
