"""Convolutions beyond the plain one: transposed, depthwise, separable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from leptonc import numpy as lnp
from leptonc.arguments import array, choice, integer, integers
from leptonc.errors import ArgumentError, op_error
from leptonc.nn.windows import Padding, Pairs, conv, input_grad, pads_of, spread_conv, transposed_pad
from leptonc.trace import promote


def conv_transpose(
    x: Any,
    w: Any,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding | None = None,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    output_padding: int | Sequence[int] = 0,
    convention: str = "jax",
) -> Any:
    """Convolution with gaps of ``stride`` - 1 zeros between the elements of x [n, spatial..., c]: [n, spatial'..., o].

    Two conventions. "jax", as ``jax.lax.conv_transpose``: w is [window..., c / groups, o], applied as it is; ``padding`` "SAME"
    (the default) or "VALID" names the size of the result, (low, high) pairs are those of the convolution over the spread x.
    "pytorch", as ``ConvTranspose2d``, the gradient of a convolution: w is [window..., c, o / groups], turned around;
    ``padding``, an int (0 by default) or one per axis, is that of the convolution whose gradient it is, ``output_padding`` adds
    to the end. Raises ShapeError, DtypeError or ArgumentError.
    """
    name = "conv_transpose"
    a, b = promote(array(name, "x", x), array(name, "w", w))
    rank = len(a.shape) - 2
    if rank < 1 or len(b.shape) != len(a.shape):
        raise op_error(name, "x must be [n, spatial..., c] and w [window..., in, out]", {"x": a, "w": b})
    strides, dilations = (
        integers(name, what, value, {"x": a}, count=rank, repeat=True, least=1)
        for what, value in (("stride", stride), ("dilation", dilation))
    )
    extra = integers(name, "output_padding", output_padding, {"x": a}, count=rank, repeat=True, least=0)
    windows = [(n - 1) * d + 1 for n, d in zip(b.shape, dilations)]
    count = integer(name, "groups", groups, {"x": a, "w": b}, least=1)
    ours = choice(name, "convention", convention, ("jax", "pytorch")) == "jax"
    pads = (_jax_pads(a, "SAME" if padding is None else padding, windows, strides) if ours
            else _pytorch_pads(a, 0 if padding is None else padding, windows))
    pads = tuple((low, high + more) for (low, high), more in zip(pads, extra))
    if max(strides) == 1:
        return conv(a, b if ours else _turned(b, a, count), padding=pads, dilation=dilations, groups=count)
    if ours or 0 in (*a.shape, *b.shape):
        return spread_conv(a, b if ours else _turned(b, a, count), strides, pads, dilations, count)
    return input_grad(a, lnp.swapaxes(b, -1, -2), strides, pads, dilations, count)


def _jax_pads(x: Any, padding: Padding, windows: Sequence[int], strides: Sequence[int]) -> Pairs:
    ones = (1,) * len(windows)
    if not isinstance(padding, str):
        return pads_of("conv_transpose", padding, x.shape[1:-1], windows, ones, ones, x)
    kind = choice("conv_transpose", "padding", padding.upper(), ("SAME", "VALID"), {"x": x})
    return tuple(transposed_pad(k, s, kind) for k, s in zip(windows, strides))


def _pytorch_pads(x: Any, padding: Padding, windows: Sequence[int]) -> Pairs:
    if isinstance(padding, str):
        raise op_error(
            "conv_transpose",
            f"padding={padding!r} has no meaning in PyTorch's convention",
            {"x": x},
            "give an int, or one per axis",
            ArgumentError,
        )
    given = pads_of("conv_transpose", padding, x.shape[1:-1], windows, (1,) * len(windows), (1,) * len(windows), x)
    return tuple((k - 1 - low, k - 1 - high) for k, (low, high) in zip(windows, given))


def _turned(w: Any, x: Any, groups: int) -> Any:
    """[window..., c, o / groups] as the weights of the convolution: back to front, and [window..., c / groups, o]."""
    rank, (features, out) = len(w.shape) - 2, w.shape[-2:]
    back = lnp.flip(w, tuple(range(rank)))
    if groups == 1:
        return back
    if features % groups:
        raise op_error("conv_transpose", f"{features} channels do not go into {groups} groups", {"x": x, "w": w})
    parts = lnp.reshape(back, (*w.shape[:-2], groups, features // groups, out))
    return lnp.reshape(lnp.moveaxis(parts, rank, rank + 1), (*w.shape[:-2], features // groups, groups * out))


def depthwise_conv(
    x: Any, w: Any, *, stride: int | Sequence[int] = 1, padding: Padding = "VALID", dilation: int | Sequence[int] = 1
) -> Any:
    """Each channel of x [n, spatial..., c] by itself, with w [window..., c, multiplier]: [n, spatial'..., c * multiplier]."""
    a, b = promote(array("depthwise_conv", "x", x), array("depthwise_conv", "w", w))
    if len(a.shape) < 3 or len(b.shape) != len(a.shape) or b.shape[-2] != a.shape[-1] or not a.shape[-1]:
        raise op_error("depthwise_conv", "x must be [n, spatial..., c] and w [window..., c, multiplier]", {"x": a, "w": b})
    channels, multiplier = b.shape[-2:]
    return conv(
        a,
        lnp.reshape(b, (*b.shape[:-2], 1, channels * multiplier)),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=channels,
    )


def separable_conv(
    x: Any,
    depthwise: Any,
    pointwise: Any,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
) -> Any:
    """``depthwise_conv`` with depthwise [window..., c, multiplier], then a product of channels with pointwise [c * multiplier,
    o]."""
    b = array("separable_conv", "pointwise", pointwise)
    y = depthwise_conv(x, depthwise, stride=stride, padding=padding, dilation=dilation)
    if len(b.shape) != 2 or b.shape[0] != y.shape[-1]:
        raise op_error("separable_conv", f"pointwise must be [{y.shape[-1]}, o]", {"pointwise": b})
    return conv(y, lnp.reshape(b, (*(1,) * (len(y.shape) - 2), *b.shape)))
