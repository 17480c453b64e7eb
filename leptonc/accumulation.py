"""``preferred_element_type``: the dtype that products are added up in, and given."""

from __future__ import annotations

from typing import Any

from leptonc.errors import DtypeError, op_error
from leptonc.ir.types import dtype_of
from leptonc.promotion import numpy_dtype
from leptonc.trace import cast


def preferring(name: str, preferred: Any, *operands: Any) -> tuple[Any, ...]:
    """Operands of one dtype in ``preferred``, so that their products are; None: as they are.

    What is read, and multiplied, are the narrower numbers: the casts become part of the product. Raises DtypeError, as JAX does,
    for a narrower dtype, or one of another kind than the operands' (integers may become floats).
    """
    if preferred is None:
        return operands
    given, wanted = dtype_of(operands[0].dtype), dtype_of(numpy_dtype(preferred))
    kinds = {"f": "f", "i": "if", "u": "iuf"}.get(given.kind, "")
    if wanted == given:
        return operands
    if wanted.kind not in kinds or wanted.bits < given.bits:
        raise op_error(name, f"preferred_element_type={wanted} must be a dtype of the operands' kind and no narrower than {given}",
                       {f"x{n}": x for n, x in enumerate(operands)}, kind=DtypeError)
    return tuple(cast(x, wanted.numpy) for x in operands)
