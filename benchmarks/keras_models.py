"""Networks for keras_fit.py, each built with the Keras it is given, and the data of an epoch.

Weights and data are drawn by NumPy, so each backend begins with the same numbers and can be asked for the same loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

WORDS, LENGTH = 20_000, 80  # of the text classifier
SYMBOLS, CONTEXT = 64, 128  # of the transformer
NOISE = 100
RATE = 1e-3
Draw = Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]


def program(keras: Any) -> Any:
    """The network of examples/keras_faces.py."""
    layers = keras.layers
    return keras.Sequential([
        keras.Input((224, 224, 3)), layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(2),
        layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(128, activation="relu"),
        layers.Dense(2, activation="softmax")])


def lenet(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential([
        keras.Input((28, 28, 1)), layers.Conv2D(6, 5, padding="same", activation="relu"), layers.MaxPooling2D(2),
        layers.Conv2D(16, 5, activation="relu"), layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(120, activation="relu"),
        layers.Dense(84, activation="relu"), layers.Dense(10, activation="softmax")])


def text(keras: Any) -> Any:
    """Keras's own first LSTM: is a review a good one?"""
    layers = keras.layers
    return keras.Sequential([
        keras.Input((LENGTH,), dtype="int32"), layers.Embedding(WORDS, 128), layers.LSTM(128),
        layers.Dense(2, activation="softmax")])


def resnet20(keras: Any) -> Any:
    """He et al. 2015, section 4.2, of 3 x 3 blocks and 16, 32 and 64 channels."""
    layers = keras.layers

    def normal(x: Any, channels: int, stride: int = 1, taps: int = 3) -> Any:
        return layers.BatchNormalization()(layers.Conv2D(channels, taps, stride, padding="same", use_bias=False)(x))

    inputs = keras.Input((32, 32, 3))
    x = layers.ReLU()(normal(inputs, 16))
    for channels in (16, 32, 64):
        for block in range(3):
            stride = 2 if channels > 16 and block == 0 else 1
            h = normal(layers.ReLU()(normal(x, channels, stride)), channels)
            x = layers.ReLU()(layers.add([h, x if stride == 1 else normal(x, channels, stride, 1)]))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


def transformer(keras: Any) -> Any:
    """Two blocks of width 128 with four heads, that say at each of 128 places what comes next."""
    layers = keras.layers
    inputs = keras.Input((CONTEXT,), dtype="int32")
    x = layers.Embedding(SYMBOLS, 128)(inputs)
    for _ in range(2):
        h = layers.LayerNormalization()(x)
        x = layers.add([x, layers.MultiHeadAttention(4, 32)(h, h, use_causal_mask=True)])
        h = layers.Dense(512, activation="gelu")(layers.LayerNormalization()(x))
        x = layers.add([x, layers.Dense(128)(h)])
    return keras.Model(inputs, layers.Dense(SYMBOLS, activation="softmax")(layers.LayerNormalization()(x)))


def generator(keras: Any) -> Any:
    layers = keras.layers
    up = [layer for channels in (128, 64)
          for layer in (layers.Conv2DTranspose(channels, 4, 2, padding="same", use_bias=False), layers.BatchNormalization(),
                        layers.ReLU())]
    return keras.Sequential([
        keras.Input((NOISE,)), layers.Dense(4 * 4 * 256, use_bias=False), layers.Reshape((4, 4, 256)),
        layers.BatchNormalization(), layers.ReLU(), *up, layers.Conv2DTranspose(3, 4, 2, padding="same", activation="tanh")])


def discriminator(keras: Any) -> Any:
    layers = keras.layers
    down = [layer for channels in (64, 128, 256)
            for layer in (layers.Conv2D(channels, 4, 2, padding="same"), layers.LeakyReLU(0.2))]
    return keras.Sequential([keras.Input((32, 32, 3)), *down, layers.Flatten(), layers.Dense(1)])


