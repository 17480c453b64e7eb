"""Elements along one axis, at places of their own in each row."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.arguments import array, flag, kinds_in, number
from leptonc.arguments import axis as axis_of
from leptonc.arithmetic import add, less
from leptonc.bfloat16 import kind_of
from leptonc.errors import ArgumentError, DtypeError, op_error
from leptonc.promotion import attribute_of
from leptonc.trace import bind, broadcast, cast

MODES = {"fill": "drop", "drop": "drop", "clip": "clip", "promise_in_bounds": "clip"}


def from_start(index: Any, n: int) -> Any:
    """Indices in i64, of which negative ones count from the end."""
    wide = cast(index, np.int64)
    return bind("select", less(wide, 0), add(wide, n), wide)


def mode_of(name: str, mode: Any, default: str) -> str:
    """The mode of gather and scatter. Raises ArgumentError for one that is none."""
    word = default if mode is None else MODES.get(mode) if isinstance(mode, str) else None
    if word is None:
        raise op_error(name, f"mode={mode!r} must be one of {', '.join(map(repr, MODES))}", {}, kind=ArgumentError)
    return word


def fill_of(name: str, dtype: np.dtype, value: Any) -> Any:
    """What is read out of range: NaN, the least signed int, the greatest unsigned one, True, if nothing else is asked for."""
    if value is not None:
        return attribute_of(cast(number(name, "fill_value", value, kinds=kinds_in(dtype)), dtype))
    kind = kind_of(dtype)
    if kind in "fcb":
        return True if kind == "b" else float("nan")
    return int(np.iinfo(dtype).min if kind == "i" else np.iinfo(dtype).max)


def _rows(name: str, x: Any, indices: Any, axis: int, wrap: bool = True) -> tuple[Any, Any, dict[str, Any]]:
    """Both stretched to each other off the axis, and how gather and scatter go through them."""
    index = array(name, "indices", indices)
    operands = {"arr": x, "indices": index}
    if index.dtype.kind not in "iu":
        raise op_error(name, "indices must be ints", operands, kind=DtypeError)
    if len(index.shape) != len(x.shape):
        raise op_error(name, f"indices must have {len(x.shape)} axes, as arr has", operands)
    pairs = list(zip(x.shape, index.shape))
    if any(n != m and 1 not in (n, m) for d, (n, m) in enumerate(pairs) if d != axis):
        raise op_error(name, "arr and indices do not broadcast together off the axis", operands)
    common = [n if m == 1 else m for n, m in pairs]
    wide, places = (broadcast(of, tuple(of.shape[d] if d == axis else n for d, n in enumerate(common))) for of in (x, index))
    others = tuple(d for d in range(len(common)) if d != axis)
    layout = {"window_dims": (), "inserted": (axis,), "index_dims": (axis,), "batch_dims": others, "index_batch_dims": others}
    places = from_start(places, x.shape[axis]) if wrap else cast(places, np.int64)
    return wide, bind("reshape", places, shape=(*places.shape, 1)), layout


def take_along_axis(arr: Any, indices: Any, axis: int | None = -1, mode: Any = None, fill_value: Any = None, *,
                    wrap_negative_indices: bool | None = None) -> Any:
    """Of each row of ``arr`` along the axis (None: of all elements in one row) the elements at its own ``indices``.

    Negative indices count from the end, unless ``wrap_negative_indices`` is False: they are outside then. ``mode``: "clip" (the
    default: what is still outside reads the nearest end), "fill" (it reads ``fill_value``, else NaN, the least signed int, the
    greatest unsigned one or True) or "promise_in_bounds".
    """
    x = array("take_along_axis", "arr", arr)
    if axis is None:
        x, axis = bind("reshape", x, shape=(int(np.prod(x.shape, dtype=np.int64)),)), 0
    wrap = wrap_negative_indices is None or flag("take_along_axis", "wrap_negative_indices", wrap_negative_indices)
    wide, places, layout = _rows("take_along_axis", x, indices, axis_of("take_along_axis", x, axis), wrap)
    how = mode_of("take_along_axis", mode, "clip" if fill_value is None else "drop")
    sizes = (1,) * len(wide.shape)
    at = layout["index_dims"][0]
    if not wide.shape[at] and 0 not in places.shape:
        raise op_error("take_along_axis", f"axis {at} is empty", {"arr": x, "indices": places})
    if not wide.shape[at]:
        return np.zeros(places.shape[:-1], x.dtype)
    return bind("gather", wide, places, **layout, sizes=sizes, mode=how,
                fill=fill_of("take_along_axis", x.dtype, fill_value) if how == "drop" else 0)


def put_along_axis(arr: Any, indices: Any, values: Any, axis: int | None, inplace: bool = False, *, mode: Any = None) -> Any:
    """A copy of ``arr`` with ``values``, which stretch to the indices, at each row's own ``indices``; of several at one place the
    last stays. ``mode``: "drop" (the default) or "clip". Raises ArgumentError for ``inplace=True``: arrays are not changed."""
    x = array("put_along_axis", "arr", arr)
    if flag("put_along_axis", "inplace", inplace):
        raise op_error("put_along_axis", "arrays are not changed in place", {"arr": x}, "x = put_along_axis(x, ..., inplace=False)",
                       ArgumentError)
    flat = x if axis is not None else bind("reshape", x, shape=(int(np.prod(x.shape, dtype=np.int64)),))
    wide, places, layout = _rows("put_along_axis", flat, indices, axis_of("put_along_axis", flat, 0 if axis is None else axis))
    if wide.shape != flat.shape:
        raise op_error("put_along_axis", "indices are longer than arr off the axis", {"arr": x, "indices": indices})
    new = broadcast(cast(array("put_along_axis", "values", values), x.dtype), places.shape[:-1])
    out = bind("scatter", wide, places, new, **layout, mode=mode_of("put_along_axis", mode, "drop"), unique=False)
    return out if axis is not None else bind("reshape", out, shape=x.shape)


__all__ = ["put_along_axis", "take_along_axis"]
