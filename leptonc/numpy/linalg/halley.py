"""Polar factors by Halley's iteration with dynamic weights (Nakatsukasa, Bai and Gygi 2010)."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import flag, integer, number
from leptonc.branches import cond
from leptonc.errors import ArgumentError, ShapeError, op_error
from leptonc.numpy.linalg.operands import adjoint, conjugated, cropped, matrices
from leptonc.trace import bind
from leptonc.whiles import while_loop

STEPS = 10
LARGE = 100  # a weight up to which x' x is well enough conditioned for its Cholesky factor


def qdwh(x: Any, *, is_hermitian: bool = False, max_iterations: int | None = None, eps: float | None = None,
         dynamic_shape: Any = None) -> tuple[Any, Any, Any, Any]:
    """(u, h, steps, converged) with u h = x [m, n], m >= n: u [m, n] has orthonormal columns, h [n, n] is positive semidefinite;
    the number of steps taken, i32, and whether they have converged. At most ``max_iterations`` (10) are taken; singular values are
    told apart down to ``eps`` of the largest, by default the dtype's roundoff. ``is_hermitian`` changes nothing.

    There is no ``dynamic_shape``, and no derivative in reverse. Raises ShapeError, DtypeError or ArgumentError.
    """
    a = matrices("qdwh", x)
    flag("qdwh", "is_hermitian", is_hermitian)
    if len(a.shape) != 2 or a.shape[0] < a.shape[1]:
        raise op_error("qdwh", "x must be [m, n] with m >= n", {"x": a}, kind=ShapeError)
    if dynamic_shape is not None:
        raise op_error("qdwh", "has no dynamic_shape", {"x": a}, "leave it out", ArgumentError)
    most = STEPS if max_iterations is None else integer("qdwh", "max_iterations", max_iterations, {"x": a}, least=0)
    real = lnp.real(a[:0]).dtype
    least = float(np.finfo(real).eps) if eps is None else float(number("qdwh", "eps", eps))
    if not a.size:
        return a, adjoint(a) @ a, np.int32(0), np.bool_(True)
    sums = (lnp.max(lnp.sum(lnp.absolute(a), axis)) for axis in (0, 1))
    size = prod(map(lnp.sqrt, sums))  # at least the largest singular value
    u, steps, near, _ = _iterated(a / lnp.where(size > 0, size, 1), least, most)
    u = 1.5 * u - 0.5 * u @ (adjoint(u) @ u)  # one step of Newton and Schulz: orthonormal to roundoff
    h = adjoint(u) @ a
    return u, (h + adjoint(h)) / 2, steps, near


def _iterated(x: Any, eps: float, most: int) -> tuple[Any, ...]:
    real = lnp.real(x[:0]).dtype
    enough = real.type((4 * eps) ** (1 / 3))

    def goes_on(state: tuple[Any, ...]) -> Any:
        _, steps, near, _ = state
        return (steps < most) & ~near

    def step(state: tuple[Any, ...]) -> tuple[Any, ...]:
        x, steps, _, low = state
        a, b, c = _weights(low)
        following = cond(c > LARGE, _by_qr, _by_cholesky, x, a, b, c)
        low = low * (a + b * low**2) / (1 + c * low**2)
        moved = lnp.sqrt(lnp.sum(lnp.absolute(following - x) ** 2))
        near = (moved < enough) & (lnp.absolute(low - 1) < 5 * real.type(eps))
        return following, steps + np.int32(1), near, low

    out: tuple[Any, ...] = while_loop(goes_on, step, (x, np.int32(0), np.bool_(False), real.type(eps)))
    return out


def _weights(low: Any) -> tuple[Any, Any, Any]:
    """a, b and c of x (a I + b x' x) (I + c x' x)^-1, best for singular values in [low, 1]."""
    square = low * low
    d = lnp.cbrt(4 * (1 - square) / (square * square))
    root = lnp.sqrt(1 + d)
    a = root + lnp.sqrt(lnp.maximum(8 - 4 * d + 8 * (2 - square) / (square * root), 0)) / 2
    b = (a - 1) ** 2 / 4
    return a, b, a + b - 1


def _by_qr(x: Any, a: Any, b: Any, c: Any) -> Any:
    m, n = x.shape
    root = lnp.sqrt(c)
    q, _ = bind("qr", lnp.concatenate([root * x, lnp.eye(n, dtype=x.dtype)], 0), complete=False)
    upper, lower = cropped(q, (0, 0), (m, n)), cropped(q, (m, 0), (n, n))
    return (b / c) * x + ((a - b / c) / root) * (upper @ adjoint(lower))


def _by_cholesky(x: Any, a: Any, b: Any, c: Any) -> Any:
    n = x.shape[1]
    factor = bind("cholesky", lnp.eye(n, dtype=x.dtype) + c * (adjoint(x) @ x))
    half = bind("triangular_solve", factor, adjoint(x), lower=True, transpose=False, unit=False)
    solved = bind("triangular_solve", conjugated(factor), half, lower=True, transpose=True, unit=False)
    return (b / c) * x + (a - b / c) * adjoint(solved)
