"""Building blocks of neural networks, in traced ops."""

from leptonc.nn import initializers
from leptonc.nn.activations import (
    cross_entropy,
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    logsumexp,
    mean_squared_error,
    one_hot,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    swish,
)
from leptonc.nn.windows import avg_pool, conv, max_pool
from leptonc.numpy.elementwise import tanh
from leptonc.public import publish as _publish

__all__ = [
    "conv", "max_pool", "avg_pool",
    "relu", "leaky_relu", "elu", "gelu", "sigmoid", "silu", "softplus", "swish", "tanh",
    "softmax", "log_softmax", "logsumexp", "one_hot", "cross_entropy", "mean_squared_error",
    "initializers",
]

_publish(globals(), __all__)
