"""The handle that rules, ops and tracers compute with."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from leptonc.ir.graph import Graph, Loc, Node
from leptonc.ir.types import DType, TensorType


class Emitter(Protocol):
    """What collects the nodes of a graph (``ir.builder.Builder``), as its values see it."""

    name: str

    def emit(self, op: Any, operands: Sequence[Any], attrs: dict[str, Any] | None = None, regions: tuple[Graph, ...] = ()) -> Any:
        ...

    def constant(self, array: Any) -> Value:
        ...

    def full(self, type: TensorType, number: Any) -> Value:
        ...

    def value(self, id: int) -> Value:
        ...

    def producer(self, id: int) -> Node | None:
        ...

    def at(self, loc: Loc | None) -> AbstractContextManager[None]:
        ...

    def copy_node(self, node: Node, operands: Sequence[Value]) -> tuple[Value, ...]:
        ...

    def inline(self, graph: Graph, arguments: Sequence[Value]) -> tuple[Value, ...]:
        ...


class Value:
    """A value of a graph under construction. Operators emit nodes; a Python number takes the other side's type."""

    __slots__ = ("builder", "id", "type")
    __array_ufunc__ = None  # ndarray.__mul__(value) returns NotImplemented, so Value.__rmul__ is asked

    def __init__(self, builder: Emitter, id: int, type: TensorType):
        self.builder = builder
        self.id = id
        self.type = type

    @property
    def shape(self) -> tuple[int, ...]:
        return self.type.shape

    @property
    def dtype(self) -> DType:
        return self.type.dtype

    def _binary(self, op: str, other: Any, swapped: bool = False) -> Value:
        if not isinstance(other, Value):
            other = self.builder.full(self.type, other)
        pair = (other, self) if swapped else (self, other)
        return self.builder.emit(op, pair)

    def __add__(self, other: Any) -> Value:
        return self._binary("add", other)

    def __radd__(self, other: Any) -> Value:
        return self._binary("add", other, swapped=True)

    def __sub__(self, other: Any) -> Value:
        return self._binary("sub", other)

    def __rsub__(self, other: Any) -> Value:
        return self._binary("sub", other, swapped=True)

    def __mul__(self, other: Any) -> Value:
        return self._binary("mul", other)

    def __rmul__(self, other: Any) -> Value:
        return self._binary("mul", other, swapped=True)

    def __truediv__(self, other: Any) -> Value:
        return self._binary("div", other)

    def __rtruediv__(self, other: Any) -> Value:
        return self._binary("div", other, swapped=True)

    def __neg__(self) -> Value:
        return self.builder.emit("neg", (self,))

    def __repr__(self) -> str:
        return f"%{self.id}: {self.type}"
