"""Concrete values as arrays, and promotion among the dtypes leptonc has: NumPy's (NEP 50; of bfloat16 and floats of 8 bits,
JAX's), or JAX's.

A Python bool, int, float or complex is weak: beside an array it takes the array's dtype unless its kind is higher
(``f32 * 2.0`` is f32, ``bool + 1`` is i64; ``i32 * 2.0`` is f64, with JAX's promotion the default float dtype). A traced Python
scalar is as weak as the scalar, and with JAX's promotion so is what is made of a weak number of a higher kind than the array.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np

from leptonc import config
from leptonc.bfloat16 import FORMATS, bfloat16, is_bfloat16, is_float8, is_low, kind_of, low_float
from leptonc.errors import DtypeError, LeptonError, describe
from leptonc.ir.types import DTYPES, LOW, DType, dtype_of
from leptonc.lattice import WEAK, join

SUPPORTED = frozenset(t.numpy for t in DTYPES.values() if t.name not in LOW)  # beside them those of ml_dtypes
PYTHON_SCALARS = (bool, int, float, complex)
_SCALAR_OF_KIND: dict[str, Any] = {"b": False, "u": 0, "i": 0, "f": 0.0, "c": 0j}


def asarray(x: Any, what: str = "value", dtype: Any = None) -> np.ndarray:
    """``x`` as an ndarray of a supported dtype and native byte order; Python floats are f64, ints i64, as NumPy has it,
    unless there is another default dtype.

    Not a copy where none is needed. Raises DtypeError naming ``what`` for anything without a supported dtype: dates,
    objects, strings, ints beyond 64 bits, ragged lists; and for a Python number that ``dtype`` cannot hold.
    """
    if type(x) is np.ndarray and dtype is None and x.dtype in SUPPORTED:
        return x
    if dtype is None and type(x) in (float, complex, list, tuple):
        dtype = _default_of(x)
    if _is_masked(x):
        raise DtypeError(f"{what} is a masked array, and leptonc has no masks; fix: x.filled(value), and the mask as an "
                         "array of its own")
    try:
        target = None if dtype is None else numpy_dtype(dtype)
        # NumPy checks the range of a Python int only if told the dtype at once; astype would wrap.
        array = np.asarray(x, target if type(x) is int else None)
    except LeptonError:  # of a traced value within a list
        raise
    except (ValueError, OverflowError, TypeError, RuntimeError) as error:  # whatever an __array__ of other libraries raises
        raise DtypeError(f"{what} {describe(x)} is no array of a supported dtype: {str(error).splitlines()[0]}") from None
    native = numpy_dtype(array.dtype, what if isinstance(x, np.ndarray) else f"{what} {describe(x)}")
    return array.astype(native if target is None else target, copy=False)


def _default_of(x: Any) -> np.dtype | None:
    """The default dtype for floats or complex numbers of Python's, one or a list of them; None for anything else, which knows its
    own, and where NumPy's own rule is as good."""
    if config.dtype_settings().default_float == "float64":
        return None
    kinds = set(_kinds_in(x))
    if not kinds <= {bool, int, float, complex} or not kinds & {float, complex}:
        return None
    return default_complex() if complex in kinds else default_float()


def _kinds_in(x: Any) -> Iterable[type]:
    if not isinstance(x, list | tuple):
        return (type(x),)
    return itertools.chain.from_iterable(map(_kinds_in, x))


def _is_masked(x: Any) -> bool:
    """Whether x is one of ``numpy.ma``, which NumPy loads when it is first used."""
    masked = sys.modules.get("numpy.ma")
    return masked is not None and isinstance(x, masked.MaskedArray)


def numpy_dtype(dtype: Any, what: str = "") -> np.dtype:
    """The native NumPy dtype for a DType, its name, or what ``np.dtype`` takes. Raises DtypeError if unsupported."""
    if isinstance(dtype, DType):
        return dtype.numpy
    if isinstance(dtype, np.dtype) and dtype.isnative and is_supported(dtype):
        return dtype_of(dtype).numpy  # the one object that NumPy uses itself
    if isinstance(dtype, str) and dtype in DTYPES:
        return DTYPES[dtype].numpy
    if isinstance(dtype, str) and dtype in FORMATS:
        return low_float(dtype)
    try:
        is_array = hasattr(dtype, "dtype") and not isinstance(dtype, type)  # NumPy would take a traced one's own
        found = None if dtype is None or is_array else np.dtype(dtype).newbyteorder("=")
    except (TypeError, ValueError):  # NumPy's, for text it cannot read, and for byte order of what has none
        found = None
    if found is None or not is_supported(found):
        prefix = f"{what}: " if what else ""
        shown = (repr(dtype) if isinstance(dtype, str) else describe(dtype)) if found is None else found
        raise DtypeError(f"{prefix}dtype {shown} is not supported; fix: cast to one of {', '.join(DTYPES)}")
    return dtype_of(found).numpy  # the one object that NumPy uses itself


