"""``pad`` in every mode of NumPy's: axis by axis, each on what the one before has made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from leptonc.arguments import array, choice, is_one, items
from leptonc.arguments import shape as shape_of
from leptonc.arithmetic import add, divide, multiply, subtract
from leptonc.errors import ArgumentError, op_error
from leptonc.numpy.creation import asarray
from leptonc.numpy.elementwise import round as _round
from leptonc.numpy.manipulation import broadcast_to, concatenate, flip, pad_widths, split, take
from leptonc.numpy.manipulation import pad as _constant
from leptonc.numpy.reductions import max as _max
from leptonc.numpy.reductions import mean
from leptonc.numpy.reductions import min as _min
from leptonc.trace import Tracer, cast

INDEXED = ("edge", "wrap")
MODES = ("constant", "edge", "reflect", "symmetric", "wrap", "linear_ramp", "maximum", "mean", "minimum", "empty")


def pad(x: Any, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0, end_values: Any = 0, stat_length: Any = None,
        reflect_type: str = "even") -> Any:
    """Elements added at the edges: ``pad_width`` is n, (low, high), such a pair for every axis, or a dict of axes.

    ``mode`` is NumPy's: "constant" with ``constant_values``, which may be traced, "edge", "reflect" and "symmetric"
    (``reflect_type`` "odd" turns signs about the edge), "wrap", "linear_ramp" to ``end_values``, "maximum", "mean" and
    "minimum" of the ``stat_length`` elements next to an edge, "empty" (zeros).
    """
    operand = array("pad", "x", x)
    kind = choice("pad", "mode", mode, MODES, {"x": operand})
    low, high = pad_widths(operand, pad_width)
    shape_of("pad", [n + a + b for n, a, b in zip(operand.shape, low, high)], operand.dtype.itemsize)
    if kind == "empty" or (kind == "constant" and is_one(constant_values) and not isinstance(constant_values, Tracer)):
        return _constant(operand, tuple(zip(low, high)), constant_values=0 if kind == "empty" else constant_values)
    settings = {"constant": constant_values, "linear_ramp": end_values, "reflect": reflect_type, "symmetric": reflect_type}
    given = settings.get(kind, stat_length)
    pairs = [given] * len(low) if isinstance(given, str) or given is None else _pairs(given, len(low))
    for axis, (a, b, setting) in enumerate(zip(low, high, pairs)):
        if (a or b) and not operand.shape[axis] and kind != "constant":
            raise op_error("pad", f"axis {axis} is empty and has no elements to repeat", {"x": operand})
        operand = _axis_padded(kind, operand, axis, a, b, setting) if a or b else operand
    return operand


def _pairs(value: Any, rank: int) -> list[tuple[Any, Any]]:
    """(low, high) for each axis, of one number, one pair, or pairs; the numbers may be traced."""
    if is_one(value):
        return [(value, value)] * rank
    given = items(value)
    if all(is_one(v) for v in given) and len(given) in (1, 2):
        return [(given[0], given[-1])] * rank
    pairs = [v if isinstance(v, list | tuple) else (v, v) for v in given]
    if len(pairs) not in (1, rank):
        raise op_error("pad", f"{value!r:.60} gives no pair for each of {rank} axes", {}, kind=ArgumentError)
    return [(p[0], p[-1]) for p in (pairs * rank if len(pairs) == 1 else pairs)]


def _axis_padded(kind: str, x: Any, axis: int, low: int, high: int, setting: Any) -> Any:
    if kind in INDEXED:
        return take(x, np.pad(np.arange(x.shape[axis]), (low, high), kind), axis)  # type: ignore[call-overload]
    if kind in ("reflect", "symmetric"):
        return _mirrored(kind, x, axis, low, high, choice("pad", "reflect_type", setting, ("even", "odd")))
    sides = _SIDES[kind]
    front, behind = sides(x, axis, low, setting and setting[0], False), sides(x, axis, high, setting and setting[1], True)
    return concatenate([part for part, n in ((front, low), (x, 1), (behind, high)) if n], axis)


def _mirrored(kind: str, x: Any, axis: int, low: int, high: int, how: str) -> Any:
    if how == "even" or x.shape[axis] == 1:
        return take(x, np.pad(np.arange(x.shape[axis]), (low, high), kind), axis)  # type: ignore[call-overload]
    skip = int(kind == "reflect")
    while low or high:
        n = x.shape[axis]
        room = n - skip
        front, behind = min(low, room), min(high, room)
        first, last = split(x, [1], axis)[0], split(x, [n - 1], axis)[1]
        head = flip(split(x, [skip, skip + front], axis)[1], axis)
        tail = flip(split(x, [n - skip - behind, n - skip], axis)[1], axis)
        x = concatenate([subtract(multiply(2, first), head), x, subtract(multiply(2, last), tail)], axis)
        low, high = low - front, high - behind
    return x


def _slab(x: Any, axis: int, count: int) -> tuple[int, ...]:
    return tuple(count if d == axis else n for d, n in enumerate(x.shape))


def _constants(x: Any, axis: int, count: int, value: Any, behind: bool) -> Any:
    return broadcast_to(cast(asarray(value), x.dtype), _slab(x, axis, count))


def _ramp(x: Any, axis: int, count: int, end: Any, behind: bool) -> Any:
    """From ``end`` to the edge, which is not repeated."""
    edge = split(x, [x.shape[axis] - 1], axis)[1] if behind else split(x, [1], axis)[0]
    wide = np.result_type(x.dtype, np.float64) if x.dtype.kind in "iu" else x.dtype
    steps = np.arange(count, dtype=wide).reshape([-1 if d == axis else 1 for d in range(len(x.shape))])
    last = cast(edge, wide)
    line = add(asarray(end, wide), multiply(divide(subtract(last, asarray(end, wide)), max(count, 1)), steps))
    line = line if x.dtype.kind in "fc" or x.dtype == wide else _floor(line)
    return cast(flip(line, axis) if behind else line, x.dtype)


def _floor(x: Any) -> Any:
    return x // 1


def _statistic(function: Callable[..., Any]) -> Callable[..., Any]:
    def side(x: Any, axis: int, count: int, length: Any, behind: bool) -> Any:
        n = x.shape[axis]
        taken = n if length is None else min(int(length), n)
        if taken < 1:
            raise op_error("pad", "stat_length must be at least 1", {"x": x}, kind=ArgumentError)
        part = split(x, [n - taken], axis)[1] if behind else split(x, [taken], axis)[0]
        found = function(part, axis, keepdims=True)
        found = _round(found) if x.dtype.kind in "iu" and function is mean else found
        return broadcast_to(cast(found, x.dtype), _slab(x, axis, count))

    return side


_SIDES: dict[str, Callable[..., Any]] = {
    "constant": _constants, "linear_ramp": _ramp, "maximum": _statistic(_max), "mean": _statistic(mean),
    "minimum": _statistic(_min),
}
