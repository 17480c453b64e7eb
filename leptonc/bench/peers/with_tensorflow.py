"""TensorFlow: a Keras model in a tf.function, as it is or compiled by XLA; NHWC."""

from __future__ import annotations

from typing import Any

from leptonc.bench.cases import EPSILON, LEARNING_RATE, Case
from leptonc.bench.peers.common import Step


def tensorflow_step(case: Case, xla: bool) -> Step:
    import tensorflow as tf

    model = _model(case)
    function: Any = tf.function(jit_compile=True) if xla else tf.function
    x, y = (tf.constant(array) for array in case.data())
    if not case.training:
        forward = function(lambda x: model(x, training=False))
        return lambda: forward(x).numpy()
    variables = model.trainable_variables
    optimizer = tf.keras.optimizers.Adam(LEARNING_RATE, epsilon=EPSILON)
    optimizer.build(variables)  # a traced function may not make variables when it is traced again
    criterion = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @function
    def train(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            value = criterion(y, model(x, training=True))
        optimizer.apply_gradients(zip(tape.gradient(value, variables), variables))
        return value

    return lambda: float(train(x, y))


def _model(case: Case) -> Any:
    import tensorflow as tf

    layers = tf.keras.layers
    model = tf.keras.Sequential([tf.keras.Input(case.input, batch_size=case.batch)])
    for number, (layer, shape) in enumerate(zip(case.layers, case.shapes())):
        activation = "relu" if number + 1 < len(case.layers) else None
        if layer.kind == "pool":
            model.add(layers.MaxPooling2D(2))
        elif layer.kind == "conv":
            model.add(layers.Conv2D(layer.units, 3, padding="same" if layer.padding else "valid", activation=activation))
        else:
            if len(shape) == 3:
                model.add(layers.Flatten())
            model.add(layers.Dense(layer.units, activation=activation))
    model.set_weights([array for pair in case.weights() for array in pair])
    return model
