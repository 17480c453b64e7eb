"""lax's names for what lies below NumPy's: explicit convolutions, products, windows and slices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from math import prod
from typing import Any, NamedTuple

import numpy as np

from leptonc import elementary
from leptonc.accumulation import preferring
from leptonc.arguments import array, choice, integer, integers, items, kinds_in, number
from leptonc.arguments import shape as shape_of
from leptonc.bfloat16 import kind_of
from leptonc.branches import cond, switch
from leptonc.collectives import all_gather, axis_index, axis_size, pmax, pmean, pmin, psum
from leptonc.errors import ArgumentError, DtypeError, ShapeError, op_error
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
from leptonc.nn import pooling, windows
from leptonc.numpy.elementwise import as_float
from leptonc.numpy.elementwise import clip as _clip
from leptonc.numpy.sorting import sort_operands as _sort
from leptonc.numpy.sorting import top_k as _top_k
from leptonc.precision import reduce_precision
from leptonc.promotion import attribute_of, numpy_dtype, result_dtype
from leptonc.public import members, publish
from leptonc.scan import scan
from leptonc.trace import Tracer, align, bind, cast, promote
from leptonc.trace import broadcast as _broadcast
from leptonc.whiles import fori_loop, while_loop

Specs = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


class ConvDimensionNumbers(NamedTuple):
    """Where the axes of a convolution's operands and result are: batch (of rhs: result features), features, then spatial ones."""

    lhs_spec: Sequence[int]
    rhs_spec: Sequence[int]
    out_spec: Sequence[int]


def conv_general_dilated(lhs: Any, rhs: Any, window_strides: Sequence[int], padding: Any, lhs_dilation: Sequence[int] | None = None,
                         rhs_dilation: Sequence[int] | None = None, dimension_numbers: Any = None,
                         feature_group_count: int = 1, batch_group_count: int = 1, *, preferred_element_type: Any = None) -> Any:
    """JAX's convolution: of NCHW with OIHW (NCW with OIW, NCDHW with OIDHW) unless ``dimension_numbers`` say otherwise.

    ``dimension_numbers`` are three strings, such as ("NHWC", "HWIO", "NHWC"), or three lists of axes (ConvDimensionNumbers, which
    JAX's own fits as well); None is the default. ``window_strides``, the dilations and ``padding`` go by the order of the spatial
    axes in rhs. ``padding`` is "SAME", "VALID", "SAME_LOWER" or (low, high) pairs, which may be negative. ``lhs_dilation`` puts
    gaps between lhs's elements: a transposed convolution. Of ``batch_group_count`` equal parts of lhs's batch each gives as many
    of the result features. ``preferred_element_type``: a dtype to add up in, and of the result. Raises
    ShapeError, DtypeError or ArgumentError.
    """
    name = "conv_general_dilated"
    x, w = _wide_enough(name, array(name, "lhs", lhs), array(name, "rhs", rhs), preferred_element_type)
    operands = {"lhs": x, "rhs": w}
    rank = len(x.shape) - 2
    if rank < 1 or len(w.shape) != rank + 2:
        raise op_error(name, "lhs and rhs must have batch, feature and equally many spatial axes", operands)
    batches = integer(name, "batch_group_count", batch_group_count, operands, least=1)
    ins, weights, outs = _conv_specs(dimension_numbers, rank, operands)
    x, w = _permuted(x, (ins[0], *ins[2:], ins[1])), _permuted(w, (*weights[2:], weights[1], weights[0]))
    if batches > 1:
        x, feature_group_count = _batches_as_features(x, batches, feature_group_count, operands), batches
    strides, gaps, dilation = (_per_window_axis(name, what, value, rank, operands) for what, value in (
        ("window_strides", window_strides), ("lhs_dilation", lhs_dilation), ("rhs_dilation", rhs_dilation)))
    if isinstance(padding, str) and padding.upper() != "VALID" and any(d != 1 for d in gaps):
        raise op_error(name, f"padding={padding!r} has no meaning beside lhs_dilation", operands,
                       "give (low, high) pairs", ArgumentError)
    pads = windows.pads_of(name, padding, x.shape[1:-1], w.shape[:-2], strides, dilation, x)
    if any(d != 1 for d in gaps):
        y = windows.spread_conv(x, w, gaps, pads, dilation, feature_group_count, strides)
    else:
        y = windows.conv(x, w, stride=strides, padding=pads, dilation=dilation, groups=feature_group_count)
    order = (outs[0], *outs[2:], outs[1])
    y = y if preferred_element_type is None else cast(y, preferred_element_type)
    return _permuted(y, tuple(order.index(d) for d in range(rank + 2)))


def _wide_enough(name: str, x: Any, y: Any, preferred: Any) -> tuple[Any, Any]:
    """Operands of a product in one dtype, which holds sums of the preferred one."""
    a, b = preferring(name, preferred, *promote(x, y))
    return a, b


