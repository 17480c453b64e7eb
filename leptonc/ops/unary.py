"""Elementwise ops of one operand, casts among them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from math import log as log_of
from typing import Any

import numpy as np

from leptonc.ir.op import Op, Sample, get_op, register, register_op
from leptonc.ir.pair import Pair, parts_of
from leptonc.ir.types import LOW, REALS, DType, f64
from leptonc.ir.value import Value
from leptonc.ops import pairs
from leptonc.ops.elementwise import (
    ANY,
    BITS,
    FIELD,
    INEXACT,
    NUMBERS,
    SPECIAL,
    Elementwise,
    Smooth,
    away_from_zero,
    compare,
    select,
    zeros,
)


@register
class neg(Elementwise):
    name, kinds, of_pairs = "neg", FIELD, staticmethod(pairs.negative)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (-g,)


@register
class abs_(Elementwise):
    """abs'(0) = 1, as JAX."""

    name, kinds = "abs", NUMBERS

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (select(compare("ge", operands[0], 0), g, -g),)

    def domain(self, x: np.ndarray) -> np.ndarray:
        return away_from_zero(x)


class Stepwise(Elementwise):
    """Piecewise constant: the gradient is zero."""

    kinds = NUMBERS

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (None,)

    def domain(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(np.floor(x) + 0.3)


def _stepwise(op: str) -> Op:
    return register_op(type(op, (Stepwise,), {"name": op})())


floor, ceil, round_, trunc = (_stepwise(op) for op in ("floor", "ceil", "round", "trunc"))


@register
class sign(Stepwise):
    """-1, 0 or 1; of complex numbers z / |z|, which has a derivative."""

    name, kinds, of_pairs = "sign", FIELD, staticmethod(pairs.sign)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """Of the part of a change that turns z: (g - y Re(g y)) / |z| with y's conjugate where g's direction asks for it."""
        if not y.dtype.is_complex:
            return (None,)
        size, conj, like = get_op("complex_abs")(operands[0]), get_op("conj"), get_op("cast")
        along = get_op("real")(g * y)
        none = compare("eq", size, 0)
        scale = select(none, zeros(size), 1 / select(none, size.builder.full(size.type, 1), size))
        across = g - conj(y) * like(along, dtype=y.dtype)
        return (across * like(scale, dtype=y.dtype),)


@register
class exp(Smooth):
    name, kinds, of_pairs = "exp", INEXACT, staticmethod(pairs.exp)

    def slope(self, x: Value, y: Value) -> Value:
        return y


@register
class expm1(Smooth):
    name, kinds, of_pairs = "expm1", INEXACT, staticmethod(pairs.expm1)

    def slope(self, x: Value, y: Value) -> Value:
        return y + 1


@register
class log(Smooth):
    name, kinds, of_pairs = "log", INEXACT, staticmethod(pairs.log)

    def slope(self, x: Value, y: Value) -> Value:
        return 1 / x

    def domain(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(np.abs(x) + 0.2)


class LogTo(Smooth):
    """Logarithm to ``base``: whole for its whole powers."""

    base = 2

    def slope(self, x: Value, y: Value) -> Value:
        return (1 / log_of(self.base)) / x

    def domain(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(np.abs(x) + 0.2)


@register
class log2(LogTo):
    name, kinds, of_complex = "log2", INEXACT, np.log2
    of_pairs = staticmethod(functools.partial(pairs.log_to, 2))


@register
class log10(LogTo):
    name, base, kinds, of_complex = "log10", 10, INEXACT, np.log10
    of_pairs = staticmethod(functools.partial(pairs.log_to, 10))


def _log1p_of_complex(z: np.ndarray) -> np.ndarray:
    """NumPy's loses the real part of small numbers, whose square it does not take apart."""
    found = np.asarray(np.log1p(z))  # a ufunc makes a number of an array without an axis
    near = 0.5 * np.log1p(z.real * (2 + z.real) + z.imag * z.imag)
    found.real[...] = np.where(np.maximum(np.abs(z.real), np.abs(z.imag)) < 0.5, near, found.real)
    return found


@register
class log1p(Smooth):
    name, kinds, of_pairs = "log1p", INEXACT, staticmethod(pairs.log1p)
    of_complex = staticmethod(_log1p_of_complex)

    def slope(self, x: Value, y: Value) -> Value:
        return 1 / (x + 1)

    def domain(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(np.abs(x) - 0.5)


@register
class sqrt(Smooth):
    """sqrt'(0) = inf."""

    name, kinds, of_pairs = "sqrt", INEXACT, staticmethod(pairs.sqrt)

    def slope(self, x: Value, y: Value) -> Value:
        return 0.5 / y

    def domain(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(np.abs(x) + 0.2)


@register
class rsqrt(Smooth):
    name, kinds, of_pairs = "rsqrt", INEXACT, staticmethod(pairs.rsqrt)

    def slope(self, x: Value, y: Value) -> Value:
        return -0.5 * y / x

    def domain(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(np.abs(x) + 0.2)


@register
class tanh(Smooth):
    name, kinds, of_pairs = "tanh", INEXACT, staticmethod(pairs.tanh)

    def slope(self, x: Value, y: Value) -> Value:
        return 1 - y * y


@register
class sinh(Smooth):
    name, kinds, of_pairs = "sinh", INEXACT, staticmethod(pairs.sinh)

    def slope(self, x: Value, y: Value) -> Value:
        return get_op("cosh")(x)


@register
class cosh(Smooth):
    name, kinds, of_pairs = "cosh", INEXACT, staticmethod(pairs.cosh)

    def slope(self, x: Value, y: Value) -> Value:
        return get_op("sinh")(x)


@register
class sigmoid(Smooth):
    """1 / (1 + exp(-x)): no overflow that matters at either end."""

    name, kinds, of_pairs = "sigmoid", INEXACT, staticmethod(pairs.sigmoid)

    def body(self, s: Any, x: Any) -> Any:
        return s.div(1, s.add(1, s.exp(s.neg(x))))

    def slope(self, x: Value, y: Value) -> Value:
        return y * (1 - y)


@register
class softplus(Smooth):
    """log(1 + e^x), without overflow. An op of its own, for its parts have kinks at 0 that it has not."""

    name = "softplus"

    def body(self, s: Any, x: Any) -> Any:
        return s.add(s.max(x, 0), s.log1p(s.exp(s.neg(s.abs(x)))))

    def slope(self, x: Value, y: Value) -> Value:
        return get_op("sigmoid")(x)


@register
class erf(Smooth):
    """Error function; its derivative is 2 / sqrt(pi) exp(-x^2)."""

    name = "erf"

    def slope(self, x: Value, y: Value) -> Value:
        return get_op("exp")(-(x * x)) * (2 / np.pi**0.5)


@register
class erf_inv(Smooth):
    """Inverse error function on (-1, 1); its derivative is sqrt(pi) / 2 exp(y^2)."""

    name = "erf_inv"

    def slope(self, x: Value, y: Value) -> Value:
        return get_op("exp")(y * y) * (np.pi**0.5 / 2)

    def domain(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(0.9 * np.tanh(x))


@register
class sin(Smooth):
    name, kinds, of_pairs = "sin", INEXACT, staticmethod(pairs.sin)

    def slope(self, x: Value, y: Value) -> Value:
        return get_op("cos")(x)


@register
class cos(Smooth):
    name, kinds, of_pairs = "cos", INEXACT, staticmethod(pairs.cos)

    def slope(self, x: Value, y: Value) -> Value:
        return -get_op("sin")(x)


@register
class tan(Smooth):
    name, kinds, of_pairs = "tan", INEXACT, staticmethod(pairs.tan)

    def slope(self, x: Value, y: Value) -> Value:
        return 1 + y * y


@register
class relu(Elementwise):
    """max(x, 0); relu'(0) = 0, NaN stays NaN."""

    name, kinds = "relu", NUMBERS

    def body(self, s: Any, x: Any) -> Any:
        return s.max(x, 0)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (select(compare("gt", y, 0), g, zeros(g)),)

    def domain(self, x: np.ndarray) -> np.ndarray:
        return away_from_zero(x)


@register
class not_(Elementwise):
    """Logical on bools, bitwise on integers."""

    name, kinds = "not", BITS


@register
class isnan(Elementwise):
    name, kinds, boolean, of_pairs = "isnan", INEXACT, True, staticmethod(pairs.isnan)


@register
class cast(Elementwise):
    """Another element type. Floats out of an integer type's range saturate, NaN becomes 0; of a complex number its real part."""

    name, stores, kinds = "cast", True, ANY + "c"

    def body(self, s: Any, x: Any, dtype: DType) -> Any:
        return s.cast(x, dtype)

    def result_dtype(self, source: DType, **attrs: Any) -> DType:
        target: DType = attrs["dtype"]
        return target

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        source = operands[0].dtype
        return (self(g, dtype=source) if source.is_inexact and g.dtype.is_inexact else None,)

    def in_parts(self, *operands: Any, **attrs: Any) -> Any:
        x, dtype = operands[0], attrs["dtype"]
        if dtype.is_bool:
            return pairs.not_equal(x, Pair(zeros(x.re), zeros(x.im)))
        if not dtype.is_complex:
            return self(x.re, dtype=dtype)
        if not isinstance(x, Pair):
            return parts_of(self(x, dtype=dtype.real))
        return Pair(*(self(part, dtype=dtype.real) for part in x))

    def samples(self) -> Sequence[Sample]:
        def numbers(rng: np.random.Generator) -> list[np.ndarray]:
            return [np.concatenate([SPECIAL, rng.standard_normal(20) * 300])]

        def ints(rng: np.random.Generator) -> list[np.ndarray]:
            return [rng.integers(-300, 300, (4, 9))]

        targets = [t for t in REALS.values() if t.name not in LOW]  # whose NumPy dtypes may not be installed
        out = [Sample(numbers, {"dtype": t}, False, f"float to {t}") for t in targets]
        out += [Sample(ints, {"dtype": t}, False, f"i64 to {t}") for t in targets]
        out += [Sample(lambda rng: [rng.random(9) < 0.5], {"dtype": t}, False, f"bool to {t}") for t in targets]
        smooth = Sample(lambda rng: [rng.standard_normal((2, 3))], {"dtype": f64}, True, "to f64")
        return [*out, smooth]


@register
class stop_gradient(Elementwise):
    """The identity, with no gradient."""

    name, stores, kinds = "stop_gradient", True, ANY + "c"

    def body(self, s: Any, x: Any) -> Any:
        return x

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (None,)

    def samples(self) -> Sequence[Sample]:
        return [Sample(lambda rng: [rng.standard_normal((2, 3))], differentiable=False)]


@register
class checkpoint_name(Elementwise):
    """The identity, under the name ``label``, by which policies of checkpoints save it."""

    name, stores, kinds = "checkpoint_name", True, ANY + "c"

    def body(self, s: Any, *xs: Any, **attrs: Any) -> Any:
        return xs[0]

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (g,)

    def samples(self) -> Sequence[Sample]:
        return [Sample(lambda rng: [rng.standard_normal((2, 3))], {"label": "attention"})]


@register
class sampling_parameter(Elementwise):
    """The identity, for the parameter ``what`` of a distribution ``of`` whose draws have no derivative by it.

    Which candidate a draw by rejection accepts depends on it, so the derivative of that candidate is not the draw's.
    """

    name, stores = "sampling_parameter", True

    def title(self, attrs: dict[str, Any]) -> str:
        return f"parameter {attrs['what']} of {attrs['of']}"

    def body(self, s: Any, *xs: Any, **attrs: Any) -> Any:
        return xs[0]

    def samples(self) -> Sequence[Sample]:
        return [Sample(lambda rng: [rng.standard_normal((2, 3))], {"of": "gamma", "what": "a"}, False)]

