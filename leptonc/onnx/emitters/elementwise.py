"""Elementwise ops. Operands that are broadcast stay as they are: ONNX broadcasts by itself."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from leptonc.ir.graph import Node
from leptonc.ir.types import DType, bool_, f32, i32, i64
from leptonc.onnx.writer import Tensor, Writer, broadcast_shape, emits

Formula = Callable[..., str]

SHORT = frozenset({"i8", "i16", "u8", "u16", "u32"})
"""Ints that ONNX's ops on numbers mostly lack: they are computed with as i64, and wrap around when they are cast back."""


def pointwise(*ops: str) -> Callable[[Formula], Formula]:
    """Enter ``f(writer, dtype, *names)``, of operands of that dtype, for ops."""

    def enter(f: Formula) -> Formula:
        emits(*ops)(lambda w, node, *operands: _applied(f, w, node, operands))
        return f

    return enter


def _applied(f: Formula, w: Writer, node: Node, operands: tuple[Tensor, ...]) -> Tensor:
    result, dtype = node.types[0], operands[0].type.dtype
    wide = i64 if dtype.name in SHORT else dtype
    out = f(w, wide, *(w.cast(x.name, dtype, wide) for x in operands))
    if wide != dtype and not result.dtype.is_bool:
        out = w.cast(out, wide, dtype)
    return Tensor(out, result, broadcast_shape([x.shape for x in operands]))


def _named(op: str, *names: str) -> None:
    pointwise(*names)(lambda w, dtype, *xs: w.add(op, *xs))


for _op in ("abs", "exp", "log", "sqrt", "tanh", "sinh", "cosh", "sigmoid", "erf", "sin",
            "cos", "tan", "asin", "acos", "atan", "asinh", "acosh", "atanh", "add", "sub", "mul", "div", "max", "min"):
    _named(_op.capitalize(), _op)
_named("IsNaN", "isnan")


@pointwise("neg")
def neg(w: Writer, dtype: DType, x: str) -> str:
    return str(w.add("Sub", w.number(0, dtype), x) if dtype.kind == "u" else w.add("Neg", x))


def _rounded(op: str, name: str) -> None:
    pointwise(name)(lambda w, dtype, x: w.add(op, x) if dtype.is_float else x)


for _op in ("floor", "ceil", "round"):
    _rounded(_op.capitalize(), _op)


@pointwise("sign")
def sign(w: Writer, dtype: DType, x: str) -> str:
    """NaN of NaN."""
    out = w.add("Sign", x)
    return str(w.add("Where", w.add("IsNaN", x), x, out)) if dtype.is_float else out


@pointwise("relu")
def relu(w: Writer, dtype: DType, x: str) -> str:
    return str(w.add("Relu", x) if dtype.is_float else w.add("Max", x, w.number(0, dtype)))


@pointwise("trunc")
def trunc(w: Writer, dtype: DType, x: str) -> str:
    if not dtype.is_float:
        return x
    return str(w.add("Mul", w.add("Sign", x), w.add("Floor", w.add("Abs", x))))


@pointwise("rsqrt")
def rsqrt(w: Writer, dtype: DType, x: str) -> str:
    return str(w.add("Reciprocal", w.add("Sqrt", x)))


@pointwise("expm1")
def expm1(w: Writer, dtype: DType, x: str) -> str:
    """tanh(x / 2) (e^x + 1), which loses no digits near 0."""
    half = w.add("Mul", x, w.number(0.5, dtype))
    return str(w.add("Mul", w.add("Tanh", half), w.add("Add", w.add("Exp", x), w.number(1, dtype))))


@pointwise("log1p")
def log1p(w: Writer, dtype: DType, x: str) -> str:
    """log(u) x / (u - 1) with u = 1 + x (Kahan), where x is small."""
    one = w.number(1, dtype)
    u = w.add("Add", x, one)
    log = w.add("Log", u)
    small = w.add("Mul", log, w.add("Div", x, w.add("Sub", u, one)))
    near = w.add("Where", w.add("Equal", u, one), x, small)
    return str(w.add("Where", w.add("Greater", x, one), log, near))


