"""Activation functions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from leptonc import nn
from leptonc import numpy as lnp
from leptonc.keras.src.logits import remember
from leptonc.keras.src.ops.tensors import as_float, convert_to_tensor

__all__ = [
    "celu", "elu", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu", "log_sigmoid",
    "log_softmax", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus",
    "sparse_sigmoid", "sparsemax", "squareplus", "tanh", "tanh_shrink", "threshold",
]

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017


def _of_floats(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a tensor, which becomes floats, and options; its result is of their dtype."""

    @functools.wraps(function)
    def call(x: Any, *options: Any, **named: Any) -> Any:
        x = as_float(x)
        return convert_to_tensor(function(x, *options, **named), x.dtype)  # NumPy's operators widen bfloat16

    return call


def relu(x: Any) -> Any:
    return nn.relu(convert_to_tensor(x))


def relu6(x: Any) -> Any:
    """Its derivative at 6 is 0, as that at 0."""
    x = convert_to_tensor(x)
    return lnp.where(x >= 6, lnp.full((), 6, x.dtype), nn.relu(x))


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    return nn.leaky_relu(as_float(x), negative_slope)


def elu(x: Any, alpha: float = 1.0) -> Any:
    return nn.elu(as_float(x), alpha)


@_of_floats
def celu(x: Any, alpha: float = 1.0) -> Any:
    return lnp.where(x > 0, x, alpha * lnp.expm1(lnp.where(x > 0, 0.0, x) / alpha))


def gelu(x: Any, approximate: bool = True) -> Any:
    return nn.gelu(as_float(x), bool(approximate))


@_of_floats
def squareplus(x: Any, b: float = 4) -> Any:
    return (x + lnp.sqrt(x * x + b)) / 2


@_of_floats
def glu(x: Any, axis: int = -1) -> Any:
    """The first half along ``axis``, gated by the second. Raises ValueError for an odd extent."""
    if x.shape[axis] % 2:
        raise ValueError(f"glu halves an axis, got {x.shape[axis]} elements on axis {axis} of x with shape {tuple(x.shape)}")
    first, second = lnp.split(x, 2, axis)
    return first * nn.sigmoid(second)


@_of_floats
def soft_shrink(x: Any, threshold: float = 0.5) -> Any:
    return x - lnp.clip(x, -threshold, threshold)


@_of_floats
def hard_shrink(x: Any, threshold: float = 0.5) -> Any:
    return lnp.where(lnp.abs(x) <= threshold, 0.0, x)


@_of_floats
def threshold(x: Any, threshold: float, default_value: float) -> Any:
    return lnp.where(x > threshold, x, default_value)


def softmax(x: Any, axis: int | None = -1) -> Any:
    x = as_float(x)
    output = _along(nn.softmax, x, axis)
    return output if axis is None else remember(output, x, "softmax", axis)


def sigmoid(x: Any) -> Any:
    x = as_float(x)
    return remember(nn.sigmoid(x), x, "sigmoid")


def log_softmax(x: Any, axis: int | None = -1) -> Any:
    return _along(nn.log_softmax, x, axis)


def _along(function: Callable[..., Any], x: Any, axis: int | None) -> Any:
    """Along one axis, or over all elements."""
    x = as_float(x)
    return function(x, axis) if axis is not None else lnp.reshape(function(lnp.ravel(x)), x.shape)


@_of_floats
def silu(x: Any) -> Any:
    return nn.silu(x)


@_of_floats
def softplus(x: Any) -> Any:
    return nn.softplus(x)


@_of_floats
def tanh(x: Any) -> Any:
    return lnp.tanh(x)


@_of_floats
def log_sigmoid(x: Any) -> Any:
    return -nn.softplus(-x)


@_of_floats
def softsign(x: Any) -> Any:
    return x / (1 + lnp.abs(x))


@_of_floats
def tanh_shrink(x: Any) -> Any:
    return x - lnp.tanh(x)


@_of_floats
def selu(x: Any) -> Any:
    return SELU_SCALE * nn.elu(x, SELU_ALPHA)


@_of_floats
def hard_tanh(x: Any) -> Any:
    return lnp.clip(x, -1.0, 1.0)


@_of_floats
def hard_sigmoid(x: Any) -> Any:
    return relu6(x + 3) / 6


@_of_floats
def hard_silu(x: Any) -> Any:
    return x * (relu6(x + 3) / 6)


@_of_floats
def sparse_sigmoid(x: Any) -> Any:
    return lnp.clip(0.5 * (x + 1), 0.0, 1.0)


@_of_floats
def sparse_plus(x: Any) -> Any:
    return lnp.where(x >= 1, x, lnp.square(nn.relu(lnp.minimum(x, 1.0) + 1)) / 4)


def sparsemax(x: Any, axis: int = -1) -> Any:
    """The nearest point to x whose elements are not negative and add up to 1 (Martins and Astudillo, 2016)."""
    logits = as_float(x)
    ordered = lnp.sort(logits, axis, descending=True)
    shape = [-1 if d == axis % len(logits.shape) else 1 for d in range(len(logits.shape))]
    count = np.arange(1, logits.shape[axis] + 1).astype(logits.dtype).reshape(shape)
    total = lnp.cumsum(ordered, axis)
    support = ordered * count > total - 1
    size = lnp.sum(support, axis, keepdims=True)
    over = lnp.sum(lnp.where(support, ordered, 0), axis, keepdims=True) - 1
    return lnp.maximum(logits - over / lnp.astype(size, logits.dtype), 0)
