"""Elementwise ops of two and three operands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.errors import DtypeError, op_error
from leptonc.ir import prefix
from leptonc.ir.op import Op, Sample, get_op, register, register_op
from leptonc.ir.pair import parts_of
from leptonc.ir.types import TensorType
from leptonc.ir.value import Value
from leptonc.ops import ordered, pairs
from leptonc.ops.elementwise import (
    BITS,
    FIELD,
    FLOATS,
    INEXACT,
    INT_NAMES,
    NUMBERS,
    Elementwise,
    compare,
    numeric_samples,
    select,
    zeros,
)


class Binary(Elementwise):
    kinds = NUMBERS

    def samples(self) -> Sequence[Sample]:
        return numeric_samples(2, self.kinds, self.domain)


@register
class add(Binary):
    name, kinds, of_pairs = "add", FIELD, staticmethod(pairs.add)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return g, g


@register
class sub(Binary):
    name, kinds, of_pairs = "sub", FIELD, staticmethod(pairs.subtract)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return g, -g


@register
class mul(Binary):
    name, kinds, of_pairs = "mul", FIELD, staticmethod(pairs.multiply)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        a, b = operands
        return g * b, g * a


@register
class div(Binary):
    name, kinds, of_pairs = "div", INEXACT, staticmethod(pairs.divide)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        b = operands[1]
        return g / b, -(g * y / b)

    def domain(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(x + np.copysign(0.5, x))


def quotient_samples(samples: Sequence[Sample]) -> list[Sample]:
    """Smooth ones away from whole quotients, where floor division jumps."""
    def smooth(rng: np.random.Generator) -> list[np.ndarray]:
        return [rng.integers(-5, 5, (3, 4)) + 0.45, np.full((3, 4), 1.3)]

    return [Sample(smooth, name="smooth"), *(s for s in samples if not s.differentiable)]


@register
class floordiv(Binary):
    """NumPy's floor division; integers by zero give 0, the lowest by -1 itself."""

    name = "floordiv"

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return None, None

    def samples(self) -> Sequence[Sample]:
        return quotient_samples(super().samples())


@register
class mod(Binary):
    """NumPy's remainder, with the divisor's sign; integers by zero give 0."""

    name = "mod"

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        a, b = operands
        return g, -(g * get_op("floordiv")(a, b))

    def samples(self) -> Sequence[Sample]:
        return quotient_samples(super().samples())


@register
class pow_(Binary):
    """x ** y. Integers: wrap around; a negative exponent gives 0, or ±1 for a base of ±1."""

    name, kinds, of_pairs = "pow", FIELD, staticmethod(pairs.power)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """d/dx = y x^(y-1), 0 where y = 0, also of 0, NaN and infinities; d/dy = log(x) x^y, at x = 0 what it tends to for y > 0;
        NaN for x < 0."""
        a, b = operands
        one = a.builder.full(a.type, 1)
        nonzero = select(compare("eq", a, 0), one, a)
        invertible = select(compare("eq", a * 0, 0), nonzero, one)
        slope = b * self(select(compare("eq", b, 0), invertible, a), b - 1)
        return g * slope, g * (get_op("log")(nonzero) * y)

    def samples(self) -> Sequence[Sample]:
        def smooth(rng: np.random.Generator) -> list[np.ndarray]:
            return [rng.random((3, 5)) + 0.5, rng.standard_normal((3, 5))]

        rest = [s for s in super().samples() if not s.differentiable and "int" not in s.name]
        ints = Sample(lambda rng: [rng.integers(-3, 4, 40).astype("int32"), rng.integers(0, 6, 40).astype("int32")],
                      differentiable=False, name="int32")
        return [Sample(smooth, name="smooth"), *rest, ints]


@register
class gcd(Binary):
    """The greatest common divisor; 0 of two zeros."""

    name, kinds = "gcd", "ui"

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return None, None


class Extreme(Binary):
    """Where both operands are equal each gets half the cotangent."""

    kinds, wins = FIELD, ""

    def in_parts(self, *operands: Any, **attrs: Any) -> Any:
        return ordered.extreme(self.name, *map(parts_of, operands))

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        a, b = operands
        half = g * 0.5
        tie = compare("eq", a, b)
        first = select(compare(self.wins, a, b), g, select(tie, half, zeros(g)))
        return first, select(compare(self.wins, b, a), g, select(tie, half, zeros(g)))


@register
class max_(Extreme):
    """NaN on either side gives NaN."""

    name, wins = "max", "gt"


@register
class min_(Extreme):
    """NaN on either side gives NaN."""

    name, wins = "min", "lt"


