"""Activation functions, softmax and losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.arguments import array, flag, integer, scalar
from leptonc.arguments import axis as axis_of
from leptonc.arithmetic import add, bitwise_and, equal, greater_equal, less, multiply, negative, subtract
from leptonc.errors import DtypeError, RangeError, op_error
from leptonc.numpy.creation import arange
from leptonc.numpy.elementwise import as_float, expm1, tanh, where
from leptonc.numpy.manipulation import expand_dims
from leptonc.numpy.reductions import mean
from leptonc.numpy.reductions import sum as _sum
from leptonc.trace import Tracer, bind, broadcast, cast


def relu(x: Any) -> Any:
    """max(x, 0); its derivative at 0 is 0."""
    return bind("relu", array("relu", "x", x))


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """x where positive, else ``negative_slope`` x."""
    operand = as_float(array("leaky_relu", "x", x))
    return where(operand >= 0, operand, multiply(operand, scalar("leaky_relu", "negative_slope", negative_slope)))


def elu(x: Any, alpha: float = 1.0) -> Any:
    """x where positive, else alpha (e^x - 1)."""
    operand = as_float(array("elu", "x", x))
    positive = operand > 0
    return where(positive, operand, multiply(scalar("elu", "alpha", alpha), expm1(where(positive, 0.0, operand))))


def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x)."""
    return bind("sigmoid", as_float(array("sigmoid", "x", x)))


def silu(x: Any) -> Any:
    """x sigmoid(x)."""
    operand = as_float(array("silu", "x", x))
    return multiply(operand, sigmoid(operand))


swish = silu


def softplus(x: Any) -> Any:
    """log(1 + e^x), without overflow."""
    return bind("softplus", as_float(array("softplus", "x", x)))


def gelu(x: Any, approximate: bool = True) -> Any:
    """x Phi(x); ``approximate`` takes tanh for the error function (Hendrycks and Gimpel 2016)."""
    operand = as_float(array("gelu", "x", x))
    if flag("gelu", "approximate", approximate):
        cubic = add(operand, multiply(0.044715, multiply(operand, multiply(operand, operand))))
        return multiply(multiply(0.5, operand), add(1, tanh(multiply((2 / np.pi) ** 0.5, cubic))))
    return multiply(multiply(0.5, operand), add(1, bind("erf", multiply(operand, 0.5**0.5))))


def softmax(x: Any, axis: int = -1) -> Any:
    """e^x over its sum along ``axis``; safe for logits of any size."""
    operand = as_float(array("softmax", "x", x))
    return bind("softmax", operand, axis=axis_of("softmax", operand, axis))


def log_softmax(x: Any, axis: int = -1) -> Any:
    """The logarithm of softmax; safe for logits of any size."""
    operand = as_float(array("log_softmax", "x", x))
    return bind("log_softmax", operand, axis=axis_of("log_softmax", operand, axis))


def logsumexp(x: Any, axis: int = -1) -> Any:
    """log of the sum of e^x along ``axis``, which vanishes."""
    operand = as_float(array("logsumexp", "x", x))
    return bind("logsumexp", operand, axis=axis_of("logsumexp", operand, axis))


def one_hot(labels: Any, num_classes: int, dtype: Any = np.float32) -> Any:
    """[..., num_classes]: 1 at each label, 0 elsewhere; all 0 for a label out of range."""
    index = array("one_hot", "labels", labels)
    count = integer("one_hot", "num_classes", num_classes, {"labels": index}, least=0)
    if index.dtype.kind not in "iu":
        raise op_error("one_hot", "labels must be ints", {"labels": index}, kind=DtypeError)
    return cast(equal(expand_dims(index, -1), _class_numbers(count, index.dtype)), dtype)


def _class_numbers(count: int, dtype: np.dtype) -> Any:
    """0, 1, 2 ... in the labels' dtype if it holds them all: in a smaller one they would begin again."""
    return arange(count, dtype=dtype if count - 1 <= np.iinfo(dtype).max else np.int64)


def cross_entropy(logits: Any, targets: Any, axis: int = -1) -> Any:
    """The mean of -sum(targets * log_softmax(logits)); ``targets`` are probabilities of the logits' shape (one-hot,
    say), or int classes of that shape without ``axis``. A class out of range (labels from 1, say) has no loss: NaN, and NaN
    gradients of its logits.

    Raises ShapeError if the shapes do not fit, RangeError for a class out of range that is known: not traced.
    """
    scores = as_float(array("cross_entropy", "logits", logits))
    at = axis_of("cross_entropy", scores, axis)
    goals = array("cross_entropy", "targets", targets)
    classes = goals.dtype.kind in "iu" and len(goals.shape) == len(scores.shape) - 1
    wanted = (*scores.shape[:at], *scores.shape[at + 1:]) if classes else scores.shape
    if goals.shape != wanted:
        raise op_error("cross_entropy", f"targets must be probabilities of shape {scores.shape} or int classes without "
                       f"axis {axis}", {"logits": scores, "targets": goals})
    if classes:
        goals = _goals(goals, scores, at)
    if goals.dtype != scores.dtype:
        goals = cast(goals, scores.dtype)
    return negative(mean(_sum(multiply(goals, log_softmax(scores, at)), at)))


def _goals(labels: Any, like: Any, axis: int) -> Any:
    """One-hot vectors; for a traced label that is no class, all NaN, which makes loss and gradients NaN."""
    if not isinstance(labels, Tracer):
        _check_labels(np.asarray(labels), like.shape[axis])
        return one_hot_along(labels, like, axis)
    wide = broadcast(expand_dims(labels, axis), like.shape)  # stretched first: what follows is part of one loop with its users
    is_class = bitwise_and(greater_equal(wide, 0), less(wide, like.shape[axis]))
    return where(is_class, one_hot_along(labels, like, axis), np.full((), np.nan, like.dtype))


def _check_labels(labels: np.ndarray, count: int) -> None:
    outside = labels[(labels < 0) | (labels >= count)]
    if outside.size:
        raise op_error("cross_entropy", f"label {outside.flat[0]} is out of range for {count} classes", {"targets": labels},
                       f"labels count from 0 to {count - 1}", RangeError)


def one_hot_along(labels: Any, like: Any, axis: int) -> Any:
    """Labels as one-hot vectors along ``axis`` of ``like``."""
    numbers = _class_numbers(like.shape[axis], labels.dtype).reshape([-1 if d == axis else 1 for d in range(len(like.shape))])
    return cast(equal(expand_dims(labels, axis), numbers), like.dtype)


def mean_squared_error(predictions: Any, targets: Any) -> Any:
    """The mean of the squared differences."""
    off = subtract(predictions, targets)
    return mean(multiply(off, off))
