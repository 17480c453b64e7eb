"""Operands and attributes of nodes that come from a text, by what an op's samples say.

Rules of ops may assume that they get as many operands as the op has, and numbers of the right kind: ``axis = false`` passes for 0
in Python, and is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from leptonc.ir.graph import Graph, Node
from leptonc.ir.op import get_op

NUMBERS = (bool, int, float)


class Signature(NamedTuple):
    """``operands``: how many samples have; ``kinds``: of each attribute that they give numbers, the types of these. A float may be
    written as an integer."""

    operands: frozenset[int]
    kinds: dict[str, frozenset[type]]


def signature_fault(graph: Graph) -> tuple[int, str] | None:
    """(node number, what is wrong) of the first node unlike its op's samples."""
    for position, node in enumerate(graph.nodes):
        reason = _fault(node)
        if reason is not None:
            return position, reason
        for region in node.regions:
            inside = signature_fault(region)
            if inside is not None:
                return position, f"in a region of {node.op}: {inside[1]}"
    return None


def _fault(node: Node) -> str | None:
    known = _signature(node.op)
    if len(known.operands) == 1 and len(node.operands) not in known.operands:  # others take any number
        return f"{node.op} takes {max(known.operands)} operands, has {len(node.operands)}"
    for name, value in node.attrs:
        strange = [x for x in _numbers(value) if type(x) not in known.kinds.get(name, NUMBERS)]
        if strange:
            return f"attribute {name} of {node.op} has a {type(strange[0]).__name__} in it, {strange[0]!r}"
    return None


@cache
def _signature(op: str) -> Signature:
    samples, kinds = get_op(op).samples(), dict[str, frozenset[type]]()
    for sample in samples:
        for name, value in sample.attrs.items():
            types = frozenset(map(type, _numbers(value)))
            kinds[name] = kinds.get(name, frozenset()) | types | ({int} if float in types else frozenset())
    operands = frozenset(len(sample.make(np.random.default_rng(0))) for sample in samples)
    return Signature(operands, {name: types for name, types in kinds.items() if types})


def _numbers(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple):
        for item in value:
            yield from _numbers(item)
    elif type(value) in NUMBERS:
        yield value
