"""keras.ops: linear algebra. Traced matrices without a result give NaN, as with JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

import leptonc
from leptonc import numpy as lnp
from leptonc.keras.src.ops.tensors import as_float, convert_to_tensor, promoted
from leptonc.numpy import linalg as matrices
from leptonc.numpy.linalg import factorizations
from leptonc.trace import Tracer


def _as_column(a: Any, b: Any) -> bool:
    """Whether b [..., n] are vectors beside the matrices a [..., n, n]."""
    return len(b.shape) == len(a.shape) - 1


def cholesky(a: Any, upper: bool = False) -> Any:
    """Raises ValueError for a known matrix that is not positive definite; of a traced one the factor is NaN."""
    found = matrices.cholesky(as_float(a), upper=upper)
    if not isinstance(found, Tracer) and np.isnan(found).any():
        raise ValueError("Cholesky decomposition failed: the input is not positive definite")
    return found


def cholesky_inverse(a: Any, upper: bool = False) -> Any:
    """The inverse of the matrix whose factor is ``a``."""
    a = as_float(a)
    eye = lnp.broadcast_to(lnp.eye(a.shape[-1], dtype=a.dtype), a.shape)
    factor = factorizations.triangular_solve(a, eye, left_side=True, lower=not upper)
    turned = lnp.matrix_transpose(factor)
    return lnp.matmul(factor, turned) if upper else lnp.matmul(turned, factor)


def det(a: Any) -> Any:
    return matrices.det(as_float(a))


def logdet(x: Any) -> Any:
    return matrices.slogdet(as_float(x))[1]


def inv(a: Any) -> Any:
    return matrices.inv(as_float(a))


def lu_factor(a: Any) -> tuple[Any, Any]:
    """L and U in one matrix, and the row that each row was swapped with."""
    return factorizations.lu(as_float(a))[:2]


def _with_column(run: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    """``run`` on a and on b as matrices, where it is vectors."""
    a, b = promoted(a, b, also=float)
    return run(a, b[..., None])[..., 0] if _as_column(a, b) else run(a, b)


def solve(a: Any, b: Any) -> Any:
    return _with_column(matrices.solve, a, b)


def solve_triangular(a: Any, b: Any, lower: bool = False) -> Any:
    return _with_column(lambda a, b: factorizations.triangular_solve(a, b, left_side=True, lower=lower), a, b)


def eigh(x: Any) -> tuple[Any, Any]:
    return tuple(matrices.eigh(as_float(x)))


def qr(x: Any, mode: Any = "reduced") -> tuple[Any, Any]:
    if mode not in ("reduced", "complete"):
        raise ValueError(f"`mode` argument value not supported. Expected one of {{'reduced', 'complete'}}. Received: mode={mode}")
    return tuple(matrices.qr(as_float(x), mode=mode))


def svd(x: Any, full_matrices: bool = True, compute_uv: Any = True) -> Any:
    found = matrices.svd(as_float(x), full_matrices=full_matrices, compute_uv=bool(compute_uv))
    return tuple(found) if compute_uv else found


def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    a, b = promoted(a, b, also=float)
    return matrices.lstsq(a, b, rcond)[0]


def matrix_rank(x: Any, tol: Any = None) -> Any:
    x = as_float(x)
    if len(x.shape) < 2:
        raise ValueError(f"Expected input to have rank >= 2. Received input with shape {x.shape}.")
    return lnp.astype(matrices.matrix_rank(x, tol=tol), "int32")


def pinv(x: Any, rcond: Any = None) -> Any:
    x = as_float(x)
    return matrices.pinv(x, 1e-15 if rcond is None else rcond)


def matrix_power(x: Any, n: int) -> Any:
    """By squaring; of the inverse if ``n`` is negative."""
    x = as_float(x)
    base = inv(x) if n < 0 else x
    found = lnp.broadcast_to(lnp.eye(x.shape[-1], dtype=x.dtype), x.shape)
    for bit in bin(abs(n))[2:]:
        found = lnp.matmul(found, found)
        found = lnp.matmul(found, base) if bit == "1" else found
    return found


def eig(x: Any) -> tuple[Any, Any]:
    """Complex eigenvalues and eigenvectors, which have no derivative."""
    return tuple(matrices.eig(as_float(x)))


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """numpy.linalg.norm."""
    x = as_float(x)
    axes = _norm_axes(len(x.shape), ord, axis)
    if ord is None or (ord == 2 and len(axes) == 1) or (ord == "fro" and len(axes) == 2):
        return lnp.sqrt(lnp.sum(lnp.square(x), axis=axes, keepdims=keepdims))
    if len(axes) == 1:
        return _vector_norm(x, ord, axes, keepdims)
    if len(axes) == 2:
        return _matrix_norm(x, ord, axes, keepdims)
    raise ValueError(f"Improper number of dimensions to norm: ord={ord}, axis={axis}, x.shape={tuple(x.shape)}")


def _norm_axes(rank: int, ord: Any, axis: Any) -> tuple[int, ...]:
    if axis is None:
        if ord is not None and rank not in (1, 2):
            raise ValueError(f"Improper number of dimensions to norm: ord={ord} of an array of {rank} axes; give `axis`")
        return tuple(range(rank))
    axes = normalize_axis_tuple(axis, rank)
    if not 1 <= len(axes) <= 2 or (isinstance(axis, tuple) and len(axes) == 1):
        raise ValueError(f"Invalid axis={axis}: an int, or two axes that differ")
    return axes


def _vector_norm(x: Any, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if isinstance(ord, str):
        raise ValueError(f"Invalid norm order {ord!r} for vectors")
    sizes = lnp.absolute(x)
    if ord in (float("inf"), float("-inf")):
        return (lnp.max if ord > 0 else lnp.min)(sizes, axis=axes, keepdims=keepdims)
    if ord == 0:
        return lnp.sum(lnp.astype(lnp.not_equal(x, 0), x.dtype), axis=axes, keepdims=keepdims)
    if ord == 1:
        return lnp.sum(sizes, axis=axes, keepdims=keepdims)
    return lnp.power(lnp.sum(lnp.power(sizes, float(ord)), axis=axes, keepdims=keepdims), 1 / ord)


def _matrix_norm(x: Any, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    rows, columns = axes
    if ord in ("nuc", 2, -2):
        return _spectral_norm(x, ord, axes, keepdims)
    if ord not in (1, -1, float("inf"), float("-inf")):
        raise ValueError(f"Invalid norm order {ord!r} for matrices")
    summed, taken = (rows, columns) if abs(ord) == 1 else (columns, rows)
    totals = lnp.sum(lnp.absolute(x), axis=summed, keepdims=True)
    found = (lnp.max if ord > 0 else lnp.min)(totals, axis=taken, keepdims=True)
    return found if keepdims else lnp.squeeze(found, axes)


def _spectral_norm(x: Any, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    """Of the singular values the greatest (2), the least (-2) or the sum."""
    values = svd(lnp.moveaxis(x, axes, (-2, -1)), compute_uv=False)
    found = {2: lnp.max, -2: lnp.min, "nuc": lnp.sum}[ord](values, axis=-1)
    return lnp.expand_dims(found, axes) if keepdims else found


def jvp(fun: Callable[..., Any], primals: Any, tangents: Any, has_aux: bool = False) -> Any:
    """The pullback's own pullback: it is linear, so its transpose at any point is the derivative along ``tangents``."""
    inputs = leptonc.tree.map(convert_to_tensor, tuple(primals))
    directions = leptonc.tree.map(lambda t, x: convert_to_tensor(t, x.dtype), tuple(tangents), inputs)
    out, pull = leptonc.vjp(fun, *inputs)
    _, push = leptonc.vjp(pull, leptonc.tree.map(lnp.zeros_like, out))
    (tangent,) = push(directions)
    return (out[0], tangent[0], out[1]) if has_aux else (out, tangent)
