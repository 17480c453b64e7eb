"""Images read between their elements."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

import leptonc.numpy as lnp
from tests.peers.onnx.registry import Node, op
from tests.peers.onnx.values import integers, known


@op("Resize", "Upsample", known=(1, 2, 3))
def resize(node: Node, x: Any, *given: Any) -> Any:
    roi, scales, sizes = _resize_inputs(node, given)
    rank = len(x.shape)
    axes = [d % rank for d in node.get("axes", range(rank))]
    extents = [x.shape[d] for d in axes]
    scales, wanted = _targets(node, extents, scales, sizes)
    y = x
    outside = []
    for n, (axis, extent, size, scale) in enumerate(zip(axes, extents, wanted, scales)):
        part = (0.0, 1.0) if roi is None else (float(roi[n]), float(roi[n + len(axes)]))
        places = _sources(node, extent, size, scale, part)
        if node.get("coordinate_transformation_mode", "") == "tf_crop_and_resize":
            outside.append((axis, (places < 0) | (places > extent - 1)))
        if scale != 1 or size != extent or outside:
            matrix = _weights(node, places, extent, scale)
            y = lnp.moveaxis(lnp.tensordot(y, lnp.asarray(matrix, np.result_type(x.dtype, np.float32) if node.get(
                "mode", "nearest") != "nearest" else x.dtype), axes=((axis,), (0,))), -1, axis)
    for axis, out in outside:
        y = lnp.where(out.reshape([-1 if d == axis else 1 for d in range(rank)]), node.get("extrapolation_value", 0.0), y)
    return lnp.astype(y, x.dtype)


def _resize_inputs(node: Node, given: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    if node.opset < 11:
        return None, (np.asarray(node.get("scales")) if not given else known(given[0])), None
    found = [None if v is None or not known(v).size else known(v) for v in (*given, None, None, None)[:3]]
    return found[0], found[1], found[2]


def _targets(node: Node, extents: list[int], scales: Any, sizes: Any) -> tuple[list[float], list[int]]:
    if sizes is None:
        return [float(s) for s in scales], [int(np.floor(n * float(s))) for n, s in zip(extents, scales)]
    wanted = integers(sizes)
    ratios, policy = [w / n for w, n in zip(wanted, extents)], node.get("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return ratios, wanted
    one = (min if policy == "not_larger" else max)(ratios)
    return [one] * len(extents), [int(np.floor(n * one + 0.5)) for n in extents]


def _sources(node: Node, extent: int, size: int, scale: float, roi: tuple[float, float]) -> np.ndarray:
    """Where each element comes from."""
    i, mode = np.arange(size, dtype=np.float64), node.get("coordinate_transformation_mode", "half_pixel")
    wide = scale * extent
    if node.opset < 11 or mode == "asymmetric":
        return i / scale
    if mode == "align_corners":
        return np.zeros(size) if wide == 1 else i * (extent - 1) / (wide - 1)
    if mode == "tf_crop_and_resize":
        first, last = roi
        if wide == 1:
            return np.full(size, (last - first) * (extent - 1) / 2 + first * (extent - 1))
        return i * (last - first) * (extent - 1) / (wide - 1) + first * (extent - 1)
    if mode == "pytorch_half_pixel" and wide == 1:
        return np.full(size, -0.5)
    shift = extent / 2 * (1 - size / wide) if mode == "half_pixel_symmetric" else 0.0
    return shift + (i + 0.5) / scale - 0.5


def _weights(node: Node, places: np.ndarray, extent: int, scale: float) -> np.ndarray:
    """[in, out]; elements beyond the border are the border's, or have no weight."""
    mode, narrow = node.get("mode", "nearest"), min(scale, 1.0) if node.get("antialias", 0) else 1.0
    matrix = np.zeros((extent, len(places)))
    if mode == "nearest":
        matrix[np.clip(_nearest(places, node.get("nearest_mode", "round_prefer_floor") if node.opset >= 11 else "floor"), 0,
                       extent - 1), np.arange(len(places))] = 1
        return matrix
    reach = (1 if mode == "linear" else 2) / narrow
    for o, place in enumerate(places):
        at = np.arange(int(np.floor(place - reach)), int(np.ceil(place + reach)) + 1)
        weights = _kernel(mode, np.abs(at - place) * narrow, node.get("cubic_coeff_a", -0.75))
        if node.get("exclude_outside", 0):
            weights = np.where((at < 0) | (at >= extent), 0, weights)
        np.add.at(matrix[:, o], np.clip(at, 0, extent - 1), weights / weights.sum())
    return matrix


