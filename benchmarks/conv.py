"""The convolutions of ResNet-50 in f32, forward and both gradients, each a program of its own.

``python benchmarks/conv.py [batch [rounds]]`` prints a Markdown table: GFLOP/s of the direct sum's multiply-adds and the share of
the FMA rate measured in the same run, with PyTorch beside it where that is installed. A share above 1 is Winograd's doing. A figure
is the median of a turn, and of the best round: in some turns the two threads of either system share a core.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from turns import turn

import leptonc
from leptonc import nn
from leptonc import numpy as lnp
from leptonc.profile.machine import fma_gflops
from leptonc.target import host_target

SECONDS = 0.1  # of one turn


class Layer(NamedTuple):
    """A square convolution: extent in, kernel extent, channels in and out, stride. Padding keeps extent / stride."""

    extent: int
    kernel: int
    channels: int
    units: int
    stride: int = 1

    @property
    def padding(self) -> int:
        return self.kernel // 2

    @property
    def out(self) -> int:
        return (self.extent + 2 * self.padding - self.kernel) // self.stride + 1

    def flops(self, batch: int) -> int:
        return 2 * batch * self.out ** 2 * self.units * self.kernel ** 2 * self.channels

    def __str__(self) -> str:
        stride = f" /{self.stride}" if self.stride > 1 else ""
        return f"{self.extent}x{self.extent}x{self.channels}, {self.kernel}x{self.kernel}{stride} -> {self.units}"


LAYERS = (
    Layer(224, 7, 3, 64, 2),
    Layer(56, 1, 64, 64), Layer(56, 3, 64, 64), Layer(56, 1, 64, 256), Layer(56, 1, 256, 64),
    Layer(56, 1, 256, 128), Layer(56, 3, 128, 128, 2), Layer(56, 1, 256, 512, 2), Layer(28, 1, 128, 512), Layer(28, 1, 512, 128),
    Layer(28, 3, 128, 128),
    Layer(28, 1, 512, 256), Layer(28, 3, 256, 256, 2), Layer(28, 1, 512, 1024, 2), Layer(14, 1, 256, 1024),
    Layer(14, 1, 1024, 256), Layer(14, 3, 256, 256),
    Layer(14, 1, 1024, 512), Layer(14, 3, 512, 512, 2), Layer(14, 1, 1024, 2048, 2), Layer(7, 1, 512, 2048), Layer(7, 1, 2048, 512),
    Layer(7, 3, 512, 512),
)
PASSES = ("forward", "input gradient", "weight gradient")


def ours(layer: Layer, batch: int) -> dict[str, Callable[[], object]]:
    rng = np.random.default_rng(0)
    x = lnp.array(rng.standard_normal((batch, layer.extent, layer.extent, layer.channels), np.float32))
    w = lnp.array(rng.standard_normal((layer.kernel, layer.kernel, layer.channels, layer.units), np.float32))
    g = lnp.array(rng.standard_normal((batch, layer.out, layer.out, layer.units), np.float32))

    def conv(x: Any, w: Any) -> Any:
        return nn.conv(x, w, stride=layer.stride, padding=layer.padding)

    forward = leptonc.jit(conv)
    to_x = leptonc.jit(lambda x, w, g: leptonc.vjp(lambda x: conv(x, w), x)[1](g)[0])
    to_w = leptonc.jit(lambda x, w, g: leptonc.vjp(lambda w: conv(x, w), w)[1](g)[0])
    return {"forward": lambda: forward(x, w), "input gradient": lambda: to_x(x, w, g), "weight gradient": lambda: to_w(x, w, g)}


def theirs(layer: Layer, batch: int) -> dict[str, Callable[[], object]]:
    """PyTorch, channels_last, its best layout for these."""
    import torch

    def made(*shape: int) -> Any:
        return torch.randn(*shape).to(memory_format=torch.channels_last)

    x = made(batch, layer.channels, layer.extent, layer.extent)
    w = made(layer.units, layer.channels, layer.kernel, layer.kernel)
    g = made(batch, layer.units, layer.out, layer.out)

    def backward(*wanted: bool) -> Callable[[], object]:
        pair, none = [layer.stride] * 2, [0, 0]
        padding, ones = [layer.padding] * 2, [1, 1]
        return lambda: torch.ops.aten.convolution_backward(g, x, w, None, pair, padding, ones, False, none, 1, [*wanted, False])

    return {"forward": lambda: torch.nn.functional.conv2d(x, w, stride=layer.stride, padding=layer.padding),
            "input gradient": backward(True, False), "weight gradient": backward(False, True)}


def main(batch: int, rounds: int) -> None:
    peer = importlib.util.find_spec("torch") is not None
    limit = fma_gflops(host_target())
    shares: dict[str, list[float]] = {kind: [] for kind in PASSES}
    ratios: dict[str, list[float]] = {kind: [] for kind in PASSES}
    print(f"batch {batch}; {limit:.0f} GFLOP/s of f32 FMA\n")
    print("| layer | " + " | ".join(f"{kind} GFLOP/s | share" + (" | to PyTorch" if peer else "") for kind in PASSES) + " |")
    print("|---" * (1 + len(PASSES) * (3 if peer else 2)) + "|")
    for layer in LAYERS:
        systems = [ours(layer, batch)] + ([theirs(layer, batch)] if peer else [])
        cells = []
        for kind in PASSES:
            steps = max(2, int(SECONDS * limit * 1e9 / layer.flops(batch)))
            for system in systems:
                system[kind]()
            seconds = [min(times) for times in zip(*([turn(s[kind], steps) for s in systems] for _ in range(rounds)))]
            rate = layer.flops(batch) / seconds[0] / 1e9
            shares[kind].append(rate / limit)
            cells += [f"{rate:.0f}", f"{rate / limit:.2f}"]
            if peer:
                ratios[kind].append(seconds[1] / seconds[0])
                cells.append(f"{ratios[kind][-1]:.2f}")
        print(f"| {layer} | " + " | ".join(cells) + " |", flush=True)
    for kind in PASSES:
        line = f"{kind}: median share {median(shares[kind]):.2f}, lowest {min(shares[kind]):.2f}"
        print("\n" + line + (f"; {median(ratios[kind]):.2f} times as fast as PyTorch (median)" if peer else ""))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 16, int(sys.argv[2]) if len(sys.argv) > 2 else 3)
