"""What the peers share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from leptonc.bench.cases import Case

Step = Callable[[], "float | np.ndarray"]  # the loss, or what a forward pass gives, there when it returns


def magnitude(x: float | np.ndarray) -> float:
    """One number of a step's result, to compare: the loss, or the mean magnitude of an array."""
    return float(np.abs(x).mean())


def channels_first_weights(case: Case) -> list[tuple[np.ndarray, np.ndarray]]:
    """``case.weights()`` for NCHW: kernels [out, in, 3, 3], and [in, out] where ``in`` is an image flattened NCHW."""
    out = []
    shapes = [shape for layer, shape in zip(case.layers, case.shapes()) if layer.kind != "pool"]
    for (kernel, bias), shape in zip(case.weights(), shapes):
        if kernel.ndim == 4:
            kernel = kernel.transpose(3, 2, 0, 1)
        elif len(shape) == 3:
            kernel = kernel.reshape(*shape, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
        out.append((np.ascontiguousarray(kernel), bias))
    return out


def channels_first_data(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """``case.data()`` with images as NCHW."""
    x, labels = case.data()
    return np.moveaxis(x, -1, 1).copy() if len(case.input) == 3 else x, labels
