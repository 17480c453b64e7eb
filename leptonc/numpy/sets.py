"""Distinct elements, and those that hold: how many there are depends on the data, so traced code says for how many there is room.

Without ``size`` known arrays give what NumPy gives. With it a result has that many elements: what is beyond is dropped, what is
missing filled up, and compiled and known arrays give the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from leptonc.arguments import array, choice, extent, flag, operand
from leptonc.arguments import axis as axis_of
from leptonc.bfloat16 import kind_of
from leptonc.eager import plain
from leptonc.errors import ArgumentError, ShapeError, TracerError, op_error
from leptonc.numpy.elementwise import as_bool
from leptonc.numpy.elementwise import where as chosen
from leptonc.numpy.manipulation import concatenate
from leptonc.numpy.reductions import any as any_of
from leptonc.numpy.reductions import cumsum
from leptonc.numpy.reductions import sum as sum_over
from leptonc.numpy.searching import searchsorted
from leptonc.numpy.sorting import sort_rows
from leptonc.trace import Tracer, bind, cast, is_weak, known, promote

FEW = 16  # elements that each is compared with; more are sorted


def _ravel(x: Any) -> Any:
    return bind("reshape", x, shape=(_count(x),))


def _count(x: Any) -> int:
    return int(np.prod(x.shape, dtype=np.int64))


def _room(name: str, size: Any, operands: dict[str, Any]) -> int | None:
    """``size`` as an int; None if all are known, and it is not given."""
    if size is not None:
        return extent(name, "size", size)
    if any(isinstance(x, Tracer) for x in operands.values()):
        raise op_error(name, "how many elements there are depends on traced values", operands, "pass size=, and fill_value=",
                       TracerError)
    return None


def _numpy(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What NumPy's function gives for known arrays."""
    out = function(*(plain(x) for x in args), **kwargs)
    return tuple(known(np.asarray(x), args) for x in out) if isinstance(out, tuple) else known(np.asarray(out), args)


# Where something holds


def flatnonzero(x: Any, *, size: int | None = None, fill_value: Any = None) -> Any:
    """The places (i64) of what is not 0 among all elements; with ``size`` so many, the rest ``fill_value`` (0)."""
    operand = array("flatnonzero", "x", x)
    room = _room("flatnonzero", size, {"x": operand})
    if room is None:
        return _numpy(np.flatnonzero, operand)
    places, there = _places(_ravel(as_bool(operand)), room)
    return where(there, places, _filler(fill_value, places))


def nonzero(x: Any, *, size: int | None = None, fill_value: Any = None) -> tuple[Any, ...]:
    """Of what is not 0 the places (i64) along each axis; with ``size`` so many, the rest ``fill_value`` (0), one for all axes or
    a tuple of one for each."""
    operand = array("nonzero", "x", x)
    room = _room("nonzero", size, {"x": operand})
    if not operand.shape:
        raise op_error("nonzero", "x must have an axis", {"x": operand}, "use leptonc.numpy.reshape(x, (1,))", ShapeError)
    if room is None:
        found: tuple[Any, ...] = _numpy(np.nonzero, operand)
        return found
    places, there = _places(_ravel(as_bool(operand)), room)
    fills = fill_value if isinstance(fill_value, tuple) else (fill_value,) * len(operand.shape)
    if len(fills) != len(operand.shape):
        raise op_error("nonzero", "fill_value must be one number, or one for each axis", {"x": operand}, kind=ShapeError)
    out, rest = [], places
    for n in reversed(operand.shape):
        out.append(rest % max(n, 1))
        rest = rest // max(n, 1)
    return tuple(where(there, at, _filler(fill, at)) for at, fill in zip(out[::-1], fills))


def where(condition: Any, x: Any = None, y: Any = None, *, size: int | None = None, fill_value: Any = None) -> Any:
    """x where the condition holds (is not 0), else y. Of a condition alone, where it holds: as ``nonzero``."""
    if x is None and y is None:
        return nonzero(condition, size=size, fill_value=fill_value)
    if x is None or y is None:
        raise op_error("where", "wants both x and y, or neither", {}, kind=ArgumentError)
    if size is not None or fill_value is not None:
        raise op_error("where", "size and fill_value are for a condition alone", {}, kind=ArgumentError)
    return chosen(condition, x, y)


def argwhere(x: Any, *, size: int | None = None, fill_value: Any = None) -> Any:
    """Of what is not 0 the places (i64), a row for each."""
    operand = array("argwhere", "x", x)
    if _room("argwhere", size, {"x": operand}) is None:
        return _numpy(np.argwhere, operand)
    if not operand.shape:
        return bind("reshape", np.zeros(0, np.int64), shape=(extent("argwhere", "size", size), 0))
    columns = nonzero(operand, size=size, fill_value=fill_value)
    return concatenate([bind("reshape", c, shape=(*c.shape, 1)) for c in columns], 1)


