"""Graph -> Program: one Kernel per node, values become buffers, reshapes and views become second names of a buffer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from leptonc.errors import DonationError, IRError
from leptonc.ir.control import Branch, Loop, with_arguments, workspace_of
from leptonc.ir.copying import copy_kernel
from leptonc.ir.graph import Graph, Literal, Node
from leptonc.ir.kernel import Buffer, Call, Kernel, Param, Program
from leptonc.ir.op import get_op
from leptonc.ir.sorting import Sort
from leptonc.ir.structure import COUNTERS, WITHIN
from leptonc.ir.types import TensorType
from leptonc.lazy import cached_property
from leptonc.passes.loops.updates import updates

LowerBody = Callable[[Graph, dict[int, int]], Program]
"""The way from the graph of a region to a Program whose memory is planned; ``donated`` as in ``lower_graph``."""


def no_regions(region: Graph, donated: dict[int, int]) -> Program:
    raise IRError(f"{region.name} is a region, and nothing was given to lower it by")


class _Lowering:
    def __init__(self, graph: Graph, lower_body: LowerBody):
        self.graph = graph
        self.lower_body = lower_body
        self.buffers: list[Buffer] = []
        self.calls: list[Call] = []
        self.buffer_of: dict[int, int] = {}  # value -> buffer; a reshaped value shares its operand's
        self.constants: dict[Literal, int] = {}

    def buffer(self, buffer: Buffer) -> int:
        self.buffers.append(buffer)
        return len(self.buffers) - 1

    def constant(self, literal: Literal) -> int:
        """The buffer of a constant: one for all that are equal."""
        if literal not in self.constants:
            self.constants[literal] = self.buffer(Buffer(literal.type, "constant", literal=literal))
        return self.constants[literal]

    def run(self, donated: dict[int, int], frozen: int) -> Program:
        graph = self.graph
        names = graph.input_names or ("",) * len(graph.inputs)
        for n, (value, type_, name) in enumerate(zip(graph.inputs, graph.input_types, names, strict=True)):
            self.buffer_of[value] = self.buffer(Buffer(type_, "input", name, frozen=n < frozen))
        for node in graph.nodes:
            self.node(node)
        inputs = tuple(self.buffer_of[v] for v in graph.inputs)
        outputs = self.outputs({o: inputs[i] for o, i in donated.items()})
        return Program(graph.name, tuple(self.buffers), tuple(self.calls), inputs, outputs)

    def node(self, node: Node) -> None:
        op = get_op(node.op)
        if node.op == "reshape" or op.views:
            self.buffer_of[node.results[0]] = self.buffer_of[node.operands[0]]
            return
        if node.op == "constant" and not op_splats(node):
            self.array(node)
            return
        if op.tabulated:
            self.buffer_of[node.results[0]] = self.constant(Literal.of(op.eager(**node.attributes)))
            return
        if node.regions:
            self.region(node)
            return
        if not op.lowers:
            raise IRError(f"op {node.op} has no lowering ({node.loc})")
        kernel = op.lower(*(self.graph.types[i] for i in node.operands), **node.attributes)
        for value, type_ in zip(node.results, node.types, strict=True):
            self.buffer_of[value] = self.buffer(Buffer(type_, "temp"))
        args = [self.buffer_of[i] for i in (*node.operands, *node.results)]
        self.calls.append(Call(kernel, tuple(self.one_view_each(kernel, args)), node.loc))

    def array(self, node: Node) -> None:
        """A constant. One that counts the points of an axis, and is but compared with what it counts up to, is no memory."""
        literal, (result,) = node.attributes["value"], node.results
        axis = counted_axis(literal) if result in self.compared else None
        if axis is None:
            self.buffer_of[result] = self.constant(literal)
            return
        kernel = get_op("iota").lower(shape=literal.type.shape, axis=axis, dtype=literal.type.dtype)
        self.buffer_of[result] = self.buffer(Buffer(literal.type, "temp"))
        self.calls.append(Call(kernel, (self.buffer_of[result],), node.loc))

    @cached_property
    def compared(self) -> frozenset[int]:
        """Values that are compared with others, as they are or spread, and used in no other way."""
        other = set(self.graph.outputs)
        for node in reversed(self.graph.nodes):
            if node.op not in WITHIN and (node.op not in ("broadcast", "reshape") or other.intersection(node.results)):
                other.update(node.operands)
        return frozenset(value for node in self.graph.nodes for value in node.operands) - other

    def region(self, node: Node) -> None:
        """A loop or a branch; constants of its bodies become operands of its own."""
        attrs, operands = node.attributes, [self.buffer_of[i] for i in node.operands]
        branches = node.op == "switch"
        donated = updates(node.regions) if branches else {n: attrs["consts"] + n for n in range(attrs["carries"])}
        bodies, literals = with_arguments([self.lower_body(region, donated) for region in node.regions])
        constants = [self.constant(literal) for literal in literals]
        operands = [*operands[:branches], *constants, *operands[branches:]]
        types = [*(self.graph.types[i] for i in node.operands[:branches]), *(literal.type for literal in literals),
                 *(self.graph.types[i] for i in node.operands[branches:])]
        takes, gives = (tuple(Param(f"{letter}{n}", t, role) for n, t in enumerate(of)) for letter, role, of
                        in (("a", "in", types), ("r", "out", node.types)))
        workspace = workspace_of(bodies)
        params, names = (*takes, *gives, workspace), tuple(p.name for p in takes)
        rest = (node.op, params, (), (), ()), tuple(p.name for p in gives), workspace.name
        kernel: Kernel
        if branches:
            pairs = tuple((len(literals) + source, result) for result, source in donated.items())
            kernel = Branch(*rest[0], names[1:], *rest[1:], bodies, names[0], pairs)
        else:
            kernel = Loop(*rest[0], names, *rest[1:], bodies[0], len(literals) + attrs["consts"], attrs["carries"],
                          attrs.get("length"), attrs.get("reverse", False))
        for value, type_ in zip(node.results, node.types, strict=True):
            self.buffer_of[value] = self.buffer(Buffer(type_, "temp"))
        results = [self.buffer_of[i] for i in node.results]
        args = [*self.one_view_each(kernel, [*operands, *results, self.buffer(Buffer(workspace.type, "temp"))])]
        self.calls.append(Call(kernel, tuple(args), node.loc))

    def one_view_each(self, kernel: Kernel, args: list[int]) -> list[int]:
        """A buffer read under two shapes by one kernel is copied for the second, so that a name has one shape; one that a sort
        moves twice as well, so that each operand has its own name."""
        shapes: dict[int, TensorType] = {}
        out = []
        for param, number in zip(kernel.params, args, strict=True):
            if shapes.setdefault(number, param.type) != param.type or (isinstance(kernel, Sort) and number in out):
                number = self.copy(number, self.buffer(Buffer(self.buffers[number].type, "temp")))
            out.append(number)
        return out

    def copy(self, source: int, target: int) -> int:
        self.calls.append(Call(copy_kernel(self.buffers[source].type), (source, target)))
        return target

    def outputs(self, donated: dict[int, int]) -> tuple[int, ...]:
        """Each output is a buffer of its own: what is an input, a constant or returned twice is copied."""
        taken: set[int] = set()
        out = []
        for position, value in enumerate(self.graph.outputs):
            number = self.buffer_of[value]
            if self.buffers[number].kind != "temp" or number in taken:
                number = self.copy(number, self.buffer(Buffer(self.graph.types[value], "temp")))
            taken.add(number)
            out.append(number)
            source = donated.get(position)
            self.buffers[number] = Buffer(self.graph.types[value], "output", donated=source)
        return tuple(out)


def counted_axis(literal: Literal) -> int | None:
    """The axis whose points a constant's integers are the numbers of."""
    if literal.type.dtype not in COUNTERS or not literal.type.size:
        return None
    array = literal.array
    for axis, extent in enumerate(array.shape):
        number = np.arange(extent).reshape(extent, *(1,) * (array.ndim - axis - 1))
        if extent > 1 and bool((array == number).all()):
            return axis
    return None


def op_splats(node: Node) -> bool:
    """Whether a constant is one number throughout, by bits: a Const instruction instead of memory."""
    literal: Literal = node.attributes["value"]
    if literal.type.size == 0:
        return False
    size = literal.type.dtype.itemsize
    return literal.data == literal.data[:size] * literal.type.size


def lower_graph(graph: Graph, donated: dict[int, int], frozen: int = 0, lower_body: LowerBody = no_regions) -> Program:
    """``donated`` maps an output's position to the position of the input whose memory it takes; the first ``frozen`` inputs are
    the same at every call; ``lower_body`` makes programs of regions."""
    for output, source in donated.items():
        if graph.output_types[output] != graph.input_types[source]:
            raise DonationError(f"output {output} is {graph.output_types[output]}, donated input {source} is "
                                f"{graph.input_types[source]}")
    return _Lowering(graph, lower_body).run(donated, frozen)
