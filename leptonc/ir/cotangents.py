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
from leptonc.ir.value import Emitter, Value

ADDS = ("scatter_add", "scatter_sum")


def plus(a: Value, b: Value) -> Value:
    """a + b."""
    for whole, part in ((a, b), (b, a)):
        found = _added_to(whole, part)
        if found is not None:
            return found
    return a + b


def plus_of_trip(total: Value, part: Value) -> Value:
    """A loop's sum and what a trip adds to it."""
    found = _added_to(total, part, pads=True)
    return total + part if found is None else found


def _added_to(whole: Value, part: Value, pads: bool = False) -> Value | None:
    """``whole`` with ``part`` added where that is not 0 throughout; None if it may be anything anywhere."""
    builder, node = part.builder, part.builder.producer(part.id)
    values = [builder.value(i) for i in node.operands] if node is not None else []
    if node is None or _is_zero(part):
        return None if node is None else whole
    out: Value | None = None
    if node.op == "add":
        first = _added_to(whole, values[0], pads)
        out = None if first is None else _added_to(first, values[1], pads)
    elif node.op in ADDS:
        before = _added_to(whole, values[0], pads)
        out = None if before is None else _emit(builder, node, before, *values[1:])
    elif node.op == "reshape":
        first = _added_to(builder.emit("reshape", (whole,), {"shape": values[0].shape}), values[0], pads)
        out = None if first is None else builder.emit("reshape", (first,), {"shape": whole.shape})
    elif node.op == "dynamic_update_slice" and _is_zero(values[0]):
        out = _at(whole, values[1], values[2:])
    elif pads and node.op == "pad" and _only_surrounds(node.attributes):
        out = _at(whole, values[0], [builder.constant(np.int64(low)) for low in node.attributes["low"]])
    return out


def _only_surrounds(attrs: dict[str, Any]) -> bool:
    """Whether a pad puts zeros around an array, takes nothing off it and puts nothing between."""
    return attrs["value"] == 0 and all(n >= 0 for n in (*attrs["low"], *attrs["high"])) and not any(attrs["interior"])


def _at(whole: Value, update: Value, starts: Sequence[Value]) -> Value:
    """``whole`` with ``update`` added where a window begins."""
    here: Value = whole.builder.emit("dynamic_slice", (whole, *starts), {"size": update.shape})
    out: Value = whole.builder.emit("dynamic_update_slice", (whole, here + update, *starts))
    return out


def _emit(builder: Emitter, node: Node, *operands: Value) -> Value:
    """The node on other operands."""
    (out,) = builder.copy_node(node, operands)
    return out


def _is_zero(value: Value) -> bool:
    """Whether it is a constant of zeros."""
    node: Node | None = value.builder.producer(value.id)
    if node is not None and node.op == "broadcast":
        return _is_zero(value.builder.value(node.operands[0]))
    return node is not None and node.op == "constant" and not node.attributes["value"].array.any()
