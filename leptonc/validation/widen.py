"""A graph or a program in f64: where rounding is out of the way, a step is right to ten digits or it is wrong.

Bits are those of the float that there was: what they are taken from is cast to it, and what is made of them from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np

from leptonc.bfloat16 import is_narrow
from leptonc.ir.control import Branch, Loop
from leptonc.ir.graph import Graph, Literal, Node
from leptonc.ir.kernel import (
    Apply,
    AxisIndex,
    Buffer,
    Call,
    Const,
    Index,
    Inst,
    Kernel,
    Load,
    Param,
    Program,
    Reduce,
    Stage,
    operands,
)
from leptonc.ir.types import FLOATS8, DType, TensorType, bf16, c64, c128, f16, f32, f64

NARROWER = (f32, f16, bf16, *FLOATS8)


def wide_type(type: TensorType) -> TensorType:
    return type.with_dtype(wide_dtype(type.dtype))


def wide_dtype(dtype: DType) -> DType:
    return f64 if dtype in NARROWER else c128 if dtype == c64 else dtype


def wide_array(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.complex64:
        return array.astype(np.complex128)
    return array.astype(np.float64) if array.dtype == np.float32 or is_narrow(array.dtype) else array


def widen_graph(graph: Graph) -> Graph:
    """Every narrower float an f64, in types, constants and attributes."""
    fresh = count(max(graph.types, default=-1) + 1)
    nodes = (wide for node in graph.nodes for wide in _nodes(node, graph.types, fresh))
    return replace(graph, input_types=tuple(map(wide_type, graph.input_types)), nodes=tuple(nodes))


def _nodes(node: Node, types: dict[int, TensorType], fresh: Iterator[int]) -> Iterator[Node]:
    if node.op == "to_bits" and (narrow := types[node.operands[0]]).dtype in NARROWER:
        value = next(fresh)
        yield Node("cast", node.operands, (value,), (narrow,), (("dtype", narrow.dtype),))
        yield replace(node, operands=(value,))
    elif node.op == "from_bits" and node.types[0].dtype in NARROWER:
        value = next(fresh)
        yield replace(node, results=(value,))
        yield Node("cast", (value,), node.results, (wide_type(node.types[0]),), (("dtype", f64),))
    else:
        yield _node(node)


def _node(node: Node) -> Node:
    return replace(node, types=tuple(map(wide_type, node.types)), attrs=tuple((k, _attr(v)) for k, v in node.attrs),
                   regions=tuple(map(widen_graph, node.regions)))


def _attr(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_attr, value))
    if isinstance(value, DType):
        return wide_dtype(value)
    return _literal(value) if isinstance(value, Literal) else value


def _literal(literal: Literal) -> Literal:
    return Literal.of(wide_array(literal.array)) if wide_type(literal.type) != literal.type else literal


def widen_program(program: Program, kernels: dict[int, tuple[Kernel, Kernel]]) -> Program:
    """Every narrower float an f64. Places in the arena move apart as much as any grows. ``kernels``: those widened so far, by
    identity."""
    scale = max((wide_dtype(b.type.dtype).bits // b.type.dtype.bits for b in program.buffers), default=1)
    calls = tuple(Call(_widened(call.kernel, kernels), call.args, call.loc) for call in program.calls)
    return replace(program, buffers=tuple(_buffer(b, scale) for b in program.buffers), calls=calls,
                   arena_bytes=program.arena_bytes * scale)


def _buffer(buffer: Buffer, scale: int) -> Buffer:
    literal = None if buffer.literal is None else _literal(buffer.literal)
    offset = None if buffer.offset is None else buffer.offset * scale
    return replace(buffer, type=wide_type(buffer.type), literal=literal, offset=offset)


def _widened(kernel: Kernel, kernels: dict[int, tuple[Kernel, Kernel]]) -> Kernel:
    known = kernels.get(id(kernel))
    if known is None:
        known = kernels[id(kernel)] = kernel, widen_kernel(kernel)
    return known[1]


def widen_kernel(kernel: Kernel) -> Kernel:
    """Every narrower float an f64, in bodies of loops and branches too."""
    if isinstance(kernel, Loop):
        return replace(kernel, params=tuple(map(_param, kernel.params)), body=widen_program(kernel.body, {}))
    if isinstance(kernel, Branch):
        choices = tuple(widen_program(choice, {}) for choice in kernel.choices)
        return replace(kernel, params=tuple(map(_param, kernel.params)), choices=choices)
    return replace(kernel, params=tuple(map(_param, kernel.params)), locals=tuple(map(_param, kernel.locals)),
                   stages=tuple(map(_stage, kernel.stages)))


def _stage(stage: Stage) -> Stage:
    if not any(isinstance(i, Apply) and i.op in ("to_bits", "from_bits") for i in stage.insts):
        return Stage(stage.axes, tuple(map(_inst, stage.insts)), stage.stores)
    number: dict[int, int] = {}
    insts: list[Inst] = []
    for n, inst in enumerate(stage.insts):
        insts += _insts(_renumbered(inst, number), [stage.insts[k].dtype for k in operands(inst)], len(insts))
        number[n] = len(insts) - 1
    stores = (replace(s, value=number[s.value], index=_indices(s.index, number)) for s in stage.stores)
    return Stage(stage.axes, tuple(insts), tuple(stores))


def _insts(inst: Inst, read: list[DType], first: int) -> list[Inst]:
    """An instruction widened, with a cast before or behind it where it is about bits; the result is that of the last one."""
    if isinstance(inst, Apply) and inst.op == "to_bits" and read[0] in NARROWER:
        return [Apply("cast", inst.args, read[0]), Apply("to_bits", (first,), inst.dtype)]
    if isinstance(inst, Apply) and inst.op == "from_bits" and inst.dtype in NARROWER:
        return [inst, Apply("cast", (first,), f64)]
    return [_inst(inst)]


def _renumbered(inst: Inst, number: dict[int, int]) -> Inst:
    match inst:
        case Apply():
            return Apply(inst.op, tuple(number[n] for n in inst.args), inst.dtype)
        case Reduce():
            return Reduce(inst.kind, number[inst.arg], inst.dtype)
        case Load():
            return replace(inst, index=_indices(inst.index, number))
        case AxisIndex():
            return replace(inst, index=_indices((inst.index,), number)[0])
    return inst


def _indices(indices: tuple[Index, ...], number: dict[int, int]) -> tuple[Index, ...]:
    return tuple(replace(i, values=tuple((number[v], c) for v, c in i.values)) for i in indices)


def _param(param: Param) -> Param:
    return replace(param, type=wide_type(param.type))


def _inst(inst: Inst) -> Inst:
    if inst.dtype not in NARROWER:
        return inst
    match inst:
        case Load():
            return Load(inst.buffer, inst.index, f64, inst.pad)
        case Const():
            return Const(inst.value, f64)
        case AxisIndex():
            return AxisIndex(inst.index, f64)
        case Apply():
            return Apply(inst.op, inst.args, f64)
        case Reduce():
            return Reduce(inst.kind, inst.arg, f64)
