"""The range of a stage's integers: what is known of indices that are computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from leptonc.ir.affine import Extents, Interval, span
from leptonc.ir.kernel import Apply, AxisIndex, Const, Inst, Reduce, Stage
from leptonc.ir.types import DType


def integer_ranges(stage: Stage, extents: Extents) -> dict[int, Interval]:
    """An interval around everything that each integer instruction may give."""
    found: dict[int, Interval] = {}
    for n, inst in enumerate(stage.insts):
        if inst.dtype.is_int:
            limits = _limits(inst.dtype)
            known = _range(inst, stage, extents, found)
            found[n] = known if known is not None and limits.low <= known.low and known.high <= limits.high else limits
    return found


def _limits(dtype: DType) -> Interval:
    info = np.iinfo(dtype.numpy)
    return Interval(int(info.min), int(info.max))


def _range(inst: Inst, stage: Stage, extents: Extents, found: dict[int, Interval]) -> Interval | None:
    """The range of an instruction whose result does not overflow; None if nothing is known."""
    match inst:
        case Const():
            return Interval(int(inst.value), int(inst.value))
        case AxisIndex():
            reached = span(inst.index, extents, found)
            return reached and Interval(reached.low // inst.index.div, reached.high // inst.index.div)
        case Reduce(kind="argmax" | "argmin"):
            points = 1
            for axis in stage.reduce_axes:
                points *= axis.extent
            return Interval(0, max(points - 1, 0))
        case Apply(op="select"):
            return _both(Interval.hull, [found.get(n) for n in inst.args[1:]])
        case Apply() if inst.op in _RANGES:
            return _both(_RANGES[inst.op], [found.get(n) for n in inst.args])
    return None


def _both(rule: Callable[..., Interval | None], known: Sequence[Interval | None]) -> Interval | None:
    return None if any(k is None for k in known) else rule(*known)


def _remainder(x: Interval, y: Interval) -> Interval | None:
    """With the divisor's sign; by 0 it is 0."""
    return Interval(0, max(y.high - 1, 0)) if y.low >= 0 else None


def _masked(x: Interval, y: Interval) -> Interval | None:
    """Bits of both: no more than the lesser of two numbers that are not negative."""
    known = [k.high for k in (x, y) if k.low >= 0]
    return Interval(0, min(known)) if known else None


_RANGES: dict[str, Callable[..., Interval | None]] = {
    "add": lambda x, y: Interval(x.low + y.low, x.high + y.high),
    "sub": lambda x, y: Interval(x.low - y.high, x.high - y.low),
    "min": lambda x, y: Interval(min(x.low, y.low), min(x.high, y.high)),
    "max": lambda x, y: Interval(max(x.low, y.low), max(x.high, y.high)),
    "mod": _remainder,
    "and": _masked,
    "cast": lambda x: x,
}