def attribute_of(x: Any) -> Any:
    """One known number as an attribute of an op: a complex one as its two parts."""
    found = np.asarray(x).item()
    return (found.real, found.imag) if isinstance(found, complex) else found


def is_supported(dtype: np.dtype) -> bool:
    """Whether leptonc has code for a NumPy dtype of native byte order."""
    return dtype in SUPPORTED or is_low(dtype)


def is_weak(x: Any) -> bool:
    """Whether ``x`` is a Python scalar, traced or not."""
    return type(x) in PYTHON_SCALARS or getattr(x, "weak", False) is True


def default_float() -> np.dtype:
    """The float dtype of what is created without one, and of Python's floats alone."""
    return numpy_dtype(config.dtype_settings().default_float)


def default_complex() -> np.dtype:
    """The complex dtype beside it."""
    return np.dtype(config.dtype_settings().default_complex)


def default_of_kind(dtype: np.dtype) -> np.dtype:
    """The default dtype of a float's or a complex number's kind."""
    return default_complex() if dtype.kind == "c" else default_float()


def float_of_ints() -> np.dtype:
    """What functions of floats make of ints and bools: f64 as in NumPy; with JAX's promotion the default float dtype."""
    return default_float() if config.dtype_settings().is_jax else np.dtype(np.float64)


def result_dtype(operands: Iterable[Any]) -> np.dtype:
    """The dtype to compute in for these arrays, tracers and Python scalars. Raises DtypeError if unsupported."""
    return promoted(operands)[0]


def promoted(operands: Iterable[Any]) -> tuple[np.dtype, bool]:
    """The dtype to compute in, and whether JAX's promotion has it weak. Raises DtypeError if unsupported."""
    given = [_promotable(x) for x in operands]
    settings = config.dtype_settings()
    if settings.is_jax:
        return _by_lattice(given)
    if settings.default_dtype and not any(isinstance(x, np.dtype) for x in given):
        return _of_numbers(given), False
    if any(isinstance(x, np.dtype) and is_float8(x) for x in given):
        return _by_lattice(given)
    if any(isinstance(x, np.dtype) and is_bfloat16(x) for x in given):
        return _beside_bfloat16(given), False
    return numpy_dtype(np.result_type(*given), "promotion"), False


def _by_lattice(given: list[Any]) -> tuple[np.dtype, bool]:
    node = join(dtype_of(x).name if isinstance(x, np.dtype) else type(x).__name__ for x in given)
    if node not in WEAK:
        return DTYPES[node].numpy, False
    return {"int": np.dtype(np.int64), "float": default_float(), "complex": default_complex()}[node], True


def _of_numbers(given: list[Any]) -> np.dtype:
    """Python's numbers alone."""
    found = np.result_type(*given)
    return {"f": default_float, "c": default_complex}.get(found.kind, lambda: found)()


def _beside_bfloat16(given: list[Any]) -> np.dtype:
    """NumPy knows nothing of it, so as JAX: ints, bools and Python numbers take it on, other floats meet it in f32 or their own."""
    floats = {x for x in given if isinstance(x, np.dtype) and x.kind in "fc"} | {x for x in given if isinstance(x, complex)}
    return np.result_type(np.float32, *floats) if floats else bfloat16()


def _promotable(x: Any) -> Any:
    """A dtype, or for a weak operand the Python scalar that ``np.result_type`` treats alike."""
    if type(x) in PYTHON_SCALARS:
        # Its value takes no part in promotion (NEP 50), and a large int would not be accepted.
        return type(x)(0)
    dtype = getattr(x, "dtype", None)
    if dtype is None:
        return asarray(x, "operand").dtype
    return _SCALAR_OF_KIND[kind_of(dtype)] if is_weak(x) else numpy_dtype(dtype, describe(x))
