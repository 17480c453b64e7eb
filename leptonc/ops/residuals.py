"""What the backward pass of a loop needs of the forward one, trip by trip: saved, or made again where that is cheaper.

What all trips have in common is computed once, outside. What the forward pass gives or takes anyway is not saved a second time.
What cheap ops make of values that are there is made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from leptonc.ir.differentiation import Linearized
from leptonc.ir.graph import Graph, Node
from leptonc.ir.parts import part
from leptonc.ir.value import Value

CHEAP = frozenset({"add", "sub", "mul", "neg", "abs", "max", "min", "relu", "sign", "select", "eq", "ne", "lt", "le", "gt", "ge",
                   "and", "or", "not", "xor", "cast", "broadcast", "reshape", "transpose", "iota", "constant"})
DEPTH = 8  # cheap ops one behind the other, at most


@dataclass(frozen=True)
class Residuals:
    """``forward`` is the body, with what is saved of each trip as further ys. ``linear`` takes the residuals, then tangents.

    ``outside``: makes of the constants what stays. ``sources``: of each residual ("const", number of an operand), ("x", the same),
    ("outside", number) or ("y", number of an output of ``forward``); ``stays``: whether it is the same in all trips.
    """

    forward: Graph
    linear: Graph
    outside: Graph
    sources: tuple[tuple[str, int], ...]

    @property
    def stays(self) -> tuple[bool, ...]:
        return tuple(kind in ("const", "outside") for kind, _ in self.sources)

    def values(self, operands: Sequence[Value], out: Sequence[Value]) -> list[Value]:
        """The residuals, those of all trips behind each other; ``out``: the results of the forward scan."""
        builder = operands[0].builder
        outside = builder.inline(self.outside, operands[:len(self.outside.inputs)])
        places = {"const": operands, "x": operands, "outside": outside, "y": out}
        return [places[kind][n] for kind, n in self.sources]


def residuals_of(cut: Linearized, consts: int, kept: int, outputs: int, again: bool = False) -> Residuals:
    """``cut``: the body in forward mode, in two. The first ``consts`` inputs stay, carries go up to ``kept``. ``again``: what does
    not depend on these is made again, whatever it costs."""
    return _Choice(cut, consts, kept, outputs, again).made()


class _Choice:
    def __init__(self, cut: Linearized, consts: int, kept: int, outputs: int, again: bool):
        self.known, self.linear, self.outputs = cut.known, cut.linear, outputs
        self.types = self.known.types
        self.maker = self.known.producer
        self.place = {value: n for n, value in enumerate(self.known.inputs)}
        self.consts, self.kept = consts, kept
        self.given = set(self.known.outputs[:outputs]) | {i for i, n in self.place.items() if n < consts or n >= kept}
        self.steady = self._steady(slice(consts, None))
        self.again = self._steady(slice(consts, kept)) if again else set()
        self.constant = self._steady(slice(0, None))  # made of nothing: again wherever it is needed
        tangents = len(self.linear.inputs) - len(cut.needed) - (len(self.known.outputs) - outputs)
        self.residuals = [*(self.known.inputs[p] for p in cut.needed), *self.known.outputs[outputs:]]
        self.tangents = self.linear.inputs[len(self.linear.inputs) - tangents:] if tangents else ()

    def _steady(self, inputs: slice) -> set[int]:
        """The values that do not depend on some inputs."""
        moving = set(self.known.inputs[inputs])
        for node in self.known.nodes:
            if not moving.isdisjoint(node.operands):
                moving.update(node.results)
        return set(self.types) - moving

    def made(self) -> Residuals:
        wanted = dict.fromkeys(self.residuals)
        for value in self.residuals:
            leaves = self._leaves(value, DEPTH)
            if leaves is None or value in leaves:
                continue
            fresh = [i for i in leaves if i not in self.given and i not in self.steady and (i not in wanted or i == value)]
            if value in self.again or sum(self.types[i].nbytes for i in fresh) < self.types[value].nbytes:
                del wanted[value]
                wanted.update(dict.fromkeys(leaves))
        return self._assembled(list(wanted))

    def _leaves(self, value: int, depth: int) -> list[int] | None:
        """What cheap ops make a value of; None for a value that takes too many."""
        if value in self.constant:
            return []
        if value in self.given or value in self.steady or value not in self.maker:
            return [value]
        node = self.maker[value]
        if value not in self.again and (node.op not in CHEAP or not depth):
            return [value] if depth < DEPTH else None
        found: dict[int, None] = {}
        for i in node.operands:
            found.update(dict.fromkeys(self._leaves(i, depth - 1) or ()))
        return list(found)

    def _assembled(self, wanted: list[int]) -> Residuals:
        outputs = list(self.known.outputs[:self.outputs])
        outside: list[int] = []
        sources = []
        for value in wanted:
            place = self.place.get(value)
            if place is not None and (place < self.consts or place >= self.kept):
                sources.append(("const" if place < self.consts else "x", place))
            elif value in self.steady:
                outside.append(value)
                sources.append(("outside", len(outside) - 1))
            else:
                known = value in outputs[self.outputs:] or value in self.known.outputs[:self.outputs]
                if not known or value in self._carries(outputs):
                    outputs.append(value)
                sources.append(("y", len(outputs) - 1 - outputs[::-1].index(value)))
        names = self.known.input_names
        forward = replace(part(self.known, self.known.inputs, outputs), input_names=names)
        return Residuals(forward, self._linear(wanted), part(self.known, self.known.inputs[:self.consts], outside), tuple(sources))

    def _carries(self, outputs: Sequence[int]) -> set[int]:
        """Values that the body gives as carries alone, of which the last one is all that is left."""
        carries = self.kept - self.consts
        return set(outputs[:carries]) - set(outputs[carries:])

    def _linear(self, wanted: Sequence[int]) -> Graph:
        """The linear part on the residuals wanted, what is made again before it. Both graphs have numbers of their own."""
        nodes, number = list[Node](), dict[int, int]()
        following = max([0, *self.known.types, *self.linear.types]) + 1
        shift = following

        def renamed(i: int) -> int:
            return i + shift

        again = part(self.known, wanted, [i for i in self.residuals])
        nodes = [replace(n, operands=tuple(map(renamed, n.operands)), results=tuple(map(renamed, n.results))) for n in again.nodes]
        number = dict(zip(self.linear.inputs, [renamed(i) for i in self.residuals]))
        nodes += [replace(n, operands=tuple(number.get(i, i) for i in n.operands)) for n in self.linear.nodes]
        inputs = (*map(renamed, wanted), *self.tangents)
        types = {**{renamed(i): t for i, t in self.types.items()}, **self.linear.types}
        outputs = tuple(number.get(i, i) for i in self.linear.outputs)
        return Graph(self.linear.name, inputs, tuple(types[i] for i in inputs), tuple(nodes), outputs)
