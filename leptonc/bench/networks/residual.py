"""ResNet-20 (He et al. 2015, for CIFAR-10): three stages of three blocks of two convolutions, batch norm behind each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from leptonc import nn
from leptonc.bench.networks.program import Training, images, labels
from leptonc.bench.peers.layers import Layers


class Block(nn.Module):
    """Two convolutions, beside a way around them."""

    conv1: nn.Conv
    norm1: nn.BatchNorm
    conv2: nn.Conv
    norm2: nn.BatchNorm
    around: nn.Conv | None
    around_norm: nn.BatchNorm | None

    def __init__(self, inputs: int, outputs: int, stride: int):
        self.conv1 = nn.Conv(inputs, outputs, 3, stride=stride, padding=1, use_bias=False)
        self.conv2 = nn.Conv(outputs, outputs, 3, padding=1, use_bias=False)
        self.norm1, self.norm2 = nn.BatchNorm(outputs), nn.BatchNorm(outputs)
        changes = stride != 1 or inputs != outputs
        self.around = nn.Conv(inputs, outputs, 1, stride=stride, use_bias=False) if changes else None
        self.around_norm = nn.BatchNorm(outputs) if changes else None

    def __call__(self, x: Any, state: nn.State) -> tuple[Any, nn.State]:
        y, state = self.norm1(self.conv1(x), state)
        y, state = self.norm2(self.conv2(nn.relu(y)), state)
        if self.around is not None and self.around_norm is not None:
            x, state = self.around_norm(self.around(x), state)
        return nn.relu(x + y), state


class ResNet(nn.Module):
    stem: nn.Conv
    norm: nn.BatchNorm
    blocks: list[Block]
    out: nn.Linear

    def __init__(self, channels: int, widths: tuple[int, ...], depth: int, classes: int):
        self.stem = nn.Conv(channels, widths[0], 3, padding=1, use_bias=False)
        self.norm = nn.BatchNorm(widths[0])
        inputs = (widths[0], *widths)
        self.blocks = [Block(inputs[n] if not m else width, width, 2 if n and not m else 1)
                       for n, width in enumerate(widths) for m in range(depth)]
        self.out = nn.Linear(widths[-1], classes)

    def __call__(self, x: Any, state: nn.State) -> tuple[Any, nn.State]:
        x, state = self.norm(self.stem(x), state)
        x = nn.relu(x)
        for block in self.blocks:
            x, state = block(x, state)
        return self.out(nn.global_avg_pool(x)), state


@dataclass(frozen=True)
class ResNet20(Training):
    name: str = "resnet20"
    batch: int = 64
    side: int = 32
    widths: tuple[int, ...] = (16, 32, 64)
    depth: int = 3
    classes: int = 10

    images = True

    def sizes(self) -> dict[str, Any]:
        return {"batch": 2, "side": 8, "widths": (4, 6), "depth": 1, "classes": 3}

    def model(self) -> ResNet:
        return ResNet(3, self.widths, self.depth, self.classes)

    def data(self) -> tuple[np.ndarray, ...]:
        return images((self.batch, self.side, self.side, 3)), labels(self.classes, self.batch)

    def loss(self, model: Any, state: nn.State, *batch: Any) -> tuple[Any, nn.State]:
        logits, state = model(batch[0], state)
        return nn.cross_entropy(logits, batch[1]), state

    def peer_loss(self, layers: Layers, *batch: Any) -> Any:
        x = layers.relu(layers.batch_norm("norm", layers.conv("stem", batch[0], padding=1)))
        for n in range(len(self.widths) * self.depth):
            x = _block(layers, f"blocks.{n}", x, changes=n > 0 and n % self.depth == 0)
        return layers.cross_entropy(layers.dense("out", layers.mean(x)), batch[1])


def _block(layers: Layers, name: str, x: Any, changes: bool) -> Any:
    stride = 2 if changes else 1
    y = layers.relu(layers.batch_norm(f"{name}.norm1", layers.conv(f"{name}.conv1", x, stride, padding=1)))
    y = layers.batch_norm(f"{name}.norm2", layers.conv(f"{name}.conv2", y, padding=1))
    if changes:
        x = layers.batch_norm(f"{name}.around_norm", layers.conv(f"{name}.around", x, stride))
    return layers.relu(x + y)
