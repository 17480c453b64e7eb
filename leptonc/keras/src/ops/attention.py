"""Attention: leptonc's, which over long sequences goes block by block and never holds the whole matrix of scores."""

from __future__ import annotations

from typing import Any

from leptonc import nn
from leptonc import numpy as lnp
from leptonc.keras.src.ops.tensors import as_float, convert_to_tensor, promoted

__all__ = ["dot_product_attention"]

IMPLEMENTATIONS = {None: None, True: "blockwise", False: "plain"}


def dot_product_attention(query: Any, key: Any, value: Any, bias: Any = None, mask: Any = None, scale: float | None = None,
                          is_causal: bool = False, flash_attention: bool | None = None,
                          attn_logits_soft_cap: float | None = None) -> Any:
    """softmax(query key^T scale + bias) value of query [b, t, n, h] with key and value [b, s, k, h], n a multiple of k.

    ``flash_attention``: block by block always, or never; by itself from 1,024 keys on. Raises ValueError for other ranks and for
    ``attn_logits_soft_cap``.
    """
    if attn_logits_soft_cap is not None:
        raise ValueError("attn_logits_soft_cap is not supported by the leptonc backend")
    query, key, value = map(as_float, promoted(query, key, value))
    if any(len(x.shape) != 4 for x in (query, key, value)):
        raise ValueError("`dot_product_attention` only supports 4D inputs. Received: "
                         f"query.shape={query.shape}, key.shape={key.shape}, value.shape={value.shape}.")
    return nn.dot_product_attention(
        query, key, value, None if bias is None else _of_rank_4(convert_to_tensor(bias, query.dtype)),
        None if mask is None else _of_rank_4(convert_to_tensor(mask, "bool")), scale=scale, is_causal=bool(is_causal),
        implementation=IMPLEMENTATIONS[flash_attention])


def _of_rank_4(x: Any) -> Any:
    """With axes of extent 1 before those it has, as if it were stretched."""
    return lnp.reshape(x, (*(1 for _ in range(4 - len(x.shape))), *x.shape))
