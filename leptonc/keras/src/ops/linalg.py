"""keras.ops: linear algebra. Decompositions are NumPy's, of known arrays alone: in a trace they wait for leptonc's."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from keras.src.backend.common import KerasVariable
from numpy.lib.array_utils import normalize_axis_tuple

import leptonc
from leptonc import numpy as lnp
from leptonc.keras.src.missing import MissingOpError, missing
from leptonc.keras.src.ops.tensors import as_float, convert_to_tensor, is_tensor
from leptonc.trace import Tracer


def _decomposition(needs: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A function of known arrays, such as an initializer's; on a traced one it says that leptonc has no ``needs``."""

    def decorate(run: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(run)
        def call(*args: Any, **kwargs: Any) -> Any:
            given = [as_float(x) if is_tensor(x) or isinstance(x, KerasVariable | list) else x for x in args]
            if any(isinstance(x, Tracer) for x in given):
                raise MissingOpError(f"keras.ops.{run.__name__} on a traced value: leptonc has no {needs} yet")
            found = run(*(np.asarray(x) if is_tensor(x) else x for x in given), **kwargs)
            return tuple(found) if isinstance(found, tuple) else np.asarray(found)

        call.needs = needs  # type: ignore[attr-defined]  # docs/keras.md lists it
        return call

    return decorate


@_decomposition("Cholesky decomposition")
def cholesky(a: Any, upper: bool = False) -> Any:
    return np.linalg.cholesky(a, upper=upper)


@_decomposition("Cholesky decomposition")
def cholesky_inverse(a: Any, upper: bool = False) -> Any:
    """The inverse of the matrix whose factor is ``a``."""
    factor = np.linalg.inv(np.triu(a) if upper else np.tril(a))
    return factor @ np.matrix_transpose(factor) if upper else np.matrix_transpose(factor) @ factor


@_decomposition("LU decomposition")
def det(a: Any) -> Any:
    return np.linalg.det(a)


@_decomposition("LU decomposition")
def logdet(x: Any) -> Any:
    return np.linalg.slogdet(x)[1]


@_decomposition("LU decomposition")
def inv(a: Any) -> Any:
    return np.linalg.inv(a)


@_decomposition("LU decomposition")
def solve(a: Any, b: Any) -> Any:
    return np.linalg.solve(a, b[..., None])[..., 0] if b.ndim == a.ndim - 1 else np.linalg.solve(a, b)


@_decomposition("triangular solve")
def solve_triangular(a: Any, b: Any, lower: bool = False) -> Any:
    triangle = np.tril(a) if lower else np.triu(a)
    return np.linalg.solve(triangle, b[..., None])[..., 0] if b.ndim == a.ndim - 1 else np.linalg.solve(triangle, b)


@_decomposition("eigenvalue decomposition")
def eigh(x: Any) -> Any:
    return np.linalg.eigh(x)


@_decomposition("QR decomposition")
def qr(x: Any, mode: Any = "reduced") -> Any:
    if mode not in ("reduced", "complete"):
        raise ValueError(f"`mode` argument value not supported. Expected one of {{'reduced', 'complete'}}. Received: mode={mode}")
    return np.linalg.qr(x, mode=mode)


@_decomposition("singular value decomposition")
def svd(x: Any, full_matrices: bool = True, compute_uv: Any = True) -> Any:
    return np.linalg.svd(x, full_matrices=full_matrices, compute_uv=compute_uv)


@_decomposition("singular value decomposition")
def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    return np.linalg.lstsq(a, b, rcond=rcond)[0]


@_decomposition("singular value decomposition")
def matrix_rank(x: Any, tol: Any = None) -> Any:
    if x.ndim < 2:
        raise ValueError(f"Expected input to have rank >= 2. Received input with shape {x.shape}.")
    return np.linalg.matrix_rank(x, tol=tol).astype("int32")


@_decomposition("singular value decomposition")
def pinv(x: Any, rcond: Any = None) -> Any:
    return np.linalg.pinv(x, rcond=rcond)


def matrix_power(x: Any, n: int) -> Any:
    """By squaring; of the inverse if ``n`` is negative."""
    x = as_float(x)
    base = inv(x) if n < 0 else x
    found = lnp.broadcast_to(lnp.eye(x.shape[-1], dtype=x.dtype), x.shape)
    for bit in bin(abs(n))[2:]:
        found = lnp.matmul(found, found)
        found = lnp.matmul(found, base) if bit == "1" else found
    return found


eig = missing("eig", "complex dtype")
lu_factor = missing("lu_factor", "LU decomposition")


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """numpy.linalg.norm. Raises MissingOpError for traced matrices where it goes by singular values."""
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
