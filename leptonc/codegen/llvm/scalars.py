"""Scalar opcodes as LLVM text, for one lane or many. The meaning is ``leptonc.ir.scalar``'s, which is NumPy's.

Nothing here may become a call into a maths library: transcendental functions are polynomial code (``vectormath``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from leptonc.codegen.llvm import hyperbolic, inverse, narrow, powers, trigonometry, vectormath
from leptonc.codegen.llvm.emitter import Emitter, emit_const, llvm_type
from leptonc.codegen.llvm.lanes import Lanes, no_lane
from leptonc.ir.types import DType, bool_, f16, f32, f64

FLOAT_OPS = {"add": "fadd contract", "sub": "fsub contract", "mul": "fmul contract", "div": "fdiv"}
INT_OPS = {"add": "add", "sub": "sub", "mul": "mul", "and": "and", "or": "or", "xor": "xor"}
FLOAT_COMPARE = {"eq": "oeq", "ne": "une", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge"}
INT_COMPARE = {"eq": "eq", "ne": "ne", "lt": "lt", "le": "le", "gt": "gt", "ge": "ge"}
FLOAT_INTRINSICS = {"abs": "fabs", "floor": "floor", "ceil": "ceil", "round": "roundeven", "trunc": "trunc", "sqrt": "sqrt"}
BOOL_OPS = {"and": "and", "or": "or", "xor": "xor", "add": "or", "mul": "and", "max": "or", "min": "and"}


def emit_scalar(e: Emitter, op: str, args: list[str], dtypes: list[DType], result: DType, lanes: int) -> str:
    """``op`` on registers of ``lanes`` elements; returns the result's name. ``dtypes`` are the operands'."""
    if op == "cast":
        return _cast(e, args[0], dtypes[0], result, lanes)
    if op == "select":
        bits, type_ = llvm_type(bool_, lanes), llvm_type(result, lanes)
        return e.let(f"select {bits} {args[0]}, {type_} {args[1]}, {type_} {args[2]}", "select")
    dtype = dtypes[-1]
    if op in ("to_bits", "from_bits"):
        return _reinterpret(e, args[0], llvm_type(dtype, lanes), llvm_type(result, lanes))
    family = _float if dtype.is_float else _bool if dtype.is_bool else _int
    return family(e, op, args, dtype, lanes)


def emit_casts(e: Emitter, x: str, dtype: DType, casts: Sequence[DType], lanes: int) -> str:
    """A register of a dtype cast to others, in turn."""
    for to in casts:
        x, dtype = emit_scalar(e, "cast", [x], [dtype], to, lanes), to
    return x


def _reinterpret(e: Emitter, x: str, source: str, target: str) -> str:
    return x if source == target else e.let(f"bitcast {source} {x} to {target}", "bits")


def _intrinsic(e: Emitter, name: str, type_: str, dtype: DType, lanes: int, args: list[str]) -> str:
    suffix = ("" if lanes == 1 else f"v{lanes}") + (dtype.name if dtype.is_float else f"i{dtype.bits}")
    signature = ", ".join([type_] * len(args))
    return e.call(f"{type_} @llvm.{name}.{suffix}({signature})", ", ".join(f"{type_} {a}" for a in args), name.split(".")[0])


# Floats


def _float(e: Emitter, op: str, args: list[str], dtype: DType, lanes: int) -> str:
    type_ = llvm_type(dtype, lanes)
    if op in FLOAT_OPS:
        return e.let(f"{FLOAT_OPS[op]} {type_} {args[0]}, {args[1]}", op)
    if op in FLOAT_COMPARE:
        return e.let(f"fcmp {FLOAT_COMPARE[op]} {type_} {args[0]}, {args[1]}", op)
    if op in FLOAT_INTRINSICS:
        return _intrinsic(e, FLOAT_INTRINSICS[op], type_, dtype, lanes, args)
    return _FLOAT[op](Lanes(e, dtype, lanes), *args)


def _max(v: Lanes, x: str, y: str) -> str:
    """x if x > y or x is NaN, else y: a NaN on either side comes through. The inner one is what some machines call maximum."""
    return v.select(v.compare("uno", x, x), x, v.select(v.compare("ogt", x, y), x, y))


def _min(v: Lanes, x: str, y: str) -> str:
    return v.select(v.compare("uno", x, x), x, v.select(v.compare("olt", x, y), x, y))


def _sign(v: Lanes, x: str) -> str:
    """-1, 0 or 1; NaN stays."""
    one = v.select(v.compare("ogt", x, v.const(0)), v.const(1), v.const(0))
    signed = v.select(v.compare("olt", x, v.const(0)), v.const(-1), one)
    return v.select(v.compare("uno", x, x), x, signed)


def _rsqrt(v: Lanes, x: str) -> str:
    return v.div(v.const(1), v.sqrt(x))


def _remainder(v: Lanes, x: str, y: str) -> str:
    """x - y * trunc(x / y), exact (llvm.frem would call fmod): long division in steps of the quotient's bits, then the
    divisor's sign as NumPy."""
    rest = vectormath.fmod(v, x, y)
    opposite = v.both(v.compare("une", rest, v.const(0)), v.differ(v.compare("olt", rest, v.const(0)),
                                                                   v.compare("olt", y, v.const(0))))
    adjusted = v.select(opposite, v.add(rest, y), rest)
    return v.select(v.compare("oeq", rest, v.const(0)), v.copysign(v.const(0), y), adjusted)


