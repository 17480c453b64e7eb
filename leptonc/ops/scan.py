"""A loop with a known number of trips, over slices of its operands: what ``lax.scan`` becomes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from leptonc.errors import op_error
from leptonc.ir.batching import BatchAxis, Unbatched
from leptonc.ir.cotangents import plus_of_trip
from leptonc.ir.differentiation import Differentiation
from leptonc.ir.evaluate import evaluate
from leptonc.ir.graph import Graph
from leptonc.ir.op import register
from leptonc.ir.parts import part
from leptonc.ir.types import TensorType
from leptonc.ir.value import Value
from leptonc.ops.regions import RegionOp, Types, chosen, floats, moving_carries, moving_outputs, region
from leptonc.ops.residuals import Residuals, residuals_of


@register
class scan(RegionOp):
    """``length`` trips of a body: constants, carries, then a slice of each x; it gives the carries and a slice of each y."""

    name = "scan"

    def infer(self, *types: TensorType, **attrs: Any) -> Types:
        (body,) = attrs["regions"]
        consts, carries, length = attrs["consts"], attrs["carries"], attrs["length"]
        kept, xs = types[:consts + carries], types[consts + carries:]
        if min(consts, carries, length) < 0 or type(attrs["reverse"]) is not bool:
            raise op_error(self.name, f"{consts} constants, {carries} carries, {length} trips, reverse={attrs['reverse']}", {})
        if len(kept) != consts + carries or any(not x.shape or x.shape[0] != length for x in xs):
            raise op_error(self.name, f"every x must have a first extent of {length}", dict(zip("xyzw", xs)))
        self.check("what its body takes", (*kept, *(x.with_shape(x.shape[1:]) for x in xs)), body.input_types)
        self.check("the carry its body gives", types[consts:consts + carries], body.output_types[:carries])
        return (*body.output_types[:carries], *(y.with_shape((length, *y.shape)) for y in body.output_types[carries:]))

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> tuple[np.ndarray, ...]:
        (body,) = attrs["regions"]
        perturb = attrs.get("perturb", np.asarray)
        consts, carries, length = attrs["consts"], attrs["carries"], attrs["length"]
        first, carry, xs = arrays[:consts], list(arrays[consts:consts + carries]), arrays[consts + carries:]
        ys = [np.empty((length, *t.shape), t.dtype.numpy) for t in body.output_types[carries:]]
        for i in range(length - 1, -1, -1) if attrs["reverse"] else range(length):
            out = evaluate(body, [*first, *carry, *(x[i] for x in xs)], perturb)
            carry = out[:carries]
            for y, item in zip(ys, out[carries:], strict=True):
                y[i] = item
        return (*carry, *ys)

    def jvp(self, autodiff: Differentiation, tangents: tuple[Value | None, ...], /, *operands: Value,
            **attrs: Any) -> tuple[Sequence[Value], Sequence[Value | None]]:
        """A scan of the body's values and tangents together; or one of each, what the second needs of the first saved."""
        if autodiff.apart:
            return self._jvp_apart(autodiff, tangents, operands, attrs)
        trips = _Trips.of(attrs)
        body, carries = trips.body, trips.carries
        moving = trips.moving([t is not None for t in tangents])
        wrt = [n for n, flag in enumerate(moving) if flag]
        forward = autodiff.forward(body, wrt)
        place = {n: len(body.outputs) + k for k, n in enumerate(floats(body))}
        moved = [n for n, flag in enumerate(moving_outputs(body, moving)) if flag or (n < carries and moving[trips.consts + n])]
        given = [_or_zeros(t, x) if flag else None for t, x, flag in zip(tangents, operands, moving)]
        groups = [(list(operands[s]), [t for t in given[s] if t is not None]) for s in trips.parts]
        inner = [(list(body.input_types[s]), [t for t, flag in zip(body.input_types[s], moving[s]) if flag]) for s in trips.parts]

        def both(*values: Value) -> list[Value]:
            given, rest = [list[Value](), list[Value]()], list(values)
            for group in inner:
                for of, types in zip(given, group):
                    of += [rest.pop(0) for _ in types]
            out = values[0].builder.inline(forward, [*given[0], *given[1]])
            tangent = [out[place[n]] for n in moved]
            count = sum(n < carries for n in moved)
            return [*out[:carries], *tangent[:count], *out[carries:len(body.outputs)], *tangent[count:]]

        made = region(body.name, [t for group in inner for types in group for t in types], both)
        kept = sum(n < carries for n in moved)
        out = operands[0].builder.emit(self, [x for group in groups for values in group for x in values], {
            **trips.attrs, "consts": sum(map(len, groups[0])), "carries": carries + kept}, (made,))
        results = [*out[:carries], *out[carries + kept:kept + len(body.outputs)]]
        found = dict(zip(moved, [*out[carries:carries + kept], *out[kept + len(body.outputs):]]))
        return results, [found.get(n) for n in range(len(body.outputs))]

    def _jvp_apart(self, autodiff: Differentiation, tangents: Sequence[Value | None], operands: Sequence[Value],
                   attrs: dict[str, Any]) -> tuple[Sequence[Value], Sequence[Value | None]]:
        trips = _Trips.of(attrs)
        results, (moving, found, out) = self.forward_pass(autodiff, tuple(t is not None for t in tangents), *operands, **attrs)
        moved = [n for n, flag in enumerate(moving_outputs(trips.body, moving))
                 if flag or (n < trips.carries and moving[trips.consts + n])]
        if not moved:
            return results, [None] * len(results)
        pushed = _pushed(trips, moving, found, out, tangents, operands, moved)
        place = dict(zip(moved, pushed, strict=True))
        return results, [place.get(n) for n in range(len(results))]

    def forward_pass(self, autodiff: Differentiation, varied: tuple[bool, ...], /, *operands: Value,
                     **attrs: Any) -> tuple[Sequence[Value], Any]:
        """The scan, which also gives what the backward one needs of each trip."""
        trips = _Trips.of(attrs)
        moving = trips.moving(varied)
        wrt = [n for n, flag in enumerate(moving) if flag]
        cut = autodiff.linearize(trips.body, wrt)
        found = residuals_of(cut, trips.consts, trips.consts + trips.carries, len(trips.body.outputs), autodiff.linear)
        body = found.forward
        out = operands[0].builder.emit(self, operands, trips.attrs, (body,))
        count = len(trips.body.outputs)
        return out[:count], (moving, found, out)

    def backward_pass(self, autodiff: Differentiation, saved: Any, g: tuple[Value | None, ...], /, *operands: Value,
                      **attrs: Any) -> Sequence[Value | None]:
        """A scan from the last trip to the first, of cotangents: of the carries, of the constants as sums, of the xs as ys."""
        moving, found, out = saved
        trips = _Trips.of(attrs)
        return _Backward(trips, moving, found, out, g, operands, autodiff).cotangents()

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        """A scan of the body batched; trips stay the first axis of xs and ys, the batch comes second."""
        trips = _Trips.of(attrs)
        flags = list(batched)
        while True:
            carried = flags[trips.consts:trips.consts + trips.carries]
            body, outs = axis.region(trips.body, flags, [*carried, *[False] * (len(trips.body.outputs) - trips.carries)])
            if list(outs[:trips.carries]) == carried:
                break
            flags[trips.consts:trips.consts + trips.carries] = outs[:trips.carries]
        kept = trips.consts + trips.carries
        given = [x if a or not b else axis.broadcast(x) for x, a, b in zip(operands[:kept], batched, flags)]
        given += [_exchanged(x) if flag else x for x, flag in zip(operands[kept:], batched[kept:])]
        out = operands[0].builder.emit(self, given, trips.attrs, (body,))
        ys = zip(out[trips.carries:], outs[trips.carries:])
        results = [*out[:trips.carries], *(_exchanged(y) if flag else y for y, flag in ys)]
        return tuple(x if flag else Unbatched(x) for x, flag in zip(results, outs))


