"""DCGAN (Radford et al. 2015) for 32x32: both networks, and a step that trains first the one and then the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import leptonc
from leptonc import nn, optim
from leptonc import numpy as lnp
from leptonc.bench.cases import EPSILON, SEED
from leptonc.bench.networks.program import Program, drawn, images, weights
from leptonc.bench.peers.common import Step
from leptonc.bench.peers.layers import SLOPE, Layers


class Generator(nn.Module):
    """Images [n, 32, 32, 3] in [-1, 1] of noise [n, 1, 1, latent]."""

    up: list[nn.ConvTranspose]
    norms: list[nn.BatchNorm]
    out: nn.ConvTranspose

    def __init__(self, latent: int, width: int):
        self.up = [nn.ConvTranspose(latent, 4 * width, 4, padding="VALID", use_bias=False),
                   nn.ConvTranspose(4 * width, 2 * width, 4, stride=2, use_bias=False),
                   nn.ConvTranspose(2 * width, width, 4, stride=2, use_bias=False)]
        self.norms = [nn.BatchNorm(4 * width), nn.BatchNorm(2 * width), nn.BatchNorm(width)]
        self.out = nn.ConvTranspose(width, 3, 4, stride=2)

    def __call__(self, z: Any, state: nn.State) -> tuple[Any, nn.State]:
        for up, norm in zip(self.up, self.norms):
            z, state = norm(up(z), state)
            z = nn.relu(z)
        return nn.tanh(self.out(z)), state


class Discriminator(nn.Module):
    """Logits [n, 1, 1, 1] of an image being real."""

    stem: nn.Conv
    down: list[nn.Conv]
    norms: list[nn.BatchNorm]
    out: nn.Conv

    def __init__(self, width: int):
        self.stem = nn.Conv(3, width, 4, stride=2, padding=1)
        self.down = [nn.Conv(width, 2 * width, 4, stride=2, padding=1, use_bias=False),
                     nn.Conv(2 * width, 4 * width, 4, stride=2, padding=1, use_bias=False)]
        self.norms = [nn.BatchNorm(2 * width), nn.BatchNorm(4 * width)]
        self.out = nn.Conv(4 * width, 1, 4, padding="VALID")

    def __call__(self, x: Any, state: nn.State) -> tuple[Any, nn.State]:
        x = nn.leaky_relu(self.stem(x), SLOPE)
        for down, norm in zip(self.down, self.norms):
            x, state = norm(down(x), state)
            x = nn.leaky_relu(x, SLOPE)
        return self.out(x), state


@dataclass(frozen=True)
class DCGAN(Program):
    """The value is the sum of both losses."""

    name: str = "dcgan"
    batch: int = 64
    latent: int = 100
    width: int = 64

    images = True
    rate, beta = 2e-4, 0.5  # of both optimizers, the paper's

    def sizes(self) -> dict[str, Any]:
        return {"batch": 2, "latent": 5, "width": 2}

    def data(self) -> tuple[np.ndarray, ...]:
        """(real images, noise)."""
        noise = np.random.default_rng(SEED + 2).standard_normal((self.batch, 1, 1, self.latent), np.float32)
        return 2 * images((self.batch, 32, 32, 3)) - 1, noise

    def models(self) -> tuple[Generator, Discriminator]:
        return Generator(self.latent, self.width), Discriminator(self.width)

    def start(self) -> Any:
        generator, discriminator = map(drawn, self.models())
        return tuple((model, model.state(), _optimizer().init(model)) for model in (generator, discriminator))

    def step(self, carry: Any, *inputs: Any) -> tuple[Any, Any]:
        (generator, state, moments), (discriminator, judge_state, judge_moments) = carry
        real, noise = inputs
        fake, _ = generator(noise, state)
        (judge_loss, judge_state), grads = leptonc.value_and_grad(_judge_loss, has_aux=True)(discriminator, judge_state, real, fake)
        updates, judge_moments = _optimizer().update(grads, judge_moments, discriminator)
        discriminator = optim.apply_updates(discriminator, updates)
        (loss, (state, judge_state)), grads = leptonc.value_and_grad(_loss, has_aux=True)(
            generator, state, discriminator, judge_state, noise)
        updates, moments = _optimizer().update(grads, moments, generator)
        generator = optim.apply_updates(generator, updates)
        return ((generator, state, moments), (discriminator, judge_state, judge_moments)), judge_loss + loss

    def peer_step(self, system: Any) -> Step:
        step: Step = system.adversarial(self, *map(weights, self.models()), self.data())
        return step

    def peer_generator(self, layers: Layers, z: Any) -> Any:
        for n, (stride, padding) in enumerate(((1, "VALID"), (2, "SAME"), (2, "SAME"))):
            z = layers.relu(layers.batch_norm(f"norms.{n}", layers.conv_transpose(f"up.{n}", z, stride, padding)))
        return layers.tanh(layers.conv_transpose("out", z, 2, "SAME"))

    def peer_discriminator(self, layers: Layers, x: Any) -> Any:
        x = layers.leaky_relu(layers.conv("stem", x, 2, padding=1))
        for n in range(2):
            x = layers.leaky_relu(layers.batch_norm(f"norms.{n}", layers.conv(f"down.{n}", x, 2, padding=1)))
        return layers.conv("out", x)

    def peer_judge_loss(self, layers: Layers, real: Any, fake: Any) -> Any:
        return (layers.binary_cross_entropy(self.peer_discriminator(layers, real), 1.0)
                + layers.binary_cross_entropy(self.peer_discriminator(layers, fake), 0.0))


def _optimizer() -> optim.GradientTransformation:
    return optim.adam(DCGAN.rate, b1=DCGAN.beta, eps=EPSILON)


def _judge_loss(discriminator: Any, state: nn.State, real: Any, fake: Any) -> tuple[Any, nn.State]:
    on_real, state = discriminator(real, state)
    on_fake, state = discriminator(fake, state)
    return _cross_entropy(on_real, 1.0) + _cross_entropy(on_fake, 0.0), state


def _loss(generator: Any, state: nn.State, discriminator: Any, judge_state: nn.State, noise: Any) -> tuple[Any, Any]:
    fake, state = generator(noise, state)
    logits, judge_state = discriminator(fake, judge_state)
    return _cross_entropy(logits, 1.0), (state, judge_state)


def _cross_entropy(logits: Any, target: float) -> Any:
    return nn.binary_cross_entropy_with_logits(logits, lnp.full(logits.shape, target, np.float32))