def _floor_divide(v: Lanes, x: str, y: str) -> str:
    """NumPy's: the quotient that makes x == q * y + remainder, rounded to the nearest integer."""
    rest = vectormath.fmod(v, x, y)
    exact = v.div(v.sub(x, rest), y)
    opposite = v.both(v.compare("une", rest, v.const(0)), v.differ(v.compare("olt", rest, v.const(0)),
                                                                   v.compare("olt", y, v.const(0))))
    quotient = v.select(opposite, v.sub(exact, v.const(1)), exact)
    low = v.floor(quotient)
    rounded = v.select(v.compare("ogt", v.sub(quotient, low), v.const(0.5)), v.add(low, v.const(1)), low)
    settled = v.select(v.compare("oeq", quotient, v.const(0)), v.copysign(v.const(0), v.div(x, y)), rounded)
    return v.select(v.compare("oeq", y, v.const(0)), v.div(x, y), settled)


_FLOAT: dict[str, Callable[..., str]] = {
    "neg": lambda v, x: v.neg(x),
    "isnan": lambda v, x: v.compare("uno", x, x),
    "max": _max,
    "min": _min,
    "sign": _sign,
    "rsqrt": _rsqrt,
    "mod": _remainder,
    "floordiv": _floor_divide,
    "exp": vectormath.exp,
    "expm1": vectormath.expm1,
    "log": vectormath.log,
    "log1p": vectormath.log1p,
    "log2": powers.log2,
    "log10": powers.log10,
    "pow": powers.power,
    "tanh": hyperbolic.tanh,
    "sinh": hyperbolic.sinh,
    "cosh": hyperbolic.cosh,
    "erf": vectormath.erf,
    "erf_inv": inverse.erf_inv,
    "fma": lambda v, x, y, z: v.fma(x, y, z),
    "sin": trigonometry.sin,
    "cos": trigonometry.cos,
    "tan": trigonometry.tan,
    "atan2": trigonometry.atan2,
}


# Bools


def _bool(e: Emitter, op: str, args: list[str], dtype: DType, lanes: int) -> str:
    type_ = llvm_type(dtype, lanes)
    if op in BOOL_OPS:
        return e.let(f"{BOOL_OPS[op]} {type_} {args[0]}, {args[1]}", op)
    if op == "not":
        return e.let(f"xor {type_} {args[0]}, {emit_const(True, dtype, lanes)}", op)
    if op == "isnan":
        return emit_const(False, dtype, lanes)
    return e.let(f"icmp {_int_predicate(op, dtype)} {type_} {args[0]}, {args[1]}", op)


def _int_predicate(op: str, dtype: DType) -> str:
    predicate = INT_COMPARE[op]
    return predicate if predicate in ("eq", "ne") else ("s" if dtype.kind == "i" else "u") + predicate


# Integers


def _int(e: Emitter, op: str, args: list[str], dtype: DType, lanes: int) -> str:
    type_ = llvm_type(dtype, lanes)
    if op in INT_OPS:
        return e.let(f"{INT_OPS[op]} {type_} {args[0]}, {args[1]}", op)
    if op in INT_COMPARE:
        return e.let(f"icmp {_int_predicate(op, dtype)} {type_} {args[0]}, {args[1]}", op)
    if op in ("max", "min"):
        return _intrinsic(e, ("s" if dtype.kind == "i" else "u") + op, type_, dtype, lanes, args)
    return _INT[op](_Ints(e, dtype, lanes), *args)


