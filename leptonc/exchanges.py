"""Examples of ``vmap`` that hand values to each other along a named axis."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from leptonc import tree
from leptonc.arguments import array, flag, integers, listed
from leptonc.arguments import axis as axis_of
from leptonc.collectives import AxisName, all_gather, axis_index, axis_size, psum
from leptonc.errors import ArgumentError, ShapeError, op_error
from leptonc.public import publish
from leptonc.slicing import dynamic_index_in_dim, dynamic_slice_in_dim
from leptonc.trace import bind


def ppermute(x: Any, axis_name: AxisName, perm: Sequence[tuple[int, int]]) -> Any:
    """To each example the x of the one that ``perm``, pairs (from, to), names for it; zeros to those it does not name.

    ``x`` is a tree. Raises UnboundAxisError, or ArgumentError for places that are out of bounds or named twice.
    """
    size = axis_size(axis_name)
    pairs = [integers("ppermute", "perm", pair, count=2) for pair in listed("ppermute", "perm", perm)]
    froms, ends = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    if any(len(set(places)) != len(places) or not all(0 <= n < size for n in places) for places in (froms, ends)):
        raise op_error("ppermute", f"perm={pairs!r:.60} must name places below {size}, each once as a source and as a target", {},
                       kind=ArgumentError)
    sources = np.full(size, size, np.int64)  # behind the last example stand zeros
    sources[ends] = froms
    return tree.map(partial(_from_source, axis_name, sources), x)


def _from_source(axis_name: AxisName, sources: np.ndarray, x: Any) -> Any:
    found = all_gather(array("ppermute", "x", x), axis_name)
    one_more = tuple(int(d == 0) for d in range(len(found.shape)))
    none = (0,) * len(found.shape)
    padded = bind("pad", found, low=none, high=one_more, interior=none, value=False if found.dtype.kind == "b" else 0)
    place = dynamic_index_in_dim(sources, axis_index(axis_name), 0, keepdims=False)
    return dynamic_index_in_dim(padded, place, 0, keepdims=False)


def pshuffle(x: Any, axis_name: AxisName, perm: Sequence[int]) -> Any:
    """To each example the x of another: the one at place n gets that of ``perm[n]``, a permutation."""
    places = list(integers("pshuffle", "perm", perm))
    if sorted(places) != list(range(axis_size(axis_name))):
        raise op_error("pshuffle", f"perm={places!r:.60} must be a permutation of {axis_size(axis_name)} places", {},
                       kind=ArgumentError)
    return ppermute(x, axis_name, [(source, target) for target, source in enumerate(places)])


def all_to_all(x: Any, axis_name: AxisName, split_axis: int, concat_axis: int, *, axis_index_groups: Any = None,
               tiled: bool = False) -> Any:
    """Each example's x split along an axis, one part for each example, and what an example gets put together along another.

    Without ``tiled`` the axis that is split has as many places as there are examples, and goes; a new one is made. With it parts
    stand one behind the other. ``x`` is a tree. Raises UnboundAxisError, ShapeError or ArgumentError.
    """
    _no_groups("all_to_all", axis_index_groups)
    return tree.map(partial(_parts_of_all, axis_name, split_axis, concat_axis, flag("all_to_all", "tiled", tiled)), x)


def _no_groups(name: str, groups: Any) -> None:
    if groups is not None:
        raise op_error(name, "axis_index_groups are not supported", {}, "use two nested axes", ArgumentError)


def _parts_of_all(axis_name: AxisName, split_axis: int, concat_axis: int, tiled: bool, x: Any) -> Any:
    name, operand, size = "all_to_all", array("all_to_all", "x", x), axis_size(axis_name)
    at = axis_of(name, operand, split_axis)
    part = _part_size(name, operand, at, size, tiled)
    mine = dynamic_slice_in_dim(all_gather(operand, axis_name), axis_index(axis_name) * part, part, at + 1)
    if not tiled:
        mine = bind("reshape", mine, shape=(*mine.shape[:at + 1], *mine.shape[at + 2:]))
    to = axis_of(name, mine, concat_axis, len(mine.shape) - tiled)
    rest = list(range(1, len(mine.shape)))
    moved = bind("transpose", mine, perm=(*rest[:to], 0, *rest[to:]))
    if not tiled:
        return moved
    return bind("reshape", moved, shape=(*moved.shape[:to], prod(moved.shape[to:to + 2]), *moved.shape[to + 2:]))


def _part_size(name: str, x: Any, at: int, size: int, tiled: bool) -> int:
    """How many places of an axis each of ``size`` examples gets."""
    extent = x.shape[at]
    if extent % size if tiled else extent != size:
        raise op_error(name, f"axis {at} must have {'a multiple of ' * tiled}{size} places", {"x": x}, kind=ShapeError)
    return int(extent) // size


def pswapaxes(x: Any, axis_name: AxisName, axis: int, *, axis_index_groups: Any = None) -> Any:
    """A named axis and an axis of x, a tree, exchanged: they have equally many places."""
    return all_to_all(x, axis_name, axis, axis, axis_index_groups=axis_index_groups)


def psum_scatter(x: Any, axis_name: AxisName, *, scatter_dimension: int = 0, axis_index_groups: Any = None,
                 tiled: bool = False) -> Any:
    """The sum of x, a tree, over all examples, of which each gets its part along an axis: that axis goes, unless ``tiled``."""
    _no_groups("psum_scatter", axis_index_groups)
    return tree.map(partial(_part_of_sum, axis_name, scatter_dimension, flag("psum_scatter", "tiled", tiled)), x)


def _part_of_sum(axis_name: AxisName, dimension: int, tiled: bool, x: Any) -> Any:
    operand = array("psum_scatter", "x", x)
    at = axis_of("psum_scatter", operand, dimension)
    part = _part_size("psum_scatter", operand, at, axis_size(axis_name), tiled)
    total, place = psum(operand, axis_name), axis_index(axis_name)
    return dynamic_slice_in_dim(total, place * part, part, at) if tiled else dynamic_index_in_dim(total, place, at, keepdims=False)


__all__ = ["all_to_all", "ppermute", "pshuffle", "psum_scatter", "pswapaxes"]

publish(globals(), __all__)
