"""Attention layers: Keras's result on scores written out, and over long sequences no array as large as all scores."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("keras") is None:
    pytest.skip("Keras is not installed", allow_module_level=True)

import leptonc
from leptonc.keras import layers, ops

LAYERS = {"multi-head": lambda: layers.MultiHeadAttention(4, 8), "grouped": lambda: layers.GroupQueryAttention(8, 4, 2)}


def built(kind, steps):
    layer = LAYERS[kind]()
    layer.build((2, steps, 16), (2, steps, 16))
    return layer


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", LAYERS)
def test_as_with_the_scores_written_out(kind, masked, rng):
    layer, x = built(kind, 6), rng.normal(size=(2, 6, 16)).astype("float32")
    mask = np.tri(6, dtype=bool)[None] & (np.arange(6) != 2) if masked else None
    expected, scores = layer(x, x, attention_mask=mask, return_attention_scores=True)
    assert scores.shape == (2, 4, 6, 6)
    for found in (layer(x, x, attention_mask=mask), leptonc.jit(lambda x: layer(x, x, attention_mask=mask))(x)):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", LAYERS)
def test_long_sequences_go_block_by_block(kind):
    layer, steps = built(kind, 1024), 1024
    gradient = leptonc.grad(lambda x: ops.sum(layer(x, x, use_causal_mask=True)))
    graph = leptonc.jit(gradient).trace(leptonc.ShapeDtypeStruct((1, steps, 16), "float32")).lower().graph
    assert max(t.size for node in graph.walk() for t in node.types) < steps * steps


@pytest.mark.parametrize("flash", [None, False, True])
def test_flash_attention_is_a_choice_between_equal_ways(flash, rng):
    q, k, v = (rng.normal(size=(2, n, 4, 8)).astype("float32") for n in (5, 7, 7))
    bias, mask = rng.normal(size=(4, 5, 7)).astype("float32"), np.arange(7) < 6
    scores = np.einsum("btnh,bsnh->bnts", q, k) / np.sqrt(8) + bias
    shares = np.where(mask, np.exp(scores), 0)
    expected = np.einsum("bnts,bsnh->btnh", shares / shares.sum(-1, keepdims=True), v)
    found = ops.dot_product_attention(q, k, v, bias=bias, mask=mask, flash_attention=flash)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_what_is_not_done_says_so():
    x = np.ones((1, 2, 3, 4), "float32")
    with pytest.raises(ValueError, match="attn_logits_soft_cap"):
        ops.dot_product_attention(x, x, x, attn_logits_soft_cap=30.0)
