"""The backend's names as Keras 3.15 takes them, all in one module."""

from leptonc.keras.src import ops, random, tensorboard
from leptonc.keras.src.ops import core, image, linalg, math, nn, numpy
from leptonc.keras.src.ops.control import cond, vectorized_map
from leptonc.keras.src.ops.core import (
    IS_THREAD_SAFE,
    SUPPORTS_COMPLEX_DTYPES,
    SUPPORTS_RAGGED_TENSORS,
    SUPPORTS_SPARSE_TENSORS,
    cast,
    compute_output_spec,
    convert_to_numpy,
    convert_to_tensor,
    device_scope,
    is_tensor,
    random_seed_dtype,
    scatter,
    shape,
    stop_gradient,
)
from leptonc.keras.src.ops.signatures import leave_out_annotations
from leptonc.keras.src.rnn import bidirectional_gru, bidirectional_lstm, cudnn_ok, gru, lstm, rnn
from leptonc.keras.src.scopes import name_scope
from leptonc.keras.src.variable import Variable

__all__ = [
    "IS_THREAD_SAFE", "SUPPORTS_COMPLEX_DTYPES", "SUPPORTS_RAGGED_TENSORS", "SUPPORTS_SPARSE_TENSORS", "Variable",
    "bidirectional_gru", "bidirectional_lstm", "cast", "compute_output_spec", "cond", "convert_to_numpy",
    "convert_to_tensor", "core", "cudnn_ok", "device_scope", "gru", "image", "is_tensor", "linalg", "lstm", "math",
    "name_scope", "nn", "numpy", "ops", "random", "random_seed_dtype", "rnn", "scatter", "shape", "stop_gradient",
    "tensorboard", "vectorized_map",
]

for _module in (core, image, linalg, math, nn, numpy):
    leave_out_annotations(_module)
