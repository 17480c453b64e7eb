"""lax.reduce and lax.reduce_window with any associative function, and lax's cumulative operations.

A function that is a sum, product, maximum or minimum of two numbers (of bools: and, or) is recognised by its trace, and is a
reduction. Any other folds an axis by halves: log2(n) calls for all pairs at once. Windows are made axis by axis, long ones of two
shorter ones: log2(k) calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from leptonc import tree
from leptonc.arguments import array, function, integers
from leptonc.arguments import axes as axes_of
from leptonc.bfloat16 import kind_of
from leptonc.errors import LeptonError, op_error
from leptonc.ir.kernel import reduction_identity
from leptonc.ir.types import dtype_of, type_of_array
from leptonc.nn import windows
from leptonc.numpy.cumulative import lax_cumulative
from leptonc.promotion import attribute_of
from leptonc.trace import bind, broadcast, cast, current_trace, trace_to_graph
from leptonc.vmap import vmap

Join = Callable[[list[Any], list[Any]], list[Any]]

_REDUCTIONS = {"add": ("sum", "sum"), "mul": ("prod", "prod"), "max": ("reduce_max", "max"), "min": ("reduce_min", "min")}
_OF_BOOLS = {"and": ("all", "all"), "or": ("any", "any"), "max": ("any", "any"), "min": ("all", "all"), "mul": ("all", "all"),
             "add": ("any", "any")}

_BEATS = {"max": "ge", "min": "le"}


def _known_op(fold: Callable[..., Any], dtype: np.dtype) -> tuple[str, str] | None:
    """The reduction of an op that a function is: its op, and the kind whose neutral element it has."""
    scalar = type_of_array(np.zeros((), dtype))
    try:
        graph = trace_to_graph(fold, [scalar, scalar]).graph
    except (LeptonError, TypeError, ValueError, AttributeError, IndexError):
        return None  # it takes more than two numbers, or returns no array
    if len(graph.nodes) != 1 or set(graph.nodes[0].operands) != set(graph.inputs) or graph.outputs != graph.nodes[0].results:
        return None
    return (_OF_BOOLS if scalar.dtype.is_bool else _REDUCTIONS).get(graph.nodes[0].op)


def _joined(name: str, computation: Callable[..., Any], structure: Any) -> Join:
    """The computation of two lists of arrays, element by element, whatever their rank."""
    def join(x: list[Any], y: list[Any]) -> list[Any]:
        def flat(values: list[Any]) -> list[Any]:
            return [bind("reshape", v, shape=(prod(v.shape),)) for v in values]

        def once(a: list[Any], b: list[Any]) -> list[Any]:
            return tree.leaves(computation(tree.unflatten(structure, a), tree.unflatten(structure, b)))

        if not prod(x[0].shape):
            return x
        out = vmap(once)(flat(x), flat(y))
        if len(out) != len(x):
            raise op_error(name, f"the computation gives {len(out)} results for {len(x)} operands", {"x": x[0]})
        return [bind("reshape", cast(new, old.dtype), shape=old.shape) for new, old in zip(out, x)]

    return join


def _first(kind: str) -> Join:
    """The larger (smaller) of two, of equal ones the first, which alone has a gradient; NaN if either is."""
    def join(x: list[Any], y: list[Any]) -> list[Any]:
        kept = bind("or", bind(_BEATS[kind], x[0], y[0]), bind("isnan", x[0]))
        return [bind("select", kept, x[0], y[0])]

    return join


def _lifted(value: Any, like: Any, shape: tuple[int, ...]) -> Any:
    trace, start = current_trace(like, value), cast(value, like.dtype)
    return broadcast(start if trace is None else trace.lift(start), shape)


def reduce(operands: Any, init_values: Any, computation: Callable[..., Any], dimensions: Sequence[int]) -> Any:
    """``operands``, an array or a tree of arrays of one shape, folded over ``dimensions`` from ``init_values`` on by
    ``computation`` of two numbers (or trees of them), which must be associative.

    Sums, products, extremes and logical ones are reductions as ``numpy.sum`` is; anything else is called log2(n) times, for all
    pairs. Raises ShapeError or ArgumentError.
    """
    name = "reduce"
    leaves, structure = tree.flatten(operands)
    xs = [array(name, "operands", x) for x in leaves]
    starts = [array(name, "init_values", v) for v in tree.leaves(init_values)]
    if not xs or len(starts) != len(xs) or any(x.shape != xs[0].shape for x in xs) or any(v.shape for v in starts):
        raise op_error(name, "operands must have one shape, and a number in init_values each", {"operands": xs[:1]})
    axes = axes_of(name, xs[0], tuple(integers(name, "dimensions", dimensions)))
    fold = function(name, "computation", computation, 2)
    known = _known_op(fold, xs[0].dtype) if len(xs) == 1 else None
    kept = tuple(n for d, n in enumerate(xs[0].shape) if d not in axes)
    join, begin = _joined(name, fold, structure), [_lifted(v, x, kept) for v, x in zip(starts, xs)]
    count = prod(xs[0].shape[a] for a in axes)
    if not count:
        out = begin
    elif known is not None:
        out = join(begin, [bind(known[0], xs[0], axes=tuple(sorted(axes)))])
    else:
        out = join(begin, _halved([_rows(x, axes, count) for x in xs], join))
    return tree.unflatten(structure, out)


def _rows(x: Any, axes: tuple[int, ...], count: int) -> Any:
    """x with its axes in one, the first, in order."""
    others = tuple(d for d in range(len(x.shape)) if d not in axes)
    moved = bind("transpose", x, perm=(*sorted(axes), *others))
    return bind("reshape", moved, shape=(count, *(x.shape[d] for d in others)))


def _part(x: Any, axis: int, start: int, size: int, step: int = 1) -> Any:
    rank = len(x.shape)
    return bind("slice", x, start=tuple(start if d == axis else 0 for d in range(rank)),
                size=tuple(size if d == axis else n for d, n in enumerate(x.shape)),
                step=tuple(step if d == axis else 1 for d in range(rank)))


def _halved(xs: list[Any], join: Join) -> list[Any]:
    """The fold over the first axis: neighbours joined, an odd one left to the next round."""
    n = xs[0].shape[0]
    while n > 1:
        even = join([_part(x, 0, 0, n // 2, 2) for x in xs], [_part(x, 0, 1, n // 2, 2) for x in xs])
        rest = [_part(x, 0, n - 1, 1) for x in xs] if n % 2 else []
        xs = [bind("concatenate", *pair, axis=0) for pair in zip(even, rest)] if rest else even
        n = xs[0].shape[0]
    return [bind("reshape", x, shape=x.shape[1:]) for x in xs]


def reduced_windows(operand: Any, init_value: Any, computation: Any, window_dimensions: Any, window_strides: Any = None,
                    padding: Any = "VALID", base_dilation: Any = None, window_dilation: Any = None) -> Any:
    """Each window of ``operand``, an array or a tree of some of one shape, folded from ``init_value`` on, which fills padding
    and what ``base_dilation`` spreads apart, by ``computation`` of two numbers (or trees of them), which must be associative.

    ``window_dimensions``, strides and dilations have an entry for each axis, or are one int for all; ``padding`` is "VALID",
    "SAME", "SAME_LOWER" or (low, high) pairs. Raises ShapeError or ArgumentError.
    """
    name = "reduce_window"
    leaves, structure = tree.flatten(operand)
    xs, starts = ([array(name, what, x) for x in of] for what, of in (("operand", leaves), ("init_value", tree.leaves(init_value))))
    if not xs or len(starts) != len(xs) or any(x.shape != xs[0].shape for x in xs) or any(v.shape for v in starts):
        raise op_error(name, "operands must have one shape, and a number in init_value each", {"operand": xs[:1]})
    fold, x = function(name, "computation", computation, 2), xs[0]
    rank, named = len(x.shape), {"operand": x}
    size, strides, spread, dilation = (
        (1,) * rank if value is None else integers(name, what, value, named, count=rank, repeat=True, least=1) for what, value in (
            ("window_dimensions", window_dimensions), ("window_strides", window_strides), ("base_dilation", base_dilation),
            ("window_dilation", window_dilation)))
    wide = tuple((n - 1) * gap + 1 if n else 0 for n, gap in zip(x.shape, spread))
    pads = windows.pads_of(name, padding, wide, size, strides, dilation, x)
    known = _known_op(fold, x.dtype) if len(xs) == 1 and kind_of(x.dtype) == "f" else None
    join = _first(known[1]) if known and known[1] in _BEATS else _joined(name, fold, structure)
    xs = [_padded(x, start, pads, spread) for x, start in zip(xs, starts)]
    for axis in reversed(range(rank)):  # the last axis first: the first of a window's equal numbers is that of the first row
        xs = _folded(xs, axis, size[axis], strides[axis], dilation[axis], join)
    if len(xs) > 1 or not _is_neutral(fold, starts[0], x.dtype):
        xs = join([_lifted(start, x, x.shape) for x, start in zip(xs, starts)], xs)
    return tree.unflatten(structure, xs)


def _is_neutral(fold: Callable[..., Any], start: Any, dtype: np.dtype) -> bool:
    """Whether beginning with a number makes no difference."""
    known = _known_op(fold, dtype)
    if known is None or not isinstance(start, np.ndarray):
        return False
    return bool(cast(start, dtype) == np.asarray(reduction_identity(known[1], dtype_of(dtype))).astype(dtype))


def _padded(x: Any, start: Any, pads: Sequence[tuple[int, int]], spread: Sequence[int]) -> Any:
    if not any(map(any, pads)) and all(gap == 1 for gap in spread):
        return x
    low, high = (tuple(pair[n] for pair in pads) for n in range(2))
    edges: dict[str, Any] = {"low": low, "high": high, "interior": tuple(gap - 1 for gap in spread)}
    if isinstance(start, np.ndarray):
        return bind("pad", x, **edges, value=attribute_of(cast(start, x.dtype)))
    ones = np.ones(x.shape, bool)
    inside = bind("pad", ones, **edges, value=False)
    wide = bind("pad", x, **edges, value=False if kind_of(x.dtype) == "b" else 0)
    return bind("select", inside, wide, _lifted(start, x, wide.shape))


def _folded(xs: list[Any], axis: int, k: int, stride: int, gap: int, join: Join) -> list[Any]:
    """Windows of k elements ``gap`` apart along an axis: those of a power of 2 from two halves, others from a few of those."""
    def parts_of(of: list[Any], *place: int) -> list[Any]:
        return [_part(x, axis, *place) for x in of]

    count = max(-(-(xs[0].shape[axis] - (k - 1) * gap) // stride), 0)
    if not count:
        return parts_of(xs, 0, 0)
    powers = {1: xs}
    while 2 * max(powers) <= k:
        p = max(powers)
        n = powers[p][0].shape[axis] - p * gap
        powers[2 * p] = join(parts_of(powers[p], 0, n), parts_of(powers[p], p * gap, n))
    parts = [p for p in sorted(powers, reverse=True) if k & p]
    at = [sum(parts[:n]) for n in range(len(parts))]
    pieces = [parts_of(powers[p], begin * gap, count, stride) for p, begin in zip(parts, at)]
    out = pieces[0]
    for piece in pieces[1:]:
        out = join(out, piece)
    return out


def cumsum(operand: Any, axis: int = 0, reverse: bool = False) -> Any:
    """Sums of all elements up to each one (from it on, with ``reverse``), in the operand's dtype."""
    return lax_cumulative("cumsum", operand, axis, reverse)


def cumprod(operand: Any, axis: int = 0, reverse: bool = False) -> Any:
    """Products of all elements up to each one (from it on, with ``reverse``), in the operand's dtype."""
    return lax_cumulative("cumprod", operand, axis, reverse)


def cummax(operand: Any, axis: int = 0, reverse: bool = False) -> Any:
    """The greatest of all elements up to each one (from it on, with ``reverse``); NaN from the first one on."""
    return lax_cumulative("cummax", operand, axis, reverse)


def cummin(operand: Any, axis: int = 0, reverse: bool = False) -> Any:
    """The least of all elements up to each one (from it on, with ``reverse``); NaN from the first one on."""
    return lax_cumulative("cummin", operand, axis, reverse)


def cumlogsumexp(operand: Any, axis: int = 0, reverse: bool = False) -> Any:
    """log of the sum of e^x over all elements up to each one (from it on, with ``reverse``), without overflow."""
    return lax_cumulative("cumlogsumexp", operand, axis, reverse)


__all__ = ["cumlogsumexp", "cummax", "cummin", "cumprod", "cumsum", "reduce", "reduced_windows"]
