"""The verifier: what must hold of a Graph, a Kernel and a Program, checked after every pass."""

from __future__ import annotations

from typing import Any

from leptonc.errors import IRError, LeptonError
from leptonc.ir.affine import in_dimension, span
from leptonc.ir.graph import Graph, Literal, Node
from leptonc.ir.kernel import (
    REDUCTIONS,
    Apply,
    AxisIndex,
    Index,
    Kernel,
    Load,
    Param,
    Program,
    Reduce,
    Stage,
    Store,
    operands,
)
from leptonc.ir.op import get_op
from leptonc.ir.scalar import SCALARS
from leptonc.ir.types import DType, TensorType

AROUND = 5  # lines shown on either side of the one at fault


def verify(graph: Graph, after: str | None = None) -> None:
    """Raises IRError, naming the pass ``after`` which it was found and showing the lines around the fault."""
    fault = _graph_fault(graph)
    if fault is None:
        return
    position, reason = fault
    where = f"after '{after}': " if after else ""
    raise IRError(f"{where}{reason}\n{_excerpt(graph, position)}")


def _excerpt(graph: Graph, position: int) -> str:
    """The lines around node number ``position`` (which is line ``position + 1`` where no node has regions)."""
    nodes = graph.nodes[max(position - AROUND, 0):position + AROUND + 1]
    shown = []
    for node in nodes:
        mark = "> " if position < len(graph.nodes) and node is graph.nodes[position] else "  "
        results = ", ".join(f"%{i}: {t}" for i, t in zip(node.results, node.types))
        shown.append(f"{mark}{results} = {node.op}({', '.join(f'%{i}' for i in node.operands)})"
                     + (f" ({node.loc})" if node.loc else ""))
    return "\n".join(shown)


def _graph_fault(graph: Graph) -> tuple[int, str] | None:
    """(node number, what is wrong) of the first fault."""
    if len(graph.inputs) != len(graph.input_types) or len(graph.input_names) not in (0, len(graph.inputs)):
        return 0, f"graph {graph.name}: inputs, input types and names differ in number"
    if len(set(graph.inputs)) != len(graph.inputs):
        return 0, f"graph {graph.name}: an input is declared twice"
    types: dict[int, TensorType] = dict(zip(graph.inputs, graph.input_types))
    for position, node in enumerate(graph.nodes):
        reason = _node_fault(node, types)
        if reason is not None:
            return position, reason
        types.update(zip(node.results, node.types))
    for value in graph.outputs:
        if value not in types:
            return len(graph.nodes), f"graph {graph.name} returns %{value}, which nothing defines"
    return None


def _node_fault(node: Node, types: dict[int, TensorType]) -> str | None:
    for value in node.operands:
        if value not in types:
            return f"%{value} is used before it is defined, by {node.op}"
    if len(node.results) != len(node.types):
        return f"{node.op} has {len(node.results)} results, {len(node.types)} types"
    for value in node.results:
        if value in types:
            return f"%{value} is defined twice"
    if list(node.attrs) != sorted(node.attrs, key=lambda item: item[0]):
        return f"the attributes of {node.op} are not in order"
    for name, attr in node.attrs:
        if not _is_attr(attr):
            return f"attribute {name} of {node.op} is {attr!r:.60} of type {type(attr).__name__}"
    for region in node.regions:
        fault = _graph_fault(region)
        if fault is not None:
            return f"in a region of {node.op}: {fault[1]}"
    return _type_fault(node, types)


def _is_attr(value: Any) -> bool:
    if type(value) is tuple:
        return all(map(_is_attr, value))
    return value is None or type(value) in (bool, int, float, str, DType, Literal)


def _type_fault(node: Node, types: dict[int, TensorType]) -> str | None:
    """The recorded types against those the op infers."""
    extra = {"regions": node.regions} if node.regions else {}
    try:
        inferred = get_op(node.op).infer(*(types[i] for i in node.operands), **node.attributes, **extra)
    except LeptonError as error:
        return str(error)
    except (TypeError, KeyError, AttributeError, ValueError, IndexError) as error:
        # an op's rule is free to assume that its attributes are there: what is missing shows as one of these
        return f"{node.op} does not take {len(node.operands)} operands with attributes {dict(node.attrs)}: {error!r}"
    wanted = inferred if isinstance(inferred, tuple) else (inferred,)
    if wanted != node.types:
        return f"{node.op} gives {', '.join(map(str, wanted))}, recorded as {', '.join(map(str, node.types))}"
    return None


# Kernels and programs