@register
class logaddexp(Binary):
    """log(e^x + e^y) without overflow. An op of its own, for its parts have kinks where x = y that it has not."""

    name, kinds = "logaddexp", FLOATS

    def body(self, s: Any, x: Any, y: Any) -> Any:
        return prefix.logaddexp(s, x, y)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """sigmoid(x - y) and sigmoid(y - x); 1 for an operand that is inf, as JAX; 1/2 each where both are -inf."""
        a, b = operands

        def share(x: Value, other: Value) -> Value:
            gap = x - other
            infinite = get_op("and")(get_op("isnan")(gap), compare("eq", x, other))
            part = get_op("sigmoid")(select(infinite, zeros(x), gap))
            return g * select(compare("eq", x, np.inf), x.builder.full(x.type, 1), part)

        return share(a, b), share(b, a)


@register
class atan2(Binary):
    name, kinds = "atan2", FLOATS

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        a, b = operands
        square = a * a + b * b
        return g * b / square, -(g * a / square)


@register
class fma(Elementwise):
    """x * y + z, rounded once."""

    name, kinds = "fma", FLOATS

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        a, b, _ = operands
        return g * b, g * a, g

    def samples(self) -> Sequence[Sample]:
        return numeric_samples(3, self.kinds, self.domain)


class Bitwise(Binary):
    kinds = BITS


class Shift(Binary):
    """By the width or more: 0, or the sign for an arithmetic shift right."""

    kinds = "ui"

    def samples(self) -> Sequence[Sample]:
        def ints(rng: np.random.Generator, dtype: str) -> list[np.ndarray]:
            info = np.iinfo(dtype)
            numbers = np.concatenate([rng.integers(0, 100, 60).astype(dtype), np.array([info.min, info.max] * 35, dtype)])
            return [numbers, np.concatenate([rng.integers(0, 70, 60), np.repeat(np.arange(35) * 2, 2)]).astype(dtype)]

        def make(dtype: str) -> Sample:
            return Sample(lambda rng: ints(rng, dtype), differentiable=False, name=dtype)

        return [make(d) for d in INT_NAMES]


class Comparison(Binary):
    kinds, boolean = "buif", True

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return None, None

    def samples(self) -> Sequence[Sample]:
        return [Sample(s.make, s.attrs, False, s.name) for s in numeric_samples(2, self.kinds, self.domain)]


def _family(base: type[Binary], names: str) -> dict[str, Op]:
    return {op: register_op(type(op, (base,), {"name": op})()) for op in names.split()}


_family(Bitwise, "and or xor")
_family(Shift, "shl shr")


class Order(Comparison):
    """Of complex numbers that of their real parts, of equal ones of the imaginary parts."""

    kinds = "buifc"

    def in_parts(self, *operands: Any, **attrs: Any) -> Any:
        return ordered.compared(self.name, *map(parts_of, operands))


_family(Order, "lt le gt ge")


@register
class eq(Comparison):
    name, kinds, of_pairs = "eq", "buifc", staticmethod(pairs.equal)


@register
class ne(Comparison):
    name, kinds, of_pairs = "ne", "buifc", staticmethod(pairs.not_equal)


@register
class select_(Elementwise):
    """``a`` where the condition (bool, same shape) holds, else ``b``."""

    name, operand_names = "select", ("condition", "a", "b")
    stores = True

    def body(self, s: Any, condition: Any, a: Any, b: Any) -> Any:
        return s.select(condition, a, b)

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        condition, a, b = types
        if not condition.dtype.is_bool:
            raise self.fault("condition must be bool", types, DtypeError)
        if not condition.shape == a.shape == b.shape:
            raise self.fault("shapes differ", types)
        if a.dtype != b.dtype:
            raise op_error("select", "dtypes differ", {"a": a, "b": b}, fix="cast one of them", kind=DtypeError)
        return a

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        condition = operands[0]
        return None, select(condition, g, zeros(g)), select(condition, zeros(g), g)

    def samples(self) -> Sequence[Sample]:
        def make(shape: tuple[int, ...]) -> Sample:
            return Sample(lambda rng: [np.asarray(rng.random(shape) < 0.5), np.asarray(rng.standard_normal(shape)),
                                       np.asarray(rng.standard_normal(shape))], name=f"shape{shape}")

        ints = Sample(lambda rng: [rng.random(20) < 0.5, rng.integers(0, 9, 20), rng.integers(0, 9, 20)],
                      differentiable=False, name="ints")
        return [*(make(s) for s in ((), (67,), (2, 1, 5), (0, 4))), ints]
