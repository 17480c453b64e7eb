"""Sums of cotangents.

What a lookup of some elements of x passes on to x is 0 but there. Added to what x has from elsewhere it touches those alone:

    a + scatter_add(0, i, u)             scatter_add(a, i, u)
    a + dynamic_update_slice(0, u, i)    dynamic_update_slice(a, dynamic_slice(a, i) + u, i)
    a + pad(u, i)                        the same, in a loop; elsewhere a + pad is one kernel with what a is made of

so that a loop over the elements of x does not go through all of x in every trip of its gradient. (a's -0.0 stays where it would
have become 0.0; sums that begin with 0.0 have none.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.ir.graph import Node
from leptonc.ir.value import Value

ADDS = ("scatter_add", "scatter_sum")
MOST_SUMS = 16  # looked into for lookups; a chain of a thousand sums of something else is not gone through for each


def plus(a: Value, b: Value) -> Value:
    """a + b."""
    for whole, part in ((a, b), (b, a)):
        found = _lookups(part)
        if found is not None:
            return _added(whole, found)
    return a + b


def plus_of_trip(total: Value, part: Value) -> Value:
    """A loop's sum and what a trip adds to it."""
    found = _lookups(part, pads=True)
    return total + part if found is None else _added(total, found)


def _lookups(part: Value, pads: bool = False) -> list[Node] | None:
    """The nodes that put something at some places of zeros, of which a value is the sum, the first one first; None if it may be
    anything anywhere."""
    builder, found, left, sums = part.builder, list[Node](), [part], 0
    while left:
        value = left.pop()
        node = builder.producer(value.id)
        if node is None:
            return None
        values = [builder.value(i) for i in node.operands]
        if _is_zero(value):
            continue
        if node.op == "add" and sums < MOST_SUMS:
            sums += 1
            left += values
        elif node.op == "reshape":
            left.append(values[0])
        elif node.op in ADDS:
            found.append(node)
            left.append(values[0])
        elif _is_alone(node, values, pads):
            found.append(node)
        else:
            return None
    return found[::-1]


def _is_alone(node: Node, values: Sequence[Value], pads: bool) -> bool:
    """Whether a node puts a window into zeros."""
    if node.op == "dynamic_update_slice":
        return _is_zero(values[0])
    return pads and node.op == "pad" and _only_surrounds(node.attributes)


def _only_surrounds(attrs: dict[str, Any]) -> bool:
    """Whether a pad puts zeros around an array, takes nothing off it and puts nothing between."""
    return attrs["value"] == 0 and all(n >= 0 for n in (*attrs["low"], *attrs["high"])) and not any(attrs["interior"])


def _added(whole: Value, lookups: Sequence[Node]) -> Value:
    """Each of the same number of elements, seen in the shape that it was made in."""
    total, builder = whole, whole.builder
    for node in lookups:
        values = [builder.value(i) for i in node.operands]
        with builder.at(node.loc):
            total = _in_shape(total, node.types[0].shape)
            if node.op in ADDS:
                total = builder.emit(node.op, (total, *values[1:]), node.attributes)
            elif node.op == "pad":
                total = _at(total, values[0], [builder.constant(np.int64(low)) for low in node.attributes["low"]])
            else:
                total = _at(total, values[1], values[2:])
    return _in_shape(total, whole.shape)


def _in_shape(x: Value, shape: Sequence[int]) -> Value:
    out: Value = x if x.shape == tuple(shape) else x.builder.emit("reshape", (x,), {"shape": tuple(shape)})
    return out


def _at(whole: Value, update: Value, starts: Sequence[Value]) -> Value:
    """``whole`` with ``update`` added where a window begins."""
    here: Value = whole.builder.emit("dynamic_slice", (whole, *starts), {"size": update.shape})
    out: Value = whole.builder.emit("dynamic_update_slice", (whole, here + update, *starts))
    return out


def _is_zero(value: Value) -> bool:
    """Whether it is a constant of zeros."""
    node: Node | None = value.builder.producer(value.id)
    if node is not None and node.op == "broadcast":
        return _is_zero(value.builder.value(node.operands[0]))
    return node is not None and node.op == "constant" and not node.attributes["value"].array.any()
