"""An ONNX graph under construction: names for values, nodes for ops, and the table of what each op becomes."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from leptonc.errors import LeptonError, op_error
from leptonc.frames import Loc
from leptonc.ir.graph import Graph, Literal, Node
from leptonc.ir.op import get_op
from leptonc.ir.types import DType, TensorType
from leptonc.onnx.extents import Extent, Traces, differs

Shape = tuple[int, ...]
Emitter = Callable[..., Any]
EMITTERS: dict[str, Emitter] = {}


def emits(*ops: str) -> Callable[[Emitter], Emitter]:
    """Enter ``f(writer, node, *operands)`` for ops: it gives a Tensor, the name of a value of the result's shape, or a tuple of
    either."""

    def enter(f: Emitter) -> Emitter:
        EMITTERS.update(dict.fromkeys(ops, f))
        return f

    return enter


@dataclass(frozen=True)
class Tensor:
    """A value by its name. Its ``shape`` in ONNX broadcasts to that of its type: what is broadcast is made where it must be."""

    name: str
    type: TensorType
    shape: Shape

    @property
    def is_full(self) -> bool:
        return self.shape == self.type.shape


@dataclass(frozen=True)
class Dimension:
    """An open dimension, and where it can be read: an axis of an input."""

    name: str
    input: str
    axis: int


@dataclass
class Model:
    """What the main graph and those inside of its loops and branches share."""

    traces: Traces
    dimensions: Sequence[Dimension]
    known: dict[str, np.ndarray] = field(default_factory=dict)  # initializers, those that nothing reads included
    names: dict[Literal, str] = field(default_factory=dict)
    first: list[NodeProto] = field(default_factory=list)  # nodes that come before all others: they measure open dimensions
    numbers: dict[Any, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    loc: Loc | None = None  # of the node that is written

    def name(self, wish: str) -> str:
        """A name that nothing else has."""
        found = next(n for n in itertools.chain([wish], (f"{wish}_{k}" for k in itertools.count(1))) if n not in self.taken)
        self.taken.add(found)
        return found

    def constant(self, array: Any, wish: str = "const") -> str:
        literal = Literal.of(array)
        found = self.names.get(literal)
        if found is None:
            found = self.names[literal] = self.name(wish)
        self.known[found] = literal.array
        return found

    def measured(self, extent: Extent) -> str:
        """An extent as i64[1]."""
        if extent in self.numbers:
            return self.numbers[extent]
        formula = self.traces.formula(extent)
        if formula is None:
            raise LeptonError("onnx.export: a number is neither a multiple of open dimensions nor one of them plus a number; fix: "
                              "give the dimension an extent (leave it out of dynamic_axes)", self.loc)
        before = Writer(self, self.first)
        read = [self.dimensions[n] for n in formula.dimensions]
        factors = [before.add("Shape", d.input, start=d.axis, end=d.axis + 1) for d in read]
        if formula.factor != 1:
            factors.append(before.constant(np.array([formula.factor])))
        out = functools.reduce(lambda a, b: before.add("Mul", a, b), factors)
        if formula.offset:
            out = before.add("Add", out, before.constant(np.array([formula.offset])))
        self.numbers[extent] = out
        return str(out)

    def info(self, name: str, type: TensorType) -> Any:
        """A graph's input or output, with the names of open dimensions."""
        shape = [self._dimension(n) if isinstance(n, Extent) else int(n) for n in type.shape]
        return helper.make_tensor_value_info(name, element_type(type.dtype), shape)

    def _dimension(self, extent: Extent) -> str | None:
        """The name of an open dimension; None if an extent is none of them, but made of some."""
        found = self.traces.formula(extent)
        plain = found is not None and found.factor == 1 and not found.offset and len(found.dimensions) == 1
        return self.dimensions[found.dimensions[0]].name if found is not None and plain else None

    def initializers(self, used: set[str]) -> list[TensorProto]:
        return [numpy_helper.from_array(array, name) for name, array in self.known.items() if name in used]


