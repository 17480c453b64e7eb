"""keras.ops: linear algebra. Decompositions wait for leptonc's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.lib.array_utils import normalize_axis_tuple

import leptonc
from leptonc import numpy as lnp
from leptonc.keras.src.missing import MissingOpError, missing
from leptonc.keras.src.ops.tensors import as_float, convert_to_tensor

NEEDS = {
    "LU decomposition": ("det", "inv", "lu_factor", "solve"),
    "Cholesky decomposition": ("cholesky", "cholesky_inverse"),
    "triangular solve": ("solve_triangular",),
    "eigenvalue decomposition": ("eig", "eigh"),
    "QR decomposition": ("qr",),
    "singular value decomposition": ("svd", "lstsq", "matrix_rank", "pinv"),
}
globals().update({name: missing(name, what) for what, names in NEEDS.items() for name in names})


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """numpy.linalg.norm. Raises MissingOpError for matrix norms that go by singular values."""
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
        raise MissingOpError(f"keras.ops.norm of order {ord!r} of matrices: leptonc has no singular value decomposition yet")
    if ord not in (1, -1, float("inf"), float("-inf")):
        raise ValueError(f"Invalid norm order {ord!r} for matrices")
    summed, taken = (rows, columns) if abs(ord) == 1 else (columns, rows)
    totals = lnp.sum(lnp.absolute(x), axis=summed, keepdims=True)
    found = (lnp.max if ord > 0 else lnp.min)(totals, axis=taken, keepdims=True)
    return found if keepdims else lnp.squeeze(found, axes)


def jvp(fun: Callable[..., Any], primals: Any, tangents: Any, has_aux: bool = False) -> Any:
    """The pullback's own pullback: it is linear, so its transpose at any point is the derivative along ``tangents``."""
    inputs = leptonc.tree.map(convert_to_tensor, tuple(primals))
    directions = leptonc.tree.map(lambda t, x: convert_to_tensor(t, x.dtype), tuple(tangents), inputs)
    out, pull = leptonc.vjp(fun, *inputs)
    _, push = leptonc.vjp(pull, leptonc.tree.map(lnp.zeros_like, out))
    (tangent,) = push(directions)
    return (out[0], tangent[0], out[1]) if has_aux else (out, tangent)
