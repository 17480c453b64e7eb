"""keras.ops.image: colours, resizing as products with weights, and sampling at coordinates by gathers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras.src.backend.common import standardize_dtype
from keras.src.backend.config import standardize_data_format
from keras.src.random.seed_generator import draw_seed

from leptonc import nn, random
from leptonc import numpy as lnp
from leptonc.bfloat16 import kind_of
from leptonc.keras.src.missing import MissingOpError
from leptonc.keras.src.ops.tensors import as_float, convert_to_tensor
from leptonc.trace import Tracer

ORDERS = {"nearest": 0, "bilinear": 1}
FILL_MODES = ("constant", "nearest", "wrap", "mirror", "reflect")
GREYS = (0.2989, 0.5870, 0.1140)  # weights of red, green and blue in ITU-R BT.601
SOBEL = np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]])  # along the height; transposed, along the width


def _images(images: Any) -> Any:
    images = convert_to_tensor(images)
    if len(images.shape) not in (3, 4):
        raise ValueError("Invalid images rank: expected rank 3 (single image) or rank 4 (batch of images). Received input with "
                         f"shape: images.shape={tuple(images.shape)}")
    return images


def _one_of(name: str, value: Any, known: Any) -> Any:
    if value not in known:
        raise ValueError(f"Invalid value for argument `{name}`. Expected of one {tuple(known)}. Received: {name}={value}")
    return value


def _channels_axis(data_format: str | None) -> int:
    return -1 if standardize_data_format(data_format) == "channels_last" else -3


def _batched(run: Callable[[Any], Any], images: Any, data_format: str | None) -> Any:
    """``run`` on images as [n, height, width, channels]; its result in the shape and order of the images' axes."""
    single, first = len(images.shape) == 3, _channels_axis(data_format) == -3
    batch = lnp.expand_dims(images, 0) if single else images
    out = run(lnp.permute_dims(batch, (0, 2, 3, 1)) if first else batch)
    out = lnp.moveaxis(out, 3, 1) if first else out
    return out[0] if single else out


def rgb_to_grayscale(images: Any, data_format: str | None = None) -> Any:
    images, axis = _images(images), _channels_axis(data_format)
    if images.shape[axis] not in (1, 3):
        raise ValueError("Invalid channel size: expected 3 (RGB) or 1 (Grayscale). Received input with shape: "
                         f"images.shape={tuple(images.shape)}")
    if images.shape[axis] == 1:
        return images
    wide = as_float(images)
    grey = lnp.tensordot(wide, lnp.asarray(GREYS, wide.dtype), ((len(images.shape) + axis,), (0,)))
    return lnp.astype(lnp.expand_dims(grey, axis), images.dtype)


def _planes(images: Any, axis: int) -> list[Any]:
    images = _images(images)
    if kind_of(images.dtype) != "f":
        raise ValueError(f"Invalid images dtype: expected float dtype. Received: images.dtype={standardize_dtype(images.dtype)}")
    if images.shape[axis] != 3:
        raise ValueError(f"Input images must have 3 channels, but received images with {images.shape[axis]} channels.")
    return [lnp.squeeze(plane, axis) for plane in lnp.split(images, 3, axis)]


def rgb_to_hsv(images: Any, data_format: str | None = None) -> Any:
    axis = _channels_axis(data_format)
    red, green, blue = _planes(images, axis)
    value = lnp.maximum(lnp.maximum(red, green), blue)
    spread = value - lnp.minimum(lnp.minimum(red, green), blue)
    coloured, bright = lnp.greater(spread, 0), lnp.greater(value, 0)
    sixth = 1 / (6 * lnp.where(coloured, spread, 1))
    hue = lnp.where(lnp.equal(value, green), sixth * (blue - red) + 2 / 6, sixth * (red - green) + 4 / 6)
    hue = lnp.where(lnp.equal(value, red), sixth * (green - blue), hue)
    hue = lnp.where(coloured, lnp.where(lnp.less(hue, 0), hue + 1, hue), 0)
    saturation = lnp.where(bright, spread / lnp.where(bright, value, 1), 0)
    return convert_to_tensor(lnp.stack([hue, saturation, value], axis), red.dtype)  # NumPy's operators widen bfloat16


