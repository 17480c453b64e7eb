"""Steps of programs in PyTorch, eager or through torch.compile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from leptonc.bench.cases import EPSILON, LEARNING_RATE
from leptonc.bench.peers.common import Step
from leptonc.bench.peers.torch_layers import TorchLayers, placed
from leptonc.config import available_cpus


class Torch:
    """``layout``: nchw, channels_last, or plain where there are no images. ``compiled``: all but the optimizer, which is PyTorch's
    own fused kernel, goes through torch.compile."""

    def __init__(self, layout: str, compiled: bool):
        import torch

        torch.set_num_threads(available_cpus())
        self.torch, self.channels_last = torch, layout == "channels_last"
        self.compiled = compiled
        self.wrap: Callable[[Any], Any] = torch.compile if compiled else lambda function: function

    def layers(self, weights: dict[str, Any]) -> TorchLayers:
        return TorchLayers({name: self._tensor(placed(*weight)).requires_grad_() for name, weight in weights.items()})

    def _tensor(self, array: np.ndarray) -> Any:
        tensor = self.torch.from_numpy(array)
        is_image = self.channels_last and tensor.dim() == 4
        return tensor.to(memory_format=self.torch.channels_last) if is_image else tensor

    def _batch(self, data: tuple[np.ndarray, ...]) -> list[Any]:
        """Images as NCHW; ints are classes or codes."""
        return [self._tensor(np.moveaxis(x, -1, 1).copy()) if x.ndim == 4 else
                self.torch.from_numpy(x.astype(np.int64) if x.dtype.kind == "i" else x) for x in data]

    def _adam(self, layers: TorchLayers, rate: float, betas: tuple[float, float] = (0.9, 0.999)) -> Any:
        return self.torch.optim.Adam(list(layers.params.values()), rate, betas, EPSILON, fused=True)

    def training(self, loss: Callable[..., Any], weights: dict[str, Any], data: tuple[np.ndarray, ...]) -> Step:
        layers, batch = self.layers(weights), self._batch(data)
        optimizer = self._adam(layers, LEARNING_RATE)
        forward = self.wrap(lambda *batch: loss(layers, *batch))

        def step() -> float:
            optimizer.zero_grad()
            value = forward(*batch)
            value.backward()
            optimizer.step()
            return float(value.item())

        return step

    def adversarial(self, program: Any, generator: dict[str, Any], judge: dict[str, Any], data: tuple[np.ndarray, ...]) -> Step:
        layers, judges, (real, noise) = self.layers(generator), self.layers(judge), self._batch(data)
        optimizer, judge_optimizer = (self._adam(x, program.rate, (program.beta, 0.999)) for x in (layers, judges))
        generate = self.wrap(lambda z: program.peer_generator(layers, z))
        judge_loss = self.wrap(lambda real, fake: program.peer_judge_loss(judges, real, fake))
        fool_loss = self.wrap(lambda fake: judges.binary_cross_entropy(program.peer_discriminator(judges, fake), 1.0))

        def step() -> float:
            fake = generate(noise)
            judge_optimizer.zero_grad()
            value = judge_loss(real, fake.detach())
            value.backward()
            judge_optimizer.step()
            optimizer.zero_grad()
            fooled = fool_loss(fake)
            fooled.backward(inputs=list(layers.params.values()))
            optimizer.step()
            return float((value + fooled).item())

        return step

    def generation(self, program: Any, weights: dict[str, Any]) -> Step:
        layers, first = self.layers(weights), self.torch.from_numpy(program.first().astype(np.int64))
        shape = (program.batch, program.heads, program.length, program.features // program.heads)
        caches = [tuple(self.torch.zeros(shape) for _ in "kv") for _ in range(program.layers)]
        logits_of = self.wrap(lambda code, position: program.peer_logits(layers, code, position, caches)[0])
        position, code = 0, first

        def step() -> np.ndarray:
            nonlocal position, code
            if position == program.length:
                position, code = 0, first
            with self.torch.inference_mode():
                logits = logits_of(code, self.torch.tensor([position]) if self.compiled else position)
                code, position = logits.argmax(-1), position + 1
            out: np.ndarray = logits.numpy()
            return out

        return step