def _filler(fill_value: Any, like: Any) -> Any:
    return np.zeros((), like.dtype) if fill_value is None else cast(array("fill_value", "fill_value", fill_value), like.dtype)


def _places(mask: Any, room: int) -> tuple[Any, Any]:
    """The first ``room`` places where a row of bools holds, and which of them there are."""
    n = mask.shape[0]
    (places,) = sort_rows([~mask], 0, count=min(room, n), values=False, order=True)
    if room > n:
        places = concatenate([places, np.zeros(room - n, np.int64)])
    there = np.arange(room) < sum_over(cast(mask, np.int64))
    return where(there, places, np.zeros((), np.int64)), there


# Distinct elements


class UniqueAll(NamedTuple):
    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class UniqueCounts(NamedTuple):
    values: Any
    counts: Any


class UniqueInverse(NamedTuple):
    values: Any
    inverse_indices: Any


def unique(x: Any, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False, axis: int | None = None,
           *, equal_nan: bool = True, size: int | None = None, fill_value: Any = None, sorted: bool = True) -> Any:
    """The distinct elements in ascending order, whatever ``sorted`` says; then, of those asked for, where each stands first, which
    of them each element is, and how often each stands there (all i64).

    With ``size`` there are so many: the rest are ``fill_value``, by default the least element, and stand there 0 times. With
    ``axis`` of distinct slices along it, which are sorted by their elements, the first one first (traced: of few elements); slices
    with a NaN are all distinct.
    """
    operand = array("unique", "x", x)
    flag("unique", "sorted", sorted)
    wanted = tuple(flag("unique", name, value) for name, value in (
        ("return_index", return_index), ("return_inverse", return_inverse), ("return_counts", return_counts)))
    room, equal_nan = _room("unique", size, {"x": operand}), flag("unique", "equal_nan", equal_nan)
    axis = None if axis is None else axis_of("unique", operand, axis)
    if room is None:
        return _numpy(np.unique, operand, return_index=wanted[0], return_inverse=wanted[1], return_counts=wanted[2], axis=axis,
                      equal_nan=equal_nan)
    if axis is not None and len(operand.shape) != 1:
        return _unique_slices(operand, wanted, axis, room, fill_value, equal_nan)
    found = _Distinct(_ravel(operand), equal_nan, room)
    if not any(wanted):
        return found.values(fill_value)
    more = (found.index(), bind("reshape", found.inverse(), shape=operand.shape), found.counts())
    return (found.values(fill_value), *(result for result, asked in zip(more, wanted) if asked))


def _unique_slices(x: Any, wanted: tuple[bool, ...], axis: int, room: int, fill_value: Any, equal_nan: bool) -> Any:
    """Of known slices what NumPy gives, cut or filled up."""
    if isinstance(x, Tracer):
        return _traced_slices(x, wanted, axis, room, fill_value)
    values, *rest = np.unique(plain(x), True, True, True, axis, equal_nan=equal_nan)
    first = np.take(values, [0], axis) if fill_value is None else np.full_like(np.take(values, [0], axis), fill_value)
    fills = (first, rest[0][:1], None, np.zeros(1, np.int64))
    found = [out if fill is None else _fitted(out, fill, axis if n == 0 else 0, room)
             for n, (out, fill) in enumerate(zip((values, *rest), fills))]
    asked = tuple(known(np.asarray(out), (x,)) for out, ask in zip(found, (True, *wanted)) if ask)
    return asked if any(wanted) else asked[0]


