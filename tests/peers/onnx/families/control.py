"""Branches and loops."""

from __future__ import annotations

from typing import Any

import numpy as np

import leptonc.numpy as lnp
from leptonc import lax
from tests.peers.onnx.registry import Node, NotImportedError, op
from tests.peers.onnx.values import known, one


def _is_tensor(info: Any) -> bool:
    return info.type.WhichOneof("value") == "tensor_type"


def _condition(node: Node) -> tuple[int, ...]:
    return () if all(map(_is_tensor, node.get("then_branch").output)) else (0,)


@op("If", known=_condition)
def if_(node: Node, condition: Any) -> Any:
    then, other = node.get("then_branch"), node.get("else_branch")
    if isinstance(condition, np.ndarray):
        return tuple(node.subgraph(then if known(condition).reshape(()) else other))
    return tuple(lax.cond(lnp.reshape(condition, ()), lambda: node.subgraph(then), lambda: node.subgraph(other)))


def _trips(node: Node) -> tuple[int, ...]:
    return (0,) if all(map(_is_tensor, node.get("body").output)) else (0, 1)


@op("Loop", known=_trips)
def loop(node: Node, most: Any, condition: Any, *state: Any) -> Any:
    body, carried = node.get("body"), len(state)
    if len(body.output) - 1 - carried or not all(map(_is_tensor, body.output)) or any(isinstance(s, list) for s in state):
        return _unrolled(node, body, most, condition, state)
    count = np.int64(np.iinfo(np.int64).max) if most is None else lnp.reshape(most, ())
    go = np.array(True) if condition is None else lnp.reshape(condition, ())

    def trip(s: Any) -> Any:
        again, *new = node.subgraph(body, s[0], s[1], *s[2])
        return s[0] + 1, lnp.reshape(again, ()), tuple(new)

    return lax.while_loop(lambda s: (s[0] < count) & s[1], trip, (np.int64(0), go, state))[2]


def _unrolled(node: Node, body: Any, most: Any, condition: Any, state: Any) -> Any:
    """Trips one behind the other: of a known number where results are collected, or grow."""
    goes = isinstance(condition, np.ndarray) or condition is None
    if most is None or not (goes or _keeps_going(body)):
        raise NotImportedError("a loop of unknown length whose results are collected")
    i, go, parts = 0, condition, []
    while i < one(most) and (not isinstance(go, np.ndarray) or bool(known(go).reshape(()))):
        go, *new = node.subgraph(body, np.array(i, np.int64), go, *state)
        state, collected = new[:len(state)], new[len(state):]
        parts.append(collected)
        i += 1
    return (*state, *(lnp.stack(column, 0) for column in zip(*parts)))


def _keeps_going(body: Any) -> bool:
    """Whether the body hands its condition on."""
    makers = {name: n for n in body.node for name in n.output}
    maker = makers.get(body.output[0].name)
    return maker is not None and maker.op_type == "Identity" and maker.input[0] == body.input[1].name


@op("Scan")
def scan(node: Node, *inputs: Any) -> Any:
    if node.opset < 9:
        return _batched_scan(node, *inputs)
    body, count = node.get("body"), node.get("num_scan_inputs")
    state, xs = list(inputs[:len(inputs) - count]), inputs[len(inputs) - count:]
    ways_in, axes_in = node.get("scan_input_directions", [0] * count), node.get("scan_input_axes", [0] * count)
    xs = [lnp.moveaxis(x, axis, 0) for x, axis in zip(xs, axes_in)]
    xs = [lnp.flip(x, 0) if way else x for x, way in zip(xs, ways_in)]

    def trip(carry: Any, x: Any) -> Any:
        out = node.subgraph(body, *carry, *x)
        return tuple(out[:len(state)]), tuple(out[len(state):])

    end, ys = lax.scan(trip, tuple(state), tuple(xs))
    ways, axes = node.get("scan_output_directions", [0] * len(ys)), node.get("scan_output_axes", [0] * len(ys))
    ys = [lnp.flip(y, 0) if way else y for y, way in zip(ys, ways)]
    return (*end, *(lnp.moveaxis(y, 0, axis) for y, axis in zip(ys, axes)))


def _batched_scan(node: Node, lengths: Any, *inputs: Any) -> Any:
    """Opset 8: all inputs have a batch axis in front."""
    if lengths is not None:
        raise NotImportedError("scans of several lengths")
    body, count = node.get("body"), node.get("num_scan_inputs")
    first = len(inputs) - count
    rows = []
    for b in range(inputs[0].shape[0]):
        xs = tuple(x[b] for x in inputs[first:])

        def trip(carry: Any, x: Any) -> Any:
            out = node.subgraph(body, *carry, *x)
            return tuple(out[:first]), tuple(out[first:])

        end, ys = lax.scan(trip, tuple(s[b] for s in inputs[:first]), xs)
        rows.append((*end, *ys))
    return tuple(lnp.stack(column, 0) for column in zip(*rows))
