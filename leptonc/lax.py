"""lax's names for what lies below NumPy's: explicit convolutions, products, windows and slices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from math import prod
from typing import Any

import numpy as np

from leptonc import elementary, tree
from leptonc.accumulation import Precision, PrecisionLike
from leptonc.arguments import array, choice, integer, integers, items, kinds_in, number
from leptonc.arguments import shape as shape_of
from leptonc.branches import cond, switch
from leptonc.collectives import all_gather, axis_index, axis_size, pmax, pmean, pmin, psum
from leptonc.convolving import ConvDimensionNumbers, ConvGeneralDilatedDimensionNumbers, conv_general_dilated
from leptonc.elementary import check_accuracy
from leptonc.errors import DtypeError, op_error
from leptonc.folding import cumlogsumexp, cummax, cummin, cumprod, cumsum, reduce, reduced_windows
from leptonc.gathering import (
    GatherDimensionNumbers,
    GatherScatterMode,
    ScatterDimensionNumbers,
    gather,
    scatter,
    scatter_add,
    scatter_apply,
    scatter_max,
    scatter_min,
    scatter_mul,
    scatter_sub,
)
from leptonc.ir.types import dtype_of
from leptonc.mapping import associative_scan, map
from leptonc.nn import pooling
from leptonc.numpy.elementwise import as_float
from leptonc.numpy.elementwise import clip as _clip
from leptonc.numpy.sorting import sort_operands as _sort
from leptonc.numpy.sorting import top_k as _top_k
from leptonc.precision import reduce_precision
from leptonc.products import DotDimensionNumbers, dot_general
from leptonc.promotion import attribute_of, numpy_dtype
from leptonc.public import members, publish
from leptonc.scan import scan
from leptonc.slicing import dynamic_slice, dynamic_update_slice, slice
from leptonc.trace import Tracer, align, bind, cast
from leptonc.trace import broadcast as _broadcast
from leptonc.whiles import fori_loop, while_loop


def reduce_window(operand: Any, init_value: Any, computation: Any, window_dimensions: Any = None, window_strides: Any = None,
                  padding: Any = "VALID", base_dilation: Any = None, window_dilation: Any = None) -> Any:
    """Each window of ``operand`` folded from ``init_value`` on, which also fills padding and what ``base_dilation`` spreads apart,
    by ``computation`` of two numbers, which must be associative.

    ``window_dimensions``, strides and dilations have an entry for each axis, or are one int for all; ``padding`` is "VALID",
    "SAME", "SAME_LOWER" or (low, high) pairs. Raises ShapeError or ArgumentError.

    reduce_window(operand, kind, window, strides=window, padding="VALID") gives the "max", "sum" or "mean" of each window over the
    spatial axes of [n, spatial..., c].
    """
    if isinstance(init_value, str):
        return _pooled(operand, init_value, computation, window_dimensions, padding if window_strides is None else window_strides)
    return reduced_windows(operand, init_value, computation, window_dimensions, window_strides, padding, base_dilation,
                           window_dilation)


def _pooled(operand: Any, kind: str, window: Any, strides: Any, padding: Any) -> Any:
    x = array("reduce_window", "operand", operand)
    if choice("reduce_window", "kind", kind, ("max", "sum", "mean"), {"operand": x}) == "max":
        return pooling.max_pool(x, window, stride=strides, padding=padding)
    mean = pooling.avg_pool(x, window, stride=strides, padding=padding, count_include_pad=True)
    if kind == "mean":
        return mean
    sizes = integers("reduce_window", "window", window, count=len(x.shape) - 2, repeat=True)
    return mean * float(prod(sizes))


def pad(operand: Any, padding_value: Any, padding_config: Sequence[tuple[int, int, int]]) -> Any:
    """(low, high, interior) for every axis; negative low and high crop. ``padding_value`` is a number, which may be traced."""
    x = array("pad", "operand", operand)
    named = {"x": x}
    config = [integers("pad", "padding_config", entry, named, count=3)
              for entry in items(padding_config)]
    if len(config) != len(x.shape):
        raise op_error("pad", f"padding_config {padding_config!r} has not one entry for each axis", named)
    low, high, interior = (tuple(entry[n] for entry in config) for n in range(3))
    sizes = [max(n + max(n - 1, 0) * max(i, 0) + a + b, 0) for n, a, b, i in zip(x.shape, low, high, interior)]
    shape_of("pad", sizes, x.dtype.itemsize)
    if isinstance(padding_value, Tracer):
        return _padded_by(x, padding_value, {"low": low, "high": high, "interior": interior})
    value = attribute_of(cast(number("pad", "padding_value", padding_value, named, kinds=kinds_in(x.dtype)), x.dtype))
    return bind("pad", x, low=low, high=high, interior=interior, value=value)


def _padded_by(x: Any, value: Any, edges: dict[str, Any]) -> Any:
    """x padded with a traced number."""
    if value.shape:
        raise op_error("pad", "padding_value must be one number", {"x": x, "padding_value": value})
    inside = bind("pad", np.ones(x.shape, bool), **edges, value=False)
    wide = bind("pad", x, **edges, value=False if x.dtype.kind == "b" else 0)
    return bind("select", inside, wide, _broadcast(cast(value, x.dtype), wide.shape))


def broadcast_in_dim(operand: Any, shape: Sequence[int], broadcast_dimensions: Sequence[int]) -> Any:
    """operand's axis i becomes axis ``broadcast_dimensions[i]`` of the result."""
    x = array("broadcast_in_dim", "operand", operand)
    dims = integers("broadcast_in_dim", "broadcast_dimensions", broadcast_dimensions, {"x": x}, count=len(x.shape))
    return bind("broadcast", x, shape=shape_of("broadcast_in_dim", shape, x.dtype.itemsize), dims=dims)