def _batches_as_features(x: Any, count: int, groups: int, operands: dict[str, object]) -> Any:
    """x [n, spatial..., c] as [n / count, spatial..., count * c]."""
    if x.shape[0] % count or groups != 1:
        raise op_error("conv_general_dilated", f"batch_group_count={count} must divide lhs's batch of {x.shape[0]}, and goes "
                       "with no feature groups", operands)
    parts = bind("reshape", x, shape=(count, x.shape[0] // count, *x.shape[1:]))
    rank = len(x.shape)
    moved = bind("transpose", parts, perm=(*range(1, rank), 0, rank))
    return bind("reshape", moved, shape=(x.shape[0] // count, *x.shape[1:-1], count * x.shape[-1]))


def _permuted(x: Any, perm: tuple[int, ...]) -> Any:
    return x if perm == tuple(range(len(perm))) else bind("transpose", x, perm=perm)


def _per_window_axis(name: str, what: str, value: Any, rank: int, operands: dict[str, object]) -> tuple[int, ...]:
    return (1,) * rank if value is None else integers(name, what, value, operands, count=rank, repeat=True, least=1)


def _conv_specs(numbers: Any, rank: int, operands: dict[str, object]) -> Specs:
    """(batch or result features, features, spatial ...) as axes of lhs, rhs and the result, in rhs's order of the spatial ones."""
    if numbers is None:
        plain = tuple(range(rank + 2))
        return plain, plain, plain
    given = tuple(numbers) if isinstance(numbers, list | tuple) else ()
    if len(given) == 3 and all(isinstance(spec, str) for spec in given):
        return _letters(given, rank, operands)
    specs = [integers("conv_general_dilated", "dimension_numbers", spec, operands) for spec in given]
    if len(specs) != 3 or any(sorted(spec) != list(range(rank + 2)) for spec in specs):
        raise op_error("conv_general_dilated", f"dimension_numbers={numbers!r} must be three strings such as "
                       f"('NHWC', 'HWIO', 'NHWC'), or three permutations of {rank + 2} axes", operands, kind=ArgumentError)
    return specs[0], specs[1], specs[2]


def _letters(specs: tuple[str, str, str], rank: int, operands: dict[str, object]) -> Specs:
    lhs, rhs, out = specs
    spatial = [c for c in rhs if c not in "OI"]
    wanted = [(lhs, "NC"), (rhs, "OI"), (out, "NC")]
    fits = all(sorted(spec) == sorted([*ends, *spatial]) and len(set(spec)) == rank + 2 for spec, ends in wanted)
    if len(spatial) != rank or not fits:
        raise op_error("conv_general_dilated", f"dimension_numbers={specs!r} must name each axis once: N, C, and the same spatial "
                       "letters in lhs and the result, O, I and those in rhs", operands, kind=ArgumentError)
    found = [tuple(spec.index(c) for c in [*ends, *spatial]) for spec, ends in wanted]
    return found[0], found[1], found[2]


def dot_general(lhs: Any, rhs: Any, dimension_numbers: Any, *, preferred_element_type: Any = None) -> Any:
    """``dimension_numbers`` = ((lhs contracted, rhs contracted), (lhs batch, rhs batch)). ``preferred_element_type``: a dtype to
    add up in, and of the result, such as f32 for products of bf16, or i32 for those of i8; else the operands' (of floats of 16
    bits, sums in f32 rounded once). Of bools a sum is whether any product is True. Raises ShapeError for axes that are out of
    bounds or named twice, DtypeError for a narrower dtype or one of another kind."""
    name = "dot_general"
    a, b = _wide_enough(name, array(name, "lhs", lhs), array(name, "rhs", rhs), preferred_element_type)
    operands = {"lhs": a, "rhs": b}
    contract, batch = (tuple(integers("dot_general", "dimension_numbers", axes, operands, least=0)
                             for axes in _pair("dot_general", pair, operands))
                       for pair in _pair("dot_general", dimension_numbers, operands))
    for n, x in enumerate((a, b)):
        used = (*contract[n], *batch[n])
        if len(set(used)) != len(used) or any(d >= len(x.shape) for d in used):
            raise op_error("dot_general", f"axes {used} of {'lhs' if n == 0 else 'rhs'} are out of bounds, or one is named twice",
                           operands)
    counted = tuple(cast(x, np.int64) for x in (a, b)) if a.dtype.kind == "b" else (a, b)
    y = bind("dot_general", *counted, contract=contract, batch=batch)
    y = cast(y, np.bool_) if a.dtype.kind == "b" else y
    return y if preferred_element_type is None else cast(y, preferred_element_type)


def _pair(name: str, value: Any, operands: dict[str, object]) -> tuple[Any, Any]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise op_error(name, f"dimension_numbers has {value!r:.40} where a pair belongs: ((lhs contracted, rhs contracted), "
                       "(lhs batch, rhs batch))", operands, kind=ArgumentError)
    return value[0], value[1]


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


def _starts(name: str, x: Any, starts: Any) -> list[Any]:
    """One i64 scalar for each axis of x."""
    listed = isinstance(starts, list | tuple) or (isinstance(starts, np.ndarray | Tracer) and len(starts.shape) == 1)
    given = list(starts) if listed else [starts]
    found = [array(name, f"start_indices[{n}]", s) for n, s in enumerate(given)]
    if len(found) != len(x.shape) or any(s.shape for s in found):
        raise op_error(name, f"wants {len(x.shape)} starts that are scalars, got {len(found)}", {"x": x}, kind=ShapeError)
    for s in found:
        if s.dtype.kind not in "iu":
            raise op_error(name, "starts must be ints", {"x": x, "start": s}, kind=DtypeError)
    return [cast(s, np.int64) for s in found]


def dynamic_slice(operand: Any, start_indices: Sequence[Any], slice_sizes: Sequence[int]) -> Any:
    """A window of fixed size at starts that may be traced; they are clamped so that it lies inside."""
    x = array("dynamic_slice", "operand", operand)
    sizes = integers("dynamic_slice", "slice_sizes", slice_sizes, {"x": x}, count=len(x.shape), least=0)
    return bind("dynamic_slice", x, *_starts("dynamic_slice", x, start_indices), size=sizes)


def dynamic_update_slice(operand: Any, update: Any, start_indices: Sequence[Any]) -> Any:
    """operand with a window replaced; starts are clamped so that it lies inside. Raises DtypeError for floats into ints."""
    x = array("dynamic_update_slice", "operand", operand)
    new = update if type(update) in (bool, int, float) else array("dynamic_update_slice", "update", update)
    if "biufc".index(kind_of(result_dtype((x, new)))) > "biufc".index(kind_of(x.dtype)):
        raise op_error("dynamic_update_slice", "operand cannot hold update", {"x": x, "update": new}, "cast one", DtypeError)
    return bind("dynamic_update_slice", x, cast(new, x.dtype), *_starts("dynamic_update_slice", x, start_indices))


def slice(operand: Any, start_indices: Sequence[int], limit_indices: Sequence[int], strides: Sequence[int] | None = None) -> Any:
    """Elements start, start + stride ... below limit of every axis. Raises ShapeError unless 0 <= start <= limit <= extent."""
    x = array("slice", "operand", operand)
    rank, named = len(x.shape), {"x": x}
    starts, limits = (integers("slice", what, value, named, count=rank, least=0) for what, value in (
        ("start_indices", start_indices), ("limit_indices", limit_indices)))
    steps = _per_window_axis("slice", "strides", strides, rank, named)
    if any(not a <= b <= n for a, b, n in zip(starts, limits, x.shape)):
        raise op_error("slice", f"start {starts} and limit {limits} leave x", named)
    sizes = tuple(-(-(b - a) // s) for a, b, s in zip(starts, limits, steps))
    return bind("slice", x, start=tuple(a if n else 0 for a, n in zip(starts, sizes)), size=sizes, step=steps)


def pad(operand: Any, padding_value: Any, padding_config: Sequence[tuple[int, int, int]]) -> Any:
    """(low, high, interior) for every axis; negative low and high crop. ``padding_value`` is a number, which may be traced."""
    x = array("pad", "operand", operand)
    named = {"x": x}
    config = [integers("pad", "padding_config", entry, named, count=3)
              for entry in items("pad", "padding_config", padding_config, named)]
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
    """x, a constant to differentiation."""
    return bind("stop_gradient", array("stop_gradient", "x", x))


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


def rsqrt(x: Any) -> Any:
    """1 / sqrt(x)."""
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


_FOURIER = ("FftType", "fft")
_ELEMENTARY = tuple(elementary.__all__)  # not among this module's globals, where they would hide built-in functions
__all__ = [
    *_ELEMENTARY,
    *_FOURIER,
    "ConvDimensionNumbers", "GatherDimensionNumbers", "GatherScatterMode", "ScatterDimensionNumbers", "all_gather",
    "approx_max_k", "approx_min_k", "associative_scan", "axis_index", "axis_size", "broadcast_in_dim", "broadcasted_iota", "clamp",
    "cond", "conv_general_dilated", "cumlogsumexp", "cummax", "cummin", "cumprod", "cumsum", "dot_general", "dynamic_slice",
    "dynamic_update_slice", "erf", "erf_inv", "fori_loop", "gather", "iota", "map", "pad", "pmax", "pmean", "pmin", "psum",
    "reduce", "reduce_precision", "reduce_window", "rsqrt", "scan", "scatter", "scatter_add", "scatter_apply", "scatter_max",
    "scatter_min", "scatter_mul", "scatter_sub", "select", "slice", "sort", "sort_key_val", "stop_gradient", "switch", "top_k",
    "while_loop",
]

publish(globals(), [name for name in __all__ if name not in (*_ELEMENTARY, *_FOURIER)], later={
    **members("leptonc.elementary", *_ELEMENTARY), **members("leptonc.fourier", *_FOURIER),
    "linalg": partial(import_module, "leptonc.numpy.linalg.factorizations")})
