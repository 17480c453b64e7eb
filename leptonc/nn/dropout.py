"""Dropout: activations disturbed in training, their mean kept. ``key`` is of ``leptonc.random``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from leptonc import numpy as lnp
from leptonc import random
from leptonc.arguments import array, axes, number
from leptonc.errors import op_error
from leptonc.nn.activations import SELU_ALPHA, SELU_SCALE
from leptonc.numpy.elementwise import as_float


def _kept(name: str, key: Any, x: Any, rate: Any, shape: Sequence[int]) -> tuple[Any, float]:
    """Which of ``shape`` stay, and their share."""
    share = 1 - float(number(name, "rate", rate, {"x": x}, least=0, most=1))
    return random.bernoulli(key, share, tuple(shape)), share


def dropout(key: Any, x: Any, rate: float, *, broadcast_dims: Sequence[int] = ()) -> Any:
    """x with a share ``rate`` of its elements 0, the rest divided by 1 - rate (Srivastava et al. 2014).

    Along ``broadcast_dims`` (Flax's name) all elements share one draw. At a rate of 1 all is 0.
    """
    operand = as_float(array("dropout", "x", x))
    shared = axes("dropout", operand, tuple(broadcast_dims) if isinstance(broadcast_dims, list) else broadcast_dims)
    keep, share = _kept("dropout", key, operand, rate, [1 if d in shared else n for d, n in enumerate(operand.shape)])
    return lnp.where(keep, lnp.multiply(operand, 1 / share if share else 0.0), 0.0)


def spatial_dropout(key: Any, x: Any, rate: float) -> Any:
    """Dropout of whole features of x [n, spatial..., c] (Tompson et al. 2015); PyTorch's dropout1d to dropout3d."""
    operand = array("spatial_dropout", "x", x)
    if len(operand.shape) < 3:
        raise op_error("spatial_dropout", "x must be [n, spatial..., c]", {"x": operand})
    return dropout(key, operand, rate, broadcast_dims=tuple(range(1, len(operand.shape) - 1)))


def alpha_dropout(key: Any, x: Any, rate: float) -> Any:
    """Dropout to selu's least value, then scaled and shifted so that mean 0 and variance 1 stay (Klambauer et al. 2017)."""
    operand = as_float(array("alpha_dropout", "x", x))
    keep, share = _kept("alpha_dropout", key, operand, rate, operand.shape)
    if not share:
        return lnp.zeros_like(operand)
    least = -SELU_ALPHA * SELU_SCALE
    scale = (share * (1 + (1 - share) * least**2)) ** -0.5
    return lnp.add(lnp.multiply(scale, lnp.where(keep, operand, least)), -scale * least * (1 - share))


def gaussian_dropout(key: Any, x: Any, rate: float) -> Any:
    """x times normal noise of mean 1 and the variance rate / (1 - rate) of dropout (Srivastava et al. 2014)."""
    operand = as_float(array("gaussian_dropout", "x", x))
    part = float(number("gaussian_dropout", "rate", rate, {"x": operand}, least=0, below=1))
    noise = random.normal(key, operand.shape, operand.dtype)
    return lnp.multiply(operand, lnp.add(1.0, lnp.multiply((part / (1 - part)) ** 0.5, noise)))
