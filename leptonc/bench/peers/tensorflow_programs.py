"""Steps of programs in TensorFlow: a tf.function each, as it is or compiled by XLA."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from leptonc.bench.cases import EPSILON, LEARNING_RATE
from leptonc.bench.peers.common import Step
from leptonc.bench.peers.tensorflow_layers import TensorflowLayers, placed


class Tensorflow:
    def __init__(self, xla: bool):
        import tensorflow as tf

        self.tf = tf
        self.function: Any = tf.function(jit_compile=True) if xla else tf.function

    def layers(self, weights: dict[str, Any]) -> TensorflowLayers:
        return TensorflowLayers({name: self.tf.Variable(placed(*weight)) for name, weight in weights.items()})

    def _adam(self, layers: TensorflowLayers, rate: float, beta: float = 0.9) -> Any:
        """Built at once: a traced function may not make variables when it is traced again."""
        optimizer = self.tf.keras.optimizers.Adam(rate, beta_1=beta, epsilon=EPSILON)
        optimizer.build(list(layers.params.values()))
        return optimizer

    def _updated(self, optimizer: Any, layers: TensorflowLayers, tape: Any, value: Any) -> None:
        variables = list(layers.params.values())
        optimizer.apply_gradients(zip(tape.gradient(value, variables), variables))

    def training(self, loss: Callable[..., Any], weights: dict[str, Any], data: tuple[np.ndarray, ...]) -> Step:
        layers, batch = self.layers(weights), [self.tf.constant(x) for x in data]
        optimizer = self._adam(layers, LEARNING_RATE)

        @self.function
        def train(*batch: Any) -> Any:
            with self.tf.GradientTape() as tape:
                value = loss(layers, *batch)
            self._updated(optimizer, layers, tape, value)
            return value

        return lambda: float(train(*batch))

    def adversarial(self, program: Any, generator: dict[str, Any], judge: dict[str, Any], data: tuple[np.ndarray, ...]) -> Step:
        layers, judges, batch = self.layers(generator), self.layers(judge), [self.tf.constant(x) for x in data]
        optimizer, judge_optimizer = (self._adam(x, program.rate, program.beta) for x in (layers, judges))

        @self.function
        def train(real: Any, noise: Any) -> Any:
            with self.tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(list(layers.params.values()))
                fake = program.peer_generator(layers, noise)
                with self.tf.GradientTape(watch_accessed_variables=False) as judge_tape:
                    judge_tape.watch(list(judges.params.values()))
                    value = program.peer_judge_loss(judges, real, self.tf.stop_gradient(fake))
                self._updated(judge_optimizer, judges, judge_tape, value)
                fooled = layers.binary_cross_entropy(program.peer_discriminator(judges, fake), 1.0)
            self._updated(optimizer, layers, tape, fooled)
            return value + fooled

        return lambda: float(train(*batch))

    def generation(self, program: Any, weights: dict[str, Any]) -> Step:
        layers, first = self.layers(weights), self.tf.constant(program.first())
        shape = (program.batch, program.heads, program.length, program.features // program.heads)
        caches = [tuple(self.tf.Variable(self.tf.zeros(shape)) for _ in "kv") for _ in range(program.layers)]

        @self.function
        def one(code: Any, position: Any) -> Any:
            logits, _ = program.peer_logits(layers, code, position, caches)
            return self.tf.argmax(logits, -1, self.tf.int32), logits

        code, position = first, 0

        def step() -> np.ndarray:
            nonlocal code, position
            if position == program.length:
                code, position = first, 0
            code, logits = one(code, self.tf.constant(position))
            position += 1
            out: np.ndarray = logits.numpy()
            return out

        return step