def hsv_to_rgb(images: Any, data_format: str | None = None) -> Any:
    axis = _channels_axis(data_format)
    hue, saturation, value = _planes(images, axis)
    turn = lnp.remainder(hue, 1) * 6
    shares = [lnp.absolute(turn - 3) - 1, 2 - lnp.absolute(turn - 2), 2 - lnp.absolute(turn - 4)]
    planes = [value * (1 - saturation + saturation * lnp.clip(share, 0, 1)) for share in shares]
    return convert_to_tensor(lnp.stack(planes, axis), hue.dtype)


# Resampling: each axis is multiplied by weights [extent before, extent after].

def _triangle(x: Any) -> Any:
    return lnp.maximum(1 - lnp.absolute(x), 0)


def _keys_cubic(x: Any) -> Any:
    """Keys 1981, with a = -1/2."""
    x = lnp.absolute(x)
    outer = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return lnp.where(lnp.greater_equal(x, 2), 0, lnp.where(lnp.greater_equal(x, 1), outer, (1.5 * x - 2.5) * x * x + 1))


def _lanczos(radius: float) -> Callable[[Any], Any]:
    def kernel(x: Any) -> Any:
        x = lnp.absolute(x)
        near = lnp.less(x, 1e-3)  # sin(pi x) sin(pi x / r) / x^2 loses every digit there; 1 is within 2e-5 of it
        angle = np.pi * lnp.where(near, 1, x)
        value = radius * lnp.sin(angle) * lnp.sin(angle / radius) / lnp.square(angle)
        return lnp.where(lnp.greater(x, radius), 0, lnp.where(near, 1, value))

    return kernel


KERNELS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("linear", "bilinear", "trilinear"), _triangle),
    **dict.fromkeys(("cubic", "bicubic", "tricubic"), _keys_cubic),
    "lanczos3": _lanczos(3.0), "lanczos5": _lanczos(5.0),
}


def _weights(before: int, after: int, scale: Any, translation: Any, kernel: Callable[[Any], Any], antialias: bool) -> Any:
    """[before, after]: the share of each element in each resampled one, of centre (i + 1/2 - translation) / scale. Those of centre
    outside of the axis are 0; the others' shares add up to 1. ``antialias`` widens the kernel where the axis shrinks."""
    centre = (lnp.arange(after, dtype="float64") + 0.5 - translation) / scale - 0.5
    width = lnp.maximum(1 / scale, 1) if antialias else 1.0
    shares = kernel((lnp.expand_dims(centre, 0) - lnp.expand_dims(lnp.arange(before, dtype="float64"), 1)) / width)
    total = lnp.sum(shares, axis=0, keepdims=True)
    usable = lnp.greater(lnp.absolute(total), 1e-4)
    inside = lnp.logical_and(lnp.greater_equal(centre, -0.5), lnp.less_equal(centre, before - 0.5))
    return lnp.where(lnp.logical_and(usable, inside), shares / lnp.where(usable, total, 1), 0)


def _resampled(x: Any, axis: int, weights: Any) -> Any:
    return lnp.moveaxis(lnp.tensordot(x, lnp.astype(weights, x.dtype), ((axis,), (0,))), -1, axis)


