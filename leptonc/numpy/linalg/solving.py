"""Systems of equations, inverses and determinants, by LU factors with partial pivoting."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from leptonc.arguments import array, axes, choice, integer
from leptonc.errors import ArgumentError, ShapeError, op_error
from leptonc.numpy.elementwise import as_float
from leptonc.numpy.linalg.operands import identity, in_one_dtype, matrices, reshaped, same_stack
from leptonc.numpy.linear import matmul
from leptonc.trace import as_seen, bind, broadcast


def solve(a: Any, b: Any) -> Any:
    """x with a x = b, of a [..., n, n] and b [n] or [..., n, k]; leading axes broadcast.

    Of a singular matrix there are infinities or NaN in x, eager as compiled, as in JAX. Raises ShapeError or DtypeError.
    """
    x, y = in_one_dtype("solve", a, b)
    matrices("solve", x, "a", square=True)
    vector = len(y.shape) == 1
    y = reshaped(y, (*y.shape, 1)) if vector else y
    if len(y.shape) < 2 or y.shape[-2] != x.shape[-1]:
        raise op_error("solve", "a must be [..., n, n] and b [n] or [..., n, k]", {"a": x, "b": y}, kind=ShapeError)
    found = _solved(*same_stack("solve", x, y))
    return reshaped(found, tuple(found.shape[:-1])) if vector else found


def _solved(a: Any, b: Any) -> Any:
    factors, _, permutation = _factors(a)
    return bind("lu_solve", a, factors, permutation, b, transpose=False)


def _factors(a: Any) -> Any:
    return bind("lu", bind("stop_gradient", a))


def inv(x: Any) -> Any:
    """The inverses of x [..., n, n]; of a singular matrix infinities or NaN, as in JAX. Raises ShapeError or DtypeError."""
    a = matrices("inv", x, square=True)
    return _solved(a, identity(a.shape[-1], a.dtype, tuple(a.shape[:-2])))


def det(x: Any) -> Any:
    """The determinants [...] of x [..., n, n]. Its derivative is that of the adjugate: finite where x is singular, as in JAX.

    Raises ShapeError or DtypeError.
    """
    a = matrices("det", x, square=True)
    return bind("lu_det", a, *_factors(a))


class SlogdetResult(NamedTuple):
    """Of a determinant its sign and the logarithm of its size."""

    sign: Any
    logabsdet: Any


def slogdet(x: Any, *, method: str | None = None) -> SlogdetResult:
    """(sign, logarithm of the size) of the determinants of x [..., n, n]; (0, -inf) of a singular one. ``method``: "lu", the only
    one.

    Raises ShapeError, DtypeError or ArgumentError.
    """
    if method is not None:
        choice("slogdet", "method", method, ("lu",))
    a = matrices("slogdet", x, square=True)
    return SlogdetResult(*bind("lu_slogdet", a, *_factors(a)))


def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    """x with tensordot(a, x, x.ndim) = b, of a [*b.shape, *x.shape]; ``axes`` of a are moved to its end before.

    Raises ShapeError unless a is square, as a matrix.
    """
    x, y = in_one_dtype("tensorsolve", a, b)
    x = _moved_last("tensorsolve", x, axes) if axes is not None else x
    rest = tuple(x.shape[len(y.shape):])
    if prod(rest) != prod(y.shape) or tuple(x.shape[:len(y.shape)]) != tuple(y.shape):
        raise op_error("tensorsolve", "a must be [*b.shape, *x.shape] with as many elements in both parts", {"a": x, "b": y},
                       kind=ShapeError)
    count = prod(rest)
    return reshaped(solve(reshaped(x, (count, count)), reshaped(y, (count,))), rest)


def _moved_last(name: str, x: Any, last: Any) -> Any:
    moved = axes(name, x, last)
    order = (*(d for d in range(len(x.shape)) if d not in moved), *moved)
    return bind("transpose", x, perm=order)


def tensorinv(a: Any, ind: int = 2) -> Any:
    """The inverse of a as a map from its last axes to its first ``ind``: [*a.shape[ind:], *a.shape[:ind]].

    Raises ShapeError unless a is square, as a matrix, ArgumentError unless ind > 0.
    """
    x = as_float(array("tensorinv", "a", a))
    split = integer("tensorinv", "ind", ind, {"a": x})
    if split <= 0:
        raise op_error("tensorinv", f"ind={split} must be greater than 0", {"a": x}, kind=ArgumentError)
    count = prod(x.shape[:split])
    if prod(x.shape[split:]) != count:
        raise op_error("tensorinv", f"the first {split} axes have {count} elements, the others {prod(x.shape[split:])}", {"a": x},
                       kind=ShapeError)
    return reshaped(inv(reshaped(x, (count, count))), (*x.shape[split:], *x.shape[:split]))


def matrix_power(x: Any, n: int) -> Any:
    """x [..., m, m] to the power n, an int, by squaring; the inverse of that for a negative one. Raises ShapeError or
    DtypeError."""
    a = array("matrix_power", "x", x)
    power = integer("matrix_power", "n", n, {"x": a})
    a = as_float(a) if power < 0 else a
    if len(a.shape) < 2 or a.shape[-1] != a.shape[-2]:
        raise op_error("matrix_power", "x must be [..., n, n]", {"x": a}, kind=ShapeError)
    if power == 0:
        return broadcast(np.eye(a.shape[-1], dtype=a.dtype), tuple(a.shape))
    square, found = inv(a) if power < 0 else a, None
    power = abs(power)
    while True:
        if power & 1:
            found = square if found is None else matmul(found, square)
        power >>= 1
        if not power:
            return as_seen(found)
        square = matmul(square, square)
