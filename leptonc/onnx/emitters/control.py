"""Loops and branches: their regions become graphs inside, which read constants from outside."""

from __future__ import annotations

from collections.abc import Sequence

from leptonc.ir.graph import Graph, Node
from leptonc.ir.types import TensorType, bool_, i32, i64
from leptonc.onnx.emitters.arranging import counted
from leptonc.onnx.writer import Tensor, Writer, emits


@emits("scan")
def scan(w: Writer, node: Node, *operands: Tensor) -> tuple[str, ...]:
    """Scan; one without slices to go through counts its trips."""
    attrs, body = node.attributes, node.regions[0]
    consts, carries = attrs["consts"], attrs["carries"]
    kept = consts + carries
    state = [w.fresh(t, "carry") for t in body.input_types[consts:kept]]
    slices = [w.fresh(t, "slice") for t in body.input_types[kept:]]
    given = [w.full(x) for x in operands[consts:]]
    inner = [*operands[:consts], *state, *slices]
    if not slices:
        slices = [w.fresh(TensorType((), i64), "trip")]
        given.append(counted(w, (attrs["length"],), i64))
    graph = w.graph("scan", [*state, *slices], lambda writer: writer.write(body, inner))
    backwards = int(attrs["reverse"])
    ys = len(node.results) - carries
    out = w.add("Scan", *given, outputs=len(node.results), body=graph, num_scan_inputs=len(slices),
                scan_input_directions=[backwards] * len(slices), **({"scan_output_directions": [backwards] * ys} if ys else {}))
    return tuple(out) if len(node.results) > 1 else (out,)


@emits("do_while")
def do_while(w: Writer, node: Node, *operands: Tensor) -> tuple[str, ...]:
    """Loop; the first carry is its condition."""
    body, consts = node.regions[0], node.attributes["consts"]
    goes_on, *state = (w.fresh(t, "carry") for t in body.input_types[consts:])
    trip = w.fresh(TensorType((), i64), "trip")
    inner = [*operands[:consts], goes_on, *state]
    graph = w.graph("loop", [trip, goes_on, *state], lambda writer: writer.write(body, inner))
    first, *given = (w.full(x) for x in operands[consts:])
    ended = w.number(False, bool_)
    if not state:
        return (ended,)
    out = w.add("Loop", "", first, *given, outputs=len(state), body=graph)
    return (ended, *(out if len(state) > 1 else [out]))


@emits("switch")
def switch(w: Writer, node: Node, index: Tensor, *operands: Tensor) -> tuple[Tensor, ...]:
    return tuple(_chosen(w, w.full(index), 0, node.regions, operands))


def _chosen(w: Writer, index: str, number: int, branches: Sequence[Graph], operands: Sequence[Tensor]) -> list[Tensor]:
    """The first branch if the index is ``number`` or less, else one of the others."""
    if len(branches) == 1:
        return w.write(branches[0], operands)
    types = branches[0].output_types
    here = w.add("LessOrEqual", index, w.number(number, i32))
    graphs = (w.graph("branch", [], lambda writer: writer.write(branches[0], operands)),
              w.graph("branch", [], lambda writer: _chosen(writer, index, number + 1, branches[1:], operands)))
    out = w.add("If", here, outputs=len(types), then_branch=graphs[0], else_branch=graphs[1])
    return [Tensor(name, t, t.shape) for name, t in zip([out] if len(types) == 1 else out, types)]
