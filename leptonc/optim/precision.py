"""Training in 16 bits: losses scaled so that gradients stay in range, parameters rounded at random so that small steps count."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc import random, tree
from leptonc.arguments import array, number, scalar
from leptonc.bfloat16 import is_bfloat16, kind_of
from leptonc.elementary import bitcast_convert_type
from leptonc.errors import DtypeError, op_error
from leptonc.ir.types import dtype_of
from leptonc.optim.base import step_count
from leptonc.optim.wrappers import chosen
from leptonc.promotion import numpy_dtype
from leptonc.public import public_methods


def _scaled(whole: Any, factor: Any) -> Any:
    """Floats times a factor, in their own dtypes."""
    def each(x: Any) -> Any:
        return x * lnp.astype(factor, x.dtype) if kind_of(getattr(x, "dtype", np.dtype(bool))) in "fc" else x

    return tree.map(each, whole)


@public_methods
@dataclass(frozen=True)
class StaticLossScale:
    """A loss times ``loss_scale``, a number, its gradients over it. Has the methods of ``DynamicLossScale``, but never changes."""

    loss_scale: Any = field(metadata={"static": True})

    def scale(self, whole: Any) -> Any:
        """A loss, or a tree, times the scale, in its own dtype."""
        return _scaled(whole, self.loss_scale)

    def unscale(self, whole: Any) -> Any:
        """Gradients over the scale; those of 16 bits should be cast to f32 before."""
        return _scaled(whole, 1 / self.loss_scale)

    def adjust(self, grads_finite: Any) -> Any:
        """The scale for the next step."""
        return self


@public_methods
@dataclass(frozen=True)
class DynamicLossScale(StaticLossScale):
    """The largest scale that gradients have room for: ``factor`` times more after ``period`` steps in a row whose gradients were
    finite, as much less, and at least ``min_loss_scale``, after one whose were not (Micikevicius et al. 2018). As in jmp.

    A tree, to be passed into a jitted step and returned from it:

        grads = scale.unscale(grad(lambda p: scale.scale(loss(p)))(params))
        finite = optim.all_finite(grads)
        scale = scale.adjust(finite)
        params = optim.select_tree(finite, updated, params)
    """

    loss_scale: Any = field(default_factory=lambda: np.float32(2**15))
    counter: Any = field(default_factory=lambda: np.int32(0))
    period: int = field(default=2000, metadata={"static": True})
    factor: float = field(default=2.0, metadata={"static": True})
    min_loss_scale: float = field(default=1.0, metadata={"static": True})

    def __post_init__(self) -> None:
        name = "DynamicLossScale"
        step_count(name, "period", self.period)
        number(name, "factor", self.factor, least=1)
        number(name, "min_loss_scale", self.min_loss_scale, least=0)
        object.__setattr__(self, "loss_scale", lnp.asarray(scalar(name, "loss_scale", self.loss_scale), np.float32))
        object.__setattr__(self, "counter", lnp.asarray(scalar(name, "counter", self.counter), np.int32))

    def adjust(self, grads_finite: Any) -> DynamicLossScale:
        """The scale for the next step, which depends on whether the gradients of this one were finite."""
        full = self.counter == np.int32(self.period - 1)
        more = lnp.multiply(self.loss_scale, np.float32(self.factor))
        grown = lnp.where(lnp.logical_and(full, lnp.isfinite(more)), more, self.loss_scale)
        less = lnp.maximum(self.loss_scale / np.float32(self.factor), np.float32(self.min_loss_scale))
        steps = lnp.where(lnp.logical_and(grads_finite, lnp.logical_not(full)), self.counter + np.int32(1), np.int32(0))
        return replace(self, loss_scale=lnp.where(grads_finite, grown, less), counter=steps)


def select_tree(condition: Any, on_true: Any, on_false: Any) -> Any:
    """One tree or the other, leaf by leaf, of the same structure, shapes and dtypes."""
    return chosen(condition, on_true, on_false)


def stochastic_round(key: Any, x: Any, dtype: Any) -> Any:
    """f32 as bf16 or f16, each number to one of its two neighbours: to the one that is d of their distance away with the chance
    1 - d. So the mean of what is rounded is the number itself, and a sum of many small steps is not lost.

    Key and shape decide it, traced or not, on any number of threads. Numbers that are finite stay so; NaN and infinities too are as
    they are. Raises DtypeError for other dtypes.
    """
    operand, target = array("stochastic_round", "x", x), numpy_dtype(dtype, "stochastic_round")
    if operand.dtype != np.float32 or not dtype_of(target).is_narrow:
        raise op_error("stochastic_round", f"rounds f32 to bf16 or f16, not to {dtype_of(target)}", {"x": operand}, kind=DtypeError)
    chance = random.bits(key, operand.shape, np.uint32)
    found = _to_bfloat16(operand, chance) if is_bfloat16(target) else _to_float16(operand, chance)
    return lnp.where(lnp.isfinite(operand), lnp.astype(found, target), lnp.astype(operand, target))


def _to_bfloat16(x: Any, chance: Any) -> Any:
    """The upper halves of f32, whose lower half has been raised by up to itself."""
    bits = bitcast_convert_type(x, np.uint32)
    upper = lnp.bitwise_and(bits + lnp.bitwise_and(chance, np.uint32(0xFFFF)), np.uint32(0xFFFF0000))
    found = bitcast_convert_type(upper, np.float32)
    below = bitcast_convert_type(lnp.bitwise_and(bits, np.uint32(0xFFFF0000)), np.float32)
    return lnp.where(lnp.isfinite(found), found, below)


def _to_float16(x: Any, chance: Any) -> Any:
    """Multiples of the distance of f16's numbers at x: 2^(e - 10), for e from -14, where they become evenly spaced."""
    most = np.float32(65504)
    size = lnp.minimum(lnp.abs(x), most)
    exponent = lnp.bitwise_and(bitcast_convert_type(lnp.maximum(size, np.float32(2**-14)), np.uint32), np.uint32(0x7F800000))
    step = bitcast_convert_type(exponent, np.float32) * np.float32(2**-10)
    unit = lnp.astype(lnp.right_shift(chance, np.uint32(19)), np.float32) * np.float32(2**-13)  # f32's digits beyond f16's
    return lnp.copysign(lnp.minimum(lnp.floor(size / step + unit) * step, most), x)

