"""What Keras leaves to you: a layer of your own, a training step of your own, a training loop of your own.

    python examples/keras_custom.py [--epochs 12]

On handwritten digits. The step and the loop train on pictures that are made harder by their own gradient (the fast gradient sign
method, Goodfellow et al. 2015, arXiv:1412.6572), which no argument of ``fit`` would do.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from digits_data import load_data

import leptonc
from leptonc import keras
from leptonc.keras import layers, ops

BATCH = 32
EPSILON = 0.05


@keras.saving.register_keras_serializable(package="examples")
class Maxout(layers.Layer):
    """The largest of several linear functions, for each unit (Goodfellow et al. 2013, arXiv:1302.4389)."""

    def __init__(self, units: int, pieces: int = 3, **kwargs: Any):
        super().__init__(**kwargs)
        self.units, self.pieces = units, pieces

    def build(self, input_shape: Any) -> None:
        width = self.units * self.pieces
        self.kernel = self.add_weight(shape=(input_shape[-1], width), initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=(width,), initializer="zeros", name="bias")

    def call(self, x: Any) -> Any:
        linear = ops.matmul(x, self.kernel) + self.bias
        return ops.max(ops.reshape(linear, (-1, self.units, self.pieces)), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "pieces": self.pieces}


def through(inputs: Any) -> Any:
    x = layers.Conv2D(32, 3, padding="same", activation="relu")(inputs)
    x = layers.MaxPooling2D(2)(x)
    return layers.Dense(10)(Maxout(64)(layers.Flatten()(x)))


class Hardened(keras.Model):
    """A model that trains on each batch as it is made worst for it, ``EPSILON`` away."""

    def train_step(self, state: Any, data: Any) -> tuple[dict[str, Any], Any]:
        """State in, state out, as Keras has it on JAX: (trainable, non-trainable, optimizer's, metrics' variables)."""
        trainable, non_trainable, optimizer, metrics = state
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)

        def loss_of(trainable: Any, x: Any) -> Any:
            logits, changed = self.stateless_call(trainable, non_trainable, x, training=True)
            return self.compute_loss(x, y, logits, weight), (logits, changed)

        slope, _ = leptonc.grad(loss_of, argnums=1, has_aux=True)(trainable, x)
        harder = x + EPSILON * ops.sign(slope)
        (loss, (logits, non_trainable)), grads = leptonc.value_and_grad(loss_of, has_aux=True)(trainable, harder)
        trainable, optimizer = self.optimizer.stateless_apply(optimizer, grads, trainable)
        with keras.StatelessScope(state_mapping=[*zip(self.metrics_variables, metrics)]) as scope:
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(y, logits, weight)
            logs = {metric.name: metric.result() for metric in self.metrics}
            metrics = [scope.get_current_value(v) for v in self.metrics_variables]
        return logs, (trainable, non_trainable, optimizer, metrics)


def by_fit(x: np.ndarray, y: np.ndarray, epochs: int) -> keras.Model:
    """``fit`` runs our step, with all else it does: progress, callbacks, weights of classes."""
    inputs = keras.Input((8, 8, 1))
    model = Hardened(inputs, through(inputs))
    model.compile(optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=2, class_weight={8: 1.5})  # the digit that is mistaken most
    return model


def by_hand(x: np.ndarray, y: np.ndarray, epochs: int) -> keras.Model:
    """The loop written out: a pure function of the state, which leptonc compiles; the state goes back into the model at the end."""
    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, through(inputs))
    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def loss_of(trainable: Any, non_trainable: Any, x: Any, y: Any) -> Any:
        logits, non_trainable = model.stateless_call(trainable, non_trainable, x, training=True)
        return loss_function(y, logits), non_trainable

    @leptonc.jit(donate_argnums=0)  # the state is written in place
    def step(state: Any, x: Any, y: Any) -> Any:
        trainable, non_trainable, optimizer_state = state
        (loss, non_trainable), grads = leptonc.value_and_grad(loss_of, has_aux=True)(trainable, non_trainable, x, y)
        trainable, optimizer_state = optimizer.stateless_apply(optimizer_state, grads, trainable)
        return (trainable, non_trainable, optimizer_state), loss

    variables = model.trainable_variables, model.non_trainable_variables, optimizer.variables
    state = tuple([v.numpy() for v in group] for group in variables)  # copies: the model's own stay as they are
    rng = np.random.default_rng(0)
    for epoch in range(epochs):
        order = rng.permutation(len(x))
        losses = []
        for start in range(0, len(x) - BATCH + 1, BATCH):
            rows = order[start:start + BATCH]
            state, loss = step(state, x[rows], y[rows])
            losses.append(float(loss))
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}")
    for group, values in zip(variables, state):
        for variable, value in zip(group, values):
            variable.assign(value)
    return model


def accuracy(model: keras.Model, x: np.ndarray, y: np.ndarray) -> float:
    return float((model.predict(x, verbose=0).argmax(1) == y).mean())


def main(arguments: list[str] | None = None) -> tuple[float, float]:
    """Returns the validation accuracies of both ways."""
    parser = argparse.ArgumentParser(description="A layer, a training step and a training loop of one's own, in Keras.")
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args(arguments)
    keras.utils.set_random_seed(0)
    train, validation = load_data("train"), load_data("validation")
    found = accuracy(by_fit(*train, options.epochs), *validation), accuracy(by_hand(*train, options.epochs), *validation)
    print("validation accuracy by a step of our own {:.3f}, by a loop of our own {:.3f}".format(*found))
    return found


if __name__ == "__main__":
    main()
