"""Complex numbers in order, as NumPy has it: by real parts, equal ones by imaginary parts; in ops on the parts.

A comparison with a NaN in an imaginary part is False, unless it is one of real parts that are equal; an extreme is NaN where a
number is.
"""

from __future__ import annotations

import numpy as np

from leptonc.ir.op import get_op
from leptonc.ir.pair import Pair
from leptonc.ir.types import TensorType, i64
from leptonc.ir.value import Value
from leptonc.ops import pairs


def _op(name: str, *operands: Value, **attrs: object) -> Value:
    return get_op(name)(*operands, **attrs)


def _choose(condition: Value, a: Value, b: Value | float) -> Value:
    return _op("select", condition, a, b if isinstance(b, Value) else a.builder.full(a.type, b))


def compared(name: str, a: Pair, b: Pair) -> Value:
    """``lt``, ``le``, ``gt`` or ``ge``."""
    unknown = _op("or", _op("isnan", a.im), _op("isnan", b.im))
    first = _op("and", _op(name[0] + "t", a.re, b.re), _op("not", unknown))
    return _op("or", first, _op("and", _op("eq", a.re, b.re), _op(name, a.im, b.im)))


def extreme(name: str, a: Pair, b: Pair) -> Pair:
    """``max`` or ``min``; of two NaN the first."""
    mine = _op("or", compared("ge" if name == "max" else "le", a, b), pairs.isnan(a))
    return Pair(_choose(mine, a.re, b.re), _choose(mine, a.im, b.im))


def extreme_over(name: str, z: Pair, axes: tuple[int, ...]) -> Pair:
    """``max`` or ``min`` over axes: the element itself, the first NaN if there are any."""
    kept = tuple(d for d in range(z.re.type.rank) if d not in axes)
    rows = tuple(z.re.shape[d] for d in kept)
    many = int(np.prod([z.re.shape[d] for d in axes], dtype=np.int64))
    if not many:
        return Pair(*(z.re.builder.full(TensorType(rows, z.re.dtype), 0) for _ in range(2)))
    shape = (int(np.prod(rows, dtype=np.int64)), many)
    flat = Pair(*(_op("reshape", _op("transpose", x, perm=(*kept, *axes)), shape=shape) for x in z))
    place = place_over(name, flat, 1)
    places = place.builder.emit("iota", (), {"shape": shape, "axis": 1, "dtype": i64})
    here = _op("eq", places, _stretched(place, flat.re, 1))
    return Pair(*(_op("reshape", _op("reduce_max", _choose(here, x, -np.inf), axes=(1,)), shape=rows) for x in flat))


def place_over(name: str, z: Pair, axis: int) -> Value:
    """Where the first extreme along an axis is, or the first NaN."""
    lost = -np.inf if name == "max" else np.inf
    nan = pairs.isnan(z)
    number = _op("not", nan)

    def best(among: Value, part: Value) -> Value:
        """Those of them whose part is extreme."""
        most = _op(f"reduce_{name}", _choose(among, part, lost), axes=(axis,))
        return _op("and", among, _op("eq", part, _stretched(most, part, axis)))

    found = best(best(number, z.re), z.im)
    broken = _stretched(_op("any", nan, axes=(axis,)), nan, axis)
    return _op("argmax", _op("or", nan, _op("and", found, _op("not", broken))), axis=axis)


def _stretched(x: Value, like: Value, axis: int) -> Value:
    return _op("broadcast", x, shape=like.shape, dims=tuple(d for d in range(like.type.rank) if d != axis))
