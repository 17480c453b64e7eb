"""MobileNet's blocks (Howard et al. 2017): a convolution of each channel by itself and one across channels, batch norm behind
both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from leptonc import nn
from leptonc.bench.networks.program import Training, images, labels
from leptonc.bench.peers.layers import Layers


class Block(nn.Module):
    depthwise: nn.Conv
    norm1: nn.BatchNorm
    pointwise: nn.Conv
    norm2: nn.BatchNorm

    def __init__(self, inputs: int, outputs: int, stride: int):
        self.depthwise = nn.Conv(inputs, inputs, 3, stride=stride, padding=1, groups=inputs, use_bias=False)
        self.pointwise = nn.Conv(inputs, outputs, 1, use_bias=False)
        self.norm1, self.norm2 = nn.BatchNorm(inputs), nn.BatchNorm(outputs)

    def __call__(self, x: Any, state: nn.State) -> tuple[Any, nn.State]:
        x, state = self.norm1(self.depthwise(x), state)
        x, state = self.norm2(self.pointwise(nn.relu(x)), state)
        return nn.relu(x), state


class MobileNet(nn.Module):
    stem: nn.Conv
    norm: nn.BatchNorm
    blocks: list[Block]
    out: nn.Linear

    def __init__(self, first: int, widths: tuple[int, ...], strides: tuple[int, ...], classes: int):
        self.stem = nn.Conv(3, first, 3, stride=2, padding=1, use_bias=False)
        self.norm = nn.BatchNorm(first)
        self.blocks = [Block(inputs, outputs, stride) for inputs, outputs, stride in zip((first, *widths), widths, strides)]
        self.out = nn.Linear(widths[-1], classes)

    def __call__(self, x: Any, state: nn.State) -> tuple[Any, nn.State]:
        x, state = self.norm(self.stem(x), state)
        x = nn.relu(x)
        for block in self.blocks:
            x, state = block(x, state)
        return self.out(nn.global_avg_pool(x)), state


@dataclass(frozen=True)
class MobileNetBlocks(Training):
    name: str = "mobilenet"
    batch: int = 32
    side: int = 64
    first: int = 32
    widths: tuple[int, ...] = (64, 128, 128, 256, 256)
    strides: tuple[int, ...] = (1, 2, 1, 2, 1)
    classes: int = 10

    images = True

    def sizes(self) -> dict[str, Any]:
        return {"batch": 2, "side": 12, "first": 4, "widths": (6, 8), "strides": (1, 2), "classes": 3}

    def model(self) -> MobileNet:
        return MobileNet(self.first, self.widths, self.strides, self.classes)

    def data(self) -> tuple[np.ndarray, ...]:
        return images((self.batch, self.side, self.side, 3)), labels(self.classes, self.batch)

    def loss(self, model: Any, state: nn.State, *batch: Any) -> tuple[Any, nn.State]:
        logits, state = model(batch[0], state)
        return nn.cross_entropy(logits, batch[1]), state

    def peer_loss(self, layers: Layers, *batch: Any) -> Any:
        x = layers.relu(layers.batch_norm("norm", layers.conv("stem", batch[0], 2, padding=1)))
        for n, (inputs, stride) in enumerate(zip((self.first, *self.widths), self.strides)):
            name = f"blocks.{n}"
            x = layers.conv(f"{name}.depthwise", x, stride, padding=1, groups=inputs)
            x = layers.conv(f"{name}.pointwise", layers.relu(layers.batch_norm(f"{name}.norm1", x)))
            x = layers.relu(layers.batch_norm(f"{name}.norm2", x))
        return layers.cross_entropy(layers.dense("out", layers.mean(x)), batch[1])
