"""Sums, extremes and gathers over a named axis of ``vmap``, and an example's place on it.

An axis's name is known while the function that ``vmap`` was given is traced. The examples' places are a traced value like any
other; sums and gathers are ops that batching along the axis turns into reductions (``ops/collective.py``).
"""

from __future__ import annotations

import contextvars
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np

from leptonc import tree
from leptonc.arguments import array, flag
from leptonc.arguments import axis as axis_of
from leptonc.errors import ArgumentError, UnboundAxisError, near_names
from leptonc.promotion import is_weak
from leptonc.trace import Tracer, bind, cast

AxisName = str | Sequence[str]


@dataclass(frozen=True)
class NamedAxis:
    """An axis that functions are mapped over; ``index`` is an example's place on it, i32, ``key`` what ops call it."""

    key: str
    size: int
    index: Tracer

    @property
    def attrs(self) -> dict[str, Any]:
        return {"axis_name": self.key, "axis_size": self.size}


_axes: contextvars.ContextVar[dict[str, NamedAxis]] = contextvars.ContextVar("axes", default={})  # noqa: B039 (never written to)


def key_of(name: str) -> str:
    """What ops call an axis that is about to get a name: another one than those around it, whose ops may be used inside."""
    taken = {axis.key for axis in _axes.get().values()}
    while name in taken:
        name += "'"
    return name


def name_axis(name: str, axis: NamedAxis) -> None:
    """Make an axis known by its name, in the context of the trace that runs."""
    _axes.set({**_axes.get(), name: axis})


def _named(function: str, axis_name: Any) -> list[NamedAxis]:
    """The axes of a name or of a tuple of names."""
    names = tuple(axis_name) if isinstance(axis_name, tuple | list) else (axis_name,)
    known = _axes.get()
    for name in names:
        if not isinstance(name, str):
            raise ArgumentError(f"{function}: axis_name={axis_name!r:.60} must name an axis, or be a tuple of names")
        if name not in known:
            hint = near_names(name, known) or (f"the axes here are {', '.join(map(repr, known))}" if known else "no axis has one")
            raise UnboundAxisError(f"{function}: unbound axis name {name!r}; {hint}; fix: leptonc.vmap(f, axis_name={name!r})")
    return [known[name] for name in names]


def _leaf(function: str, x: Any) -> Any:
    """An operand: bools are counted, as i32."""
    found = array(function, "x", x)
    return cast(found, np.int32) if found.dtype.kind == "b" else found


def _no_groups(name: str, groups: Any) -> None:
    """Raises ArgumentError for groups of examples: all of them are one."""
    if groups is not None:
        raise ArgumentError(f"{name}: axis_index_groups is not supported; fix: two axes, one of the groups, and leptonc.vmap twice")


def psum(x: Any, axis_name: AxisName, *, axis_index_groups: None = None) -> Any:
    """The sum of x, a tree, over all examples of a named axis (or of several: a tuple). Bools are counted.

    What is the same for all examples counts once for each: ``psum(1, name)`` is the int ``axis_size(name)``. The cotangent of an
    example's x is the psum of the cotangents. Raises UnboundAxisError unless a ``vmap`` around names the axis.
    """
    _no_groups("psum", axis_index_groups)
    axes = _named("psum", axis_name)
    return tree.map(partial(_summed, axes), x)


def _summed(axes: list[NamedAxis], x: Any) -> Any:
    if is_weak(x) and not isinstance(x, Tracer):
        return x * prod(axis.size for axis in axes)
    found = _leaf("psum", x)
    for axis in axes:
        found = bind("psum", found, **axis.attrs)
    return found


def pmean(x: Any, axis_name: AxisName, *, axis_index_groups: None = None) -> Any:
    """The mean of x, a tree, over all examples of a named axis (or of several); of ints a float. Errors are those of ``psum``."""
    _no_groups("pmean", axis_index_groups)
    size = prod(axis.size for axis in _named("pmean", axis_name))
    return tree.map(lambda total: total / size, psum(x, axis_name))


def pmax(x: Any, axis_name: AxisName, *, axis_index_groups: None = None) -> Any:
    """The greatest x of all examples, element by element of a tree. Its gradient is shared equally among equal extremes."""
    _no_groups("pmax", axis_index_groups)
    return _extreme("pmax", x, axis_name)


def pmin(x: Any, axis_name: AxisName, *, axis_index_groups: None = None) -> Any:
    """The least x of all examples, element by element of a tree. Its gradient is shared equally among equal extremes."""
    _no_groups("pmin", axis_index_groups)
    return _extreme("pmin", x, axis_name)


def _extreme(name: str, x: Any, axis_name: AxisName) -> Any:
    axes = _named(name, axis_name)

    def extreme(leaf: Any) -> Any:
        found = leaf if is_weak(leaf) and not isinstance(leaf, Tracer) else array(name, "x", leaf)
        for axis in axes if isinstance(found, Tracer) else ():
            found = bind(name, found, **axis.attrs)
        return found

    return tree.map(extreme, x)


def all_gather(x: Any, axis_name: AxisName, *, axis_index_groups: None = None, axis: int = 0, tiled: bool = False) -> Any:
    """The x of all examples, leaf by leaf of a tree, along a new ``axis`` of the result; ``tiled``: one behind the other along an
    axis that x has. Several named axes are one, the last name's counting fastest. Raises UnboundAxisError or ShapeError.
    """
    _no_groups("all_gather", axis_index_groups)
    axes, joined = _named("all_gather", axis_name), flag("all_gather", "tiled", tiled)
    return tree.map(lambda leaf: _gathered(axes, array("all_gather", "x", leaf), axis, joined), x)


def _gathered(axes: list[NamedAxis], x: Any, at: int, tiled: bool) -> Any:
    place = axis_of("all_gather", x, at, len(x.shape) + (not tiled))
    extents = x.shape[place:place + 1] if tiled else ()
    before, behind = x.shape[:place], x.shape[place + len(extents):]
    for axis in reversed(axes):
        x = bind("all_gather", x, axis.index, axis=place, **axis.attrs)
    count = prod(axis.size for axis in axes)
    return bind("reshape", x, shape=(*before, count * prod(extents), *behind))


def axis_index(axis_name: AxisName) -> Any:
    """The example's place on a named axis, i32; on several, the last name's counting fastest, on none 0."""
    axes = _named("axis_index", axis_name)
    found: Any = axes[0].index if axes else np.zeros((), np.int32)
    for axis in axes[1:]:
        found = found * np.int32(axis.size) + axis.index
    return found


def axis_size(axis_name: AxisName) -> int:
    """How many examples lie along a named axis, or along several in all: an int that is known."""
    return prod(axis.size for axis in _named("axis_size", axis_name))


__all__ = ["all_gather", "axis_index", "axis_size", "pmax", "pmean", "pmin", "psum"]