def _traced_slices(x: Any, wanted: tuple[bool, ...], axis: int, room: int, fill_value: Any) -> Any:
    others = [d for d in range(len(x.shape)) if d != axis]
    moved = bind("transpose", x, perm=(axis, *others))
    found = _Distinct(bind("reshape", moved, shape=(x.shape[axis], _count(x) // max(x.shape[axis], 1))), False, room)
    values = bind("reshape", found.values(fill_value), shape=(room, *(x.shape[d] for d in others)))
    back = bind("transpose", values, perm=tuple(d + 1 if d < axis else 0 if d == axis else d for d in range(len(x.shape))))
    more = (found.index(), found.inverse(), found.counts())
    return (back, *(result for result, asked in zip(more, wanted) if asked)) if any(wanted) else back


def _fitted(found: np.ndarray, fill: np.ndarray, axis: int, room: int) -> np.ndarray:
    missing = max(room - found.shape[axis], 0)
    return np.concatenate([np.take(found, range(min(room, found.shape[axis])), axis), np.repeat(fill, missing, axis)], axis)


class _Distinct:
    """The distinct elements of a row, or rows of a matrix, with room for some."""

    def __init__(self, x: Any, equal_nan: bool, room: int):
        self.n, self.room = x.shape[0], room
        if len(x.shape) == 1:
            self.ordered, self.order = sort_rows([x], 0, order=True)
        else:
            keys = [x[:, k] for k in range(x.shape[1])]
            (self.order,) = sort_rows(keys, 0, keys=len(keys), values=False, order=True)
            self.ordered = bind("take", x, self.order, axis=0)
        self.first = self._firsts(equal_nan)  # of each in order: whether it is another one than that before it
        self.places, self.there = _places(self.first, room)

    def _firsts(self, equal_nan: bool) -> Any:
        if not self.n:
            return np.zeros(0, bool)
        a, b = self.ordered[1:], self.ordered[:-1]
        differ = a != b
        if kind_of(self.ordered.dtype) in "fc" and equal_nan:
            differ = differ & ~((a != a) & (b != b))
        differ = differ if len(differ.shape) == 1 else any_of(differ, 1)
        return concatenate([np.ones(1, bool), differ])

    def _at(self, row: Any, places: Any) -> Any:
        return bind("take", row, places, axis=0) if self.n else np.zeros((self.room, *row.shape[1:]), row.dtype)

    def values(self, fill_value: Any) -> Any:
        found = self._at(self.ordered, self.places)
        if fill_value is None:
            return found
        there = bind("reshape", self.there, shape=(self.room, *(1,) * (len(found.shape) - 1)))
        return where(there, found, _filler(fill_value, found))

    def index(self) -> Any:
        return self._at(self.order, self.places)

    def inverse(self) -> Any:
        if not self.n:
            return np.zeros(0, np.int64)
        number = cumsum(cast(self.first, np.int64)) - 1
        return bind("scatter_add", np.zeros(self.n, np.int64), self.order, number, axis=0)

    def counts(self) -> Any:
        starts = where(self.there, self.places, np.asarray(self.n))
        last = np.asarray(self.n) if self.room >= self.n else _next_start(self.first, self.room, self.n)
        return concatenate([starts[1:], bind("reshape", last, shape=(1,))]) - starts if self.room else starts


def _next_start(first: Any, room: int, n: int) -> Any:
    """Where the element after the last one that there is room for begins, or the end."""
    places, there = _places(first, room + 1)
    return where(there, places, np.asarray(n))[room]


def unique_values(x: Any, *, size: int | None = None, fill_value: Any = None) -> Any:
    """The distinct elements, every NaN one of its own."""
    return unique(x, equal_nan=False, size=size, fill_value=fill_value)


def unique_counts(x: Any, *, size: int | None = None, fill_value: Any = None) -> UniqueCounts:
    """The distinct elements, and how often each stands there."""
    return UniqueCounts(*unique(x, return_counts=True, equal_nan=False, size=size, fill_value=fill_value))


def unique_inverse(x: Any, *, size: int | None = None, fill_value: Any = None) -> UniqueInverse:
    """The distinct elements, and which of them each element is."""
    return UniqueInverse(*unique(x, return_inverse=True, equal_nan=False, size=size, fill_value=fill_value))


def unique_all(x: Any, *, size: int | None = None, fill_value: Any = None) -> UniqueAll:
    """All that ``unique`` gives."""
    return UniqueAll(*unique(x, True, True, True, equal_nan=False, size=size, fill_value=fill_value))


# Sets


def isin(element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, *, kind: str | None = None,
         method: str = "auto") -> Any:
    """Which elements are among ``test_elements`` (``invert``: are not); NaN is equal to nothing. The other arguments are NumPy's
    and JAX's, and change nothing."""
    choice("isin", "method", method, ("auto", "compare_all", "binary_search", "sort"))
    x, tests = promote(array("isin", "element", element), _ravel(array("isin", "test_elements", test_elements)))
    n = tests.shape[0]
    if not n or not _count(x):
        found = bind("broadcast", np.zeros((), bool), shape=x.shape, dims=())
    elif n <= FEW:
        found = x == tests[0]
        for k in range(1, n):
            found = found | (x == tests[k])
    else:
        (ordered,) = sort_rows([tests], 0)
        at = searchsorted(ordered, x)
        found = bind("take", ordered, at, axis=0) == x  # places behind the end read the last element, which is less
    return ~found if flag("isin", "invert", invert) else found


def union1d(ar1: Any, ar2: Any, *, size: int | None = None, fill_value: Any = None) -> Any:
    """The distinct elements of both, in ascending order."""
    a, b = _both("union1d", ar1, ar2)
    return unique(concatenate([a, b]), size=size, fill_value=fill_value)


def intersect1d(ar1: Any, ar2: Any, assume_unique: bool = False, return_indices: bool = False, *, size: int | None = None,
                fill_value: Any = None) -> Any:
    """The distinct elements that both have, in ascending order; with ``return_indices`` also where they stand first in each.

    The rest of ``size`` is ``fill_value``, by default the least of the result, or 0; places there are those behind the end.
    """
    a, b = _both("intersect1d", ar1, ar2)
    room = _room("intersect1d", size, {"ar1": a, "ar2": b})
    if room is None:
        return _numpy(np.intersect1d, a, b, assume_unique=flag("intersect1d", "assume_unique", assume_unique),
                       return_indices=flag("intersect1d", "return_indices", return_indices))
    values, first = unique(a, return_index=True, size=max(a.shape[0], 1)) if a.shape[0] else (a, np.zeros(0, np.int64))
    distinct = np.arange(values.shape[0]) < _number_of_distinct(a)
    places, there = _places(isin(values, b) & distinct, room)
    found = _chosen(values, places, there, fill_value)
    if not flag("intersect1d", "return_indices", return_indices):
        return found
    in_a = where(there, _at(first, places), np.asarray(a.shape[0]))
    in_b = where(there, _first_in(b, found), np.asarray(b.shape[0]))
    return found, in_a, in_b


def setdiff1d(ar1: Any, ar2: Any, assume_unique: bool = False, *, size: int | None = None, fill_value: Any = None) -> Any:
    """The distinct elements of the first that the second has not, in ascending order. The rest of ``size`` is ``fill_value``
    (0)."""
    a, b = _both("setdiff1d", ar1, ar2)
    dtype = a.dtype if is_weak(ar1) else array("setdiff1d", "ar1", ar1).dtype
    room = _room("setdiff1d", size, {"ar1": a, "ar2": b})
    if room is None:
        return cast(_numpy(np.setdiff1d, a, b, assume_unique=flag("setdiff1d", "assume_unique", assume_unique)), dtype)
    return cast(_of_distinct(a, lambda values: ~isin(values, b), room, 0 if fill_value is None else fill_value), dtype)


def setxor1d(ar1: Any, ar2: Any, assume_unique: bool = False, *, size: int | None = None, fill_value: Any = None) -> Any:
    """The distinct elements that one of the two has and the other has not, in ascending order."""
    a, b = _both("setxor1d", ar1, ar2)
    room = _room("setxor1d", size, {"ar1": a, "ar2": b})
    if room is None:
        return _numpy(np.setxor1d, a, b, assume_unique=flag("setxor1d", "assume_unique", assume_unique))
    return _of_distinct(concatenate([a, b]), lambda values: isin(values, a) != isin(values, b), room, fill_value)


def _both(name: str, x: Any, y: Any) -> tuple[Any, Any]:
    a, b = promote(operand(name, "ar1", x), operand(name, "ar2", y))
    return _ravel(a), _ravel(b)


def _number_of_distinct(x: Any) -> Any:
    if not x.shape[0]:
        return np.asarray(0)
    return sum_over(cast(_Distinct(x, True, 0).first, np.int64))


def _of_distinct(x: Any, holds: Callable[[Any], Any], room: int, fill_value: Any) -> Any:
    """Those of the distinct elements for which something holds."""
    if not x.shape[0]:
        return bind("broadcast", _filler(fill_value, x), shape=(room,), dims=())
    values = unique(x, size=x.shape[0])
    distinct = np.arange(x.shape[0]) < _number_of_distinct(x)
    places, there = _places(holds(values) & distinct, room)
    return _chosen(values, places, there, fill_value)


def _at(row: Any, places: Any) -> Any:
    return bind("take", row, places, axis=0) if row.shape[0] else np.zeros(places.shape, row.dtype)


def _chosen(values: Any, places: Any, there: Any, fill_value: Any) -> Any:
    found = _at(values, places)
    if fill_value is None and found.shape[0]:
        return where(there, found, where(there[0], found[0], 0))
    return where(there, found, _filler(fill_value, found))


def _first_in(x: Any, values: Any) -> Any:
    """Where each of some values stands first in a row that has them."""
    if not x.shape[0]:
        return np.zeros(values.shape, np.int64)
    ordered, order = sort_rows([x], 0, order=True)
    return bind("take", order, searchsorted(ordered, values), axis=0)
