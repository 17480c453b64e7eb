"""Functions of one element at a time, with NumPy's broadcasting."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

import leptonc.numpy as lnp
from leptonc import lax
from tests.peers.onnx.registry import Node, op, plain

plain({
    "Abs": lnp.abs, "Acos": lnp.acos, "Acosh": lnp.acosh, "Add": lnp.add, "And": lnp.logical_and, "Asin": lnp.asin,
    "Asinh": lnp.asinh, "Atan": lnp.atan, "Atanh": lnp.atanh, "BitwiseAnd": lnp.bitwise_and, "BitwiseNot": lnp.bitwise_invert,
    "BitwiseOr": lnp.bitwise_or, "BitwiseXor": lnp.bitwise_xor, "Ceil": lnp.ceil, "Cos": lnp.cos, "Cosh": lnp.cosh, "Div": lax.div,
    "Equal": lnp.equal, "Erf": lax.erf, "Exp": lnp.exp, "Floor": lnp.floor, "Greater": lnp.greater,
    "GreaterOrEqual": lnp.greater_equal, "IsNaN": lnp.isnan, "Less": lnp.less, "LessOrEqual": lnp.less_equal, "Log": lnp.log,
    "Mul": lnp.multiply, "Neg": lnp.negative, "Not": lnp.logical_not, "Or": lnp.logical_or, "Reciprocal": lnp.reciprocal,
    "Round": lnp.rint, "Sign": lnp.sign, "Sin": lnp.sin, "Sinh": lnp.sinh, "Sqrt": lnp.sqrt, "Sub": lnp.subtract, "Tan": lnp.tan,
    "Tanh": lnp.tanh, "Where": lnp.where, "Xor": lnp.logical_xor,
    "Max": lambda *xs: reduce(lnp.maximum, xs), "Min": lambda *xs: reduce(lnp.minimum, xs),
    "Sum": lambda *xs: reduce(lnp.add, xs), "Mean": lambda *xs: reduce(lnp.add, xs) / len(xs),
})


@op("Pow")
def power(node: Node, x: Any, y: Any) -> Any:
    return lnp.astype(lnp.power(x, y), x.dtype)


@op("Mod")
def modulo(node: Node, x: Any, y: Any) -> Any:
    return lnp.fmod(x, y) if node.get("fmod", 0) else lnp.mod(x, y)


@op("BitShift")
def shift(node: Node, x: Any, y: Any) -> Any:
    return lnp.left_shift(x, y) if node.get("direction") == "LEFT" else lnp.right_shift(x, y)


@op("IsInf")
def is_infinite(node: Node, x: Any) -> Any:
    positive = lnp.isposinf(x) if node.get("detect_positive", 1) else lnp.zeros(x.shape, bool)
    return lnp.logical_or(positive, lnp.isneginf(x)) if node.get("detect_negative", 1) else positive


@op("Clip")
def clip(node: Node, x: Any, low: Any = None, high: Any = None) -> Any:
    low, high = node.get("min", low), node.get("max", high)
    x = x if low is None else lnp.maximum(x, low)
    return x if high is None else lnp.minimum(x, lnp.astype(np.asarray(high), x.dtype) if isinstance(high, float) else high)


@op("BitCast")
def bitcast(node: Node, x: Any) -> Any:
    from tests.peers.onnx.types import dtype

    target = dtype(node.get("to"))
    if "bool" in (x.dtype.name, target.name):
        return lnp.astype(x, target)
    return lax.bitcast_convert_type(x, target)
