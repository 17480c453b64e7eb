"""Inverse trigonometric and hyperbolic functions, roots and powers of two."""

from __future__ import annotations

from collections.abc import Sequence
from math import log, nan
from typing import Any

import numpy as np

from leptonc.ir.op import Sample, get_op, register
from leptonc.ir.types import f64
from leptonc.ir.value import Value
from leptonc.ops import pairs
from leptonc.ops.binary import Binary
from leptonc.ops.doubles import Doubles, signed
from leptonc.ops.elementwise import FLOATS, INEXACT, Smooth, compare, numeric_samples, select, zeros

LARGE = 2.0**28  # x^2 + 1 is x^2 in f64 from here on


def _cosine(s: Any, x: Any) -> Any:
    """sqrt(1 - x^2), without cancellation."""
    return s.sqrt(s.mul(s.sub(1, x), s.add(1, x)))


def _reciprocal_root(x: Value) -> Value:
    return get_op("rsqrt")(x)


def _rsqrt_of_rest(x: Value) -> Value:
    """1 / sqrt(1 - x^2)."""
    return _reciprocal_root((1 - x) * (1 + x))


def _inside(x: np.ndarray) -> np.ndarray:
    return np.asarray(0.9 * np.tanh(x))


@register
class asin(Doubles):
    """In [-pi/2, pi/2]; NaN beyond [-1, 1]."""

    name, kinds, of_complex, of_pairs = "asin", INEXACT, np.arcsin, staticmethod(pairs.asin)

    def formula(self, s: Any, x: Any) -> Any:
        return s.atan2(x, _cosine(s, x))

    def slope(self, x: Value, y: Value) -> Value:
        return _rsqrt_of_rest(x)

    def domain(self, x: np.ndarray) -> np.ndarray:
        return _inside(x)


@register
class acos(Doubles):
    """In [0, pi]; NaN beyond [-1, 1]."""

    name, kinds, of_complex, of_pairs = "acos", INEXACT, np.arccos, staticmethod(pairs.acos)

    def formula(self, s: Any, x: Any) -> Any:
        return s.atan2(_cosine(s, x), x)

    def slope(self, x: Value, y: Value) -> Value:
        return -_rsqrt_of_rest(x)

    def domain(self, x: np.ndarray) -> np.ndarray:
        return _inside(x)


@register
class atan(Smooth):
    """In [-pi/2, pi/2]."""

    name, kinds, of_complex, of_pairs = "atan", INEXACT, np.arctan, staticmethod(pairs.atan)

    def body(self, s: Any, x: Any) -> Any:
        return s.atan2(x, s.const(1.0, s.dtype(x)))

    def slope(self, x: Value, y: Value) -> Value:
        return 1 / (1 + x * x)


@register
class asinh(Doubles):
    name, kinds, of_complex, of_pairs = "asinh", INEXACT, np.arcsinh, staticmethod(pairs.asinh)

    def formula(self, s: Any, x: Any) -> Any:
        a = s.abs(x)
        small = s.min(a, LARGE)
        square = s.mul(small, small)
        near = s.log1p(s.add(small, s.div(square, s.add(1, s.sqrt(s.add(1, square))))))
        return signed(s, x, s.select(s.gt(a, LARGE), s.add(s.log(a), log(2)), near))

    def slope(self, x: Value, y: Value) -> Value:
        """1 / sqrt(1 + x^2), whose square may overflow."""
        if x.dtype.is_complex:
            return _reciprocal_root(1 + x * x)
        return 1 / get_op("hypot")(x, x.builder.full(x.type, 1))


@register
class acosh(Doubles):
    """NaN below 1."""

    name, kinds, of_complex, of_pairs = "acosh", INEXACT, np.arccosh, staticmethod(pairs.acosh)

    def formula(self, s: Any, x: Any) -> Any:
        above = s.sub(s.min(x, LARGE), 1)
        near = s.log1p(s.add(above, s.sqrt(s.mul(above, s.add(above, 2)))))
        found = s.select(s.gt(x, LARGE), s.add(s.log(x), log(2)), near)
        return s.select(s.lt(x, 1), s.const(nan, f64), found)

    def slope(self, x: Value, y: Value) -> Value:
        return get_op("rsqrt")(x - 1) * get_op("rsqrt")(x + 1)

    def domain(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(1.2 + np.abs(x))


@register
class atanh(Doubles):
    """inf at 1; NaN beyond [-1, 1]."""

    name, kinds, of_complex, of_pairs = "atanh", INEXACT, np.arctanh, staticmethod(pairs.atanh)

    def formula(self, s: Any, x: Any) -> Any:
        a = s.abs(x)
        return signed(s, x, s.mul(0.5, s.log1p(s.div(s.add(a, a), s.sub(1, a)))))

    def slope(self, x: Value, y: Value) -> Value:
        return 1 / ((1 - x) * (1 + x))

    def domain(self, x: np.ndarray) -> np.ndarray:
        return _inside(x)


@register
class cbrt(Doubles):
    """The real cube root, of negative numbers too; its derivative at 0 is infinite."""

    name = "cbrt"

    def formula(self, s: Any, x: Any) -> Any:
        a = s.abs(x)
        first = s.pow(a, 1 / 3)
        step = s.div(s.sub(first, s.div(a, s.mul(first, first))), 3)  # of Newton's method
        known = s.select(s.eq(a, np.inf), a, s.sub(first, step))
        return signed(s, x, known)

    def slope(self, x: Value, y: Value) -> Value:
        return 1 / (3 * (y * y))

    def domain(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(x + np.copysign(0.4, x))


@register
class exp2(Smooth):
    """2 ** x; whole for whole x."""

    name, kinds, of_complex, of_pairs = "exp2", INEXACT, np.exp2, staticmethod(pairs.exp2)

    def body(self, s: Any, x: Any) -> Any:
        return s.pow(s.const(2.0, s.dtype(x)), x)

    def slope(self, x: Value, y: Value) -> Value:
        return y * log(2)


@register
class hypot(Binary):
    """sqrt(x^2 + y^2) without overflow; infinite where either is, even beside a NaN. The derivative at (0, 0) is 0."""

    name, kinds = "hypot", FLOATS

    def body(self, s: Any, x: Any, y: Any) -> Any:
        a, b = s.abs(x), s.abs(y)
        large, small = s.max(a, b), s.min(a, b)
        ratio = s.div(small, s.select(s.gt(large, 0), large, 1))
        usual = s.mul(large, s.sqrt(s.add(1, s.mul(ratio, ratio))))
        either = s.or_(s.eq(a, np.inf), s.eq(b, np.inf))
        return s.cast(s.select(either, s.const(np.inf, s.dtype(x)), usual), s.dtype(x))

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        zero = compare("eq", y, 0)
        length = select(zero, y.builder.full(y.type, 1), y)
        return tuple(select(zero, zeros(g), g * (x / length)) for x in operands)

    def samples(self) -> Sequence[Sample]:
        return numeric_samples(2, FLOATS, self.domain)

    def domain(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(x + np.copysign(0.3, x))
