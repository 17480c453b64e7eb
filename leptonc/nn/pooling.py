"""Pooling over windows of NHWC images, NLC sequences and images of any number of axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from math import prod
from typing import Any

import numpy as np

from leptonc.arguments import array, flag, integer, integers, number
from leptonc.arithmetic import absolute, add, divide, greater, multiply, not_equal, power
from leptonc.bfloat16 import kind_of
from leptonc.errors import DtypeError, op_error
from leptonc.ir.kernel import reduction_identity
from leptonc.ir.types import dtype_of
from leptonc.nn.windows import Padding, pads_of
from leptonc.numpy.elementwise import logical_and, logical_not, logical_or, maximum, sqrt, where
from leptonc.trace import bind, broadcast

Ints = int | Sequence[int]


class _Windows:
    """Where windows over x [n, spatial..., c] lie. ``padding`` reaches to the end of the last one; of it, only ``given`` counts as
    elements where padding does."""

    def __init__(self, name: str, x: Any, window: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any):
        rank = len(x.shape) - 2
        if rank < 1:
            raise op_error(name, "x must be [n, spatial..., c]", {"x": x})
        self.name, self.x, self.extents = name, x, tuple(x.shape[1:-1])
        self.size, self.dilation = (
            integers(name, what, value, {"x": x}, count=rank, repeat=True, least=1) for what, value in (
                ("window", window), ("dilation", dilation)))
        self.stride = self.size if stride is None else integers(name, "stride", stride, {"x": x}, count=rank, repeat=True, least=1)
        self.given = pads_of(name, padding, self.extents, self.size, self.stride, self.dilation, x)
        ceil = flag(name, "ceil_mode", ceil_mode)
        self.counts = tuple(self._count(axis, ceil) for axis in range(rank))
        self.padding = tuple((low, (count - 1) * s + (k - 1) * d + 1 - n - low) if ceil else (low, high) for n, k, s, d, (
            low, high), count in zip(self.extents, self.size, self.stride, self.dilation, self.given, self.counts))

    def _count(self, axis: int, ceil: bool) -> int:
        """With ``ceil``, one more for what is left over, unless that window would begin behind x and its padding in front."""
        n, (low, high), s = self.extents[axis], self.given[axis], self.stride[axis]
        room = n + low + high - (self.size[axis] - 1) * self.dilation[axis] - 1
        if not ceil:
            return room // s + 1
        count = -(-room // s) + 1
        return count - 1 if count > 1 and (count - 1) * s >= n + low else count

    @property
    def is_plain(self) -> bool:
        """Whether the ops of pooling take them: neighbouring elements, padding less than a window, no cropping."""
        fits = all(0 <= p < k for pair, k in zip(self.padding, self.size) for p in pair)
        return fits and all(d == 1 for d in self.dilation)

    @property
    def attributes(self) -> dict[str, Any]:
        return {"window": self.size, "stride": self.stride, "padding": self.padding}

    def checked(self) -> _Windows:
        if min(self.counts) < 1:
            raise op_error(self.name, f"the window {self.size} does not fit into x", {"x": self.x})
        return self

    def cells(self, include_padding: bool) -> np.ndarray:
        """How many elements are in each window: [1, spatial'..., 1], extents of 1 where all have as many."""
        return reduce(np.multiply, [self._cells(axis, include_padding) for axis in range(len(self.size))])

    def _cells(self, axis: int, include_padding: bool) -> np.ndarray:
        low, high = self.given[axis] if include_padding else (0, 0)
        starts = np.arange(self.counts[axis]) * self.stride[axis] - self.given[axis][0]
        places = starts[:, None] + np.arange(self.size[axis]) * self.dilation[axis]
        inside = ((places >= -low) & (places < self.extents[axis] + high)).sum(1)
        few = inside[:1] if (inside == inside[0]).all() else inside
        return few.reshape([-1 if d == axis + 1 else 1 for d in range(len(self.size) + 2)])

    def taps(self, x: Any, axis: int) -> list[Any]:
        """For each element of a window, along one spatial axis, the part of padded x that windows have there."""
        at = axis + 1
        size = tuple(self.counts[axis] if d == at else n for d, n in enumerate(x.shape))
        step = tuple(self.stride[axis] if d == at else 1 for d in range(len(x.shape)))
        return [bind("slice", x, start=tuple(t * self.dilation[axis] if d == at else 0 for d in range(len(x.shape))), size=size,
                     step=step) for t in range(self.size[axis])]

    def padded(self, x: Any, value: Any) -> Any:
        low, high = ((0, *(pair[n] for pair in self.padding), 0) for n in range(2))
        return x if not any((*low, *high)) else bind("pad", x, low=low, high=high, interior=(0,) * len(low), value=value)

    def folded(self, x: Any, value: Any, join: Callable[[Any, Any], Any]) -> Any:
        """Windows of any kind, axis by axis."""
        out = self.padded(x, value)
        for axis in reversed(range(len(self.size))):
            out = reduce(join, self.taps(out, axis))
        return out


def max_pool(x: Any, window: Ints, *, stride: Ints | None = None, padding: Padding = "VALID", dilation: Ints = 1,
             ceil_mode: bool = False, return_indices: bool = False) -> Any:
    """The greatest element of each window of x [n, spatial..., c]; NaN if any is. The gradient goes to the first one.

    ``stride`` is ``window`` unless given. Elements of a window are ``dilation`` apart. ``ceil_mode`` lets a last window reach
    beyond the padding where elements are left over. With ``return_indices`` also the place of each maximum, i32: its number among
    the spatial positions of x in row-major order, as PyTorch's. Raises ShapeError if no window fits.
    """
    operand = array("max_pool", "x", x)
    found = _Windows("max_pool", operand, window, stride, padding, dilation, ceil_mode)
    places = flag("max_pool", "return_indices", return_indices)
    if places:
        return _max_with_places(operand, found.checked())
    if found.is_plain:
        return bind("max_pool", operand, **found.attributes)
    return found.checked().folded(operand, _least(operand), maximum)


def _least(x: Any) -> Any:
    if kind_of(x.dtype) == "b":
        raise op_error("max_pool", "does not take bool", {"x": x}, kind=DtypeError)
    return reduction_identity("max", dtype_of(x.dtype))


def _max_with_places(x: Any, windows: _Windows) -> tuple[Any, Any]:
    shape = (1, *windows.extents, 1)
    numbers = np.arange(prod(windows.extents), dtype=np.int32).reshape(shape)
    values, places = windows.padded(x, _least(x)), windows.padded(broadcast(numbers, (1, *windows.extents, 1)), -1)
    places = broadcast(places, values.shape)
    for axis in reversed(range(len(windows.size))):
        pairs = list(zip(windows.taps(values, axis), windows.taps(places, axis)))
        values, places = reduce(_greater_pair, pairs)
    return values, places


def _greater_pair(best: tuple[Any, Any], other: tuple[Any, Any]) -> tuple[Any, Any]:
    """The first of equal ones, and the first NaN; of padding and an element that is no greater, the element."""
    wins = logical_or(greater(other[0], best[0]), logical_and(_is_padding(best[1]), logical_not(_is_padding(other[1]))))
    if kind_of(best[0].dtype) == "f":
        nan, first = not_equal(other[0], other[0]), not_equal(best[0], best[0])
        wins = logical_and(logical_or(wins, nan), logical_not(first))
    return where(wins, other[0], best[0]), where(wins, other[1], best[1])


def _is_padding(places: Any) -> Any:
    return greater(0, places)


def _sums(name: str, x: Any, windows: _Windows) -> Any:
    if windows.is_plain:
        return bind("window_sum", x, **windows.attributes)
    return windows.checked().folded(x, 0, add)


def _floats(name: str, x: Any) -> Any:
    operand = array(name, "x", x)
    if kind_of(operand.dtype) != "f":
        raise op_error(name, "takes floats", {"x": operand}, kind=DtypeError)
    return operand


def avg_pool(x: Any, window: Ints, *, stride: Ints | None = None, padding: Padding = "VALID", count_include_pad: bool = False,
             dilation: Ints = 1, ceil_mode: bool = False, divisor_override: int | None = None) -> Any:
    """The mean of each window of x [n, spatial..., c]; padding counts only with ``count_include_pad``, and what ``ceil_mode`` adds
    never. ``divisor_override`` divides sums by this instead. For the rest see ``max_pool``."""
    operand, counted = _floats("avg_pool", x), flag("avg_pool", "count_include_pad", count_include_pad)
    found = _Windows("avg_pool", operand, window, stride, padding, dilation, ceil_mode)
    total = _sums("avg_pool", operand, found)
    if divisor_override is not None:
        return divide(total, float(integer("avg_pool", "divisor_override", divisor_override, {"x": operand}, least=1)))
    cells = found.cells(counted)
    return divide(total, float(cells.flat[0]) if cells.size == 1 else cells.astype(operand.dtype))


def lp_pool(x: Any, p: float, window: Ints, *, stride: Ints | None = None, padding: Padding = "VALID", dilation: Ints = 1,
            ceil_mode: bool = False) -> Any:
    """The p-norm of each window of x [n, spatial..., c], (sum of |x|^p)^(1/p); padding adds nothing. See ``max_pool``."""
    operand = _floats("lp_pool", x)
    order = float(number("lp_pool", "p", p, {"x": operand}))
    found = _Windows("lp_pool", operand, window, stride, padding, dilation, ceil_mode)
    if order == 2:
        return sqrt(_sums("lp_pool", multiply(operand, operand), found))
    total = _sums("lp_pool", power(absolute(operand), order) if order != 1 else absolute(operand), found)
    return power(total, 1 / order) if order != 1 else total


__all__ = ["avg_pool", "lp_pool", "max_pool"]
