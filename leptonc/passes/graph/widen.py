"""Floats of 16 bits are stored, not computed with: each op on them is one on f32, between casts, as ``Op.run`` has it."""

from __future__ import annotations

from dataclasses import dataclass

from leptonc.ir.builder import rebuild
from leptonc.ir.graph import Graph, Node
from leptonc.ir.op import get_op
from leptonc.ir.types import TensorType, f32
from leptonc.ir.value import Value

EXACT = frozenset({"neg", "abs", "sign", "floor", "ceil", "round", "trunc", "relu", "max", "min", "reduce_max", "reduce_min",
                   "max_pool", "pool_take", "unpool", "cummax", "cummin"})
"""Ops that give some of their operands' numbers, or whole ones as short: their f32 results need no rounding."""

PRODUCTS = frozenset({"dot_general", "conv", "conv_input_grad", "conv_weight_grad"})
"""Ops that convert their operands as they read them: what is stored for them are the short numbers."""


@dataclass(frozen=True)
class Widen:
    """``op(x: f16) => cast(op(cast(x, f32)), f16)``; what is rounded once is not cast back and forth again."""

    name: str = "widen"

    def __call__(self, graph: Graph) -> Graph:
        if not any(_is_narrow(t) for t in graph.types.values()):
            return graph
        return _Widening(graph).run()


def _is_narrow(type: TensorType) -> bool:
    return type.dtype.is_narrow


class _Widening:
    """``env`` has each value in its own type, ``wide`` some of those of 16 bits in f32."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.builder, self.env = rebuild(graph)
        self.wide: dict[int, Value] = {}
        self.converted: dict[int, Value] = {}

    def run(self) -> Graph:
        for node in self.graph.nodes:
            with self.builder.at(node.loc):
                self._node(node)
        return self.builder.finish([self.env[i] for i in self.graph.outputs])

    def _node(self, node: Node) -> None:
        types = [self.graph.types[i] for i in node.operands]
        if get_op(node.op).stores or not any(map(_is_narrow, types)):
            self.env.update(zip(node.results, self.builder.copy_node(node, [self.env[i] for i in node.operands]), strict=True))
            return
        wide = self._converted if node.op in PRODUCTS else self._wide
        out = self.builder.emit(node.op, [wide(i) for i in node.operands], node.attributes, node.regions)
        for value, type_, result in zip(node.results, node.types, out if isinstance(out, tuple) else (out,), strict=True):
            self.env[value] = self.builder.emit("cast", (result,), {"dtype": type_.dtype}) if _is_narrow(type_) else result
            if _is_narrow(type_) and node.op in EXACT:
                self.wide[value] = result

    def _converted(self, value: int) -> Value:
        """A value in f32, made of the one of 16 bits."""
        if not _is_narrow(self.graph.types[value]):
            return self.env[value]
        if value not in self.converted:
            self.converted[value] = self.builder.emit("cast", (self.env[value],), {"dtype": f32})
        return self.converted[value]

    def _wide(self, value: int) -> Value:
        """A value in f32 if it is one of 16 bits."""
        if not _is_narrow(self.graph.types[value]):
            return self.env[value]
        if value not in self.wide:
            self.wide[value] = self._converted(value)
        return self.wide[value]
