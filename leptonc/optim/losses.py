"""optax's losses: one number for each example, or for each element; nothing is averaged. ``leptonc.nn`` has losses that are."""

from __future__ import annotations

from math import log
from typing import Any

from leptonc import nn
from leptonc import numpy as lnp
from leptonc.arguments import array, scalar
from leptonc.errors import ShapeError, op_error


def squared_error(predictions: Any, targets: Any = None) -> Any:
    """(predictions - targets)^2, element by element."""
    return lnp.square(predictions if targets is None else lnp.subtract(predictions, targets))


def l2_loss(predictions: Any, targets: Any = None) -> Any:
    """Half the squared error, element by element."""
    return lnp.multiply(0.5, squared_error(predictions, targets))


def huber_loss(predictions: Any, targets: Any = None, delta: float = 1.0) -> Any:
    """Half the squared error up to ``delta``, linear beyond, element by element (Huber 1964)."""
    scalar("huber_loss", "delta", delta, least=0)
    size = lnp.abs(predictions if targets is None else lnp.subtract(predictions, targets))
    inner = lnp.minimum(size, delta)
    return lnp.add(l2_loss(inner), lnp.multiply(delta, lnp.subtract(size, inner)))


def log_cosh(predictions: Any, targets: Any = None) -> Any:
    """log(cosh(predictions - targets)), element by element."""
    error = array("log_cosh", "predictions", predictions if targets is None else lnp.subtract(predictions, targets))
    return lnp.subtract(lnp.logaddexp(error, lnp.negative(error)), log(2))


def softmax_cross_entropy(logits: Any, labels: Any, axis: int = -1) -> Any:
    """Of probabilities ``labels`` of the logits' shape: one number for each example."""
    return nn.cross_entropy(logits, labels, axis, reduction="none")


def softmax_cross_entropy_with_integer_labels(logits: Any, labels: Any, axis: int = -1) -> Any:
    """Of int classes ``labels`` of the logits' shape without ``axis``: one number for each example."""
    return nn.cross_entropy(logits, labels, axis, reduction="none")


def sigmoid_binary_cross_entropy(logits: Any, labels: Any) -> Any:
    """Of probabilities ``labels``, element by element."""
    x = array("sigmoid_binary_cross_entropy", "logits", logits)
    both = lnp.multiply(labels, nn.log_sigmoid(x)), lnp.multiply(lnp.subtract(1, labels), nn.log_sigmoid(lnp.negative(x)))
    return lnp.negative(lnp.add(*both))


def hinge_loss(predictor_outputs: Any, targets: Any) -> Any:
    """max(0, 1 - outputs * targets) of targets -1 and 1, element by element."""
    return lnp.maximum(0, lnp.subtract(1, lnp.multiply(predictor_outputs, targets)))


def kl_divergence(log_predictions: Any, targets: Any, axis: Any = -1) -> Any:
    """How far logarithms of probabilities are from ``targets``: one number for each example."""
    goal = array("kl_divergence", "targets", targets)
    none = lnp.equal(goal, 0)
    entropy = lnp.where(none, 0, lnp.log(lnp.where(none, 1, goal)))
    return lnp.sum(lnp.multiply(goal, lnp.subtract(entropy, log_predictions)), axis)


def cosine_similarity(predictions: Any, targets: Any, *, epsilon: float = 0.0, axis: int = -1) -> Any:
    """The cosine of the angle between vectors along ``axis``; squares of norms are at least ``epsilon``."""
    scalar("cosine_similarity", "epsilon", epsilon, least=0)

    def unit(x: Any) -> Any:
        return lnp.divide(x, lnp.sqrt(lnp.maximum(lnp.sum(lnp.square(x), axis, keepdims=True), epsilon)))

    return lnp.sum(lnp.multiply(unit(predictions), unit(targets)), axis)


def cosine_distance(predictions: Any, targets: Any, *, epsilon: float = 0.0, axis: int = -1) -> Any:
    """1 - ``cosine_similarity``."""
    return lnp.subtract(1, cosine_similarity(predictions, targets, epsilon=epsilon, axis=axis))


def smooth_labels(labels: Any, alpha: float) -> Any:
    """One-hot labels, ``alpha`` of which goes to all classes alike (Szegedy et al. 2016)."""
    scalar("smooth_labels", "alpha", alpha, least=0)
    found = array("smooth_labels", "labels", labels)
    if not found.shape or not found.shape[-1]:
        raise op_error("smooth_labels", "labels need an axis of classes", {"labels": found}, kind=ShapeError)
    return lnp.add(lnp.multiply(1 - alpha, found), alpha / found.shape[-1])
