"""keras.ops: Fourier transforms; a complex tensor is a pair of its real and imaginary parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.keras.src.ops.tensors import convert_to_tensor
from leptonc.numpy import fft as transforms
from leptonc.numpy.complexes import complex_
from leptonc.operators import installed

at = installed("at")


def _get_complex_tensor_from_tuple(x: Any) -> Any:
    """Raises ValueError unless x is two float tensors of one shape."""
    if not isinstance(x, tuple | list) or len(x) != 2:
        raise ValueError(f"Input `x` should be a tuple of two tensors - real and imaginary. Received: x={x}")
    real, imag = (convert_to_tensor(part) for part in x)
    if real.shape != imag.shape:
        raise ValueError("Input `x` should be a tuple of two tensors - real and imaginary. Both the real and imaginary parts "
                         f"should have the same shape. Received: x[0].shape = {real.shape}, x[1].shape = {imag.shape}")
    if not all(lnp.issubdtype(part.dtype, np.floating) for part in (real, imag)):
        raise ValueError(f"At least one tensor in input `x` is not of type float. Received: x={x}.")
    return complex_(*(part if part.dtype.itemsize > 2 else lnp.astype(part, np.float32) for part in (real, imag)))


def _parts(z: Any) -> tuple[Any, Any]:
    return lnp.real(z), lnp.imag(z)


def fft(x: Any) -> tuple[Any, Any]:
    return _parts(transforms.fft(_get_complex_tensor_from_tuple(x)))


def fft2(x: Any) -> tuple[Any, Any]:
    return _parts(transforms.fft2(_get_complex_tensor_from_tuple(x)))


def ifft2(x: Any) -> tuple[Any, Any]:
    return _parts(transforms.ifft2(_get_complex_tensor_from_tuple(x)))


def rfft(x: Any, fft_length: int | None = None) -> tuple[Any, Any]:
    return _parts(transforms.rfft(convert_to_tensor(x), fft_length))


def irfft(x: Any, fft_length: int | None = None) -> Any:
    return transforms.irfft(_get_complex_tensor_from_tuple(x), fft_length)


_COSINES = {"hann": (0.5, 0.5), "hamming": (0.54, 0.46)}  # of a whole period


def _window(window: Any, length: int, points: int, dtype: Any) -> Any:
    """[points]: the window of ``length`` elements in the middle, zeros beside it. Raises ValueError for one of another length."""
    before = (points - length) // 2
    if window is None:
        return lnp.ones(points, dtype)
    if isinstance(window, str):
        if window not in _COSINES:
            raise ValueError('If a string is passed to `window`, it must be one of `"hann"`, `"hamming"`. '
                             f"Received: window={window}")
        mean, swing = _COSINES[window]
        window = (mean - swing * np.cos(2 * np.pi * np.arange(length) / length)).astype(dtype)
    window = convert_to_tensor(window, dtype)
    if len(window.shape) != 1 or window.shape[0] != length:
        raise ValueError("The shape of `window` must be equal to [sequence_length]."
                         f"Received: window shape={window.shape}")
    return lnp.pad(window, ((before, points - length - before),))


def _places(count: int, points: int, stride: int) -> np.ndarray:
    """[count, points]: where the elements of each frame lie."""
    return np.arange(count)[:, None] * stride + np.arange(points)


def stft(x: Any, sequence_length: int, sequence_stride: int, fft_length: int, window: Any = "hann",
         center: bool = True) -> tuple[Any, Any]:
    """[..., frames, fft_length // 2 + 1]. Raises TypeError for what is no f32 or f64, ValueError for lengths that do not fit."""
    x = convert_to_tensor(x)
    if x.dtype.name not in ("float32", "float64"):
        raise TypeError(f"Invalid input type. Expected `float32` or `float64`. Received: input type={x.dtype}")
    if fft_length < sequence_length:
        raise ValueError("`fft_length` must equal or larger than `sequence_length`. Received: "
                         f"sequence_length={sequence_length}, fft_length={fft_length}")
    if center:
        side = fft_length // 2
        x = lnp.pad(x, [(0, 0)] * (len(x.shape) - 1) + [(side, side)], mode="reflect")
    frames = (x.shape[-1] - fft_length) // sequence_stride + 1
    rows = lnp.take(x, _places(frames, fft_length, sequence_stride), axis=-1)
    return _parts(transforms.rfft(rows * _window(window, sequence_length, fft_length, x.dtype)))


def _added_up(rows: Any, stride: int) -> Any:
    """Frames [..., count, points] where they lie, overlapping ones added."""
    count, points = rows.shape[-2:]
    whole = lnp.zeros((*rows.shape[:-2], points + stride * (count - 1)), rows.dtype)
    flat = lnp.reshape(rows, (*rows.shape[:-2], count * points))
    return at(whole)[..., _places(count, points, stride).reshape(-1)].add(flat)


def istft(x: Any, sequence_length: int, sequence_stride: int, fft_length: int, length: int | None = None, window: Any = "hann",
          center: bool = True) -> Any:
    """The signal whose frames overlap so, weighted by the window again. Raises ValueError for fewer than two axes."""
    z = _get_complex_tensor_from_tuple(x)
    if len(z.shape) < 2:
        raise ValueError(f"Input `x` must have at least 2 dimensions. Received shape: {z.shape}")
    rows = transforms.irfft(z, fft_length)
    weights = _window(window, sequence_length, fft_length, rows.dtype)
    total = _added_up(rows * weights, sequence_stride)
    norm = _added_up(lnp.broadcast_to(weights * weights, rows.shape[-2:]), sequence_stride)
    signal = total / lnp.where(norm > 1e-10, norm, lnp.ones_like(norm))
    if window is None:
        signal = signal * (fft_length / sequence_stride)
    start = fft_length // 2 if center else 0
    if length is not None:
        return signal[..., start:start + length]
    return signal[..., start:signal.shape[-1] - start]
