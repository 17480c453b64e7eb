"""A pytest plugin for the array API suite: where it takes the greatest complex dtype, of which leptonc has none, f64 stands in."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

_max = builtins.max


def _or_nothing(*args: Any, **settings: Any) -> Any:
    if len(args) == 1 and args[0] == []:
        return np.float64, 64
    return _max(*args, **settings)


builtins.max = _or_nothing
try:
    import array_api_tests.dtype_helpers
finally:
    builtins.max = _max

__all__ = ["array_api_tests"]
