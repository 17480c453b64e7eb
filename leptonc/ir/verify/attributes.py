"""Numbers in attributes by what an op's samples say: ``axis = false`` passes for 0 in Python, and is none."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from leptonc.ir.graph import Graph
from leptonc.ir.op import get_op

NUMBERS = (bool, int, float)


def attribute_fault(graph: Graph) -> tuple[int, str] | None:
    """(node number, what is wrong) of the first number of a kind that its op never takes there."""
    for position, node in enumerate(graph.nodes):
        kinds = _kinds(node.op)
        for name, value in node.attrs:
            strange = [x for x in _numbers(value) if type(x) not in kinds.get(name, NUMBERS)]
            if strange:
                return position, f"attribute {name} of {node.op} has a {type(strange[0]).__name__} in it, {strange[0]!r}"
        for region in node.regions:
            fault = attribute_fault(region)
            if fault is not None:
                return position, f"in a region of {node.op}: {fault[1]}"
    return None


@cache
def _kinds(op: str) -> dict[str, frozenset[type]]:
    """Of each attribute that samples give numbers, their types; a float may be written as an integer."""
    found: dict[str, frozenset[type]] = {}
    for sample in get_op(op).samples():
        for name, value in sample.attrs.items():
            types = frozenset(map(type, _numbers(value)))
            found[name] = found.get(name, frozenset()) | types | ({int} if float in types else frozenset())
    return {name: types for name, types in found.items() if types}


def _numbers(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple):
        for item in value:
            yield from _numbers(item)
    elif type(value) in NUMBERS:
        yield value
