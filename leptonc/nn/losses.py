"""Losses, each safe for logits of any size. ``reduction`` is "mean", "sum" or "none", as PyTorch names them."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.arguments import array, choice, flag, number, operand, scalar
from leptonc.arguments import axis as axis_of
from leptonc.arithmetic import (
    absolute,
    add,
    bitwise_and,
    divide,
    equal,
    greater_equal,
    less,
    less_equal,
    multiply,
    negative,
    subtract,
)
from leptonc.errors import RangeError, op_error
from leptonc.nn.activations import class_numbers, log_softmax, relu, softplus
from leptonc.numpy.elementwise import as_float, exp, floats_of_one_dtype, log, maximum, sqrt, where
from leptonc.numpy.manipulation import expand_dims
from leptonc.numpy.reductions import mean
from leptonc.numpy.reductions import sum as _sum
from leptonc.trace import Tracer, broadcast, cast

REDUCTIONS = ("mean", "sum", "none")


def _reduced(name: str, values: Any, reduction: str) -> Any:
    kind = choice(name, "reduction", reduction, REDUCTIONS)
    return values if kind == "none" else _sum(values) if kind == "sum" else mean(values)


def cross_entropy(
    logits: Any, targets: Any, axis: int = -1, *, weight: Any = None, label_smoothing: float = 0.0, reduction: str = "mean"
) -> Any:
    """-sum(targets * log_softmax(logits)) along ``axis``; ``targets`` are probabilities of the logits' shape (one-hot, say), or int
    classes of that shape without ``axis``. A class out of range (labels from 1, say) has no loss: NaN, and NaN gradients of its
    logits.

    ``weight`` has a factor for each class; with int classes the mean is over the weights, as in PyTorch. ``label_smoothing``
    moves so much of each target to all classes alike. Raises ShapeError if the shapes do not fit, RangeError for a class out of
    range that is known: not traced.
    """
    scores = as_float(array("cross_entropy", "logits", logits))
    at = axis_of("cross_entropy", scores, axis)
    goals = array("cross_entropy", "targets", targets)
    choice("cross_entropy", "reduction", reduction, REDUCTIONS)
    classes = goals.dtype.kind in "iu" and len(goals.shape) == len(scores.shape) - 1
    wanted = (*scores.shape[:at], *scores.shape[at + 1 :]) if classes else scores.shape
    if goals.shape != wanted:
        raise op_error(
            "cross_entropy",
            f"targets must be probabilities of shape {scores.shape} or int classes without axis {axis}",
            {"logits": scores, "targets": goals},
        )
    if classes:
        goals = _goals(goals, scores, at)
    if goals.dtype != scores.dtype:
        goals = cast(goals, scores.dtype)
    factors = None if weight is None else _class_weights(weight, scores, at)
    total = _sum(multiply(goals, factors), at) if classes and factors is not None else None
    smoothing = number("cross_entropy", "label_smoothing", label_smoothing, {"logits": scores}, least=0, most=1)
    if smoothing:
        goals = add(multiply(goals, 1 - float(smoothing)), float(smoothing) / scores.shape[at])
    if factors is not None:
        goals = multiply(goals, factors)
    values = _sum(multiply(goals, log_softmax(scores, at)), at)
    if reduction == "mean" and total is not None:
        return negative(divide(_sum(values), _sum(total)))
    return negative(_reduced("cross_entropy", values, reduction))


def _class_weights(weight: Any, scores: Any, axis: int) -> Any:
    """One factor for each class, along ``axis``."""
    factors = as_float(array("cross_entropy", "weight", weight))
    if factors.shape != (scores.shape[axis],):
        raise op_error(
            "cross_entropy",
            f"weight must have one number for each of {scores.shape[axis]} classes",
            {"logits": scores, "weight": factors},
        )
    return cast(factors, scores.dtype).reshape([-1 if d == axis else 1 for d in range(len(scores.shape))])


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
        raise op_error(
            "cross_entropy",
            f"label {outside.flat[0]} is out of range for {count} classes",
            {"targets": labels},
            f"labels count from 0 to {count - 1}",
            RangeError,
        )


def one_hot_along(labels: Any, like: Any, axis: int) -> Any:
    """Labels as one-hot vectors along ``axis`` of ``like``."""
    numbers = class_numbers(like.shape[axis], labels.dtype).reshape([-1 if d == axis else 1 for d in range(len(like.shape))])
    return cast(equal(expand_dims(labels, axis), numbers), like.dtype)


def mean_squared_error(predictions: Any, targets: Any, *, reduction: str = "mean") -> Any:
    """The squared differences."""
    off = subtract(predictions, targets)
    return _reduced("mean_squared_error", multiply(off, off), reduction)


def mean_absolute_error(predictions: Any, targets: Any, *, reduction: str = "mean") -> Any:
    """The absolute differences; the derivative at 0 is 0."""
    return _reduced("mean_absolute_error", absolute(subtract(predictions, targets)), reduction)


def huber_loss(predictions: Any, targets: Any, delta: float = 1.0, *, reduction: str = "mean") -> Any:
    """Half the squared difference up to ``delta``, from there on straight: delta (|difference| - delta / 2) (Huber 1964)."""
    off = absolute(subtract(*floats_of_one_dtype("huber_loss", predictions=predictions, targets=targets)))
    width = scalar("huber_loss", "delta", delta, least=0)
    near = less_equal(off, width)
    inner = where(near, off, 0.0)
    values = where(near, multiply(multiply(0.5, inner), inner), multiply(width, subtract(off, 0.5 * width)))
    return _reduced("huber_loss", values, reduction)


def binary_cross_entropy_with_logits(
    logits: Any, targets: Any, *, weight: Any = None, pos_weight: Any = None, reduction: str = "mean"
) -> Any:
    """-log of what the sigmoid of each logit gives to its target, a number from 0 to 1.

    ``weight`` is a factor for each value, ``pos_weight`` one for targets of 1; both stretch to the logits. As PyTorch's.
    """
    name = "binary_cross_entropy_with_logits"
    scores, goals = floats_of_one_dtype(name, logits=logits, targets=targets)
    if scores.shape != goals.shape:
        raise op_error(name, "logits and targets must have one shape", {"logits": scores, "targets": goals})
    positive = multiply(goals, softplus(negative(scores)))
    if pos_weight is not None:
        positive = multiply(positive, operand(name, "pos_weight", pos_weight))
    values = add(positive, multiply(subtract(1.0, goals), softplus(scores)))
    if weight is not None:
        values = multiply(values, operand(name, "weight", weight))
    return _reduced(name, values, reduction)


def kl_divergence(
    log_predictions: Any, targets: Any, axis: int = -1, *, log_targets: bool = False, reduction: str = "mean"
) -> Any:
    """sum(targets * (log(targets) - log_predictions)) along ``axis``; a target of 0 adds 0, whatever was predicted.

    ``log_targets`` says that targets are logarithms. The mean over the rest is PyTorch's "batchmean" of [n, classes].
    """
    scores, goals = floats_of_one_dtype("kl_divergence", log_predictions=log_predictions, targets=targets)
    at = axis_of("kl_divergence", scores, axis)
    chances = exp(goals) if flag("kl_divergence", "log_targets", log_targets) else goals
    some = chances > 0
    logs = where(some, goals, 0.0) if log_targets else log(where(some, goals, 1.0))
    terms = where(some, multiply(chances, subtract(logs, where(some, scores, 0.0))), 0.0)
    return _reduced("kl_divergence", _sum(terms, at), reduction)


def hinge_loss(scores: Any, targets: Any, *, reduction: str = "mean") -> Any:
    """max(0, 1 - targets * scores) for targets -1 and 1."""
    return _reduced(
        "hinge_loss", relu(subtract(1.0, multiply(*floats_of_one_dtype("hinge_loss", scores=scores, targets=targets)))), reduction
    )


def cosine_similarity(x: Any, y: Any, axis: int = -1, epsilon: float = 1e-8) -> Any:
    """The cosine of the angle between x and y along ``axis``; lengths count as at least ``epsilon``, so that 0 has finite
    gradients."""
    a, b = floats_of_one_dtype("cosine_similarity", x=x, y=y)
    at = axis_of("cosine_similarity", a, axis)
    least = float(number("cosine_similarity", "epsilon", epsilon, {"x": a}, least=0)) ** 2
    squares = [maximum(_sum(multiply(v, v), at), max(least, np.finfo(np.float32).tiny)) for v in (a, b)]
    return divide(_sum(multiply(a, b), at), multiply(sqrt(squares[0]), sqrt(squares[1])))


def cosine_distance(x: Any, y: Any, axis: int = -1, epsilon: float = 1e-8, *, reduction: str = "mean") -> Any:
    """1 - cosine_similarity."""
    return _reduced("cosine_distance", subtract(1.0, cosine_similarity(x, y, axis, epsilon)), reduction)


def triplet_loss(
    anchor: Any, positive: Any, negative: Any, margin: float = 1.0, *, epsilon: float = 1e-6, reduction: str = "mean"
) -> Any:
    """max(0, |anchor - positive| - |anchor - negative| + margin), lengths along the last axis (Schroff et al. 2015).

    ``epsilon`` is added to each difference, as PyTorch's triplet_margin_loss does, so that equal points have finite gradients.
    """
    a, p, n = floats_of_one_dtype("triplet_loss", anchor=anchor, positive=positive, negative=negative)
    if not a.shape:
        raise op_error("triplet_loss", "anchor must have an axis of features", {"anchor": a})
    shift = scalar("triplet_loss", "epsilon", epsilon)
    near, far = (sqrt(_sum(multiply(off, off), -1)) for off in (add(subtract(a, other), shift) for other in (p, n)))
    return _reduced("triplet_loss", relu(add(subtract(near, far), scalar("triplet_loss", "margin", margin))), reduction)
