"""Ops with regions: loops and branches whose bodies are graphs.

A region is isolated: what it uses of the outside are operands. Their derivatives and batching are made of the bodies' own, by
``passes/graph/controlflow.py``; ``lower-graph`` makes Loops and Branches of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.errors import ShapeError, op_error
from leptonc.ir.builder import Builder
from leptonc.ir.evaluate import evaluate
from leptonc.ir.graph import Graph
from leptonc.ir.op import Op, register
from leptonc.ir.types import TensorType, bool_, i32
from leptonc.ir.value import Value

Types = tuple[TensorType, ...]


class RegionOp(Op):
    """Its results are those that its regions say; always a tuple."""

    results = 0
    stores = True  # its body knows what to do with floats of 16 bits

    def check(self, what: str, expected: Sequence[TensorType], found: Sequence[TensorType]) -> None:
        """Raises ShapeError for what a region takes or gives, if it is not what it should be."""
        if tuple(expected) != tuple(found):
            wanted, got = (", ".join(map(str, types)) for types in (expected, found))
            raise op_error(self.name, f"{what} must be ({wanted}), got ({got})", {}, kind=ShapeError)


@register
class scan(RegionOp):
    """``length`` trips of a body: constants, carries, then a slice of each x; it gives the carries and a slice of each y."""

    name = "scan"

    def infer(self, *types: TensorType, **attrs: Any) -> Types:
        (body,) = attrs["regions"]
        consts, carries, length = attrs["consts"], attrs["carries"], attrs["length"]
        kept, xs = types[:consts + carries], types[consts + carries:]
        if length < 0 or len(kept) != consts + carries or any(not x.shape or x.shape[0] != length for x in xs):
            raise op_error(self.name, f"every x must have a first extent of {length}", dict(zip("xyzw", xs)))
        self.check("what its body takes", (*kept, *(x.with_shape(x.shape[1:]) for x in xs)), body.input_types)
        self.check("the carry its body gives", types[consts:consts + carries], body.output_types[:carries])
        return (*body.output_types[:carries], *(y.with_shape((length, *y.shape)) for y in body.output_types[carries:]))

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> tuple[np.ndarray, ...]:
        (body,) = attrs["regions"]
        consts, carries, length = attrs["consts"], attrs["carries"], attrs["length"]
        first, carry, xs = arrays[:consts], list(arrays[consts:consts + carries]), arrays[consts + carries:]
        ys = [np.empty((length, *t.shape), t.dtype.numpy) for t in body.output_types[carries:]]
        for i in range(length - 1, -1, -1) if attrs["reverse"] else range(length):
            out = evaluate(body, [*first, *carry, *(x[i] for x in xs)])
            carry = out[:carries]
            for y, item in zip(ys, out[carries:], strict=True):
                y[i] = item
        return (*carry, *ys)


@register
class while_loop(RegionOp):
    """Regions (condition, body) of constants and carries: the body while the condition gives True."""

    name = "while_loop"

    def infer(self, *types: TensorType, **attrs: Any) -> Types:
        condition, body = attrs["regions"]
        carry = types[attrs["consts"]:]
        self.check("what its condition takes", types, condition.input_types)
        self.check("what its condition gives", (TensorType((), bool_),), condition.output_types)
        self.check("what its body takes", types, body.input_types)
        self.check("the carry its body gives", carry, body.output_types)
        return carry

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> tuple[np.ndarray, ...]:
        condition, body = attrs["regions"]
        first, carry = arrays[:attrs["consts"]], list(arrays[attrs["consts"]:])
        while evaluate(condition, [*first, *carry])[0]:
            carry = evaluate(body, [*first, *carry])
        return tuple(carry)


    def expand(self, *operands: Value, **attrs: Any) -> tuple[Value, ...]:
        """The condition once before the loop, and behind each trip of its body."""
        condition, body = attrs["regions"]
        consts, builder = attrs["consts"], operands[0].builder
        first = builder.inline(condition, operands)
        inner = Builder(body.name)
        names = body.input_names or ("",) * len(body.inputs)
        typed = list(zip(body.input_types, names))
        given = [inner.input(*of) for of in typed[:consts]]
        inner.input(TensorType((), bool_), "go_on")
        given += [inner.input(*of) for of in typed[consts:]]
        after = inner.inline(body, given)
        region = inner.finish([*inner.inline(condition, [*given[:consts], *after]), *after])
        out = builder.emit("do_while", [*operands[:consts], *first, *operands[consts:]],
                           {"consts": consts, "carries": len(operands) - consts + 1}, (region,))
        return tuple(out[1:])


@register
class do_while(RegionOp):
    """A body of constants and carries as long as the first carry, a bool, is True: what ``while_loop`` becomes."""

    name = "do_while"

    def infer(self, *types: TensorType, **attrs: Any) -> Types:
        (body,) = attrs["regions"]
        carry = types[attrs["consts"]:]
        self.check("what its body takes", types, body.input_types)
        self.check("the carry its body gives", carry, body.output_types)
        if not carry or carry[0] != TensorType((), bool_) or attrs["carries"] != len(carry):
            raise op_error(self.name, "its first carry must be a bool[]", dict(zip("xyzw", carry)))
        return carry

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> tuple[np.ndarray, ...]:
        (body,) = attrs["regions"]
        first, carry = arrays[:attrs["consts"]], list(arrays[attrs["consts"]:])
        while carry[0]:
            carry = evaluate(body, [*first, *carry])
        return tuple(carry)


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
        return tuple(evaluate(branches[min(max(int(arrays[0]), 0), len(branches) - 1)], arrays[1:]))
