"""Means, variances, and what is done with them."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc import lax
from leptonc import numpy as lnp
from leptonc.keras.src.ops.tensors import as_float, convert_to_tensor

__all__ = ["batch_normalization", "moments", "psnr"]


def moments(x: Any, axes: Any, keepdims: bool = False, synchronized: bool = False) -> tuple[Any, Any]:
    """Mean and variance; of float16 in 32 bits. Raises NotImplementedError for ``synchronized``: there is one process."""
    if synchronized:
        raise NotImplementedError("moments: synchronized=True is not supported by the leptonc backend")
    x = as_float(x)
    axes = tuple(axes) if isinstance(axes, list | tuple) else axes
    if x.dtype != np.float16:
        return lnp.mean(x, axes, keepdims=keepdims), lnp.var(x, axes, keepdims=keepdims)
    mean, variance = moments(lnp.astype(x, np.float32), axes, keepdims)
    most = float(np.finfo(np.float16).max)  # what Keras wants where the variance is greater
    return lnp.astype(mean, np.float16), lnp.astype(lnp.minimum(variance, most), np.float16)


def batch_normalization(x: Any, mean: Any, variance: Any, axis: int, offset: Any = None, scale: Any = None,
                        epsilon: float = 1e-3) -> Any:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, with vectors along ``axis``.

    Not folded to x * a + b, which loses all digits where the mean is far from 0.
    """
    x = as_float(x)
    shape = [1] * len(x.shape)
    shape[axis] = x.shape[axis]
    factor = lax.rsqrt(_along(variance, shape, x) + epsilon)
    factor = factor if scale is None else factor * _along(scale, shape, x)
    y = (x - _along(mean, shape, x)) * factor
    return y if offset is None else y + _along(offset, shape, x)


def _along(vector: Any, shape: list[int], x: Any) -> Any:
    return lnp.reshape(convert_to_tensor(vector, x.dtype), shape)


def psnr(x1: Any, x2: Any, max_val: float) -> Any:
    """The peak signal over the noise, in dB."""
    x1, x2 = as_float(x1), as_float(x2)
    if x1.shape != x2.shape:
        raise ValueError(f"psnr: Input shapes {tuple(x1.shape)} and {tuple(x2.shape)} must match")
    peak = convert_to_tensor(max_val, x2.dtype)
    return 20 * lnp.log10(peak) - 10 * lnp.log10(lnp.mean(lnp.square(x1 - x2)))
