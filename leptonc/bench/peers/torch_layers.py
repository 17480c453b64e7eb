"""PyTorch's layers, NCHW."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.bench.peers.layers import EPSILON, MOMENTUM, SLOPE, Layers

# Of leptonc's layouts; others are the same.
AXES = {"Conv.kernel": (3, 2, 0, 1), "DepthwiseConv.kernel": (3, 2, 0, 1), "ConvTranspose.kernel": (2, 3, 0, 1),
        "Linear.kernel": (1, 0), "RecurrentWeights.kernel": (1, 0), "RecurrentWeights.recurrent_kernel": (1, 0)}


def placed(kind: str, value: np.ndarray) -> np.ndarray:
    """A weight in PyTorch's layout. Its transposed convolution turns kernels around, leptonc's by default applies them as they
    are."""
    turned = value[::-1, ::-1] if kind == "ConvTranspose.kernel" else value
    return np.array(np.transpose(turned, AXES.get(kind)) if kind in AXES else turned, order="C")


class TorchLayers(Layers):
    """``params``: tensors by name."""

    def __init__(self, params: dict[str, Any]):
        import torch

        self.torch, self.functional, self.params = torch, torch.nn.functional, params
        # torch.compile leaves nn.LSTM and nn.GRU alone as well: their kernels are called as they are
        self.fused_lstm, self.fused_gru = torch.compiler.disable(torch.lstm), torch.compiler.disable(torch.gru)
        features = {name.removesuffix(".scale"): p.shape for name, p in params.items() if name.endswith(".scale")}
        self.running = {name: (torch.zeros(shape), torch.ones(shape)) for name, shape in features.items()}

    def relu(self, x: Any) -> Any:
        return self.functional.relu(x)

    def leaky_relu(self, x: Any) -> Any:
        return self.functional.leaky_relu(x, SLOPE)

    def tanh(self, x: Any) -> Any:
        return self.torch.tanh(x)

    def gelu(self, x: Any) -> Any:
        return self.functional.gelu(x, approximate="tanh")

    def dense(self, name: str, x: Any) -> Any:
        return self.functional.linear(x, self.params[f"{name}.kernel"], self.params[f"{name}.bias"])

    def conv(self, name: str, x: Any, stride: int = 1, padding: int = 0, groups: int = 1) -> Any:
        kernel, bias = self.params[f"{name}.kernel"], self.params.get(f"{name}.bias")
        return self.functional.conv2d(x, kernel, bias, stride, padding, 1, groups)

    def conv_transpose(self, name: str, x: Any, stride: int, padding: str) -> Any:
        kernel, bias = self.params[f"{name}.kernel"], self.params.get(f"{name}.bias")
        cut = (kernel.shape[-1] - stride) // 2 if padding == "SAME" else 0
        return self.functional.conv_transpose2d(x, kernel, bias, stride, cut)

    def max_pool(self, x: Any) -> Any:
        return self.functional.max_pool2d(x, 2)

    def mean(self, x: Any) -> Any:
        return x.mean((2, 3))

    def beside(self, a: Any, b: Any) -> Any:
        return self.torch.cat([a, b], 1)

    def batch_norm(self, name: str, x: Any) -> Any:
        scale, bias = self.params[f"{name}.scale"], self.params[f"{name}.bias"]
        return self.functional.batch_norm(x, *self.running[name], scale, bias, True, 1 - MOMENTUM, EPSILON)

    def layer_norm(self, name: str, x: Any) -> Any:
        return self.functional.layer_norm(x, x.shape[-1:], self.params[f"{name}.scale"], self.params[f"{name}.bias"], EPSILON)

    def places(self, count: int) -> Any:
        return self.torch.arange(count)

    def embedding(self, table: str, codes: Any) -> Any:
        return self.params[table][codes] if isinstance(codes, int) else self.functional.embedding(codes, self.params[table])

    def logits(self, table: str, x: Any) -> Any:
        return self.functional.linear(x, self.params[table])

    def heads(self, x: Any, count: int) -> Any:
        """[n, heads, t, d]."""
        return x.view(*x.shape[:2], count, -1).transpose(1, 2)

    def merged(self, x: Any) -> Any:
        return x.transpose(1, 2).flatten(2)

    def attend(self, q: Any, k: Any, v: Any) -> Any:
        return self.functional.scaled_dot_product_attention(q, k, v, is_causal=True)

    def attend_to_cache(self, q: Any, k: Any, v: Any, position: Any, cache: Any) -> tuple[Any, Any]:
        """The cache, [n, heads, room, d], changes in place. Behind a position that is an int nothing is read; a tensor's, which
        torch.compile takes without compiling for each, is behind a mask."""
        keys, values = cache
        if isinstance(position, int):
            keys[:, :, position], values[:, :, position] = k[:, :, 0], v[:, :, 0]
            seen = keys[:, :, : position + 1], values[:, :, : position + 1]
            return self.functional.scaled_dot_product_attention(q, *seen), cache
        keys.index_copy_(2, position, k)
        values.index_copy_(2, position, v)
        mask = self.places(keys.shape[2])[None] <= position
        return self.functional.scaled_dot_product_attention(q, keys, values, mask), cache

    def lstm(self, name: str, x: Any) -> Any:
        weights, zero = self._recurrent(name, x)
        return self.fused_lstm(x, (zero, zero), weights, True, 1, 0.0, True, False, True)[0]

    def gru(self, name: str, x: Any) -> Any:
        weights, zero = self._recurrent(name, x)
        return self.fused_gru(x, zero, weights, True, 1, 0.0, True, False, True)[0]

    def _recurrent(self, name: str, x: Any) -> tuple[list[Any], Any]:
        """What ``torch.nn.LSTM`` gives its kernel; the second bias of an LSTM, which leptonc has not, stays 0."""
        weights = [self.params[f"{name}.{part}"] for part in ("kernel", "recurrent_kernel", "bias")]
        second = self.params.get(f"{name}.recurrent_bias")
        weights.append(self.torch.zeros_like(weights[2]) if second is None else second)
        return weights, self.torch.zeros(1, x.shape[0], weights[1].shape[1])

    def cross_entropy(self, logits: Any, classes: Any) -> Any:
        if logits.dim() == 3:  # a sequence's: not images'
            logits, classes = logits.flatten(0, 1), classes.flatten()
        return self.functional.cross_entropy(logits, classes)

    def binary_cross_entropy(self, logits: Any, target: float) -> Any:
        return self.functional.binary_cross_entropy_with_logits(logits, self.torch.full_like(logits, target))
