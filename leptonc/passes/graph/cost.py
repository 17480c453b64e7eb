"""Counting what a graph costs: floating-point operations, and bytes read and written if nothing were fused."""

from __future__ import annotations

from typing import Any

from leptonc.ir.graph import Graph, Node
from leptonc.ir.kernel import Apply, Kernel, Reduce, points
from leptonc.ir.op import get_op
from leptonc.ir.types import TensorType
from leptonc.passes.graph.expand import Expand


def cost_analysis(graph: Graph) -> dict[str, Any]:
    """``flops`` (a multiply-add is two), ``bytes`` and ``transcendentals`` of one call; ``by_op`` has the flops."""
    graph = Expand()(graph)
    types = graph.types
    by_op: dict[str, int] = {}
    transcendentals = moved = 0
    for node in graph.nodes:
        flops, special = _node_cost(node, types)
        by_op[node.op] = by_op.get(node.op, 0) + flops
        transcendentals += special
        moved += sum(types[i].nbytes for i in (*node.operands, *node.results))
    ordered = dict(sorted(((op, n) for op, n in by_op.items() if n), key=lambda item: -item[1]))
    return {"flops": sum(by_op.values()), "bytes": moved, "transcendentals": transcendentals, "by_op": ordered}


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
