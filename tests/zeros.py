"""Random CNNs whose gradients have many exact zeros: none of these may come out as anything else.

    python -m tests.zeros --networks 200 --seed 0

Channels are dead, images partly blank, weights pruned; layers are 3x3 convolutions between ReLUs and pools, of sizes at which
convolutions go by squares, and 1x1, 5x5, strided and grouped ones between. The oracle is the same network in f64, op by op, where a
sum is exactly 0 if its products are. A network is drawn again if anything that a ReLU or a maximum decides on is near a tie there:
f32 might decide otherwise.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np

import leptonc
from leptonc import nn

TIE = 3e-6  # how near is near, in units of the largest element
KERNELS = ("winograd_met", "conv_winograd")


@dataclass(frozen=True)
class Layer:
    """``kind``: conv, relu, pool, residual (two convolutions beside the identity)."""

    kind: str
    kernel: int = 3
    stride: int = 1
    groups: int = 1
    padding: Any = "SAME"


def draw(rng: np.random.Generator) -> tuple[list[Layer], list[Any], np.ndarray]:
    """Layers, their parameters and a batch of images."""
    batch, side, channels = int(rng.choice([1, 2, 4, 8, 16])), int(rng.integers(8, 25)), int(rng.choice([3, 8, 16, 24]))
    x = rng.standard_normal((batch, side, side + int(rng.integers(0, 4)), channels)).astype(np.float32)
    if rng.random() < 0.3:
        x[:, side // 2:] = 0
    layers, params = list[Layer](), list[Any]()
    for _ in range(int(rng.integers(2, 5))):
        out = int(rng.choice([8, 16, 24, 32, 40]))
        kernel = int(rng.choice([3, 3, 3, 3, 3, 3, 1, 5]))
        groups = 2 if rng.random() < 0.1 and channels % 2 == 0 else 1
        stride = 2 if rng.random() < 0.1 else 1
        half = kernel // 2
        layers.append(Layer("conv", kernel, stride, groups, "SAME" if rng.random() < 0.8 else ((half, half), (half, half + 1))))
        params.append(_weights(rng, kernel, channels // groups, out))
        channels = out
        if rng.random() < 0.85:
            layers.append(Layer("relu"))
        if rng.random() < 0.2:
            layers += [Layer("residual"), Layer("relu")]
            params.append((_weights(rng, 3, channels, channels), _weights(rng, 3, channels, channels)))
        if rng.random() < 0.3:
            layers.append(Layer(str(rng.choice(["pool", "overlapping"]))))
    return layers, params, x


def _weights(rng: np.random.Generator, kernel: int, channels: int, out: int) -> tuple[np.ndarray, np.ndarray]:
    """A kernel, perhaps pruned, and a bias that kills some channels and makes others sparse."""
    shape = (kernel, kernel, channels, out)
    w = rng.standard_normal(shape) * (2 / (kernel * kernel * channels)) ** 0.5
    kept = [(1, 1, 1, 1), (1, 1, 1, 1), (1, 1, channels, out), (kernel, kernel, 1, 1), shape][rng.integers(5)]
    w = w * (rng.random(kept) < (1 if kept == (1, 1, 1, 1) else 0.3))
    bias = rng.choice([0.0, -1.0, -2.0, -50.0, 0.3], out)
    return w.astype(np.float32), bias.astype(np.float32)


def outputs(layers: list[Layer], params: Any, x: Any, watch: Any = None) -> Any:
    """The last layer's output; ``watch`` is given what each ReLU and pool decides on."""
    given = iter(params)
    for layer in layers:
        if layer.kind == "conv":
            w, bias = next(given)
            x = nn.conv(x, w, stride=layer.stride, padding=layer.padding, groups=layer.groups) + bias
        elif layer.kind == "residual":
            (w, bias), (v, shift) = next(given)
            inner = nn.relu(_watched(nn.conv(x, w, padding="SAME") + bias, watch))
            x = x + nn.conv(inner, v, padding="SAME") + shift
        elif layer.kind == "relu":
            x = nn.relu(_watched(x, watch))
        elif min(x.shape[1:3]) >= 3:
            x = _watched(x, watch, 2 if layer.kind == "pool" else 3)
            x = nn.max_pool(x, 2) if layer.kind == "pool" else nn.max_pool(x, 3, stride=2)
    return x


def _watched(x: Any, watch: Any, window: int = 0) -> Any:
    if watch is not None:
        watch.append(_gaps(np.asarray(x), window) if window else x)
    return x


def _gaps(x: np.ndarray, window: int) -> np.ndarray:
    """Between the two largest elements of each window, some of it where that is all 0."""
    cells = np.lib.stride_tricks.sliding_window_view(x, (window, window), (1, 2))[:, ::2, ::2].reshape(-1, window * window)
    cells = np.sort(cells, 1)
    return np.where(cells[:, -1] == 0, np.abs(x).max(), cells[:, -1] - cells[:, -2] + np.finfo(x.dtype).tiny)


def gradients(layers: list[Layer], params: Any, x: Any) -> Any:
    """Of the parameters and of the images, by a loss of which the upper rows are no part."""
    def loss(params: Any, x: Any) -> Any:
        y = outputs(layers, params, x)
        return (y[:, y.shape[1] // 2:] ** 2).sum()

    return outputs(layers, params, x), leptonc.grad(loss, argnums=(0, 1))(params, x)


def ties(layers: list[Layer], params: Any, x: Any) -> bool:
    """Whether f32 might decide otherwise than f64."""
    seen = list[Any]()
    outputs(layers, params, x, seen)
    return any((np.abs(v) < TIE * np.abs(v).max())[np.asarray(v) != 0].any() for v in map(np.asarray, seen) if v.size)


@dataclass(frozen=True)
class Found:
    """Of one network: entries that are 0, those of them that came out as something else, and whether squares made any of it."""

    zeros: int
    wrong: int
    squares: bool


def check(rng: np.random.Generator) -> Found:
    """Draw a network and compare."""
    while True:
        layers, params, x = draw(rng)
        wide = leptonc.tree.map(lambda a: a.astype(np.float64), (params, x))
        with leptonc.disable_jit():
            if ties(layers, *wide):
                continue
            exact = [np.asarray(a) for a in leptonc.tree.leaves(gradients(layers, *wide))]
        break
    jitted = leptonc.jit(lambda params, x: gradients(layers, params, x))
    names = [call.kernel.name for call in jitted.trace(params, x).lower().program.calls]
    got = [np.asarray(a) for a in leptonc.tree.leaves(jitted(params, x))]
    for a, b in zip(got, exact, strict=True):
        assert np.abs(a - b).max(initial=0) <= 1e-3 * max(1e-30, np.abs(b).max(initial=0)), (layers, x.shape)
    wrong = sum(int(((a != 0) & (b == 0)).sum()) for a, b in zip(got, exact))
    return Found(sum(int((b == 0).sum()) for b in exact), wrong, any(k in name for name in names for k in KERNELS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    found = list[Found]()
    for n in range(args.networks):
        found.append(check(np.random.default_rng((args.seed, n))))
        if found[-1].wrong:
            print(f"network {n}: {found[-1].wrong} of {found[-1].zeros} zeros are not 0", flush=True)
    print(f"{len(found)} networks, {sum(f.squares for f in found)} with squares, {sum(f.zeros for f in found)} entries that are 0, "
          f"{sum(f.wrong for f in found)} of them not 0")


if __name__ == "__main__":
    main()
