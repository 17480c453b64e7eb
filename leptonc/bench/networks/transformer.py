"""A transformer that predicts the next code of a sequence (Radford et al. 2019), in training, and generating from a cache."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from leptonc import nn
from leptonc import numpy as lnp
from leptonc.bench.networks.program import Program, Training, drawn, labels, weights
from leptonc.bench.peers.common import Step
from leptonc.bench.peers.layers import Layers


class Block(nn.Module):
    norm1: nn.LayerNorm
    attention: nn.MultiHeadAttention
    norm2: nn.LayerNorm
    mlp: nn.MLP

    def __init__(self, features: int, heads: int):
        self.norm1, self.norm2 = nn.LayerNorm(features), nn.LayerNorm(features)
        self.attention = nn.MultiHeadAttention(features, heads, is_causal=True)
        self.mlp = nn.MLP(features, [4 * features], features, activation=nn.gelu)

    def __call__(self, x: Any, cache: Any = None) -> tuple[Any, Any]:
        if cache is None:
            x = x + self.attention(self.norm1(x))
        else:
            y, cache = self.attention(self.norm1(x), cache=cache)
            x = x + y
        return x + self.mlp(self.norm2(x)), cache


class Transformer(nn.Module):
    """Logits of the code that comes next, at each place of i32[n, t]; with caches, of what comes behind their places."""

    embedding: nn.Embedding
    positions: nn.Embedding
    blocks: list[Block]
    norm: nn.LayerNorm

    def __init__(self, codes: int, length: int, features: int, heads: int, layers: int):
        self.embedding, self.positions = nn.Embedding(codes, features), nn.Embedding(length, features)
        self.blocks = [Block(features, heads) for _ in range(layers)]
        self.norm = nn.LayerNorm(features)

    def __call__(self, codes: Any, caches: Any = None) -> tuple[Any, Any]:
        places = np.arange(codes.shape[1])
        x = self.embedding(codes) + self.positions(places if caches is None else caches[0].length + places)
        after = []
        for block, cache in zip(self.blocks, caches or [None] * len(self.blocks)):
            x, cache = block(x, cache)
            after.append(cache)
        return self.embedding.attend(self.norm(x)), after

    def caches(self, batch: int, room: int) -> list[nn.KVCache]:
        return [block.attention.empty_cache(batch, room) for block in self.blocks]


@dataclass(frozen=True)
class _Sizes:
    codes: int = 256
    length: int = 128
    features: int = 128
    heads: int = 4
    layers: int = 2

    def model(self) -> Transformer:
        return _transformer(self.codes, self.length, self.features, self.heads, self.layers)


@functools.cache
def _transformer(*sizes: int) -> Transformer:
    """Made once, as a user's program would: a start asks it for caches."""
    return Transformer(*sizes)


TINY = {"codes": 16, "length": 12, "features": 8, "heads": 2, "layers": 1}


@dataclass(frozen=True)
class TransformerTraining(_Sizes, Training):
    name: str = "transformer"
    batch: int = 16

    def sizes(self) -> dict[str, Any]:
        return {**TINY, "batch": 2}

    def data(self) -> tuple[np.ndarray, ...]:
        return (labels(self.codes, (self.batch, self.length + 1)),)

    def loss(self, model: Any, state: nn.State, *batch: Any) -> tuple[Any, nn.State]:
        logits, _ = model(batch[0][:, :-1])
        return nn.cross_entropy(logits, batch[0][:, 1:]), state

    def peer_loss(self, layers: Layers, *batch: Any) -> Any:
        codes = batch[0][:, :-1]
        x = layers.embedding("embedding.table", codes) + layers.embedding("positions.table", layers.places(self.length))
        for n in range(self.layers):
            x = x + layers.attention(f"blocks.{n}.attention", layers.layer_norm(f"blocks.{n}.norm1", x), self.heads)
            x = x + _mlp(layers, f"blocks.{n}", x)
        return layers.cross_entropy(layers.logits("embedding.table", layers.layer_norm("norm", x)), batch[0][:, 1:])


def _mlp(layers: Layers, name: str, x: Any) -> Any:
    inner = layers.gelu(layers.dense(f"{name}.mlp.layers.0", layers.layer_norm(f"{name}.norm2", x)))
    return layers.dense(f"{name}.mlp.layers.1", inner)


@dataclass(frozen=True)
class Generation(_Sizes, Program):
    """Each step is one code, the likeliest, from the one before and the cache; value are its logits."""

    name: str = "generation"
    batch: int = 1

    training = False

    @property
    def lasts(self) -> int | None:
        return self.length

    def sizes(self) -> dict[str, Any]:
        return {**TINY}

    def data(self) -> tuple[np.ndarray, ...]:
        return ()

    def start(self) -> Any:
        return self.first(), self.model().caches(self.batch, self.length)

    def fixed(self) -> tuple[Any, ...]:
        return (drawn(self.model()),)

    def first(self) -> np.ndarray:
        """The first code of each sequence."""
        return labels(self.codes, (self.batch, 1))

    def step(self, carry: Any, *inputs: Any) -> tuple[Any, Any]:
        (code, caches), (model,) = carry, inputs
        logits, caches = model(code, caches)
        return (lnp.astype(lnp.argmax(logits, -1), np.int32), caches), logits

    def peer_step(self, system: Any) -> Step:
        step: Step = system.generation(self, weights(self.model()))
        return step

    def peer_logits(self, layers: Layers, code: Any, position: Any, caches: Any) -> tuple[Any, list[Any]]:
        """Of i32[n, 1], and the caches with it."""
        after = []
        x = layers.embedding("embedding.table", code) + layers.embedding("positions.table", position)
        for n, cache in enumerate(caches):
            inner = layers.layer_norm(f"blocks.{n}.norm1", x)
            y, cache = layers.cached_attention(f"blocks.{n}.attention", inner, self.heads, position, cache)
            x = x + y
            x = x + _mlp(layers, f"blocks.{n}", x)
            after.append(cache)
        return layers.logits("embedding.table", layers.layer_norm("norm", x)), after
