"""What an argument must be: one check for each kind, each with the same words everywhere.

``name`` is the function that was called, ``what`` the argument. A traced value where a known one is needed is a TracerError; a
value of a wrong kind an ArgumentError; one that does not fit the operands a ShapeError.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Iterable, Mapping
from math import prod
from types import FunctionType
from typing import Any

import numpy as np

from leptonc.bfloat16 import kind_of
from leptonc.eager import EagerArray
from leptonc.errors import ArgumentError, DtypeError, LeptonError, RangeError, ShapeError, near_names, op_error
from leptonc.ir.types import MOST_BYTES, MOST_DIMENSIONS
from leptonc.promotion import PYTHON_SCALARS, asarray, is_weak, numpy_dtype
from leptonc.tracer import Tracer

_INTS = (int, np.integer)
_NOTHING: Mapping[str, object] = {}


def _wrong(name: str, what: str, value: Any, wanted: str, operands: Mapping[str, object],
           kind: type[LeptonError] = ArgumentError) -> LeptonError:
    shown = repr(value)
    return op_error(name, f"{what}={shown if len(shown) <= 60 else shown[:57] + '...'} must be {wanted}", operands, None, kind)


def integer(name: str, what: str, value: Any, operands: Mapping[str, object] = _NOTHING, *, least: int | None = None,
            most: int | None = None, kind: type[LeptonError] = ShapeError) -> int:
    """``value`` as an int within bounds; an array of one integer counts, a bool or a float does not."""
    if isinstance(value, Tracer):
        value.__index__()  # raises: it says that the value is not known
    if isinstance(value, np.ndarray) and value.shape == () and value.dtype.kind in "iu":
        value = np.asarray(value)[()]  # of an EagerArray too
    if isinstance(value, bool) or not isinstance(value, _INTS):
        raise _wrong(name, what, value, "an int", operands)
    if (least is not None and value < least) or (most is not None and value > most):
        bounds = f"at least {least}" if most is None else f"at most {most}" if least is None else f"from {least} to {most}"
        raise _wrong(name, what, value, bounds, operands, kind)
    return int(value)


def is_one(value: Any) -> bool:
    """Whether a value is one thing, not a list, tuple, range or array of them."""
    return not isinstance(value, list | tuple | range) and not (isinstance(value, np.ndarray | Tracer) and value.shape != ())


def items(value: Any) -> tuple[Any, ...]:
    """The items of a list, a tuple, a range or a 1-D array, traced or not; one that is none of those on its own."""
    if isinstance(value, list | tuple | range) or (isinstance(value, Tracer) and len(value.shape) == 1):
        return tuple(value)
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return tuple(np.asarray(value).tolist())
    return (value,)


def integers(name: str, what: str, value: Any, operands: Mapping[str, object] = _NOTHING, *, count: int | None = None,
             repeat: bool = False, least: int | None = None) -> tuple[int, ...]:
    """A sequence of ints, or one int: alone, or with ``repeat`` for each of ``count``."""
    one = is_one(value)
    found = items(value) * (count if one and repeat and count is not None else 1)
    if count is not None and len(found) != count:
        raise _wrong(name, what, value, f"{count} int{'s' * (count != 1)}{', or one for all' * repeat}", operands, ShapeError)
    return tuple(integer(name, what if one else f"an entry of {what}", n, operands, least=least) for n in found)


def extent(name: str, what: str, value: Any) -> int:
    """How long an axis is that an address space has room for."""
    return integer(name, what, value, least=0, most=MOST_BYTES // 8)


def shape(name: str, value: Any, itemsize: int = 8, what: str = "shape") -> tuple[int, ...]:
    """Extents of an array that an address space has room for."""
    found = integers(name, what, value, least=0)
    if len(found) > MOST_DIMENSIONS or prod(max(n, 1) for n in found) * itemsize > MOST_BYTES:
        raise _wrong(name, what, value, f"at most {MOST_DIMENSIONS} extents, of {MOST_BYTES} bytes in all", _NOTHING, ShapeError)
    return found


def axis(name: str, x: Any, value: Any, rank: int | None = None) -> int:
    """An axis of x, or of an array of ``rank`` axes, counted from the start. Raises RangeError if there is none."""
    count = len(x.shape) if rank is None else rank
    found = integer(name, "axis", value, {"x": x})
    if not -count <= found < count:
        raise op_error(name, f"axis {found} is out of bounds for {count} axes", {"x": x}, kind=RangeError)
    return found % count


def axes(name: str, x: Any, value: Any, rank: int | None = None) -> tuple[int, ...]:
    """Axes as they were given; all of them for None. Raises ShapeError for one that is out of bounds or named twice."""
    if value is None:
        return tuple(range(len(x.shape) if rank is None else rank))
    found = tuple(axis(name, x, n, rank) for n in items(value))
    if len(set(found)) != len(found):
        raise op_error(name, f"axis {value} names one axis twice", {"x": x})
    return found


def number(name: str, what: str, value: Any, operands: Mapping[str, object] = _NOTHING, *, least: float | None = None,
           most: float | None = None, below: float | None = None, kinds: str = "biuf") -> Any:
    """A known number within bounds, as it came; NaN is within none. ``kinds``: of dtypes that are taken."""
    if isinstance(value, Tracer):
        value.__float__()  # raises
    known: Any = value
    is_one_number = isinstance(known, (*PYTHON_SCALARS, np.generic, np.ndarray)) and not np.shape(known)
    if not is_one_number or kind_of(np.asarray(known).dtype) not in kinds:
        raise _wrong(name, what, value, "a number", operands)
    bounds = ((least, operator.ge, "at least"), (most, operator.le, "at most"), (below, operator.lt, "less than"))
    for bound, holds, words in bounds:
        if bound is not None and not holds(known, bound):
            raise _wrong(name, what, value, f"{words} {bound}", operands)
    return value


def kinds_in(dtype: np.dtype) -> str:
    """The kinds of numbers that an array of a dtype takes in: complex ones only if it is complex."""
    return "biufc" if dtype.kind == "c" else "biuf"


def scalar(name: str, what: str, value: Any, least: float | None = None, kinds: str = "biuf") -> Any:
    """A number, known or traced, as it came; one that is known is at least ``least``."""
    if isinstance(value, Tracer):
        if value.shape:
            raise _wrong(name, what, value, "one number", _NOTHING, ShapeError)
        return value
    return number(name, what, value, least=least, kinds=kinds)


def vector(name: str, what: str, value: Any) -> Any:
    """An array of one axis."""
    found = array(name, what, value)
    if len(found.shape) != 1:
        raise op_error(name, f"{what} must have one axis", {what: found}, kind=ShapeError)
    return found


def listed(name: str, what: str, value: Any, least: int = 0) -> list[Any]:
    """The items of a list or tuple."""
    if not isinstance(value, list | tuple) or len(value) < least:
        raise _wrong(name, what, value, "a list" + f" of at least {least}" * (least > 0), _NOTHING)
    return list(value)


def known_array(name: str, what: str, value: Any, kinds: str) -> np.ndarray:
    """An array whose elements are known, of a dtype of these kinds."""
    if isinstance(value, Tracer):
        value.__array__()  # raises
    found = np.asarray(array(name, what, value))
    if found.dtype.kind not in kinds:
        raise op_error(name, f"{what} must be of kind {kinds!r}", {what: found}, kind=DtypeError)
    return found


def flag(name: str, what: str, value: Any) -> bool:
    """True or False, known."""
    if isinstance(value, Tracer):
        value.__bool__()  # raises
    if not isinstance(value, bool | np.bool_) and not (type(value) is int and value in (0, 1)):
        raise _wrong(name, what, value, "True or False", _NOTHING)
    return bool(value)


def choice(name: str, what: str, value: Any, options: Iterable[str], operands: Mapping[str, object] = _NOTHING) -> str:
    """One of some words."""
    known = list(options)
    if not isinstance(value, str) or value not in known:
        hint = near_names(value, known) if isinstance(value, str) else ""
        raise _wrong(name, what, value, f"one of {', '.join(map(repr, known))}" + f"; {hint}".removesuffix("; "), operands)
    return value


def function(name: str, what: str, value: Any, takes: int | None = None) -> Callable[..., Any]:
    """Something to call, with ``takes`` arguments if that is said."""
    if not callable(value):
        raise _wrong(name, what, value, "a function", _NOTHING)
    if takes is not None and not can_take(value, takes):
        raise _wrong(name, what, value, f"a function of {takes} argument{'s' * (takes != 1)}", _NOTHING)
    found: Callable[..., Any] = value
    return found


def can_take(f: Callable[..., Any], count: int) -> bool:
    """Whether it can be called with so many arguments, as far as it says so."""
    if isinstance(f, FunctionType) and f.__code__.co_argcount == count and not f.__code__.co_kwonlyargcount:
        return True  # the rest takes longer
    try:
        inspect.signature(f).bind(*[None] * count)
    except ValueError:  # it says nothing
        return True
    except TypeError:
        return False
    return True


def on_cpu(name: str, device: Any) -> None:
    """Raises ArgumentError for a device other than "cpu", the only one; None is that."""
    if device is not None and not (isinstance(device, str) and device == "cpu"):
        raise _wrong(name, "device", device, "'cpu', the only one there is", _NOTHING)


def no_out(name: str, out: Any) -> None:
    """Raises ArgumentError for an array to write into: of NumPy's parameter ``out`` None alone is taken, as by JAX."""
    if out is not None:
        raise op_error(name, "writes into no array: out must be None", {}, f"x = {name}(...)", ArgumentError)


