"""Sorts: one op for all that puts rows in order."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from leptonc.errors import DtypeError, op_error
from leptonc.ir.batching import BatchAxis
from leptonc.ir.differentiation import Differentiation
from leptonc.ir.kernel import Kernel, Param
from leptonc.ir.op import Op, Sample, get_op, register
from leptonc.ir.sorting import Sort, sort_arrays
from leptonc.ir.types import TensorType, i64
from leptonc.ir.value import Value


@register
class sort(Op):
    """Rows of the operands along ``axis``, all of one shape, by the first ``keys`` of them, the first one first.

    Results: of each operand the first ``count`` elements in that order, unless ``values`` is False; then, with ``order``, their
    places (i64). Equal elements stay as they were, zeros of both signs are equal, NaN is greater than all else, also where
    ``descending`` has it first.
    """

    name, results = "sort", 0
    stores = True

    def infer(self, *types: TensorType, **attrs: Any) -> tuple[TensorType, ...]:
        axis, count = attrs["axis"], attrs["count"]
        self._check(types, attrs)
        shape = (*types[0].shape[:axis], count, *types[0].shape[axis + 1:])
        found = tuple(t.with_shape(shape) for t in types) if attrs["values"] else ()
        return (*found, TensorType(shape, i64)) if attrs["order"] else found

    def _check(self, types: Sequence[TensorType], attrs: dict[str, Any]) -> None:
        named = {f"operand {n}": t for n, t in enumerate(types)}
        axis, keys = attrs["axis"], attrs["keys"]
        if not types or not 0 < keys <= len(types):
            raise op_error("sort", f"{keys} keys of {len(types)} operands", named)
        if any(t.shape != types[0].shape for t in types):
            raise op_error("sort", "operands have one shape", named)
        if not 0 <= axis < types[0].rank or not 0 <= attrs["count"] <= types[0].shape[axis]:
            raise op_error("sort", f"axis {axis} is no axis of {attrs['count']} elements or more", named)
        if any(t.dtype.is_complex for t in types):
            raise op_error("sort", "complex numbers have no order", named, "sort by .real and .imag", DtypeError)
        if not (attrs["values"] or attrs["order"]):
            raise op_error("sort", "it is to give the elements, their order, or both", named)

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> tuple[np.ndarray, ...]:
        given = [np.asarray(a) for a in arrays]
        return sort_arrays(given, *(attrs[name] for name in ("axis", "keys", "descending", "count", "values", "order")))

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        axis, shape = attrs["axis"], types[0].shape
        outer, inner = prod(shape[:axis]), prod(shape[axis + 1:])
        taken = [Param(f"a{n}", TensorType((outer, shape[axis], inner), t.dtype)) for n, t in enumerate(types)]
        given = [Param(f"r{n}", TensorType((outer, attrs["count"], inner), t.dtype), "out")
                 for n, t in enumerate(self.infer(*types, **attrs))]
        return Sort("sort", (*taken, *given), (), (), (), attrs["keys"], attrs["descending"], attrs["values"], attrs["order"])

    def _ordered(self, operands: Sequence[Value], attrs: dict[str, Any]) -> tuple[tuple[Value, ...], Value]:
        """The results, and the order of the rows."""
        found = self(*operands, **attrs | {"order": True})
        return (found if attrs["order"] else found[:-1]), found[-1]

    def jvp(self, autodiff: Differentiation, tangents: tuple[Value | None, ...], /, *operands: Value,
            **attrs: Any) -> tuple[Sequence[Value], Sequence[Value | None]]:
        results, order = self._ordered(operands, attrs)
        given = tangents if attrs["values"] else ()
        moved = [None if t is None else along(t, order, attrs["axis"]) for t in given]
        return results, [*moved, *([None] if attrs["order"] else [])]

    def forward_pass(self, autodiff: Differentiation, varied: tuple[bool, ...], /, *operands: Value,
                     **attrs: Any) -> tuple[Sequence[Value], Any]:
        return self._ordered(operands, attrs) if attrs["values"] else (self(*operands, **attrs), None)

    def backward_pass(self, autodiff: Differentiation, saved: Any, g: tuple[Value | None, ...], /, *operands: Value,
                      **attrs: Any) -> Sequence[Value | None]:
        if not attrs["values"]:
            return [None] * len(operands)
        return [None if c is None else _put_back(c, saved, x.type, attrs["axis"]) for c, x in zip(g, operands)]

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        return self(*axis.front(batched, operands), **attrs | {"axis": attrs["axis"] + 1})

    def samples(self) -> Sequence[Sample]:
        return [_sample(*case) for case in CASES]


def along(x: Value, order: Value, axis: int) -> Value:
    """x[..., order[..., i, ...], ...]: elements of each row along the axis at places of its own, which are in range."""
    if not order.type.size:
        return x.builder.full(x.type.with_shape(order.shape), 0)
    flat = get_op("reshape")(x, shape=(x.type.size,))
    return get_op("take")(flat, _flat(order, x.shape, axis), axis=0)


def _put_back(g: Value, order: Value, type: TensorType, axis: int) -> Value:
    """The transpose of ``along``: cotangents at the places that they come from."""
    zero = g.builder.full(type.with_shape((type.size,)), 0)
    if not order.type.size:
        return g.builder.full(type, 0)
    flat, given = _flat(order, type.shape, axis), get_op("reshape")(g, shape=(g.type.size,))
    added = get_op("scatter_add")(zero, get_op("reshape")(flat, shape=(flat.type.size,)), given, axis=0)
    return get_op("reshape")(added, shape=type.shape)


def _flat(order: Value, shape: tuple[int, ...], axis: int) -> Value:
    """Places along an axis as places in all elements one after the other."""
    inner = prod(shape[axis + 1:])
    flat = order * inner if inner != 1 else order
    for d, extent in enumerate(shape):
        if d != axis and extent > 1:
            at = order.builder.emit("iota", (), {"shape": order.shape, "axis": d, "dtype": i64})
            flat = flat + at * prod(shape[d + 1:])
    return flat


# Samples: shape, operands, axis, keys, descending, count, values, order
CASES = [
    ((7,), "f", 0, 1, False, 7, True, False),
    ((3, 20), "f", 1, 1, True, 20, True, True),
    ((70, 5), "f", 0, 1, False, 3, True, True),
    ((2, 33, 4), "f", 1, 1, False, 33, False, True),
    ((18, 37), "if", 1, 1, False, 37, True, False),
    ((2, 9), "bif", 1, 2, True, 9, True, True),
    ((40, 17), "i", 0, 1, False, 17 + 5, True, False),
    ((300,), "f", 0, 1, True, 4, True, True),
    ((600,), "u", 0, 1, False, 600, True, True),
    ((0, 3), "f", 0, 1, False, 0, True, True),
    ((3, 0, 2), "f", 1, 1, False, 0, True, True),
    ((4, 1), "f", 1, 1, True, 1, True, True),
    ((4, 6), "f", 1, 1, True, 0, True, True),
]


def _sample(shape: tuple[int, ...], kinds: str, axis: int, keys: int, descending: bool, count: int, values: bool,
            order: bool) -> Sample:
    makers = {
        "f": lambda rng: _distinct(rng, shape), "i": lambda rng: rng.integers(-3, 4, shape, np.int32),
        "b": lambda rng: rng.integers(0, 2, shape).astype(bool), "u": lambda rng: rng.integers(0, 1 << 63, shape, np.uint64),
    }
    attrs = {"axis": axis, "keys": keys, "descending": descending, "count": count, "values": values, "order": order}
    words = f"{shape}{kinds}{axis}{keys}{'d' * descending}{count}{'v' * values}{'o' * order}".replace(" ", "")
    return Sample(lambda rng: [makers[kind](rng) for kind in kinds], attrs, "f" in kinds and values, words)


def _distinct(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Floats so far apart that finite differences meet no tie."""
    size = prod(shape)
    return (rng.permutation(size).reshape(shape) + rng.uniform(0.1, 0.4, shape)) / max(size, 1) * 4 - 2
