"""Sorts: TopK by one key after the other, the last one first."""

from __future__ import annotations

from leptonc.ir.graph import Node
from leptonc.ir.types import i32, i64
from leptonc.onnx.emitters.elementwise import SHORT
from leptonc.onnx.writer import Tensor, Writer, emits


@emits("sort")
def sort(w: Writer, node: Node, *operands: Tensor) -> tuple[str, ...]:
    """Of equal elements TopK has the first one first."""
    attrs = node.attributes
    axis, names = attrs["axis"], [w.full(x) for x in operands]
    order = ""
    for number in reversed(range(attrs["keys"])):
        key = w.add("GatherElements", names[number], order, axis=axis) if order else names[number]
        found = _places(w, key, operands[number], operands[0].type.shape[axis] if number else attrs["count"], attrs)
        order = w.add("GatherElements", order, found, axis=axis) if order else found
    values = [w.add("GatherElements", name, order, axis=axis) for name in names] if attrs["values"] else []
    return (*values, *([order] if attrs["order"] else []))


def _places(w: Writer, key: str, x: Tensor, count: int, attrs: dict[str, object]) -> str:
    """The places of the first ``count`` elements of each row."""
    dtype = x.type.dtype
    wide = i32 if dtype.is_bool else i64 if dtype.name in SHORT else dtype
    _, places = w.add("TopK", w.cast(key, dtype, wide), w.extent(count), outputs=2, axis=attrs["axis"],
                      largest=int(bool(attrs["descending"])), sorted=1)
    return str(places)
