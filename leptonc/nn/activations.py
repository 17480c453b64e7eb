"""Activation functions, softmax and losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.arithmetic import add, equal, multiply, negative, subtract
from leptonc.errors import DtypeError, op_error
from leptonc.numpy.creation import arange, asarray
from leptonc.numpy.elementwise import as_float, expm1, tanh, where
from leptonc.numpy.manipulation import expand_dims
from leptonc.numpy.reductions import mean, normalize_axis
from leptonc.numpy.reductions import sum as _sum
from leptonc.trace import bind, cast, locate, promote


def relu(x: Any) -> Any:
    """max(x, 0); its derivative at 0 is 0."""
    (operand,) = promote(x)
    return bind("relu", operand)


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """x where positive, else ``negative_slope`` x."""
    operand = as_float(x)
    return where(operand >= 0, operand, multiply(operand, negative_slope))


def elu(x: Any, alpha: float = 1.0) -> Any:
    """x where positive, else alpha (e^x - 1)."""
    operand = as_float(x)
    positive = operand > 0
    return where(positive, operand, multiply(alpha, expm1(where(positive, 0.0, operand))))


def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x)."""
    return bind("sigmoid", as_float(x))


def silu(x: Any) -> Any:
    """x sigmoid(x)."""
    operand = as_float(x)
    return multiply(operand, sigmoid(operand))


swish = silu


def softplus(x: Any) -> Any:
    """log(1 + e^x), without overflow."""
    return bind("softplus", as_float(x))


def gelu(x: Any, approximate: bool = True) -> Any:
    """x Phi(x); ``approximate`` takes tanh for the error function (Hendrycks and Gimpel 2016)."""
    operand = as_float(x)
    if approximate:
        cubic = add(operand, multiply(0.044715, multiply(operand, multiply(operand, operand))))
        return multiply(multiply(0.5, operand), add(1, tanh(multiply((2 / np.pi) ** 0.5, cubic))))
    return multiply(multiply(0.5, operand), add(1, bind("erf", multiply(operand, 0.5**0.5))))


def softmax(x: Any, axis: int = -1) -> Any:
    """e^x over its sum along ``axis``; safe for logits of any size."""
    operand = as_float(x)
    return bind("softmax", operand, axis=normalize_axis("softmax", operand, axis))


def log_softmax(x: Any, axis: int = -1) -> Any:
    """The logarithm of softmax; safe for logits of any size."""
    operand = as_float(x)
    return bind("log_softmax", operand, axis=normalize_axis("log_softmax", operand, axis))


def logsumexp(x: Any, axis: int = -1) -> Any:
    """log of the sum of e^x along ``axis``, which vanishes."""
    operand = as_float(x)
    return bind("logsumexp", operand, axis=normalize_axis("logsumexp", operand, axis))


def one_hot(labels: Any, num_classes: int, dtype: Any = np.float32) -> Any:
    """[..., num_classes]: 1 at each label, 0 elsewhere; all 0 for a label out of range."""
    index = asarray(labels)
    if index.dtype.kind not in "iu":
        raise op_error("one_hot", "labels must be ints", {"labels": index}, locate(), kind=DtypeError)
    return cast(equal(expand_dims(index, -1), arange(num_classes, dtype=index.dtype)), dtype)


def cross_entropy(logits: Any, targets: Any, axis: int = -1) -> Any:
    """The mean of -sum(targets * log_softmax(logits)); ``targets`` are probabilities of the logits' shape (one-hot,
    say), or int classes of that shape without ``axis``.

    Raises ShapeError if the shapes do not fit.
    """
    scores = as_float(logits)
    at = normalize_axis("cross_entropy", scores, axis)
    goals = asarray(targets)
    classes = goals.dtype.kind in "iu" and len(goals.shape) == len(scores.shape) - 1
    wanted = (*scores.shape[:at], *scores.shape[at + 1:]) if classes else scores.shape
    if goals.shape != wanted:
        raise op_error("cross_entropy", f"targets must be probabilities of shape {scores.shape} or int classes without "
                       f"axis {axis}", {"logits": scores, "targets": goals}, locate())
    if classes:
        goals = one_hot_along(goals, scores, at)
    if goals.dtype != scores.dtype:
        goals = cast(goals, scores.dtype)
    return negative(mean(_sum(multiply(goals, log_softmax(scores, at)), at)))


def one_hot_along(labels: Any, like: Any, axis: int) -> Any:
    """Labels as one-hot vectors along ``axis`` of ``like``."""
    numbers = arange(like.shape[axis], dtype=labels.dtype).reshape([-1 if d == axis else 1 for d in range(len(like.shape))])
    return cast(equal(expand_dims(labels, axis), numbers), like.dtype)


def mean_squared_error(predictions: Any, targets: Any) -> Any:
    """The mean of the squared differences."""
    off = subtract(predictions, targets)
    return mean(multiply(off, off))
