"""Floats of 16 bits and 8, which registers hold as words of their width: conversions from and to f32.

The machine converts f16 where the target says so (``Emitter.halves``), and to bf16 (``Emitter.bf16``), of which the numbers below
the normal ones are flushed then; elsewhere it is integer arithmetic. That of f16 does not depend on how f32 denormals are treated:
the f16 ones are f32 numbers like others. All round to the nearest, halves to even.
"""

from __future__ import annotations

from leptonc.bfloat16 import Format
from leptonc.codegen.llvm.emitter import Emitter, llvm_type
from leptonc.codegen.llvm.lanes import Lanes
from leptonc.ir.types import DType, bf16, f16, f32, f64

SIGN = 0x8000
QUIET = 0x40  # of a bf16: the bit that makes a NaN a quiet one
F16_INFINITY, F16_NAN = 0x7C00, 0x7E00
F32_INFINITY, F32_NAN = 0x7F800000, 0x7FC00000
F16_LEAST = 0x38800000  # bits of 2^-14, the least normal f16, as f32
F16_BEYOND = 0x47800000  # bits of 2^16
REBIAS = 112 << 23  # between the exponents of f16 and f32, at f32's place
STICKY = 1 << 29  # the last bit of an f64 that f32 keeps


def from_narrow(e: Emitter, x: str, dtype: DType, lanes: int) -> str:
    """A register of f32."""
    v = Lanes(e, f32, lanes)
    words = llvm_type(dtype, lanes)
    if dtype == f16 and e.halves:
        half = e.let(f"bitcast {words} {x} to {_half(lanes)}", "half")
        return e.let(f"fpext {_half(lanes)} {half} to {v.type}", "wide")
    wide = e.let(f"zext {words} {x} to {v.int_type}", "word")
    if dtype == f16:
        return _from_f16(v, wide)
    if dtype.bits == 8:
        return _from_f8(v, wide, dtype.format)
    return v.from_bits(v.int_op("shl", wide, v.int_const(16)))


def to_narrow(e: Emitter, x: str, dtype: DType, lanes: int) -> str:
    """A register of f32 rounded."""
    v = Lanes(e, f32, lanes)
    words = llvm_type(dtype, lanes)
    if dtype == f16 and e.halves:
        # LLVM would join this with a rounding from f64 before it, to one that is a call on these machines, and rounds otherwise
        fenced = e.call(f"{v.type} @llvm.arithmetic.fence.{v.suffix}({v.type})", f"{v.type} {x}", "rounded")
        half = e.let(f"fptrunc {v.type} {fenced} to {_half(lanes)}", "half")
        return e.let(f"bitcast {_half(lanes)} {half} to {words}", "word")
    if dtype == bf16 and e.bf16:
        brain = "bfloat" if lanes == 1 else f"<{lanes} x bfloat>"
        rounded = e.let(f"fptrunc {v.type} {x} to {brain}", "brain")
        return e.let(f"bitcast {brain} {rounded} to {words}", "word")
    rounded = _to_f16(v, x) if dtype == f16 else _to_bf16(v, x) if dtype == bf16 else _to_f8(v, x, dtype.format)
    return e.let(f"trunc {v.int_type} {rounded} to {words}", "word")


def f64_to_odd_f32(e: Emitter, x: str, lanes: int) -> str:
    """An f64 cut off to f32, its last bit set where that lost anything: rounded once more, it is as if it had been rounded once."""
    v = Lanes(e, f64, lanes)
    bits = v.to_bits(x)
    lost = v.int_compare("ne", v.int_op("and", bits, v.int_const(STICKY - 1)), v.int_const(0))
    kept = v.int_op("and", bits, v.int_const(-STICKY))
    odd = v.int_select(lost, v.int_op("or", kept, v.int_const(STICKY)), kept)
    return v.narrow(v.from_bits(odd))


def _half(lanes: int) -> str:
    return "half" if lanes == 1 else f"<{lanes} x half>"


def _to_bf16(v: Lanes, x: str) -> str:
    """The upper half of f32, after half a unit of it, less one where that bit is even, has been added; a NaN stays one."""
    bits = v.to_bits(x)
    upper = v.int_op("lshr", bits, v.int_const(16))
    rounding = v.int_op("add", v.int_op("and", upper, v.int_const(1)), v.int_const(0x7FFF))
    rounded = v.int_op("lshr", v.int_op("add", bits, rounding), v.int_const(16))
    return v.int_select(v.compare("uno", x, x), v.int_op("or", upper, v.int_const(QUIET)), rounded)


