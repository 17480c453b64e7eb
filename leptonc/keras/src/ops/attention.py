"""Attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc import nn
from leptonc import numpy as lnp
from leptonc.keras.src.ops.tensors import convert_to_tensor, promoted

__all__ = ["dot_product_attention"]

MASKED = -0.7 * float(np.finfo(np.float32).max)  # finite: a query with nothing to attend to gets equal shares, not NaN


def dot_product_attention(query: Any, key: Any, value: Any, bias: Any = None, mask: Any = None, scale: float | None = None,
                          is_causal: bool = False, flash_attention: bool | None = None,
                          attn_logits_soft_cap: float | None = None) -> Any:
    """softmax(query key^T scale + bias) value of query [b, t, n, h] with key and value [b, s, k, h], n a multiple of k.

    Raises ValueError for other ranks and for ``flash_attention``.
    """
    if flash_attention:
        raise ValueError("flash_attention=True is not supported by the leptonc backend")
    query, key, value = promoted(query, key, value)
    if any(len(x.shape) != 4 for x in (query, key, value)):
        raise ValueError("`dot_product_attention` only supports 4D inputs. Received: "
                         f"query.shape={query.shape}, key.shape={key.shape}, value.shape={value.shape}.")
    key, value = (_of_all_heads(x, query.shape[2]) for x in (key, value))
    scores = lnp.einsum("btnh,bsnh->bnts", query, key) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if bias is not None:
        scores = scores + convert_to_tensor(bias, scores.dtype)
    shares = nn.softmax(_masked(scores, mask, is_causal), -1)
    return lnp.einsum("bnts,bsnh->btnh", shares, value)


def _of_all_heads(x: Any, heads: int) -> Any:
    """Each head repeated for its group of query heads."""
    return x if x.shape[2] == heads else lnp.repeat(x, heads // x.shape[2], 2)


def _masked(scores: Any, mask: Any, is_causal: bool) -> Any:
    seen = None if mask is None else convert_to_tensor(mask, "bool")
    if is_causal:
        past = np.tri(*scores.shape[-2:]) > 0
        seen = past if seen is None else lnp.logical_and(seen, past)
    return scores if seen is None else lnp.where(seen, scores, MASKED)
