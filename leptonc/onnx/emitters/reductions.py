"""Reductions, positions of extremes, softmax."""

from __future__ import annotations

from leptonc.ir.graph import Node
from leptonc.ir.types import DType, i32, i64
from leptonc.onnx.emitters.elementwise import SHORT
from leptonc.onnx.writer import Tensor, Writer, emits


def folding_type(dtype: DType) -> DType:
    """The type that ONNX folds numbers in for another one."""
    return i32 if dtype.is_bool else i64 if dtype.name in SHORT else dtype


def _reduction(op: str, *names: str) -> None:
    @emits(*names)
    def reduced(w: Writer, node: Node, x: Tensor) -> str:
        dtype, axes = x.type.dtype, node.attributes["axes"]
        if not axes:
            return w.full(x)
        wide = folding_type(dtype)
        out = w.add(op, w.cast(w.full(x), dtype, wide), w.extents(axes), keepdims=0)
        return w.cast(out, wide, dtype)


_reduction("ReduceSum", "sum")
_reduction("ReduceProd", "prod")
_reduction("ReduceMax", "reduce_max", "any")
_reduction("ReduceMin", "reduce_min", "all")


def _extreme(op: str, name: str) -> None:
    @emits(name)
    def place(w: Writer, node: Node, x: Tensor) -> str:
        dtype = x.type.dtype
        return str(w.add(op, w.cast(w.full(x), dtype, folding_type(dtype)), axis=node.attributes["axis"], keepdims=0))


_extreme("ArgMax", "argmax")
_extreme("ArgMin", "argmin")


def _along(op: str, name: str) -> None:
    @emits(name)
    def normalized(w: Writer, node: Node, x: Tensor) -> str:
        return str(w.add(op, w.full(x), axis=node.attributes["axis"]))


_along("Softmax", "softmax")
_along("LogSoftmax", "log_softmax")
