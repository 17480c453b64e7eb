"""Class numbers as vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc import nn
from leptonc import numpy as lnp
from leptonc.keras.src.ops.tensors import convert_to_tensor, dtype_name
from leptonc.trace import Tracer

__all__ = ["multi_hot", "one_hot"]


def one_hot(x: Any, num_classes: int | None, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Any:
    """1 at each class along a new axis; all 0 for a number that is no class. Raises ValueError for ``sparse``."""
    if sparse:
        raise ValueError("sparse=True is not supported by the leptonc backend")
    labels = convert_to_tensor(x)
    if labels.dtype.kind not in "iu":
        labels = lnp.astype(labels, "int32")
    vectors = nn.one_hot(labels, _class_count(labels) if num_classes is None else num_classes, dtype_name(dtype or "float32"))
    return vectors if axis == -1 else lnp.moveaxis(vectors, -1, axis)


def _class_count(labels: Any) -> int:
    """One more than the greatest number, which must be known."""
    if isinstance(labels, Tracer) or not labels.size:
        raise ValueError("one_hot: num_classes is needed where the labels are traced, or there are none")
    return int(np.max(labels)) + 1


def multi_hot(x: Any, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Any:
    """The union of the one-hot vectors along the axis behind the batch, or along the only one."""
    labels = convert_to_tensor(x)
    return lnp.max(one_hot(labels, num_classes, axis, dtype, sparse), axis=min(len(labels.shape) - 1, 1))