class _Ints:
    """Integer arithmetic on one register shape."""

    def __init__(self, e: Emitter, dtype: DType, lanes: int):
        self.e, self.dtype, self.lanes = e, dtype, lanes
        self.type = llvm_type(dtype, lanes)
        self.signed = dtype.kind == "i"

    def const(self, number: int) -> str:
        return emit_const(number, self.dtype, self.lanes)

    def op(self, name: str, x: str, y: str) -> str:
        return self.e.let(f"{name} {self.type} {x}, {y}", name)

    def test(self, predicate: str, x: str, y: str) -> str:
        return self.e.let(f"icmp {predicate} {self.type} {x}, {y}", "test")

    def both(self, x: str, y: str, op: str = "and") -> str:
        return self.e.let(f"{op} {llvm_type(bool_, self.lanes)} {x}, {y}", "both")

    def select(self, condition: str, x: str, y: str) -> str:
        return self.e.let(f"select {llvm_type(bool_, self.lanes)} {condition}, {self.type} {x}, {self.type} {y}", "select")


def _int_neg(i: _Ints, x: str) -> str:
    return i.op("sub", i.const(0), x)


def _int_abs(i: _Ints, x: str) -> str:
    return i.select(i.test("slt", x, i.const(0)), _int_neg(i, x), x) if i.signed else x


def _int_sign(i: _Ints, x: str) -> str:
    positive = i.select(i.test("ne", x, i.const(0)), i.const(1), i.const(0))
    return i.select(i.test("slt", x, i.const(0)), i.const(-1), positive) if i.signed else positive


def _int_not(i: _Ints, x: str) -> str:
    return i.op("xor", x, i.const(-1) if i.signed else i.const(2**i.dtype.bits - 1))


def _safe_divisor(i: _Ints, x: str, y: str) -> tuple[str, str, str]:
    """A divisor that never traps, and the two conditions it hides: zero, and lowest / -1."""
    zero = i.test("eq", y, i.const(0))
    overflow = zero
    if i.signed:
        low = i.test("eq", x, i.const(-(2 ** (i.dtype.bits - 1))))
        overflow = i.both(low, i.test("eq", y, i.const(-1)))
    unsafe = i.both(zero, overflow, "or") if i.signed else zero
    return i.select(unsafe, i.const(1), y), zero, overflow


def _int_floor_divide(i: _Ints, x: str, y: str) -> str:
    """Rounded down; x // 0 == 0, lowest // -1 == lowest."""
    safe, zero, _ = _safe_divisor(i, x, y)
    if not i.signed:
        return i.select(zero, i.const(0), i.op("udiv", x, safe))
    quotient = i.op("sdiv", x, safe)
    rest = i.op("sub", x, i.op("mul", quotient, safe))
    down = i.both(i.test("ne", rest, i.const(0)), i.test("slt", i.op("xor", rest, safe), i.const(0)))
    return i.select(zero, i.const(0), i.select(down, i.op("sub", quotient, i.const(1)), quotient))


def _int_remainder(i: _Ints, x: str, y: str) -> str:
    """With the divisor's sign; x % 0 == 0."""
    safe, zero, _ = _safe_divisor(i, x, y)
    if not i.signed:
        return i.select(zero, i.const(0), i.op("urem", x, safe))
    rest = i.op("srem", x, safe)
    wrong = i.both(i.test("ne", rest, i.const(0)), i.test("slt", i.op("xor", rest, safe), i.const(0)))
    return i.select(zero, i.const(0), i.select(wrong, i.op("add", rest, safe), rest))


def _shift(name: str) -> Callable[..., str]:
    def shift(i: _Ints, x: str, n: str) -> str:
        """Shifts by the width or more (or negative ones, seen as unsigned) give 0, or the sign."""
        inside = i.test("ult", n, i.const(i.dtype.bits))
        if name == "shr" and i.signed:
            return i.op("ashr", x, i.select(inside, n, i.const(i.dtype.bits - 1)))
        op = "shl" if name == "shl" else "lshr"
        return i.select(inside, i.op(op, x, i.select(inside, n, i.const(0))), i.const(0))

    return shift


