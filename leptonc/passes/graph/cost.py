"""Counting what a graph costs: floating-point operations, and bytes read and written if nothing were fused."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from leptonc.ir.graph import Graph, Node
from leptonc.ir.kernel import Apply, Kernel, Reduce, points
from leptonc.ir.op import get_op
from leptonc.ir.types import TensorType
from leptonc.passes.graph.expand import Expand


def cost_analysis(graph: Graph) -> dict[str, Any]:
    """``flops`` (a multiply-add is two), ``bytes`` and ``transcendentals`` of one call; ``by_op`` has the flops.

    The body of a loop counts once for each trip; of a branch the most of what its choices take counts. ``unknown_trips`` is the
    number of loops that no one knows the trips of before they run: of those one trip is counted.
    """
    graph = Expand()(graph)
    by_op, total = _costs(graph)
    ordered = dict(sorted(((op, n) for op, n in by_op.items() if n), key=lambda item: -item[1]))
    return {"flops": total.flops, "bytes": total.bytes, "transcendentals": total.transcendentals, "by_op": ordered,
            "unknown_trips": total.unknown}


@dataclass(frozen=True)
class _Cost:
    flops: int = 0
    transcendentals: int = 0
    bytes: int = 0
    unknown: int = 0

    def __add__(self, other: _Cost) -> _Cost:
        return _Cost(self.flops + other.flops, self.transcendentals + other.transcendentals, self.bytes + other.bytes,
                     self.unknown + other.unknown)

    def times(self, trips: int) -> _Cost:
        return _Cost(self.flops * trips, self.transcendentals * trips, self.bytes * trips, self.unknown)


def _costs(graph: Graph) -> tuple[Counter[str], _Cost]:
    """The flops by op, and all there is to count."""
    types, by_op, total = graph.types, Counter[str](), _Cost()
    for node in graph.nodes:
        if node.regions:
            inner, cost = _region_costs(node)
        else:
            flops, special = _node_cost(node, types)
            cost = _Cost(flops, special, sum(types[i].nbytes for i in (*node.operands, *node.results)))
            inner = Counter({node.op: flops})
        by_op.update(inner)
        total += cost
    return by_op, total


def _region_costs(node: Node) -> tuple[Counter[str], _Cost]:
    """What a node with regions takes: of its regions, for they read its operands and write its results."""
    found = [_costs(region) for region in node.regions]
    if node.op == "switch":
        return max(found, key=lambda one: (one[1].flops, one[1].bytes))
    trips, unknown = (node.attributes["length"], 0) if node.op == "scan" else (1, int(node.op == "do_while"))
    total = sum((cost for _, cost in found), _Cost()).times(trips)
    by_op = Counter({op: n * trips for inner, _ in found for op, n in inner.items()})
    return by_op, total + _Cost(unknown=unknown)


TRANSCENDENTAL = frozenset({"exp", "expm1", "log", "log1p", "log2", "log10", "tanh", "sinh", "cosh", "erf", "erf_inv", "sin", "cos",
                            "tan", "pow", "atan2"})
FREE = frozenset({"cast", "select", "and", "or", "xor", "not"})


def _node_cost(node: Node, types: dict[int, TensorType]) -> tuple[int, int]:
    op = get_op(node.op)
    if not op.lowers or node.op in ("reshape", "constant"):
        return 0, 0
    return _kernel_cost(op.lower(*(types[i] for i in node.operands), **node.attributes))


def _kernel_cost(kernel: Kernel) -> tuple[int, int]:
    flops = special = 0
    for stage in kernel.stages:
        count = points((*kernel.outer, *stage.axes))
        for inst in stage.insts:
            if isinstance(inst, Reduce) or (isinstance(inst, Apply) and inst.op not in FREE):
                flops += count
            if isinstance(inst, Apply) and inst.op in TRANSCENDENTAL:
                special += count
    return flops, special
