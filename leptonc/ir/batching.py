"""What a batch rule may ask of the axis that a graph is batched along: see ``passes/graph/batch.py``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from leptonc.ir.graph import Graph
from leptonc.ir.value import Value


@dataclass(frozen=True)
class Unbatched:
    """A result of a batch rule without the batch axis: one value for all examples."""

    value: Value


class BatchAxis(Protocol):
    """``size`` examples lie along it; ``name`` is what collectives call it, None if it has no name."""

    size: int
    name: str | None

    def broadcast(self, x: Value) -> Value:
        """An unbatched value repeated along the axis, which is put in front."""
        ...

    def front(self, batched: Sequence[bool], operands: Sequence[Value]) -> list[Value]:
        """The operands with the batch axis in front, unbatched ones repeated."""
        ...

    def images(self, x: Value) -> Value:
        """A batched value [examples, n, ...] as [examples * n, ...]: what ops take that treat images, along axis 0, alike."""
        ...

    def examples(self, images: Value, n: int) -> Value:
        """[examples * n, ...] as [examples, n, ...]."""
        ...

    def as_images(self, batched: Sequence[bool], operands: Sequence[Value]) -> list[Value] | None:
        """The operands of an op that treats images alike, all [examples * n, ...], if one of them was made as images: so what
        stands between convolutions and pools stays in their shape. None if none was."""
        ...

    def region(self, graph: Graph, batched: Sequence[bool],
               outputs: Sequence[bool] | None = None) -> tuple[Graph, tuple[bool, ...]]:
        """A region batched: its graph for inputs of which some have the batch axis in front, and which outputs have it.

        Outputs that ``outputs`` asks for have it in any case: so a loop's carry comes to a fixpoint.
        """
        ...

    def by_definition(self, define: Callable[..., Any], batched: Sequence[bool], operands: Sequence[Value]) -> Any:
        """The results of a function of unbatched values, built of ops that have rules, as a rule returns them."""
        ...
