"""A small U-Net (Ronneberger et al. 2015): down by pools, up by transposed convolutions, each level's features across."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from leptonc import nn
from leptonc import numpy as lnp
from leptonc.bench.networks.program import Training, images, labels
from leptonc.bench.peers.layers import Layers


class Pair(nn.Module):
    """Two convolutions."""

    first: nn.Conv
    second: nn.Conv

    def __init__(self, inputs: int, outputs: int):
        self.first, self.second = nn.Conv(inputs, outputs, 3, padding=1), nn.Conv(outputs, outputs, 3, padding=1)

    def __call__(self, x: Any) -> Any:
        return nn.relu(self.second(nn.relu(self.first(x))))


class UNet(nn.Module):
    """Logits of each pixel."""

    down: list[Pair]
    up: list[nn.ConvTranspose]
    merge: list[Pair]
    out: nn.Conv

    def __init__(self, channels: int, widths: tuple[int, ...], classes: int):
        self.down = [Pair(inputs, outputs) for inputs, outputs in zip((channels, *widths), widths)]
        self.up = [nn.ConvTranspose(low, high, 2, stride=2) for high, low in pairwise(widths)]
        self.merge = [Pair(2 * width, width) for width in widths[:-1]]
        self.out = nn.Conv(widths[0], classes, 1)

    def __call__(self, x: Any) -> Any:
        across: list[Any] = []
        for pair in self.down[:-1]:
            across.append(pair(x))
            x = nn.max_pool(across[-1], 2)
        x = self.down[-1](x)
        for up, merge in zip(reversed(self.up), reversed(self.merge)):
            x = merge(lnp.concatenate([across.pop(), up(x)], -1))
        return self.out(x)


@dataclass(frozen=True)
class UNetSmall(Training):
    name: str = "unet-small"
    batch: int = 16
    side: int = 64
    widths: tuple[int, ...] = (16, 32, 64)
    classes: int = 4

    images = True

    def sizes(self) -> dict[str, Any]:
        return {"batch": 2, "side": 8, "widths": (4, 6)}

    def model(self) -> UNet:
        return UNet(3, self.widths, self.classes)

    def data(self) -> tuple[np.ndarray, ...]:
        pixels = (self.batch, self.side, self.side)
        return images((*pixels, 3)), labels(self.classes, pixels)

    def loss(self, model: Any, state: nn.State, *batch: Any) -> tuple[Any, nn.State]:
        return nn.cross_entropy(model(batch[0]), batch[1]), state

    def peer_loss(self, layers: Layers, *batch: Any) -> Any:
        x, across = batch[0], []
        last = len(self.widths) - 1
        for n in range(last):
            across.append(_pair(layers, f"down.{n}", x))
            x = layers.max_pool(across[-1])
        x = _pair(layers, f"down.{last}", x)
        for n in reversed(range(last)):
            x = _pair(layers, f"merge.{n}", layers.beside(across[n], layers.conv_transpose(f"up.{n}", x, 2, "SAME")))
        return layers.cross_entropy(layers.conv("out", x), batch[1])


def _pair(layers: Layers, name: str, x: Any) -> Any:
    return layers.relu(layers.conv(f"{name}.second", layers.relu(layers.conv(f"{name}.first", x, padding=1)), padding=1))
