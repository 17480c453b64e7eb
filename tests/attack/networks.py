"""Random convolutional networks: forms that passes treat each their own way."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np

import leptonc
from leptonc import nn

ACTIVATIONS = (nn.relu, nn.tanh, lambda x: x)


@dataclass(frozen=True)
class Block:
    kernel: tuple[int, int]
    channels: int
    stride: int
    padding: str
    activation: int
    pool: tuple[Any, tuple[int, int], tuple[int, int]] | None  # function, window, stride


def random_block(rng: np.random.Generator) -> Block:
    kernel = (3, 3) if rng.random() < 0.7 else tuple(int(k) for k in rng.integers(1, 5, 2))
    window = ((2, 2), (2, 2), (3, 3), (2, 3), (1, 2))[rng.integers(5)]
    step = window if rng.random() < 0.7 else tuple(int(w + rng.integers(-1, 2)) or 1 for w in window)
    pool = (nn.max_pool if rng.random() < 0.85 else nn.avg_pool, window, step) if rng.random() < 0.7 else None
    channels, stride = int(rng.choice([4, 8, 16, 20, 33, 48])), 1 if rng.random() < 0.8 else 2
    return Block(kernel, channels, stride, ("SAME", "VALID")[rng.integers(2)], int(rng.integers(3)), pool)


def apply(block: Block, kernel: Any, bias: Any, x: Any) -> Any:
    y = ACTIVATIONS[block.activation](nn.conv(x, kernel, stride=block.stride, padding=block.padding) + bias)
    return y if block.pool is None else block.pool[0](y, block.pool[1], stride=block.pool[2])


def random_network(seed: int) -> tuple[Any, tuple[Any, ...]]:
    """A loss, and its arguments: (kernel, bias) of each block, the last weights, x."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((*(int(n) for n in rng.integers((1, 8, 8), (5, 40, 40))), int(rng.choice([1, 3, 8, 16, 17, 24, 40]))))
    blocks: list[Block] = []
    params: list[Any] = []
    shape = x.shape
    for _ in range(int(rng.integers(1, 4))):
        block = random_block(rng)
        kernel = rng.standard_normal((*block.kernel, shape[-1], block.channels)) / prod((*block.kernel, shape[-1])) ** 0.5
        bias = rng.standard_normal(block.channels)
        try:
            after = leptonc.eval_shape(partial(apply, block), kernel, bias, leptonc.ShapeDtypeStruct(shape, np.float64))
        except leptonc.errors.ShapeError:
            break  # the image is too small for another block
        shape = after.shape
        blocks.append(block)
        params.append((kernel, bias))
    last, labels = rng.standard_normal((prod(shape[1:]), 5)) / 10, rng.integers(0, 5, x.shape[0])

    def loss(params: Any, last: Any, x: Any) -> Any:
        for block, (kernel, bias) in zip(blocks, params):
            x = apply(block, kernel, bias, x)
        return nn.cross_entropy(x.reshape((x.shape[0], -1)) @ last, labels)

    return loss, (params, last, x)
