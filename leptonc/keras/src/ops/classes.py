"""Class numbers as vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc import nn
from leptonc import numpy as lnp
from leptonc.keras.src.ops.tensors import convert_to_tensor, dtype_name

__all__ = ["multi_hot", "one_hot"]


def one_hot(x: Any, num_classes: int | None, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Any:
    """1 at each class along a new axis; all 0 for a number that is no class. Raises ValueError for ``sparse``.

    Without ``num_classes``, which labels that are traced need, as many as the labels show.
    """
    if sparse:
        raise ValueError("sparse=True is not supported by the leptonc backend")
    labels = convert_to_tensor(x)
    if labels.dtype.kind not in "iu":
        labels = lnp.astype(labels, "int32")
    if not num_classes and isinstance(labels, np.ndarray):
        num_classes = int(labels.max(initial=-1)) + 1
    vectors = nn.one_hot(labels, num_classes, dtype_name(dtype or "float32"))
    return vectors if axis == -1 else lnp.moveaxis(vectors, -1, axis)


def multi_hot(x: Any, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Any:
    """The union of the one-hot vectors along the axis behind the batch, or along the only one."""
    labels = convert_to_tensor(x)
    return lnp.max(one_hot(labels, num_classes, axis, dtype, sparse), axis=min(len(labels.shape) - 1, 1))