def _log_to(base: float) -> Formula:
    return lambda w, dtype, x: str(w.add("Mul", w.add("Log", x), w.number(1 / math.log(base), dtype)))


pointwise("log2")(_log_to(2))
pointwise("log10")(_log_to(10))
pointwise("exp2")(lambda w, dtype, x: w.add("Pow", w.number(2, dtype), x))
pointwise("cbrt")(lambda w, dtype, x: w.add("Mul", w.add("Sign", x), w.add("Pow", w.add("Abs", x), w.number(1 / 3, dtype))))


@pointwise("softplus")
def softplus(w: Writer, dtype: DType, x: str) -> str:
    """Written out for f64, for which ONNX Runtime's own overflows."""
    if dtype == f32:
        return str(w.add("Softplus", x))
    return str(w.add("Add", w.add("Max", x, w.number(0, dtype)), log1p(w, dtype, w.add("Exp", w.add("Neg", w.add("Abs", x))))))


@pointwise("hypot")
def hypot(w: Writer, dtype: DType, x: str, y: str) -> str:
    """The greater one times sqrt(1 + ratio^2): no square overflows."""
    a, b = w.add("Abs", x), w.add("Abs", y)
    top, zero = w.add("Max", a, b), w.number(0, dtype)
    ratio = w.add("Div", w.add("Min", a, b), top)
    length = w.add("Mul", top, w.add("Sqrt", w.add("Add", w.number(1, dtype), w.add("Mul", ratio, ratio))))
    endless = w.add("Or", w.add("IsInf", x), w.add("IsInf", y))
    return str(w.add("Where", endless, w.number(np.inf, dtype), w.add("Where", w.add("Equal", top, zero), zero, length)))


@pointwise("logaddexp")
def logaddexp(w: Writer, dtype: DType, x: str, y: str) -> str:
    top, gap = w.add("Max", x, y), w.add("Abs", w.add("Sub", x, y))
    apart = w.add("Add", top, log1p(w, dtype, w.add("Exp", w.add("Neg", gap))))
    return str(w.add("Where", w.add("IsNaN", gap), top, apart))  # two equal infinities have no gap


@emits("pow")
def power(w: Writer, node: Node, x: Tensor, y: Tensor) -> Tensor:
    if not x.type.dtype.is_float:
        raise w.fault(node, [x, y], "powers of ints are not exported", "cast to floats")
    return _applied(lambda w, dtype, a, b: w.add("Pow", a, b), w, node, (x, y))


@pointwise("mod")
def mod(w: Writer, dtype: DType, x: str, y: str) -> str:
    """The remainder with the divisor's sign; of ints by 0 it is 0."""
    if dtype.is_float:
        rest, moved = _remainder(w, dtype, x, y)
        return str(w.add("Where", moved, w.add("Add", rest, y), rest))
    return _by_nonzero(w, dtype, y, lambda divisor: w.add("Mod", x, divisor))


@pointwise("floordiv")
def floordiv(w: Writer, dtype: DType, x: str, y: str) -> str:
    """Ints by 0 give 0."""
    if dtype.is_float:
        rest, moved = _remainder(w, dtype, x, y)
        whole = w.add("Round", w.add("Div", w.add("Sub", x, rest), y))
        floor = w.add("Sub", whole, w.cast(moved, bool_, dtype))
        return str(w.add("Where", w.add("Equal", y, w.number(0, dtype)), w.add("Div", x, y), floor))
    return _by_nonzero(w, dtype, y, lambda divisor: w.add("Div", w.add("Sub", x, w.add("Mod", x, divisor)), divisor))


def _remainder(w: Writer, dtype: DType, x: str, y: str) -> tuple[str, str]:
    """C's fmod, and where its sign is not the divisor's."""
    rest, zero = w.add("Mod", x, y, fmod=1), w.number(0, dtype)
    crossed = w.add("Xor", w.add("Less", rest, zero), w.add("Less", y, zero))
    return rest, w.add("And", crossed, w.add("Not", w.add("Equal", rest, zero)))


