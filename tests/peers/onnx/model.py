"""A model as a Python function: its nodes one after the other, on traced and known values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from tests.peers.onnx import families  # noqa: F401  (fills the table)
from tests.peers.onnx.registry import OPS, Node, NotImportedError
from tests.peers.onnx.types import held

FROM_SHAPES = {"Shape", "Size"}  # ops whose results are known though their inputs are not


class Graph:
    """A graph (or a function's body) that runs on values by name."""

    def __init__(self, nodes: Sequence[Any], outputs: Sequence[str], opsets: Mapping[str, int], infos: Iterable[Any] = (),
                 functions: Mapping[tuple[str, str], Any] | None = None, attributes: Mapping[str, Any] | None = None):
        self.nodes, self.outputs, self.opsets = list(nodes), list(outputs), dict(opsets)
        self.protos = {info.name: info.type for info in infos}
        self.types = {name: _element_type(proto) for name, proto in self.protos.items()}
        self.shapes = {name: _declared_shape(proto) for name, proto in self.protos.items()}
        self.functions = functions or {}
        self.attributes = attributes  # of the node that calls this function

    def run(self, values: dict[str, Any]) -> list[Any]:
        values = {**values, "": None}
        for node in self.nodes:
            inputs = [values[name] for name in node.input]
            out = self._call(node, inputs, values)
            values.update((name, value) for name, value in zip(node.output, out) if name)
        return [values[name] for name in self.outputs]

    def _call(self, proto: Any, inputs: list[Any], values: dict[str, Any]) -> Sequence[Any]:
        for name, x in zip(proto.input, inputs):
            if name not in self.protos and hasattr(x, "shape"):
                self.protos[name] = onnx.helper.make_tensor_type_proto(onnx.helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        node = self.described(proto, values)
        rule = OPS.get((proto.domain, proto.op_type))
        if rule is not None:
            out = rule.run(node, *inputs)
            return out if isinstance(out, tuple) else (out,)
        return self._expanded(proto, node, inputs)

    def described(self, proto: Any, values: Mapping[str, Any] | None = None) -> Node:
        def subgraph(graph: Any, *inputs: Any) -> list[Any]:
            inner = of_graph(graph, self.opsets, self.functions, self.attributes)
            return inner.run({**(values or {}), **dict(zip([i.name for i in graph.input], inputs, strict=True))})

        return Node(proto.op_type, self._attributes(proto), self.opsets.get(proto.domain, 1),
                    tuple(self.types.get(name) for name in proto.input), tuple(self.types.get(name) for name in proto.output),
                    tuple(self.shapes.get(name) for name in proto.output), subgraph)

    def _attributes(self, proto: Any) -> dict[str, Any]:
        out = {}
        for attribute in proto.attribute:
            if not attribute.ref_attr_name:
                out[attribute.name] = _attribute(attribute)
            elif self.attributes is not None and attribute.ref_attr_name in self.attributes:
                out[attribute.name] = self.attributes[attribute.ref_attr_name]
        return out

    def _expanded(self, proto: Any, node: Node, inputs: list[Any]) -> Sequence[Any]:
        """A node that is a function: the model's own, or the body that ONNX gives the op."""
        body, inner = self._inner(proto, node)
        if inner is None:
            raise NotImportedError(f"op {proto.op_type}")
        return inner.run(dict(zip(body.input, [*inputs, *[None] * (len(body.input) - len(inputs))])))

    def _resolved(self, proto: Any) -> Any:
        """The node with the attributes that it takes from the node that calls this function."""
        out, found = onnx.NodeProto(), self._attributes(proto)
        out.CopyFrom(proto)
        del out.attribute[:]
        out.attribute.extend(a for a in proto.attribute if not a.ref_attr_name)
        out.attribute.extend(onnx.helper.make_attribute(a.name, found[a.name]) for a in proto.attribute
                             if a.ref_attr_name and a.name in found)
        return out

    def _inner(self, proto: Any, node: Node) -> tuple[Any, Graph | None]:
        body, defaults = self._body(proto)
        if body is None:
            return None, None
        opsets = {o.domain: o.version for o in body.opset_import} or self.opsets
        wanted = [name if here else "" for name, here in zip(body.output, proto.output)]
        return body, Graph(body.node, wanted, opsets, (), self.functions, {**defaults, **node.attributes})

    def known(self, wanted: Iterable[str] = ()) -> set[str]:
        """Names of values that nodes want to know while tracing, through whatever nodes they come there; and those ``wanted``."""
        found = set(wanted)
        for proto in reversed(self.nodes):
            if found & set(proto.output) and proto.op_type not in FROM_SHAPES:
                found.update(proto.input)
                found.update(self._known_inside(proto, all_outputs=True))
            found.update(proto.input[p] for p in self._known_inputs(proto) if p < len(proto.input))
            found.update(self._known_inside(proto, all_outputs=False))
        return found - {""}

    def _known_inside(self, proto: Any, all_outputs: bool) -> set[str]:
        """What the graphs among a node's attributes want of the values around them."""
        found: set[str] = set()
        for attribute in proto.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                inner = of_graph(attribute.g, self.opsets, self.functions, self.attributes)
                made = {name for node in inner.nodes for name in node.output} | {i.name for i in attribute.g.input}
                found |= inner.known(set(inner.outputs) if all_outputs else set()) - made
        return found

    def _known_inputs(self, proto: Any) -> Sequence[int]:
        node, rule = self.described(proto), OPS.get((proto.domain, proto.op_type))
        if rule is not None:
            return rule.known(node) if callable(rule.known) else rule.known
        body, inner = self._inner(proto, node)
        if inner is None:
            return ()
        names = inner.known()
        return [p for p, name in enumerate(body.input) if name in names]

    def _body(self, proto: Any) -> tuple[Any, dict[str, Any]]:
        own = self.functions.get((proto.domain, proto.op_type))
        if own is not None:
            return own, {a.name: _attribute(a) for a in own.attribute_proto}
        try:
            schema = onnx.defs.get_schema(proto.op_type, self.opsets.get(proto.domain, 1), proto.domain)
        except onnx.defs.SchemaError:
            return None, {}
        defaults = {name: _attribute(a.default_value) for name, a in schema.attributes.items() if a.default_value.type}
        if schema.has_function:
            return schema.function_body, defaults
        if schema.has_context_dependent_function:
            types = [self.protos.get(name, onnx.TypeProto()).SerializeToString() for name in proto.input]
            text = schema.get_context_dependent_function(self._resolved(proto).SerializeToString(), types)
            body = onnx.FunctionProto()
            body.ParseFromString(text)
            return body, defaults
        return None, {}


def of_graph(graph: Any, opsets: Mapping[str, int], functions: Mapping[tuple[str, str], Any],
             attributes: Mapping[str, Any] | None = None) -> Graph:
    infos = [*graph.input, *graph.output, *graph.value_info]
    out = Graph(graph.node, [o.name for o in graph.output], opsets, infos, functions, attributes)
    constants = {t.name: held(numpy_helper.to_array(t)) for t in graph.initializer}
    run = out.run
    out.run = lambda values: run({**constants, **values})  # type: ignore[method-assign]
    return out


def of_model(model: Any) -> Graph:
    opsets = {o.domain: o.version for o in model.opset_import}
    functions = {(f.domain, f.name): f for f in model.functions}
    return of_graph(model.graph, opsets, functions)


def _element_type(proto: Any) -> int | None:
    return proto.tensor_type.elem_type if proto.WhichOneof("value") == "tensor_type" else None


def _declared_shape(proto: Any) -> tuple[int, ...] | None:
    if proto.WhichOneof("value") != "tensor_type" or not proto.tensor_type.HasField("shape"):
        return None
    dims = proto.tensor_type.shape.dim
    return tuple(d.dim_value for d in dims) if all(d.WhichOneof("value") == "dim_value" for d in dims) else None


def _attribute(attribute: Any) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        return held(numpy_helper.to_array(value))
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list) and value and isinstance(value[0], bytes):
        return [v.decode() for v in value]
    return np.asarray(value).tolist() if isinstance(value, list) and value and isinstance(value[0], float) else value
