"""The networks that are timed, as data: what every system builds its own version of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np

LEARNING_RATE = 1e-3
EPSILON = 1e-8
SEED = 0


@dataclass(frozen=True)
class Layer:
    """``kind``: "conv" (3x3, ReLU), "pool" (2x2 maximum), "dense" (ReLU unless it is the last); ``units``: channels out;
    ``padding``: cells around the image before a convolution."""

    kind: str
    units: int = 0
    padding: int = 0


@dataclass(frozen=True)
class Case:
    """``input``: the shape of one example, (height, width, channels) or (features,). ``training``: a step of training, else the
    forward pass alone."""

    name: str
    batch: int
    input: tuple[int, ...]
    layers: tuple[Layer, ...]
    training: bool = True

    @property
    def images(self) -> bool:
        """Whether systems have a choice of layouts."""
        return len(self.input) == 3

    @property
    def batch_bytes(self) -> int:
        """Of the inputs."""
        return 4 * self.batch * prod(self.input)

    @property
    def classes(self) -> int:
        return self.layers[-1].units

    def shapes(self) -> list[tuple[int, ...]]:
        """The shape of an example before each layer, and after the last."""
        shape, out = self.input, [self.input]
        for layer in self.layers:
            shape = _after(layer, shape)
            out.append(shape)
        return out

    def kernels(self) -> list[tuple[int, ...]]:
        """Kernel shapes, [3, 3, in, out] and [in, out], of the layers that have one."""
        out: list[tuple[int, ...]] = []
        for layer, shape in zip(self.layers, self.shapes()):
            if layer.kind == "conv":
                out.append((3, 3, shape[-1], layer.units))
            elif layer.kind == "dense":
                out.append((prod(shape), layer.units))
        return out

    def weights(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The initial (kernel, bias) of each layer that has one: Glorot-uniform and zero, f32."""
        rng = np.random.default_rng(SEED)
        out = []
        for shape in self.kernels():
            limit = (6 / (prod(shape[:-2]) * (shape[-2] + shape[-1]))) ** 0.5
            out.append((rng.uniform(-limit, limit, shape).astype(np.float32), np.zeros(shape[-1], np.float32)))
        return out

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """(x, class of each example): one batch, used at every step."""
        rng = np.random.default_rng(SEED + 1)
        return rng.random((self.batch, *self.input), np.float32), rng.integers(0, self.classes, self.batch)

    def flops(self) -> int:
        """Multiply-adds, each counted as two: of forward, and in training of input gradient (not of the first layer) and weight
        gradient."""
        total, first = 0, True
        for layer, before, after in zip(self.layers, self.shapes(), self.shapes()[1:]):
            if layer.kind == "pool":
                continue
            taps = 9 * before[-1] if layer.kind == "conv" else prod(before)
            total += 2 * self.batch * prod(after) * taps * (1 if not self.training else 2 if first else 3)
            first = False
        return total


def _after(layer: Layer, shape: tuple[int, ...]) -> tuple[int, ...]:
    if layer.kind == "conv":
        return (shape[0] - 2 + 2 * layer.padding, shape[1] - 2 + 2 * layer.padding, layer.units)
    return (shape[0] // 2, shape[1] // 2, shape[2]) if layer.kind == "pool" else (layer.units,)


def _cnn(classes: int) -> tuple[Layer, ...]:
    return (Layer("conv", 32), Layer("pool"), Layer("conv", 64), Layer("pool"), Layer("dense", 128), Layer("dense", classes))


def _vgg(classes: int) -> tuple[Layer, ...]:
    convolutions = [layer for units in (32, 64, 128) for layer in (Layer("conv", units, 1), Layer("conv", units, 1), Layer("pool"))]
    return (*convolutions, Layer("dense", 128), Layer("dense", classes))


_STEPS = (
    Case("seed-224", 32, (224, 224, 3), _cnn(2)),
    Case("lenet-28", 64, (28, 28, 1), _cnn(10)),
    Case("lenet-28-b1", 1, (28, 28, 1), _cnn(10)),
    Case("vgg-small", 64, (32, 32, 3), _vgg(10)),
    Case("mlp", 128, (784,), (Layer("dense", 512), Layer("dense", 512), Layer("dense", 10))),
)


def _forward(case: Case, batch: int) -> Case:
    return replace(case, name=f"{case.name.removesuffix('-b1')}-forward-b{batch}", batch=batch, training=False)


_FORWARD = tuple(_forward(case, batch) for case, batch in ((_STEPS[0], 32), (_STEPS[0], 1), (_STEPS[1], 64), (_STEPS[1], 1),
                                                           (_STEPS[3], 64)))

CASES = {case.name: case for case in (*_STEPS, *_FORWARD)}

TINY = Case("tiny", 4, (12, 12, 1), (Layer("conv", 4), Layer("pool"), Layer("dense", 3)))
"""For tests of the harness."""

TINY_FORWARD = replace(TINY, name="tiny-forward", training=False)
