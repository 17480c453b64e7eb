"""Complex values as pairs of real ones: what comes after this pass knows reals alone.

Inputs and outputs stay complex, and are the same memory as reals with a last axis of two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from leptonc.ir.builder import Builder, rebuild
from leptonc.ir.graph import Graph, Node
from leptonc.ir.op import get_op
from leptonc.ir.pair import Pair
from leptonc.ir.types import TensorType
from leptonc.ir.value import Value

COUNTED = ("consts", "carries")  # attributes that count the operands of a loop, in this order


@dataclass(frozen=True)
class SplitComplex:
    """``op(z: c64) => ops on the parts of z``, by ``Op.in_parts``."""

    name: str = "split-complex"
    required: ClassVar[bool] = True
    changes: ClassVar[tuple[str, ...]] = ("special values",)  # a NaN in one part may make one of the other

    def __call__(self, graph: Graph) -> Graph:
        return _whole(graph) if _mentions(graph) and _is_complex_inside(graph) else graph


def _mentions(graph: Graph) -> bool:
    """Whether a value is complex, in regions too."""
    return (any(t.dtype.kind == "c" for t in graph.types.values())
            or any(any(map(_mentions, node.regions)) for node in graph.nodes if node.regions))


def _has_complex(types: Sequence[TensorType]) -> bool:
    return any(t.dtype.is_complex for t in types)


def _is_complex_inside(graph: Graph) -> bool:
    """Whether a node other than the views at its edge has to do with complex numbers, or a region has."""
    types = graph.types
    return any((node.op not in ("as_reals", "from_reals") and _has_complex([*node.types, *(types[i] for i in node.operands)]))
               or any(_has_complex([*r.input_types, *r.output_types]) or _is_complex_inside(r) for r in node.regions)
               for node in graph.nodes)


def _whole(graph: Graph) -> Graph:
    builder, given = rebuild(graph)
    env: dict[int, Value | Pair] = {}
    for i, value in given.items():
        env[i] = _apart(value) if value.dtype.is_complex else value
    _nodes(graph, env, builder)
    return builder.finish([given[i] if i in given else _together(env[i]) for i in graph.outputs])


def _apart(value: Value) -> Pair:
    reals = value.builder.emit("as_reals", (value,))
    return Pair(*(value.builder.emit("part", (reals,), {"number": n}) for n in range(2)))


def _together(x: Value | Pair) -> Value:
    if not isinstance(x, Pair):
        return x
    made: Value = x.re.builder.emit("from_reals", (x.re.builder.emit("joined", x),))
    return made


def _nodes(graph: Graph, env: dict[int, Value | Pair], builder: Builder) -> None:
    for node in graph.nodes:
        with builder.at(node.loc):
            found = _node(node, [env[i] for i in node.operands], builder)
        env.update(zip(node.results, found, strict=True))


def _node(node: Node, operands: list[Value | Pair], builder: Builder) -> Sequence[Value | Pair]:
    if node.regions:
        return _with_regions(node, operands, builder)
    if node.op == "constant" and node.types[0].dtype.is_complex:
        array = node.attributes["value"].array
        return [Pair(*(builder.constant(np.array(part)) for part in (array.real, array.imag)))]
    if not any(isinstance(x, Pair) for x in operands) and not _has_complex(node.types):
        return _tuple(builder.emit(node.op, operands, node.attributes))
    op = get_op(node.op)
    if op.expands and not op.has_parts:
        return _expanded(node, operands, builder)
    return _tuple(op.in_parts(*operands, **node.attributes))


def _tuple(out: Any) -> Sequence[Value | Pair]:
    return out if isinstance(out, tuple) and not isinstance(out, Pair) else (out,)


def _expanded(node: Node, operands: list[Value | Pair], builder: Builder) -> Sequence[Value | Pair]:
    """What the op is in others, in parts."""
    inner = Builder(node.op)
    given = [inner.input(_type_of(x)) for x in operands]
    graph = inner.finish(_tuple(get_op(node.op).expand(*given, **node.attributes)))  # type: ignore[arg-type]
    env: dict[int, Value | Pair] = dict(zip(graph.inputs, operands, strict=True))
    _nodes(graph, env, builder)
    return [env[i] for i in graph.outputs]


def _type_of(x: Value | Pair) -> TensorType:
    if isinstance(x, Pair):
        return x.re.type.with_dtype(x.re.dtype.complex)
    return x.type


# Regions


def _with_regions(node: Node, operands: list[Value | Pair], builder: Builder) -> Sequence[Value | Pair]:
    regions = tuple(_inside(region) for region in node.regions)
    attrs = node.attributes
    start = 0
    for name in COUNTED:
        if name in attrs:
            attrs[name], start = sum(len(_parts(x)) for x in operands[start:start + attrs[name]]), start + attrs[name]
    out = iter(_tuple(builder.emit(node.op, [v for x in operands for v in _parts(x)], attrs, regions)))
    return list(_grouped(node.types, out))


def _parts(x: Value | Pair) -> tuple[Value, ...]:
    return x if isinstance(x, Pair) else (x,)


def _grouped(types: Sequence[TensorType], values: Iterator[Any]) -> Iterator[Value | Pair]:
    for type_ in types:
        yield Pair(next(values), next(values)) if type_.dtype.is_complex else next(values)


def _inside(region: Graph) -> Graph:
    """Two inputs and outputs for each complex one."""
    builder = Builder(region.name)
    names = region.input_names or ("",) * len(region.inputs)
    env: dict[int, Value | Pair] = {}
    for i, type_, name in zip(region.inputs, region.input_types, names, strict=True):
        real = type_.with_dtype(type_.dtype.real)
        value = builder.input(real, name)
        env[i] = Pair(value, builder.input(real, name)) if type_.dtype.is_complex else value
    _nodes(region, env, builder)
    return builder.finish([v for i in region.outputs for v in _parts(env[i])])
