"""The counter-based generator behind ``leptonc.random``, as one elementwise op."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.errors import DtypeError
from leptonc.ir.op import Sample, register
from leptonc.ir.types import DType, TensorType, dtype_of
from leptonc.ir.value import Value
from leptonc.ops.elementwise import Elementwise

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA
U32, U64 = dtype_of("u32"), dtype_of("u64")


@register
class threefry2x32(Elementwise):
    """Two u32 counters encrypted with two u32 of a key by 20 rounds (Salmon et al. 2011): u64, the first word in the high half.

    One result of 64 bits rather than two of 32, for a node has one result; taken apart in the same kernel it costs nothing.
    """

    name, kinds, operand_names = "threefry2x32", "u", ("k0", "k1", "x0", "x1")

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        out = super().infer(*types, **attrs)
        if types[0].dtype != U32:
            raise self.fault("encrypts u32", types, DtypeError)
        return out

    def result_dtype(self, source: DType, **attrs: Any) -> DType:
        return U64

    def body(self, s: Any, k0: Any, k1: Any, x0: Any, x1: Any) -> Any:
        schedule = (k0, k1, s.xor(s.xor(k0, k1), PARITY))
        x0, x1 = s.add(x0, k0), s.add(x1, k1)
        for turn in range(5):
            for bits in ROTATIONS[turn % 2]:
                x0 = s.add(x0, x1)
                x1 = s.xor(s.or_(s.shl(x1, bits), s.shr(x1, 32 - bits)), x0)
            x0 = s.add(x0, schedule[(turn + 1) % 3])
            x1 = s.add(s.add(x1, schedule[(turn + 2) % 3]), turn + 1)
        return s.or_(s.shl(s.cast(x0, U64), 32), s.cast(x1, U64))

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (None,) * 4

    def samples(self) -> Sequence[Sample]:
        def words(shape: tuple[int, ...]) -> Sample:
            return Sample(lambda rng: [rng.integers(0, 2**32, shape, np.uint32) for _ in range(4)], {}, False, f"shape{shape}")

        return [words(shape) for shape in ((), (67,), (2, 1, 5), (0, 4))]
