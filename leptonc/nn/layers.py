"""Ready-made modules. Each is made of sizes and options, and its parameters are drawn by ``init(key)``, or at once where a
``key`` is given.

Inputs have leading axes for the batch (equinox's layers take single examples). Kernels are [in, out], as in Flax.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc import random
from leptonc.arguments import array, flag, function, integer, integers, number
from leptonc.errors import ArgumentError, describe, op_error
from leptonc.nn import initializers
from leptonc.nn.activations import relu
from leptonc.nn.convolutions import conv_transpose
from leptonc.nn.dropout import dropout
from leptonc.nn.module import Module, Parameter, State, StateIndex, as_key, static
from leptonc.nn.normalization import batch_norm, group_norm, layer_norm, rms_norm
from leptonc.nn.windows import Padding, conv
from leptonc.promotion import numpy_dtype

Initializer = Callable[..., Any]
_ZEROS, _ONES = initializers.zeros(), initializers.ones()


def drawn(module: Any, key: Any) -> None:
    """Draw the parameters that a module's constructor has set so far, if there is a key."""
    if key is None:
        return
    specs = {name: value for name, value in vars(module).items() if isinstance(value, Parameter)}
    for (name, spec), single in zip(specs.items(), random.split(as_key(type(module).__name__, key), len(specs))):
        setattr(module, name, spec.draw(single))


class Linear(Module):
    """x @ kernel + bias, of x [..., in_features]."""

    kernel: Any
    bias: Any
    in_features: int
    out_features: int

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        use_bias: bool = True,
        kernel_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        dtype: Any = np.float32,
        key: Any = None,
    ):
        self.in_features = integer("Linear", "in_features", in_features, least=1)
        self.out_features = integer("Linear", "out_features", out_features, least=1)
        self.kernel = Parameter((self.in_features, self.out_features), kernel_init or initializers.lecun_normal(), dtype)
        self.bias = Parameter((self.out_features,), bias_init or _ZEROS, dtype) if flag("Linear", "use_bias", use_bias) else None
        drawn(self, key)

    def __call__(self, x: Any) -> Any:
        operand = array("Linear", "x", x)
        if not operand.shape or operand.shape[-1] != self.in_features:
            raise op_error(
                "Linear", f"x must have {self.in_features} features, its last axis", {"x": operand, "kernel": self.kernel}
            )
        y = lnp.matmul(operand, self.kernel)
        return y if self.bias is None else lnp.add(y, self.bias)