def select(pred: Any, on_true: Any, on_false: Any) -> Any:
    """on_true where pred holds, else on_false; all of one shape."""
    a, b = align("select", on_true, on_false)
    test = array("select", "pred", pred)
    if test.dtype.kind != "b":
        raise op_error("select", "pred must be bools", {"pred": test}, "compare, such as pred != 0", DtypeError)
    return bind("select", _broadcast(test, a.shape), a, b)


def stop_gradient(x: Any) -> Any:
    """x, or each leaf of a tree, a constant to differentiation."""
    return tree.map(lambda leaf: bind("stop_gradient", array("stop_gradient", "x", leaf)), x)


def iota(dtype: Any, size: int) -> Any:
    """0, 1, 2 ..."""
    return broadcasted_iota(dtype, (integer("iota", "size", size, least=0),), 0)


def broadcasted_iota(dtype: Any, shape: Sequence[int], dimension: int) -> Any:
    """0, 1, 2 ... along one axis."""
    kind = numpy_dtype(dtype, "iota")
    extents = shape_of("iota", shape, kind.itemsize)
    axis = integer("iota", "dimension", dimension, least=0, most=len(extents) - 1)
    return bind("iota", shape=extents, axis=axis, dtype=dtype_of(kind))


def sort(operand: Any, dimension: int = -1, is_stable: bool = True, num_keys: int = 1) -> Any:
    """Arrays of one shape (or one array) sorted together along an axis by the first ``num_keys`` of them, the first one first.

    Always stable; zeros of both signs are equal, NaN is greater than all else. Raises ShapeError for other shapes.
    """
    return _sort(operand, dimension, is_stable, num_keys)


def sort_key_val(keys: Any, values: Any, dimension: int = -1, is_stable: bool = True) -> tuple[Any, Any]:
    """keys sorted along an axis, and the values that belong to them."""
    found, belonging = _sort((keys, values), dimension, is_stable)
    return found, belonging


def top_k(operand: Any, k: int, *, axis: int = -1) -> tuple[Any, Any]:
    """The k greatest elements along an axis, in descending order, and their places (i32); of equal ones the first come first.

    NaN is greater than all else. Raises ShapeError if there are fewer than k.
    """
    return _top_k(operand, k, axis=axis)


def approx_max_k(operand: Any, k: int, reduction_dimension: int = -1, recall_target: float = 0.95,
                 reduction_input_size_override: int = -1, aggregate_to_topk: bool = True) -> tuple[Any, Any]:
    """``top_k``, exactly: of the other arguments none makes it faster here."""
    return _top_k(operand, k, axis=reduction_dimension, name="approx_max_k")