def resize(images: Any, size: Sequence[int], interpolation: str = "bilinear", antialias: bool = False,
           crop_to_aspect_ratio: bool = False, pad_to_aspect_ratio: bool = False, fill_mode: str = "constant",
           fill_value: float = 0.0, data_format: str | None = None) -> Any:
    _one_of("interpolation", interpolation, ("bilinear", "nearest", "lanczos3", "lanczos5", "bicubic"))
    if fill_mode != "constant":
        raise ValueError("Invalid value for argument `fill_mode`. Only `'constant'` is supported. Received: "
                         f"fill_mode={fill_mode}")
    if pad_to_aspect_ratio and crop_to_aspect_ratio:
        raise ValueError("Only one of `pad_to_aspect_ratio` & `crop_to_aspect_ratio` can be `True`.")
    if len(size) != 2:
        raise ValueError(f"Argument `size` must be a tuple of two elements (height, width). Received: size={size}")
    images = _images(images)
    height = len(images.shape) - (3 if _channels_axis(data_format) == -1 else 2)
    axes, target = (height, height + 1), (int(size[0]), int(size[1]))
    if crop_to_aspect_ratio:
        images = _cropped(images, axes, target)
    elif pad_to_aspect_ratio:
        images = _padded(images, axes, target, fill_value)
    for axis, extent in zip(axes, target):
        images = _resized(images, axis, extent, interpolation, antialias)
    return images


def _resized(x: Any, axis: int, extent: int, interpolation: str, antialias: bool) -> Any:
    """One axis; nearest keeps the dtype, other kinds give floats."""
    before = x.shape[axis]
    if interpolation == "nearest":
        return lnp.take(x, np.floor((np.arange(extent) + 0.5) * before / extent).astype("int32"), axis=axis)
    x = as_float(x)
    if before == extent:
        return x
    return _resampled(x, axis, _weights(before, extent, extent / before, 0.0, KERNELS[interpolation], antialias))


def _fitting(shape: Sequence[int], axes: tuple[int, int], target: tuple[int, int]) -> tuple[int, int]:
    """The height of the target's aspect ratio at the images' width, and the width at their height."""
    height, width = (shape[axis] for axis in axes)
    return int(width * target[0] / target[1]), int(height * target[1] / target[0])


def _cropped(images: Any, axes: tuple[int, int], target: tuple[int, int]) -> Any:
    for axis, wanted in zip(axes, _fitting(images.shape, axes, target)):
        extent = max(min(images.shape[axis], wanted), 1)
        start = (images.shape[axis] - extent) // 2
        images = images[(slice(None),) * axis + (slice(start, start + extent),)]
    return images