def _exchanged(x: Value) -> Value:
    """The first two axes in each other's place."""
    return x.builder.emit("transpose", (x,), {"perm": (1, 0, *range(2, x.type.rank))})


def _or_zeros(tangent: Value | None, x: Value) -> Value:
    return x.builder.full(x.type, 0) if tangent is None else tangent


@dataclass(frozen=True)
class _Trips:
    """What a scan is, without its operands."""

    body: Graph
    consts: int
    carries: int
    length: int
    reverse: bool

    @staticmethod
    def of(attrs: dict[str, Any]) -> _Trips:
        return _Trips(attrs["regions"][0], attrs["consts"], attrs["carries"], attrs["length"], attrs["reverse"])

    @property
    def attrs(self) -> dict[str, Any]:
        return {"consts": self.consts, "carries": self.carries, "length": self.length, "reverse": self.reverse}

    @property
    def parts(self) -> tuple[slice, slice, slice]:
        """Where constants, carries and xs are among the operands."""
        return slice(0, self.consts), slice(self.consts, self.consts + self.carries), slice(self.consts + self.carries, None)

    def moving(self, flags: Sequence[bool]) -> tuple[bool, ...]:
        return moving_carries(self.body, flags, self.consts, self.carries)


def _pushed(trips: _Trips, moving: Sequence[bool], found: Residuals, out: Sequence[Value], tangents: Sequence[Value | None],
            operands: Sequence[Value], moved: Sequence[int]) -> Sequence[Value]:
    """A scan of tangents alone, which reads what the one of values has saved."""
    kept, sliced = _given(found, operands, out)
    consts, carries, xs = ([_or_zeros(t, x) for t, x in chosen([*zip(tangents[s], operands[s])], moving[s])] for s in trips.parts)
    counts = [len(kept), len(consts), len(carries), len(sliced), len(xs)]
    place = {n: k for k, n in enumerate(floats(trips.body))}

    def push(*values: Value) -> list[Value]:
        stay, of_consts, of_carries, slices, of_xs = _groups(values, counts)
        waiting = iter(stay), iter(slices)
        residuals = [next(waiting[0 if n in kept else 1]) for n in range(len(found.stays))]
        given = values[0].builder.inline(found.linear, [*residuals, *of_consts, *of_carries, *of_xs])
        return [given[place[n]] for n in moved]

    types = [x.type for x in [*kept.values(), *consts, *carries]] + [x.type.with_shape(x.shape[1:]) for x in [*sliced, *xs]]
    pushed: Sequence[Value] = operands[0].builder.emit("scan", [*kept.values(), *consts, *carries, *sliced, *xs], {
        **trips.attrs, "consts": len(kept) + len(consts), "carries": len(carries)}, (region(trips.body.name, types, push),))
    return pushed


