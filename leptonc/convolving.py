"""``lax``'s convolutions: operands laid out by dimension numbers, transposed ones, patches, and the shapes of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from leptonc.accumulation import checked_precision, wide_enough
from leptonc.arguments import array, flag, integer, integers
from leptonc.errors import ArgumentError, ShapeError, op_error
from leptonc.nn import windows
from leptonc.numpy.manipulation import flip
from leptonc.products import dot_general
from leptonc.public import publish
from leptonc.trace import bind, cast

Specs = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


class ConvDimensionNumbers(NamedTuple):
    """Where the axes of a convolution's operands and result are: batch (of rhs: result features), features, then spatial ones."""

    lhs_spec: Sequence[int]
    rhs_spec: Sequence[int]
    out_spec: Sequence[int]


ConvGeneralDilatedDimensionNumbers = None | ConvDimensionNumbers | tuple[str, str, str]  # what dimension_numbers may be

def conv_general_dilated(lhs: Any, rhs: Any, window_strides: Sequence[int], padding: Any, lhs_dilation: Sequence[int] | None = None,
                         rhs_dilation: Sequence[int] | None = None, dimension_numbers: Any = None,
                         feature_group_count: int = 1, batch_group_count: int = 1, precision: Any = None,
                         preferred_element_type: Any = None) -> Any:
    """JAX's convolution: of NCHW with OIHW (NCW with OIW, NCDHW with OIDHW) unless ``dimension_numbers`` say otherwise.

    ``dimension_numbers`` are three strings, such as ("NHWC", "HWIO", "NHWC"), or three lists of axes (ConvDimensionNumbers, which
    JAX's own fits as well); None is the default. ``window_strides``, the dilations and ``padding`` go by the order of the spatial
    axes in rhs. ``padding`` is "SAME", "VALID", "SAME_LOWER" or (low, high) pairs, which may be negative. ``lhs_dilation`` puts
    gaps between lhs's elements: a transposed convolution. Of ``batch_group_count`` equal parts of lhs's batch each gives as many
    of the result features. ``preferred_element_type``: a dtype to add up in, and of the result; ``precision`` changes
    nothing. Raises ShapeError, DtypeError or ArgumentError.
    """
    name = "conv_general_dilated"
    checked_precision(name, precision)
    x, w = wide_enough(name, array(name, "lhs", lhs), array(name, "rhs", rhs), preferred_element_type)
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


def conv(lhs: Any, rhs: Any, window_strides: Sequence[int], padding: Any, precision: Any = None,
         preferred_element_type: Any = None) -> Any:
    """The plain convolution of NCHW with OIHW: ``conv_general_dilated`` without dilations or groups."""
    return conv_general_dilated(lhs, rhs, window_strides, padding, precision=precision,
                                preferred_element_type=preferred_element_type)


def conv_with_general_padding(lhs: Any, rhs: Any, window_strides: Sequence[int], padding: Any, lhs_dilation: Sequence[int] | None,
                              rhs_dilation: Sequence[int] | None, precision: Any = None,
                              preferred_element_type: Any = None) -> Any:
    """``conv_general_dilated`` of NCHW with OIHW, with dilations."""
    return conv_general_dilated(lhs, rhs, window_strides, padding, lhs_dilation, rhs_dilation, precision=precision,
                                preferred_element_type=preferred_element_type)


_CHANNELS_LAST = {1: ("NHC", "HIO", "NHC"), 2: ("NHWC", "HWIO", "NHWC"), 3: ("NHWDC", "HWDIO", "NHWDC")}


