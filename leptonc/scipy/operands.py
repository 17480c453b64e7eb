"""How functions of special functions and distributions take their operands: floats of one dtype and one shape."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from leptonc.numpy.elementwise import real_floats
from leptonc.trace import cast


def real_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: a formula of real numbers, in the dtype of its operands, of which some may have defaults."""
    return _with_operands(function, None)


def wide_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: a formula of real numbers that is computed in f64, and its results rounded to the operands' dtype once."""
    return _with_operands(function, np.dtype(np.float64))


def _with_operands(function: Callable[..., Any], kind: np.dtype | None) -> Callable[..., Any]:
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        operands = real_floats(function.__name__, **bound.arguments)
        with np.errstate(all="ignore"):  # outside of jit NumPy computes, and says what it meets
            if kind is None or operands[0].dtype == kind:
                return function(*operands)
            out = function(*(cast(x, kind) for x in operands))
        target = operands[0].dtype
        return tuple(cast(x, target) for x in out) if isinstance(out, tuple) else cast(out, target)

    return call
