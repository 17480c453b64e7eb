"""One of several graphs, by a number: what ``lax.cond`` and ``lax.switch`` become."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.ir.batching import BatchAxis, Unbatched
from leptonc.ir.differentiation import Differentiation
from leptonc.ir.evaluate import evaluate
from leptonc.ir.graph import Graph
from leptonc.ir.op import Op, register
from leptonc.ir.parts import part
from leptonc.ir.types import TensorType, i32
from leptonc.ir.value import Value
from leptonc.ops.regions import RegionOp, Types, choose, chosen, floats, moving_outputs, region


@register
class switch(RegionOp):
    """The region of a number, an i32 that is clamped to those there are, on the other operands."""

    name, operand_names = "switch", ("index", "x", "y", "z")

    def infer(self, *types: TensorType, **attrs: Any) -> Types:
        branches: tuple[Graph, ...] = attrs["regions"]
        self.check("its index", (TensorType((), i32),), types[:1])
        for branch in branches:
            self.check("what a branch takes", types[1:], branch.input_types)
            self.check("what a branch gives", branches[0].output_types, branch.output_types)
        return branches[0].output_types

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> tuple[np.ndarray, ...]:
        branches = attrs["regions"]
        region = branches[min(max(int(arrays[0]), 0), len(branches) - 1)]
        return tuple(evaluate(region, arrays[1:], attrs.get("perturb", np.asarray)))

    def jvp(self, autodiff: Differentiation, tangents: tuple[Value | None, ...], /, *operands: Value,
            **attrs: Any) -> tuple[Sequence[Value], Sequence[Value | None]]:
        """Of each branch its values and tangents; those of a result that moves in any branch."""
        branches = attrs["regions"]
        moving = [t is not None for t in tangents[1:]]
        wrt, count = [n for n, flag in enumerate(moving) if flag], len(branches[0].outputs)
        moved = _moved(branches, moving)
        place = {n: count + k for k, n in enumerate(floats(branches[0]))}
        results = operands[0].builder.emit(self, operands, {}, branches) if autodiff.apart else ()
        first = range(count)[len(results):]
        both = []
        for branch in branches:
            forward = autodiff.forward(branch, wrt)
            both.append(part(forward, forward.inputs, [forward.outputs[n] for n in (*first, *(place[n] for n in moved))]))
        out = _emitted(self, [*operands, *(t for t in tangents[1:] if t is not None)], both)
        found = dict(zip(moved, out[len(first):]))
        return [*results, *out[:len(first)]], [found.get(n) for n in range(count)]

    def forward_pass(self, autodiff: Differentiation, varied: tuple[bool, ...], /, *operands: Value,
                     **attrs: Any) -> tuple[Sequence[Value], Any]:
        return operands[0].builder.emit(self, operands, {}, attrs["regions"]), varied[1:]

    def backward_pass(self, autodiff: Differentiation, saved: Any, g: tuple[Value | None, ...], /, *operands: Value,
                      **attrs: Any) -> Sequence[Value | None]:
        """The branch once more, and back: branches have different things to save."""
        branches, moving = attrs["regions"], saved
        wrt = [n for n, flag in enumerate(moving) if flag]
        moved = [n for n in _moved(branches, moving) if g[n] is not None]
        if not moved:
            return [None] * len(operands)
        back = [_back(autodiff, branch, wrt, moved) for branch in branches]
        out = _emitted(self, [*operands, *(x for x in (g[n] for n in moved) if x is not None)], back)
        found = dict(zip(wrt, out))
        return [None, *(found.get(n) for n in range(len(moving)))]

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        """All branches of all examples if these have indices of their own, else the branches batched."""
        branches, builder = attrs["regions"], operands[0].builder
        flags = batched[1:]
        wanted = tuple(batched[0] or any(outs) for outs in zip(*(axis.region(b, flags)[1] for b in branches)))
        inner = [axis.region(branch, flags, wanted)[0] for branch in branches]
        if not batched[0]:
            out = builder.emit(self, operands, {}, tuple(inner))
            return tuple(x if flag else Unbatched(x) for x, flag in zip(out, wanted))
        results = list(builder.inline(inner[0], operands[1:]))
        for n, branch in enumerate(inner[1:], 1):
            here = builder.emit("ge", (operands[0], builder.full(operands[0].type, n)))
            results = [choose(here, new, old) for new, old in zip(builder.inline(branch, operands[1:]), results, strict=True)]
        return tuple(results)


def _emitted(op: Op, operands: Sequence[Value], branches: Sequence[Graph]) -> Sequence[Value]:
    """A switch that takes those operands alone which some branch reads."""
    if not branches[0].outputs:
        return ()
    read = [{i for node in part(b, b.inputs, b.outputs).nodes for i in node.operands} | set(b.outputs) for b in branches]
    used = [n for n in range(len(operands) - 1) if any(b.inputs[n] in found for b, found in zip(branches, read))]
    out: Sequence[Value] = operands[0].builder.emit(op, [operands[0], *(operands[n + 1] for n in used)], {}, tuple(
        part(b, [b.inputs[n] for n in used], b.outputs) for b in branches))
    return out


def _moved(branches: Sequence[Graph], moving: Sequence[bool]) -> list[int]:
    """The outputs that move in some branch."""
    return [n for n, flags in enumerate(zip(*(moving_outputs(b, moving) for b in branches))) if any(flags)]


def _back(autodiff: Differentiation, branch: Graph, wrt: Sequence[int], moved: Sequence[int]) -> Graph:
    """Of a branch's inputs and cotangents of its outputs ``moved``: the cotangents of the inputs ``wrt``."""
    cut = autodiff.linearize(branch, wrt)
    place = {n: k for k, n in enumerate(floats(branch))}
    linear = part(cut.linear, cut.linear.inputs, [cut.linear.outputs[place[n]] for n in moved])
    first = len(linear.inputs) - len(wrt)
    pullback = autodiff.transpose(linear, range(first, len(linear.inputs)))
    count = len(branch.inputs)

    def back(*values: Value) -> Sequence[Value]:
        builder = values[0].builder
        residuals = builder.inline(cut.known, values[:count])[len(branch.outputs):]
        return builder.inline(pullback, [*(values[p] for p in cut.needed), *residuals, *values[count:]])

    seeds = chosen(branch.output_types, [n in moved for n in range(len(branch.outputs))])
    return region(branch.name, [*branch.input_types, *seeds], back)