def _given(found: Residuals, operands: Sequence[Value], out: Sequence[Value]) -> tuple[dict[int, Value], list[Value]]:
    """What the linear part reads besides tangents: what stays, by its number there; and what has a slice for each trip."""
    kept: dict[int, Value] = {}
    sliced: list[Value] = []
    for number, value in enumerate(found.values(operands, out)):
        if found.stays[number]:
            kept[number] = value
        else:
            sliced.append(value)
    return kept, sliced


@dataclass
class _Backward:
    """The backward scan under construction."""

    trips: _Trips
    moving: tuple[bool, ...]
    residuals: Residuals
    out: Sequence[Value]
    g: Sequence[Value | None]
    operands: Sequence[Value]
    autodiff: Differentiation

    def cotangents(self) -> list[Value | None]:
        trips, found = self.trips, self.residuals
        consts, carries, xs = (chosen(range(len(self.operands))[s], self.moving[s]) for s in trips.parts)
        seeds = self._seeds()
        of_ys = [n for n in seeds if n >= trips.carries]
        pullback = self.autodiff.transpose(self._linear(seeds), [len(found.linear.inputs) - len(consts + carries + xs) + k
                                                                for k in range(len(consts + carries + xs))])
        kept, sliced = _given(self.residuals, self.operands, self.out)
        states = [self._seed(n) for n in (c - trips.consts for c in carries)]
        sums = [self.builder.full(self.operands[n].type, 0) for n in consts]
        slices = [*sliced, *(self._seed(n) for n in of_ys)]
        if not (kept or states or sums or slices):  # no trip takes or gives anything that a cotangent could come from
            return [None] * len(self.operands)
        body = self._body(pullback, kept, sliced, consts, carries, seeds)
        out = self.builder.emit("scan", [*kept.values(), *states, *sums, *slices], {
            "consts": len(kept), "carries": len(states) + len(sums), "length": trips.length, "reverse": not trips.reverse}, (body,))
        places = [*carries, *consts, *xs]
        result = dict(zip(places, out, strict=True))
        return [result.get(n) for n in range(len(self.operands))]

    @property
    def builder(self) -> Any:
        return self.operands[0].builder

    def _seeds(self) -> list[int]:
        """Outputs of the body that have a cotangent: carries that move, and ys that do and are used."""
        trips, moved = self.trips, moving_outputs(self.trips.body, self.moving)
        return [n for n in range(len(moved)) if (self.moving[trips.consts + n] if n < trips.carries else
                                                 moved[n] and self.g[n] is not None)]

    def _seed(self, n: int) -> Value:
        """The cotangent of a result of the scan."""
        return _or_zeros(self.g[n], self.out[n])

    def _linear(self, seeds: Sequence[int]) -> Graph:
        """What the body does to tangents, as far as its results have cotangents."""
        linear = self.residuals.linear
        place = {n: k for k, n in enumerate(floats(self.trips.body))}
        return part(linear, linear.inputs, [linear.outputs[place[n]] for n in seeds])

    def _body(self, pullback: Graph, kept: dict[int, Value], sliced: Sequence[Value], consts: Sequence[int],
              carries: Sequence[int], seeds: Sequence[int]) -> Graph:
        """Of residuals that stay, cotangents of carries, sums, residuals of the trip, cotangents of its ys."""
        trips, found = self.trips, self.residuals
        of_ys = [n for n in seeds if n >= trips.carries]
        types = trips.body.output_types
        states = [types[c - trips.consts] for c in carries]
        sums = [self.operands[n].type for n in consts]
        given = [x.type for x in kept.values()], [x.type.with_shape(x.shape[1:]) for x in sliced]
        counts = [len(kept), len(states), len(sums), len(sliced), len(of_ys)]

        def back(*values: Value) -> list[Value]:
            stay, state, total, slices, seeded = _groups(values, counts)
            waiting = iter(stay), iter(slices)
            residuals = [next(waiting[0 if n in kept else 1]) for n in range(len(found.stays))]
            out = values[0].builder.inline(pullback, [*residuals, *state, *seeded])
            of_consts, of_carries, of_xs = _groups(out, [len(consts), len(carries), len(out) - len(consts) - len(carries)])
            return [*of_carries, *map(plus_of_trip, total, of_consts), *of_xs]

        return region(trips.body.name, [*given[0], *states, *sums, *given[1], *(types[n] for n in of_ys)], back)


def _groups(values: Sequence[Value], counts: Sequence[int]) -> Iterator[list[Value]]:
    rest = list(values)
    for count in counts:
        yield [rest.pop(0) for _ in range(count)]