def approx_min_k(operand: Any, k: int, reduction_dimension: int = -1, recall_target: float = 0.95,
                 reduction_input_size_override: int = -1, aggregate_to_topk: bool = True) -> tuple[Any, Any]:
    """The k least elements, in ascending order, and their places (i32), exactly."""
    return _top_k(operand, k, axis=reduction_dimension, least=True, name="approx_min_k")


def rsqrt(x: Any, *, accuracy: None = None) -> Any:
    """1 / sqrt(x). ``accuracy`` must be None."""
    check_accuracy("rsqrt", accuracy)
    return bind("rsqrt", as_float(x))


def erf(x: Any) -> Any:
    """The error function."""
    return bind("erf", as_float(x))


def erf_inv(x: Any) -> Any:
    """The inverse of the error function: inf at 1, NaN beyond."""
    return bind("erf_inv", as_float(x))


def clamp(min: Any, x: Any, max: Any) -> Any:
    """x within [min, max]."""
    return _clip(x, min, max)


_LATER = {  # by the module that has them
    "leptonc.bitgenerators": ("RandomAlgorithm", "rng_bit_generator"),
    "leptonc.fourier": ("FftType", "fft"),
    "leptonc.convolving": (
        "conv", "conv_dimension_numbers", "conv_general_dilated_local", "conv_general_dilated_patches", "conv_general_permutations",
        "conv_general_shape_tuple", "conv_shape_tuple", "conv_transpose", "conv_transpose_shape_tuple", "conv_with_general_padding",
        "padtype_to_pads", "reduce_window_shape_tuple"),
    "leptonc.exchanges": ("all_to_all", "ppermute", "pshuffle", "psum_scatter", "pswapaxes"),
    "leptonc.implicit": ("custom_linear_solve", "custom_root"),
    "leptonc.products": ("batch_matmul", "dot", "ragged_dot"),
    "leptonc.slicing": (
        "dynamic_index_in_dim", "dynamic_slice_in_dim", "dynamic_update_index_in_dim", "dynamic_update_slice_in_dim",
        "index_in_dim", "index_take", "slice_in_dim"),
    "leptonc.scipy.incomplete": ("betainc", "igamma", "igamma_grad_a", "igammac", "random_gamma_grad"),
    "leptonc.scipy.zetas": ("polygamma", "zeta"),
    "leptonc.staging": ("composite", "optimization_barrier", "platform_dependent", "with_sharding_constraint"),
}
_ELEMENTARY = tuple(elementary.__all__)  # not among this module's globals, where they would hide built-in functions
__all__ = [
    *_ELEMENTARY,
    *(name for names in _LATER.values() for name in names),
    "ConvDimensionNumbers", "ConvGeneralDilatedDimensionNumbers", "DotDimensionNumbers", "Precision", "PrecisionLike",
    "GatherDimensionNumbers", "GatherScatterMode", "ScatterDimensionNumbers", "all_gather", "approx_max_k", "approx_min_k",
    "associative_scan", "axis_index", "axis_size", "broadcast_in_dim", "broadcasted_iota", "clamp", "cond",
    "conv_general_dilated", "cumlogsumexp", "cummax", "cummin", "cumprod", "cumsum", "dot_general", "dynamic_slice",
    "dynamic_update_slice", "erf", "erf_inv", "fori_loop", "gather", "iota", "map", "pad", "pmax", "pmean", "pmin", "psum",
    "reduce", "reduce_precision", "reduce_window", "rsqrt", "scan", "scatter", "scatter_add", "scatter_apply", "scatter_max",
    "scatter_min", "scatter_mul", "scatter_sub", "select", "slice", "sort", "sort_key_val", "stop_gradient", "switch",
    "top_k", "while_loop",
]

_NOT_HERE = {*_ELEMENTARY, *(name for names in _LATER.values() for name in names)}

publish(globals(), [name for name in __all__ if name not in _NOT_HERE], later={
    **members("leptonc.elementary", *_ELEMENTARY),
    **{name: get for module, names in _LATER.items() for name, get in members(module, *names).items()},
    "linalg": partial(import_module, "leptonc.numpy.linalg.factorizations")})
