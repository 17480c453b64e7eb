"""Draws that need a factorisation: NumPy's, so of known values only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import array, choice, floats, integer
from leptonc.arguments import shape as shape_of
from leptonc.bfloat16 import is_narrow, kind_of
from leptonc.eager import plain
from leptonc.errors import ShapeError, TracerError, op_error
from leptonc.random.continuous import normal
from leptonc.random.draws import stored
from leptonc.trace import Tracer, known


def orthogonal(key: Any, n: int, shape: Sequence[int] = (), dtype: Any = np.float32, m: int | None = None) -> Any:
    """[*shape, n, m] with orthonormal rows or columns, whichever are fewer, uniform among all; m is n by default.

    JAX's numbers but for rounding. Raises TracerError for a traced key.
    """
    kind, extents = floats("orthogonal", "dtype", dtype), shape_of("orthogonal", shape)
    rows = integer("orthogonal", "n", n, least=0)
    columns = rows if m is None else integer("orthogonal", "m", m, least=0)
    if isinstance(key, Tracer):
        raise op_error("orthogonal", "factors a matrix, which traced code cannot", {"key": key}, "draw it outside of jit",
                       TracerError)
    z = plain(normal(key, (*extents, max(rows, columns), min(rows, columns)), np.float32 if is_narrow(kind) else kind))
    q, r = np.linalg.qr(z)
    x = q * np.sign(np.diagonal(r, axis1=-2, axis2=-1))[..., None, :]
    return stored(known(np.ascontiguousarray(np.swapaxes(x, -1, -2) if rows < columns else x).astype(kind)))


def multivariate_normal(key: Any, mean: Any, cov: Any, shape: Sequence[int] | None = None, dtype: Any = None,
                        method: str = "cholesky") -> Any:
    """[*shape, n] normal about ``mean`` [..., n] with covariance ``cov`` [..., n, n], which must be known.

    Key and mean may be traced. ``method`` "cholesky", "eigh" or "svd" factors it. JAX's numbers but for rounding with cholesky.
    """
    name = "multivariate_normal"
    center, square = array(name, "mean", mean), array(name, "cov", cov)
    operands = {"mean": center, "cov": square}
    if isinstance(square, Tracer):
        raise op_error(name, "cov must be known to be factored", operands, "multiply normal(...) by its factor",
                       TracerError)
    if not center.shape or tuple(square.shape[-2:]) != (center.shape[-1],) * 2:
        raise op_error(name, "mean must be [..., n] and cov [..., n, n]", operands, kind=ShapeError)
    kind = floats(name, "dtype", dtype if dtype is not None else center.dtype if kind_of(center.dtype) == "f" else np.float32)
    factor = _factor(choice(name, "method", method, ("cholesky", "eigh", "svd")), plain(square).astype(np.float64), operands)
    extents = (np.broadcast_shapes(tuple(center.shape[:-1]), tuple(square.shape[:-2])) if shape is None else shape_of(name, shape))
    z = normal(key, (*extents, center.shape[-1]), kind)
    scaled = lnp.sum(factor.astype(z.dtype) * lnp.expand_dims(z, -2), -1)
    return stored(lnp.astype(center, kind) + scaled)


def _factor(method: str, cov: np.ndarray, operands: dict[str, Any]) -> np.ndarray:
    """A with A A^T = cov."""
    if method == "svd":
        u, s, _ = np.linalg.svd(cov)
        return np.asarray(u * np.sqrt(s)[..., None, :])
    if method == "eigh":
        w, v = np.linalg.eigh(cov)
        return np.asarray(v * np.sqrt(np.maximum(w, 0))[..., None, :])
    try:
        return np.linalg.cholesky(cov)
    except np.linalg.LinAlgError:
        raise op_error("multivariate_normal", "cov is not positive definite", operands, "method='eigh'", ShapeError) from None
