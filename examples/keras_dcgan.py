"""A DCGAN (Radford et al. 2015) in Keras, with a training step of its own: one network draws digits, one tells them from real ones.

    python examples/keras_dcgan.py [--epochs 40] [--out out]

The step has two losses with two gradients, which ``fit`` runs as one compiled function. One optimizer updates both networks.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import tiles
from digits_data import load_data

import leptonc
from leptonc import keras
from leptonc.keras import layers, ops

NOISE = 16


def generator() -> keras.Model:
    return keras.Sequential([
        layers.Input((NOISE,)),
        layers.Dense(2 * 2 * 64, use_bias=False), layers.Reshape((2, 2, 64)), layers.BatchNormalization(), layers.ReLU(),
        layers.Conv2DTranspose(32, 4, 2, padding="same", use_bias=False), layers.BatchNormalization(), layers.ReLU(),
        layers.Conv2DTranspose(1, 4, 2, padding="same", activation="sigmoid"),
    ], name="generator")


def discriminator() -> keras.Model:
    """Logits: above 0 for what it takes for real."""
    return keras.Sequential([
        layers.Input((8, 8, 1)),
        layers.Conv2D(32, 4, 2, padding="same"), layers.LeakyReLU(0.2),
        layers.Conv2D(64, 4, 2, padding="same"), layers.LeakyReLU(0.2),
        layers.Flatten(), layers.Dropout(0.3), layers.Dense(1),
    ], name="discriminator")


class DCGAN(keras.Model):
    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.generator, self.discriminator = generator(), discriminator()
        self.seed_generator = keras.random.SeedGenerator(0)
        self.drawing, self.telling = (keras.metrics.Mean(name) for name in ("generator_loss", "discriminator_loss"))
        self.built = True

    def call(self, noise: Any) -> Any:
        return self.generator(noise)

    def train_step(self, real: Any) -> dict[str, Any]:
        """It reads and assigns the variables; what they are after it is the state that leptonc carries on."""
        weights = [[v.value for v in network.trainable_variables] for network in (self.generator, self.discriminator)]
        noise = keras.random.normal((real.shape[0], NOISE), seed=self.seed_generator)
        found = [leptonc.value_and_grad(loss, argnum, has_aux=True)(*weights, real, noise)
                 for argnum, loss in enumerate((self.to_draw, self.to_tell))]
        for ((_, changed), _), network in zip(found, (self.generator, self.discriminator)):
            for variable, value in zip(network.non_trainable_variables, changed):
                variable.assign(value)
        self.optimizer.apply([g for _, slopes in found for g in slopes], self.trainable_variables)
        for metric, ((loss, _), _) in zip((self.drawing, self.telling), found):
            metric.update_state(loss)
        return {metric.name: metric.result() for metric in (self.drawing, self.telling)}

    def drawn(self, drawing: Any, noise: Any) -> Any:
        state = [v.value for v in self.generator.non_trainable_variables]
        return self.generator.stateless_call(drawing, state, noise, training=True)

    def told(self, telling: Any, pictures: Any) -> Any:
        state = [v.value for v in self.discriminator.non_trainable_variables]
        return self.discriminator.stateless_call(telling, state, pictures, training=True)

    def to_draw(self, drawing: Any, telling: Any, real: Any, noise: Any) -> Any:
        """The generator's loss, low where its pictures pass for real, and its running means."""
        pictures, changed = self.drawn(drawing, noise)
        return ops.mean(ops.softplus(-self.told(telling, pictures)[0])), changed

    def to_tell(self, drawing: Any, telling: Any, real: Any, noise: Any) -> Any:
        """The discriminator's loss, low where it is right, and the state of its dropout."""
        pictures = ops.concatenate([self.drawn(drawing, noise)[0], real])
        logits, changed = self.told(telling, pictures)
        signs = np.repeat(np.float32([1, -1]), real.shape[0])[:, None]
        return ops.mean(ops.softplus(signs * logits)), changed


def main(arguments: list[str] | None = None) -> tuple[float, float]:
    """Returns how far the mean drawn picture is from the mean real one, before and after training."""
    parser = argparse.ArgumentParser(description="Learn to draw handwritten digits against a critic.")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path("out"), help="where the pictures go (default out)")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(0)
    real, _ = load_data("train")
    noise = np.random.default_rng(0).normal(size=(128, NOISE)).astype(np.float32)
    model = DCGAN()
    model.compile(optimizer=keras.optimizers.Adam(1e-3, beta_1=0.5))

    def distance() -> float:
        return float(np.abs(model.predict(noise, verbose=0).mean(0) - real.mean(0)).mean())

    before = distance()
    model.fit(real, batch_size=32, epochs=options.epochs, verbose=2)
    after = distance()
    path = options.out / "keras_dcgan.png"
    tiles.save(path, model.predict(noise, verbose=0)[:32, ..., 0], columns=8)
    print(f"the mean drawn picture is {before:.3f} from the mean real one before, {after:.3f} after training; drawn: {path}")
    return before, after


if __name__ == "__main__":
    main()
