"""Order: sorted elements, where they come from, partitions, the greatest few."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.arguments import array, arrays, choice, flag, integer, ints, items
from leptonc.arguments import axis as axis_of
from leptonc.errors import ArgumentError, ShapeError, op_error
from leptonc.trace import bind, cast


def sort_rows(operands: Sequence[Any], axis: int, *, keys: int = 1, descending: bool = False, count: int | None = None,
              values: bool = True, order: bool = False) -> tuple[Any, ...]:
    """The op: of each operand the first ``count`` elements by the first ``keys`` operands, then the places they come from."""
    if any(x.dtype.kind == "c" for x in operands):
        return _complex_rows(operands, axis, keys, descending=descending, count=count, values=values, order=order)
    count = operands[0].shape[axis] if count is None else count
    attrs: dict[str, Any] = {"axis": axis, "keys": keys, "descending": descending, "count": count, "values": values, "order": order}
    out: tuple[Any, ...] = bind("sort", *operands, **attrs)
    return out


def _complex_rows(operands: Sequence[Any], axis: int, keys: int, **attrs: Any) -> tuple[Any, ...]:
    """``sort_rows`` of complex numbers: by real parts, then by imaginary ones, and before both by which is NaN, as NumPy."""
    parts: list[list[Any]] = [[x] if x.dtype.kind != "c" else [bind("real", x), bind("imag", x)] for x in operands]
    places = [[_kind_of_nan(*p)] if len(p) > 1 and n < keys else [] for n, p in enumerate(parts)]
    rows = [x for kind, part in zip(places, parts) for x in (*kind, *part)]
    out = list(sort_rows(rows, axis, keys=sum(map(len, [*places[:keys], *parts[:keys]])), **attrs))
    if not attrs["values"]:
        return tuple(out)
    found = []
    for kind, part in zip(places, parts):
        del out[:len(kind)]
        found.append(bind("complex", *out[:2]) if len(part) > 1 else out[0])
        del out[:len(part)]
    return (*found, *out)


def _kind_of_nan(re: Any, im: Any) -> Any:
    """0 for a number, 1 where the imaginary part is NaN, 2 where the real one is, 3 for both."""
    real, imaginary = (cast(bind("isnan", x), np.int8) for x in (re, im))
    return real + real + imaginary


def _row(name: str, x: Any, axis: int | None) -> tuple[Any, int]:
    """x and an axis of it; all of its elements in one for None."""
    operand = array(name, "x", x)
    if axis is None:
        return bind("reshape", operand, shape=(int(np.prod(operand.shape, dtype=np.int64)),)), 0
    return operand, axis_of(name, operand, axis)


KINDS = ("quicksort", "mergesort", "heapsort", "stable")


def _order(name: str, kind: Any, order: Any, stable: Any) -> None:
    """NumPy's words for how to sort, all of which the one way here obeys; fields to sort by there are none."""
    flag(name, "stable", stable)
    if kind is not None:
        choice(name, "kind", kind, KINDS)
    if order is not None:
        raise op_error(name, "order names fields, of which arrays have none", {}, "leave it out", ArgumentError)


def sort(x: Any, axis: int | None = -1, *, kind: str | None = None, order: None = None, stable: bool = True,
         descending: bool = False) -> Any:
    """The elements in ascending order along ``axis``, all of them in one row for None; NaN is greater than all else.

    Always stable: zeros of both signs are equal, and stay as they were. ``descending`` has NaN first. Complex numbers are in the
    order of their real parts, those with equal ones in that of their imaginary parts.
    """
    operand, along = _row("sort", x, axis)
    _order("sort", kind, order, stable)
    return sort_rows([operand], along, descending=flag("sort", "descending", descending))[0]


def argsort(x: Any, axis: int | None = -1, *, kind: str | None = None, order: None = None, stable: bool = True,
            descending: bool = False, dtype: Any = None) -> Any:
    """The places (i64, or ``dtype``, ints) that ``sort`` takes the elements from; equal ones stay in order, in either direction."""
    operand, along = _row("argsort", x, axis)
    _order("argsort", kind, order, stable)
    found = sort_rows([operand], along, descending=flag("argsort", "descending", descending), values=False, order=True)[0]
    return found if dtype is None else cast(found, ints("argsort", dtype))


