"""Questions about dtypes: limits, kinds, and what two become together."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.arguments import choice
from leptonc.bfloat16 import is_bfloat16, is_low, kind_of
from leptonc.errors import ArgumentError, DtypeError, op_error
from leptonc.promotion import PYTHON_SCALARS, asarray, numpy_dtype
from leptonc.promotion import result_dtype as _result
from leptonc.trace import Tracer

KINDS = {"bool": "b", "signed integer": "i", "unsigned integer": "u", "integral": "iu", "real floating": "f",
         "complex floating": "c", "numeric": "iufc"}


def _dtype_of(x: Any) -> Any:
    """A dtype, or a number or an array, whose dtype counts."""
    if isinstance(x, Tracer | np.ndarray) or type(x) in PYTHON_SCALARS:
        return x
    return np.empty(0, numpy_dtype(x)) if not hasattr(x, "dtype") or isinstance(x, type | np.dtype) else x


def result_type(*args: Any) -> np.dtype:
    """The dtype that arrays, dtypes and Python numbers make together. Raises ArgumentError for none."""
    if not args:
        raise op_error("result_type", "needs at least one array or dtype", {}, kind=ArgumentError)
    found = [_dtype_of(x) for x in args]
    if all(type(x) in PYTHON_SCALARS for x in found):
        return asarray(found[0] if len(found) == 1 else sum(found)).dtype
    return _result(found)


def promote_types(a: Any, b: Any) -> np.dtype:
    """The dtype of least rank that two are promoted to."""
    return _result([np.empty(0, numpy_dtype(t, "promote_types")) for t in (a, b)])


def can_cast(from_: Any, to: Any, casting: str = "safe") -> bool:
    """Whether a dtype, or that of an array, fits another without loss (or as NumPy's ``casting`` says)."""
    if type(from_) in PYTHON_SCALARS:
        raise op_error("can_cast", "takes arrays and dtypes, not Python numbers", {"from_": repr(from_)}, kind=DtypeError)
    source = numpy_dtype(from_.dtype if isinstance(from_, Tracer | np.ndarray) else from_, "can_cast")
    target = numpy_dtype(to, "can_cast")
    choice("can_cast", "casting", casting, ("no", "equiv", "safe", "same_kind", "unsafe"))
    if is_bfloat16(source) or is_bfloat16(target):
        return source == target or casting == "unsafe" or (promote_types(source, target) == target)
    return bool(np.can_cast(source, target, casting))  # type: ignore[arg-type]


def _any_dtype(name: str, dtype: Any) -> np.dtype:
    """Any of NumPy's, those that leptonc does not compute with included."""
    try:
        if isinstance(dtype, np.ndarray | Tracer):
            raise TypeError("an array is no dtype")
        return numpy_dtype(dtype, name) if isinstance(dtype, str) else np.dtype(dtype)
    except (TypeError, ValueError):
        raise op_error(name, f"{dtype!r:.40} is no dtype", {}, kind=DtypeError) from None


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is another, of a kind ("bool", "signed integer", "unsigned integer", "integral", "real floating", "complex
    floating", "numeric"), or of one of several."""
    found = _any_dtype("isdtype", dtype)
    if isinstance(kind, tuple):
        return any(isdtype(found, k) for k in kind)
    if isinstance(kind, str) and kind in KINDS:
        return kind_of(found) in KINDS[kind]
    if isinstance(kind, str):
        raise op_error("isdtype", f"kind={kind!r} must be a dtype or one of {', '.join(map(repr, KINDS))}", {}, kind=ArgumentError)
    return bool(found == _any_dtype("isdtype", kind))


def issubdtype(arg1: Any, arg2: Any) -> bool:
    """Whether a dtype is below another in NumPy's order of types; those of ml_dtypes are floats there."""
    first = arg1 if isinstance(arg1, type) else _any_dtype("issubdtype", arg1)
    arg2 = arg2 if isinstance(arg2, type) else _any_dtype("issubdtype", arg2)
    if isinstance(first, np.dtype) and is_low(first):
        return arg2 in (np.floating, np.inexact, np.number, np.generic) or (not isinstance(arg2, type) and first == arg2)
    try:
        return bool(np.issubdtype(first, arg2))
    except (TypeError, ValueError):
        raise op_error("issubdtype", "takes dtypes", {"arg1": repr(arg1)[:40], "arg2": repr(arg2)[:40]}, kind=DtypeError) from None


def finfo(dtype: Any) -> Any:
    """The limits of a float dtype, of the parts of a complex one, or of an array's: NumPy's, or those of ml_dtypes."""
    found = dtype.dtype if isinstance(dtype, Tracer | np.ndarray) else numpy_dtype(dtype, "finfo")
    if kind_of(found) not in "fc":
        raise op_error("finfo", f"takes float dtypes, got {found}", {}, kind=DtypeError)
    return _limits_of_low(found) if is_low(found) else np.finfo(found)


def _limits_of_low(dtype: np.dtype) -> Any:
    """By the package that the dtype comes from."""
    import importlib

    return importlib.import_module(dtype.type.__module__).finfo(dtype)


def iinfo(dtype: Any) -> np.iinfo:
    """The limits of an int dtype, or of an array's."""
    found = dtype.dtype if isinstance(dtype, Tracer | np.ndarray) else numpy_dtype(dtype, "iinfo")
    if found.kind not in "iu":
        raise op_error("iinfo", f"takes int dtypes, got {found}", {}, kind=DtypeError)
    return np.iinfo(found)
