"""Tensors: what they are made of, their dtypes, and Keras's rules of promotion.

Dtypes of 64 bits that nobody asked for become 32: in Python numbers and lists, and in arrays given without a dtype.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras.src import tree
from keras.src.backend.common import KerasVariable, standardize_dtype
from keras.src.backend.common.dtypes import FLOAT8_TYPES, result_type
from keras.src.backend.config import floatx

from leptonc import config
from leptonc import numpy as lnp
from leptonc.bfloat16 import kind_of
from leptonc.keras.src.missing import MissingOpError
from leptonc.promotion import SUPPORTED as PROMOTED
from leptonc.trace import Tracer

LOW = ("bfloat16", *FLOAT8_TYPES)  # of ml_dtypes
SUPPORTED = (*sorted(dtype.name for dtype in PROMOTED), *LOW)
NO_NUMBERS = "OSUMm"  # objects, bytes, text, dates: of layers that look up words
NARROWED = {"int64": "int32", "float64": "float32", "uint64": "uint32", "complex128": "complex64"}


def dtype_name(dtype: Any) -> str:
    """Keras's name of a dtype. Raises MissingOpError for one that leptonc has not."""
    name = str(standardize_dtype(dtype))
    if name not in SUPPORTED:
        raise MissingOpError(f"leptonc has no dtype {name} yet; it has {', '.join(SUPPORTED)}")
    return name


def is_tensor(x: Any) -> bool:
    return isinstance(x, Tracer) or (isinstance(x, np.ndarray | np.generic) and x.dtype.kind not in NO_NUMBERS)


def convert_to_tensor(x: Any, dtype: Any = None, sparse: bool | None = None, ragged: bool | None = None) -> Any:
    """``x`` (array, traced value, variable, number, nested lists of them) as an array or traced value.

    Raises ValueError for sparse and ragged ones, MissingOpError for a dtype that leptonc has not.
    """
    if sparse or ragged:
        raise ValueError(f"{'sparse' if sparse else 'ragged'} tensors are not supported by the leptonc backend")
    if isinstance(x, KerasVariable):
        x = x.value
    wanted = None if dtype is None else dtype_name(dtype)
    if isinstance(x, Tracer):
        return x if wanted in (None, x.dtype.name) else lnp.astype(x, wanted)
    if isinstance(x, np.ndarray | np.generic):
        return _converted(np.asarray(x) if isinstance(x, np.generic) else x, wanted)
    if _holds_tensors(x):
        return _stacked(x, wanted)
    return _of_python(x, wanted)


def _converted(x: np.ndarray, wanted: str | None) -> Any:
    name = x.dtype.name
    if x.dtype.kind in NO_NUMBERS:
        raise ValueError(f"an array of dtype {x.dtype} can't be a tensor; fix: an array of numbers")
    wanted = wanted or dtype_name(NARROWED.get(name, name))
    if name == wanted and x.dtype.isnative:
        return x
    return lnp.astype(x, wanted) if name in SUPPORTED else x.astype(wanted)


def _holds_tensors(x: Any) -> bool:
    return isinstance(x, list | tuple) and any(isinstance(leaf, Tracer | KerasVariable) for leaf in tree.flatten(x))


def _stacked(x: Any, wanted: str | None) -> Any:
    items = [convert_to_tensor(item, wanted) for item in x]
    common = wanted or dtype_name(result_type(*[item.dtype for item in items]))
    return lnp.stack([lnp.astype(item, common) for item in items])


def _of_python(x: Any, wanted: str | None) -> Any:
    array = np.asarray(x)
    if array.dtype.kind in NO_NUMBERS:
        raise ValueError(f"{x!r:.60} can't be a tensor; fix: numbers, or nested lists of one length each")
    if wanted is None and array.dtype.kind == "f" and not hasattr(x, "dtype"):
        wanted = floatx() if floatx() in SUPPORTED else "float32"
    return _converted(array, wanted)


def operand(x: Any) -> Any:
    """What an elementwise op takes: a tensor as it is, a Python number left as it is."""
    return x if isinstance(x, int | float | complex) and not isinstance(x, np.generic) else convert_to_tensor(x)


def weak_or_dtype(x: Any) -> Any:
    """What promotion goes by: the type of a Python number, which is weak, or a dtype's name."""
    if isinstance(x, bool | int | float | complex) and not isinstance(x, np.generic):
        return type(x)
    return x.dtype.name


def promoted(*xs: Any, also: Any = None) -> tuple[Any, ...]:
    """The operands as tensors of the dtype that Keras gives their result; ``also``: a dtype that takes part."""
    found = [operand(x) for x in xs]
    kinds = [weak_or_dtype(x) for x in found] + ([also] if also is not None else [])
    if "complex" in {getattr(k, "__name__", k)[:7] for k in kinds}:  # of which Keras's rules know nothing
        with config.override(promotion="jax"):
            common = dtype_name(lnp.result_type(*found).name)
    else:
        common = dtype_name(result_type(*kinds))
    return tuple(convert_to_tensor(x, common) for x in found)


def as_float(x: Any) -> Any:
    """A tensor of a float dtype: what functions such as exp work on."""
    x = convert_to_tensor(x)
    return x if kind_of(x.dtype) in "fc" else convert_to_tensor(x, dtype_name(result_type(x.dtype.name, float)))


def in_float32(x: Any) -> Any:
    """A tensor of 32 bits, or of 64 if it has them: for sums of many logarithms."""
    return convert_to_tensor(x, dtype_name(result_type(convert_to_tensor(x).dtype.name, "float32")))