def verify_kernel(kernel: Kernel) -> None:
    """Raises IRError for undeclared names, wrong ranks, values used before they are made, indices out of range."""
    buffers = {p.name: p for p in (*kernel.params, *kernel.locals)}
    if len(buffers) != len(kernel.params) + len(kernel.locals):
        raise IRError(f"kernel {kernel.name}: a buffer is declared twice")
    for stage in kernel.stages:
        extents = {a.name: a.extent for a in (*kernel.outer, *stage.axes)}
        if len(extents) != len(kernel.outer) + len(stage.axes):
            raise IRError(f"kernel {kernel.name}: an axis is declared twice")
        reason = _stage_fault(stage, buffers, extents)
        if reason is not None:
            raise IRError(f"kernel {kernel.name}: {reason}\n{kernel}")


def _stage_fault(stage: Stage, buffers: dict[str, Param], extents: dict[str, int]) -> str | None:
    for n, inst in enumerate(stage.insts):
        if any(not 0 <= k < n for k in operands(inst)):
            return f"%{n} uses a value that is not made yet"
        reason = None
        match inst:
            case Load():
                reason = _access_fault(inst, inst.pad is not None, buffers, extents)
            case AxisIndex():
                reason = _unknown_axis(inst.index, extents)
            case Apply() if inst.op != "cast" and inst.op not in SCALARS:
                reason = f"there is no scalar op {inst.op}"
            case Reduce() if inst.kind not in REDUCTIONS:
                reason = f"there is no reduction {inst.kind}"
        if reason is not None:
            return f"%{n}: {reason}"
    for store in stage.stores:
        if not 0 <= store.value < len(stage.insts):
            return f"a store into {store.buffer} of a value that is never made"
        if store.buffer in buffers and buffers[store.buffer].role == "in":
            return f"{store.buffer} is read-only"
        reason = _access_fault(store, store.masked, buffers, extents)
        if reason is not None:
            return f"store: {reason}"
    return None


def _unknown_axis(index: Index, extents: dict[str, int]) -> str | None:
    return next((f"there is no axis {a}" for a, _ in index.axes if a not in extents), None)


def _access_fault(access: Load | Store, guarded: bool, buffers: dict[str, Param], extents: dict[str, int]) -> str | None:
    if access.buffer not in buffers:
        return f"there is no buffer {access.buffer}"
    shape = buffers[access.buffer].type.shape
    if len(access.index) != len(shape):
        return f"{len(access.index)} indices for {buffers[access.buffer].type} {access.buffer}"
    for index, extent in zip(access.index, shape):
        unknown = _unknown_axis(index, extents)
        if unknown is not None:
            return unknown
        if guarded or index.values or any(n == 0 for n in extents.values()):
            continue
        if not in_dimension(index, extent, extents):
            return f"index {index} of {access.buffer} runs over {span(index, extents)}, outside of [0, {extent})"
    return None


def verify_program(program: Program, after: str | None = None, before: Program | None = None) -> None:
    """Raises IRError: calls must fit their kernels, and no temporary be read before it is written. ``before``: a program that has
    been verified, whose kernels need not be looked at again."""
    where = f"after '{after}': " if after else ""
    known = set(program.inputs) | {n for n, b in enumerate(program.buffers) if b.kind == "constant"}
    checked = {id(call.kernel) for call in before.calls} if before else set[int]()
    for call in program.calls:
        if len(call.args) != len(call.kernel.params):
            raise IRError(f"{where}kernel {call.kernel.name} takes {len(call.kernel.params)} buffers, got {len(call.args)}")
        if id(call.kernel) not in checked:
            checked.add(id(call.kernel))
            try:
                verify_kernel(call.kernel)
            except IRError as error:
                raise IRError(f"{where}{error}") from None
        for param, number in zip(call.kernel.params, call.args):
            buffer = program.buffers[number]
            if (buffer.type.size, buffer.type.dtype) != (param.type.size, param.type.dtype):
                raise IRError(f"{where}{call.kernel.name} wants {param.type} for {param.name}, b{number} is {buffer.type}")
            if param.role != "out" and number not in known:
                raise IRError(f"{where}{call.kernel.name} reads b{number}, which nothing has written")
            if param.role != "in" and buffer.kind in ("input", "constant"):
                raise IRError(f"{where}{call.kernel.name} writes b{number}, an {buffer.kind}")
        known |= {n for p, n in zip(call.kernel.params, call.args) if p.role != "in"}
    missing = [n for n in program.outputs if n not in known]
    if missing:
        raise IRError(f"{where}output b{missing[0]} of {program.name} is never written")
