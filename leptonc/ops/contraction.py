"""dot_general: every product of two tensors that sums over shared axes (matmul, batched matmul, tensordot)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.errors import DtypeError, op_error
from leptonc.ir.batching import BatchAxis
from leptonc.ir.kernel import Kernel
from leptonc.ir.kernelbuilder import KernelBuilder
from leptonc.ir.op import Op, Sample, get_op, register
from leptonc.ir.types import TensorType, dtype_of
from leptonc.ir.value import Value
from leptonc.ops.pairs import bilinear

Dims = tuple[tuple[int, ...], tuple[int, ...]]


def free_dims(rank: int, contract: tuple[int, ...], batch: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(d for d in range(rank) if d not in contract and d not in batch)


@register
class dot_general(Op):
    """``contract`` and ``batch`` pair dimensions of a and b; the result has batch, then a's free, then b's free ones."""

    name, operand_names = "dot_general", ("a", "b")

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        a, b = types
        operands = {"a": a, "b": b}
        contract, batch = attrs["contract"], attrs["batch"]
        for pairs, what in ((contract, "contracted"), (batch, "batch")):
            if len(pairs[0]) != len(pairs[1]):
                raise op_error("dot_general", f"{what} dimensions {pairs} do not pair", operands)
            for i, j in zip(*pairs):
                if not (0 <= i < a.rank and 0 <= j < b.rank) or a.shape[i] != b.shape[j]:
                    raise op_error("dot_general", f"{what} dimensions {i} of a and {j} of b differ", operands)
        if a.dtype != b.dtype or a.dtype.is_bool:
            raise op_error("dot_general", "operands must be numbers of one dtype", operands, kind=DtypeError)
        shape = [a.shape[d] for d in batch[0]]
        shape += [a.shape[d] for d in free_dims(a.rank, contract[0], batch[0])]
        shape += [b.shape[d] for d in free_dims(b.rank, contract[1], batch[1])]
        return a.with_shape(tuple(shape))

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        a, b = map(np.asarray, arrays)
        contract, batch = attrs["contract"], attrs["batch"]
        type_ = self.infer(TensorType(a.shape, dtype_of(a.dtype)), TensorType(b.shape, dtype_of(b.dtype)), **attrs)
        left = np.transpose(a, (*batch[0], *free_dims(a.ndim, contract[0], batch[0]), *contract[0]))
        right = np.transpose(b, (*batch[1], *contract[1], *free_dims(b.ndim, contract[1], batch[1])))
        lead = [a.shape[d] for d in batch[0]]
        inner = int(np.prod([a.shape[d] for d in contract[0]], dtype=int))
        rows = int(np.prod([a.shape[d] for d in free_dims(a.ndim, contract[0], batch[0])], dtype=int))
        cols = int(np.prod([b.shape[d] for d in free_dims(b.ndim, contract[1], batch[1])], dtype=int))
        with np.errstate(all="ignore"):
            product = left.reshape((*lead, rows, inner)) @ right.reshape((*lead, inner, cols))
        return np.ascontiguousarray(product).reshape(type_.shape)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        a, b = operands
        contract, batch = attrs["contract"], attrs["batch"]
        return (_cotangent(g, a, b, contract, batch, first=True),
                _cotangent(g, b, a, contract[::-1], batch[::-1], first=False))

    def in_parts(self, *operands: Any, **attrs: Any) -> Any:
        return bilinear(self, *operands, **attrs)

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        a, b = types
        contract, batch = attrs["contract"], attrs["batch"]
        k = KernelBuilder("dot_general")
        left, right, out = k.input(a), k.input(b), k.output(self.infer(a, b, **attrs))
        axes = k.axes(out.type.shape)
        folded = k.axes([a.shape[d] for d in contract[0]], reduce=True)
        split = len(batch[0]), len(free_dims(a.rank, contract[0], batch[0]))
        shared, rows, cols = axes[:split[0]], axes[split[0]:split[0] + split[1]], axes[split[0] + split[1]:]
        at_a, at_b = (dict(zip((*batch[n], *contract[n], *free_dims(x.rank, contract[n], batch[n])), (*shared, *folded, *free)))
                      for n, x, free in ((0, a, rows), (1, b, cols)))
        stage = k.stage([*axes, *folded])
        product = stage.mul(stage.load(left, [at_a[d] for d in range(a.rank)]), stage.load(right, [at_b[d] for d in range(b.rank)]))
        stage.store(out, axes, stage.reduce("sum", product))
        return k.build()

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        """Two batched operands have one more batch dimension; of one, the examples are rows (or columns) of one product."""
        a, b = operands
        contract_a, contract_b, batch_a, batch_b = (
            tuple(d + moved for d in dims) for key in ("contract", "batch") for dims, moved in zip(attrs[key], batched))
        if all(batched):
            return self(a, b, contract=(contract_a, contract_b), batch=((0, *batch_a), (0, *batch_b)))
        free_a = a.type.rank - len(contract_a) - len(batch_a)
        if batched[1] and b.type.rank == 1 + len(contract_b) and not batch_b:  # the other way round, and nothing need move
            return self(b, a, contract=(contract_b, contract_a), batch=((), ()))
        product = self(a, b, contract=(contract_a, contract_b), batch=(batch_a, batch_b))
        return to_front(product, len(batch_a) + (free_a if batched[1] else 0))

    def samples(self) -> Sequence[Sample]:
        def make(a: tuple[int, ...], b: tuple[int, ...], contract: Dims, batch: Dims = ((), ())) -> Sample:
            return Sample(lambda rng: [rng.standard_normal(a), rng.standard_normal(b)], {"contract": contract, "batch": batch},
                          True, f"{a}{b}")

        ints = Sample(lambda rng: [rng.integers(-9, 9, (5, 7)).astype("int32"), rng.integers(-9, 9, (7, 3)).astype("int32")],
                      {"contract": ((1,), (0,)), "batch": ((), ())}, False, "ints")
        big = Sample(lambda rng: [rng.integers(-3, 4, (33, 50)).astype(float), rng.integers(-3, 4, (50, 67)).astype(float)],
                     {"contract": ((1,), (0,)), "batch": ((), ())}, False, "big")
        return [make((3, 4), (4, 5), ((1,), (0,))), make((4,), (4,), ((0,), (0,))),
                make((2, 3, 4), (2, 5, 4), ((2,), (2,)), ((0,), (0,))),
                make((3, 2, 4), (4, 3, 6), ((0, 2), (1, 0))), make((3,), (5,), ((), ())), make((3, 0), (0, 5), ((1,), (0,))),
                make((4, 3), (4, 17), ((0,), (0,))), make((17, 9), (9, 19), ((1,), (0,))), ints, big]


def to_front(x: Value, axis: int) -> Value:
    """x with one of its axes moved to the front."""
    rest = (d for d in range(x.type.rank) if d != axis)
    return get_op("transpose")(x, perm=(axis, *rest)) if axis else x


def _cotangent(g: Value, a: Value, b: Value, contract: Dims, batch: Dims, first: bool) -> Value:
    """That of ``a``, which is the first operand or the second: g and b contracted over b's free dimensions, in the order
    that leaves matrices as they should be, then transposed if a's dimensions lie otherwise."""
    lead = len(batch[0])
    free_a = free_dims(a.type.rank, contract[0], batch[0])
    free_b = free_dims(b.type.rank, contract[1], batch[1])
    after = lead + len(free_a) if first else lead
    g_free_b, g_batch = tuple(range(after, after + len(free_b))), tuple(range(lead))
    paired = dict(zip(contract[1], contract[0]))
    contracted = [paired[d] for d in sorted(contract[1])]  # dimensions of a, in the order b keeps them
    if first:
        result: Value = get_op("dot_general")(g, b, contract=(g_free_b, free_b), batch=(g_batch, batch[1]))
        order = [*batch[0], *free_a, *contracted]
    else:
        result = get_op("dot_general")(b, g, contract=(free_b, g_free_b), batch=(batch[1], g_batch))
        order = [*batch[0], *contracted, *free_a]
    perm = tuple(order.index(d) for d in range(a.type.rank))
    return get_op("transpose")(result, perm=perm) if perm != tuple(range(len(perm))) else result
