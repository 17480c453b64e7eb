"""The tensor graph: immutable SSA, nodes in definition order, regions as nested graphs.

A value is an integer id, unique in its graph. A Node is data: operand ids, attributes, result ids and types, the
regions of a control-flow op, and the user's source line. A region is isolated: what it uses of the outside it takes
as an input. Locations take no part in equality.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from leptonc.frames import Loc
from leptonc.ir.printing import Printed
from leptonc.ir.types import DType, TensorType, dtype_of
from leptonc.lazy import cached_property


@dataclass(frozen=True)
class Literal:
    """A constant array as a value that hashes and compares by its bits (so NaN equals itself, 0.0 is not -0.0)."""

    type: TensorType
    data: bytes

    @staticmethod
    def of(array: Any) -> Literal:
        array = np.asarray(array)
        dtype = dtype_of(array.dtype)
        contiguous = np.ascontiguousarray(array, dtype.numpy)
        return Literal(TensorType(array.shape, dtype), contiguous.tobytes())

    @cached_property
    def array(self) -> np.ndarray:
        """The constant, read-only."""
        return np.frombuffer(self.data, self.type.dtype.numpy).reshape(self.type.shape)


Attr = None | bool | int | float | str | DType | Literal | tuple


@dataclass(frozen=True)
class Node:
    """One operation: ``results = op(operands) {attrs}``."""

    op: str
    operands: tuple[int, ...]
    results: tuple[int, ...]
    types: tuple[TensorType, ...]
    attrs: tuple[tuple[str, Attr], ...] = ()
    regions: tuple[Graph, ...] = ()
    loc: Loc | None = field(default=None, compare=False)

    @property
    def attributes(self) -> dict[str, Any]:
        return dict(self.attrs)


@dataclass(frozen=True)
class Graph(Printed):
    """A function: ``inputs`` are ids with ``input_types``; ``outputs`` are ids, repeats and inputs allowed."""

    name: str
    inputs: tuple[int, ...]
    input_types: tuple[TensorType, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    input_names: tuple[str, ...] = ()

    @cached_property
    def types(self) -> dict[int, TensorType]:
        """The type of every value."""
        table = dict(zip(self.inputs, self.input_types, strict=True))
        for node in self.nodes:
            table.update(zip(node.results, node.types, strict=True))
        return table

    @cached_property
    def producer(self) -> dict[int, Node]:
        """The node that makes a value; inputs have none."""
        return {value: node for node in self.nodes for value in node.results}

    @cached_property
    def use_counts(self) -> dict[int, int]:
        """How often each value is read, the graph's outputs included."""
        counts = dict.fromkeys(self.types, 0)
        for node in self.nodes:
            for value in node.operands:
                counts[value] += 1
        for value in self.outputs:
            counts[value] += 1
        return counts

    @property
    def output_types(self) -> tuple[TensorType, ...]:
        return tuple(self.types[value] for value in self.outputs)

    def walk(self) -> Iterator[Node]:
        """Every node, those of regions included."""
        for node in self.nodes:
            yield node
            for region in node.regions:
                yield from region.walk()


def with_regions(graph: Graph, change: Callable[[Graph], Graph]) -> Graph:
    """The graph, its own regions changed; itself if it has none."""
    if not any(node.regions for node in graph.nodes):
        return graph
    nodes = (replace(node, regions=tuple(map(change, node.regions))) if node.regions else node for node in graph.nodes)
    return replace(graph, nodes=tuple(nodes))
