"""Making tensors: of one value, of numbers in a row, and of masks and windows that are known by their size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras.src.backend.common.dtypes import result_type
from keras.src.backend.config import floatx

from leptonc import numpy as lnp
from leptonc.keras.src.ops.elementwise import known
from leptonc.keras.src.ops.tensors import convert_to_tensor, dtype_name, operand, promoted, weak_or_dtype


def extents(shape: Any) -> tuple[int, ...]:
    """A shape as ints; an int is one extent."""
    return tuple(int(n) for n in (shape if isinstance(shape, list | tuple) else np.atleast_1d(known(shape, "reshape"))))


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    return lnp.full(extents(shape), convert_to_tensor(fill_value, dtype or floatx()))


def zeros(shape: Any, dtype: Any = None) -> Any:
    return full(shape, 0, dtype)


def ones(shape: Any, dtype: Any = None) -> Any:
    return full(shape, 1, dtype)


def empty(shape: Any, dtype: Any = None) -> Any:
    return full(shape, 0, dtype)


def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Any:
    x = convert_to_tensor(x)
    return lnp.full_like(x, convert_to_tensor(fill_value, dtype or x.dtype))


def zeros_like(x: Any, dtype: Any = None) -> Any:
    return full_like(x, 0, dtype)


def ones_like(x: Any, dtype: Any = None) -> Any:
    return full_like(x, 1, dtype)


def empty_like(x: Any, dtype: Any = None) -> Any:
    return full_like(x, 0, dtype)


def array(x: Any, dtype: Any = None) -> Any:
    return convert_to_tensor(x, dtype)


def copy(x: Any) -> Any:
    return lnp.array(convert_to_tensor(x))


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Any:
    """Numbers in a row; the bounds must be known."""
    bounds = [operand(bound) for bound in (start, stop, step) if bound is not None]
    kind = dtype_name(dtype or result_type(*map(weak_or_dtype, bounds)))
    first, last = (0, start) if stop is None else (start, stop)
    given = (first, last, 1 if step is None else step)  # Python's floats stay f64, or 0.1 to 1.1 by 0.1 has 11 elements
    numbers = [bound if isinstance(bound, int | float) else known(bound, "arange").item() for bound in given]
    return convert_to_tensor(lnp.arange(*numbers), kind)


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    return lnp.eye(N, N if M is None else M, k, dtype_name(dtype or floatx()))


def identity(n: int, dtype: Any = None) -> Any:
    return eye(n, dtype=dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    """Ones on and below the k-th diagonal."""
    return convert_to_tensor(np.tri(N, M, k, bool), dtype or floatx())


def _triangle(x: Any, kept: Callable[[int, int], Any]) -> Any:
    x = convert_to_tensor(x)
    return lnp.where(kept(*x.shape[-2:]), x, lnp.zeros((), x.dtype))


def tril(x: Any, k: int = 0) -> Any:
    return _triangle(x, lambda rows, columns: np.tri(rows, columns, k, bool))


def triu(x: Any, k: int = 0) -> Any:
    return _triangle(x, lambda rows, columns: ~np.tri(rows, columns, k - 1, bool))


def linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None,
             axis: int = 0) -> Any:
    """``num`` numbers at equal distances from start to stop, which may be tensors, along a new axis."""
    first, last = promoted(start, stop, also=float)
    intervals = num - 1 if endpoint else num
    step = lnp.divide(lnp.subtract(last, first), intervals if intervals > 0 else float("nan"))
    spread = lnp.multiply(_row(num, first, last), step if intervals > 0 else lnp.subtract(last, first))
    found = lnp.add(first, spread)
    if endpoint and num > 1:
        found = lnp.concatenate([found[:-1], lnp.broadcast_to(last, (1, *found.shape[1:]))])
    found = lnp.moveaxis(found, 0, axis)
    if dtype is not None:
        found = convert_to_tensor(lnp.floor(found) if "int" in dtype_name(dtype) else found, dtype)
    return (found, step) if retstep else found


def _row(num: int, first: Any, last: Any) -> Any:
    """0, 1, 2 ... along an axis in front of those of the bounds."""
    rank = len(np.broadcast_shapes(first.shape, last.shape))
    return np.arange(num).reshape(-1, *(1,) * rank).astype(first.dtype)


def logspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10, dtype: Any = None, axis: int = 0) -> Any:
    """base ** linspace(start, stop)."""
    exponents = linspace(start, stop, num, endpoint, axis=axis)
    found = lnp.power(convert_to_tensor(base, exponents.dtype), exponents)
    return found if dtype is None else convert_to_tensor(found, dtype)


def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    """Numbers at equal ratios from start to stop, which have one sign."""
    first, last = promoted(start, stop, also=float)
    sign = lnp.sign(first)
    found = lnp.power(10.0, linspace(lnp.log10(lnp.absolute(first)), lnp.log10(lnp.absolute(last)), num, endpoint))
    if num:
        found = lnp.concatenate([lnp.broadcast_to(lnp.absolute(first), (1, *found.shape[1:])), found[1:]])
    if endpoint and num > 1:
        found = lnp.concatenate([found[:-1], lnp.broadcast_to(lnp.absolute(last), (1, *found.shape[1:]))])
    found = lnp.moveaxis(lnp.multiply(sign, found), 0, axis)
    return found if dtype is None else convert_to_tensor(found, dtype)


def meshgrid(*x: Any, indexing: str = "xy") -> list[Any]:
    """Each 1-D tensor stretched over the grid of all of them."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"`indexing` must be 'xy' or 'ij'. Received: indexing={indexing}")
    rows = [lnp.ravel(convert_to_tensor(row)) for row in x]
    places = list(range(len(rows)))
    if indexing == "xy" and len(rows) > 1:
        places[:2] = [1, 0]
    shape = [0] * len(rows)
    for place, row in zip(places, rows):
        shape[place] = row.shape[0]
    return [lnp.broadcast_to(lnp.reshape(row, [-1 if d == place else 1 for d in range(len(rows))]), shape)
            for place, row in zip(places, rows)]


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """Powers of x as columns."""
    x = convert_to_tensor(x)
    count = x.shape[0] if N is None else N
    floats = lnp.astype(x, dtype_name(result_type(x.dtype.name, floatx())))
    powers = np.arange(count) if increasing else np.arange(count)[::-1]
    return lnp.astype(lnp.power(floats[:, None], powers.astype(floats.dtype)), x.dtype)


def _window(name: str) -> Callable[[Any], Any]:
    def window(x: Any) -> Any:
        return convert_to_tensor(getattr(np, name)(known(x, name).item()), floatx())

    window.__name__ = window.__qualname__ = name
    window.__doc__ = f"NumPy's {name} window of x points, which must be known."
    return window


bartlett, blackman, hamming, hanning = map(_window, ("bartlett", "blackman", "hamming", "hanning"))


def kaiser(x: Any, beta: Any) -> Any:
    """NumPy's kaiser window of x points, which must be known, as must beta."""
    return convert_to_tensor(np.kaiser(known(x, "kaiser").item(), known(beta, "kaiser").item()), floatx())


__all__ = [
    "arange", "array", "bartlett", "blackman", "copy", "empty", "empty_like", "eye", "full", "full_like", "geomspace",
    "hamming", "hanning", "identity", "kaiser", "linspace", "logspace", "meshgrid", "ones", "ones_like", "tri", "tril", "triu",
    "vander", "zeros", "zeros_like",
]
