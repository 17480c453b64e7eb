"""Normalization of activations [n, spatial..., c] by their mean and variance, over whichever axes.

Of floats of 16 bits all is computed in f32, and the result rounded once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import array, axes, flag, integer, scalar
from leptonc.bfloat16 import is_narrow
from leptonc.errors import op_error
from leptonc.numpy.elementwise import as_float
from leptonc.trace import bind, cast


def batch_norm(
    x: Any,
    running_mean: Any,
    running_var: Any,
    scale: Any = None,
    bias: Any = None,
    *,
    training: bool,
    momentum: float = 0.9,
    epsilon: float = 1e-5,
) -> tuple[Any, Any, Any]:
    """(y, running_mean, running_var): each feature, the last axis, normalized (Ioffe and Szegedy 2015).

    In training by the batch's own mean and variance, and the running ones move: momentum * running + (1 - momentum) * batch, the
    variance divided by n, as in Flax and Keras (PyTorch's momentum is 1 minus this one, its running variance divided by n - 1).
    Else by the running ones, which stay. Those returned are constants to differentiation. Raises ShapeError unless there is one of
    each for a feature.
    """
    operand = as_float(array("batch_norm", "x", x))
    mean, var = (
        _per_feature("batch_norm", what, value, operand)
        for what, value in (("running_mean", running_mean), ("running_var", running_var))
    )
    scalar("batch_norm", "momentum", momentum)
    if not flag("batch_norm", "training", training):
        off = lnp.subtract(_wide(operand), mean)
        return _affine("batch_norm", operand, off, var, scale, bias, epsilon), mean, var
    wide, over = _wide(operand), tuple(range(len(operand.shape) - 1))
    center = lnp.mean(wide, over)
    off = lnp.subtract(wide, center)
    spread = lnp.mean(lnp.multiply(off, off), over)
    y = _affine("batch_norm", operand, off, spread, scale, bias, epsilon)
    return y, _moved(mean, center, momentum), _moved(var, spread, momentum)


def _moved(running: Any, now: Any, momentum: Any) -> Any:
    return cast(lnp.add(lnp.multiply(momentum, running), lnp.multiply(1 - momentum, bind("stop_gradient", now))), running.dtype)


def _per_feature(name: str, what: str, value: Any, x: Any) -> Any:
    found = as_float(array(name, what, value))
    if not x.shape or found.shape != x.shape[-1:]:
        raise op_error(name, f"{what} must have one number for each feature, the last axis of x", {"x": x, what: found})
    return found


def _wide(x: Any) -> Any:
    """In f32 if it has 16 bits."""
    return cast(x, np.dtype(np.float32)) if is_narrow(x.dtype) else x


def _affine(name: str, x: Any, off: Any, var: Any, scale: Any, bias: Any, epsilon: Any) -> Any:
    """off / sqrt(var + epsilon) * scale + bias, in the dtype of ``x``."""
    factor = bind("rsqrt", as_float(lnp.add(var, scalar(name, "epsilon", epsilon))))
    if scale is not None:
        factor = lnp.multiply(factor, array(name, "scale", scale))
    y = lnp.multiply(off, factor)
    y = y if bias is None else lnp.add(y, array(name, "bias", bias))
    return y if y.dtype == x.dtype else cast(y, x.dtype)


def layer_norm(x: Any, scale: Any = None, bias: Any = None, axis: int | tuple[int, ...] = -1, *, epsilon: float = 1e-5) -> Any:
    """Normalized over ``axis`` (Ba et al. 2016); ``scale`` and ``bias`` stretch to x."""
    operand = as_float(array("layer_norm", "x", x))
    over = axes("layer_norm", operand, axis)
    wide = _wide(operand)
    off = lnp.subtract(wide, lnp.mean(wide, over, keepdims=True))
    return _affine("layer_norm", operand, off, lnp.mean(lnp.multiply(off, off), over, keepdims=True), scale, bias, epsilon)


def rms_norm(x: Any, scale: Any = None, axis: int | tuple[int, ...] = -1, *, epsilon: float = 1e-6) -> Any:
    """Divided by the root of its mean square over ``axis`` (Zhang and Sennrich 2019)."""
    operand = as_float(array("rms_norm", "x", x))
    over = axes("rms_norm", operand, axis)
    wide = _wide(operand)
    return _affine("rms_norm", operand, wide, lnp.mean(lnp.multiply(wide, wide), over, keepdims=True), scale, None, epsilon)


def group_norm(x: Any, groups: int, scale: Any = None, bias: Any = None, *, epsilon: float = 1e-5) -> Any:
    """Each of ``groups`` of features normalized over itself and all positions of its example (Wu and He 2018)."""
    operand = as_float(array("group_norm", "x", x))
    if len(operand.shape) < 2:
        raise op_error("group_norm", "x must be [n, ..., c]", {"x": operand})
    count = integer("group_norm", "groups", groups, {"x": operand}, least=1)
    features = operand.shape[-1]
    if features % count:
        raise op_error("group_norm", f"{features} features do not go into {count} groups", {"x": operand})
    split = lnp.reshape(_wide(operand), (*operand.shape[:-1], count, features // count))
    over = (*range(1, len(operand.shape) - 1), len(operand.shape))
    off = lnp.subtract(split, lnp.mean(split, over, keepdims=True))
    var = lnp.mean(lnp.multiply(off, off), over, keepdims=True)
    factor, shift = (
        None if p is None else lnp.reshape(_per_feature("group_norm", what, p, operand), (count, features // count))
        for what, p in (("scale", scale), ("bias", bias))
    )
    return lnp.reshape(_affine("group_norm", operand, off, var, factor, shift, epsilon), operand.shape)


def instance_norm(x: Any, scale: Any = None, bias: Any = None, *, epsilon: float = 1e-5) -> Any:
    """Each feature of each example normalized over its positions (Ulyanov et al. 2016)."""
    operand = array("instance_norm", "x", x)
    if len(operand.shape) < 3:
        raise op_error("instance_norm", "x must be [n, spatial..., c]", {"x": operand})
    return layer_norm(operand, scale, bias, tuple(range(1, len(operand.shape) - 1)), epsilon=epsilon)
