"""A U-Net (Ronneberger et al. 2015) finds discs, squares and triangles in noisy pictures, pixel by pixel.

``python examples/unet_shapes.py [--out out]`` trains for a minute on two cores, on pictures drawn anew for each step, writes some
of them with what it found to ``unet_shapes.png``, and prints what it reached: 0.94 is the mean overlap of what it found and what is
there (intersection over union) in pictures it has not seen.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import tiles

import leptonc
from leptonc import lax, nn, optim, random
from leptonc import numpy as lnp

SIDE, BATCH, SHAPES = 32, 16, 2
CLASSES = ("nothing", "disc", "square", "triangle")


def pictures(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(f32[count, side, side, 1], i32[count, side, side] classes): two shapes of any brightness, the later before the earlier."""
    y, x = np.mgrid[:SIDE, :SIDE]
    images, classes = np.zeros((count, SIDE, SIDE)), np.zeros((count, SIDE, SIDE), np.int32)
    for n in range(count):
        for _ in range(SHAPES):
            kind, size = rng.integers(1, 4), rng.uniform(3, 7)
            down, right = y - rng.uniform(5, SIDE - 5), x - rng.uniform(5, SIDE - 5)
            inside = {1: down**2 + right**2 < size**2, 2: np.maximum(abs(down), abs(right)) < 0.85 * size,
                      3: (down < 0.7 * size) & (2 * abs(right) - down < 0.9 * size)}[int(kind)]
            images[n][inside], classes[n][inside] = rng.uniform(0.5, 1), kind
    return (images + rng.normal(0, 0.15, images.shape)).astype(np.float32)[..., None], classes


class Pair(nn.Module):
    """Two convolutions."""

    first: nn.Conv
    second: nn.Conv

    def __init__(self, inputs: int, outputs: int):
        self.first, self.second = nn.Conv(inputs, outputs, 3), nn.Conv(outputs, outputs, 3)

    def __call__(self, x: Any) -> Any:
        return nn.relu(self.second(nn.relu(self.first(x))))


class UNet(nn.Module):
    """Logits of each pixel. Down by pools, up by transposed convolutions, and each level's features go across."""

    down: list[Pair]
    up: list[nn.ConvTranspose]
    merge: list[Pair]
    out: nn.Conv

    def __init__(self, widths: tuple[int, ...]):
        self.down = [Pair(inputs, outputs) for inputs, outputs in zip((1, *widths), widths)]
        self.up = [nn.ConvTranspose(low, high, 2, stride=2) for low, high in zip(widths[1:], widths)]
        self.merge = [Pair(2 * width, width) for width in widths[:-1]]
        self.out = nn.Conv(widths[0], len(CLASSES), 1)

    def __call__(self, x: Any) -> Any:
        across = []
        for pair in self.down[:-1]:
            across.append(pair(x))
            x = nn.max_pool(across[-1], 2)
        x = self.down[-1](x)
        for up, merge in zip(self.up[::-1], self.merge[::-1]):
            x = merge(lnp.concatenate([across.pop(), up(x)], -1))
        return self.out(x)


def loss(model: UNet, x: Any, classes: Any) -> Any:
    return nn.cross_entropy(model(x), classes)


def train(model: UNet, steps: int, chunk: int = 50, seed: int = 0) -> tuple[UNet, list[float]]:
    """The trained model, and the mean loss of each ``chunk`` of steps, which is one call."""
    optimizer = optim.adam(optim.cosine_decay_schedule(3e-3, steps))

    def step(carry: Any, batch: Any) -> Any:
        model, state = carry
        value, grads = leptonc.value_and_grad(loss)(model, *batch)
        updates, state = optimizer.update(grads, state, model)
        return (optim.apply_updates(model, updates), state), value

    rng, losses, carry = np.random.default_rng(seed), [], (model, optimizer.init(model))
    for _ in range(steps // chunk):
        batches = [part.reshape(chunk, BATCH, *part.shape[1:]) for part in pictures(rng, chunk * BATCH)]
        carry, values = lax.scan(step, carry, tuple(batches))
        losses.append(float(np.mean(values)))
        print(f"loss {losses[-1]:.3f} in training", flush=True)
    return carry[0], losses


def found(model: UNet, x: np.ndarray) -> np.ndarray:
    """i[n, side, side] classes."""
    return np.asarray(leptonc.jit(lambda model, x: lnp.argmax(model(x), -1))(model, x))


def overlap(guesses: np.ndarray, classes: np.ndarray) -> float:
    """Intersection over union, the mean over classes."""
    kinds = range(1, len(CLASSES))
    return float(np.mean([((guesses == n) & (classes == n)).sum() / ((guesses == n) | (classes == n)).sum() for n in kinds]))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Train a U-Net on drawn shapes.")
    parser.add_argument("--out", type=Path, default=Path("out"), help="where the picture goes (default out)")
    options = parser.parse_args(arguments)
    model, _ = train(UNet((16, 32, 64)).init(random.key(0)), 1500)
    x, classes = pictures(np.random.default_rng(1), 64)
    guesses = found(model, x)
    print(f"overlap {overlap(guesses, classes):.3f} in pictures it has not seen")
    rows = np.concatenate([x[:12, ..., 0], guesses[:12] / 3, classes[:12] / 3])
    tiles.save(options.out / "unet_shapes.png", rows, 12, zoom=3)


if __name__ == "__main__":
    main()
