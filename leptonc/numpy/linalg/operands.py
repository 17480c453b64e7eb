"""What functions of matrices take: floats, in stacks."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.arguments import array
from leptonc.errors import ShapeError, op_error
from leptonc.numpy.elementwise import as_float
from leptonc.trace import bind, broadcast, promote


def matrices(name: str, value: Any, what: str = "x", square: bool = False) -> Any:
    """``value`` as a stack [..., m, n] of floats or complex numbers. Raises ShapeError."""
    x = as_float(array(name, what, value))
    if len(x.shape) < 2 or (square and x.shape[-1] != x.shape[-2]):
        wanted = "[..., n, n]" if square else "[..., m, n]"
        raise op_error(name, f"{what} must be {wanted}", {what: x}, kind=ShapeError)
    return x


def in_one_dtype(name: str, a: Any, b: Any, names: tuple[str, str] = ("a", "b")) -> tuple[Any, Any]:
    """Both as floats of their common dtype."""
    x, y = promote(as_float(array(name, names[0], a)), as_float(array(name, names[1], b)))
    return x, y


def same_stack(name: str, a: Any, b: Any) -> tuple[Any, Any]:
    """Two stacks of matrices, their leading axes broadcast. Raises ShapeError if these do not fit."""
    try:
        lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise op_error(name, "leading axes do not broadcast together", {"a": a, "b": b}) from None
    return broadcast(a, (*lead, *a.shape[-2:])), broadcast(b, (*lead, *b.shape[-2:]))


def transposed(x: Any) -> Any:
    """The matrices transposed."""
    rank = len(x.shape)
    return bind("transpose", x, perm=(*range(rank - 2), rank - 1, rank - 2))


def conjugated(x: Any) -> Any:
    return bind("conj", x) if x.dtype.kind == "c" else x


def adjoint(x: Any) -> Any:
    """The matrices transposed, and of complex ones the conjugates."""
    return conjugated(transposed(x))


def reshaped(x: Any, shape: tuple[int, ...]) -> Any:
    return x if tuple(x.shape) == shape else bind("reshape", x, shape=shape)


def in_reals(x: Any) -> Any:
    """Complex matrices A + i B [..., m, n] as the real ones [[A, -B], [B, A]], whose products, inverses and singular values (twice
    each) are theirs."""
    re, im = bind("real", x), bind("imag", x)
    rank = len(x.shape)
    upper, lower = (bind("concatenate", *pair, axis=rank - 1) for pair in ((re, bind("neg", im)), (im, re)))
    return bind("concatenate", upper, lower, axis=rank - 2)


def out_of_reals(x: Any) -> Any:
    """The complex matrices that real ones stand for."""
    m, n = x.shape[-2] // 2, x.shape[-1] // 2
    return bind("complex", cropped(x, (0, 0), (m, n)), cropped(x, (m, 0), (m, n)))


def cropped(x: Any, start: tuple[int, int], size: tuple[int, int]) -> Any:
    """A part of each matrix."""
    rank = len(x.shape)
    return bind("slice", x, start=(*(0,) * (rank - 2), *start), size=(*x.shape[:-2], *size), step=(1,) * rank)


def masked(x: Any, lower: bool, offset: int = 0) -> Any:
    """The lower or upper triangle of each matrix, zeros elsewhere."""
    m, n = x.shape[-2:]
    mask = np.tri(m, n, offset, dtype=bool) if lower else ~np.tri(m, n, offset - 1, dtype=bool)
    zero = np.zeros((), x.dtype)
    return bind("select", broadcast(mask, tuple(x.shape)), x, broadcast(zero, tuple(x.shape)))


def identity(n: int, dtype: Any, lead: tuple[int, ...] = ()) -> Any:
    """[*lead, n, n]."""
    return broadcast(np.eye(n, dtype=dtype), (*lead, n, n))
