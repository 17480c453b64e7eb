"""Parts, conjugates and angles of complex numbers; reals have an imaginary part of 0."""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np

from leptonc.arguments import array, flag, known_array, number
from leptonc.arithmetic import equal, invert, multiply, named_operands
from leptonc.errors import DtypeError, op_error
from leptonc.ir.types import dtype_of
from leptonc.promotion import float_of_ints
from leptonc.trace import align, as_seen, bind, broadcast, cast, current_trace, promote


def real(x: Any) -> Any:
    """The real parts; of reals themselves."""
    operand = array("real", "x", x)
    return bind("real", operand) if operand.dtype.kind == "c" else as_seen(operand)


def imag(x: Any) -> Any:
    """The imaginary parts; of reals zeros."""
    operand = array("imag", "x", x)
    return bind("imag", operand) if operand.dtype.kind == "c" else _full_like(operand, 0)


def _full_like(x: Any, value: Any, dtype: Any = None) -> Any:
    trace, one = current_trace(x), np.asarray(value, x.dtype if dtype is None else dtype)
    return broadcast(one if trace is None else trace.lift(one), x.shape)


def conj(x: Any) -> Any:
    """The conjugates; of reals themselves."""
    operand = array("conj", "x", x)
    return bind("conj", operand) if operand.dtype.kind == "c" else as_seen(operand)


conjugate = conj


def angle(z: Any, deg: bool = False) -> Any:
    """The angles of complex numbers in [-pi, pi], or in degrees; of reals 0, or pi where their sign is set."""
    (operand,) = promote(array("angle", "z", z))
    if operand.dtype.kind in "biu":
        operand = cast(operand, float_of_ints())
    found = bind("atan2", imag(operand), real(operand))
    return multiply(found, 180 / pi) if flag("angle", "deg", deg) else found


def isreal(x: Any) -> Any:
    """Whether each imaginary part is 0."""
    operand = array("isreal", "x", x)
    return equal(bind("imag", operand), 0) if operand.dtype.kind == "c" else _full_like(operand, True, np.bool_)


def iscomplex(x: Any) -> Any:
    """Whether each imaginary part is not 0."""
    return invert(isreal(array("iscomplex", "x", x)))


def real_if_close(a: Any, tol: float = 100) -> Any:
    """The real parts where all imaginary ones are below ``tol`` epsilons, else as it is; the elements must be known."""
    found = known_array("real_if_close", "a", a, "biufc")
    return as_seen(np.real_if_close(found, number("real_if_close", "tol", tol)))


@named_operands
def complex_(x: Any, y: Any) -> Any:
    """x + i y of floats. Raises DtypeError for others."""
    a, b = align("complex", x, y)
    if not dtype_of(a.dtype).complex.is_complex or a.dtype.kind == "c":
        raise op_error("complex", "takes f32 or f64", {"x": x, "y": y}, kind=DtypeError)
    return bind("complex", a, b)


def as_complex(x: Any) -> Any:
    """x as complex numbers: f64 as c128, other floats as c64, ints and bools as ``float_of_ints`` says."""
    (operand,) = promote(x)
    if operand.dtype.kind == "c":
        return operand
    reals = float_of_ints() if operand.dtype.kind in "biu" else operand.dtype
    return cast(operand, np.complex128 if reals == np.float64 else np.complex64)
