"""Methods of NumPy's binary universal functions: ``lnp.add.reduce``, ``lnp.maximum.accumulate``, ``lnp.add.at`` and their like.

They stand on the functions as attributes, which take the reductions' names for granted: ``add.reduce`` is ``sum`` along an axis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from leptonc.arguments import array, flag, integer, no_out
from leptonc.arguments import axis as axis_of
from leptonc.arithmetic import add, multiply
from leptonc.errors import ArgumentError, op_error
from leptonc.numpy import reductions
from leptonc.numpy.cumulative import cumprod, cumsum, lax_cumulative
from leptonc.numpy.elementwise import as_bool, logical_and, logical_or, maximum, minimum
from leptonc.numpy.manipulation import concatenate, moveaxis, reshape
from leptonc.operators import installed
from leptonc.public import public
from leptonc.trace import cast


class Fold(NamedTuple):
    """What a function of two numbers does to many: the reduction, the one up to each place, and the update of ``x.at``."""

    function: Callable[..., Any]
    reduce: Callable[..., Any]
    accumulate: Callable[..., Any]
    update: str


def _extremes(name: str) -> Callable[..., Any]:
    return lambda x, axis, dtype: lax_cumulative(name, x if dtype is None else cast(x, dtype), axis, False)


def _logical(name: str) -> Callable[..., Any]:
    return lambda x, axis, dtype: lax_cumulative(name, as_bool(x), axis, False)


FOLDS = {
    "add": Fold(add, reductions.sum, cumsum, "add"), "multiply": Fold(multiply, reductions.prod, cumprod, "multiply"),
    "maximum": Fold(maximum, reductions.max, _extremes("cummax"), "max"),
    "minimum": Fold(minimum, reductions.min, _extremes("cummin"), "min"),
    "logical_and": Fold(logical_and, reductions.all, _logical("cummin"), "min"),
    "logical_or": Fold(logical_or, reductions.any, _logical("cummax"), "max"),
}


def _reduce(name: str, fold: Fold) -> Callable[..., Any]:
    def reduce(a: Any, axis: Any = 0, dtype: Any = None, out: None = None, keepdims: bool = False, initial: Any = None,
               where: Any = None) -> Any:
        no_out(f"{name}.reduce", out)
        x = array(f"{name}.reduce", "a", a)
        options: dict[str, Any] = {"keepdims": keepdims, "where": where}
        if name not in ("logical_and", "logical_or"):
            x = x if dtype is None else cast(x, dtype)
            options["initial"] = initial
        return fold.reduce(x, axis, **options)

    return reduce


def _accumulate(name: str, fold: Fold) -> Callable[..., Any]:
    def accumulate(a: Any, axis: int = 0, dtype: Any = None, out: None = None) -> Any:
        no_out(f"{name}.accumulate", out)
        x = array(f"{name}.accumulate", "a", a)
        return fold.accumulate(x, axis_of(f"{name}.accumulate", x, axis), dtype)

    return accumulate


def _at(name: str, fold: Fold) -> Callable[..., Any]:
    def at(a: Any, indices: Any, b: Any, *, inplace: bool = True) -> Any:
        if flag(f"{name}.at", "inplace", inplace):
            raise op_error(f"{name}.at", "changes no array in place", {}, f"x = {name}.at(x, ..., inplace=False)", ArgumentError)
        x = array(f"{name}.at", "a", a)
        value = b
        if name.startswith("logical"):
            x, value = as_bool(x), as_bool(b)
        return getattr(installed("at")(x)[indices], fold.update)(value)

    return at


def _reduceat(name: str, fold: Fold) -> Callable[..., Any]:
    reduced = _reduce(name, fold)

    def reduceat(a: Any, indices: Any, axis: int = 0, dtype: Any = None, out: None = None) -> Any:
        called = f"{name}.reduceat"
        no_out(called, out)
        x = array(called, "a", a)
        at = axis_of(called, x, axis)
        rows = moveaxis(x, at, 0)
        places = [integer(called, "indices", n, least=0, most=rows.shape[0] - 1) for n in np.asarray(indices).tolist()]
        ends = [*places[1:], rows.shape[0]]
        return moveaxis(concatenate([reduced(rows[i:max(j, i + 1)], 0, dtype, keepdims=True) for i, j in zip(places, ends)]), 0, at)

    return reduceat


def _outer(name: str, fold: Fold) -> Callable[..., Any]:
    def outer(a: Any, b: Any) -> Any:
        x, y = array(f"{name}.outer", "a", a), array(f"{name}.outer", "b", b)
        return fold.function(reshape(x, (*x.shape, *(1,) * len(y.shape))), y)

    return outer


def give_methods() -> None:
    """Let the functions have their methods."""
    docs = {
        "reduce": (_reduce, "The array folded along an axis (None: all, or several)."),
        "accumulate": (_accumulate, "The array folded along an axis up to each place."),
        "at": (_at, "A copy of ``a`` with ``b`` joined to the elements at ``indices``, where positions repeat all of them; "
                    "``inplace`` must be False."),
        "reduceat": (_reduceat, "The array folded along an axis from each of known ``indices`` to the next, or that one alone if "
                                "the next is not behind it."),
        "outer": (_outer, "The function of every element of a with every one of b: a's axes, then b's."),
    }
    for name, fold in FOLDS.items():
        for method, (make, doc) in docs.items():
            found = make(name, fold)
            found.__name__, found.__doc__ = method, doc
            setattr(fold.function, method, public(found, f"{name}.{method}"))