def _from_f16(v: Lanes, word: str) -> str:
    magnitude = v.int_op("and", word, v.int_const(SIGN - 1))
    moved = v.int_op("add", v.int_op("shl", magnitude, v.int_const(13)), v.int_const(REBIAS))
    special = v.int_op("add", moved, v.int_const(REBIAS))  # infinity and NaN have f32's greatest exponent
    small = v.to_bits(v.mul(v.int_to_float(magnitude), v.const(2.0**-24)))
    found = v.int_select(v.int_compare("uge", magnitude, v.int_const(F16_INFINITY)), special, moved)
    found = v.int_select(v.int_compare("ult", magnitude, v.int_const(0x400)), small, found)
    sign = v.int_op("shl", v.int_op("and", word, v.int_const(SIGN)), v.int_const(16))
    return v.from_bits(v.int_op("or", found, sign))


def _to_f16(v: Lanes, x: str) -> str:
    """Denormal results are rounded by the addition of 1/2, whose last bit counts what theirs does."""
    bits = v.to_bits(x)
    magnitude = v.int_op("and", bits, v.int_const(0x7FFFFFFF))
    odd = v.int_op("and", v.int_op("lshr", magnitude, v.int_const(13)), v.int_const(1))
    rounded = v.int_op("add", v.int_op("sub", magnitude, v.int_const(REBIAS)), v.int_op("add", odd, v.int_const(0xFFF)))
    normal = v.int_op("lshr", rounded, v.int_const(13))
    half = 0x3F000000
    small = v.int_op("sub", v.to_bits(v.add(v.from_bits(magnitude), v.const(0.5))), v.int_const(half))
    beyond = v.int_select(v.compare("uno", x, x), v.int_const(F16_NAN), v.int_const(F16_INFINITY))
    found = v.int_select(v.int_compare("ult", magnitude, v.int_const(F16_LEAST)), small, normal)
    found = v.int_select(v.int_compare("uge", magnitude, v.int_const(F16_BEYOND)), beyond, found)
    sign = v.int_op("and", v.int_op("lshr", bits, v.int_const(16)), v.int_const(SIGN))
    return v.int_op("or", found, sign)


def _from_f8(v: Lanes, word: str, format: Format) -> str:
    """The numbers below the normal ones are whole multiples of the least of them, and normal in f32."""
    magnitude = v.int_op("and", word, v.int_const(0x7F))
    moved = v.int_op("add", v.int_op("shl", magnitude, v.int_const(23 - format.mantissa)), v.int_const((127 - format.bias) << 23))
    small = v.to_bits(v.mul(v.int_to_float(magnitude), v.const(2.0 ** (1 - format.bias - format.mantissa))))
    found = v.int_select(v.int_compare("ult", magnitude, v.int_const(1 << format.mantissa)), small, moved)
    if format.negative_zero:
        nan = v.int_compare("ugt", magnitude, v.int_const(format.most + format.infinite))
        above = v.int_select(nan, v.int_const(F32_NAN), found)
        infinity = v.int_compare("eq", magnitude, v.int_const(format.most + 1))
        found = v.int_select(infinity, v.int_const(F32_INFINITY), above) if format.infinite else above
    else:
        found = v.int_select(v.int_compare("eq", word, v.int_const(format.nan)), v.int_const(F32_NAN), found)
    sign = v.int_op("shl", v.int_op("and", word, v.int_const(0x80)), v.int_const(24))
    return v.from_bits(v.int_op("or", found, sign))


def _to_f8(v: Lanes, x: str, format: Format) -> str:
    """As ``_to_f16``: numbers below the normal ones are rounded by the addition of a number whose last bit counts what theirs does.
    What is rounded to more than the greatest number is infinite, or NaN where there are no infinities."""
    bits, drop, rebias = v.to_bits(x), 23 - format.mantissa, (127 - format.bias) << 23
    magnitude = v.int_op("and", bits, v.int_const(0x7FFFFFFF))
    odd = v.int_op("and", v.int_op("lshr", magnitude, v.int_const(drop)), v.int_const(1))
    half = v.int_op("add", odd, v.int_const((1 << (drop - 1)) - 1))
    normal = v.int_op("lshr", v.int_op("add", v.int_op("sub", magnitude, v.int_const(rebias)), half), v.int_const(drop))
    counting = drop + 1 - format.bias  # the exponent of that number
    sum_ = v.to_bits(v.add(v.from_bits(magnitude), v.const(2.0**counting)))
    small = v.int_op("sub", sum_, v.int_const((127 + counting) << 23))
    found = v.int_select(v.int_compare("ult", magnitude, v.int_const(rebias + (1 << 23))), small, normal)
    over, nan = v.int_compare("ugt", found, v.int_const(format.most)), v.compare("uno", x, x)
    sign = v.int_op("and", v.int_op("lshr", bits, v.int_const(24)), v.int_const(0x80))
    if not format.negative_zero:
        signed = v.int_select(v.int_compare("eq", found, v.int_const(0)), found, v.int_op("or", found, sign))
        return v.int_select(v.either(over, nan), v.int_const(format.nan), signed)
    found = v.int_select(over, v.int_const(format.most + 1 if format.infinite else format.nan), found)
    return v.int_op("or", v.int_select(nan, v.int_const(format.nan), found), sign)