def dcgan(keras: Any) -> Any:
    """Radford et al. 2015. Both gradients are of the weights before the step, so no network runs twice on the same pictures."""
    steps = {"leptonc": _leptonc_step, "jax": _jax_step, "tensorflow": _tensorflow_step, "torch": _torch_step}

    class DCGAN(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.generator, self.discriminator = generator(keras), discriminator(keras)
            self.tracker = keras.metrics.Mean("loss")
            self.built = True

        def call(self, noise: Any) -> Any:
            return self.generator(noise)

        def losses_of(self, drawn: Any, real: Any) -> tuple[Any, Any]:
            """What the generator minimizes, and the discriminator, of their logits."""
            softplus, mean = keras.ops.softplus, keras.ops.mean
            return mean(softplus(-drawn)), mean(softplus(drawn)) + mean(softplus(-real))

        @property
        def metrics(self) -> list[Any]:
            return [self.tracker]

        train_step = steps[keras.config.backend()](keras)

    return DCGAN()


def _pure(model: Any, drawing: Any, telling: Any, means: Any, noise: Any, real: Any) -> Any:
    """Both losses and the new running means, of weights that are arguments."""
    pictures, changed = model.generator.stateless_call(drawing, means, noise, training=True)
    told = [model.discriminator.stateless_call(telling, [], x, training=True)[0] for x in (pictures, real)]
    return model.losses_of(*told), changed


def _slopes(autodiff: Any, model: Any, drawing: Any, telling: Any, means: Any, noise: Any, real: Any) -> Any:
    """(loss, new running means, gradients of both networks' weights)."""
    def draw(drawing: Any) -> Any:
        (loss, _), changed = _pure(model, drawing, telling, means, noise, real)
        return loss, changed

    def tell(telling: Any) -> Any:
        return _pure(model, drawing, telling, means, noise, real)[0][1]

    (_, changed), to_draw = autodiff.value_and_grad(draw, has_aux=True)(drawing)
    loss, to_tell = autodiff.value_and_grad(tell)(telling)
    return loss, changed, [*to_draw, *to_tell]


def _leptonc_step(keras: Any) -> Callable[..., Any]:
    import leptonc

    def train_step(self: Any, data: Any) -> dict[str, Any]:
        drawing, telling = ([v.value for v in n.trainable_variables] for n in (self.generator, self.discriminator))
        means = [v.value for v in self.generator.non_trainable_variables]
        loss, changed, slopes = _slopes(leptonc, self, drawing, telling, means, *data[:2])
        for variable, value in zip(self.generator.non_trainable_variables, changed):
            variable.assign(value)
        self.optimizer.apply(slopes, self.trainable_variables)
        self.tracker.update_state(loss)
        return {"loss": self.tracker.result()}

    return train_step


def _jax_step(keras: Any) -> Callable[..., Any]:
    import jax

    def train_step(self: Any, state: Any, data: Any) -> Any:
        weights, means, moments, counts = state
        cut = len(self.generator.trainable_variables)
        loss, changed, slopes = _slopes(jax, self, weights[:cut], weights[cut:], means, *data[:2])
        weights, moments = self.optimizer.stateless_apply(moments, slopes, weights)
        counts = self.tracker.stateless_update_state(counts, loss)
        return {"loss": self.tracker.stateless_result(counts)}, (weights, changed, moments, counts)

    return train_step


def _tensorflow_step(keras: Any) -> Callable[..., Any]:
    import tensorflow as tf

    def train_step(self: Any, data: Any) -> dict[str, Any]:
        noise, real = data[:2]
        with tf.GradientTape(persistent=True) as tape:
            pictures = self.generator(noise, training=True)
            to_draw, loss = self.losses_of(self.discriminator(pictures, training=True), self.discriminator(real, training=True))
        slopes = [g for n, of in ((self.generator, to_draw), (self.discriminator, loss))
                  for g in tape.gradient(of, [v.value for v in n.trainable_variables])]
        self.optimizer.apply(slopes, self.trainable_variables)
        self.tracker.update_state(loss)
        return {"loss": self.tracker.result()}

    return train_step


def _torch_step(keras: Any) -> Callable[..., Any]:
    import torch

    def train_step(self: Any, data: Any) -> dict[str, Any]:
        noise, real = data[:2]
        pictures = self.generator(noise, training=True)
        to_draw, loss = self.losses_of(self.discriminator(pictures, training=True), self.discriminator(real, training=True))
        drawing, telling = ([v.value for v in n.trainable_variables] for n in (self.generator, self.discriminator))
        slopes = [*torch.autograd.grad(to_draw, drawing, retain_graph=True), *torch.autograd.grad(loss, telling)]
        with torch.no_grad():
            self.optimizer.apply(slopes, self.trainable_variables)
        self.tracker.update_state(loss.detach())
        return {"loss": self.tracker.result()}

    return train_step


def _pictures(size: int, channels: int, classes: int) -> Draw:
    def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        return rng.random((n, size, size, channels), dtype=np.float32), rng.integers(0, classes, n, np.int32)

    return draw


def _reviews(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.integers(1, WORDS, (n, LENGTH), np.int32), rng.integers(0, 2, n, np.int32)


def _stretches(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    rows = rng.integers(0, SYMBOLS, (n, CONTEXT + 1), np.int32)
    return rows[:, :-1].copy(), rows[:, 1:].copy()


def _noise_and_pictures(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_normal((n, NOISE), dtype=np.float32), rng.random((n, 32, 32, 3), dtype=np.float32) * 2 - 1


class Case(NamedTuple):
    """A network, what draws its data, pictures or rows in a batch, and batches in an epoch."""

    build: Callable[[Any], Any]
    draw: Draw
    batch: int
    batches: int


CASES = {
    "program": Case(program, _pictures(224, 3, 2), 32, 8),
    "lenet": Case(lenet, _pictures(28, 1, 10), 32, 60),
    "lenet-b1": Case(lenet, _pictures(28, 1, 10), 1, 1000),
    "text": Case(text, _reviews, 32, 40),
    "dcgan": Case(dcgan, _noise_and_pictures, 64, 10),
    "resnet20": Case(resnet20, _pictures(32, 3, 10), 64, 20),
    "transformer": Case(transformer, _stretches, 16, 20),
}


def _drawn(value: np.ndarray, rng: np.random.Generator, deviation: float | None) -> np.ndarray:
    """Kernels by fan-in or the deviation that is given; what has one axis stays."""
    if value.ndim < 2:
        return value
    fan_in = int(np.prod(value.shape[:-1])) if value.shape[0] < 1000 else 1  # a table of words is read, not multiplied
    return (rng.standard_normal(value.shape) * (deviation or np.sqrt(1 / fan_in))).astype(np.float32)


def compiled(case: str, keras: Any) -> tuple[Any, np.ndarray, np.ndarray]:
    """The model, with Adam and a loss, and what an epoch reads."""
    build, draw, batch, batches = CASES[case]
    rng = np.random.default_rng(0)
    model = build(keras)
    if case == "dcgan":
        for network in (model.generator, model.discriminator):
            network.set_weights([_drawn(w, rng, 0.02) for w in network.get_weights()])
        model.compile(optimizer=keras.optimizers.Adam(RATE))
    else:
        model.set_weights([_drawn(w, rng, None) for w in model.get_weights()])
        model.compile(optimizer=keras.optimizers.Adam(RATE), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, *draw(rng, batch * batches)