def row_major(name: str, order: Any, options: Iterable[str] = ("C", "K", "A")) -> None:
    """Raises ArgumentError for a memory layout other than row-major, which all arrays have."""
    if order is not None:
        choice(name, "order", order, options)


def array(name: str, what: str, value: Any) -> Any:
    """An array or a traced value. Raises DtypeError naming the argument.

    An EagerArray stays one: what a function gives back as it came still depends on what it did.
    """
    return value if isinstance(value, Tracer | EagerArray) else asarray(value, f"{name}: {what}")


def operand(name: str, what: str, value: Any) -> Any:
    """As ``array``, but a Python number stays one: it takes the dtype of the operand beside it."""
    return value if is_weak(value) else array(name, what, value)


def arrays(name: str, what: str, value: Any) -> list[Any]:
    """The arrays of a list or tuple, or along the first axis of one array."""
    if isinstance(value, list | tuple):
        return [array(name, f"{what}[{n}]", x) for n, x in enumerate(value)]
    if isinstance(value, Tracer | np.ndarray) and value.shape:
        return [array(name, what, x) for x in value]
    raise _wrong(name, what, value, "a list of arrays", _NOTHING)


def ints(name: str, dtype: Any) -> np.dtype:
    """A dtype of ints. Raises DtypeError for another."""
    found = numpy_dtype(dtype, name)
    if found.kind not in "iu":
        raise op_error(name, f"dtype must be one of ints, got {found}", {}, kind=DtypeError)
    return found


def floats(name: str, what: str, dtype: Any) -> np.dtype:
    """A float dtype, f32 for None. Raises DtypeError for another."""
    found = numpy_dtype(np.float32 if dtype is None else dtype, name)
    if kind_of(found) != "f":
        raise op_error(name, f"{what} must be a float, got {found}", {}, kind=DtypeError)
    return found
