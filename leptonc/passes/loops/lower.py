"""Graph -> Program: one Kernel per node, values become buffers, reshapes become second names of a buffer."""

from __future__ import annotations

from leptonc.errors import DonationError, IRError
from leptonc.ir.graph import Graph, Literal, Node
from leptonc.ir.kernel import Buffer, Call, Kernel, Program
from leptonc.ir.kernelbuilder import KernelBuilder
from leptonc.ir.op import get_op
from leptonc.ir.types import TensorType


def copy_kernel(type: TensorType) -> Kernel:
    """Element by element, flat."""
    k = KernelBuilder("copy")
    flat = type.with_shape((type.size,))
    source, target = k.input(flat), k.output(flat)
    axes = k.axes(flat.shape)
    stage = k.stage(axes)
    stage.store(target, axes, stage.load(source, axes))
    return k.build()


class _Lowering:
    def __init__(self, graph: Graph):
        self.graph = graph
        self.buffers: list[Buffer] = []
        self.calls: list[Call] = []
        self.buffer_of: dict[int, int] = {}  # value -> buffer; a reshaped value shares its operand's

    def buffer(self, buffer: Buffer) -> int:
        self.buffers.append(buffer)
        return len(self.buffers) - 1

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
        if node.op == "reshape":
            self.buffer_of[node.results[0]] = self.buffer_of[node.operands[0]]
            return
        if node.op == "constant" and not op_splats(node):
            literal = node.attributes["value"]
            self.buffer_of[node.results[0]] = self.buffer(Buffer(literal.type, "constant", literal=literal))
            return
        if not op.lowers:
            raise IRError(f"op {node.op} has no lowering ({node.loc})")
        kernel = op.lower(*(self.graph.types[i] for i in node.operands), **node.attributes)
        for value, type_ in zip(node.results, node.types, strict=True):
            self.buffer_of[value] = self.buffer(Buffer(type_, "temp"))
        args = [self.buffer_of[i] for i in (*node.operands, *node.results)]
        self.calls.append(Call(kernel, tuple(self.one_view_each(kernel, args)), node.loc))

    def one_view_each(self, kernel: Kernel, args: list[int]) -> list[int]:
        """A buffer read under two shapes by one kernel is copied for the second, so that a name has one shape."""
        shapes: dict[int, TensorType] = {}
        out = []
        for param, number in zip(kernel.params, args, strict=True):
            if shapes.setdefault(number, param.type) != param.type:
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


def op_splats(node: Node) -> bool:
    """Whether a constant is one number throughout, by bits: a Const instruction instead of memory."""
    literal: Literal = node.attributes["value"]
    if literal.type.size == 0:
        return False
    size = literal.type.dtype.itemsize
    return literal.data == literal.data[:size] * literal.type.size


def lower_graph(graph: Graph, donated: dict[int, int], frozen: int = 0) -> Program:
    """``donated`` maps an output's position to the position of the input whose memory it takes; the first ``frozen`` inputs are
    the same at every call."""
    for output, source in donated.items():
        if graph.output_types[output] != graph.input_types[source]:
            raise DonationError(f"output {output} is {graph.output_types[output]}, donated input {source} is "
                                f"{graph.input_types[source]}")
    return _Lowering(graph).run(donated, frozen)

