"""JAX's ``scipy.ndimage``: an array read at places between its elements."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from leptonc import elementary
from leptonc import numpy as lnp
from leptonc.arguments import array, arrays, choice, integer
from leptonc.errors import DtypeError, op_error
from leptonc.public import publish

Neighbour = tuple[Any, Any, Any]  # its index, its weight, and whether it is there


def map_coordinates(input: Any, coordinates: Any, order: int, mode: str = "constant", cval: Any = 0.0) -> Any:
    """``input`` at ``coordinates``, a list of arrays of one shape, one for each axis; in input's dtype.

    ``order`` 0 takes the nearest element, 1 is linear between neighbours. Beyond the ends there are ``cval`` ("constant"), the last
    element ("nearest"), or the array over again ("wrap"), or mirrored at ("mirror") or behind ("reflect") its last element: SciPy's
    "grid-constant" and "grid-wrap" as JAX has them.
    """
    name, x = "map_coordinates", lnp.asarray(array("map_coordinates", "input", input))  # known or not, read at traced places
    places = arrays(name, "coordinates", coordinates)
    integer(name, "order", order, {"input": x}, least=0, most=1)
    choice(name, "mode", mode, MODES, {"input": x})
    if len(places) != len(x.shape):
        raise op_error(name, f"{len(places)} coordinates for an array of {len(x.shape)} axes", {"input": x})
    if any(place.dtype.kind in "bc" for place in places):
        raise op_error(name, "coordinates must be real numbers", {"input": x, "coordinates": places[0]}, kind=DtypeError)
    along = [(_nearest, _between)[order](place, extent, mode) for place, extent in zip(places, x.shape)]
    total = functools.reduce(lnp.add, [_corner(x, corner, cval) for corner in itertools.product(*along)])
    return lnp.astype(elementary.round(total) if x.dtype.kind in "iub" else total, x.dtype)


def _corner(x: Any, corner: tuple[Neighbour, ...], cval: Any) -> Any:
    """What the elements at one corner around each place add to it."""
    indices, weights, there = zip(*corner)
    inside = functools.reduce(lnp.logical_and, there)
    return lnp.multiply(functools.reduce(lnp.multiply, weights), lnp.where(inside, x[indices], lnp.asarray(cval, x.dtype)))


def _nearest(place: Any, extent: int, mode: str) -> list[Neighbour]:
    return [_neighbour(elementary.round(place), lnp.ones_like(place), extent, mode)]


def _between(place: Any, extent: int, mode: str) -> list[Neighbour]:
    low = lnp.floor(place)
    share = lnp.subtract(place, low)
    return [_neighbour(low, lnp.subtract(1, share), extent, mode), _neighbour(lnp.add(low, 1), share, extent, mode)]


def _neighbour(whole: Any, weight: Any, extent: int, mode: str) -> Neighbour:
    index = lnp.astype(whole, np.int32)
    inside = lnp.logical_and(lnp.greater_equal(index, 0), lnp.less(index, extent))
    return MODES[mode](index, extent), weight, inside if mode == "constant" else True


def _clipped(index: Any, extent: int) -> Any:
    return lnp.clip(index, 0, extent - 1)


def _mirrored(index: Any, extent: int) -> Any:
    turn = max(2 * extent - 2, 1)
    around = lnp.remainder(index, turn)
    return lnp.minimum(around, lnp.subtract(turn, around)) if extent > 1 else around


def _reflected(index: Any, extent: int) -> Any:
    around = lnp.remainder(index, 2 * extent)
    return lnp.minimum(around, lnp.subtract(2 * extent - 1, around))


MODES: dict[str, Callable[[Any, int], Any]] = {
    "constant": _clipped, "nearest": _clipped, "wrap": lnp.remainder, "mirror": _mirrored, "reflect": _reflected}

__all__ = ["map_coordinates"]

publish(globals(), __all__)