def conv_transpose(lhs: Any, rhs: Any, strides: Sequence[int], padding: Any, rhs_dilation: Sequence[int] | None = None,
                   dimension_numbers: Any = None, transpose_kernel: bool = False, precision: Any = None,
                   preferred_element_type: Any = None, use_consistent_padding: bool = False) -> Any:
    """The convolution of lhs with gaps of ``strides`` - 1 zeros between its elements; axes are NHWC and HWIO by default.

    ``padding`` "SAME" and "VALID" name that of the convolution forward; (low, high) pairs are of the convolution over the spread
    lhs, with ``use_consistent_padding`` those of the one forward. ``transpose_kernel``: rhs is the kernel of the convolution
    whose gradient this is. Raises ShapeError, DtypeError or ArgumentError.
    """
    name = "conv_transpose"
    x, w = array(name, "lhs", lhs), array(name, "rhs", rhs)
    operands, rank = {"lhs": x, "rhs": w}, len(x.shape) - 2
    if len(w.shape) != rank + 2 or (dimension_numbers is None and rank not in _CHANNELS_LAST):
        raise op_error(name, "lhs and rhs must have batch, feature and equally many spatial axes", operands)
    numbers = conv_dimension_numbers(x.shape, w.shape, dimension_numbers or _CHANNELS_LAST[rank])
    steps = integers(name, "strides", strides, operands, count=rank, repeat=True, least=1)
    gaps = _per_window_axis(name, "rhs_dilation", rhs_dilation, rank, operands)
    spatial = numbers.rhs_spec[2:]
    reach = [(w.shape[d] - 1) * gap + 1 for d, gap in zip(spatial, gaps)]
    pads = _transposed_pads(name, padding, reach, steps, flag(name, "use_consistent_padding", use_consistent_padding), operands)
    if flag(name, "transpose_kernel", transpose_kernel):
        out, features = numbers.rhs_spec[:2]
        order = list(range(rank + 2))
        order[out], order[features] = features, out
        w = _permuted(flip(w, tuple(spatial)), tuple(order))
    return conv_general_dilated(x, w, (1,) * rank, pads, steps, gaps, numbers, precision=precision,
                                preferred_element_type=preferred_element_type)


def _transposed_pads(name: str, padding: Any, reach: Sequence[int], strides: Sequence[int], consistent: bool,
                     operands: dict[str, object]) -> Any:
    """(low, high) for each axis of the spread operand, from those of the convolution forward."""
    if isinstance(padding, str):
        if padding.upper() not in ("SAME", "VALID"):
            raise op_error(name, f"padding={padding!r} must be 'SAME', 'VALID' or pairs", operands, kind=ArgumentError)
        return [windows.transposed_pad(k, s, padding.upper()) for k, s in zip(reach, strides)]
    if not consistent:
        return padding
    pairs = [integers(name, "padding", pair, operands, count=2) for pair in padding]
    return [(k - 1 - low, k - 1 - high) for k, (low, high) in zip(reach, pairs)]


