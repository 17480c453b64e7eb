"""Convolution and pooling over NHWC images and NLC sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.arithmetic import divide
from leptonc.errors import DtypeError, ShapeError, op_error
from leptonc.numpy.creation import ones
from leptonc.trace import bind, locate, promote

Padding = str | int | Sequence[int] | Sequence[Sequence[int]]
Pairs = tuple[tuple[int, int], ...]


def _per_axis(name: str, what: str, value: Any, rank: int, x: Any, least: int = 1) -> tuple[int, ...]:
    """``value`` for each spatial axis. Raises ShapeError if it is no int (or list of them) of at least ``least``."""
    values = (value,) * rank if isinstance(value, int | np.integer) else tuple(value)
    if len(values) != rank or any(isinstance(v, bool) or not isinstance(v, int | np.integer) or v < least for v in values):
        raise op_error(name, f"{what}={value!r} must be an int >= {least}, or {rank} of them", {"x": x}, locate(), kind=ShapeError)
    return tuple(int(v) for v in values)


def _pads(name: str, padding: Any, spatial: Sequence[int], window: Sequence[int], stride: Sequence[int],
          dilation: Sequence[int], x: Any) -> Pairs:
    """(low, high) for each axis. "SAME" puts the odd element at the end, as TensorFlow and JAX."""
    rank = len(spatial)
    if isinstance(padding, str):
        if padding.upper() == "VALID":
            return ((0, 0),) * rank
        if padding.upper() != "SAME":
            raise op_error(name, f"padding={padding!r} is not known", {"x": x}, locate(), "use 'VALID', 'SAME', ints or pairs")
        totals = [max((-(-n // s) - 1) * s + (w - 1) * d + 1 - n, 0) for n, w, s, d in zip(spatial, window, stride, dilation)]
        return tuple((t // 2, t - t // 2) for t in totals)
    if isinstance(padding, int):
        return ((padding, padding),) * rank
    pairs = [(p, p) if isinstance(p, int) else tuple(p) for p in padding]
    if len(pairs) != rank or any(len(p) != 2 for p in pairs):
        raise op_error(name, f"padding={padding!r} must have a number or a (low, high) pair for each of {rank} axes",
                       {"x": x}, locate())
    return tuple((int(low), int(high)) for low, high in pairs)


def conv(x: Any, w: Any, *, stride: int | Sequence[int] = 1, padding: Padding = "VALID",
         dilation: int | Sequence[int] = 1, groups: int = 1) -> Any:
    """Convolution of x [n, spatial..., c] with w [window..., c / groups, o]: [n, spatial'..., o], ONNX's formula.

    ``padding`` is "VALID", "SAME", an int, or a number or (low, high) pair per axis; negative ones crop.
    Raises ShapeError or DtypeError for operands that do not fit.
    """
    a, b = promote(x, w)
    rank = len(a.shape) - 2
    if rank < 1 or len(b.shape) != len(a.shape):
        raise op_error("conv", "x must be [n, spatial..., c] and w [window..., c / groups, o]", {"x": a, "w": b}, locate())
    if a.dtype.kind != "f":
        raise op_error("conv", "takes floats", {"x": a, "w": b}, locate(), kind=DtypeError)
    strides, dilations = _per_axis("conv", "stride", stride, rank, a), _per_axis("conv", "dilation", dilation, rank, a)
    pads = _pads("conv", padding, a.shape[1:-1], b.shape[:-2], strides, dilations, a)
    return bind("conv", a, b, stride=strides, padding=pads, dilation=dilations, groups=int(groups))


def _pool_attrs(name: str, x: Any, window: Any, stride: Any, padding: Any) -> dict[str, Any]:
    rank = len(x.shape) - 2
    if rank < 1:
        raise op_error(name, "x must be [n, spatial..., c]", {"x": x}, locate())
    sizes = _per_axis(name, "window", window, rank, x)
    strides = sizes if stride is None else _per_axis(name, "stride", stride, rank, x)
    pads = _pads(name, padding, x.shape[1:-1], sizes, strides, (1,) * rank, x)
    return {"window": sizes, "stride": strides, "padding": pads}


def max_pool(x: Any, window: int | Sequence[int], *, stride: int | Sequence[int] | None = None,
             padding: Padding = "VALID") -> Any:
    """The greatest element of each window of x [n, spatial..., c]; NaN if any is. The gradient goes to the first one."""
    (operand,) = promote(x)
    return bind("max_pool", operand, **_pool_attrs("max_pool", operand, window, stride, padding))


def avg_pool(x: Any, window: int | Sequence[int], *, stride: int | Sequence[int] | None = None,
             padding: Padding = "VALID", count_include_pad: bool = False) -> Any:
    """The mean of each window of x [n, spatial..., c]; padding counts only with ``count_include_pad``."""
    (operand,) = promote(x)
    if operand.dtype.kind != "f":
        raise op_error("avg_pool", "takes floats", {"x": operand}, locate(), kind=DtypeError)
    attrs = _pool_attrs("avg_pool", operand, window, stride, padding)
    total = bind("window_sum", operand, **attrs)
    if count_include_pad or not any(p for pair in attrs["padding"] for p in pair):
        return divide(total, float(np.prod(attrs["window"])))
    cells = bind("window_sum", ones((1, *operand.shape[1:-1], 1), operand.dtype), **attrs)
    return divide(total, cells)
