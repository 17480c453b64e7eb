"""Activation functions, softmax among them."""

from __future__ import annotations

from math import prod
from typing import Any

import leptonc.numpy as lnp
from leptonc import nn
from tests.peers.onnx.registry import Node, op, plain

plain({"Relu": nn.relu, "Sigmoid": nn.sigmoid, "Softplus": nn.softplus, "Softsign": nn.soft_sign, "Mish": nn.mish,
       "HardSwish": nn.hard_swish})


@op("LeakyRelu")
def leaky_relu(node: Node, x: Any) -> Any:
    return nn.leaky_relu(x, node.get("alpha", 0.01))


@op("PRelu")
def prelu(node: Node, x: Any, slope: Any) -> Any:
    return lnp.where(x < 0, x * slope, x)


@op("Elu")
def elu(node: Node, x: Any) -> Any:
    return nn.elu(x, node.get("alpha", 1.0))


@op("Celu")
def celu(node: Node, x: Any) -> Any:
    return nn.celu(x, node.get("alpha", 1.0))


@op("Selu")
def selu(node: Node, x: Any) -> Any:
    alpha, gamma = node.get("alpha", 1.67326319217681884765625), node.get("gamma", 1.05070102214813232421875)
    return gamma * nn.elu(x, alpha)


@op("ThresholdedRelu")
def thresholded_relu(node: Node, x: Any) -> Any:
    return lnp.where(x > node.get("alpha", 1.0), x, lnp.zeros_like(x))


@op("HardSigmoid")
def hard_sigmoid(node: Node, x: Any) -> Any:
    return lnp.clip(x * node.get("alpha", 0.2) + node.get("beta", 0.5), 0, 1)


@op("Gelu")
def gelu(node: Node, x: Any) -> Any:
    return nn.gelu(x, approximate=node.get("approximate", "none") == "tanh")


@op("Shrink")
def shrink(node: Node, x: Any) -> Any:
    bias, bound = node.get("bias", 0.0), node.get("lambd", 0.5)
    return lnp.where(x < -bound, x + bias, lnp.where(x > bound, x - bias, lnp.zeros_like(x)))


@op("Swish")
def swish(node: Node, x: Any) -> Any:
    return x * nn.sigmoid(node.get("alpha", 1.0) * x)


def along(node: Node, x: Any, f: Any) -> Any:
    """f along the axis; before opset 13 all axes from that one on are one."""
    if node.opset >= 13:
        return f(x, node.get("axis", -1))
    axis = node.get("axis", 1) % len(x.shape)
    return lnp.reshape(f(lnp.reshape(x, (prod(x.shape[:axis]), -1)), 1), x.shape)


@op("Softmax")
def softmax(node: Node, x: Any) -> Any:
    return along(node, x, nn.softmax)


@op("LogSoftmax")
def log_softmax(node: Node, x: Any) -> Any:
    return along(node, x, nn.log_softmax)


@op("Hardmax")
def hardmax(node: Node, x: Any) -> Any:
    return along(node, x, lambda x, axis: nn.one_hot(lnp.argmax(x, axis), x.shape[axis], x.dtype, axis))