def lexsort(keys: Any, axis: int = -1) -> Any:
    """The places (i64) that sort by several keys of one shape, the last one first. Raises ShapeError for none, or other shapes."""
    found = arrays("lexsort", "keys", keys)
    if not found or any(k.shape != found[0].shape for k in found):
        raise op_error("lexsort", "keys must be some arrays of one shape", {f"keys[{n}]": k for n, k in enumerate(found)},
                       kind=ShapeError)
    if not found[0].shape:
        return bind("reshape", np.zeros((), np.int64), shape=())
    return sort_rows(found[::-1], axis_of("lexsort", found[0], axis), keys=len(found), values=False, order=True)[0]


def _checked_kth(name: str, x: Any, kth: Any, axis: int) -> None:
    n = x.shape[axis]
    for k in items(kth):
        integer(name, "kth", k, {"x": x}, least=-n, most=n - 1)


def partition(x: Any, kth: Any, axis: int | None = -1) -> Any:
    """Elements in an order in which that at ``kth`` stands where it does in a sorted row, no greater one before and no lesser one
    behind it: here the whole row is sorted."""
    operand, along = _row("partition", x, axis)
    _checked_kth("partition", operand, kth, along)
    return sort_rows([operand], along)[0]


def argpartition(x: Any, kth: Any, axis: int | None = -1) -> Any:
    """The places (i64) that ``partition`` takes the elements from."""
    operand, along = _row("argpartition", x, axis)
    _checked_kth("argpartition", operand, kth, along)
    return sort_rows([operand], along, values=False, order=True)[0]


def top_k(operand: Any, k: int, *, axis: int = -1, least: bool = False, name: str = "top_k") -> tuple[Any, Any]:
    """The k greatest elements along an axis, in descending order, and their places (i32); of equal ones the first come first.
    NaN is greater than all else. Raises ShapeError if there are fewer than k."""
    x = array(name, "operand", operand)
    along = axis_of(name, x, axis)
    count = integer(name, "k", k, {"operand": x}, least=0, most=x.shape[along])
    values, places = sort_rows([x], along, descending=not least, count=count, order=True)
    return values, cast(places, np.int32)


def sort_operands(operand: Any, dimension: int = -1, is_stable: bool = True, num_keys: int = 1) -> Any:
    """jax.lax.sort: see ``leptonc.lax.sort``."""
    several = isinstance(operand, list | tuple)
    found = [array("sort", f"operand[{n}]" if several else "operand", x) for n, x in enumerate(operand if several else [operand])]
    if not found or any(x.shape != found[0].shape for x in found):
        raise op_error("sort", "operands must be some arrays of one shape", {f"operand[{n}]": x for n, x in enumerate(found)},
                       kind=ShapeError)
    flag("sort", "is_stable", is_stable)
    keys = integer("sort", "num_keys", num_keys, least=1, most=len(found))
    out = sort_rows(found, axis_of("sort", found[0], dimension), keys=keys)
    return out if several else out[0]


def along_axis(x: Any, places: Any, axis: int) -> Any:
    """Elements of each row along an axis at places (i64) of its own, which are in range."""
    shape = x.shape
    flat, stride = places, int(np.prod(shape[axis + 1:], dtype=np.int64))
    flat = flat * stride if stride != 1 else flat
    for d, extent in enumerate(shape):
        if d != axis and extent > 1:
            step = int(np.prod(shape[d + 1:], dtype=np.int64))
            flat = flat + np.arange(extent, dtype=np.int64).reshape([-1 if d == other else 1 for other in range(len(shape))]) * step
    return bind("take", bind("reshape", x, shape=(int(np.prod(shape, dtype=np.int64)),)), flat, axis=0)


def side(name: str, value: Any) -> bool:
    """Whether equal elements are passed: "right"."""
    return choice(name, "side", value, ("left", "right")) == "right"
