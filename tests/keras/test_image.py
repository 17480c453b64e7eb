"""keras.ops.image against loops in NumPy; Keras's own tests of it want TensorFlow."""

from __future__ import annotations

import colorsys
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("keras") is None:
    pytest.skip("Keras is not installed", allow_module_level=True)

import leptonc
from leptonc.keras.src.ops import image

RNG = np.random.default_rng(0)
X = RNG.uniform(size=(2, 7, 9, 3)).astype("float32")


def both(function, *arrays):
    """The result, op by op and compiled."""
    eager, compiled = function(*arrays), leptonc.jit(function)(*arrays)
    assert eager.dtype == compiled.dtype
    np.testing.assert_allclose(np.asarray(compiled, "float64"), np.asarray(eager, "float64"), rtol=2e-5, atol=2e-5)
    return eager


def first(x):
    return np.moveaxis(x, -1, -3)


@pytest.mark.parametrize("name, function", [("rgb_to_hsv", colorsys.rgb_to_hsv), ("hsv_to_rgb", colorsys.hsv_to_rgb)])
def test_colours(name, function):
    x = np.concatenate([X, np.zeros_like(X[:1]), np.ones_like(X[:1]), np.repeat(X[:1, ..., :1], 3, -1)])
    wanted = np.array([function(*pixel) for pixel in x.reshape(-1, 3).tolist()]).reshape(x.shape)
    run = getattr(image, name)
    np.testing.assert_allclose(both(run, x), wanted, atol=2e-6)
    np.testing.assert_allclose(run(first(x), data_format="channels_first"), first(wanted), atol=2e-6)
    with pytest.raises(ValueError, match="expected float dtype"):
        run(x.astype("uint8"))


def test_grey_keeps_the_dtype():
    wanted = X @ np.array([0.2989, 0.5870, 0.1140])
    np.testing.assert_allclose(both(image.rgb_to_grayscale, X)[..., 0], wanted, atol=1e-6)
    assert both(image.rgb_to_grayscale, (X * 255).astype("uint8")).dtype == np.uint8


KERNELS = {
    "bilinear": (1, lambda x: max(1 - abs(x), 0)),
    "bicubic": (2, lambda x: 1.5 * abs(x)**3 - 2.5 * x * x + 1 if abs(x) < 1
                else -0.5 * abs(x)**3 + 2.5 * x * x - 4 * abs(x) + 2 if abs(x) < 2 else 0),
    "lanczos3": (3, lambda x: np.sinc(x) * np.sinc(x / 3) if abs(x) < 3 else 0),
    "lanczos5": (5, lambda x: np.sinc(x) * np.sinc(x / 5) if abs(x) < 5 else 0),
}


def resampled(x, axis, extent, kernel, antialias):
    x, out = np.moveaxis(np.asarray(x, "float64"), axis, 0), []
    ratio = x.shape[0] / extent
    width = max(ratio, 1) if antialias else 1
    for i in range(extent):
        centre = (i + 0.5) * ratio - 0.5
        shares = np.array([kernel((centre - j) / width) for j in range(x.shape[0])])
        out.append(np.tensordot(shares / shares.sum(), x, 1))
    return np.moveaxis(np.stack(out), 0, axis)


@pytest.mark.parametrize("method", KERNELS)
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("size", [(3, 20), (14, 4)])
def test_resize(method, antialias, size):
    kernel = KERNELS[method][1]
    wanted = resampled(resampled(X, 1, size[0], kernel, antialias), 2, size[1], kernel, antialias)
    np.testing.assert_allclose(both(lambda x: image.resize(x, size, method, antialias), X), wanted, atol=2e-5)
    found = image.resize(first(X), size, method, antialias, data_format="channels_first")
    np.testing.assert_allclose(found, first(wanted), atol=2e-5)


def test_nearest_takes_elements_as_they_are():
    x = (X * 255).astype("uint8")
    found = both(lambda x: image.resize(x, (3, 20), "nearest"), x)
    np.testing.assert_array_equal(found, x[:, [1, 3, 5]][:, :, [int((i + 0.5) * 9 / 20) for i in range(20)]])


def test_aspect_ratio():
    cropped = image.resize(X, (7, 7), "nearest", crop_to_aspect_ratio=True)
    np.testing.assert_array_equal(cropped, X[:, :, 1:8])
    padded = image.resize(X, (9, 9), "nearest", pad_to_aspect_ratio=True, fill_value=2)
    np.testing.assert_array_equal(padded, np.pad(X, ((0, 0), (1, 1), (0, 0), (0, 0)), constant_values=2))


@pytest.mark.parametrize("method", ["linear", "cubic"])
def test_scale_and_translate_undoes_itself_in_parts(method):
    scale, shift = np.array([1.0, 1.0], "float32"), np.array([2.0, -3.0], "float32")
    moved = both(lambda x, s, t: image.scale_and_translate(x, (2, 7, 9, 3), s, t, (1, 2), method), X, scale, shift)
    np.testing.assert_allclose(moved[:, 2:, :6], X[:, :5, 3:], atol=1e-6)
    assert not moved[:, :2].any() and not moved[:, :, 6:].any()


PADS = {"nearest": "edge", "wrap": "wrap", "mirror": "reflect", "reflect": "symmetric"}


def sampled(x, at, order, mode, fill=0.0):
    """x padded far enough, at one position."""
    margin = 20
    pads = {"constant_values": fill} if mode == "constant" else {}
    wide = np.pad(np.asarray(x, "float64"), margin, mode=PADS.get(mode, mode), **pads)
    at = np.asarray(at, "float64") + margin
    if order == 0:
        return wide[tuple(np.floor(at + 0.5).astype(int))]
    low = np.floor(at).astype(int)
    corners = [np.array(bits) for bits in np.ndindex(*(2,) * x.ndim)]
    return sum(wide[tuple(low + bits)] * np.prod(np.where(bits, at - low, 1 - (at - low))) for bits in corners)


