"""Steps of programs in JAX: one jitted function each, all that changes donated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from leptonc.bench.cases import LEARNING_RATE
from leptonc.bench.peers.common import Step
from leptonc.bench.peers.jax_layers import JaxLayers
from leptonc.bench.peers.with_jax import adam, adam_start


class Jax:
    def __init__(self) -> None:
        import jax

        self.jax, self.jnp = jax, jax.numpy

    def _start(self, weights: dict[str, Any]) -> tuple[Any, Any]:
        """Weights and running statistics."""
        params = {name: self.jnp.array(weight.value) for name, weight in weights.items()}
        scales = {name.removesuffix(".scale"): p for name, p in params.items() if name.endswith(".scale")}
        return params, {name: [self.jnp.zeros_like(p), self.jnp.ones_like(p)] for name, p in scales.items()}

    def _repeated(self, train: Callable[..., Any], carry: Any, data: tuple[np.ndarray, ...]) -> Step:
        compiled, batch = self.jax.jit(train, donate_argnums=0), [self.jnp.array(x) for x in data]

        def step() -> float:
            nonlocal carry
            carry, value = compiled(carry, *batch)
            return float(value)

        return step

    def training(self, loss: Callable[..., Any], weights: dict[str, Any], data: tuple[np.ndarray, ...]) -> Step:
        params, running = self._start(weights)

        def forward(params: Any, running: Any, *batch: Any) -> Any:
            layers = JaxLayers(params, running)
            return loss(layers, *batch), layers.running

        def train(carry: Any, *batch: Any) -> Any:
            params, running, state = carry
            (value, running), grads = self.jax.value_and_grad(forward, has_aux=True)(params, running, *batch)
            params, state = adam(params, state, grads, LEARNING_RATE)
            return (params, running, state), value

        return self._repeated(train, (params, running, adam_start(params)), data)

    def adversarial(self, program: Any, generator: dict[str, Any], judge: dict[str, Any], data: tuple[np.ndarray, ...]) -> Step:
        def judge_loss(params: Any, running: Any, real: Any, fake: Any) -> Any:
            layers = JaxLayers(params, running)
            return program.peer_judge_loss(layers, real, fake), layers.running

        def fool_loss(params: Any, running: Any, judge_params: Any, judge_running: Any, noise: Any) -> Any:
            layers, judges = JaxLayers(params, running), JaxLayers(judge_params, judge_running)
            logits = program.peer_discriminator(judges, program.peer_generator(layers, noise))
            return layers.binary_cross_entropy(logits, 1.0), (layers.running, judges.running)

        def train(carry: Any, real: Any, noise: Any) -> Any:
            (params, running, state), (judge_params, judge_running, judge_state) = carry
            fake = program.peer_generator(JaxLayers(params, running), noise)
            (value, judge_running), grads = self.jax.value_and_grad(judge_loss, has_aux=True)(
                judge_params, judge_running, real, fake)
            judge_params, judge_state = adam(judge_params, judge_state, grads, program.rate, (program.beta, 0.999))
            (fooled, (running, judge_running)), grads = self.jax.value_and_grad(fool_loss, has_aux=True)(
                params, running, judge_params, judge_running, noise)
            params, state = adam(params, state, grads, program.rate, (program.beta, 0.999))
            return ((params, running, state), (judge_params, judge_running, judge_state)), value + fooled

        carry = tuple((*self._start(weights), adam_start(self._start(weights)[0])) for weights in (generator, judge))
        return self._repeated(train, carry, data)

    def generation(self, program: Any, weights: dict[str, Any]) -> Step:
        params, _ = self._start(weights)
        shape = (program.batch, program.length, program.heads, program.features // program.heads)

        def start() -> Any:
            caches = [tuple(self.jnp.zeros(shape) for _ in "kv") for _ in range(program.layers)]
            return self.jnp.array(program.first()), self.jnp.zeros((), self.jnp.int32), caches

        def one(params: Any, carry: Any) -> Any:
            code, position, caches = carry
            logits, caches = program.peer_logits(JaxLayers(params, {}), code, position, caches)
            return (logits.argmax(-1).astype(self.jnp.int32), position + 1, caches), logits

        compiled, carry, done = self.jax.jit(one, donate_argnums=1), start(), 0

        def step() -> np.ndarray:
            nonlocal carry, done
            if done and done % program.length == 0:
                carry = start()
            carry, logits = compiled(params, carry)
            done += 1
            return np.asarray(logits)

        return step
