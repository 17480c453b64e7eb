"""Keras's ``HashedCrossing`` of words with numbers: an array of words is no tensor here, and Keras takes tensors with tensors."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from keras.src.utils import tf_utils

from leptonc.keras.src.ops.tensors import NO_NUMBERS


def with_words(layer: Any) -> None:
    """Change the class in place, for it is saved and loaded by name: where some inputs are words, all become TensorFlow's tensors,
    which it makes of them anyway."""
    called = layer.__call__

    @functools.wraps(called)
    def call(self: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(inputs, list | tuple) and any(isinstance(x, np.ndarray) and x.dtype.kind in NO_NUMBERS for x in inputs):
            inputs = [tf_utils.ensure_tensor(x) for x in inputs]
        return called(self, inputs, *args, **kwargs)

    layer.__call__ = call
