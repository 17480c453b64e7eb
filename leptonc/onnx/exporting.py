"""``export``: a function traced, simplified and written as an ONNX model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

import leptonc.onnx.emitters  # noqa: F401  (fills the table)
from leptonc import driver, tree
from leptonc.errors import ArgumentError, LeptonError, describe, near_names
from leptonc.freeze import Frozen, freeze
from leptonc.ir.builder import Builder
from leptonc.ir.graph import Graph, Literal
from leptonc.jit import Jitted, jit
from leptonc.nn import Module
from leptonc.onnx.extents import MOST_DIMENSIONS, Traces, merged
from leptonc.onnx.writer import EMITTERS, Dimension, Model, Tensor, Writer
from leptonc.pieces import with_calls
from leptonc.signature import leaf_type, parameter_names
from leptonc.stages import Traced
from leptonc.trace import function_name
from leptonc.transforms import ShapeDtypeStruct

OPSET = 18  # the first in which all reductions take their axes as an input
MOST_BYTES = 1 << 30  # of a file; what is more goes to another one beside it, for protobuf's limit is twice that

Axes = Mapping[str, Mapping[int, str]]
Places = Mapping[str, Sequence[tuple[int, int]]]  # of each open dimension the (input, axis) that it is the extent of


def export(f: Callable[..., Any], *args: Any, path: str | os.PathLike[str] | None = None, dynamic_axes: str | Axes | None = None,
           input_names: Sequence[str] | None = None, opset_version: int = OPSET) -> onnx.ModelProto:
    """``f(*args)`` as an ONNX model, which is written to a file if ``path`` is given.

    ``f`` is a function, jitted or not, an ``nn.Module``, or ``freeze(f, params)``, whose arrays become weights by name, as all
    arrays do that it closes over. ``args`` are trees of arrays or ShapeDtypeStructs: their leaves are the model's inputs, by the
    names of arguments (``x``, ``batch['image']``) or those given.

    Shapes are those of ``args`` but for ``dynamic_axes``: names of open dimensions by input and axis,
    ``{"x": {0: "batch"}}``, or one name for the first axis of every input. The function is traced at three extents of each, from 61
    to 128: what it decides by a size, it decides as it does there.

    Raises LeptonError for an op that has no form in ONNX, of the line that it comes from, or where something other than extents
    depends on an open dimension.
    """
    frozen = _frozen(f)
    _check(opset_version)
    leaves, treedef = tree.flatten(args)
    function = _Function(frozen, treedef, [_struct(leaf, n) for n, leaf in enumerate(leaves)])
    example = function.traced({})
    names = _input_names(example.interface.signature.names[len(frozen.leaves):], input_names)
    dimensions = _dimensions(function, names, dynamic_axes)
    all_traced = _traces(function, dimensions) if dimensions else [example]
    model = _model(all_traced, frozen, names, dimensions, opset_version)
    if path is not None:
        _save(model, Path(path))
    return model


def _frozen(f: Any) -> Frozen:
    if isinstance(f, Frozen):
        return f
    if isinstance(f, Module):
        return freeze(_call_of(f), f)
    if not callable(f):
        raise ArgumentError(f"onnx.export: f={describe(f)} must be a function; fix: export(freeze(model, params), x)")
    return freeze(f if isinstance(f, Jitted) else jit(f))


def _call_of(module: Any) -> Callable[..., Any]:
    """``module(*args)`` as a function of the module too, whose other arguments have the names that its own call gives them."""
    def call(module: Any, *args: Any) -> Any:
        return module(*args)

    names = ["module", *(name for name in parameter_names(module.__call__) if name != "module")]
    call.__name__ = type(module).__name__
    call.__signature__ = Signature([Parameter(n, Parameter.POSITIONAL_OR_KEYWORD) for n in names])  # type: ignore[attr-defined]
    return call


def _check(opset: Any) -> None:
    newest = onnx.defs.onnx_opset_version()
    if type(opset) is not int or not OPSET <= opset <= newest:
        raise ArgumentError(f"onnx.export: opset_version={opset!r:.40} must be an int from {OPSET} to {newest}, the newest that "
                            "the package onnx knows")


def _struct(leaf: Any, number: int) -> ShapeDtypeStruct:
    type_ = leaf_type(leaf, f"argument {number}", "onnx.export")
    return ShapeDtypeStruct(type_.shape, type_.dtype.numpy)


@dataclass(frozen=True)
class _Function:
    """What is exported: frozen arguments are its weights, the others are of these types."""

    frozen: Frozen
    treedef: tree.TreeDef
    structs: Sequence[ShapeDtypeStruct]

    def traced(self, extents: Mapping[tuple[int, int], int]) -> Traced:
        """At these extents of (input, axis)."""
        structs = [ShapeDtypeStruct([extents.get((n, d), m) for d, m in enumerate(s.shape)], s.dtype)
                   for n, s in enumerate(self.structs)]
        return self.frozen.trace(*tree.unflatten(self.treedef, structs))


def _input_names(found: Sequence[str], given: Sequence[str] | None) -> list[str]:
    if given is None:
        return list(found)
    if len(given) != len(found) or len({*given}) != len(found) or not all(isinstance(n, str) and n for n in given):
        raise ArgumentError(f"onnx.export: input_names={given!r:.80} must be {len(found)} different names, for {', '.join(found)}")
    return list(given)


def _dimensions(function: _Function, names: Sequence[str], axes: Any) -> dict[str, list[tuple[int, int]]]:
    """The (input, axis) that each open dimension is the extent of."""
    if isinstance(axes, str):
        axes = {name: {0: axes} for name, s in zip(names, function.structs) if s.shape}
    found: dict[str, list[tuple[int, int]]] = {}
    for name, dims in (axes or {}).items():
        if name not in names:
            raise ArgumentError(f"onnx.export: dynamic_axes names {name!r}, which is no input; {near_names(str(name), names)}"
                                f"inputs are {', '.join(names)}")
        number = names.index(name)
        for axis, dimension in dims.items():
            rank = function.structs[number].ndim
            if type(axis) is not int or not 0 <= axis < rank:
                raise ArgumentError(f"onnx.export: dynamic_axes[{name!r}] has axis {axis!r}; {name} has {rank}")
            found.setdefault(str(dimension), []).append((number, axis))
    if len(found) > MOST_DIMENSIONS:
        raise ArgumentError(f"onnx.export: {len(found)} open dimensions, of at most {MOST_DIMENSIONS}")
    return found


def _traces(function: _Function, dimensions: Places) -> list[Traced]:
    """At all extents that tell what follows the open dimensions."""
    return [function.traced({place: extent for places, extent in zip(dimensions.values(), extents) for place in places})
            for extents in Traces(len(dimensions)).extents]


def _model(all_traced: Sequence[Traced], frozen: Frozen, names: Sequence[str], dimensions: Places, opset: int) -> onnx.ModelProto:
    graph = merged([_portable(traced, frozen) for traced in all_traced])
    interface = all_traced[0].interface
    read = [Dimension(name, names[places[0][0]], places[0][1]) for name, places in dimensions.items()]
    model = Model(Traces(len(dimensions)), read)
    model.taken |= {*names}
    for name, literal in zip(interface.signature.names, _literals(all_traced[0], frozen)):
        model.names.setdefault(literal, model.name(name))
    outputs = [model.name(name) for name in interface.out_tree.paths("output")]
    whole = _written(model, graph, names, outputs, function_name(frozen))
    return helper.make_model(whole, producer_name="leptonc", opset_imports=[helper.make_opsetid("", opset)],
                             ir_version=helper.find_min_ir_version_for([helper.make_opsetid("", opset)]))


def _portable(traced: Traced, frozen: Frozen) -> Graph:
    """The graph of the arguments that are not frozen, simplified."""
    name, graph = traced.interface.name, traced.graph
    if traced.interface.effects or with_calls(graph) is not None:
        raise LeptonError(f"onnx.export of {name}: no callback can stand in what is exported; fix: leave it out")
    count, builder = len(frozen.leaves), Builder(name)
    inputs = [builder.input(t) for t in graph.input_types[count:]]
    weights = [builder.constant(literal.array) for literal in _literals(traced, frozen)]
    out = builder.inline(graph, [*weights, *inputs])
    return driver.portable(builder.finish(out[:traced.interface.out_tree.num_leaves]), frozenset(EMITTERS))


def _literals(traced: Traced, frozen: Frozen) -> list[Literal]:
    return [Literal.of(np.asarray(leaf, t.dtype.numpy)) for leaf, t in zip(frozen.leaves, traced.graph.input_types)]


def _written(model: Model, graph: Graph, names: Sequence[str], outputs: Sequence[str], title: str) -> onnx.GraphProto:
    inputs = [Tensor(name, t, t.shape) for name, t in zip(names, graph.input_types)]
    writer = Writer(model)
    made = writer.write(graph, inputs)
    for name, x in zip(outputs, made, strict=True):
        writer.nodes.append(helper.make_node("Identity", [writer.full(x)], [name]))
    nodes = [*model.first, *writer.nodes]
    infos = ([model.info(name, x.type) for name, x in zip(group, values)] for group, values in ((names, inputs), (outputs, made)))
    return helper.make_graph(nodes, title, *infos, initializer=model.initializers({*_read(nodes)}))


def _read(nodes: Sequence[onnx.NodeProto]) -> Iterator[str]:
    """The names that nodes read, those in graphs inside included."""
    for node in nodes:
        yield from node.input
        for attribute in node.attribute:
            yield from _read(attribute.g.node)


def _save(model: onnx.ModelProto, path: Path) -> None:
    if sum(len(t.raw_data) for t in model.graph.initializer) <= MOST_BYTES:
        onnx.save_model(model, path)
    else:
        onnx.save_model(model, path, save_as_external_data=True, location=f"{path.name}.data")
