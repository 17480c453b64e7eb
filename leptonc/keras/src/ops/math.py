"""keras.ops: what NumPy has no name for."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc import elementary, lax, nn, segments
from leptonc import numpy as lnp
from leptonc.keras.src.ops.fourier import (  # noqa: F401
    _get_complex_tensor_from_tuple,
    fft,
    fft2,
    ifft2,
    irfft,
    istft,
    rfft,
    stft,
)
from leptonc.keras.src.ops.linalg import logdet  # noqa: F401
from leptonc.keras.src.ops.tensors import as_float, convert_to_tensor, promoted
from leptonc.scipy import special
from leptonc.trace import Tracer


def _segments(data: Any, segment_ids: Any, num_segments: int | None) -> tuple[Any, Any, int]:
    """Raises ValueError where the number of segments, an extent of the result, is not known."""
    ids = convert_to_tensor(segment_ids)
    if num_segments is None and isinstance(ids, Tracer):
        raise ValueError("Argument `num_segments` must be set where `segment_ids` is traced: it is an extent of the result")
    count = int(np.max(ids, initial=-1)) + 1 if num_segments is None else int(num_segments)
    return convert_to_tensor(data), ids, count


def segment_sum(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Any:
    """Rows of a segment that is negative or too high take no part."""
    data, ids, count = _segments(data, segment_ids, num_segments)
    return segments.segment_sum(data, ids, count)


def segment_max(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Any:
    data, ids, count = _segments(data, segment_ids, num_segments)
    return segments.segment_max(data, ids, count)


def segment_min(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Any:
    data, ids, count = _segments(data, segment_ids, num_segments)
    return segments.segment_min(data, ids, count)


def segment_prod(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Any:
    """Every row compared with every segment, over a mask that is never stored: a product with a gradient."""
    data, ids, count = _segments(data, segment_ids, num_segments)
    mine = lnp.equal(lnp.expand_dims(ids, 0), lnp.expand_dims(lnp.arange(count, dtype=ids.dtype), 1))
    mine = lnp.reshape(mine, (*mine.shape, *(1 for _ in data.shape[1:])))
    one = lnp.full((), 1, data.dtype)
    return lnp.astype(lnp.prod(lnp.where(mine, lnp.expand_dims(data, 0), one), axis=1), data.dtype)



def top_k(x: Any, k: int, sorted: bool = True) -> Any:
    """The k greatest along the last axis, always sorted, and their places (i32)."""
    return lax.top_k(convert_to_tensor(x), k)


def in_top_k(targets: Any, predictions: Any, k: int) -> Any:
    """Whether fewer than ``k`` predictions are greater than the target's, ties with it aside. Never for a target of NaN or that is
    out of range."""
    labels, scores = convert_to_tensor(targets), convert_to_tensor(predictions)
    classes = scores.shape[-1]
    mine = lnp.equal(lnp.expand_dims(labels, -1), lnp.arange(classes, dtype="int64"))
    score = lnp.sum(lnp.where(mine, scores, lnp.zeros_like(scores)), axis=-1, keepdims=True)
    above = lnp.sum(lnp.astype(lnp.greater(scores, score), "int32"), axis=-1)
    valid = lnp.logical_and(lnp.any(mine, axis=-1), lnp.equal(score, score)[..., 0])
    return lnp.logical_and(valid, lnp.less(above, k))


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return nn.logsumexp(as_float(x), tuple(axis) if isinstance(axis, list) else axis, keepdims=keepdims)


def cdist(x: Any, y: Any) -> Any:
    x, y = promoted(x, y, also=float)
    if len(x.shape) < 2 or len(y.shape) < 2:
        raise ValueError("`cdist` inputs must have rank >= 2")
    if x.shape[-1] != y.shape[-1]:
        raise ValueError("Last dimension of inputs to `cdist` must match")
    difference = lnp.expand_dims(x, -2) - lnp.expand_dims(y, -3)
    return lnp.sqrt(lnp.sum(lnp.square(difference), axis=-1))


def extract_sequences(x: Any, sequence_length: int, sequence_stride: int) -> Any:
    x = convert_to_tensor(x)
    starts = np.arange(0, x.shape[-1] - sequence_length + 1, sequence_stride)
    return lnp.take(x, starts[:, None] + np.arange(sequence_length), axis=-1)




def rsqrt(x: Any) -> Any:
    return lax.rsqrt(as_float(x))


def erf(x: Any) -> Any:
    return lax.erf(as_float(x))


def erfc(x: Any) -> Any:
    return elementary.erfc(as_float(x))


def erfinv(x: Any) -> Any:
    return lax.erf_inv(as_float(x))


def gammainc(a: Any, x: Any) -> Any:
    """The regularized lower incomplete gamma function."""
    return special.gammainc(*promoted(as_float(a), as_float(x)))