class Conv(Module):
    """Convolution of x [n, spatial..., in_channels]; ``kernel_size`` has an int for each spatial axis, or is one for two of
    them."""

    kernel: Any
    bias: Any
    stride: tuple[int, ...]
    padding: Any = static()
    dilation: tuple[int, ...]
    groups: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        *,
        stride: int | Sequence[int] = 1,
        padding: Padding = "SAME",
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        use_bias: bool = True,
        kernel_init: Initializer | None = None,
        dtype: Any = np.float32,
        key: Any = None,
    ):
        window, self.stride, self.dilation = _window("Conv", kernel_size, stride, dilation)
        self.padding, self.groups = _hashable(padding), integer("Conv", "groups", groups, least=1)
        inputs, outputs = _channels("Conv", in_channels, out_channels)
        if inputs % self.groups or outputs % self.groups:
            raise ArgumentError(f"Conv: {inputs} and {outputs} channels do not go into {self.groups} groups")
        self.kernel = Parameter((*window, inputs // self.groups, outputs), kernel_init or initializers.lecun_normal(), dtype)
        self.bias = Parameter((outputs,), _ZEROS, dtype) if flag("Conv", "use_bias", use_bias) else None
        drawn(self, key)

    def __call__(self, x: Any) -> Any:
        y = conv(x, self.kernel, stride=self.stride, padding=self.padding, dilation=self.dilation, groups=self.groups)
        return y if self.bias is None else lnp.add(y, self.bias)


class ConvTranspose(Module):
    """Transposed convolution of x [n, spatial..., in_channels], in the two conventions of ``conv_transpose``."""

    kernel: Any
    bias: Any
    stride: tuple[int, ...]
    padding: Any = static()
    output_padding: Any = static()
    convention: str

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        *,
        stride: int | Sequence[int] = 1,
        padding: Padding | None = None,
        output_padding: int | Sequence[int] = 0,
        use_bias: bool = True,
        convention: str = "jax",
        dtype: Any = np.float32,
        key: Any = None,
    ):
        window, self.stride, _ = _window("ConvTranspose", kernel_size, stride, 1)
        inputs, outputs = _channels("ConvTranspose", in_channels, out_channels)
        self.padding, self.output_padding, self.convention = _hashable(padding), _hashable(output_padding), convention
        self.kernel = Parameter((*window, inputs, outputs), initializers.lecun_normal(), dtype)
        self.bias = Parameter((outputs,), _ZEROS, dtype) if flag("ConvTranspose", "use_bias", use_bias) else None
        drawn(self, key)

    def __call__(self, x: Any) -> Any:
        y = conv_transpose(
            x,
            self.kernel,
            stride=self.stride,
            padding=self.padding,
            output_padding=self.output_padding,
            convention=self.convention,
        )
        return y if self.bias is None else lnp.add(y, self.bias)


def _window(name: str, kernel_size: Any, stride: Any, dilation: Any) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    window = integers(name, "kernel_size", kernel_size, least=1)
    window = window * 2 if isinstance(kernel_size, int | np.integer) else window
    steps, gaps = (
        integers(name, what, value, count=len(window), repeat=True, least=1)
        for what, value in (("stride", stride), ("dilation", dilation))
    )
    return window, steps, gaps


def _channels(name: str, inputs: Any, outputs: Any) -> tuple[int, int]:
    return integer(name, "in_channels", inputs, least=1), integer(name, "out_channels", outputs, least=1)


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


class Embedding(Module):
    """Rows of a table, by int indices of any shape: [..., features]. The gradient adds up in the rows that were read."""

    table: Any
    num_embeddings: int
    features: int

    def __init__(
        self,
        num_embeddings: int,
        features: int,
        *,
        table_init: Initializer | None = None,
        dtype: Any = np.float32,
        key: Any = None,
    ):
        self.num_embeddings = integer("Embedding", "num_embeddings", num_embeddings, least=1)
        self.features = integer("Embedding", "features", features, least=1)
        self.table = Parameter((self.num_embeddings, self.features), table_init or initializers.normal(0.02), dtype)
        drawn(self, key)

    def __call__(self, indices: Any) -> Any:
        return lnp.take(self.table, indices, axis=0)

    def attend(self, x: Any) -> Any:
        """Logits of x [..., features] over the table's rows: tied weights."""
        return lnp.matmul(x, lnp.transpose(self.table))


class BatchNorm(Module):
    """Each feature of x [..., features] normalized over the batch; ``y, state = norm(x, state)``.

    In training by the batch, and the state's mean and variance move (see ``batch_norm``); with ``inference`` by the state's.
    """

    scale: Any
    bias: Any
    mean: StateIndex
    var: StateIndex
    momentum: float = static()
    epsilon: float = static()
    inference: bool

    def __init__(
        self,
        features: int,
        *,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        affine: bool = True,
        inference: bool = False,
        dtype: Any = np.float32,
        key: Any = None,
    ):
        count = integer("BatchNorm", "features", features, least=1)
        self.scale, self.bias = _affine("BatchNorm", count, affine, dtype)
        self.mean, self.var = StateIndex((count,), 0, dtype), StateIndex((count,), 1, dtype)
        self.momentum = float(number("BatchNorm", "momentum", momentum, least=0, most=1))
        self.epsilon = float(number("BatchNorm", "epsilon", epsilon, least=0))
        self.inference = flag("BatchNorm", "inference", inference)
        drawn(self, key)

    def __call__(self, x: Any, state: State) -> tuple[Any, State]:
        state = _state("BatchNorm", state)
        y, mean, var = batch_norm(
            x,
            state.get(self.mean),
            state.get(self.var),
            self.scale,
            self.bias,
            training=not self.inference,
            momentum=self.momentum,
            epsilon=self.epsilon,
        )
        return y, state if self.inference else state.set(self.mean, mean).set(self.var, var)


def _state(name: str, state: Any) -> State:
    if not isinstance(state, State):
        raise ArgumentError(
            f"{name}: state={describe(state)} must be a State; fix: state = model.state(), y, state = model(x, state)"
        )
    return state


def _affine(name: str, features: int, affine: Any, dtype: Any) -> tuple[Any, Any]:
    if not flag(name, "affine", affine):
        return None, None
    return Parameter((features,), _ONES, dtype), Parameter((features,), _ZEROS, dtype)


class LayerNorm(Module):
    """The last axis normalized."""

    scale: Any
    bias: Any
    epsilon: float = static()

    def __init__(
        self,
        features: int,
        *,
        epsilon: float = 1e-5,
        affine: bool = True,
        use_bias: bool = True,
        dtype: Any = np.float32,
        key: Any = None,
    ):
        self.scale, self.bias = _affine("LayerNorm", integer("LayerNorm", "features", features, least=1), affine, dtype)
        if not flag("LayerNorm", "use_bias", use_bias):
            self.bias = None
        self.epsilon = float(number("LayerNorm", "epsilon", epsilon, least=0))
        drawn(self, key)

    def __call__(self, x: Any) -> Any:
        return layer_norm(x, self.scale, self.bias, epsilon=self.epsilon)


class RMSNorm(Module):
    """The last axis divided by its root mean square."""

    scale: Any
    epsilon: float = static()

    def __init__(self, features: int, *, epsilon: float = 1e-6, dtype: Any = np.float32, key: Any = None):
        self.scale = Parameter((integer("RMSNorm", "features", features, least=1),), _ONES, dtype)
        self.epsilon = float(number("RMSNorm", "epsilon", epsilon, least=0))
        drawn(self, key)

    def __call__(self, x: Any) -> Any:
        return rms_norm(x, self.scale, epsilon=self.epsilon)


class GroupNorm(Module):
    """Groups of features of x [n, ..., features] normalized."""

    scale: Any
    bias: Any
    groups: int
    epsilon: float = static()

    def __init__(
        self, groups: int, features: int, *, epsilon: float = 1e-5, affine: bool = True, dtype: Any = np.float32, key: Any = None
    ):
        self.groups = integer("GroupNorm", "groups", groups, least=1)
        self.scale, self.bias = _affine("GroupNorm", integer("GroupNorm", "features", features, least=1), affine, dtype)
        self.epsilon = float(number("GroupNorm", "epsilon", epsilon, least=0))
        drawn(self, key)

    def __call__(self, x: Any) -> Any:
        return group_norm(x, self.groups, self.scale, self.bias, epsilon=self.epsilon)


class Dropout(Module):
    """x with a share ``rate`` of its elements 0, drawn by the ``key`` of the call; x itself with ``inference``."""

    rate: float = static()
    inference: bool

    def __init__(self, rate: float = 0.5, *, inference: bool = False):
        self.rate = float(number("Dropout", "rate", rate, least=0, most=1))
        self.inference = flag("Dropout", "inference", inference)

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        if self.inference or not self.rate:
            return array("Dropout", "x", x)
        if key is None:
            raise ArgumentError("Dropout: wants a key in training; fix: model(x, key=key), or leptonc.nn.inference_mode(model)")
        return dropout(key, x, self.rate)


class Sequential(Module):
    """Layers, modules or functions, one after the other. ``y = model(x)``, or ``y, state = model(x, state)`` where one has state.

    A ``key`` is split among the layers that take one.
    """

    layers: Sequence[Any]

    def __init__(self, layers: Sequence[Callable[..., Any]]):
        if not isinstance(layers, list | tuple):
            raise ArgumentError(f"Sequential: layers={describe(layers)} must be a list of modules and functions")
        self.layers = [function("Sequential", f"layers[{n}]", layer) for n, layer in enumerate(layers)]

    def __call__(self, x: Any, state: State | None = None, *, key: Any = None) -> Any:
        stateful = self.is_stateful
        if stateful:
            state = _state("Sequential", state)
        keys = _keys(self.layers, key)
        for layer in self.layers:
            options = {"key": next(keys)} if takes_key(layer) else {}
            if getattr(layer, "is_stateful", False):
                x, state = layer(x, state, **options)
            else:
                x = layer(x, **options)
        return (x, state) if stateful else x

    def __getitem__(self, n: int) -> Any:
        return self.layers[n]

    def __len__(self) -> int:
        return len(self.layers)


def takes_key(layer: Any) -> bool:
    """Whether a module's call has a keyword ``key``."""
    return isinstance(layer, Module) and "key" in inspect.signature(type(layer).__call__).parameters


def _keys(layers: Sequence[Any], key: Any) -> Iterator[Any]:
    count = sum(map(takes_key, layers))
    return iter([None] * count if key is None or not count else random.split(key, count))


class MLP(Module):
    """Linear layers with an activation between them: ``MLP(784, [256, 256], 10)``."""

    layers: list[Linear]
    activation: Callable[[Any], Any]

    def __init__(
        self,
        in_features: int,
        hidden: Sequence[int],
        out_features: int,
        *,
        activation: Callable[[Any], Any] = relu,
        dtype: Any = np.float32,
        key: Any = None,
    ):
        sizes = (in_features, *integers("MLP", "hidden", hidden, least=1), out_features)
        self.activation = function("MLP", "activation", activation)
        keys = [None] * len(sizes) if key is None else random.split(as_key("MLP", key), len(sizes) - 1)
        self.layers = [Linear(a, b, dtype=numpy_dtype(dtype), key=k) for a, b, k in zip(sizes, sizes[1:], keys)]

    def __call__(self, x: Any) -> Any:
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)