@dataclass
class Writer:
    """One graph's nodes. Methods give names; where an operand is an initializer its rearrangement is one as well."""

    model: Model
    nodes: list[NodeProto] = field(default_factory=list)
    expanded: dict[tuple[str, Shape], str] = field(default_factory=dict)

    def add(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """A node; the name of its output, or a list of them."""
        if any(isinstance(n, Extent) for value in attributes.values() for n in (value if isinstance(value, list) else [value])):
            raise differs("an attribute", self.model.loc)
        names = [self.model.name(op) for _ in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=names[0], **attributes))
        return names[0] if outputs == 1 else names

    # Constants and numbers

    def constant(self, array: Any) -> str:
        return self.model.constant(array)

    def number(self, value: Any, dtype: DType) -> str:
        """A scalar."""
        if isinstance(value, Extent):
            raise differs("a number", self.model.loc)
        return self.constant(np.asarray(value).astype(dtype.numpy))

    def extent(self, n: int) -> str:
        """A number that may follow open dimensions, as i64[1]."""
        return self.model.measured(n) if isinstance(n, Extent) else self.constant(np.array([n], np.int64))

    def extents(self, numbers: Sequence[int]) -> str:
        """Numbers as i64[n]."""
        if not any(isinstance(n, Extent) for n in numbers):
            return self.constant(np.array(numbers, np.int64))
        return self.joined([self.extent(n) for n in numbers])

    def joined(self, vectors: Sequence[str]) -> str:
        """Vectors one behind the other."""
        if all(v in self.model.known for v in vectors):
            return self.constant(np.concatenate([self.model.known[v] for v in vectors]))
        return str(self.add("Concat", *vectors, axis=0)) if len(vectors) > 1 else vectors[0]

    def known(self, name: str) -> np.ndarray | None:
        return self.model.known.get(name)

    # Rearranged

    def transpose(self, name: str, perm: Sequence[int]) -> str:
        if list(perm) == list(range(len(perm))):
            return name
        array = self.known(name)
        if array is not None:
            return self.model.constant(np.transpose(array, perm), name)
        return str(self.add("Transpose", name, perm=list(perm)))

    def reshape(self, name: str, source: Shape, target: Shape) -> str:
        if source == target:
            return name
        array = self.known(name)
        if array is not None and not any(isinstance(n, Extent) for n in target):
            return self.model.constant(array.reshape(target), name)
        if 0 in target:  # which is otherwise ONNX's word for the operand's extent
            return str(self.add("Reshape", name, self.extents(target), allowzero=1))
        return str(self.add("Reshape", name, self._target(source, target)))

    def _target(self, source: Shape, target: Shape) -> str:
        """Open extents as ONNX's 0 (that of the same axis) and -1 (the rest), if one of the latter is enough."""
        kept = [isinstance(n, Extent) and d < len(source) and source[d] == n for d, n in enumerate(target)]
        rest = [d for d, n in enumerate(target) if isinstance(n, Extent) and not kept[d]]
        if len(rest) > 1:
            return self.extents(target)
        return self.extents([0 if kept[d] else -1 if d in rest else n for d, n in enumerate(target)])

    def cast(self, name: str, source: DType, target: DType) -> str:
        if source == target:
            return name
        return str(self.add("Cast", name, to=element_type(target)))

    def full(self, x: Tensor) -> str:
        """The value with the shape of its type."""
        if x.is_full:
            return x.name
        key = x.name, x.type.shape
        if key not in self.expanded:
            padded = (1,) * (x.type.rank - len(x.shape)) + x.shape
            target = [1 if n == m else n for n, m in zip(x.type.shape, padded)]
            self.expanded[key] = self.add("Expand", x.name, self.extents(target))
        return self.expanded[key]

    # Graphs

    def write(self, graph: Graph, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The nodes of a graph on ``inputs``; what they make of its outputs."""
        env = dict(zip(graph.inputs, inputs, strict=True))
        for node in graph.nodes:
            self.model.loc = node.loc
            made = self._written(node, [env[i] for i in node.operands])
            results = made if isinstance(made, tuple) else (made,)
            env.update((i, x if isinstance(x, Tensor) else Tensor(x, t, t.shape)) for i, x, t in
                       zip(node.results, results, node.types, strict=True))
        return [env[i] for i in graph.outputs]

    def _written(self, node: Node, operands: Sequence[Tensor]) -> Any:
        if any(t.dtype.is_complex for t in (*node.types, *(x.type for x in operands))):
            raise self.fault(node, operands, "complex numbers are not exported", "take their parts: .real, .imag")
        emitter = EMITTERS.get(node.op)
        if emitter is not None:
            return emitter(self, node, *operands)
        op = get_op(node.op)
        if operands or op.results != 1 or node.regions:
            raise self.fault(node, operands, "has no form in ONNX that is known here", "compute it outside of what is exported")
        return self.constant(op.run(**node.attributes))

    def fault(self, node: Node, operands: Sequence[Tensor], reason: str, fix: str | None = None) -> LeptonError:
        """The error to raise for a node, of the user's line that made it."""
        named = {f"operand {n}": str(x.type) for n, x in enumerate(operands[:4])}
        return op_error(f"onnx.export: {node.op}", reason, named, fix, LeptonError, node.loc)

    def graph(self, name: str, inputs: Sequence[Tensor], make: Callable[[Writer], Sequence[Tensor]]) -> GraphProto:
        """A graph inside of a loop or a branch, which reads what there is outside: ``make`` writes it, and gives its outputs."""
        inner = Writer(self.model, expanded=dict(self.expanded))
        made = [Tensor(inner.add("Identity", inner.full(x)), x.type, x.type.shape) for x in make(inner)]
        infos = ([self.model.info(x.name, x.type) for x in group] for group in (inputs, made))
        return helper.make_graph(inner.nodes, name, *infos)

    def fresh(self, type: TensorType, wish: str) -> Tensor:
        """A value of an inner graph that is given to it."""
        return Tensor(self.model.name(wish), type, type.shape)


def element_type(dtype: DType) -> int:
    """ONNX's number of a dtype. Raises LeptonError if it has none."""
    try:
        return int(helper.np_dtype_to_tensor_dtype(dtype.numpy))
    except (KeyError, ValueError):
        raise LeptonError(f"onnx.export: ONNX has no {dtype}; fix: cast to a type that it has, such as f32") from None


def broadcast_shape(shapes: Sequence[Shape]) -> Shape:
    """What operands of these shapes give, as in NumPy."""
    rank = max(map(len, shapes), default=0)
    padded = [(1,) * (rank - len(s)) + s for s in shapes]
    return tuple(next((n for n in found if n != 1), 1) for found in zip(*padded))
