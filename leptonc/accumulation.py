"""``preferred_element_type``: the dtype that products are added up in, and given; and ``precision``, which changes nothing."""

from __future__ import annotations

from enum import Enum
from typing import Any

from leptonc.bfloat16 import is_float8
from leptonc.errors import ArgumentError, DtypeError, op_error
from leptonc.ir.types import dtype_of
from leptonc.promotion import numpy_dtype
from leptonc.trace import cast, promote


def preferring(name: str, preferred: Any, *operands: Any) -> tuple[Any, ...]:
    """Operands of one dtype in ``preferred``, so that their products are; None: as they are.

    What is read, and multiplied, are the narrower numbers: the casts become part of the product. Raises DtypeError, as JAX does,
    for a narrower dtype, or one of another kind than the operands' (integers may become floats).
    """
    if preferred is None:
        return operands
    given, wanted = dtype_of(operands[0].dtype), dtype_of(numpy_dtype(preferred))
    kinds = {"f": "f", "i": "if", "u": "iuf", "c": "c"}.get(given.kind, "")
    if wanted == given:
        return operands
    if wanted.kind not in kinds or wanted.bits < given.bits:
        raise op_error(name, f"preferred_element_type={wanted} must be a dtype of the operands' kind and no narrower than {given}",
                       {f"x{n}": x for n, x in enumerate(operands)}, kind=DtypeError)
    return tuple(cast(x, wanted.numpy) for x in operands)


class Precision(Enum):
    """How exactly products are computed: here always in full, as the operands' dtypes say, whatever is chosen."""

    DEFAULT = 0
    HIGH = 1
    HIGHEST = 2


PrecisionLike = None | str | Precision | tuple[str, str] | tuple[Precision, Precision]
_WORDS = {"default", "high", "highest", "bfloat16", "bfloat16_3x", "tensorfloat32", "float32", "fastest"}


def checked_precision(name: str, precision: Any) -> None:
    """Raises ArgumentError for what JAX would not take as a precision, of both operands or of each."""
    for entry in precision if isinstance(precision, tuple | list) else (precision,):
        known = entry is None or (isinstance(entry, str) and entry.lower() in _WORDS) or getattr(entry, "name", "") in _NAMES
        if not known:
            raise op_error(name, f"precision={entry!r:.40} must be None, leptonc.lax.Precision, or one of "
                           f"{', '.join(sorted(_WORDS))}", {}, kind=ArgumentError)


_NAMES = tuple(Precision.__members__)  # of JAX's own Precision, too


def wide_enough(name: str, x: Any, y: Any, preferred: Any) -> tuple[Any, Any]:
    """Operands of a product in one dtype, which holds sums of the preferred one: floats of 8 bits of two formats in that itself."""
    if preferred is not None and is_float8(x.dtype) and is_float8(y.dtype):
        return preferring(name, preferred, x)[0], preferring(name, preferred, y)[0]
    a, b = preferring(name, preferred, *promote(x, y))
    return a, b
