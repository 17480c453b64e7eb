"""ResNet-20 with batch norm learns what clothes look like.

``python examples/resnet_fashion.py`` trains for two epochs over 25,600 pictures of Fashion-MNIST (Debian's package
dataset-fashion-mnist) and prints what it reached: 0.884 of the pictures it has not seen. Without that package it learns the digits
of scikit-learn, 0.99 of them.

The running statistics of the batch norms are a ``State``, which goes into the step and comes out of it beside the model.
"""

from __future__ import annotations

from typing import Any

import fashion_data
import numpy as np

import leptonc
from leptonc import lax, nn, optim, random

BATCH, TRAINED_ON = 64, 25_600


class Block(nn.Module):
    """Two convolutions beside a way around them."""

    conv1: nn.Conv
    norm1: nn.BatchNorm
    conv2: nn.Conv
    norm2: nn.BatchNorm
    around: nn.Conv | None

    def __init__(self, inputs: int, outputs: int, stride: int):
        self.conv1 = nn.Conv(inputs, outputs, 3, stride=stride, padding=1, use_bias=False)
        self.conv2 = nn.Conv(outputs, outputs, 3, padding=1, use_bias=False)
        self.norm1, self.norm2 = nn.BatchNorm(outputs), nn.BatchNorm(outputs)
        self.around = nn.Conv(inputs, outputs, 1, stride=stride) if stride > 1 else None

    def __call__(self, x: Any, state: nn.State) -> tuple[Any, nn.State]:
        y, state = self.norm1(self.conv1(x), state)
        y, state = self.norm2(self.conv2(nn.relu(y)), state)
        return nn.relu(y + (x if self.around is None else self.around(x))), state


class ResNet(nn.Module):
    """Logits of images; three stages of ``depth`` blocks, each stage at half the size and twice the channels."""

    stem: nn.Conv
    norm: nn.BatchNorm
    blocks: list[Block]
    out: nn.Linear

    def __init__(self, width: int = 16, depth: int = 3, classes: int = 10):
        self.stem, self.norm = nn.Conv(1, width, 3, padding=1, use_bias=False), nn.BatchNorm(width)
        starts = [(width, width, 1), (width, 2 * width, 2), (2 * width, 4 * width, 2)]
        self.blocks = [block for inputs, outputs, stride in starts for block in
                       (Block(inputs, outputs, stride), *(Block(outputs, outputs, 1) for _ in range(depth - 1)))]
        self.out = nn.Linear(4 * width, classes)

    def __call__(self, x: Any, state: nn.State) -> tuple[Any, nn.State]:
        x, state = self.norm(self.stem(x), state)
        x = nn.relu(x)
        for block in self.blocks:
            x, state = block(x, state)
        return self.out(nn.global_avg_pool(x)), state


def loss(model: ResNet, state: nn.State, x: Any, y: Any) -> tuple[Any, nn.State]:
    logits, state = model(x, state)
    return nn.cross_entropy(logits, y), state


def moved(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each picture by up to a pixel down or up and right or left."""
    height, width = x.shape[1:3]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    down, right = rng.integers(0, 3, (2, len(x), 1, 1))
    return padded[np.arange(len(x))[:, None, None], down + np.arange(height)[:, None], right + np.arange(width)]


def train(model: ResNet, x: np.ndarray, y: np.ndarray, epochs: int, seed: int = 0) -> tuple[ResNet, nn.State, list[float]]:
    """The trained model, its running statistics, and the mean loss of each epoch, which is one call."""
    steps = len(x) // BATCH
    optimizer = optim.adamw(optim.warmup_cosine_decay_schedule(0.0, 4e-3, steps // 4, epochs * steps), weight_decay=1e-3)

    def step(carry: Any, batch: Any) -> Any:
        model, state, moments = carry
        (value, state), grads = leptonc.value_and_grad(loss, has_aux=True)(model, state, *batch)
        updates, moments = optimizer.update(grads, moments, model)
        return (optim.apply_updates(model, updates), state, moments), value

    rng, losses, carry = np.random.default_rng(seed), [], (model, model.state(), optimizer.init(model))
    for _ in range(epochs):
        order = rng.permutation(len(x))[:steps * BATCH].reshape(steps, BATCH)
        carry, values = lax.scan(step, carry, (moved(x[order.ravel()], rng).reshape(*order.shape, *x.shape[1:]), y[order]))
        losses.append(float(np.mean(values)))
        print(f"loss {losses[-1]:.3f} in training", flush=True)
    return carry[0], carry[1], losses


def accuracy(model: ResNet, state: nn.State, x: np.ndarray, y: np.ndarray) -> float:
    """By the running statistics."""
    predict = leptonc.jit(lambda model, state, x: model(x, state)[0].argmax(-1))
    judge, size = nn.inference_mode(model), min(BATCH, len(x))
    whole = range(0, len(x) - size + 1, size)
    return float(np.mean([np.asarray(predict(judge, state, x[n:n + size])) == y[n:n + size] for n in whole]))


def main() -> None:
    x, y = fashion_data.load_data("train")
    epochs = 2 if fashion_data.is_there() else 30
    model, state, _ = train(ResNet().init(random.key(0)), x[:TRAINED_ON], y[:TRAINED_ON], epochs)
    print(f"{accuracy(model, state, *fashion_data.load_data('validation')):.4f} of the pictures it has not seen")


if __name__ == "__main__":
    main()
