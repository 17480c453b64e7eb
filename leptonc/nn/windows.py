"""Convolution over NHWC images and NLC sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.arguments import array, integer, integers, items
from leptonc.bfloat16 import kind_of
from leptonc.errors import DtypeError, op_error
from leptonc.numpy.manipulation import flip
from leptonc.trace import bind, promote

Padding = str | int | Sequence[int] | Sequence[Sequence[int]]
Pairs = tuple[tuple[int, int], ...]


def _per_axis(name: str, what: str, value: Any, rank: int, x: Any, least: int = 1) -> tuple[int, ...]:
    """``value`` for each spatial axis: an int (or a list of them) of at least ``least``."""
    return integers(name, what, value, {"x": x}, count=rank, repeat=True, least=least)


def pads_of(name: str, padding: Any, spatial: Sequence[int], window: Sequence[int], stride: Sequence[int],
          dilation: Sequence[int], x: Any) -> Pairs:
    """(low, high) for each axis. "SAME" puts the odd element at the end, "SAME_LOWER" in front, as TensorFlow and JAX."""
    rank = len(spatial)
    if isinstance(padding, str):
        if padding.upper() == "VALID":
            return ((0, 0),) * rank
        if padding.upper() not in ("SAME", "SAME_LOWER"):
            raise op_error(name, f"padding={padding!r} is not known", {"x": x}, "use 'VALID', 'SAME', 'SAME_LOWER', ints or pairs")
        totals = [max((-(-n // s) - 1) * s + (w - 1) * d + 1 - n, 0) for n, w, s, d in zip(spatial, window, stride, dilation)]
        pairs = tuple((t // 2, t - t // 2) for t in totals)
        return pairs if padding.upper() == "SAME" else tuple((high, low) for low, high in pairs)
    given = items(padding.tolist() if isinstance(padding, np.ndarray) else padding)
    entries = [integers(name, "padding", p, {"x": x}) for p in (given * rank if isinstance(padding, int | np.integer) else given)]
    if len(entries) != rank or any(len(p) not in (1, 2) for p in entries):
        raise op_error(name, f"padding={padding!r} must have a number or a (low, high) pair for each of {rank} axes",
                       {"x": x})
    return tuple((p[0], p[-1]) for p in entries)


def count_of(extent: int, window: int, stride: int, pads: tuple[int, int]) -> int:
    """How many windows fit into a padded axis."""
    return max((extent + sum(pads) - window) // stride + 1, 0)


def transposed_pad(window: int, stride: int, kind: str) -> tuple[int, int]:
    """JAX's (low, high) of a transposed convolution that undoes one with padding "SAME" or "VALID"."""
    whole = window + stride - 2 + (0 if kind == "SAME" else max(window - stride, 0))
    low = window - 1 if kind == "VALID" or stride > window - 1 else -(-whole // 2)
    return low, whole - low


def conv(x: Any, w: Any, *, stride: int | Sequence[int] = 1, padding: Padding = "VALID",
         dilation: int | Sequence[int] = 1, groups: int = 1) -> Any:
    """Convolution of x [n, spatial..., c] with w [window..., c / groups, o]: [n, spatial'..., o], ONNX's formula.

    ``padding`` is "VALID", "SAME", an int, or a number or (low, high) pair per axis; negative ones crop. Ints wrap around in their
    own dtype.
    Raises ShapeError or DtypeError for operands that do not fit.
    """
    a, b = promote(array("conv", "x", x), array("conv", "w", w))
    rank = len(a.shape) - 2
    if rank < 1 or len(b.shape) != len(a.shape):
        raise op_error("conv", "x must be [n, spatial..., c] and w [window..., c / groups, o]", {"x": a, "w": b})
    if kind_of(a.dtype) == "b":
        raise op_error("conv", "takes numbers", {"x": a, "w": b}, "cast them", DtypeError)
    strides, dilations = _per_axis("conv", "stride", stride, rank, a), _per_axis("conv", "dilation", dilation, rank, a)
    pads = pads_of("conv", padding, a.shape[1:-1], b.shape[:-2], strides, dilations, a)
    count = integer("conv", "groups", groups, {"x": a, "w": b}, least=1)
    return bind("conv", a, b, stride=strides, padding=pads, dilation=dilations, groups=count)


def spread_conv(x: Any, w: Any, gaps: Sequence[int], padding: Pairs, dilation: Sequence[int], groups: int,
                stride: Sequence[int] = ()) -> Any:
    """``conv`` of x, of which gaps[d] - 1 zeros stand between the elements: without a stride the sums of a
    strided convolution's input gradient, which multiplies none of those zeros."""
    fits = groups > 0 and w.shape[-1] % groups == 0 and w.shape[-2] * groups == x.shape[-1]
    if any(s != 1 for s in stride) or 0 in (*x.shape, *w.shape) or not fits:
        none = (0,) * len(x.shape)
        x = bind("pad", x, low=none, high=none, interior=(0, *(gap - 1 for gap in gaps), 0), value=0)
        # which knows what is wrong, or has nothing to do
        return conv(x, w, stride=stride or 1, padding=padding, dilation=dilation, groups=groups)
    return input_grad(x, _back_to_front(w, groups), gaps, padding, dilation, groups)


def input_grad(x: Any, w: Any, gaps: Sequence[int], padding: Pairs, dilation: Sequence[int], groups: int) -> Any:
    """``spread_conv`` with weights [window..., o / groups, c] as of the convolution whose gradient it is."""
    name = "conv_transpose"
    reach = [(k - 1) * d for k, d in zip(w.shape[:-2], dilation)]
    shape = tuple((n - 1) * gap + 1 + low + high - r for n, gap, (low, high), r in zip(x.shape[1:-1], gaps, padding, reach))
    if min(shape) < 1:
        raise op_error(name, f"the kernel does not fit into x: spatial extents would be {shape}", {"x": x, "w": w})
    if kind_of(x.dtype) == "b":
        raise op_error(name, "takes numbers", {"x": x, "w": w}, "cast them", DtypeError)
    around = tuple((r - low, (n - 1) * gap + 1 + low - m) for n, m, gap, (low, _), r in zip(
        x.shape[1:-1], shape, gaps, padding, reach))
    return bind("conv_input_grad", x, w, shape=shape, stride=tuple(gaps), padding=around, dilation=tuple(dilation), groups=groups)


def _back_to_front(w: Any, groups: int) -> Any:
    """[window..., c / groups, o] turned around, as [window..., o / groups, c]."""
    rank, (features, out) = len(w.shape) - 2, w.shape[-2:]
    back = flip(w, tuple(range(rank)))
    parts = bind("reshape", back, shape=(*w.shape[:-2], features, groups, out // groups))
    moved = bind("transpose", parts, perm=(*range(rank), rank + 2, rank + 1, rank))
    return bind("reshape", moved, shape=(*w.shape[:-2], out // groups, groups * features))