def _nearest(places: np.ndarray, mode: str) -> np.ndarray:
    rounded = {"floor": np.floor, "ceil": np.ceil, "round_prefer_floor": lambda x: np.ceil(x - 0.5),
               "round_prefer_ceil": lambda x: np.floor(x + 0.5)}
    return rounded[mode](places).astype(np.int64)


def _kernel(mode: str, d: np.ndarray, a: float) -> np.ndarray:
    if mode == "linear":
        return np.maximum(0, 1 - d)
    return np.where(d >= 2, 0, np.where(d >= 1, a * (((d - 5) * d + 8) * d - 4), ((a + 2) * d - (a + 3)) * d * d + 1))


@op("GridSample")
def grid_sample(node: Node, x: Any, grid: Any) -> Any:
    corners, extents = bool(node.get("align_corners", 0)), np.array(x.shape[2:], grid.dtype)
    back = lnp.flip(grid, -1)
    places = (back + 1) / 2 * (extents - 1) if corners else ((back + 1) * extents - 1) / 2
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(node.get("mode", "linear"), node.get("mode", "linear"))
    return sampled(x, places, mode, node.get("padding_mode", "zeros"), corners)


def sampled(x: Any, places: Any, mode: str, padding: str, corners: bool, greatest: bool = False) -> Any:
    """x [n, c, spatial...] at places [n, points..., axes], between elements: [n, c, points...]. ``greatest``: not the weighted sum
    of the elements around, but the greatest weighted one."""
    extents = x.shape[2:]
    if mode == "nearest":
        places = lnp.rint(places)
    columns = [_inside(places[..., d], n, padding, corners) for d, n in enumerate(extents)]
    steps = {"nearest": (0,), "linear": (0, 1), "cubic": (-1, 0, 1, 2)}[mode]
    first = [lnp.floor(c) for c in columns]
    out = None
    for taps in product(steps, repeat=len(extents)):
        weight, index, valid = 1.0, [], True
        for f, c, t, n in zip(first, columns, taps, extents):
            at = f + t
            weight = weight * _tap_weight(mode, c - f, t)
            valid = valid & (at >= 0) & (at < n) if padding == "zeros" else valid
            index.append(lnp.astype(lnp.clip(_reflected(at, n, corners) if padding == "reflection" else at, 0, n - 1), np.int64))
        rows = np.arange(x.shape[0]).reshape(-1, *(1,) * (len(places.shape) - 2))
        read = lnp.moveaxis(lnp.moveaxis(x, 1, -1)[(rows, *index)], -1, 1)
        term = read * lnp.where(valid, weight, 0)[:, None] if padding == "zeros" else read * lnp.asarray(weight)[:, None] \
            if mode != "nearest" else read
        out = term if out is None else lnp.maximum(out, term) if greatest else out + term
    return lnp.astype(out, x.dtype)


def _inside(place: Any, n: int, padding: str, corners: bool) -> Any:
    if padding == "border":
        return lnp.clip(place, 0, n - 1)
    return _reflected(place, n, corners) if padding == "reflection" else place


def _reflected(place: Any, n: int, corners: bool) -> Any:
    """Mirrored at the borders as often as it takes."""
    low, high = (0.0, n - 1.0) if corners else (-0.5, n - 0.5)
    span = high - low
    if span <= 0:
        return lnp.zeros_like(place)
    off = lnp.mod(place - low, 2 * span)
    return low + lnp.minimum(off, 2 * span - off)


def _tap_weight(mode: str, part: Any, tap: int) -> Any:
    if mode == "nearest":
        return lnp.ones_like(part)
    d = lnp.abs(part - tap)
    if mode == "linear":
        return 1 - d
    a = -0.75
    return ((a + 2) * d - (a + 3)) * d * d + 1 if tap in (0, 1) else a * (((d - 5) * d + 8) * d - 4)
