"""Polynomials by their roots, quotients and fits, beside those of ``differences``."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.arguments import array, flag, integer, known_array, number, vector
from leptonc.arithmetic import divide, multiply, subtract
from leptonc.errors import ShapeError, op_error
from leptonc.numpy.creation import ones, zeros
from leptonc.numpy.differences import convolve
from leptonc.numpy.elementwise import as_float, sqrt
from leptonc.numpy.linalg.general import eigvals
from leptonc.numpy.linalg.solving import inv
from leptonc.numpy.linalg.spectral import lstsq
from leptonc.numpy.linear import matmul, outer
from leptonc.numpy.manipulation import concatenate, expand_dims, reshape, transpose
from leptonc.numpy.reductions import sum as total
from leptonc.numpy.triangles import vander
from leptonc.public import publish
from leptonc.trace import known, promote


def poly(seq_of_zeros: Any) -> Any:
    """The coefficients, highest first, of the polynomial with these roots, or, complex, of a known square matrix's characteristic
    one."""
    x = as_float(array("poly", "seq_of_zeros", seq_of_zeros))
    if len(x.shape) == 2 and x.shape[0] == x.shape[1] and x.shape[0]:
        values = eigvals(known_array("poly", "seq_of_zeros", x, "fc"))
        return known(np.poly(values).astype(np.result_type(x.dtype, np.complex64)))
    if len(x.shape) > 1:
        raise op_error("poly", "takes roots in a row, or a square matrix", {"seq_of_zeros": x}, kind=ShapeError)
    roots_ = reshape(x, (-1,))
    found = ones(1, roots_.dtype)
    for n in range(roots_.shape[0]):
        found = convolve(found, concatenate([ones(1, roots_.dtype), -roots_[n:n + 1]]))
    return found


def roots(p: Any, *, strip_zeros: bool = True) -> Any:
    """The roots, complex, of a polynomial with known coefficients, highest first; NaN if one of those is infinite or NaN, or is a
    zero in front that is not stripped."""
    values = known_array("roots", "p", as_float(vector("roots", "p", p)), "fc")
    kind, strip = np.result_type(values.dtype, np.complex64), flag("roots", "strip_zeros", strip_zeros)
    if np.isfinite(values).all() and (strip or not values.size or values[0] != 0):
        return known(np.roots(values).astype(kind))
    return known(np.full(values.size - 1, np.nan, kind))


def polydiv(u: Any, v: Any, *, trim_leading_zeros: bool = False) -> tuple[Any, Any]:
    """(quotient, remainder) of polynomials, highest coefficient first; the remainder is as long as u, unless its zeros in front,
    which must be known then, are trimmed."""
    above, below = (as_float(x) for x in promote(vector("polydiv", "u", u), vector("polydiv", "v", v)))
    m, n = above.shape[0] - 1, below.shape[0] - 1
    if n < 0 or m < 0:
        raise op_error("polydiv", "takes polynomials of at least one coefficient", {"u": above, "v": below}, kind=ShapeError)
    quotient, rest = [], above
    for k in range(m - n + 1):
        factor = divide(rest[k:k + 1], below[:1])
        quotient.append(factor)
        rest = concatenate([rest[:k], subtract(rest[k:k + n + 1], multiply(factor, below)), rest[k + n + 1:]])
    found = concatenate(quotient) if quotient else zeros(1, above.dtype)
    return found, _trimmed(rest) if flag("polydiv", "trim_leading_zeros", trim_leading_zeros) else rest


def _trimmed(rest: Any) -> Any:
    values = known_array("polydiv", "the remainder", rest, "fc")
    first = next((n for n, x in enumerate(values) if abs(x) > np.finfo(values.dtype).eps ** 0.5), len(values))
    return known(values[first:])


def polyfit(x: Any, y: Any, deg: int, rcond: float | None = None, full: bool = False, w: Any = None, cov: Any = False) -> Any:
    """[deg + 1] or [deg + 1, k]: the polynomial, highest coefficient first, that fits y [n] or [n, k] at x [n] best, weighted
    with w.

    ``full``: (it, residuals, rank, singular values, rcond); ``cov``: (it, its covariance), "unscaled" by the residuals.
    Raises ShapeError.
    """
    order = integer("polyfit", "deg", deg, least=0) + 1
    at, values = (as_float(v) for v in promote(vector("polyfit", "x", x), array("polyfit", "y", y)))
    if len(values.shape) not in (1, 2) or values.shape[0] != at.shape[0] or not at.shape[0]:
        raise op_error("polyfit", "wants x [n] and y [n] or [n, k]", {"x": at, "y": values}, kind=ShapeError)
    small = at.shape[0] * float(np.finfo(at.dtype).eps) if rcond is None else number("polyfit", "rcond", rcond)
    left = vander(at, order)
    if w is not None:
        weights = as_float(vector("polyfit", "w", w))
        left, values = multiply(left, expand_dims(weights, 1)), multiply(
            values, weights if len(values.shape) == 1 else expand_dims(weights, 1))
    scale = sqrt(total(multiply(left, left), 0))
    left = divide(left, scale)
    found, residuals, rank, singular = lstsq(left, values, small)
    found = transpose(divide(transpose(found), scale))
    if flag("polyfit", "full", full):
        return found, residuals, rank, singular, small
    if cov is False:
        return found
    base = divide(inv(matmul(transpose(left), left)), outer(scale, scale))
    if cov != "unscaled":
        if at.shape[0] <= order:
            raise op_error("polyfit", f"the covariance of {order} coefficients wants more than {order} points", {"x": at})
        base = multiply(base if len(values.shape) == 1 else expand_dims(base, -1), divide(residuals, at.shape[0] - order))
        base = reshape(base, base.shape[:2]) if len(values.shape) == 1 else base
    return found, base


__all__ = ["poly", "polydiv", "polyfit", "roots"]

publish(globals(), __all__)
