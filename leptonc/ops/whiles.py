"""Loops that go on while a condition holds: what ``lax.while_loop`` becomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.errors import LeptonError, op_error
from leptonc.ir.batching import BatchAxis, Unbatched
from leptonc.ir.differentiation import Differentiation
from leptonc.ir.evaluate import evaluate
from leptonc.ir.op import register
from leptonc.ir.types import TensorType, bool_
from leptonc.ir.value import Value
from leptonc.ops.regions import RegionOp, Types, choose, chosen, floats, moving_carries, region

GOES_ON = TensorType((), bool_)


@register
class while_loop(RegionOp):
    """Regions (condition, body) of constants and carries: the body while the condition gives True."""

    name = "while_loop"

    def infer(self, *types: TensorType, **attrs: Any) -> Types:
        condition, body = attrs["regions"]
        carry = types[attrs["consts"]:]
        self.check("what its condition takes", types, condition.input_types)
        self.check("what its condition gives", (GOES_ON,), condition.output_types)
        self.check("what its body takes", types, body.input_types)
        self.check("the carry its body gives", carry, body.output_types)
        return carry

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> tuple[np.ndarray, ...]:
        condition, body = attrs["regions"]
        perturb = attrs.get("perturb", np.asarray)
        first, carry = arrays[:attrs["consts"]], list(arrays[attrs["consts"]:])
        while evaluate(condition, [*first, *carry], perturb)[0]:
            carry = evaluate(body, [*first, *carry], perturb)
        return tuple(carry)

    def expand(self, *operands: Value, **attrs: Any) -> tuple[Value, ...]:
        """The condition once before the loop, and behind each trip of its body."""
        condition, body = attrs["regions"]
        consts, builder = attrs["consts"], operands[0].builder
        first = builder.inline(condition, operands)
        names = body.input_names or ("",) * len(body.inputs)

        def trip(*values: Value) -> list[Value]:
            inner, given = values[0].builder, [*values[:consts], *values[consts + 1:]]
            after = inner.inline(body, given)
            return [*inner.inline(condition, [*given[:consts], *after]), *after]

        types = body.input_types
        whole = region(body.name, (*types[:consts], GOES_ON, *types[consts:]), trip, (*names[:consts], "", *names[consts:]))
        out = builder.emit("do_while", [*operands[:consts], *first, *operands[consts:]],
                           {"consts": consts, "carries": len(operands) - consts + 1}, (whole,))
        return tuple(out[1:])

    def jvp(self, autodiff: Differentiation, tangents: tuple[Value | None, ...], /, *operands: Value,
            **attrs: Any) -> tuple[Sequence[Value], Sequence[Value | None]]:
        """A loop of the body's values and tangents together, as long as the values say; where values are wanted apart, also one of
        these."""
        (condition, body), consts = attrs["regions"], attrs["consts"]
        count = len(body.inputs)
        moving = moving_carries(body, [t is not None for t in tangents], consts, count - consts)
        forward = autodiff.forward(body, [n for n, flag in enumerate(moving) if flag])
        place = {n: len(body.outputs) + k for k, n in enumerate(floats(body))}
        carried = chosen(range(count - consts), moving[consts:])
        given = [x.builder.full(x.type, 0) if t is None else t for t, x in zip(tangents, operands)]
        steady = chosen(given[:consts], moving[:consts])
        fixed = consts + len(steady)

        def trip(*values: Value) -> list[Value]:
            tangent = [*values[consts:fixed], *values[fixed + count - consts:]]
            out = values[0].builder.inline(forward, [*values[:consts], *values[fixed:fixed + count - consts], *tangent])
            return [*out[:count - consts], *(out[place[n]] for n in carried)]

        def goes_on(*values: Value) -> Sequence[Value]:
            return values[0].builder.inline(condition, [*values[:consts], *values[fixed:fixed + count - consts]])

        state = [*operands[consts:], *chosen(given[consts:], moving[consts:])]
        whole = [*operands[:consts], *steady, *state]
        types = [x.type for x in whole]
        out = operands[0].builder.emit(self, whole, {"consts": fixed}, (
            region(condition.name, types, goes_on), region(body.name, types, trip)))
        found = dict(zip(carried, out[count - consts:]))
        results = out[:count - consts]
        if autodiff.apart:
            results = operands[0].builder.emit(self, operands, {"consts": consts}, (condition, body))
        return results, [found.get(n) for n in range(count - consts)]

    def forward_pass(self, autodiff: Differentiation, varied: tuple[bool, ...], /, *operands: Value,
                     **attrs: Any) -> tuple[Sequence[Value], Any]:
        raise LeptonError("while_loop has no derivative in reverse mode: the number of its trips is not known, so what each "
                          "of them needs can't be kept; fix: lax.scan, fori_loop with bounds that are Python "
                          "ints, or jvp and jacfwd")

    def backward_pass(self, autodiff: Differentiation, saved: Any, g: tuple[Value | None, ...], /, *operands: Value,
                      **attrs: Any) -> Sequence[Value | None]:
        raise LeptonError("while_loop has no derivative in reverse mode")

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        """A loop of all examples; if they end at different trips, until the last one has, and the others stay as they are."""
        (condition, body), consts = attrs["regions"], attrs["consts"]
        flags = list(batched)
        while True:
            inner, outs = axis.region(body, flags, flags[consts:])
            goes_on, (apart,) = axis.region(condition, flags)
            if apart:
                outs = (True,) * len(outs)
            if list(outs) == flags[consts:]:
                break
            flags[consts:] = outs
        given = [x if a or not b else axis.broadcast(x) for x, a, b in zip(operands, batched, flags)]
        types = [x.type for x in given]

        def trip(*values: Value) -> list[Value]:
            builder = values[0].builder
            (going,) = builder.inline(goes_on, values)
            after = builder.inline(inner, values)
            return [choose(going, new, old) for new, old in zip(after, values[consts:], strict=True)]

        def any_goes_on(*values: Value) -> list[Value]:
            (going,) = values[0].builder.inline(goes_on, values)
            return [values[0].builder.emit("any", (going,), {"axes": (0,)})]

        regions = (region(condition.name, types, any_goes_on), region(body.name, types, trip)) if apart else (goes_on, inner)
        out = operands[0].builder.emit(self, given, {"consts": consts}, regions)
        return tuple(x if flag else Unbatched(x) for x, flag in zip(out, flags[consts:]))


@register
class do_while(RegionOp):
    """A body of constants and carries as long as the first carry, a bool, is True: what ``while_loop`` expands to."""

    name = "do_while"

    def infer(self, *types: TensorType, **attrs: Any) -> Types:
        (body,) = attrs["regions"]
        carry = types[attrs["consts"]:]
        self.check("what its body takes", types, body.input_types)
        self.check("the carry its body gives", carry, body.output_types)
        if not carry or carry[0] != GOES_ON or attrs["carries"] != len(carry):
            raise op_error(self.name, "its first carry must be a bool[]", dict(zip("xyzw", carry)))
        return carry

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> tuple[np.ndarray, ...]:
        (body,) = attrs["regions"]
        perturb = attrs.get("perturb", np.asarray)
        first, carry = arrays[:attrs["consts"]], list(arrays[attrs["consts"]:])
        while carry[0]:
            carry = evaluate(body, [*first, *carry], perturb)
        return tuple(carry)

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        """As long as any example goes on; where they end at different trips, those that have ended stay as they are."""
        (body,), consts = attrs["regions"], attrs["consts"]
        flags = list(batched)
        while True:
            inner, outs = axis.region(body, flags, [flag or flags[consts] for flag in flags[consts:]])
            if list(outs) == flags[consts:]:
                break
            flags[consts:] = outs
        given = [x if a or not b else axis.broadcast(x) for x, a, b in zip(operands, batched, flags)]
        builder = operands[0].builder
        if not flags[consts]:
            out = builder.emit(self, given, {"consts": consts, "carries": attrs["carries"]}, (inner,))
            return tuple(x if flag else Unbatched(x) for x, flag in zip(out, flags[consts:]))

        def any_of(going: Value) -> Value:
            found: Value = going.builder.emit("any", (going,), {"axes": (0,)})
            return found

        def trip(*values: Value) -> list[Value]:
            carry = values[consts + 1:]
            after = values[0].builder.inline(inner, [*values[:consts], *carry])
            going = values[0].builder.emit("and", (carry[0], after[0]))
            return [any_of(going), going, *(choose(carry[0], new, old) for new, old in zip(after[1:], carry[1:], strict=True))]

        whole = [*given[:consts], any_of(given[consts]), *given[consts:]]
        made = region(body.name, [x.type for x in whole], trip)
        return tuple(builder.emit(self, whole, {"consts": consts, "carries": attrs["carries"] + 1}, (made,))[1:])
