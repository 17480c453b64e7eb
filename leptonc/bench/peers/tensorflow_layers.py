"""TensorFlow's layers, NHWC."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.bench.peers.layers import EPSILON, MOMENTUM, SLOPE, Layers


def placed(kind: str, value: np.ndarray) -> np.ndarray:
    """A weight in TensorFlow's layout."""
    if kind == "DepthwiseConv.kernel":
        return value.transpose(0, 1, 3, 2)
    # a transposed convolution turns kernels around, leptonc's by default applies them as they are
    return value[::-1, ::-1].transpose(0, 1, 3, 2) if kind == "ConvTranspose.kernel" else value


class TensorflowLayers(Layers):
    """``params``: variables by name."""

    def __init__(self, params: dict[str, Any]):
        import tensorflow as tf

        self.tf, self.nn, self.params = tf, tf.nn, params
        features = {name.removesuffix(".scale"): p.shape for name, p in params.items() if name.endswith(".scale")}
        self.running = {name: (tf.Variable(tf.zeros(shape)), tf.Variable(tf.ones(shape))) for name, shape in features.items()}

    def relu(self, x: Any) -> Any:
        return self.nn.relu(x)

    def leaky_relu(self, x: Any) -> Any:
        return self.nn.leaky_relu(x, SLOPE)

    def tanh(self, x: Any) -> Any:
        return self.tf.tanh(x)

    def gelu(self, x: Any) -> Any:
        return self.nn.gelu(x, approximate=True)

    def _biased(self, name: str, x: Any) -> Any:
        return self.nn.bias_add(x, self.params[f"{name}.bias"]) if f"{name}.bias" in self.params else x

    def dense(self, name: str, x: Any) -> Any:
        flat = self.tf.reshape(x, (-1, x.shape[-1]))
        y = self._biased(name, self.tf.matmul(flat, self.params[f"{name}.kernel"]))
        return self.tf.reshape(y, (*x.shape[:-1], y.shape[-1]))

    def conv(self, name: str, x: Any, stride: int = 1, padding: int = 0, groups: int = 1) -> Any:
        kernel, strides = self.params[f"{name}.kernel"], (1, stride, stride, 1)
        same = padding and stride == 1 and kernel.shape[0] == 2 * padding + 1
        if padding and not same:  # "SAME" would pad otherwise
            x = self.tf.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
        convolve = self.nn.conv2d if groups == 1 else self.nn.depthwise_conv2d
        return self._biased(name, convolve(x, kernel, strides, "SAME" if same else "VALID"))

    def conv_transpose(self, name: str, x: Any, stride: int, padding: str) -> Any:
        kernel = self.params[f"{name}.kernel"]
        extents = (stride * n if padding == "SAME" else stride * (n - 1) + kernel.shape[0] for n in x.shape[1:3])
        return self._biased(name, self.nn.conv2d_transpose(x, kernel, (x.shape[0], *extents, kernel.shape[2]), stride, padding))

    def max_pool(self, x: Any) -> Any:
        return self.nn.max_pool2d(x, 2, 2, "VALID")

    def mean(self, x: Any) -> Any:
        return self.tf.reduce_mean(x, (1, 2))

    def beside(self, a: Any, b: Any) -> Any:
        return self.tf.concat([a, b], -1)

    def batch_norm(self, name: str, x: Any) -> Any:
        scale, bias = self.params[f"{name}.scale"], self.params[f"{name}.bias"]
        y, mean, var, *_ = self.tf.raw_ops.FusedBatchNormV3(x=x, scale=scale, offset=bias, mean=[], variance=[], epsilon=EPSILON,
                                                            is_training=True)
        for running, now in zip(self.running[name], (mean, var)):
            running.assign_sub((1 - MOMENTUM) * (running - now))
        return y

    def layer_norm(self, name: str, x: Any) -> Any:
        mean, var = self.nn.moments(x, -1, keepdims=True)
        return self.nn.batch_normalization(x, mean, var, self.params[f"{name}.bias"], self.params[f"{name}.scale"], EPSILON)

    def places(self, count: int) -> Any:
        return self.tf.range(count)

    def embedding(self, table: str, codes: Any) -> Any:
        return self.tf.gather(self.params[table], codes)

    def logits(self, table: str, x: Any) -> Any:
        y = self.tf.matmul(self.tf.reshape(x, (-1, x.shape[-1])), self.params[table], transpose_b=True)
        return self.tf.reshape(y, (*x.shape[:-1], y.shape[-1]))

    def heads(self, x: Any, count: int) -> Any:
        """[n, heads, t, d]."""
        return self.tf.transpose(self.tf.reshape(x, (*x.shape[:2], count, x.shape[2] // count)), (0, 2, 1, 3))

    def merged(self, x: Any) -> Any:
        return self.tf.reshape(self.tf.transpose(x, (0, 2, 1, 3)), (x.shape[0], x.shape[2], x.shape[1] * x.shape[3]))

    def _attend(self, q: Any, k: Any, v: Any, seen: Any) -> Any:
        scores = self.tf.matmul(q * q.shape[-1] ** -0.5, k, transpose_b=True)
        return self.tf.matmul(self.nn.softmax(self.tf.where(seen, scores, -1e30)), v)

    def attend(self, q: Any, k: Any, v: Any) -> Any:
        return self._attend(q, k, v, np.tri(q.shape[2], dtype=bool))

    def attend_to_cache(self, q: Any, k: Any, v: Any, position: Any, cache: Any) -> tuple[Any, Any]:
        """The cache, variables [n, heads, room, d], changes in place."""
        for old, new in zip(cache, (k, v)):
            old[:, :, position].assign(new[:, :, 0])
        keys, values = (variable.value() for variable in cache)
        return self._attend(q, keys, values, self.tf.range(keys.shape[2]) <= position), cache

    def lstm(self, name: str, x: Any) -> Any:
        into, recurrent = self.dense(name, x), self.params[f"{name}.recurrent_kernel"]

        def step(now: Any, h: Any, c: Any) -> tuple[Any, ...]:
            i, f, g, o = self.tf.split(now + self.tf.matmul(h, recurrent), 4, -1)
            c = self.tf.sigmoid(f) * c + self.tf.sigmoid(i) * self.tf.tanh(g)
            return self.tf.sigmoid(o) * self.tf.tanh(c), c

        zero = self.tf.zeros((x.shape[0], recurrent.shape[0]))
        return self._scanned(step, (zero, zero), into)

    def gru(self, name: str, x: Any) -> Any:
        into, recurrent = self.dense(name, x), self.params[f"{name}.recurrent_kernel"]
        bias = self.params[f"{name}.recurrent_bias"]

        def step(now: Any, h: Any) -> tuple[Any, ...]:
            own = self.nn.bias_add(self.tf.matmul(h, recurrent), bias)
            (r, z, n), (r_own, z_own, n_own) = self.tf.split(now, 3, -1), self.tf.split(own, 3, -1)
            r, z = self.tf.sigmoid(r + r_own), self.tf.sigmoid(z + z_own)
            n = self.tf.tanh(n + r * n_own)
            return (n + z * (h - n),)

        return self._scanned(step, (self.tf.zeros((x.shape[0], recurrent.shape[0])),), into)

    def _scanned(self, step: Any, start: tuple[Any, ...], into: Any) -> Any:
        """As Keras's recurrent layers go over a sequence."""
        steps = into.shape[1]
        inputs = self.tf.TensorArray(into.dtype, steps).unstack(self.tf.transpose(into, (1, 0, 2)))

        def one(t: Any, outputs: Any, *state: Any) -> Any:
            state = step(inputs.read(t), *state)
            return t + 1, outputs.write(t, state[0]), *state

        first = (0, self.tf.TensorArray(into.dtype, steps), *start)
        outputs = self.tf.while_loop(lambda t, *_: t < steps, one, first, maximum_iterations=steps)[1]
        return self.tf.ensure_shape(self.tf.transpose(outputs.stack(), (1, 0, 2)), (*into.shape[:2], start[0].shape[1]))

    def cross_entropy(self, logits: Any, classes: Any) -> Any:
        return self.tf.reduce_mean(self.nn.sparse_softmax_cross_entropy_with_logits(classes, logits))

    def binary_cross_entropy(self, logits: Any, target: float) -> Any:
        labels = self.tf.fill(logits.shape, target)
        return self.tf.reduce_mean(self.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits))
