"""Products of matrices and vectors, and sums of products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.bfloat16 import kind_of
from leptonc.keras.src.ops.tensors import as_float, convert_to_tensor, promoted
from leptonc.numpy import linalg


def _product(function: Callable[..., Any], *xs: Any, **settings: Any) -> Any:
    """``function`` of tensors in their common dtype; of bools: whether any product is true."""
    found = promoted(*map(convert_to_tensor, xs))
    if found[0].dtype.kind != "b":
        return function(*found, **settings)
    return lnp.not_equal(function(*(lnp.astype(x, "int32") for x in found), **settings), 0)


def _summed_wide(xs: list[Any]) -> list[Any]:
    """Operands that are all int8 as int32: sums of quantized products are of that dtype."""
    return [lnp.astype(x, "int32") for x in xs] if all(x.dtype == np.int8 for x in xs) else xs


def matmul(x1: Any, x2: Any) -> Any:
    return _product(lnp.matmul, *_summed_wide([convert_to_tensor(x1), convert_to_tensor(x2)]))


def dot(x1: Any, x2: Any) -> Any:
    return _product(lnp.dot, x1, x2)


def vdot(x1: Any, x2: Any) -> Any:
    return _product(lnp.vdot, x1, x2)


def outer(x1: Any, x2: Any) -> Any:
    return _product(lnp.outer, x1, x2)


def tensordot(x1: Any, x2: Any, axes: Any = 2) -> Any:
    return _product(lnp.tensordot, x1, x2, axes=axes)


def inner(x1: Any, x2: Any) -> Any:
    """Sums over the last axes of both; scalars multiply."""
    a, b = convert_to_tensor(x1), convert_to_tensor(x2)
    return tensordot(a, b, (-1, -1)) if a.shape and b.shape else tensordot(a, b, 0)


def kron(x1: Any, x2: Any) -> Any:
    """Every element of x1 times all of x2, as blocks."""
    a, b = convert_to_tensor(x1), convert_to_tensor(x2)
    rank = max(len(a.shape), len(b.shape))
    m, n = ((1,) * (rank - len(x.shape)) + x.shape for x in (a, b))
    blocks = _product(lambda p, q: lnp.tensordot(p, q, 0), lnp.reshape(a, m), lnp.reshape(b, n))
    order = [d for pair in zip(range(rank), range(rank, 2 * rank)) for d in pair]
    return lnp.reshape(lnp.transpose(blocks, order), [p * q for p, q in zip(m, n)])


def cross(x1: Any, x2: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """The vector product along an axis of 3, or of 2, whose third component is 0; of two of 2, that component alone."""
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = promoted(convert_to_tensor(x1), convert_to_tensor(x2))
    a, b = lnp.moveaxis(a, axisa, -1), lnp.moveaxis(b, axisb, -1)
    if not {a.shape[-1], b.shape[-1]} <= {2, 3}:
        raise ValueError(f"`x1`'s dim on `axisa` and `x2`'s on `axisb` must be 2 or 3. Received: {a.shape[-1]} and {b.shape[-1]}")
    both = [[x[..., n] if n < x.shape[-1] else lnp.zeros_like(x[..., 0]) for n in range(3)] for x in (a, b)]
    (a0, a1, a2), (b0, b1, b2) = both
    third = lnp.subtract(lnp.multiply(a0, b1), lnp.multiply(a1, b0))
    if a.shape[-1] == b.shape[-1] == 2:
        return third
    first, second = (lnp.subtract(lnp.multiply(p, q), lnp.multiply(r, s)) for p, q, r, s in ((a1, b2, a2, b1), (a2, b0, a0, b2)))
    return lnp.stack([first, second, third], axisc)


def einsum(subscripts: str, *operands: Any, **kwargs: Any) -> Any:
    """NumPy's; the options of ``kwargs``, which concern the order, are not needed."""
    return _product(lambda *xs: lnp.einsum(subscripts, *xs), *_summed_wide([convert_to_tensor(x) for x in operands]))


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """The integral by the trapezoidal rule along an axis."""
    y = lnp.moveaxis(as_float(y), axis, -1)
    if x is None:
        width = convert_to_tensor(dx, y.dtype)
    else:
        x = convert_to_tensor(x, y.dtype)
        x = x if len(x.shape) == 1 else lnp.moveaxis(x, axis, -1)
        width = lnp.subtract(x[..., 1:], x[..., :-1])
    return lnp.sum(lnp.multiply(width, lnp.multiply(lnp.add(y[..., 1:], y[..., :-1]), 0.5)), -1)


def correlate(x1: Any, x2: Any, mode: str = "valid") -> Any:
    """Sums of products of x1 with x2 at every shift: where they overlap in full ("valid"), at all, or as many as the longer has."""
    if mode not in ("valid", "same", "full"):
        raise ValueError(f"`mode` must be 'valid', 'same' or 'full'. Received: mode={mode}")
    a, b = promoted(convert_to_tensor(x1), convert_to_tensor(x2))
    a, b = (x if kind_of(x.dtype) == "f" else convert_to_tensor(x, "float64" if x.dtype == np.int64 else "float32") for x in (a, b))
    if a.shape[0] < b.shape[0]:
        return lnp.flip(_correlated(b, a, mode), 0)
    return _correlated(a, b, mode)


def _correlated(long: Any, short: Any, mode: str) -> Any:
    n = short.shape[0]
    low, high = {"valid": (0, 0), "same": (n // 2, n - 1 - n // 2), "full": (n - 1, n - 1)}[mode]
    padded = lnp.pad(long, (low, high))
    windows = np.arange(padded.shape[0] - n + 1)[:, None] + np.arange(n)
    return lnp.matmul(lnp.take(padded, windows, 0), short)


def corrcoef(x: Any) -> Any:
    """Correlations of the rows of x with each other."""
    x = as_float(x)
    rows = lnp.reshape(x, (1, -1)) if len(x.shape) < 2 else x
    off = lnp.subtract(rows, lnp.mean(rows, -1, keepdims=True))
    length = lnp.sqrt(lnp.sum(lnp.square(off), -1, keepdims=True))
    unit = lnp.divide(off, length)
    found = lnp.clip(lnp.matmul(unit, lnp.swapaxes(unit, 0, 1)), -1, 1)
    return found if len(x.shape) > 1 else lnp.reshape(found, ())


def slogdet(x: Any) -> tuple[Any, Any]:
    return tuple(linalg.slogdet(as_float(x)))


__all__ = [
    "corrcoef", "correlate", "cross", "dot", "einsum", "inner", "kron", "matmul", "outer", "slogdet", "tensordot", "trapezoid",
    "vdot",
]
