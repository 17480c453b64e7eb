"""Values that must be known while tracing."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc import errors
from tests.peers.onnx.registry import NotImportedError


def known(x: Any) -> np.ndarray:
    """x as an array. Raises NotImportedError for one that depends on arguments."""
    if isinstance(x, np.ndarray | np.generic):
        return np.asarray(x)
    try:
        return np.asarray(x)
    except errors.LeptonError:
        raise NotImportedError("a shape that depends on data") from None


def integers(x: Any) -> list[int]:
    return [int(n) for n in known(x).reshape(-1)]


def one(x: Any) -> int:
    return int(known(x).reshape(()))


__all__ = ["integers", "known", "one"]
