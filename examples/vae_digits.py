"""A variational autoencoder (Kingma and Welling 2013) of handwritten digits: two numbers for each picture, and pictures of any two.

``python examples/vae_digits.py [--out out]`` trains for some seconds on two cores, writes a map of the two numbers to
``vae_digits.png``, and prints what it reached: 23.6 nats for a picture it has not seen, where pixels that are independent of each
other have 27.1.
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

BATCH, LATENT, PIXELS = 64, 2, 64


class VAE(nn.Module):
    """Logits of pixels, and the Gaussian that stands for a picture."""

    encoder: nn.MLP
    decoder: nn.MLP

    def __init__(self, hidden: int = 256):
        self.encoder = nn.MLP(PIXELS, [hidden, hidden], 2 * LATENT)
        self.decoder = nn.MLP(LATENT, [hidden, hidden], PIXELS)

    def encode(self, x: Any) -> tuple[Any, Any]:
        """The mean and the log of the variance, each [n, latent], of x [n, pixels]."""
        both = self.encoder(x)
        return both[:, :LATENT], both[:, LATENT:]


def bound(model: VAE, x: Any, key: Any) -> Any:
    """What a picture costs in nats, at most: its pixels by the decoder, and what its Gaussian tells beyond a standard one."""
    mean, log_var = model.encode(x)
    z = mean + lnp.exp(log_var / 2) * random.normal(key, mean.shape)
    pixels = nn.binary_cross_entropy_with_logits(model.decoder(z), x, reduction="sum")
    told = lnp.sum(lnp.exp(log_var) + mean**2 - 1 - log_var) / 2
    return (pixels + told) / x.shape[0]


def train(model: VAE, x: np.ndarray, epochs: int, chunk: int = 50, seed: int = 0) -> tuple[VAE, list[float]]:
    """The trained model, and the mean bound of each ``chunk`` of epochs, which is one call."""
    steps = len(x) // BATCH
    optimizer = optim.adam(optim.cosine_decay_schedule(2e-3, epochs * steps))

    def step(carry: Any, batch: Any) -> Any:
        model, state = carry
        value, grads = leptonc.value_and_grad(bound)(model, *batch)
        updates, state = optimizer.update(grads, state, model)
        return (optim.apply_updates(model, updates), state), value

    rng, losses, carry = np.random.default_rng(seed), [], (model, optimizer.init(model))
    for key in random.split(random.key(seed), epochs // chunk):
        order = np.concatenate([rng.permutation(len(x))[:steps * BATCH] for _ in range(chunk)]).reshape(-1, BATCH)
        carry, values = lax.scan(step, carry, (x[order], random.split(key, len(order))))
        losses.append(float(np.mean(values)))
        print(f"{losses[-1]:.2f} nats in training", flush=True)
    return carry[0], losses


def cost(model: VAE, x: np.ndarray, draws: int = 20, seed: int = 1) -> float:
    """The mean bound over some draws."""
    keys = random.split(random.key(seed), draws)
    return float(np.mean(lax.scan(lambda carry, key: (carry, bound(model, x, key)), (), keys)[1]))


def cost_of_independent_pixels(training: np.ndarray, x: np.ndarray) -> float:
    """Of each pixel by its mean in training."""
    mean = np.clip(training.mean(0), 1e-3, 1 - 1e-3)
    return float(-(x * np.log(mean) + (1 - x) * np.log1p(-mean)).sum(1).mean())


def map_of_digits(model: VAE, side: int = 15) -> np.ndarray:
    """f32[side * side, 8, 8]: pictures of places from -2.5 to 2.5."""
    line = np.linspace(-2.5, 2.5, side, dtype=np.float32)
    places = np.stack(np.meshgrid(line, line), -1).reshape(-1, LATENT)
    return np.asarray(nn.sigmoid(model.decoder(places))).reshape(-1, 8, 8)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Train a variational autoencoder on handwritten digits.")
    parser.add_argument("--out", type=Path, default=Path("out"), help="where the picture goes (default out)")
    options = parser.parse_args(arguments)
    training, validation = (digits_data.load_data(part)[0].reshape(-1, PIXELS) for part in ("train", "validation"))
    model, _ = train(VAE().init(random.key(0)), training, 300)
    print(f"{cost(model, validation):.2f} nats for a picture it has not seen, "
          f"{cost_of_independent_pixels(training, validation):.2f} by independent pixels")
    tiles.save(options.out / "vae_digits.png", map_of_digits(model), 15)


if __name__ == "__main__":
    main()
