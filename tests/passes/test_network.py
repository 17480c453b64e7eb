"""Graphs as networkx graphs."""

from __future__ import annotations

import networkx as nx
import numpy as np

import leptonc
from leptonc import numpy as lnp
from leptonc.passes.graph.network import to_dot, to_networkx


def graph():
    return leptonc.make_graph(lambda x, y: (lnp.exp(lnp.sin(x)) * y, x))(np.ones(3), np.ones(3))


def test_nodes_edges_and_outputs():
    found = to_networkx(graph())
    assert nx.is_directed_acyclic_graph(found)
    assert [data["op"] for _, data in found.nodes(data=True)] == ["input", "input", "sin", "exp", "mul"]
    assert found.graph["outputs"] == [("node", 2), ("input", 0)]
    assert sorted(data["operand"] for _, _, data in found.in_edges(("node", 2), data=True)) == [0, 1]
    assert found.nodes[("node", 0)]["line"].startswith("test_network.py:")


def test_drawing_names_every_node():
    text = to_dot(graph())
    assert text.count("label=") == 5 and text.count("->") == 4 and text.count("peripheries") == 2