def _padded(images: Any, axes: tuple[int, int], target: tuple[int, int], fill_value: float) -> Any:
    widths = [(0, 0)] * len(images.shape)
    for axis, wanted in zip(axes, _fitting(images.shape, axes, target)):
        widths[axis] = (max(wanted - images.shape[axis], 0) // 2,) * 2
    return lnp.pad(images, widths, constant_values=fill_value)


def scale_and_translate(images: Any, output_shape: Sequence[int], scale: Any, translation: Any, spatial_dims: Sequence[int],
                        method: str, antialias: bool = True) -> Any:
    _one_of("method", method, KERNELS)
    images = as_float(images)
    scale, translation = convert_to_tensor(scale, "float64"), convert_to_tensor(translation, "float64")
    for n, axis in enumerate(spatial_dims):
        images = _resampled(images, axis % len(images.shape), _weights(
            images.shape[axis], output_shape[axis], scale[n], translation[n], KERNELS[method], antialias))
    return images


# Sampling at coordinates.

def _mirrored(index: Any, extent: int) -> Any:
    """... 2 1 | 0 1 2 ... n-1 | n-2 ...: the last element is not repeated."""
    turn = max(extent - 1, 1)
    return lnp.absolute(lnp.remainder(index + turn, 2 * turn) - turn) if extent > 1 else lnp.zeros_like(index)


WRAPPED: dict[str, Callable[[Any, int], Any]] = {
    "nearest": lambda index, extent: lnp.clip(index, 0, extent - 1),
    "constant": lambda index, extent: lnp.clip(index, 0, extent - 1),
    "wrap": lnp.remainder,
    "mirror": _mirrored,
    "reflect": lambda index, extent: lnp.floor_divide(_mirrored(2 * index + 1, 2 * extent + 1), 2),
}


def _neighbours(coordinate: Any, extent: int, order: int, mode: str) -> list[tuple[Any, Any, Any]]:
    """(index, whether it lies within, weight) of the elements that take part in the value at a coordinate along one axis."""
    low = lnp.floor(coordinate)
    upper = coordinate - low
    if order == 0:
        found = [(lnp.where(lnp.greater_equal(upper, 0.5), low + 1, low), None)]
    else:
        found = [(low, 1 - upper), (low + 1, upper)]
    indices = [(lnp.astype(place, "int64"), weight) for place, weight in found]
    return [(WRAPPED[mode](index, extent), lnp.logical_and(lnp.greater_equal(index, 0), lnp.less(index, extent))
             if mode == "constant" else None, weight) for index, weight in indices]


def _sampled(rows: Any, start: Any, extents: Sequence[int], coordinates: Sequence[Any], order: int, mode: str, fill: Any) -> Any:
    """Rows [positions, channels] at coordinates of one shape: [..., channels]. Positions count from ``start`` over ``extents``."""
    terms: list[tuple[Any, Any, Any]] = [(start, None, None)]
    for coordinate, extent in zip(coordinates, extents):
        terms = [(position * extent + index, _both(lnp.logical_and, valid, inside), _both(lnp.multiply, share, weight))
                 for position, valid, share in terms for index, inside, weight in _neighbours(coordinate, extent, order, mode)]
    total: Any = None
    for position, valid, share in terms:
        value = lnp.take(rows, position, axis=0)
        if valid is not None:
            value = lnp.where(lnp.expand_dims(valid, -1), value, lnp.full((), fill, value.dtype))
        value = value if share is None else lnp.astype(lnp.expand_dims(share, -1), value.dtype) * value
        total = value if total is None else total + value
    return total


def _both(combine: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else combine(a, b)


def _interpolated(images: Any, y: Any, x: Any, order: int, mode: str, fill: Any) -> Any:
    """Images [n, height, width, channels] at coordinates [n or 1, height', width'] in their own dtype."""
    count, height, width, channels = images.shape
    wide = images if order == 0 else as_float(images)
    rows = lnp.reshape(wide, (count * height * width, channels))
    numbers = np.arange(count).reshape(count, 1, 1)
    shape = (count, *x.shape[1:])
    out = _sampled(rows, numbers * 1, (height, width), (lnp.broadcast_to(y, shape), lnp.broadcast_to(x, shape)), order, mode, fill)
    return _as_before(out, images.dtype)


def _as_before(x: Any, dtype: np.dtype) -> Any:
    """Rounded if the dtype is of ints, halves away from 0."""
    if kind_of(dtype) == "f" or x.dtype == dtype:
        return lnp.astype(x, dtype)
    return lnp.astype(lnp.sign(x) * lnp.floor(lnp.absolute(x) + 0.5), dtype)


def map_coordinates(inputs: Any, coordinates: Any, order: int, fill_mode: str = "constant", fill_value: float = 0.0) -> Any:
    inputs, coordinates = convert_to_tensor(inputs), as_float(coordinates)
    if coordinates.shape[0] != len(inputs.shape):
        raise ValueError("First dim of `coordinates` must be the same as the rank of `inputs`. Received inputs with shape: "
                         f"{tuple(inputs.shape)} and coordinate leading dim of {coordinates.shape[0]}")
    if len(coordinates.shape) < 2:
        raise ValueError("Invalid coordinates rank: expected at least rank 2. Received input with shape: "
                         f"{tuple(coordinates.shape)}")
    _one_of("fill_mode", fill_mode, FILL_MODES)
    _one_of("order", order, (0, 1))
    rows = lnp.reshape(inputs if order == 0 else as_float(inputs), (-1, 1))
    each = [coordinates[axis] for axis in range(len(inputs.shape))]
    found = _sampled(rows, np.int64(0), inputs.shape, each, order, fill_mode, fill_value)
    return _as_before(found[..., 0], inputs.dtype)


def _pixels(height: int, width: int) -> tuple[Any, Any]:
    """(y, x) of every pixel, [1, height, 1] and [1, 1, width]."""
    return np.arange(height, dtype="float32").reshape(1, -1, 1), np.arange(width, dtype="float32").reshape(1, 1, -1)


def _projected(images: Any, transform: Any, order: int, mode: str, fill: Any) -> Any:
    """Each pixel (x, y) of [n, height, width, channels] is the images' at the projective ``transform`` [n or 1, 8] of it."""
    a0, a1, a2, b0, b1, b2, c0, c1 = (lnp.reshape(transform[:, n], (-1, 1, 1)) for n in range(8))
    y, x = _pixels(*images.shape[1:3])
    depth = c0 * x + c1 * y + 1
    return _interpolated(images, (b0 * x + b1 * y + b2) / depth, (a0 * x + a1 * y + a2) / depth, order, mode, fill)


def affine_transform(images: Any, transform: Any, interpolation: str = "bilinear", fill_mode: str = "constant",
                     fill_value: float = 0, data_format: str | None = None) -> Any:
    order = ORDERS[_one_of("interpolation", interpolation, ORDERS)]
    _one_of("fill_mode", fill_mode, FILL_MODES)
    images, transform = _images(images), as_float(transform)
    if len(transform.shape) not in (1, 2):
        raise ValueError("Invalid transform rank: expected rank 1 (single transform) or rank 2 (batch of transforms). Received "
                         f"input with shape: transform.shape={tuple(transform.shape)}")
    transform = lnp.reshape(transform, (-1, 8))
    return _batched(lambda batch: _projected(batch, transform, order, fill_mode, fill_value), images, data_format)


def perspective_transform(images: Any, start_points: Any, end_points: Any, interpolation: str = "bilinear", fill_value: float = 0,
                          data_format: str | None = None) -> Any:
    order = ORDERS[_one_of("interpolation", interpolation, ORDERS)]
    images = _images(images)
    start, end = (_corners(name, points) for name, points in (("start_points", start_points), ("end_points", end_points)))
    if start.shape != end.shape:
        raise ValueError("start_points and end_points must have the same shape. Received start_points.shape="
                         f"{tuple(start.shape)}, end_points.shape={tuple(end.shape)}")
    transform = compute_homography_matrix(lnp.reshape(start, (-1, 4, 2)), lnp.reshape(end, (-1, 4, 2)))
    return _batched(lambda batch: _projected(batch, transform, order, "constant", fill_value), images, data_format)


def _corners(name: str, points: Any) -> Any:
    points = as_float(points)
    if len(points.shape) not in (2, 3) or tuple(points.shape[-2:]) != (4, 2):
        raise ValueError(f"Invalid {name} shape: expected (4,2) for a single image or (N,4,2) for a batch. Received shape: "
                         f"{tuple(points.shape)}")
    return points


def compute_homography_matrix(start_points: Any, end_points: Any) -> Any:
    """[n, 8]: the projective map that takes the four end points to the start points, its last coefficient 1.

    The map from the standard basis and (1, 1, 1) to four points has three of them, scaled, for columns, so no system of equations
    has to be solved: it is the product of the start points' map and the adjugate of the end points'. In f64: products of four
    coordinates of pixels want more than 24 bits.
    """
    start, end = _basis(start_points), _basis(end_points)
    inverse = [_cross(end[1], end[2]), _cross(end[2], end[0]), _cross(end[0], end[1])]
    matrix = [[sum(start[k][row] * inverse[k][column] for k in range(3)) for column in range(3)] for row in range(3)]
    flat = [value for row in matrix for value in row]
    return lnp.astype(lnp.stack([value / flat[8] for value in flat[:8]], -1), as_float(start_points).dtype)


def _basis(points: Any) -> list[list[Any]]:
    """The columns of the map to four points (x, y), [n, 4, 2]."""
    points = convert_to_tensor(points, "float64")
    corners = [[points[..., k, 0], points[..., k, 1], lnp.ones_like(points[..., k, 0])] for k in range(4)]
    shares = [_dot(corners[3], _cross(corners[(k + 1) % 3], corners[(k + 2) % 3])) for k in range(3)]
    return [[share * value for value in corner] for share, corner in zip(shares, corners)]


def _cross(a: list[Any], b: list[Any]) -> list[Any]:
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]


def _dot(a: list[Any], b: list[Any]) -> Any:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


# Filters.

def gaussian_blur(images: Any, kernel_size: Any = (3, 3), sigma: Any = (1.0, 1.0), data_format: str | None = None) -> Any:
    """``kernel_size`` and ``sigma`` are (along the width, along the height)."""
    images = _images(images)
    wide = as_float(images)
    sigma = convert_to_tensor(sigma, wide.dtype)
    sizes = [int(kernel_size[n]) for n in range(2)]
    return _as_before(_batched(lambda batch: _blurred(batch, sizes, sigma), wide, data_format), images.dtype)


def _blurred(batch: Any, sizes: Sequence[int], sigma: Any) -> Any:
    """One axis at a time: the kernel is a product of two."""
    channels = batch.shape[-1]
    for n, shape in ((0, (1, -1, 1, 1)), (1, (-1, 1, 1, 1))):
        distance = lnp.arange(sizes[n], dtype=batch.dtype) - (sizes[n] - 1) / 2
        bell = lnp.exp(-0.5 * lnp.square(distance / sigma[n]))
        kernel = lnp.tile(lnp.reshape(bell / lnp.sum(bell), shape), (1, 1, 1, channels))
        batch = nn.conv(batch, kernel, padding="SAME", groups=channels)
    return batch


def sobel_edges(images: Any, data_format: str | None = None) -> Any:
    """[..., 2]: differences along the height and the width."""
    images = as_float(images)
    channels = images.shape[_channels_axis(data_format)]
    taps = np.tile(np.stack([SOBEL, SOBEL.T], -1).reshape(3, 3, 1, 2), (1, 1, 1, channels))

    def run(batch: Any) -> Any:
        edges = nn.conv(batch, lnp.asarray(taps, batch.dtype), padding="SAME", groups=channels)
        return lnp.reshape(edges, (*batch.shape, 2))

    return _batched(run, images, data_format)


def elastic_transform(images: Any, alpha: Any = 20.0, sigma: Any = 5.0, interpolation: str = "bilinear", fill_mode: str = "reflect",
                      fill_value: float = 0.0, seed: Any = None, data_format: str | None = None) -> Any:
    order = ORDERS[_one_of("interpolation", interpolation, ORDERS)]
    _one_of("fill_mode", fill_mode, FILL_MODES)
    images, sigma = _images(images), convert_to_tensor(sigma)
    if isinstance(sigma, Tracer):
        raise MissingOpError("keras.ops.image.elastic_transform: a traced sigma gives a kernel whose size depends on data; fix: a "
                             "number")
    size, kind = int(6 * float(sigma)) | 1, as_float(images).dtype
    alpha, width, keys = convert_to_tensor(alpha, kind), lnp.asarray([float(sigma)] * 2, kind), random.split(draw_seed(seed))

    def run(batch: Any) -> Any:
        y, x = _pixels(*batch.shape[1:3])
        shifts = [_blurred(random.normal(key, (*batch.shape[:3], 1), kind) * width[0], (size, size), width)[..., 0]
                  for key in (keys[0], keys[1])]
        return _interpolated(batch, y + alpha * shifts[1], x + alpha * shifts[0], order, fill_mode, fill_value)

    return _batched(run, images, data_format)
