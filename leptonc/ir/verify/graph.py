"""What must hold of a Graph."""

from __future__ import annotations

from typing import Any

from leptonc.errors import IRError, LeptonError
from leptonc.ir.graph import Graph, Literal, Node
from leptonc.ir.op import get_op
from leptonc.ir.types import DType, TensorType, is_addressable
from leptonc.ir.verify.known import Known

AROUND = 5  # lines shown on either side of the one at fault

_sound = Known[Node, tuple[TensorType, ...]]()
"""Nodes in which nothing is wrong, with their operands' types. Most nodes of a graph go through most passes as they are."""


def verify(graph: Graph, after: str | None = None) -> None:
    """Raises IRError, naming the pass ``after`` which it was found and showing the lines around the fault."""
    fault = graph_fault(graph)
    if fault is None:
        return
    position, reason = fault
    where = f"after '{after}': " if after else ""
    raise IRError(f"{where}{reason}\n{_excerpt(graph, position)}")


def _excerpt(graph: Graph, position: int) -> str:
    """The lines around node number ``position`` (which is line ``position + 1`` where no node has regions)."""
    nodes = graph.nodes[max(position - AROUND, 0):position + AROUND + 1]
    shown = []
    for node in nodes:
        mark = "> " if position < len(graph.nodes) and node is graph.nodes[position] else "  "
        results = ", ".join(f"%{i}: {t}" for i, t in zip(node.results, node.types))
        shown.append(f"{mark}{results} = {node.op}({', '.join(f'%{i}' for i in node.operands)})"
                     + (f" ({node.loc})" if node.loc else ""))
    return "\n".join(shown)


def graph_fault(graph: Graph) -> tuple[int, str] | None:
    """(node number, what is wrong) of the first fault."""
    if len(graph.inputs) != len(graph.input_types) or len(graph.input_names) not in (0, len(graph.inputs)):
        return 0, f"graph {graph.name}: inputs, input types and names differ in number"
    if len(set(graph.inputs)) != len(graph.inputs):
        return 0, f"graph {graph.name}: an input is declared twice"
    if not all(is_addressable(t.shape, t.dtype) for t in graph.input_types):
        return 0, f"graph {graph.name}: an input is larger than any memory"
    types: dict[int, TensorType] = dict(zip(graph.inputs, graph.input_types))
    right: set[Any] = set()
    for position, node in enumerate(graph.nodes):
        reason = _node_fault(node, types, right)
        if reason is not None:
            return position, reason
        types.update(zip(node.results, node.types))
    for value in graph.outputs:
        if value not in types:
            return len(graph.nodes), f"graph {graph.name} returns %{value}, which nothing defines"
    return None


def _node_fault(node: Node, types: dict[int, TensorType], right: set[Any]) -> str | None:
    for value in node.operands:
        if value not in types:
            return f"%{value} is used before it is defined, by {node.op}"
    if len(node.results) != len(node.types):
        return f"{node.op} has {len(node.results)} results, {len(node.types)} types"
    for value in node.results:
        if value in types:
            return f"%{value} is defined twice"
    operands = tuple([types[i] for i in node.operands])
    if _sound.get(node) == operands:
        return None
    reason = _own_fault(node, types, right)
    if reason is None:
        _sound.set(node, operands)
    return reason


def _own_fault(node: Node, types: dict[int, TensorType], right: set[Any]) -> str | None:
    """What is wrong with a node, whatever is around it."""
    names = [name for name, _ in node.attrs]
    if names != sorted(set(names)):
        return f"the attributes of {node.op} are not in order, or given twice"
    for name, attr in node.attrs:
        if not _is_attr(attr):
            return f"attribute {name} of {node.op} is {attr!r:.60} of type {type(attr).__name__}"
    for region in node.regions:
        fault = graph_fault(region)
        if fault is not None:
            return f"in a region of {node.op}: {fault[1]}"
    return _type_fault(node, types) if node.attrs or node.regions else _common_type_fault(node, types, right)


def _common_type_fault(node: Node, types: dict[int, TensorType], right: set[Any]) -> str | None:
    """The same of a node without attributes. In large graphs thousands are alike: ``right`` has those asked for."""
    alike = (node.op, node.types, *[types[i] for i in node.operands])
    reason = None if alike in right else _type_fault(node, types)
    if reason is None:
        right.add(alike)
    return reason


def _is_attr(value: Any) -> bool:
    if type(value) is tuple:
        return all(map(_is_attr, value))
    return value is None or type(value) in (bool, int, float, str, DType, Literal)


def _type_fault(node: Node, types: dict[int, TensorType]) -> str | None:
    """The recorded types against those the op infers."""
    extra = {"regions": node.regions} if node.regions else {}
    try:
        inferred = get_op(node.op).infer(*(types[i] for i in node.operands), **node.attributes, **extra)
    except LeptonError as error:
        return error.message
    except Exception as error:
        # an op's rule is free to assume that its attributes are there and of their kinds: what is wrong may show as anything
        return f"{node.op} does not take {len(node.operands)} operands with attributes {dict(node.attrs)}: {error!r}"
    wanted = inferred if isinstance(inferred, tuple) else (inferred,)
    if not all(is_addressable(t.shape, t.dtype) for t in wanted):
        return f"{node.op} gives {', '.join(map(str, wanted))}, larger than any memory"
    if wanted != node.types:
        return f"{node.op} gives {', '.join(map(str, wanted))}, recorded as {', '.join(map(str, node.types))}"
    return None
