"""Data as a step takes it: arrays of the dtypes that leptonc has, those of 64 bits in 32."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras.src import tree

from leptonc.keras.src.ops.tensors import LOW, SUPPORTED

NARROWER = {"float64": "float32", "int64": "int32", "uint64": "uint32"}
READY = frozenset(np.dtype(name) for name in SUPPORTED if name not in NARROWER and name not in LOW
                  and not name.startswith("complex"))


def as_batch(data: Any) -> Any:
    """A batch as a step takes it: tuples of arrays in dtypes that leptonc has, those of 64 bits as 32."""
    if type(data) is tuple and all(type(x) is np.ndarray and x.dtype in READY and x.size for x in data):
        return data
    return tree.map_structure(as_array, tree.lists_to_tuples(data), none_is_leaf=False)


def as_array(x: Any) -> np.ndarray:
    """Raises ValueError for what is no number, for integers beyond 32 bits, and for no samples."""
    array = np.asarray(x)
    if array.shape[:1] == (0,):
        raise ValueError(f"a batch has no samples: an array of shape {array.shape}")
    if array.dtype in READY:
        return array
    name = array.dtype.name
    wanted = NARROWER.get(name)
    if wanted is None:
        if name not in SUPPORTED or array.dtype.kind == "c":
            raise ValueError(f"data of dtype {array.dtype} can't be trained on; fix: an array of numbers")
        return array
    if array.dtype.kind in "iu" and name in NARROWER and array.size:
        limits = np.iinfo(wanted)
        if array.min() < limits.min or array.max() > limits.max:
            raise ValueError(f"integers of 64 bits become {wanted}, and the data has {array.min()} to {array.max()}; fix: smaller "
                             "numbers, such as indices into a table")
    return array.astype(wanted)
