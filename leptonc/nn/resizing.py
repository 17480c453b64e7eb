"""Images made larger or smaller, and pooled to a given size: each axis by itself, its weights a matrix known while tracing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import array, choice, flag, integers, number
from leptonc.errors import ArgumentError, DtypeError, op_error
from leptonc.nn.pooling import avg_pool, max_pool
from leptonc.numpy.elementwise import as_float

Kernel = Callable[[np.ndarray], np.ndarray]


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(0, 1 - np.abs(x))


def _cubic(a: float) -> Kernel:
    """Keys' cubic convolution (1981)."""

    def kernel(x: np.ndarray) -> np.ndarray:
        d = np.abs(x)
        inner, outer = ((a + 2) * d - (a + 3)) * d * d + 1, a * (((d - 5) * d + 8) * d - 4)
        return np.where(d >= 2, 0, np.where(d >= 1, outer, inner))

    return kernel


KERNELS = {"linear": _triangle, "cubic": _cubic(-0.5)}
METHODS = {
    "nearest": "nearest",
    "linear": "linear",
    "bilinear": "linear",
    "trilinear": "linear",
    "cubic": "cubic",
    "bicubic": "cubic",
}


def resize(
    x: Any,
    size: int | Sequence[int],
    method: str = "linear",
    *,
    antialias: bool | None = None,
    align_corners: bool = False,
    convention: str = "jax",
) -> Any:
    """x [n, spatial..., c] with spatial extents ``size``; ``method`` "nearest", "linear" ("bilinear") or "cubic" ("bicubic").

    Convention "jax", as ``jax.image.resize``: pixels have centers; cubic is Keys' (a = -1/2), weights beyond the border left
    out; antialiased unless told otherwise: smaller images average. "pytorch", as ``interpolate``: nearest takes the element at
    floor(i * in / out), cubic has a = -3/4 and repeats the border; not antialiased; ``align_corners`` maps the first and last
    element to the first and last. Raises ShapeError for sizes that do not fit, ArgumentError for options that do not go
    together.
    """
    operand = array("resize", "x", x)
    kind = METHODS[choice("resize", "method", method, METHODS, {"x": operand})]
    torch = choice("resize", "convention", convention, ("jax", "pytorch")) == "pytorch"
    smooth = not torch if antialias is None else flag("resize", "antialias", antialias)
    corners = flag("resize", "align_corners", align_corners)
    if (torch and smooth) or (corners and (not torch or kind == "nearest")):
        raise op_error(
            "resize",
            "antialias is of JAX's convention, align_corners of PyTorch's linear and cubic",
            {"x": operand},
            kind=ArgumentError,
        )
    sizes = _sizes("resize", operand, size)
    y = operand if kind == "nearest" else as_float(operand)
    for axis, (extent, wanted) in enumerate(zip(operand.shape[1:-1], sizes), 1):
        if kind == "nearest":
            index = np.floor(np.arange(wanted) * (extent / wanted) if torch else (np.arange(wanted) + 0.5) * extent / wanted)
            y = lnp.take(y, np.minimum(index.astype(np.int64), extent - 1), axis=axis)
        elif extent != wanted:
            matrix = (
                _pytorch_weights(kind, extent, wanted, corners) if torch else _jax_weights(KERNELS[kind], extent, wanted, smooth)
            )
            y = _along(y, matrix, axis)
    return y


def _sizes(name: str, x: Any, size: Any) -> tuple[int, ...]:
    rank = len(x.shape) - 2
    if rank < 1 or 0 in x.shape[1:-1]:
        raise op_error(name, "x must be [n, spatial..., c], no spatial axis empty", {"x": x})
    return integers(name, "size", size, {"x": x}, count=rank, repeat=True, least=1)


def _along(x: Any, matrix: np.ndarray, axis: int) -> Any:
    """x times matrix [in, out] along one axis."""
    product = lnp.tensordot(x, np.asarray(matrix, x.dtype), axes=((axis,), (0,)))
    return lnp.moveaxis(product, -1, axis)


def _jax_weights(kernel: Kernel, extent: int, wanted: int, antialias: bool) -> np.ndarray:
    """[in, out] as JAX's ``scale_and_translate`` has them: they add up to 1 at every place."""
    scale = extent / wanted
    places = (np.arange(wanted) + 0.5) * scale - 0.5
    weights = kernel((places - np.arange(extent)[:, None]) / (max(scale, 1) if antialias else 1))
    return weights / weights.sum(0)


