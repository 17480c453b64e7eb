"""Straight-line scalar code, as the transforms of Winograd's algorithms are written in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce

from leptonc.ir.kernel import Apply, Const, Inst, Load
from leptonc.ir.types import DType, bool_, i32


class ScalarCode:
    """Straight-line scalar code under construction."""

    def __init__(self, dtype: DType):
        self.dtype = dtype
        self.insts: list[Inst] = []

    def push(self, inst: Inst) -> int:
        self.insts.append(inst)
        return len(self.insts) - 1

    def load(self, load: Load, casts: Sequence[DType]) -> int:
        """What is loaded, after casts."""
        value = self.push(load)
        for dtype in casts:
            value = self.push(Apply("cast", (value,), dtype))
        return value

    def add(self, x: int, y: int) -> int:
        return self.push(Apply("add", (x, y), self.dtype))

    def sub(self, x: int, y: int) -> int:
        return self.push(Apply("sub", (x, y), self.dtype))

    def times(self, factor: float, x: int) -> int:
        return self.push(Apply("mul", (self.push(Const(factor, self.dtype)), x), self.dtype))

    def scaled(self, factor: float, x: int) -> int:
        return x if factor == 1 else self.times(factor, x)

    def polynomial(self, scale: float, x: float, coefficients: Sequence[int]) -> int:
        """``scale`` times a polynomial at x, the constant coefficient first."""
        total = self.times(scale, coefficients[0])
        for n, coefficient in enumerate(coefficients[1:], 1):
            total = self.plus(total, scale * x ** n, coefficient)
        return total

    def full(self, condition: int) -> int:
        """A word of bits that are all set under a condition."""
        return self.push(Apply("select", (condition, self.number(-1), self.number(0)), i32))

    def integer(self, op: str, x: int, y: int) -> int:
        return self.push(Apply(op, (x, y), i32))

    def number(self, value: int) -> int:
        return self.push(Const(value, i32))

    def is_set(self, x: int) -> int:
        """Whether an element, or a word, is not 0."""
        zero = self.push(Const(0, self.insts[x].dtype))
        return self.push(Apply("ne", (x, zero), bool_))

    def with_bit(self, word: int, bit: int, condition: int) -> int:
        """The word, with a bit set under a condition. Only the last operation waits for the word: it may be one of a long chain."""
        set_bit = self.push(Apply("select", (condition, self.number(1 << bit), self.number(0)), i32))
        return self.integer("or", word, set_bit)

    def has_bit(self, word: int, bit: int) -> int:
        return self.is_set(self.integer("and", word, self.number(1 << bit)))

    def joined(self, words: Iterable[int]) -> int:
        return reduce(lambda x, y: self.integer("or", x, y), words)

    def moved(self, word: int, bits: int) -> int:
        """The word with its bits so many places lower."""
        return self.integer("shr_logical", word, self.number(bits)) if bits else word

    def is_wild(self, x: int) -> int:
        """Whether an element is infinite or no number: times 0 it is none."""
        return self.push(Apply("isnan", (self.sub(x, x),), bool_))

    def kept(self, total: int, condition: int) -> int:
        """A sum under a condition, else 0."""
        return self.push(Apply("select", (condition, total, self.push(Const(0.0, self.dtype))), self.dtype))

    def plus(self, x: int, factor: float, y: int) -> int:
        """``x + factor * y``, one instruction where the target has it; the product is no one else's, so that it can be."""
        return self.add(x, self.times(factor, y))
