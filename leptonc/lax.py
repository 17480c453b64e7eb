"""lax's names for what lies below NumPy's: explicit convolutions, products, windows and slices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.errors import DtypeError, LeptonError, ShapeError, op_error
from leptonc.ir.types import dtype_of
from leptonc.nn.windows import avg_pool, conv, max_pool
from leptonc.numpy.elementwise import as_float, clip
from leptonc.promotion import numpy_dtype
from leptonc.scan import scan
from leptonc.trace import align, bind, broadcast, cast, locate, promote

_NHWC = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC")}


def conv_general_dilated(lhs: Any, rhs: Any, window_strides: Sequence[int], padding: Any, lhs_dilation: Any = None,
                         rhs_dilation: Sequence[int] | None = None, dimension_numbers: Any = None,
                         feature_group_count: int = 1) -> Any:
    """Convolution of NHWC with HWIO (NWC with WIO). Raises LeptonError for other layouts, and for lhs_dilation."""
    rank = len(lhs.shape) - 2
    if dimension_numbers is not None and tuple(dimension_numbers) != _NHWC.get(rank):
        raise op_error("conv_general_dilated", f"dimension_numbers {dimension_numbers} are not supported", {"lhs": lhs, "rhs": rhs},
                       locate(), f"transpose to {_NHWC.get(rank)}", LeptonError)
    if lhs_dilation is not None and any(d != 1 for d in lhs_dilation):
        raise op_error("conv_general_dilated", "lhs_dilation is not supported", {"lhs": lhs, "rhs": rhs}, locate(),
                       "use lax.pad with interior padding first", LeptonError)
    return conv(lhs, rhs, stride=window_strides, padding=padding, groups=feature_group_count,
                dilation=1 if rhs_dilation is None else rhs_dilation)


def dot_general(lhs: Any, rhs: Any, dimension_numbers: Any) -> Any:
    """``dimension_numbers`` = ((lhs contracted, rhs contracted), (lhs batch, rhs batch))."""
    a, b = promote(lhs, rhs)
    (ca, cb), (ba, bb) = dimension_numbers
    return bind("dot_general", a, b, contract=(tuple(ca), tuple(cb)), batch=(tuple(ba), tuple(bb)))


def reduce_window(operand: Any, kind: str, window: Any, strides: Any = None, padding: Any = "VALID") -> Any:
    """``kind`` "max", "sum" or "mean" of each window over the spatial axes of [n, spatial..., c]."""
    if kind == "max":
        return max_pool(operand, window, stride=strides, padding=padding)
    mean = avg_pool(operand, window, stride=strides, padding=padding, count_include_pad=True)
    if kind == "mean":
        return mean
    if kind != "sum":
        raise op_error("reduce_window", f"kind {kind!r} is not known", {"operand": operand}, locate(), "use max, sum or mean",
                       LeptonError)
    rank = len(operand.shape) - 2
    return mean * float(window**rank if isinstance(window, int) else np.prod(window))


def _starts(name: str, x: Any, starts: Sequence[Any]) -> list[Any]:
    found = [cast(s, np.int64) for s in starts]
    if any(s.shape for s in found):
        raise op_error(name, "starts must be scalars", {"x": x}, locate(), kind=ShapeError)
    return found


def dynamic_slice(operand: Any, start_indices: Sequence[Any], slice_sizes: Sequence[int]) -> Any:
    """A window of fixed size at starts that may be traced; they are clamped so that it lies inside."""
    (x,) = promote(operand)
    return bind("dynamic_slice", x, *_starts("dynamic_slice", x, start_indices), size=tuple(int(n) for n in slice_sizes))


def dynamic_update_slice(operand: Any, update: Any, start_indices: Sequence[Any]) -> Any:
    """operand with a window replaced; starts are clamped so that it lies inside."""
    (x,) = promote(operand)
    return bind("dynamic_update_slice", x, cast(update, x.dtype), *_starts("dynamic_update_slice", x, start_indices))


def slice(operand: Any, start_indices: Sequence[int], limit_indices: Sequence[int], strides: Sequence[int] | None = None) -> Any:
    """Elements start, start + stride ... below limit of every axis."""
    (x,) = promote(operand)
    steps = tuple(strides) if strides is not None else (1,) * len(x.shape)
    sizes = tuple(max(-(-(b - a) // s), 0) for a, b, s in zip(start_indices, limit_indices, steps))
    return bind("slice", x, start=tuple(start_indices), size=sizes, step=steps)


def pad(operand: Any, padding_value: float, padding_config: Sequence[tuple[int, int, int]]) -> Any:
    """(low, high, interior) for every axis; negative low and high crop."""
    (x,) = promote(operand)
    low, high, interior = (tuple(int(p[n]) for p in padding_config) for n in range(3))
    return bind("pad", x, low=low, high=high, interior=interior, value=cast(padding_value, x.dtype).item())


def broadcast_in_dim(operand: Any, shape: Sequence[int], broadcast_dimensions: Sequence[int]) -> Any:
    """operand's axis i becomes axis ``broadcast_dimensions[i]`` of the result."""
    (x,) = promote(operand)
    return bind("broadcast", x, shape=tuple(shape), dims=tuple(broadcast_dimensions))


def select(pred: Any, on_true: Any, on_false: Any) -> Any:
    """on_true where pred holds, else on_false; all of one shape."""
    a, b = align("select", on_true, on_false)
    return bind("select", broadcast(promote(pred)[0], a.shape), a, b)


def stop_gradient(x: Any) -> Any:
    """x, a constant to differentiation."""
    (operand,) = promote(x)
    return bind("stop_gradient", operand)


def iota(dtype: Any, size: int) -> np.ndarray:
    """0, 1, 2 ..."""
    return broadcasted_iota(dtype, (size,), 0)


def broadcasted_iota(dtype: Any, shape: Sequence[int], dimension: int) -> np.ndarray:
    """0, 1, 2 ... along one axis."""
    found: np.ndarray = bind("iota", shape=tuple(shape), axis=dimension, dtype=dtype_of(numpy_dtype(dtype)))
    return found


def scatter_add(operand: Any, indices: Any, updates: Any, axis: int = 0) -> Any:
    """operand with updates added at indices along an axis; out of range ones are dropped."""
    x, values = promote(operand, updates)
    (index,) = promote(indices)
    if index.dtype.kind not in "iu":
        raise op_error("scatter_add", "indices must be ints", {"indices": index}, locate(), kind=DtypeError)
    return bind("scatter_add", x, cast(index, np.int64), values, axis=axis)


def rsqrt(x: Any) -> Any:
    """1 / sqrt(x)."""
    return bind("rsqrt", as_float(x))


def erf(x: Any) -> Any:
    """The error function."""
    return bind("erf", as_float(x))


def clamp(min: Any, x: Any, max: Any) -> Any:
    """x within [min, max]."""
    return clip(x, min, max)


__all__ = [
    "broadcast_in_dim", "broadcasted_iota", "clamp", "conv_general_dilated", "dot_general", "dynamic_slice",
    "dynamic_update_slice", "erf", "iota", "pad", "reduce_window", "rsqrt", "scan",
    "scatter_add", "select", "slice", "stop_gradient",
]