def _pytorch_weights(kind: str, extent: int, wanted: int, corners: bool) -> np.ndarray:
    """[in, out]; elements beyond the border are the border's."""
    places = (
        np.arange(wanted) * ((extent - 1) / max(wanted - 1, 1))
        if corners
        else (np.arange(wanted) + 0.5) * (extent / wanted) - 0.5
    )
    kernel, reach = (_triangle, 1) if kind == "linear" else (_cubic(-0.75), 2)
    weights = np.zeros((extent, wanted))
    for step in range(1 - reach, reach + 1):
        at = np.floor(places) + step
        np.add.at(weights, (np.clip(at, 0, extent - 1).astype(int), np.arange(wanted)), kernel(places - at))
    return weights


def upsample(x: Any, scale: float | Sequence[float], method: str = "nearest", **options: Any) -> Any:
    """x [n, spatial..., c] with extents ``scale`` times as large, rounded down; one scale, or one for each axis. Options are
    those of ``resize``."""
    operand = array("upsample", "x", x)
    rank = len(operand.shape) - 2
    given = list(scale) if isinstance(scale, list | tuple) else [scale] * max(rank, 0)
    if rank < 1 or len(given) != rank:
        raise op_error("upsample", "wants x [n, spatial..., c] and one scale for each spatial axis", {"x": operand})
    factors = [float(number("upsample", "scale", s, {"x": operand}, least=0, below=2**31)) for s in given]
    return resize(operand, tuple(int(n * s) for n, s in zip(operand.shape[1:-1], factors)), method, **options)


def global_avg_pool(x: Any, *, keepdims: bool = False) -> Any:
    """The mean over all positions of x [n, spatial..., c]."""
    operand = _floats("global_avg_pool", x)
    return lnp.mean(operand, tuple(range(1, len(operand.shape) - 1)), keepdims=keepdims)


def global_max_pool(x: Any, *, keepdims: bool = False) -> Any:
    """The greatest element over all positions of x [n, spatial..., c]; greatest ones share the gradient."""
    operand = _floats("global_max_pool", x)
    return lnp.max(operand, tuple(range(1, len(operand.shape) - 1)), keepdims=keepdims)


def _floats(name: str, x: Any) -> Any:
    operand = array(name, "x", x)
    if len(operand.shape) < 3 or 0 in operand.shape[1:-1]:
        raise op_error(name, "x must be [n, spatial..., c], no spatial axis empty", {"x": operand})
    if operand.dtype.kind in "biu":
        raise op_error(name, "takes floats", {"x": operand}, kind=DtypeError)
    return operand


def adaptive_avg_pool(x: Any, size: int | Sequence[int]) -> Any:
    """Means of windows of x [n, spatial..., c] so that ``size`` of them remain: from floor(i n / size) to ceil((i + 1) n / size),
    PyTorch's."""
    operand = _floats("adaptive_avg_pool", x)
    sizes = _sizes("adaptive_avg_pool", operand, size)
    extents = operand.shape[1:-1]
    if not any(n % s for n, s in zip(extents, sizes)):
        return avg_pool(operand, tuple(n // s for n, s in zip(extents, sizes)))
    for axis, (extent, wanted) in enumerate(zip(extents, sizes), 1):
        matrix = np.zeros((extent, wanted))
        for i, (low, high) in enumerate(_adaptive_windows(extent, wanted)):
            matrix[low:high, i] = 1 / (high - low)
        operand = _along(operand, matrix, axis)
    return operand


def adaptive_max_pool(x: Any, size: int | Sequence[int]) -> Any:
    """The greatest elements of the windows of ``adaptive_avg_pool``."""
    operand = _floats("adaptive_max_pool", x)
    sizes = _sizes("adaptive_max_pool", operand, size)
    extents = operand.shape[1:-1]
    if not any(n % s for n, s in zip(extents, sizes)):
        return max_pool(operand, tuple(n // s for n, s in zip(extents, sizes)))
    for axis, (extent, wanted) in enumerate(zip(extents, sizes), 1):
        places = [operand[(slice(None),) * axis + (slice(low, high),)] for low, high in _adaptive_windows(extent, wanted)]
        operand = lnp.concatenate([lnp.max(part, axis, keepdims=True) for part in places], axis)
    return operand


def _adaptive_windows(extent: int, wanted: int) -> list[tuple[int, int]]:
    return [(i * extent // wanted, -(-(i + 1) * extent // wanted)) for i in range(wanted)]
