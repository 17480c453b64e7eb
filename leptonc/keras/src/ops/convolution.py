"""Convolutions: plain, grouped, depthwise, separable and transposed."""

from __future__ import annotations

from typing import Any

from keras.src.backend.common.backend_utils import (
    check_conv_input_channels,
    check_conv_transpose_input_channels,
    compute_conv_transpose_padding_args_for_jax,
)
from keras.src.backend.config import standardize_data_format

from leptonc import lax, nn
from leptonc import numpy as lnp
from leptonc.keras.src.ops.layout import as_format, channels_last, listed
from leptonc.keras.src.ops.tensors import promoted

__all__ = ["conv", "conv_transpose", "depthwise_conv", "separable_conv"]


def conv(inputs: Any, kernel: Any, strides: Any = 1, padding: str = "valid", data_format: str | None = None,
         dilation_rate: Any = 1) -> Any:
    """With as many groups as the channels of the inputs hold those of the kernel [window..., c / groups, o].

    Raises ValueError if they do not divide, or if nothing would be left.
    """
    inputs, kernel = promoted(inputs, kernel)
    x = channels_last(inputs, data_format)
    channels, wanted = x.shape[-1], kernel.shape[-2]
    if channels % wanted:
        raise ValueError(f"conv: the channels of the inputs, {channels}, must be a multiple of those of the kernel, {wanted}; "
                         f"inputs have shape {tuple(inputs.shape)}, the kernel {tuple(kernel.shape)}")
    y = nn.conv(x, kernel, stride=listed(strides), padding=padding, dilation=listed(dilation_rate), groups=channels // wanted)
    if 0 in y.shape and 0 not in x.shape:
        raise ValueError(f"conv: empty output of shape {tuple(y.shape)}: the kernel {tuple(kernel.shape)} with "
                         f"strides={strides}, padding={padding!r}, dilation_rate={dilation_rate} does not fit into inputs of "
                         f"shape {tuple(inputs.shape)}")
    return as_format(y, data_format)


def depthwise_conv(inputs: Any, kernel: Any, strides: Any = 1, padding: str = "valid", data_format: str | None = None,
                   dilation_rate: Any = 1) -> Any:
    """Each channel with its own kernels: [window..., c, multiplier]."""
    inputs, kernel = promoted(inputs, kernel)
    check_conv_input_channels(inputs, kernel, standardize_data_format(data_format))
    *window, channels, multiplier = kernel.shape
    return conv(inputs, lnp.reshape(kernel, (*window, 1, channels * multiplier)), strides, padding, data_format, dilation_rate)


def separable_conv(inputs: Any, depthwise_kernel: Any, pointwise_kernel: Any, strides: Any = 1, padding: str = "valid",
                   data_format: str | None = None, dilation_rate: Any = 1) -> Any:
    between = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(between, pointwise_kernel, 1, "valid", data_format)


def conv_transpose(inputs: Any, kernel: Any, strides: Any = 1, padding: str = "valid", output_padding: Any = None,
                   data_format: str | None = None, dilation_rate: Any = 1) -> Any:
    """The transpose of the convolution with this kernel, [window..., o, c]: of a stretched input with the kernel turned round."""
    inputs, kernel = promoted(inputs, kernel)
    check_conv_transpose_input_channels(inputs, kernel, standardize_data_format(data_format))
    rank = len(kernel.shape) - 2
    pads = compute_conv_transpose_padding_args_for_jax(inputs.shape, kernel.shape, strides, padding, output_padding, dilation_rate)
    axes = tuple(range(1, rank + 1))
    y = lax.conv_general_dilated(
        channels_last(inputs, data_format), lnp.flip(kernel, tuple(range(rank))), (1,) * rank, pads, listed(strides),
        listed(dilation_rate), ((0, rank + 1, *axes), (rank, rank + 1, *range(rank)), (0, rank + 1, *axes)))
    return as_format(y, data_format)
