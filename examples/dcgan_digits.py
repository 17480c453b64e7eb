"""A DCGAN (Radford et al. 2015) draws handwritten digits: two networks, each trained against the other in one compiled step.

``python examples/dcgan_digits.py [--out out]`` trains for a minute or two on two cores, writes what it draws to
``dcgan_digits.png``, and prints what it reached: how many of 500 drawings a small classifier, trained on the real digits, takes for
each digit, from 31 to 74.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import digits_data
import numpy as np
import tiles

import leptonc
from leptonc import lax, nn, optim, random
from leptonc import numpy as lnp

BATCH, LATENT = 64, 32


class Generator(nn.Module):
    """Pictures [n, 8, 8, 1] in [-1, 1] of noise [n, latent]."""

    start: nn.Linear
    up: list[nn.ConvTranspose]
    norms: list[nn.BatchNorm]
    out: nn.Conv
    width: int

    def __init__(self, width: int):
        self.width = width
        self.start = nn.Linear(LATENT, 4 * 2 * width)
        self.up = [nn.ConvTranspose(2 * width, width, 4, stride=2), nn.ConvTranspose(width, width, 4, stride=2)]
        self.norms = [nn.BatchNorm(2 * width), nn.BatchNorm(width), nn.BatchNorm(width)]
        self.out = nn.Conv(width, 1, 3)

    def __call__(self, z: Any, state: nn.State) -> tuple[Any, nn.State]:
        x, state = self.norms[0](self.start(z).reshape((-1, 2, 2, 2 * self.width)), state)
        for up, norm in zip(self.up, self.norms[1:]):
            x, state = norm(up(nn.relu(x)), state)
        return nn.tanh(self.out(nn.relu(x))), state


class Discriminator(nn.Module):
    """Logits [n] of pictures being real."""

    down: list[nn.Conv]
    out: nn.Linear

    def __init__(self, width: int):
        self.down = [nn.Conv(1, width, 4, stride=2, padding=1), nn.Conv(width, 2 * width, 4, stride=2, padding=1)]
        self.out = nn.Linear(8 * width, 1)

    def __call__(self, x: Any) -> Any:
        for conv in self.down:
            x = nn.leaky_relu(conv(x), 0.2)
        return self.out(x.reshape((x.shape[0], -1)))[:, 0]


def optimizer() -> optim.GradientTransformation:
    return optim.adam(5e-4, b1=0.5)


def critic_loss(critic: Discriminator, real: Any, fake: Any) -> Any:
    """Real ones are real up to a tenth (Salimans et al. 2016), drawn ones are not."""
    on_real, on_fake = critic(real), critic(fake)
    return (nn.binary_cross_entropy_with_logits(on_real, lnp.full_like(on_real, 0.9))
            + nn.binary_cross_entropy_with_logits(on_fake, lnp.zeros_like(on_fake)))


def generator_loss(generator: Generator, state: nn.State, critic: Discriminator, z: Any) -> tuple[Any, nn.State]:
    fake, state = generator(z, state)
    logits = critic(fake)
    return nn.binary_cross_entropy_with_logits(logits, lnp.ones_like(logits)), state


def updated(model: Any, grads: Any, moments: Any) -> tuple[Any, Any]:
    updates, moments = optimizer().update(grads, moments, model)
    return optim.apply_updates(model, updates), moments


def step(carry: Any, at: Any) -> Any:
    """First the discriminator on real and drawn pictures, then the generator against it."""
    (generator, state, moments), (critic, critic_moments) = carry
    real, key = at
    z = random.normal(key, (BATCH, LATENT))
    fake, _ = generator(z, state)
    critic_value, grads = leptonc.value_and_grad(critic_loss)(critic, real, fake)
    critic, critic_moments = updated(critic, grads, critic_moments)
    (value, state), grads = leptonc.value_and_grad(generator_loss, has_aux=True)(generator, state, critic, z)
    generator, moments = updated(generator, grads, moments)
    return ((generator, state, moments), (critic, critic_moments)), (critic_value, value)


def train(generator: Generator, critic: Discriminator, x: np.ndarray, epochs: int, chunk: int = 50,
          seed: int = 0) -> tuple[Generator, nn.State, list[tuple[float, float]]]:
    """The trained generator, its running statistics, and both mean losses of each ``chunk`` of epochs, which is one call."""
    rng, losses = np.random.default_rng(seed), []
    carry = (generator, generator.state(), optimizer().init(generator)), (critic, optimizer().init(critic))
    for key in random.split(random.key(seed), epochs // chunk):
        order = np.concatenate([rng.permutation(len(x))[:len(x) // BATCH * BATCH] for _ in range(chunk)]).reshape(-1, BATCH)
        carry, values = lax.scan(step, carry, (2 * x[order] - 1, random.split(key, len(order))))
        losses.append((float(np.mean(values[0])), float(np.mean(values[1]))))
        print(f"losses {losses[-1][0]:.3f} of the discriminator, {losses[-1][1]:.3f} of the generator", flush=True)
    return *carry[0][:2], losses


def draw(generator: Generator, state: nn.State, count: int, seed: int = 1) -> np.ndarray:
    """f32[count, 8, 8, 1] in [0, 1], by the running statistics."""
    z = random.normal(random.key(seed), (count, LATENT))
    return (np.asarray(nn.inference_mode(generator)(z, state)[0]) + 1) / 2


def classifier(x: np.ndarray, y: np.ndarray, epochs: int = 40, seed: int = 0) -> nn.Sequential:
    """A small CNN that knows the real digits."""
    model = nn.Sequential([nn.Conv(1, 16, 3), nn.relu, lambda x: nn.max_pool(x, 2), nn.Conv(16, 32, 3), nn.relu,
                           nn.global_avg_pool, nn.Linear(32, 10)]).init(random.key(seed))
    adam = optim.adam(3e-3)

    def step(carry: Any, batch: Any) -> Any:
        model, moments = carry
        grads = leptonc.grad(lambda model, x, y: nn.cross_entropy(model(x), y))(model, *batch)
        updates, moments = adam.update(grads, moments, model)
        return (optim.apply_updates(model, updates), moments), ()

    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(len(x))[:len(x) // BATCH * BATCH] for _ in range(epochs)]).reshape(-1, BATCH)
    return lax.scan(step, (model, adam.init(model)), (x[order], y[order]))[0][0]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Train two networks that draw handwritten digits.")
    parser.add_argument("--out", type=Path, default=Path("out"), help="where the picture goes (default out)")
    options = parser.parse_args(arguments)
    x, y = digits_data.load_data("train")
    judge = classifier(x, y)
    known = (np.asarray(judge(digits_data.load_data("validation")[0])).argmax(1) == digits_data.load_data("validation")[1]).mean()
    generator, state, _ = train(Generator(32).init(random.key(0)), Discriminator(32).init(random.key(1)), x, 300)
    drawn = draw(generator, state, 500)
    counts = np.bincount(np.asarray(judge(drawn)).argmax(1), minlength=10)
    print(f"of 500 drawings: {', '.join(f'{n} of {digit}' for digit, n in enumerate(counts))} "
          f"(by a classifier that knows {known:.1%} of the real ones)")
    tiles.save(options.out / "dcgan_digits.png", drawn[:160, ..., 0], 16)


if __name__ == "__main__":
    main()
