"""Building graphs: the one constructor of nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from leptonc.errors import IRError, LeptonError
from leptonc.ir.graph import Graph, Literal, Loc, Node
from leptonc.ir.op import Op, get_op
from leptonc.ir.types import TensorType
from leptonc.ir.value import Value


class Builder:
    """Collects nodes of one graph. ``locate`` gives the user's line of each node emitted (a tracer walks frames)."""

    def __init__(self, name: str, locate: Callable[[], Loc | None] | None = None):
        self.name = name
        self.nodes: list[Node] = []
        self.inputs: list[Value] = []
        self.input_names: list[str] = []
        self._locate = locate or (lambda: None)
        self._values: list[Value] = []
        self._producers: dict[int, Node] = {}
        self._constants: dict[Literal, Value] = {}

    def _value(self, type: TensorType) -> Value:
        value = Value(self, len(self._values), type)
        self._values.append(value)
        return value

    def value(self, id: int) -> Value:
        """The value of a number."""
        return self._values[id]

    def producer(self, id: int) -> Node | None:
        """The node that a value is a result of; None for an input."""
        return self._producers.get(id)

    def input(self, type: TensorType, name: str = "") -> Value:
        if self.nodes:
            raise IRError("inputs come before nodes")
        return self.capture(type, name)

    def capture(self, type: TensorType, name: str = "") -> Value:
        """One more input, at any time: closure conversion meets the values of an enclosing graph as they are used."""
        value = self._value(type)
        self.inputs.append(value)
        self.input_names.append(name)
        return value

    def emit(self, op: Op | str, operands: Sequence[Any], attrs: dict[str, Any] | None = None,
             regions: tuple[Graph, ...] = ()) -> Any:
        """Infer, check and record one node; returns its Value, or a tuple of them for several results."""
        op = get_op(op) if isinstance(op, str) else op
        attrs = attrs or {}
        values = [self.as_value(x) for x in operands]
        loc = self._locate()
        types = self._infer(op, values, attrs, regions, loc)
        results = tuple(self._value(t) for t in types)
        node = Node(op.name, tuple(v.id for v in values), tuple(r.id for r in results), types,
                    tuple(sorted(attrs.items())), regions, loc)
        self.nodes.append(node)
        self._producers.update(dict.fromkeys(node.results, node))
        return results[0] if op.results == 1 else results

    def _infer(self, op: Op, values: list[Value], attrs: dict[str, Any], regions: tuple[Graph, ...],
               loc: Loc | None) -> tuple[TensorType, ...]:
        extra = {"regions": regions} if regions else {}
        try:
            types = op.infer(*(v.type for v in values), **attrs, **extra)
        except LeptonError as error:
            error.line = loc or error.line
            raise
        return types if isinstance(types, tuple) else (types,)

    def as_value(self, x: Any) -> Value:
        if isinstance(x, Value):
            if x.builder is not self:
                raise IRError(f"{x!r} belongs to graph {x.builder.name!r}, not {self.name!r}")
            return x
        return self.constant(x)

    def constant(self, array: Any) -> Value:
        literal = Literal.of(array)
        found = self._constants.get(literal)
        if found is None:
            found = self._constants[literal] = self.emit("constant", (), {"value": literal})
        return found

    def full(self, type: TensorType, number: Any) -> Value:
        """``number`` in every element of a ``type``."""
        scalar = self.constant(np.asarray(number, type.dtype.numpy))
        return self.emit("broadcast", (scalar,), {"shape": type.shape, "dims": ()}) if type.shape else scalar

    @contextmanager
    def at(self, loc: Loc | None) -> Iterator[None]:
        """Nodes emitted inside get this line."""
        saved, self._locate = self._locate, lambda: loc
        try:
            yield
        finally:
            self._locate = saved

    def copy_node(self, node: Node, operands: Sequence[Value]) -> tuple[Value, ...]:
        """Emit ``node`` again on other operands, its line kept."""
        with self.at(node.loc):
            out = self.emit(node.op, operands, node.attributes, node.regions)
        return out if isinstance(out, tuple) else (out,)

    def inline(self, graph: Graph, arguments: Sequence[Value]) -> tuple[Value, ...]:
        """Emit the nodes of ``graph`` on ``arguments``; returns its outputs."""
        env = dict(zip(graph.inputs, arguments, strict=True))
        for node in graph.nodes:
            env.update(zip(node.results, self.copy_node(node, [env[i] for i in node.operands]), strict=True))
        return tuple(env[i] for i in graph.outputs)

    def finish(self, outputs: Sequence[Value]) -> Graph:
        return Graph(self.name, tuple(v.id for v in self.inputs), tuple(v.type for v in self.inputs),
                     tuple(self.nodes), tuple(self.as_value(v).id for v in outputs), tuple(self.input_names))


def rebuild(graph: Graph) -> tuple[Builder, dict[int, Value]]:
    """A builder with ``graph``'s inputs, and the map from old ids to new Values: how a pass begins."""
    builder = Builder(graph.name)
    names = graph.input_names or ("",) * len(graph.inputs)
    env = {i: builder.input(t, n) for i, t, n in zip(graph.inputs, graph.input_types, names, strict=True)}
    return builder, env
