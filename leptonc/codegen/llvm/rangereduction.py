"""Range reduction of large arguments of sine and cosine (Payne and Hanek 1983), one number at a time.

|x| = M 2^s with an integer M < 2^53. Of M 2^s 2/pi only the part below 4 matters, so a window of 192 bits of 2/pi is
enough: its product with M is the quadrant (2 bits) and 190 bits of fraction, of which at most 62 may cancel.
"""

from __future__ import annotations

from functools import cache

from leptonc.codegen.llvm.emitter import Emitter

TABLE_BYTES = 192
HALF_PI_LOW = 6.123233995736766e-17  # pi/2 less its nearest float
ZEROS = 63  # bits of the table before the first bit of 2/pi


@cache
def two_over_pi_bytes() -> bytes:
    """2/pi in binary, big-endian, with ``ZEROS`` + 1 leading zero bits (the last of them is its integer part)."""
    precision = TABLE_BYTES * 8 + 64
    pi = 16 * _arctan_of_inverse(5, precision) - 4 * _arctan_of_inverse(239, precision)  # Machin
    ratio = (2 << (2 * precision)) // pi  # 2/pi * 2^precision
    bits = ratio >> (precision - (TABLE_BYTES * 8 - ZEROS - 1))
    return bits.to_bytes(TABLE_BYTES, "big")


def _arctan_of_inverse(x: int, precision: int) -> int:
    """arctan(1/x) * 2^precision."""
    power, total, n = (1 << precision) // x, 0, 1
    while power:
        total += power // n if n % 4 == 1 else -(power // n)
        power, n = power // (x * x), n + 2
    return total


def large_quadrant(e: Emitter, x: str) -> str:
    """``{ i64, double, double }``: n, t and t' with x = (n + t + t') pi/2 modulo 2 pi, |t| <= 1/2, for a finite double x of
    2^20 or more."""
    e.functions.setdefault("large_quadrant", _function())
    return e.let(f"call {{ i64, double, double }} @large_quadrant(double {x})", "reduced")


def _function() -> str:
    return _table_text() + _window_text() + _fraction_text()


def _table_text() -> str:
    table = "".join(f"\\{byte:02X}" for byte in two_over_pi_bytes())
    return f"""@two_over_pi = private unnamed_addr constant [{TABLE_BYTES} x i8] c"{table}"
declare i256 @llvm.bswap.i256(i256)
declare i256 @llvm.ctlz.i256(i256, i1)

"""


def _window_text() -> str:
    """M times the window of 2/pi: quadrant (rounded), and the size of what is left with its sign."""
    half, mask = 1 << 189, (1 << 192) - 1
    return f"""define internal {{ i64, double, double }} @large_quadrant(double %x) noinline {{
entry:
  %bits = bitcast double %x to i64
  %negative = icmp slt i64 %bits, 0
  %biased = lshr i64 %bits, 52
  %exponent = and i64 %biased, 2047
  %low = and i64 %bits, {(1 << 52) - 1}
  %mantissa = or i64 %low, {1 << 52}
  ; bit number of the window's first bit: s - 1, s = exponent - 1075, counted from the table's first
  %start = add i64 %exponent, {ZEROS - 1075 - 1}
  %byte = lshr i64 %start, 3
  %rest = and i64 %start, 7
  %at = getelementptr i8, ptr @two_over_pi, i64 %byte
  %loaded = load i256, ptr %at, align 1
  %ordered = call i256 @llvm.bswap.i256(i256 %loaded)
  %rest.wide = zext i64 %rest to i256
  %shifted = shl i256 %ordered, %rest.wide
  %window = lshr i256 %shifted, 64
  %mantissa.wide = zext i64 %mantissa to i256
  %product = mul i256 %mantissa.wide, %window
  %turns = and i256 %product, {mask}
  %rounded = add i256 %turns, {half}
  %number.wide = lshr i256 %rounded, 190
  %number = trunc i256 %number.wide to i64
  %whole = shl i256 %number.wide, 190
  %fraction = sub i256 %turns, %whole
  %below = icmp slt i256 %fraction, 0
  %minus = sub i256 0, %fraction
  %size = select i1 %below, i256 %minus, i256 %fraction
"""


def _fraction_text() -> str:
    """What is left, in units of pi/2, as two floats; signs put back."""
    return f"""  %zeros.wide = call i256 @llvm.ctlz.i256(i256 %size, i1 false)
  %zeros = trunc i256 %zeros.wide to i64
  %normal = shl i256 %size, %zeros.wide
  %high.wide = lshr i256 %normal, 203
  %high.bits = trunc i256 %high.wide to i64
  %next = lshr i256 %normal, 150
  %next.bits = trunc i256 %next to i64
  %low.bits = and i64 %next.bits, {(1 << 53) - 1}
  %high.float = uitofp i64 %high.bits to double
  %low.float = uitofp i64 %low.bits to double
  %high.power = sub i64 {1023 + 13}, %zeros
  %high.field = shl i64 %high.power, 52
  %high.scale = bitcast i64 %high.field to double
  %low.power = sub i64 {1023 - 40}, %zeros
  %low.field = shl i64 %low.power, 52
  %low.scale = bitcast i64 %low.field to double
  %high = fmul double %high.float, %high.scale
  %lower = fmul double %low.float, %low.scale
  %opposite = xor i1 %below, %negative
  %high.minus = fneg double %high
  %lower.minus = fneg double %lower
  %r = select i1 %opposite, double %high.minus, double %high
  %r.low = select i1 %opposite, double %lower.minus, double %lower
  %number.minus = sub i64 0, %number
  %n = select i1 %negative, i64 %number.minus, i64 %number
  %first = insertvalue {{ i64, double, double }} poison, i64 %n, 0
  %second = insertvalue {{ i64, double, double }} %first, double %r, 1
  %third = insertvalue {{ i64, double, double }} %second, double %r.low, 2
  ret {{ i64, double, double }} %third
}}
"""
