"""Activation functions and softmax: those of ``jax.nn``, with its derivatives at kinks."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from leptonc.arguments import array, choice, flag, integer, scalar
from leptonc.arguments import axes as axes_of
from leptonc.arguments import axis as axis_of
from leptonc.arguments import operand as operand_of
from leptonc.arithmetic import absolute, add, divide, equal, multiply, negative, subtract
from leptonc.errors import DtypeError, op_error
from leptonc.numpy.creation import arange, full
from leptonc.numpy.elementwise import as_float, clip, exp, expm1, isfinite, log, log1p, maximum, minimum, sign, sqrt, tanh, where
from leptonc.numpy.manipulation import expand_dims, split
from leptonc.numpy.reductions import max as _max
from leptonc.numpy.reductions import mean as _mean
from leptonc.numpy.reductions import sum as _sum
from leptonc.promotion import is_weak
from leptonc.trace import align, bind, broadcast, cast

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017
LOG_2 = 0.6931471805599453


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


def celu(x: Any, alpha: float = 1.0) -> Any:
    """x where positive, else alpha (e^(x / alpha) - 1): its derivative has no jump (Barron 2017)."""
    operand = as_float(array("celu", "x", x))
    width = scalar("celu", "alpha", alpha)
    return add(maximum(operand, 0.0), multiply(width, expm1(divide(minimum(operand, 0.0), width))))


def selu(x: Any) -> Any:
    """elu scaled so that activations keep mean 0 and variance 1 (Klambauer et al. 2017)."""
    return multiply(SELU_SCALE, elu(as_float(array("selu", "x", x)), SELU_ALPHA))


def mish(x: Any) -> Any:
    """x tanh(softplus(x)) (Misra 2019)."""
    operand = as_float(array("mish", "x", x))
    return multiply(operand, tanh(softplus(operand)))


def relu6(x: Any) -> Any:
    """min(max(x, 0), 6); its derivative at 0 and 6 is 0."""
    operand = as_float(array("relu6", "x", x))
    return where(operand >= 6, 6.0, relu(operand))


def hard_sigmoid(x: Any) -> Any:
    """relu6(x + 3) / 6."""
    return divide(relu6(add(as_float(array("hard_sigmoid", "x", x)), 3.0)), 6.0)


def hard_silu(x: Any) -> Any:
    """x relu6(x + 3) / 6 (Howard et al. 2019)."""
    operand = as_float(array("hard_silu", "x", x))
    return multiply(operand, hard_sigmoid(operand))


hard_swish = hard_silu


def hard_tanh(x: Any) -> Any:
    """x within [-1, 1]; the derivative at either end is 1."""
    operand = as_float(array("hard_tanh", "x", x))
    return where(operand > 1, 1.0, where(operand < -1, -1.0, operand))


def soft_sign(x: Any) -> Any:
    """x / (1 + |x|)."""
    operand = as_float(array("soft_sign", "x", x))
    return divide(operand, add(absolute(operand), 1.0))


def log_sigmoid(x: Any) -> Any:
    """log(sigmoid(x)), without overflow."""
    return negative(softplus(negative(as_float(array("log_sigmoid", "x", x)))))


def squareplus(x: Any, b: float = 4) -> Any:
    """(x + sqrt(x^2 + b)) / 2 (Barron 2021)."""
    operand = as_float(array("squareplus", "x", x))
    return divide(add(operand, sqrt(add(multiply(operand, operand), scalar("squareplus", "b", b)))), 2.0)


def sparse_plus(x: Any) -> Any:
    """0 up to -1, x from 1 on, (x + 1)^2 / 4 between (Martins and Astudillo 2016)."""
    operand = as_float(array("sparse_plus", "x", x))
    ramp = add(operand, 1.0)
    return where(operand <= -1, 0.0, where(operand >= 1, operand, divide(multiply(ramp, ramp), 4.0)))


def sparse_sigmoid(x: Any) -> Any:
    """The derivative of sparse_plus: (x + 1) / 2 within [0, 1]."""
    return multiply(0.5, clip(add(as_float(array("sparse_sigmoid", "x", x)), 1.0), 0.0, 2.0))


def log1mexp(x: Any) -> Any:
    """log(1 - e^-x) for x > 0, accurate near 0 and far from it (Maechler 2012)."""
    operand = as_float(array("log1mexp", "x", x))
    small = operand < LOG_2
    near, far = where(small, operand, LOG_2), where(small, LOG_2, operand)  # neither branch sees what it cannot take
    return where(small, log(negative(expm1(negative(near)))), log1p(negative(exp(negative(far)))))


def glu(x: Any, axis: int = -1) -> Any:
    """The first half along ``axis``, gated by the sigmoid of the second (Dauphin et al. 2017). Raises ShapeError for an odd
    extent."""
    operand = as_float(array("glu", "x", x))
    at = axis_of("glu", operand, axis)
    if operand.shape[at] % 2:
        raise op_error("glu", f"axis {at} must have an even extent", {"x": operand})
    half, gate = split(operand, 2, at)
    return multiply(half, sigmoid(gate))


def identity(x: Any) -> Any:
    """x."""
    return array("identity", "x", x)


def standardize(x: Any, axis: int | tuple[int, ...] | None = -1, mean: Any = None, variance: Any = None,
                epsilon: Any = 1e-5, where: Any = None, *, algorithm: str = "fast") -> Any:
    """(x - mean) / sqrt(variance + epsilon), by default those of x over ``axis``, of the elements where ``where`` holds; a given
    one stretches to x.

    The variance is the mean of squared differences from the mean, which is JAX's ``algorithm`` "stable"; "fast" is the same here.
    """
    operand = as_float(array("standardize", "x", x))
    choice("standardize", "algorithm", algorithm, ("stable", "fast"))
    center = _mean(operand, axis, keepdims=True, where=where) if mean is None else operand_of("standardize", "mean", mean)
    off = subtract(operand, center)
    spread = (_mean(multiply(off, off), axis, keepdims=True, where=where) if variance is None
              else cast(variance, off.dtype) if is_weak(variance) else array("standardize", "variance", variance))
    return multiply(off, bind("rsqrt", as_float(add(spread, scalar("standardize", "epsilon", epsilon)))))


def softmax(x: Any, axis: int = -1, where: Any = None) -> Any:
    """e^x over its sum along ``axis``; safe for logits of any size. Elements where ``where`` is False are left out, and 0."""
    operand = as_float(array("softmax", "x", x))
    mask, at = None if where is None else _mask("softmax", where), axis_of("softmax", operand, axis)
    if not operand.shape[at]:
        return operand
    y = bind("softmax", _only(operand, mask, -np.inf), axis=at)
    return _only(y, mask, 0.0)


def log_softmax(x: Any, axis: int = -1, where: Any = None) -> Any:
    """The logarithm of softmax; safe for logits of any size. Elements where ``where`` is False are left out, and -inf."""
    operand = as_float(array("log_softmax", "x", x))
    mask, at = None if where is None else _mask("log_softmax", where), axis_of("log_softmax", operand, axis)
    if not operand.shape[at]:
        return operand
    y = bind("log_softmax", _only(operand, mask, -np.inf), axis=at)
    return _only(y, mask, -np.inf)


def _mask(name: str, value: Any) -> Any:
    mask = array(name, "where", value)
    if mask.dtype.kind != "b":
        raise op_error(name, "where must be bools", {"where": mask}, kind=DtypeError)
    return mask


def _only(x: Any, mask: Any, other: float) -> Any:
    """x where the mask is True, if there is one. Raises ShapeError for a mask that does not stretch to x."""
    return x if mask is None else where(broadcast(mask, x.shape), x, other)


def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False,
              where: Any = None) -> Any:
    """log of the sum of e^a along ``axis`` (one, several, or None: all), which vanish, or stay as 1 with ``keepdims``; -inf of no
    elements.

    With ``b``, which a stretches to and the other way round, of b * e^a: NaN where that is negative, or with ``return_sign`` the
    log of its magnitude, and its sign. Elements where ``where`` is False are left out.
    """
    operand = as_float(array("logsumexp", "a", a))
    if where is not None:
        operand = _only(operand, _mask("logsumexp", where), -np.inf)
    keep, signed = flag("logsumexp", "keepdims", keepdims), flag("logsumexp", "return_sign", return_sign)
    if b is not None or signed:
        return _weighted_logsumexp(operand, axis, 1.0 if b is None else operand_of("logsumexp", "b", b), keep, signed)
    axes = tuple(sorted(axes_of("logsumexp", operand, axis)))
    others = tuple(d for d in range(len(operand.shape)) if d not in axes)
    if not prod(operand.shape[d] for d in axes):
        return full([n if d in others else 1 for d, n in enumerate(operand.shape) if keep or d in others], -np.inf, operand.dtype)
    if len(axes) == 1:
        y = bind("logsumexp", operand, axis=axes[0])
    else:
        rows = tuple(operand.shape[d] for d in others)
        moved = bind("transpose", operand, perm=(*others, *axes))
        y = bind("logsumexp", bind("reshape", moved, shape=(*rows, prod(operand.shape[d] for d in axes))), axis=len(others))
    return expand_dims(y, axes) if keep and axes else y


def logmeanexp(x: Any, axis: Any = None, where: Any = None, keepdims: bool = False) -> Any:
    """log of the mean of e^x along ``axis`` (one, several, or None: all), of the elements where ``where`` holds; NaN of none."""
    operand = as_float(array("logmeanexp", "x", x))
    total = logsumexp(operand, axis, None, keepdims, where=where)
    kept = np.ones((), bool) if where is None else _mask("logmeanexp", where)
    kept = cast(broadcast(kept, operand.shape), operand.dtype)
    return subtract(total, log(_sum(kept, axes_of("logmeanexp", operand, axis), keepdims=keepdims)))


def _weighted_logsumexp(x: Any, axis: Any, b: Any, keepdims: bool, signed: bool) -> Any:
    x, weights = align("logsumexp", x, b)
    weights = as_float(weights)
    x = where(equal(weights, 0), cast(-np.inf, x.dtype), x)
    axes = axes_of("logsumexp", x, axis)
    greatest = _max(x, axes, keepdims=True, initial=-np.inf)
    offset = bind("stop_gradient", where(isfinite(greatest), greatest, cast(0, x.dtype)))
    total = _sum(multiply(weights, exp(subtract(x, offset))), axes, keepdims=True)
    y, sign_of = add(log(absolute(total) if signed else total), offset), sign(total)
    if not keepdims:
        shape = tuple(n for d, n in enumerate(x.shape) if d not in axes)
        y, sign_of = (bind("reshape", v, shape=shape) for v in (y, sign_of))
    return (y, sign_of) if signed else y


def one_hot(labels: Any, num_classes: int, dtype: Any = np.float32, axis: int = -1) -> Any:
    """1 at each label, 0 elsewhere, along a new ``axis`` of ``num_classes``; all 0 for a label out of range."""
    index = array("one_hot", "labels", labels)
    count = integer("one_hot", "num_classes", num_classes, {"labels": index}, least=0)
    if index.dtype.kind not in "iu":
        raise op_error("one_hot", "labels must be ints", {"labels": index}, kind=DtypeError)
    at, rank = axis_of("one_hot", index, axis, len(index.shape) + 1), len(index.shape) + 1
    numbers = class_numbers(count, index.dtype)
    if at != rank - 1:
        numbers = numbers.reshape([-1 if d == at else 1 for d in range(rank)])
    return cast(equal(expand_dims(index, at), numbers), np.float32 if dtype is None else dtype)


def class_numbers(count: int, dtype: np.dtype) -> Any:
    """0, 1, 2 ... in the labels' dtype if it holds them all: in a smaller one they would begin again."""
    return arange(count, dtype=dtype if count - 1 <= np.iinfo(dtype).max else np.int64)