def _int_power(i: _Ints, x: str, y: str) -> str:
    """Square and multiply over all bits of the exponent; a negative one gives 0, or ±1 for a base of ±1."""
    result, square, left = i.const(1), x, y
    for _ in range(min(i.dtype.bits, 64)):
        odd = i.test("ne", i.op("and", left, i.const(1)), i.const(0))
        result = i.select(odd, i.op("mul", result, square), result)
        square, left = i.op("mul", square, square), i.op("lshr", left, i.const(1))
    if not i.signed:
        return result
    odd = i.test("ne", i.op("and", y, i.const(1)), i.const(0))
    minus_one = i.select(odd, i.const(-1), i.const(1))
    inverse = i.select(i.test("eq", x, i.const(-1)), minus_one, i.const(0))
    inverse = i.select(i.test("eq", x, i.const(1)), i.const(1), inverse)
    return i.select(i.test("slt", y, i.const(0)), inverse, result)


EUCLID = {8: 12, 16: 24, 32: 47, 64: 93}  # steps for the greatest numbers of neighbours in Fibonacci's series, by their bits


def _int_gcd(i: _Ints, x: str, y: str) -> str:
    """Euclid's algorithm on sizes, seen as unsigned; gcd(0, 0) = 0."""
    carried = [(i.type, _int_abs(i, x)), (i.type, _int_abs(i, y))]

    def done(state: list[str]) -> str:
        return no_lane(i.e, i.test("ne", state[1], i.const(0)), i.lanes)

    with i.e.reduce_loop("euclid", "0", str(EUCLID[i.dtype.bits]), 1, carried, done) as (_, phis, following):
        ended = i.test("eq", phis[1], i.const(0))
        rest = i.op("urem", phis[0], i.select(ended, i.const(1), phis[1]))
        following += [i.select(ended, phis[0], phis[1]), i.select(ended, i.const(0), rest)]
    return phis[0]


_INT: dict[str, Callable[..., str]] = {
    "neg": _int_neg,
    "abs": _int_abs,
    "sign": _int_sign,
    "not": _int_not,
    "floordiv": _int_floor_divide,
    "mod": _int_remainder,
    "shl": _shift("shl"),
    "shr": _shift("shr"),
    "shr_logical": _shift("shr_logical"),
    "pow": _int_power,
    "gcd": _int_gcd,
    "floor": lambda i, x: x,
    "ceil": lambda i, x: x,
    "round": lambda i, x: x,
    "trunc": lambda i, x: x,
    "isnan": lambda i, x: emit_const(False, bool_, i.lanes),
}


# Casts


def _cast(e: Emitter, x: str, source: DType, target: DType, lanes: int) -> str:
    if source == target:
        return x
    if source.is_narrow:
        return _cast(e, narrow.from_narrow(e, x, source, lanes), f32, target, lanes)
    if target.is_narrow:
        odd = source == f64 and target == f16  # NumPy rounds once; ml_dtypes rounds an f64 to f32, then to bf16
        wide = narrow.f64_to_odd_f32(e, x, lanes) if odd else _cast(e, x, source, f32, lanes)
        return narrow.to_narrow(e, wide, target, lanes)
    from_, to = llvm_type(source, lanes), llvm_type(target, lanes)
    if target.is_bool:
        zero = emit_const(0, source, lanes)
        compare = f"fcmp une {from_}" if source.is_float else f"icmp ne {from_}"
        return e.let(f"{compare} {x}, {zero}", "cast")
    if source.is_float and target.is_float:
        return e.let(f"{'fpext' if target.bits > source.bits else 'fptrunc'} {from_} {x} to {to}", "cast")
    if source.is_float:
        return _saturate(e, x, source, target, lanes)
    if target.is_float:
        return e.let(f"{'sitofp' if source.kind == 'i' else 'uitofp'} {from_} {x} to {to}", "cast")
    if llvm_type(source) == llvm_type(target):
        return x
    narrower = target.bits < source.bits and not source.is_bool
    widen = "sext" if source.kind == "i" else "zext"
    return e.let(f"{'trunc' if narrower else widen} {from_} {x} to {to}", "cast")


def _saturate(e: Emitter, x: str, source: DType, target: DType, lanes: int) -> str:
    """Out of range saturates, NaN is 0."""
    name = "fptosi.sat" if target.kind == "i" else "fptoui.sat"
    many = "" if lanes == 1 else f"v{lanes}"
    to, from_ = llvm_type(target, lanes), llvm_type(source, lanes)
    return e.call(f"{to} @llvm.{name}.{many}i{target.bits}.{many}{source.name}({from_})", f"{from_} {x}", "cast")

