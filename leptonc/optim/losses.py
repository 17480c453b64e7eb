"""optax's losses: one number for each example, or for each element; nothing is averaged. ``leptonc.nn`` has losses that are."""

from __future__ import annotations

from math import log, prod
from typing import Any

from leptonc import nn
from leptonc import numpy as lnp
from leptonc.arguments import array, scalar
from leptonc.arguments import axes as axes_of
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


def _mask(name: str, where: Any, x: Any, axis: Any) -> Any:
    """``where`` in x's rank: the axes are put into one that lacks them."""
    mask = array(name, "where", where)
    return mask if len(mask.shape) == len(x.shape) else lnp.expand_dims(mask, axis)


def softmax_cross_entropy(logits: Any, labels: Any, axis: Any = -1, where: Any = None) -> Any:
    """Of probabilities ``labels`` of the logits' shape: one number for each example. ``axis`` may be several, or None: all; only
    classes where ``where`` holds are there."""
    if where is None and isinstance(axis, int):
        return nn.cross_entropy(logits, labels, axis, reduction="none")
    x = array("softmax_cross_entropy", "logits", logits)
    mask = None if where is None else _mask("softmax_cross_entropy", where, x, axis)
    logs = lnp.subtract(x, nn.logsumexp(x, axis, keepdims=True, where=mask))
    logs = logs if mask is None else lnp.where(mask, logs, 0)
    return lnp.negative(lnp.sum(lnp.multiply(labels, logs), axis))


def softmax_cross_entropy_with_integer_labels(logits: Any, labels: Any, axis: Any = -1, where: Any = None) -> Any:
    """Of int classes ``labels`` of the logits' shape without ``axis``: one number for each example.

    Of several axes, classes are numbered through all of them. Only classes where ``where`` holds are there: of none, 0."""
    name = "softmax_cross_entropy_with_integer_labels"
    x = array(name, "logits", logits)
    mask = None if where is None else _mask(name, where, x, axis)
    if isinstance(axis, tuple):
        x, mask = _classes_last(x, axis), None if mask is None else _classes_last(lnp.broadcast_to(mask, x.shape), axis)
        axis = -1
    if mask is None:
        return nn.cross_entropy(x, labels, axis, reduction="none")
    chosen = lnp.squeeze(lnp.take_along_axis(x, lnp.expand_dims(labels, axis), axis), axis)
    out = lnp.subtract(nn.logsumexp(x, axis, where=mask), chosen)
    return lnp.where(lnp.any(mask, axis), out, 0.0)


def _classes_last(x: Any, axes: tuple[int, ...]) -> Any:
    """The axes made one, the last."""
    at = tuple(axis % len(x.shape) for axis in axes)
    others = tuple(d for d in range(len(x.shape)) if d not in at)
    return lnp.reshape(lnp.transpose(x, (*others, *at)), (*(x.shape[d] for d in others), -1))


def sigmoid_binary_cross_entropy(logits: Any, labels: Any) -> Any:
    """Of probabilities ``labels``, element by element."""
    x = array("sigmoid_binary_cross_entropy", "logits", logits)
    both = lnp.multiply(labels, nn.log_sigmoid(x)), lnp.multiply(lnp.subtract(1, labels), nn.log_sigmoid(lnp.negative(x)))
    return lnp.negative(lnp.add(*both))


def sigmoid_focal_loss(logits: Any, labels: Any, *, alpha: Any = None, gamma: Any = 2.0) -> Any:
    """Cross entropy times (1 - chance of what is right)^gamma, element by element, of probabilities ``labels``; ``alpha``: the
    weight of ones, beside 1 - alpha of zeros (Lin et al. 2017)."""
    x, goal = array("sigmoid_focal_loss", "logits", logits), array("sigmoid_focal_loss", "labels", labels)
    rest = lnp.subtract(1, goal)
    both = lnp.stack(lnp.broadcast_arrays(nn.log_sigmoid(x), nn.log_sigmoid(lnp.negative(x))), -1)
    wrong = nn.logsumexp(both, -1, b=lnp.stack([rest, goal], -1))
    loss = lnp.multiply(sigmoid_binary_cross_entropy(x, goal), lnp.exp(lnp.multiply(gamma, wrong)))
    if alpha is None:
        return loss
    return lnp.multiply(lnp.add(lnp.multiply(alpha, goal), lnp.multiply(lnp.subtract(1, alpha), rest)), loss)


def hinge_loss(predictor_outputs: Any, targets: Any) -> Any:
    """max(0, 1 - outputs * targets) of targets -1 and 1, element by element."""
    return lnp.maximum(0, lnp.subtract(1, lnp.multiply(predictor_outputs, targets)))


def kl_divergence(log_predictions: Any, targets: Any, axis: Any = -1, where: Any = None) -> Any:
    """How far logarithms of probabilities are from ``targets``, of those where ``where`` holds: one number for each example."""
    goal = array("kl_divergence", "targets", targets)
    none = lnp.equal(goal, 0)
    entropy = lnp.where(none, 0, lnp.log(lnp.where(none, 1, goal)))
    return lnp.sum(lnp.multiply(goal, lnp.subtract(entropy, log_predictions)), axis, where=where)


def cosine_similarity(predictions: Any, targets: Any, *, epsilon: float = 0.0, axis: Any = -1, where: Any = None) -> Any:
    """The cosine of the angle between vectors along ``axis``, of their elements where ``where`` holds; squares of norms are at
    least ``epsilon``."""
    scalar("cosine_similarity", "epsilon", epsilon, least=0)

    def unit(x: Any) -> Any:
        return lnp.divide(x, lnp.sqrt(lnp.maximum(lnp.sum(lnp.square(x), axis, keepdims=True, where=where), epsilon)))

    return lnp.sum(lnp.multiply(unit(predictions), unit(targets)), axis, where=where)


def cosine_distance(predictions: Any, targets: Any, *, epsilon: float = 0.0, axis: Any = -1, where: Any = None) -> Any:
    """1 - ``cosine_similarity``."""
    return lnp.subtract(1, cosine_similarity(predictions, targets, epsilon=epsilon, axis=axis, where=where))


def smooth_labels(labels: Any, alpha: float, *, axis: Any = -1, where: Any = None) -> Any:
    """One-hot labels, ``alpha`` of which goes to all classes, along ``axis``, alike: to those where ``where`` holds (Szegedy et al.
    2016)."""
    scalar("smooth_labels", "alpha", alpha, least=0)
    found = array("smooth_labels", "labels", labels)
    count: Any = prod(found.shape[d] for d in axes_of("smooth_labels", found, axis))
    if not found.shape or not count:
        raise op_error("smooth_labels", "labels need an axis of classes", {"labels": found}, kind=ShapeError)
    if where is not None:
        count = lnp.astype(lnp.sum(where, axis, keepdims=True), found.dtype)
    return lnp.add(lnp.multiply(1 - alpha, found), lnp.divide(alpha, count) if where is not None else alpha / count)
