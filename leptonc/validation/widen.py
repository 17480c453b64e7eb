"""A graph or a program in f64: where rounding is out of the way, a step is right to ten digits or it is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from leptonc.bfloat16 import is_narrow
from leptonc.ir.control import Branch, Loop
from leptonc.ir.graph import Graph, Literal, Node
from leptonc.ir.kernel import Apply, AxisIndex, Buffer, Call, Const, Inst, Kernel, Load, Param, Program, Reduce, Stage
from leptonc.ir.types import DType, TensorType, bf16, f16, f32, f64

NARROWER = (f32, f16, bf16)


def wide_type(type: TensorType) -> TensorType:
    return type.with_dtype(wide_dtype(type.dtype))


def wide_dtype(dtype: DType) -> DType:
    return f64 if dtype in NARROWER else dtype


def wide_array(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64) if array.dtype == np.float32 or is_narrow(array.dtype) else array


def widen_graph(graph: Graph) -> Graph:
    """Every narrower float an f64, in types, constants and attributes."""
    return replace(graph, input_types=tuple(map(wide_type, graph.input_types)), nodes=tuple(map(_node, graph.nodes)))


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
    return Literal.of(wide_array(literal.array)) if literal.type.dtype in NARROWER else literal


def widen_program(program: Program, kernels: dict[int, tuple[Kernel, Kernel]]) -> Program:
    """Every narrower float an f64. Places in the arena move apart as much as any grows. ``kernels``: those widened so far, by
    identity."""
    scale = max((f64.bits // b.type.dtype.bits for b in program.buffers if b.type.dtype in NARROWER), default=1)
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
                   stages=tuple(Stage(s.axes, tuple(map(_inst, s.insts)), s.stores) for s in kernel.stages))


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
