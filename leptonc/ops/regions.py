"""What ops with regions share. A region is isolated: what it uses of the outside it takes as an operand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from leptonc.errors import ShapeError, op_error
from leptonc.ir.builder import Builder
from leptonc.ir.graph import Graph
from leptonc.ir.op import Op
from leptonc.ir.parts import varied_values
from leptonc.ir.types import TensorType
from leptonc.ir.value import Value

Types = tuple[TensorType, ...]


class RegionOp(Op):
    """Its results are those that its regions say; always a tuple."""

    results = 0
    regional = True
    stores = True  # its body knows what to do with floats of 16 bits

    def check(self, what: str, expected: Sequence[TensorType], found: Sequence[TensorType]) -> None:
        """Raises ShapeError for what a region takes or gives, if it is not what it should be."""
        if tuple(expected) != tuple(found):
            wanted, got = (", ".join(map(str, types)) for types in (expected, found))
            raise op_error(self.name, f"{what} must be ({wanted}), got ({got})", {}, kind=ShapeError)


def region(name: str, types: Sequence[TensorType], make: Callable[..., Sequence[Value]], names: Sequence[str] = ()) -> Graph:
    """The graph of a function of so many values; each output is one of them, or made of them."""
    builder = Builder(name)
    inputs = [builder.input(t, n) for t, n in zip(types, names or ("",) * len(types), strict=True)]
    return builder.finish(make(*inputs))


def moving_outputs(graph: Graph, moving: Sequence[bool]) -> tuple[bool, ...]:
    """The float outputs that depend, through floats alone, on some of the inputs."""
    varied = varied_values(graph, [i for i, flag in zip(graph.inputs, moving, strict=True) if flag])
    return tuple(i in varied for i in graph.outputs)


def moving_carries(graph: Graph, moving: Sequence[bool], first: int, count: int) -> tuple[bool, ...]:
    """The inputs that move in some trip of a loop if the given ones do in the first: ``count`` carries, from input ``first`` on,
    are what the first outputs of the trip before were."""
    flags = list(moving)
    while True:
        found = moving_outputs(graph, flags)[:count]
        after = [*flags[:first], *(a or b for a, b in zip(flags[first:first + count], found)), *flags[first + count:]]
        if after == flags:
            return tuple(flags)
        flags = after


def floats(graph: Graph) -> list[int]:
    """Positions of the float outputs."""
    return [n for n, t in enumerate(graph.output_types) if t.dtype.is_inexact]


def chosen(items: Sequence[Any], flags: Sequence[bool]) -> list[Any]:
    """Those whose flags are set."""
    return [item for item, flag in zip(items, flags, strict=True) if flag]


def choose(flags: Value, new: Value, old: Value) -> Value:
    """Of each example ``new`` where its flag is set, else ``old``: flags[n], values [n, ...]."""
    wide = flags.builder.emit("broadcast", (flags,), {"shape": new.shape, "dims": (0,)})
    return flags.builder.emit("select", (wide, new, old))
