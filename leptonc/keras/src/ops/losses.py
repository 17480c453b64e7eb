"""Cross entropies, of each sample."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras.src.backend.config import epsilon

from leptonc import nn
from leptonc import numpy as lnp
from leptonc.errors import RangeError
from leptonc.keras.src.logits import logits_of
from leptonc.keras.src.ops.classes import one_hot
from leptonc.keras.src.ops.tensors import as_float, convert_to_tensor

__all__ = ["binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"]


def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """``target``: probabilities of the shape of ``output``."""
    output = as_float(output)
    target = convert_to_tensor(target, output.dtype)
    _check("categorical_crossentropy", target.shape == output.shape and output.shape, target, output, "the same shape, not ()")
    return -lnp.sum(target * _log_probabilities(output, from_logits, axis), axis)


def sparse_categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """``target``: ints of the shape of ``output`` without its last axis, or with one element there.

    The loss of a label that is no class is NaN; outside of a trace it is an error.
    """
    target, output = convert_to_tensor(target), as_float(output)
    if len(target.shape) == len(output.shape) and target.shape[-1:] == (1,):
        target = lnp.squeeze(target, -1)
    _check("sparse_categorical_crossentropy", output.shape and target.shape == output.shape[:-1], target, output,
           "the same shape up to the last axis of output")
    classes = output.shape[axis]
    known = (target >= 0) & (target < classes)  # of the labels as they came: as ints, NaN would be 0
    if isinstance(known, np.ndarray) and not known.all():
        raise RangeError(f"sparse_categorical_crossentropy: label {target[~known].flat[0]:g} is none of {classes} classes, 0 to "
                         f"{classes - 1}; fix: the labels, or as many outputs as there are classes")
    chosen = one_hot(lnp.astype(target, "int32"), classes, axis, output.dtype)
    return lnp.where(known, -lnp.sum(chosen * _log_probabilities(output, from_logits, axis), axis), float("nan"))


def _log_probabilities(output: Any, from_logits: bool, axis: int) -> Any:
    logits = output if from_logits else logits_of(output, "softmax", axis)
    if logits is not None:
        return nn.log_softmax(logits, axis)
    shares = output / lnp.sum(output, axis, keepdims=True)
    return lnp.log(lnp.clip(shares, epsilon(), 1.0 - epsilon()))


def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """Of each element."""
    output = as_float(output)
    target = convert_to_tensor(target, output.dtype)
    _check("binary_crossentropy", target.shape == output.shape, target, output, "the same shape")
    logits = output if from_logits else logits_of(output, "sigmoid")
    if logits is not None:
        return target * nn.softplus(-logits) + (1 - target) * nn.softplus(logits)
    chance = lnp.clip(output, epsilon(), 1.0 - epsilon())
    return -(target * lnp.log(chance) + (1 - target) * lnp.log(1 - chance))


def _check(name: str, fits: Any, target: Any, output: Any, wanted: str) -> None:
    if not fits:
        raise ValueError(f"{name}: target and output must have {wanted}; target.shape={tuple(target.shape)}, "
                         f"output.shape={tuple(output.shape)}")
