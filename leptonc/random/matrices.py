"""Draws that need a factorization: NumPy's of known values, compiled of traced ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import array, choice, floats, integer
from leptonc.arguments import shape as shape_of
from leptonc.bfloat16 import is_narrow, kind_of
from leptonc.eager import plain
from leptonc.errors import ShapeError, op_error
from leptonc.numpy.elementwise import as_float
from leptonc.random.continuous import normal
from leptonc.random.draws import stored
from leptonc.trace import Tracer, bind


def orthogonal(key: Any, n: int, shape: Sequence[int] = (), dtype: Any = np.float32, m: int | None = None) -> Any:
    """[*shape, n, m] with orthonormal rows or columns, whichever are fewer, uniform among all; m is n by default.

    JAX's numbers but for rounding.
    """
    kind, extents = floats("orthogonal", "dtype", dtype), shape_of("orthogonal", shape)
    rows = integer("orthogonal", "n", n, least=0)
    columns = rows if m is None else integer("orthogonal", "m", m, least=0)
    z = normal(key, (*extents, max(rows, columns), min(rows, columns)), np.float32 if is_narrow(kind) else kind)
    q, r = bind("qr", z, complete=False)
    x = q * lnp.sign(lnp.sum(r * lnp.eye(r.shape[-1], dtype=r.dtype), -2, keepdims=True))
    return stored(lnp.astype(lnp.matrix_transpose(x) if rows < columns else x, kind))


def multivariate_normal(key: Any, mean: Any, cov: Any, shape: Sequence[int] | None = None, dtype: Any = None,
                        method: str = "cholesky") -> Any:
    """[*shape, n] normal about ``mean`` [..., n] with covariance ``cov`` [..., n, n].

    ``method`` "cholesky", "eigh" or "svd" factors it. JAX's numbers but for rounding with cholesky. Raises ShapeError if a
    known cov is not positive definite; of a traced one the draws are NaN.
    """
    name = "multivariate_normal"
    center, square = array(name, "mean", mean), array(name, "cov", cov)
    operands = {"mean": center, "cov": square}
    if not center.shape or tuple(square.shape[-2:]) != (center.shape[-1],) * 2:
        raise op_error(name, "mean must be [..., n] and cov [..., n, n]", operands, kind=ShapeError)
    kind = floats(name, "dtype", dtype if dtype is not None else center.dtype if kind_of(center.dtype) == "f" else np.float32)
    by = choice(name, "method", method, ("cholesky", "eigh", "svd"))
    factor = _factor(by, as_float(square) if isinstance(square, Tracer) else plain(square).astype(np.float64))
    if not isinstance(factor, Tracer) and np.isnan(factor).any():
        raise op_error(name, "cov is not positive definite", operands, "method='eigh'", ShapeError)
    extents = (np.broadcast_shapes(tuple(center.shape[:-1]), tuple(square.shape[:-2])) if shape is None else shape_of(name, shape))
    z = normal(key, (*extents, center.shape[-1]), kind)
    scaled = lnp.sum(lnp.astype(factor, z.dtype) * lnp.expand_dims(z, -2), -1)
    return stored(lnp.astype(center, kind) + scaled)


def _factor(method: str, cov: Any) -> Any:
    """A with A A^T = cov; NaN if there is none."""
    if method == "cholesky":
        return bind("cholesky", cov)
    if method == "eigh":
        w, v = bind("eigh", cov)
        return v * lnp.sqrt(lnp.maximum(w, 0))[..., None, :]
    u, s, _ = bind("svd", cov, full=False)
    return u * lnp.sqrt(s)[..., None, :]
