"""Places by slices: grids, rows and columns written in brackets, masks of matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from leptonc.arguments import array, function, integer
from leptonc.errors import ArgumentError, op_error
from leptonc.numpy.arranging import atleast_1d
from leptonc.numpy.creation import ones
from leptonc.numpy.manipulation import concatenate, reshape
from leptonc.numpy.sets import nonzero
from leptonc.promotion import asarray
from leptonc.public import publish
from leptonc.trace import Tracer, known


class _Grid:
    """``mgrid[0:3, 0:1:5j]``: coordinates of a grid by slices that are known."""

    def __init__(self, numpys: Any, name: str):
        self._numpys, self.__name__ = numpys, name

    def __getitem__(self, key: Any) -> Any:
        keys = key if isinstance(key, tuple) else (key,)
        if not all(isinstance(k, slice) for k in keys):
            raise op_error(self.__name__, f"takes slices, such as {self.__name__}[0:3, 0:1:5j]", {}, kind=ArgumentError)
        found = self._numpys[key]
        return [known(x) for x in found] if isinstance(found, list | tuple) else known(found)

    def __repr__(self) -> str:
        return f"leptonc.numpy.{self.__name__}"


class _Joined:
    """``r_[1:4, 0, x]``: slices as ranges, numbers and arrays, one behind the other; ``columns``: as columns beside each other."""

    def __init__(self, numpys: Any, name: str, columns: bool):
        self._numpys, self._columns, self.__name__ = numpys, columns, name

    def __getitem__(self, key: Any) -> Any:
        keys = key if isinstance(key, tuple) else (key,)
        if not any(isinstance(k, Tracer) for k in keys):
            return known(asarray(self._numpys[key], self.__name__))
        if any(isinstance(k, str) for k in keys):
            raise op_error(self.__name__, "takes no directive in text beside traced values", {}, "concatenate them", ArgumentError)
        parts = [self._part(k) for k in keys]
        return concatenate(parts, -1 if self._columns else 0)

    def _part(self, key: Any) -> Any:
        found = atleast_1d(np.r_[key] if isinstance(key, slice) else array(self.__name__, "x", key))
        return reshape(found, (-1, 1)) if self._columns and len(found.shape) == 1 else found

    def __repr__(self) -> str:
        return f"leptonc.numpy.{self.__name__}"


mgrid, ogrid = _Grid(np.mgrid, "mgrid"), _Grid(np.ogrid, "ogrid")
r_, c_ = _Joined(np.r_, "r_", False), _Joined(np.c_, "c_", True)


def mask_indices(n: int, mask_func: Callable[..., Any], k: Any = 0, *, size: int | None = None) -> tuple[Any, Any]:
    """(rows, columns) of what ``mask_func``, such as ``triu``, leaves of a matrix [n, n] of ones; with ``size`` so many."""
    extent = integer("mask_indices", "n", n, least=0)
    rows, columns = nonzero(function("mask_indices", "mask_func", mask_func)(ones((extent, extent)), k), size=size)
    return rows, columns


__all__ = ["c_", "mask_indices", "mgrid", "ogrid", "r_"]

publish(globals(), __all__)
