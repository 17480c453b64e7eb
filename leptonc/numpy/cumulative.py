"""What all elements up to each one make along an axis: sums, products, extremes, logarithms of sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from leptonc.arguments import array, flag, no_out
from leptonc.arguments import axis as axis_of
from leptonc.arithmetic import multiply
from leptonc.errors import DtypeError, op_error
from leptonc.ir.prefix import doubled
from leptonc.numpy.elementwise import as_float, maximum, minimum
from leptonc.numpy.reductions import cumsum, summed_dtype
from leptonc.trace import bind, promote

JOINS: dict[str, tuple[Callable[[Any, Any], Any], Any]] = {
    "cumprod": (multiply, 1), "cummax": (maximum, (-np.inf, -np.inf)), "cummin": (minimum, (np.inf, np.inf))}
"""Of complex numbers: what joins two, and what stands before all."""


def _product(x: Any, axis: int, reverse: bool) -> Any:
    return bind("cumprod", x, axis=axis, reverse=reverse) if x.dtype.kind != "c" else _of_complex("cumprod", x, axis, reverse)


def _of_complex(name: str, x: Any, axis: int, reverse: bool) -> Any:
    join, neutral = JOINS[name]
    edges = {"interior": (0,) * len(x.shape), "value": neutral}
    return doubled(x, axis, reverse, join, lambda x, low, high: bind("pad", x, low=low, high=high, **edges))


def _row(name: str, x: Any, axis: Any) -> tuple[Any, int]:
    """All elements in one row, for None."""
    if axis is None:
        return bind("reshape", x, shape=(int(np.prod(x.shape, dtype=np.int64)),)), 0
    return x, axis_of(name, x, axis)


def cumprod(x: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Any:
    """Products of all elements up to each; bools and ints multiply in i64, unsigned ints in u64. No gradient divides."""
    no_out("cumprod", out)
    return _product(*_row("cumprod", summed_dtype("cumprod", x, dtype), axis), False)


def _included(name: str, found: Any, axis: int, include: bool, neutral: int) -> Any:
    """The results with that of no elements before them, if that is asked for."""
    if not flag(name, "include_initial", include):
        return found
    rank = len(found.shape)
    low = tuple(int(d == axis) for d in range(rank))
    return bind("pad", found, low=low, high=(0,) * rank, interior=(0,) * rank, value=neutral)


def _only_axis(name: str, x: Any, axis: Any) -> int:
    if axis is None and len(x.shape) != 1:
        raise op_error(name, f"axis must be given for {len(x.shape)} axes", {"x": x})
    return axis_of(name, x, 0 if axis is None else axis)


def cumulative_sum(x: Any, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Any:
    """The array API's ``cumsum``: the axis must be given unless there is one; with ``include_initial`` a 0 stands before all."""
    operand = summed_dtype("cumulative_sum", x, dtype)
    at = _only_axis("cumulative_sum", operand, axis)
    return _included("cumulative_sum", cumsum(operand, at, dtype=operand.dtype), at, include_initial, 0)


def cumulative_prod(x: Any, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Any:
    """The array API's ``cumprod``: the axis must be given unless there is one; with ``include_initial`` a 1 stands before all."""
    operand = summed_dtype("cumulative_prod", x, dtype)
    at = _only_axis("cumulative_prod", operand, axis)
    return _included("cumulative_prod", _product(operand, at, False), at, include_initial, 1)


def lax_cumulative(name: str, operand: Any, axis: int, reverse: bool) -> Any:
    """lax's cumsum, cumprod, cummax, cummin and cumlogsumexp, in the operand's dtype."""
    x = as_float(array(name, "operand", operand)) if name == "cumlogsumexp" else promote(array(name, "operand", operand))[0]
    at, back = axis_of(name, x, axis), flag(name, "reverse", reverse)
    if x.dtype.kind != "c" or name == "cumsum":
        return bind(name, x, axis=at, reverse=back)
    if name == "cumlogsumexp":
        raise op_error(name, "takes reals", {"operand": x}, kind=DtypeError)
    return _of_complex(name, x, at, back)


__all__ = ["cumprod", "cumsum", "cumulative_prod", "cumulative_sum", "lax_cumulative"]
