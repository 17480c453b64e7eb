"""Questions about arrays: nearness, equality, extents, kinds."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.arguments import array, flag
from leptonc.arguments import axis as axis_of
from leptonc.arithmetic import (
    absolute,
    add,
    bitwise_and,
    bitwise_or,
    equal,
    less_equal,
    multiply,
    named_operands,
    not_equal,
    subtract,
)
from leptonc.bfloat16 import kind_of
from leptonc.numpy.elementwise import as_float, isfinite, where
from leptonc.numpy.reductions import all as _all
from leptonc.trace import Tracer, align


@named_operands
def isclose(x: Any, y: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    """Whether |x - y| <= atol + rtol |y|; equal numbers are close, infinities too, NaN only to NaN with ``equal_nan``."""
    a, b = align("isclose", x, y)
    if kind_of(a.dtype) not in "fc":
        a, b = as_float(a), as_float(b)
    finite = bitwise_and(isfinite(a), isfinite(b))
    gap = absolute(subtract(where(finite, a, 0), where(finite, b, 0)))
    near = less_equal(gap, add(atol, multiply(rtol, absolute(where(finite, b, 0)))))
    found = bitwise_or(bitwise_and(finite, near), equal(a, b))  # equal numbers are close by any tolerance
    return bitwise_or(found, bitwise_and(not_equal(a, a), not_equal(b, b))) if flag("isclose", "equal_nan", equal_nan) else found


def allclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    """Whether all elements are close, as a bool array of no axes."""
    return _all(isclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan))


def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    """Whether shapes and all elements are equal, as a bool array of no axes."""
    x, y = array("array_equal", "a1", a1), array("array_equal", "a2", a2)
    if x.shape != y.shape:
        return np.bool_(False)
    same = equal(x, y)
    if flag("array_equal", "equal_nan", equal_nan) and {"f", "c"} & {kind_of(x.dtype), kind_of(y.dtype)}:
        same = bitwise_or(same, bitwise_and(not_equal(x, x), not_equal(y, y)))
    return _all(same)


def array_equiv(a1: Any, a2: Any) -> Any:
    """Whether arrays are equal once broadcast, as a bool array of no axes."""
    x, y = array("array_equiv", "a1", a1), array("array_equiv", "a2", a2)
    try:
        np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        return np.bool_(False)
    return _all(equal(x, y))


def shape(a: Any) -> tuple[int, ...]:
    """The extents."""
    found: tuple[int, ...] = array("shape", "a", a).shape
    return found


def ndim(a: Any) -> int:
    """How many axes."""
    return len(array("ndim", "a", a).shape)


def size(a: Any, axis: int | None = None) -> int:
    """How many elements, or the extent of an axis."""
    operand = array("size", "a", a)
    return int(np.prod(operand.shape, dtype=np.int64)) if axis is None else int(operand.shape[axis_of("size", operand, axis)])


def isscalar(element: Any) -> bool:
    """Whether it is a number, a traced Python number among them, or an array of no axes."""
    return bool(np.isscalar(element)) or (isinstance(element, Tracer | np.ndarray) and element.shape == ())


def iterable(y: Any) -> bool:
    """Whether it can be iterated over."""
    return bool(np.iterable(y)) and not (isinstance(y, Tracer) and not y.shape)


def iscomplexobj(x: Any) -> bool:
    """Whether its dtype is complex."""
    return array("iscomplexobj", "x", x).dtype.kind == "c"


def isrealobj(x: Any) -> bool:
    """Whether its dtype is real."""
    return not iscomplexobj(x)