def _by_nonzero(w: Writer, dtype: DType, y: str, quotient: Callable[[str], str]) -> str:
    """``quotient(y)``, and 0 where y is 0."""
    array = w.known(y)
    if array is not None and array.all():
        return quotient(y)
    none, zero = w.add("Equal", y, w.number(0, dtype)), w.number(0, dtype)
    return chosen(w, none, zero, quotient(chosen(w, none, w.number(1, dtype), y, dtype)), dtype)


# Bits and truth values


def _logical(op: str, name: str) -> None:
    pointwise(name)(lambda w, dtype, *xs: w.add(op if dtype.is_bool else f"Bitwise{op}", *xs))


for _op in ("not", "and", "or", "xor"):
    _logical(_op.capitalize(), _op)


def _order(op: str, name: str) -> None:
    def compared(w: Writer, dtype: DType, x: str, y: str) -> str:
        wide = i32 if dtype.is_bool else dtype
        return str(w.add(op, w.cast(x, dtype, wide), w.cast(y, dtype, wide)))

    pointwise(name)(compared)


for _op, _name in (("Less", "lt"), ("LessOrEqual", "le"), ("Greater", "gt"), ("GreaterOrEqual", "ge")):
    _order(_op, _name)
_named("Equal", "eq")
pointwise("ne")(lambda w, dtype, x, y: w.add("Not", w.add("Equal", x, y)))


@emits("select")
def select(w: Writer, node: Node, condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    shape = broadcast_shape([condition.shape, a.shape, b.shape])
    return Tensor(chosen(w, condition.name, a.name, b.name, a.type.dtype), node.types[0], shape)


def chosen(w: Writer, condition: str, a: str, b: str, dtype: DType) -> str:
    """a where the condition holds, else b."""
    if dtype.is_bool:
        return str(w.add("Or", w.add("And", condition, a), w.add("And", w.add("Not", condition), b)))
    wide = i64 if dtype.is_int else dtype
    return w.cast(w.add("Where", condition, w.cast(a, dtype, wide), w.cast(b, dtype, wide)), wide, dtype)


@emits("stop_gradient", "sampling_parameter", "checkpoint_name", "barrier")
def same(w: Writer, node: Node, x: Tensor, *rest: Tensor) -> Tensor:
    return x


@emits("barrier_token")
def ready(w: Writer, node: Node, x: Tensor) -> str:
    return w.constant(np.array(True))


@emits("cast")
def cast(w: Writer, node: Node, x: Tensor) -> Tensor:
    """Floats saturate in ints, and NaN is 0 there, as ONNX leaves open."""
    source, target = x.type.dtype, node.types[0].dtype
    if source.is_float and target.is_int:
        return Tensor(_saturated(w, x.name, source, target), node.types[0], x.shape)
    if source.is_float and target.is_bool:
        return Tensor(w.add("Not", w.add("Equal", x.name, w.number(0, source))), node.types[0], x.shape)
    return Tensor(w.cast(x.name, source, target), node.types[0], x.shape)


def _saturated(w: Writer, x: str, source: DType, target: DType) -> str:
    """Clipped to what both types have, then what is beyond the greatest int made that."""
    info = np.iinfo(target.numpy)
    low, high = source.numpy.type(info.min), source.numpy.type(info.max)
    beyond = int(high) > info.max  # it was rounded up
    number = w.add("Where", w.add("IsNaN", x), w.number(0, source), x)
    top = np.nextafter(high, source.numpy.type(0)) if beyond else high
    inside = w.cast(w.add("Min", w.add("Max", number, w.constant(low)), w.constant(top)), source, target)
    if not beyond:
        return inside
    above = w.add("GreaterOrEqual", number, w.constant(high))
    return chosen(w, above, w.constant(np.array(info.max, target.numpy)), inside, target)
