"""Building blocks of neural networks, in traced ops; modules among them are loaded when they are first asked for."""

from typing import TYPE_CHECKING

from leptonc.nn import initializers
from leptonc.nn.activations import (
    celu,
    elu,
    gelu,
    glu,
    hard_sigmoid,
    hard_silu,
    hard_swish,
    hard_tanh,
    identity,
    leaky_relu,
    log1mexp,
    log_sigmoid,
    log_softmax,
    logmeanexp,
    logsumexp,
    mish,
    one_hot,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_sign,
    softmax,
    softplus,
    sparse_plus,
    sparse_sigmoid,
    squareplus,
    standardize,
    swish,
)
from leptonc.nn.attention import dot_product_attention, rotary_embedding, sinusoidal_positions
from leptonc.nn.convolutions import conv_transpose, depthwise_conv, separable_conv
from leptonc.nn.ctc import ctc_loss
from leptonc.nn.dropout import alpha_dropout, dropout, gaussian_dropout, spatial_dropout
from leptonc.nn.losses import (
    binary_cross_entropy_with_logits,
    cosine_distance,
    cosine_similarity,
    cross_entropy,
    hinge_loss,
    huber_loss,
    kl_divergence,
    mean_absolute_error,
    mean_squared_error,
    triplet_loss,
)
from leptonc.nn.normalization import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from leptonc.nn.pooling import avg_pool, lp_pool, max_pool
from leptonc.nn.recurrent import gru, gru_cell, lstm, lstm_cell, simple_rnn, simple_rnn_cell
from leptonc.nn.resizing import (
    adaptive_avg_pool,
    adaptive_max_pool,
    global_avg_pool,
    global_max_pool,
    resize,
    upsample,
)
from leptonc.nn.windows import conv
from leptonc.numpy.elementwise import tanh
from leptonc.public import members as _members
from leptonc.public import publish as _publish

if TYPE_CHECKING:
    from leptonc.nn.layers import (
        MLP,
        BatchNorm,
        Conv,
        ConvTranspose,
        Dropout,
        Embedding,
        GroupNorm,
        LayerNorm,
        Linear,
        RMSNorm,
        Sequential,
    )
    from leptonc.nn.mixed import MixedPrecision, Policy
    from leptonc.nn.module import Module, Parameter, State, StateIndex, combine, inference_mode, partition, static
    from leptonc.nn.saving import load, save
    from leptonc.nn.scaled import get_scaled_dot_general_config, scaled_dot_general, scaled_matmul
    from leptonc.nn.sequences import GRU, LSTM, KVCache, MultiHeadAttention, SimpleRNN

__all__ = [
    "conv", "conv_transpose", "depthwise_conv", "separable_conv", "max_pool", "avg_pool", "lp_pool",
    "global_avg_pool", "global_max_pool", "adaptive_avg_pool", "adaptive_max_pool", "resize", "upsample",
    "relu", "relu6", "leaky_relu", "elu", "celu", "selu", "gelu", "glu", "sigmoid", "silu", "swish", "mish", "softplus",
    "soft_sign", "squareplus", "sparse_plus", "sparse_sigmoid", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh",
    "log_sigmoid", "log1mexp", "tanh", "identity", "softmax", "log_softmax", "logmeanexp", "logsumexp", "standardize", "one_hot",
    "cross_entropy", "binary_cross_entropy_with_logits", "mean_squared_error", "mean_absolute_error", "huber_loss",
    "kl_divergence", "hinge_loss", "cosine_similarity", "cosine_distance", "triplet_loss", "ctc_loss",
    "batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm",
    "dropout", "spatial_dropout", "alpha_dropout", "gaussian_dropout",
    "simple_rnn_cell", "lstm_cell", "gru_cell", "simple_rnn", "lstm", "gru",
    "dot_product_attention", "rotary_embedding", "sinusoidal_positions",
    "get_scaled_dot_general_config", "scaled_dot_general", "scaled_matmul",
    "initializers",
    "Module", "Parameter", "State", "StateIndex", "combine", "inference_mode", "partition", "static", "load", "save",
    "BatchNorm", "Conv", "ConvTranspose", "Dropout", "Embedding", "GroupNorm", "LayerNorm", "Linear", "MLP", "RMSNorm",
    "Sequential", "GRU", "KVCache", "LSTM", "MultiHeadAttention", "SimpleRNN", "MixedPrecision", "Policy",
]

_LATER = {
    **_members("leptonc.nn.module", "Module", "Parameter", "State", "StateIndex", "combine", "inference_mode", "partition",
               "static"),
    **_members("leptonc.nn.mixed", "MixedPrecision", "Policy"),
    **_members("leptonc.nn.saving", "load", "save"),
    **_members("leptonc.nn.scaled", "get_scaled_dot_general_config", "scaled_dot_general", "scaled_matmul"),
    **_members("leptonc.nn.layers", "BatchNorm", "Conv", "ConvTranspose", "Dropout", "Embedding", "GroupNorm", "LayerNorm",
               "Linear", "MLP", "RMSNorm", "Sequential"),
    **_members("leptonc.nn.sequences", "GRU", "KVCache", "LSTM", "MultiHeadAttention", "SimpleRNN"),
}

_publish(globals(), [name for name in __all__ if name not in _LATER], later=_LATER)
