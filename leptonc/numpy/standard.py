"""What the array API asks of a namespace beside functions of arrays: versions, devices, capabilities, exchange."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from leptonc.arguments import flag, on_cpu, row_major
from leptonc.errors import ArgumentError, DtypeError, op_error
from leptonc.ir.types import MOST_DIMENSIONS
from leptonc.numpy.creation import asarray
from leptonc.numpy.dtypes import isdtype
from leptonc.promotion import default_complex, default_float
from leptonc.trace import Tracer

VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")
DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64",
          "complex64", "complex128")


class NamespaceInfo:
    """The array API's questions about ``leptonc.numpy``."""

    def capabilities(self) -> dict[str, Any]:
        """Masks and shapes that depend on data are for arrays whose elements are known: outside of compiled functions."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": MOST_DIMENSIONS}

    def default_device(self) -> str:
        return "cpu"

    def devices(self) -> list[str]:
        return ["cpu"]

    def default_dtypes(self, *, device: Any = None) -> dict[str, np.dtype]:
        """f64, c128 and i64, as NumPy, unless there is another default float dtype."""
        on_cpu("default_dtypes", device)
        return {"real floating": default_float(), "complex floating": default_complex(),
                "integral": np.dtype(np.int64), "indexing": np.dtype(np.int64)}

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, np.dtype]:
        """Those of the array API that there are, of a kind or of several."""
        on_cpu("dtypes", device)
        known = {name: np.dtype(name) for name in DTYPES}
        return known if kind is None else {name: dtype for name, dtype in known.items() if isdtype(dtype, kind)}


def __array_namespace_info__() -> NamespaceInfo:
    """What this namespace can do."""
    return NamespaceInfo()


def namespace(api_version: str | None = None) -> Any:
    """``leptonc.numpy``. Raises ArgumentError for an unknown version."""
    if api_version is not None and api_version not in VERSIONS:
        raise op_error("__array_namespace__", f"version {api_version!r} is none of {', '.join(VERSIONS)}", {}, kind=ArgumentError)
    return sys.modules["leptonc.numpy"]


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Any:
    """The array that an object of another library holds, by DLPack, without a copy where that is possible."""
    on_cpu("from_dlpack", device)
    copied = copy is not None and flag("from_dlpack", "copy", copy)
    if isinstance(x, Tracer):
        return x
    try:
        found = np.from_dlpack(x)
    except AttributeError:
        raise op_error("from_dlpack", "takes objects with a method __dlpack__", {"x": repr(x)[:40]}, kind=ArgumentError) from None
    except BufferError as error:
        raise op_error("from_dlpack", str(error), {"x": repr(x)[:40]}, kind=DtypeError) from None
    return asarray(found, copy=True if copied else None)


def copy(x: Any, order: str | None = None) -> Any:
    """A copy of an array, row-major (``order`` None, "K", "C" or "A"); a traced value as it is."""
    row_major("copy", order)
    return asarray(x, copy=True)
