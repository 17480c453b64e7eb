"""Float arithmetic on registers of one shape: the vocabulary of ``vectormath``."""

from __future__ import annotations

from leptonc.codegen.llvm.emitter import Emitter, emit_const, llvm_type
from leptonc.ir.types import DType, bool_, f32, f64, i32, i64


def any_lane(e: Emitter, condition: str, lanes: int) -> str:
    """Whether a condition holds in some lane (i1)."""
    if lanes == 1:
        return condition
    bits = llvm_type(bool_, lanes)
    return e.call(f"i1 @llvm.vector.reduce.or.v{lanes}i1({bits})", f"{bits} {condition}", "any")


def no_lane(e: Emitter, condition: str, lanes: int) -> str:
    """Whether it holds in none (i1)."""
    return e.let(f"xor i1 {any_lane(e, condition, lanes)}, true", "none")


class Lanes:
    """Emits LLVM text for ``lanes`` floats of ``dtype``; registers and literals are strings."""

    def __init__(self, e: Emitter, dtype: DType, lanes: int):
        self.e, self.dtype, self.lanes = e, dtype, lanes
        self.int_dtype = i32 if dtype == f32 else i64
        self.type = llvm_type(dtype, lanes)
        self.int_type = llvm_type(self.int_dtype, lanes)
        self.bits = llvm_type(bool_, lanes)
        self.suffix = ("" if lanes == 1 else f"v{lanes}") + dtype.name
        self.mantissa = 23 if dtype == f32 else 52
        self.bias = 127 if dtype == f32 else 1023

    def const(self, number: float) -> str:
        return emit_const(number, self.dtype, self.lanes)

    def int_const(self, number: int) -> str:
        text = f"{llvm_type(self.int_dtype)} {number}"
        return str(number) if self.lanes == 1 else "<" + ", ".join([text] * self.lanes) + ">"

    def _op(self, op: str, x: str, y: str) -> str:
        return self.e.let(f"{op} {self.type} {x}, {y}", op.split()[0])

    def add(self, x: str, y: str) -> str:
        return self._op("fadd", x, y)

    def sub(self, x: str, y: str) -> str:
        return self._op("fsub", x, y)

    def mul(self, x: str, y: str) -> str:
        return self._op("fmul", x, y)

    def div(self, x: str, y: str) -> str:
        return self._op("fdiv", x, y)

    def neg(self, x: str) -> str:
        return self.e.let(f"fneg {self.type} {x}", "neg")

    def fma(self, x: str, y: str, z: str) -> str:
        """x * y + z: one rounding where the machine has the instruction, two otherwise."""
        return self._call("fma", x, y, z) if self.e.fma else self.add(self.mul(x, y), z)

    def _call(self, name: str, *args: str) -> str:
        signature = ", ".join([self.type] * len(args))
        return self.e.call(f"{self.type} @llvm.{name}.{self.suffix}({signature})",
                           ", ".join(f"{self.type} {a}" for a in args), name)

    def abs(self, x: str) -> str:
        return self._call("fabs", x)

    def sqrt(self, x: str) -> str:
        return self._call("sqrt", x)

    def floor(self, x: str) -> str:
        return self._call("floor", x)

    def trunc(self, x: str) -> str:
        return self._call("trunc", x)

    def copysign(self, x: str, sign: str) -> str:
        return self._call("copysign", x, sign)

    def compare(self, predicate: str, x: str, y: str) -> str:
        return self.e.let(f"fcmp {predicate} {self.type} {x}, {y}", predicate)

    def select(self, condition: str, x: str, y: str) -> str:
        return self.e.let(f"select {self.bits} {condition}, {self.type} {x}, {self.type} {y}", "select")

    def both(self, x: str, y: str) -> str:
        return self.e.let(f"and {self.bits} {x}, {y}", "both")

    def either(self, x: str, y: str) -> str:
        return self.e.let(f"or {self.bits} {x}, {y}", "either")

    def differ(self, x: str, y: str) -> str:
        return self.e.let(f"xor {self.bits} {x}, {y}", "differ")

    # Bits

    def to_bits(self, x: str) -> str:
        return self.e.let(f"bitcast {self.type} {x} to {self.int_type}", "bits")

    def from_bits(self, x: str) -> str:
        return self.e.let(f"bitcast {self.int_type} {x} to {self.type}", "float")

    def int_op(self, op: str, x: str, y: str) -> str:
        return self.e.let(f"{op} {self.int_type} {x}, {y}", op)

    def int_compare(self, predicate: str, x: str, y: str) -> str:
        return self.e.let(f"icmp {predicate} {self.int_type} {x}, {y}", "test")

    def int_select(self, condition: str, x: str, y: str) -> str:
        return self.e.let(f"select {self.bits} {condition}, {self.int_type} {x}, {self.int_type} {y}", "select")

    def int_to_float(self, x: str) -> str:
        return self.e.let(f"sitofp {self.int_type} {x} to {self.type}", "float")

    def power_of_two(self, n: str) -> str:
        """2^n for integer n within the exponent range."""
        return self.from_bits(self.int_op("shl", self.int_op("add", n, self.int_const(self.bias)),
                                          self.int_const(self.mantissa)))

    def round_to_int(self, x: str) -> tuple[str, str]:
        """(nearest integer as float, the same as integer), for |x| < 2^(mantissa - 1); no trap on NaN.

        Adding 1.5 * 2^mantissa leaves the integer in the low bits.
        """
        magic = 1.5 * 2.0**self.mantissa
        shifted = self.add(x, self.const(magic))
        bits = self.int_op("sub", self.to_bits(shifted), self.int_const(self._bits_of(magic)))
        return self.sub(shifted, self.const(magic)), bits

    def _bits_of(self, number: float) -> int:
        return int(self.dtype.numpy.type(number).view(self.int_dtype.numpy))

    # Lanes

    def any(self, condition: str) -> str:
        """Whether a condition holds in some lane (i1)."""
        return any_lane(self.e, condition, self.lanes)

    def lane(self, x: str, number: int) -> str:
        return x if self.lanes == 1 else self.e.let(f"extractelement {self.type} {x}, i64 {number}", "lane")

    def with_lane(self, x: str, scalar: str, number: int, integer: bool = False) -> str:
        """x with one lane replaced."""
        if self.lanes == 1:
            return scalar
        dtype, type_ = (self.int_dtype, self.int_type) if integer else (self.dtype, self.type)
        return self.e.let(f"insertelement {type_} {x}, {llvm_type(dtype)} {scalar}, i64 {number}", "lane")

    # Shapes

    def horner(self, x: str, coefficients: list[float]) -> str:
        """Polynomial in x, highest coefficient first."""
        total = self.const(coefficients[0])
        for c in coefficients[1:]:
            total = self.fma(total, x, self.const(c))
        return total

    def doubles(self) -> Lanes:
        return Lanes(self.e, f64, self.lanes)

    def widen(self, x: str) -> str:
        """f32 -> f64."""
        return self.e.let(f"fpext {self.type} {x} to {llvm_type(f64, self.lanes)}", "wide")

    def narrow(self, x: str) -> str:
        """f64 -> f32."""
        return self.e.let(f"fptrunc {llvm_type(f64, self.lanes)} {x} to {llvm_type(f32, self.lanes)}", "narrow")

    def two_sum(self, x: str, y: str) -> tuple[str, str]:
        """x + y as an exact sum of two floats (Knuth)."""
        high = self.add(x, y)
        back = self.sub(high, x)
        return high, self.add(self.sub(x, self.sub(high, back)), self.sub(y, back))

    def ordered_two_sum(self, x: str, y: str) -> tuple[str, str]:
        """The same for |x| >= |y|, or x = 0 (Dekker)."""
        high = self.add(x, y)
        return high, self.add(self.sub(x, high), y)

    def two_product(self, x: str, y: str) -> tuple[str, str]:
        """x * y as an exact sum of two floats (by FMA, or by Dekker's splitting)."""
        high = self.mul(x, y)
        if self.e.fma:
            return high, self.fma(x, y, self.neg(high))
        (xh, xl), (yh, yl) = self._halves(x), self._halves(y)
        low = self.sub(self.mul(xh, yh), high)
        low = self.add(self.add(low, self.mul(xh, yl)), self.mul(xl, yh))
        return high, self.add(low, self.mul(xl, yl))

    def pair_quotient(self, x: tuple[str, str], y: tuple[str, str]) -> tuple[str, str]:
        """(x[0] + x[1]) / (y[0] + y[1]) as a sum of two floats."""
        quotient = self.div(x[0], y[0])
        high, low = self.two_product(quotient, y[0])
        rest = self.sub(self.sub(x[0], high), low)  # the first difference is exact
        rest = self.fma(self.neg(quotient), y[1], self.add(rest, x[1]))
        return quotient, self.div(rest, y[0])

    def _halves(self, x: str) -> tuple[str, str]:
        scaled = self.mul(x, self.const(2.0 ** ((self.mantissa + 2) // 2) + 1))
        high = self.sub(scaled, self.sub(scaled, x))
        return high, self.sub(x, high)
