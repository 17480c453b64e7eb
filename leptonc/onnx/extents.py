"""Extents that are left open: a function is traced at several extents, and what differs between the graphs follows them."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from leptonc.errors import LeptonError
from leptonc.frames import Loc
from leptonc.ir.graph import Graph, Literal, Node
from leptonc.ir.types import TensorType
from leptonc.onnx.patterns import pattern

EXTENTS = ((61, 66, 68), (73, 78, 80), (85, 90, 92), (97, 102, 104), (109, 114, 116), (121, 126, 128))
"""What to trace at, for each open dimension: different remainders by 2, 3 and 4, for what depends on those must be seen."""
MOST_DIMENSIONS = len(EXTENTS)


class Extent(int):
    """A number that follows open dimensions: ``values`` is what it was in each trace; as an int, what it was in the first."""

    values: tuple[int, ...]

    def __new__(cls, values: Sequence[int]) -> Extent:
        self = super().__new__(cls, values[0])
        self.values = tuple(values)
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Extent) and self.values == other.values

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.values)

    def _with(self, other: int, function: Callable[[int, int], int], swapped: bool = False) -> int:
        pairs = zip(self.values, values_of(other, len(self.values)))
        return joined([function(b, a) if swapped else function(a, b) for a, b in pairs])

    def __add__(self, other: int) -> int:
        return self._with(other, operator.add)

    def __sub__(self, other: int) -> int:
        return self._with(other, operator.sub)

    def __rsub__(self, other: int) -> int:
        return self._with(other, operator.sub, swapped=True)

    def __mul__(self, other: int) -> int:
        return self._with(other, operator.mul)

    def __floordiv__(self, other: int) -> int:
        return self._with(other, operator.floordiv)

    def __mod__(self, other: int) -> int:
        return self._with(other, operator.mod)

    def __neg__(self) -> int:
        return self * -1

    __radd__ = __add__
    __rmul__ = __mul__

    def __bool__(self) -> bool:
        return True  # it is not always 0

    def _always(self, other: int, relation: Callable[[int, int], bool]) -> bool:
        found = {relation(a, b) for a, b in zip(self.values, values_of(other, len(self.values)))}
        if len(found) > 1:
            raise differs("which of two numbers is the greater", None)
        return found.pop()

    def __lt__(self, other: int) -> bool:
        return self._always(other, operator.lt)

    def __le__(self, other: int) -> bool:
        return self._always(other, operator.le)

    def __gt__(self, other: int) -> bool:
        return self._always(other, operator.gt)

    def __ge__(self, other: int) -> bool:
        return self._always(other, operator.ge)


def values_of(number: int, count: int) -> tuple[int, ...]:
    """What a number was in each of ``count`` traces."""
    return number.values if isinstance(number, Extent) else (number,) * count


def joined(values: Sequence[int]) -> int:
    """The number that was ``values`` in the traces: an int if it was always the same."""
    return int(values[0]) if len(set(values)) == 1 else Extent([int(v) for v in values])


@dataclass(frozen=True)
class Formula:
    """``factor * product of the dimensions + offset``; dimensions by their numbers."""

    factor: int
    dimensions: tuple[int, ...]
    offset: int = 0


@dataclass(frozen=True)
class Traces:
    """The extents of ``count`` open dimensions in each trace: all at their first, then each in turn at its second, then all at
    their third, by which a formula found from the others is checked."""

    count: int

    @property
    def extents(self) -> list[tuple[int, ...]]:
        first, second, third = zip(*EXTENTS[:self.count])
        turns = [tuple(b if n == m else a for m, (a, b) in enumerate(zip(first, second))) for n in range(self.count)]
        return [first, *turns, third]

    def formula(self, extent: Extent) -> Formula | None:
        """What an extent is of the open dimensions; None if it is neither a multiple of some nor one plus a number."""
        traces, values = self.extents, extent.values
        moved = tuple(n for n in range(self.count) if values[n + 1] != values[0])
        size = math.prod(traces[0][n] for n in moved)
        found = [Formula(values[0] // size, moved)]
        if len(moved) == 1:
            slope = (values[moved[0] + 1] - values[0]) // (traces[moved[0] + 1][moved[0]] - traces[0][moved[0]])
            found.append(Formula(slope, moved, values[0] - slope * size))
        return next((f for f in found if moved and values == tuple(
            f.factor * math.prod(trace[n] for n in f.dimensions) + f.offset for trace in traces)), None)


def merged(graphs: Sequence[Graph]) -> Graph:
    """The graph of all traces, with Extents for ints that differ. Raises LeptonError where something else does."""
    first = graphs[0]
    if len({len(g.nodes) for g in graphs}) > 1 or len({(g.inputs, g.outputs) for g in graphs}) > 1:
        raise differs("the number of its steps", None)
    nodes = [_merged_node(nodes) for nodes in zip(*(g.nodes for g in graphs))]
    types = tuple(_merged(found, None) for found in zip(*(g.input_types for g in graphs)))
    return replace(first, input_types=types, nodes=tuple(nodes))


def _merged_node(nodes: Sequence[Node]) -> Node:
    first, loc = nodes[0], nodes[0].loc
    if len({(n.op, n.operands, n.results, len(n.regions), tuple(dict(n.attrs))) for n in nodes}) > 1:
        raise differs("which steps it has", loc)
    types = tuple(_merged(found, loc) for found in zip(*(n.types for n in nodes)))
    regions = tuple(merged(found) for found in zip(*(n.regions for n in nodes)))
    attrs = tuple((name, _merged([n.attributes[name] for n in nodes], loc)) for name in first.attributes)
    return replace(first, types=types, attrs=attrs, regions=regions)


def _merged(values: Sequence[Any], loc: Loc | None) -> Any:
    first = values[0]
    if all(v == first or (type(v) is float and repr(v) == repr(first)) for v in values):  # a NaN is not equal to itself
        return first
    if all(type(v) is int for v in values):
        return Extent(values)
    if all(isinstance(v, tuple) and len(v) == len(first) for v in values):
        return tuple(_merged(items, loc) for items in zip(*values))
    if all(isinstance(v, TensorType) and v.dtype == first.dtype and v.rank == first.rank for v in values):
        return TensorType(_merged([v.shape for v in values], loc), first.dtype)
    if all(isinstance(v, Literal) for v in values):
        found = pattern([v.array for v in values])
        if found is None:
            raise differs("a constant", loc)
        return found
    raise differs("a number", loc)


def differs(what: str, loc: Loc | None) -> LeptonError:
    return LeptonError(f"onnx.export: {what} depends on a dimension that is to be open; fix: give it an extent (leave it out of "
                       "dynamic_axes; in Keras, input_signature=[keras.InputSpec((1, 28, 28, 1))])", loc)
