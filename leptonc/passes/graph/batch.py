"""Batching, graph to graph: the same function of many examples at once, which lie along a new axis.

Inside the result every batched value has the new axis in front. What depends on no batched input is computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from leptonc.errors import LeptonError
from leptonc.frames import Loc
from leptonc.ir.batching import Unbatched
from leptonc.ir.builder import Builder
from leptonc.ir.graph import Graph, Node
from leptonc.ir.op import get_op
from leptonc.ir.types import TensorType
from leptonc.ir.value import Value
from leptonc.passes.graph.dce import Dce

Results = tuple[Value | Unbatched, ...]


def batch(graph: Graph, axes: Sequence[int | None], size: int, name: str | None = None,
          outputs: Sequence[bool] | None = None) -> tuple[Graph, tuple[int | None, ...]]:
    """The graph that computes ``graph`` for ``size`` examples, and where its outputs have the batch axis: 0, or None for one
    that is the same for all examples.

    ``axes`` says where each input has it, None for inputs that all examples share. ``name`` is what collectives call the axis;
    those that do are gone in the result. ``outputs``: which ones are to have it in any case.

    Raises LeptonError for axes that are none of the inputs', and for an op that has no batch rule.
    """
    for type_, axis in zip(graph.input_types, axes, strict=True):
        if axis is not None and not 0 <= axis <= type_.rank:
            raise LeptonError(f"batch: an input {type_} of {graph.name} has no place for an axis {axis}")
    work = _Batching(graph, axes, size, name)
    for node in graph.nodes:
        work.node(node)
    wanted = outputs or (False,) * len(graph.outputs)
    results = [work.output(i, forced) for i, forced in zip(graph.outputs, wanted, strict=True)]
    batched = tuple(0 if i in work.batched or forced else None for i, forced in zip(graph.outputs, wanted))
    return Dce()(work.builder.finish(results)), batched


class _Batching:
    """A graph under construction, and the axis as the rules see it (``ir.batching.BatchAxis``)."""

    def __init__(self, graph: Graph, axes: Sequence[int | None], size: int, name: str | None):
        self.size, self.name = size, name
        self.builder = Builder(graph.name)
        self.batched = {i for i, axis in zip(graph.inputs, axes) if axis is not None}
        self._repeated: dict[int, Value] = {}
        self._images: dict[int, Value] = {}
        self._stretched: dict[int, tuple[Value, tuple[int, ...]]] = {}  # what an unbatched broadcast reads, and its dims
        self._loc: Loc | None = None
        names = graph.input_names or ("",) * len(graph.inputs)
        given = [self.builder.input(_with_axis(t, axis, size), n) for t, axis, n in zip(graph.input_types, axes, names)]
        self.env = {i: self._moved(x, axis) for i, x, axis in zip(graph.inputs, given, axes)}

    def _moved(self, x: Value, axis: int | None) -> Value:
        """An input with its batch axis in front."""
        if not axis:
            return x
        rest = [d for d in range(x.type.rank) if d != axis]
        out: Value = self.builder.emit("transpose", (x,), {"perm": (axis, *rest)})
        return out

    def node(self, node: Node) -> None:
        operands = [self.env[i] for i in node.operands]
        batched = tuple(i in self.batched for i in node.operands)
        if not any(batched) and not self._is_named_in(node):
            results = self.builder.copy_node(node, operands)
            self.env.update(zip(node.results, results, strict=True))
            if node.op == "broadcast":
                self._stretched[results[0].id] = operands[0], node.attributes["dims"]
            return
        extra = {"regions": node.regions} if node.regions else {}
        self._loc = node.loc
        with self.builder.at(node.loc):
            found = get_op(node.op).batch(self, batched, *operands, **node.attributes, **extra)
        for i, result in zip(node.results, found if isinstance(found, tuple) else (found,), strict=True):
            self._keep(i, result)

    def _keep(self, i: int, result: Value | Unbatched) -> None:
        if isinstance(result, Unbatched):
            self.env[i] = result.value
        else:
            self.env[i] = result
            self.batched.add(i)

    def _is_named_in(self, node: Node) -> bool:
        """Whether a node, or one of its regions, talks of this axis."""
        return self.name is not None and any(
            dict(n.attrs).get("axis_name") == self.name for n in (node, *(n for r in node.regions for n in r.walk())))

    def output(self, i: int, forced: bool) -> Value:
        return self.broadcast(self.env[i]) if forced and i not in self.batched else self.env[i]

    def broadcast(self, x: Value) -> Value:
        if x.id not in self._repeated:
            self._repeated[x.id] = self._stretch(x, (self.size, *x.shape), 1)
        return self._repeated[x.id]

    def _stretch(self, x: Value, shape: tuple[int, ...], first: int) -> Value:
        """x in a greater shape, its axes from ``first`` on: one broadcast, and so one sum in its gradient, if x is one itself."""
        source, dims = self._stretched.get(x.id, (x, tuple(range(x.type.rank))))
        out: Value = self.builder.emit("broadcast", (source,), {"shape": shape, "dims": tuple(d + first for d in dims)})
        return out

    def front(self, batched: Sequence[bool], operands: Sequence[Value]) -> list[Value]:
        return [x if flag else self.broadcast(x) for flag, x in zip(batched, operands, strict=True)]

    def images(self, x: Value) -> Value:
        if x.id not in self._images:
            attrs = {"shape": (x.shape[0] * x.shape[1], *x.shape[2:])}
            self._images[x.id] = self.builder.emit("reshape", (x,), attrs)
        return self._images[x.id]

    def examples(self, images: Value, n: int) -> Value:
        out: Value = self.builder.emit("reshape", (images,), {"shape": (self.size, n, *images.shape[1:])})
        self._images[out.id] = images
        return out

    def as_images(self, batched: Sequence[bool], operands: Sequence[Value]) -> list[Value] | None:
        if not any(x.id in self._images for flag, x in zip(batched, operands) if flag):
            return None
        return [self.images(x) if flag else self._one_image(x) for flag, x in zip(batched, operands)]

    def _one_image(self, x: Value) -> Value:
        """An unbatched [n, ...] as [examples * n, ...]."""
        if x.shape[0] != 1:
            return self.images(self.broadcast(x))
        return self._stretch(x, (self.size, *x.shape[1:]), 0)

    def region(self, graph: Graph, batched: Sequence[bool],
               outputs: Sequence[bool] | None = None) -> tuple[Graph, tuple[bool, ...]]:
        inner, axes = batch(graph, [0 if flag else None for flag in batched], self.size, self.name, outputs)
        return inner, tuple(axis is not None for axis in axes)

    def by_definition(self, define: Callable[..., Any], batched: Sequence[bool], operands: Sequence[Value]) -> Results:
        loc = self._loc
        inner = Builder(self.builder.name, lambda: loc)
        out = define(*(inner.input(_example(x.type) if flag else x.type) for flag, x in zip(batched, operands, strict=True)))
        graph, flags = self.region(inner.finish(out if isinstance(out, tuple) else (out,)), batched)
        return tuple(x if flag else Unbatched(x) for flag, x in zip(flags, self.builder.inline(graph, operands)))


def _with_axis(type: TensorType, axis: int | None, size: int) -> TensorType:
    """The type of an input that has the batch axis at ``axis``."""
    return type if axis is None else type.with_shape((*type.shape[:axis], size, *type.shape[axis:]))


def _example(type: TensorType) -> TensorType:
    """The type of one example of a batched value."""
    return type.with_shape(type.shape[1:])