def conv_general_dilated_patches(lhs: Any, filter_shape: Sequence[int], window_strides: Sequence[int], padding: Any,
                                 lhs_dilation: Sequence[int] | None = None, rhs_dilation: Sequence[int] | None = None,
                                 dimension_numbers: Any = None, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """What a convolution reads at each place: its features are lhs's, and within each the places of the window, row by row."""
    name = "conv_general_dilated_patches"
    x, window = array(name, "lhs", lhs), integers(name, "filter_shape", filter_shape, least=1)
    numbers = conv_dimension_numbers(x.shape, (1, 1, *window), dimension_numbers)
    channels, places = x.shape[numbers.lhs_spec[1]], prod(window)
    ones = np.tile(np.eye(places, dtype=x.dtype), (channels, 1)).reshape(channels * places, 1, *window)
    kernel = np.moveaxis(ones, (0, 1), tuple(numbers.rhs_spec[:2])) if numbers.rhs_spec[:2] != (0, 1) else ones
    return conv_general_dilated(x, kernel, window_strides, padding, lhs_dilation, rhs_dilation, numbers, channels,
                                precision=precision, preferred_element_type=preferred_element_type)


def conv_general_dilated_local(lhs: Any, rhs: Any, window_strides: Sequence[int], padding: Any, filter_shape: Sequence[int],
                               lhs_dilation: Sequence[int] | None = None, rhs_dilation: Sequence[int] | None = None,
                               dimension_numbers: Any = None, precision: Any = None) -> Any:
    """A convolution with weights of its own at each place: rhs's spatial axes are the result's, its input features those of
    ``conv_general_dilated_patches``."""
    name = "conv_general_dilated_local"
    x, w = array(name, "lhs", lhs), array(name, "rhs", rhs)
    window = integers(name, "filter_shape", filter_shape, least=1)
    patches = conv_general_dilated_patches(x, window, window_strides, padding, lhs_dilation, rhs_dilation, dimension_numbers)
    numbers = conv_dimension_numbers(x.shape, (1, 1, *window), dimension_numbers)
    ours, theirs = zip(*sorted(zip(numbers.out_spec[2:], numbers.rhs_spec[2:])))
    out = dot_general(patches, w, (([numbers.out_spec[1]], [numbers.rhs_spec[1]]), (ours, theirs)), precision)
    rank = len(out.shape)  # spatial axes in the result's order, batch, features
    order = [0] * rank
    order[numbers.out_spec[0]], order[numbers.out_spec[1]] = rank - 2, rank - 1
    for n, d in enumerate(ours):
        order[d] = n
    return _permuted(out, tuple(order))


# Shapes


def conv_dimension_numbers(lhs_shape: Sequence[int], rhs_shape: Sequence[int], dimension_numbers: Any) -> ConvDimensionNumbers:
    """Dimension numbers as axes, of three strings, lists or None (NCHW, OIHW, NCHW)."""
    name = "conv_dimension_numbers"
    x, w = integers(name, "lhs_shape", lhs_shape), integers(name, "rhs_shape", rhs_shape)
    rank = len(x) - 2
    if rank < 0 or len(w) != rank + 2:
        raise op_error(name, f"{x} and {w} must have equally many axes, two or more", {}, kind=ShapeError)
    return ConvDimensionNumbers(*_conv_specs(dimension_numbers, rank, {}))


def conv_general_permutations(dimension_numbers: Any) -> list[tuple[int, ...]]:
    """The axes of each operand and of the result in the order batch (of rhs: result features), features, spatial."""
    whole = isinstance(dimension_numbers, list | tuple) and len(dimension_numbers) == 3
    first = dimension_numbers[0] if whole else ()
    rank = len(first) - 2 if isinstance(first, str | list | tuple) and len(first) > 1 else 0
    if not whole:
        raise op_error("conv_general_permutations", f"dimension_numbers={dimension_numbers!r:.40} must be three strings", {},
                       kind=ArgumentError)
    return [tuple(spec) for spec in _conv_specs(dimension_numbers, rank, {})]


def padtype_to_pads(in_shape: Sequence[int], window_shape: Sequence[int], window_strides: Sequence[int],
                    padding: Any) -> list[tuple[int, int]]:
    """(low, high) for each axis for "SAME", "SAME_LOWER" or "VALID"."""
    name = "padtype_to_pads"
    extents, window, strides = (integers(name, what, value) for what, value in (
        ("in_shape", in_shape), ("window_shape", window_shape), ("window_strides", window_strides)))
    kind = getattr(padding, "name", padding)
    if not isinstance(kind, str):
        raise op_error(name, f"padding={padding!r} must be 'SAME', 'SAME_LOWER' or 'VALID'", {}, kind=ArgumentError)
    return list(windows.pads_of(name, kind, extents, window, strides, (1,) * len(window), np.zeros(())))


def conv_shape_tuple(lhs_shape: Sequence[int], rhs_shape: Sequence[int], strides: Sequence[int], pads: Any,
                     batch_group_count: int = 1) -> tuple[int, ...]:
    """The shape of a convolution of NCHW with OIHW."""
    name = "conv_shape_tuple"
    x, w = integers(name, "lhs_shape", lhs_shape), integers(name, "rhs_shape", rhs_shape)
    steps = integers(name, "strides", strides, count=len(x) - 2, repeat=True, least=1)
    pairs = windows.pads_of(name, pads, x[2:], w[2:], steps, (1,) * len(steps), np.zeros(()))
    groups = integer(name, "batch_group_count", batch_group_count, least=1)
    if len(w) != len(x) or x[0] % groups:
        raise op_error(name, f"{x} and {w} must have equally many axes, and {groups} batch groups divide the first", {})
    return (x[0] // groups, w[0], *(windows.count_of(n, k, s, p) for n, k, s, p in zip(x[2:], w[2:], steps, pairs)))


def conv_general_shape_tuple(lhs_shape: Sequence[int], rhs_shape: Sequence[int], window_strides: Sequence[int], padding: Any,
                             dimension_numbers: Any) -> tuple[int, ...]:
    """The shape of a convolution of operands laid out by dimension numbers."""
    x, w, outs = _laid_out("conv_general_shape_tuple", lhs_shape, rhs_shape, dimension_numbers)
    found = conv_shape_tuple(x, w, window_strides, padding)
    return tuple(found[outs.index(d)] for d in range(len(outs)))


def _laid_out(name: str, lhs_shape: Any, rhs_shape: Any, numbers: Any) -> tuple[list[int], list[int], tuple[int, ...]]:
    """Shapes in the order batch, features, spatial, and where the result's axes are of that order."""
    ins, weights, outs = conv_general_permutations(numbers)
    x, w = (integers(name, what, shape, count=len(ins)) for what, shape in (("lhs_shape", lhs_shape), ("rhs_shape", rhs_shape)))
    return [x[d] for d in ins], [w[d] for d in weights], outs


def conv_transpose_shape_tuple(lhs_shape: Sequence[int], rhs_shape: Sequence[int], window_strides: Sequence[int], padding: Any,
                               dimension_numbers: Any) -> tuple[int, ...]:
    """The shape of a transposed convolution of operands laid out by dimension numbers."""
    name = "conv_transpose_shape_tuple"
    x, w, outs = _laid_out(name, lhs_shape, rhs_shape, dimension_numbers)
    steps = integers(name, "window_strides", window_strides, count=len(x) - 2, repeat=True, least=1)
    pads = _transposed_pads(name, padding, w[2:], steps, False, {})
    spread = [*x[:2], *((n - 1) * s + 1 for n, s in zip(x[2:], steps))]
    found = conv_shape_tuple(spread, w, (1,) * len(steps), pads)
    return tuple(found[outs.index(d)] for d in range(len(outs)))


def reduce_window_shape_tuple(operand_shape: Sequence[int], window_dimensions: Sequence[int], window_strides: Sequence[int],
                              padding: Any, base_dilation: Sequence[int] | None = None,
                              window_dilation: Sequence[int] | None = None) -> tuple[int, ...]:
    """The shape of ``reduce_window``, with padding of (low, high) pairs for every axis."""
    name = "reduce_window_shape_tuple"
    extents = integers(name, "operand_shape", operand_shape)
    window, steps, base, gaps = (_per_window_axis(name, what, value, len(extents), {}) for what, value in (
        ("window_dimensions", window_dimensions), ("window_strides", window_strides), ("base_dilation", base_dilation),
        ("window_dilation", window_dilation)))
    spread = [(n - 1) * d + 1 if n else 0 for n, d in zip(extents, base)]
    reach = [(k - 1) * d + 1 for k, d in zip(window, gaps)]
    pairs = windows.pads_of(name, padding, spread, reach, steps, (1,) * len(steps), np.zeros(()))
    return tuple(windows.count_of(n, k, s, p) for n, k, s, p in zip(spread, reach, steps, pairs))


__all__ = [
    "ConvDimensionNumbers", "ConvGeneralDilatedDimensionNumbers", "conv", "conv_dimension_numbers", "conv_general_dilated",
    "conv_general_dilated_local", "conv_general_dilated_patches", "conv_general_permutations", "conv_general_shape_tuple",
    "conv_shape_tuple", "conv_transpose", "conv_transpose_shape_tuple", "conv_with_general_padding", "padtype_to_pads",
    "reduce_window_shape_tuple",
]

publish(globals(), __all__)
