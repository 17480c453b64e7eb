"""leptonc.numpy with every function compiled: the arrays among a call's arguments are traced, all else is known."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

import leptonc
from leptonc import numpy as lnp

KNOWN = frozenset({
    "result_type", "can_cast", "isdtype", "finfo", "iinfo", "promote_types", "broadcast_shapes", "meshgrid", "arange", "linspace",
    "zeros", "ones", "empty", "eye", "full", "asarray", "from_dlpack", "nonzero", "unique_all", "unique_counts", "unique_inverse",
    "unique_values", "issubdtype", "shape", "size", "ndim", "trim_zeros", "repeat",
})  # no arrays go in, or the shape of what comes out depends on elements


def _take_out(value: Any, arrays: list[np.ndarray]) -> Callable[[tuple[Any, ...]], Any]:
    """Put the arrays in ``value`` behind ``arrays``; gives what builds it again from traced ones."""
    if isinstance(value, np.ndarray):
        arrays.append(value)
        place = len(arrays) - 1
        return lambda traced: traced[place]
    if type(value) in (list, tuple):
        parts = [_take_out(item, arrays) for item in value]
        return lambda traced: type(value)(part(traced) for part in parts)
    return lambda traced: value


def _jitted(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        arrays: list[np.ndarray] = []
        positional = [_take_out(value, arrays) for value in args]
        named = {key: _take_out(value, arrays) for key, value in kwargs.items()}
        if not arrays:
            return function(*args, **kwargs)

        def traced(*values: Any) -> Any:
            return function(*(part(values) for part in positional), **{key: part(values) for key, part in named.items()})

        return leptonc.jit(traced)(*arrays)

    return call


def _compiled(name: str, value: Any) -> Any:
    if isinstance(value, ModuleType):
        return _namespace(value)
    return _jitted(value) if isinstance(value, FunctionType) and name not in KNOWN and not name.startswith("__") else value


def _namespace(source: ModuleType) -> ModuleType:
    out = ModuleType(f"{source.__name__}_jitted")
    for name in source.__all__:
        setattr(out, name, _compiled(name, getattr(source, name)))
    return out


def __getattr__(name: str) -> Any:
    return getattr(lnp, name)


for _name, _value in vars(_namespace(lnp)).items():
    if not _name.startswith("__"):
        setattr(sys.modules[__name__], _name, _value)
