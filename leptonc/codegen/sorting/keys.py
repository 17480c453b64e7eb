"""Elements as unsigned keys that are ordered as they are, and back: ``ir.sorting.order_key`` in instructions."""

from __future__ import annotations

from leptonc.codegen.llvm.emitter import Emitter
from leptonc.ir.sorting import infinity_bits
from leptonc.ir.types import DType


class Ints:
    """Instructions on ints of ``bits`` bits, ``lanes`` at a time."""

    def __init__(self, e: Emitter, bits: int, lanes: int = 1):
        self.e, self.bits, self.lanes = e, bits, lanes
        self.type = int_type(bits, lanes)
        self.bools = int_type(1, lanes)

    def const(self, number: int) -> str:
        number = number - (1 << self.bits) if number >> (self.bits - 1) else number
        return str(number) if self.lanes == 1 else "<" + ", ".join([f"i{self.bits} {number}"] * self.lanes) + ">"

    def op(self, op: str, x: str, y: str | int) -> str:
        return self.e.let(f"{op} {self.type} {x}, {self.const(y) if isinstance(y, int) else y}", op.split()[0])

    def test(self, predicate: str, x: str, y: str | int) -> str:
        return self.op(f"icmp {predicate}", x, y)

    def select(self, condition: str, x: str | int, y: str | int) -> str:
        a, b = (self.const(v) if isinstance(v, int) else v for v in (x, y))
        return self.e.let(f"select {self.bools} {condition}, {self.type} {a}, {self.type} {b}", "chosen")

    def widened(self, x: str, bits: int) -> str:
        return x if bits == self.bits else self.e.let(f"zext {self.type} {x} to {int_type(bits, self.lanes)}", "wide")

    def narrowed(self, x: str, bits: int) -> str:
        return x if bits == self.bits else self.e.let(f"trunc {self.type} {x} to {int_type(bits, self.lanes)}", "narrow")


def int_type(bits: int, lanes: int = 1) -> str:
    return f"i{bits}" if lanes == 1 else f"<{lanes} x i{bits}>"


def emit_key(e: Emitter, bits: str, dtype: DType, descending: bool, lanes: int = 1) -> str:
    """The key of an element by its bits."""
    ints, top = Ints(e, dtype.bits, lanes), 1 << (dtype.bits - 1)
    key = bits
    if dtype.kind == "i":
        key = ints.op("xor", bits, top)
    elif dtype.is_float:
        bits = ints.select(ints.test("eq", bits, top), 0, bits)  # -0.0 is 0.0
        flips = ints.op("or", ints.op("ashr", bits, dtype.bits - 1), top)
        is_nan = ints.test("ugt", ints.op("and", bits, top - 1), infinity_bits(dtype))
        key = ints.select(is_nan, (1 << dtype.bits) - 1, ints.op("xor", bits, flips))
    return ints.op("xor", key, (1 << dtype.bits) - 1) if descending else key


def emit_element(e: Emitter, key: str, dtype: DType, descending: bool, lanes: int = 1) -> str:
    """The bits of an element by its key: of zeros 0.0, of NaNs one of them."""
    ints, top = Ints(e, dtype.bits, lanes), 1 << (dtype.bits - 1)
    if descending:
        key = ints.op("xor", key, (1 << dtype.bits) - 1)
    if dtype.kind == "i":
        return ints.op("xor", key, top)
    if not dtype.is_float:
        return key
    negative = ints.op("xor", ints.op("ashr", key, dtype.bits - 1), (1 << dtype.bits) - 1)
    return ints.op("xor", key, ints.op("or", negative, top))