@pytest.mark.parametrize("mode", ["constant", *PADS])
@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("dtype", ["float32", "int32", "uint8"])
def test_map_coordinates(mode, order, dtype):
    x = (RNG.uniform(size=(4, 5)) * 200).astype(dtype)
    at = RNG.uniform(-12, 12, size=(2, 6, 7)).astype("float32")
    found = both(lambda x, at: image.map_coordinates(x, at, order, mode, 3), x, at)
    wanted = np.array([sampled(x, p, order, mode, 3) for p in at.reshape(2, -1).T]).reshape(6, 7)
    assert found.dtype == x.dtype
    np.testing.assert_allclose(found, wanted, atol=1e-3 if dtype == "float32" else 0.5 + 1e-3)


@pytest.mark.parametrize("interpolation, order", [("nearest", 0), ("bilinear", 1)])
@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_affine_transform(interpolation, order, mode):
    # No coordinate is halfway between two pixels, where rounding decides.
    transforms = np.array([[1, 0.2, -1.013, 0.1, 0.9, 2.027, 0, 0], [0.7, -0.3, 1.013, 0.4, 1.2, -2.027, 0.01, -0.02]], "float32")
    found = both(lambda x, t: image.affine_transform(x, t, interpolation, mode), X, transforms)
    for n, (a0, a1, a2, b0, b1, b2, c0, c1) in enumerate(transforms.astype("float64")):
        for y, x in np.ndindex(7, 9):
            k = c0 * x + c1 * y + 1
            at = ((b0 * x + b1 * y + b2) / k, (a0 * x + a1 * y + a2) / k)
            wanted = [sampled(X[n, ..., c], at, order, mode) for c in range(3)]
            np.testing.assert_allclose(found[n, y, x], wanted, atol=1e-4)
    turned = image.affine_transform(first(X), transforms, interpolation, mode, data_format="channels_first")
    np.testing.assert_allclose(turned, first(found), atol=1e-5)


def test_perspective_takes_end_points_to_start_points():
    start, end = RNG.uniform(0, 50, size=(2, 5, 4, 2)).astype("float32")
    found = both(image.compute_homography_matrix, start, end)
    matrix = np.concatenate([found, np.ones((5, 1))], 1).reshape(5, 3, 3)
    points = np.einsum("nij,nkj->nki", matrix, np.concatenate([end, np.ones((5, 4, 1))], -1))
    np.testing.assert_allclose(points[..., :2] / points[..., 2:], start, atol=2e-3)
    corners = np.array([[0, 0], [8, 0], [0, 6], [8, 6]], "float32")
    np.testing.assert_allclose(image.perspective_transform(X, corners, corners), X, atol=1e-4)
    shifted = both(lambda x: image.perspective_transform(x, corners + [[2, 1]], corners), X)
    np.testing.assert_allclose(shifted[:, :-1, :-2], X[:, 1:, 2:], atol=1e-4)


def convolved(x, kernel):
    low = [(n - 1) // 2 for n in kernel.shape]
    wide = np.pad(x, ((0, 0), (low[0], kernel.shape[0]), (low[1], kernel.shape[1]), (0, 0)))
    return sum(kernel[i, j] * wide[:, i:i + x.shape[1], j:j + x.shape[2]] for i, j in np.ndindex(*kernel.shape))


@pytest.mark.parametrize("size", [(3, 5), (4, 2)])
def test_gaussian_blur(size):
    bells = [np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / s)**2) for n, s in zip(size, (0.8, 1.3))]
    wanted = convolved(X, np.outer(bells[1] / bells[1].sum(), bells[0] / bells[0].sum()))
    np.testing.assert_allclose(both(lambda x: image.gaussian_blur(x, size, (0.8, 1.3)), X), wanted, atol=1e-6)
    found = image.gaussian_blur(first(X), size, (0.8, 1.3), data_format="channels_first")
    np.testing.assert_allclose(found, first(wanted), atol=1e-6)


def test_sobel_edges():
    edges = both(image.sobel_edges, X)
    for n, kernel in enumerate((image.SOBEL, image.SOBEL.T)):
        np.testing.assert_allclose(edges[..., n], convolved(X, kernel), atol=1e-5)
    np.testing.assert_allclose(image.sobel_edges(first(X), data_format="channels_first"), np.moveaxis(edges, 3, 1), atol=1e-6)


def test_elastic_transform_moves_pixels_by_a_seed():
    found = both(lambda x: image.elastic_transform(x, seed=3), X)
    assert found.shape == X.shape and abs(found.mean() - X.mean()) < 0.1 and not np.allclose(found, X)
    np.testing.assert_array_equal(found, image.elastic_transform(X, seed=3))
    np.testing.assert_allclose(image.elastic_transform(X, alpha=0.0, seed=3), X)


def test_gradients_are_those_of_linear_maps():
    """Of a map linear in the image, the gradient of <w, f(x)> does not depend on x, and <gradient, x> is the value."""
    at = RNG.uniform(-5, 12, size=(2, 7, 9)).astype("float32")
    maps = [lambda x: image.resize(x, (4, 12), "bicubic", True), lambda x: image.gaussian_blur(x), image.sobel_edges,
            lambda x: image.map_coordinates(x[0, ..., 0], at, 1, "reflect")]
    for f in maps:
        w = RNG.normal(size=f(X).shape).astype("float32")
        gradient = leptonc.grad(lambda x, f=f, w=w: (f(x) * w).sum())(X)
        np.testing.assert_allclose((gradient * X).sum(), (f(X) * w).sum(), rtol=1e-3, atol=1e-3)
