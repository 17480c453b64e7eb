"""JAX's layers, NHWC."""

from __future__ import annotations

from typing import Any

from leptonc.bench.peers.layers import EPSILON, MOMENTUM, SLOPE, Layers

IMAGES = ("NHWC", "HWIO", "NHWC")


class JaxLayers(Layers):
    """``params``: arrays by name. ``running``: the mean and variance of each batch norm, replaced as it is called."""

    def __init__(self, params: dict[str, Any], running: dict[str, Any]):
        import jax

        self.jax, self.nn, self.lax, self.jnp = jax, jax.nn, jax.lax, jax.numpy
        self.params, self.running = params, dict(running)

    def relu(self, x: Any) -> Any:
        return self.nn.relu(x)

    def leaky_relu(self, x: Any) -> Any:
        return self.nn.leaky_relu(x, SLOPE)

    def tanh(self, x: Any) -> Any:
        return self.jnp.tanh(x)

    def gelu(self, x: Any) -> Any:
        return self.nn.gelu(x)

    def _biased(self, name: str, x: Any) -> Any:
        return x + self.params[f"{name}.bias"] if f"{name}.bias" in self.params else x

    def dense(self, name: str, x: Any) -> Any:
        return self._biased(name, x @ self.params[f"{name}.kernel"])

    def conv(self, name: str, x: Any, stride: int = 1, padding: int = 0, groups: int = 1) -> Any:
        kernel, pads = self.params[f"{name}.kernel"], [(padding, padding)] * 2
        return self._biased(name, self.lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=IMAGES,
                                                                feature_group_count=groups))

    def conv_transpose(self, name: str, x: Any, stride: int, padding: str) -> Any:
        kernel = self.params[f"{name}.kernel"]
        return self._biased(name, self.lax.conv_transpose(x, kernel, (stride, stride), padding, dimension_numbers=IMAGES))

    def max_pool(self, x: Any) -> Any:
        window = (1, 2, 2, 1)
        return self.lax.reduce_window(x, -self.jnp.inf, self.lax.max, window, window, "VALID")

    def mean(self, x: Any) -> Any:
        return x.mean((1, 2))

    def beside(self, a: Any, b: Any) -> Any:
        return self.jnp.concatenate([a, b], -1)

    def batch_norm(self, name: str, x: Any) -> Any:
        mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
        self.running[name] = [MOMENTUM * old + (1 - MOMENTUM) * self.lax.stop_gradient(new)
                              for old, new in zip(self.running[name], (mean, var))]
        return self._affine(name, x - mean, var)

    def _affine(self, name: str, off: Any, var: Any) -> Any:
        return off * (self.lax.rsqrt(var + EPSILON) * self.params[f"{name}.scale"]) + self.params[f"{name}.bias"]

    def layer_norm(self, name: str, x: Any) -> Any:
        return self._affine(name, x - x.mean(-1, keepdims=True), x.var(-1, keepdims=True))

    def places(self, count: int) -> Any:
        return self.jnp.arange(count)

    def embedding(self, table: str, codes: Any) -> Any:
        return self.params[table][codes]

    def logits(self, table: str, x: Any) -> Any:
        return x @ self.params[table].T

    def heads(self, x: Any, count: int) -> Any:
        """[n, t, heads, d]."""
        return x.reshape(*x.shape[:2], count, -1)

    def merged(self, x: Any) -> Any:
        return x.reshape(*x.shape[:2], -1)

    def attend(self, q: Any, k: Any, v: Any) -> Any:
        return self.nn.dot_product_attention(q, k, v, is_causal=True)

    def attend_to_cache(self, q: Any, k: Any, v: Any, position: Any, cache: Any) -> tuple[Any, Any]:
        keys, values = (self.lax.dynamic_update_slice(old, new, (0, position, 0, 0)) for old, new in zip(cache, (k, v)))
        seen = self.jnp.full(q.shape[0], position + 1, self.jnp.int32)
        return self.nn.dot_product_attention(q, keys, values, key_value_seq_lengths=seen), (keys, values)

    def _scanned(self, step: Any, start: Any, into: Any) -> Any:
        outputs = self.lax.scan(step, start, into.swapaxes(0, 1))[1]
        return outputs.swapaxes(0, 1)

    def _recurrent(self, name: str, x: Any) -> tuple[Any, Any, Any]:
        """The product of all steps at once, what is recurrent, and the state before."""
        into, recurrent = self.dense(name, x), self.params[f"{name}.recurrent_kernel"]
        return into, recurrent, self.jnp.zeros((x.shape[0], recurrent.shape[0]), x.dtype)

    def lstm(self, name: str, x: Any) -> Any:
        into, recurrent, zero = self._recurrent(name, x)

        def step(state: Any, now: Any) -> Any:
            h, c = state
            i, f, g, o = self.jnp.split(now + h @ recurrent, 4, -1)
            c = self.nn.sigmoid(f) * c + self.nn.sigmoid(i) * self.jnp.tanh(g)
            h = self.nn.sigmoid(o) * self.jnp.tanh(c)
            return (h, c), h

        return self._scanned(step, (zero, zero), into)

    def gru(self, name: str, x: Any) -> Any:
        into, recurrent, zero = self._recurrent(name, x)
        bias = self.params[f"{name}.recurrent_bias"]

        def step(h: Any, now: Any) -> Any:
            (r, z, n), (r_own, z_own, n_own) = self.jnp.split(now, 3, -1), self.jnp.split(h @ recurrent + bias, 3, -1)
            r, z = self.nn.sigmoid(r + r_own), self.nn.sigmoid(z + z_own)
            n = self.jnp.tanh(n + r * n_own)
            h = n + z * (h - n)
            return h, h

        return self._scanned(step, zero, into)

    def cross_entropy(self, logits: Any, classes: Any) -> Any:
        return -self.jnp.take_along_axis(self.nn.log_softmax(logits), classes[..., None], -1).mean()

    def binary_cross_entropy(self, logits: Any, target: float) -> Any:
        return (self.nn.softplus(logits) - logits * target).mean()
