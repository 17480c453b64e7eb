"""Numbers from one bound to another in even steps, and their powers; of arrays of bounds, along a new axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.arguments import array, flag, integer, number, on_cpu, operand
from leptonc.arguments import axis as axis_of
from leptonc.arguments import shape as shape_of
from leptonc.arithmetic import absolute, divide, multiply, power, subtract
from leptonc.errors import DtypeError, op_error
from leptonc.numpy.creation import by_default
from leptonc.numpy.elementwise import as_float, floor, log10, sign
from leptonc.numpy.elementwise import where as chosen
from leptonc.numpy.manipulation import broadcast_arrays, concatenate, expand_dims, moveaxis
from leptonc.numpy.positions import steps
from leptonc.promotion import numpy_dtype
from leptonc.trace import Tracer, cast, promote


def linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None, axis: int = 0,
             *, device: Any = None) -> Any:
    """``num`` numbers from ``start`` to ``stop``, in even steps, with the last one or, without ``endpoint``, up to it; of ints
    rounded down.

    Of arrays of bounds, which may be traced and broadcast, along a new ``axis``. With ``retstep`` (numbers, step): NaN for the
    step if there is none.
    """
    on_cpu("linspace", device)
    count, ends = _count("linspace", num), flag("linspace", "endpoint", endpoint)
    if _are_known(start, stop):
        first, last = number("linspace", "start", start), number("linspace", "stop", stop)
        with np.errstate(invalid="ignore"):  # of infinite bounds, as compiled code has it
            found, step = np.linspace(first, last, count, ends, retstep=True)
        out: Any = by_default(found if dtype is None else _whole(found, dtype), dtype)
    else:
        spaced, step = _spaced("linspace", start, stop, count, ends)
        out = moveaxis(spaced, 0, axis_of("linspace", spaced, axis))
        out = out if dtype is None else cast(_whole(out, dtype), dtype)
    return (out, step) if flag("linspace", "retstep", retstep) else out


def _count(name: str, num: Any) -> int:
    (count,) = shape_of(name, integer(name, "num", num, least=0), what="num")
    return count


def _are_known(*bounds: Any) -> bool:
    """Whether all are numbers that are known."""
    return not any(map(_has_axes, bounds))


def _whole(x: Any, dtype: Any) -> Any:
    return floor(x) if numpy_dtype(dtype, "linspace").kind in "iu" else x


def _spaced(name: str, start: Any, stop: Any, count: int, endpoint: bool) -> tuple[Any, Any]:
    """(``count`` arrays along the first axis, the step between them)."""
    first, last = broadcast_arrays(*(as_float(x) for x in promote(operand(name, "start", start), operand(name, "stop", stop))))
    gaps = count - 1 if endpoint else count
    step = divide(subtract(last, first), gaps) if gaps > 0 else np.asarray(np.nan, first.dtype)
    found = steps(first, step if gaps > 0 else np.zeros((), first.dtype), count)
    return (concatenate([found[:-1], expand_dims(last, 0)]) if endpoint and count > 1 else found), step


def logspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None,
             axis: int = 0) -> Any:
    """Powers of ``base`` with the exponents of ``linspace``."""
    count, ends = _count("logspace", num), flag("logspace", "endpoint", endpoint)
    if _are_known(start, stop, base):
        first, last, by = (number("logspace", what, v) for what, v in (("start", start), ("stop", stop), ("base", base)))
        return by_default(np.logspace(first, last, count, ends, by), dtype)
    spaced, _ = _spaced("logspace", start, stop, count, ends)
    found = power(array("logspace", "base", base) if _has_axes(base) else base, spaced)
    out = moveaxis(found, 0, axis_of("logspace", found, axis))
    return out if dtype is None else cast(out, dtype)


def _has_axes(x: Any) -> bool:
    try:
        return isinstance(x, Tracer) or bool(np.shape(x))
    except ValueError:  # a list of lists that are not as long as each other, which is told when it becomes an array
        return True


def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    """Numbers whose ratios are equal; bounds are not 0 and of one sign, of arrays, whose elements may be traced, NaN elsewhere."""
    count, ends = _count("geomspace", num), flag("geomspace", "endpoint", endpoint)
    if _are_known(start, stop):
        first, last = number("geomspace", "start", start), number("geomspace", "stop", stop)
        if first == 0 or last == 0 or (first < 0) != (last < 0):
            raise op_error("geomspace", "bounds must be of one sign and not 0", {"start": first, "stop": last}, kind=DtypeError)
        return by_default(np.geomspace(first, last, count, ends), dtype)
    bounds = promote(operand("geomspace", "start", start), operand("geomspace", "stop", stop))
    low, high = broadcast_arrays(*(as_float(x) for x in bounds))
    if low.dtype.kind == "c":
        raise op_error("geomspace", "arrays of bounds must be real", {"start": low, "stop": high}, kind=DtypeError)
    within = np.result_type(low.dtype, np.float32)  # a logarithm of f16 says too little of its number
    lowest, highest = (log10(absolute(cast(x, within))) for x in (low, high))
    exponents, _ = _spaced("geomspace", lowest, highest, count, ends)
    found = multiply(cast(chosen(sign(low) == sign(high), sign(low), np.nan), within), power(10.0, exponents))
    found = _with_ends(cast(found, low.dtype), low, high, ends)
    out = moveaxis(found, 0, axis_of("geomspace", found, axis))
    return out if dtype is None else cast(out, dtype)


def _with_ends(found: Any, low: Any, high: Any, endpoint: bool) -> Any:
    """The bounds themselves, without the rounding of their logarithms."""
    count = found.shape[0]
    first = [expand_dims(low, 0)] if count else []
    last = [expand_dims(high, 0)] if count > 1 and endpoint else []
    return concatenate([*first, found[len(first):count - len(last)], *last])


__all__ = ["geomspace", "linspace", "logspace"]
