"""keras.ops' Fourier transforms and complex tensors: NumPy is the oracle, op by op and in a compiled function."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import keras

ops = keras.ops
RNG = np.random.default_rng(7)
RE, IM = (RNG.standard_normal((3, 8, 12)).astype(np.float32) for _ in range(2))
SIGNAL = RNG.standard_normal((2, 200)).astype(np.float32)


def both(f, *arguments):
    """The result, equal op by op and compiled."""
    eager, compiled = f(*arguments), leptonc.jit(f)(*arguments)
    for a, b in zip(leptonc.tree.leaves(eager), leptonc.tree.leaves(compiled), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    return compiled


def near(got, wanted):
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["fft", "fft2", "ifft2"])
def test_transforms(name):
    real, imag = both(getattr(ops, name), (RE, IM))
    near(real + 1j * imag, getattr(np.fft, name)(RE + 1j * IM))


def test_of_reals():
    real, imag = both(lambda x: ops.rfft(x, 10), RE)
    near(real + 1j * imag, np.fft.rfft(RE, 10))
    near(both(lambda a, b: ops.irfft((a, b), 9), RE, IM), np.fft.irfft(RE + 1j * IM, 9))


def _frames(x, length, stride, points, window, center):
    side = points // 2
    x = np.pad(x, [(0, 0), (side, side)], mode="reflect") if center else x
    full = np.zeros(points)
    full[(points - length) // 2:][:length] = window
    rows = np.stack([x[:, s:s + points] for s in range(0, x.shape[1] - points + 1, stride)], 1)
    return np.fft.rfft(rows * full)


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("window", ["hann", "hamming", None])
def test_short_time_transforms(window, center):
    length, stride, points = 16, 4, 20
    real, imag = both(lambda x: ops.stft(x, length, stride, points, window, center), SIGNAL)
    angle = 2 * np.pi * np.arange(length) / length
    numbers = {"hann": 0.5 - 0.5 * np.cos(angle), "hamming": 0.54 - 0.46 * np.cos(angle)}
    if window is None:
        near(real + 1j * imag, _frames(SIGNAL, points, stride, points, 1.0, center))
        return
    near(real + 1j * imag, _frames(SIGNAL, length, stride, points, numbers[window], center))
    back = both(lambda a, b: ops.istft((a, b), length, stride, points, 200 if center else None, window, center), real, imag)
    inside = slice(None) if center else slice(points, -points)
    near(back[:, inside], SIGNAL[:, :back.shape[1]][:, inside])


def test_complex_tensors():
    z = both(ops.view_as_complex, np.stack([RE, IM], -1))
    near(z, RE + 1j * IM)
    near(both(ops.view_as_real, z), np.stack([RE, IM], -1))
    near(both(lambda a: ops.conj(a) * ops.real(a) + ops.imag(a), z), np.conj(z) * z.real + z.imag)
    near(both(ops.angle, z), np.angle(z))
    assert ops.convert_to_tensor(np.ones(2, complex)).dtype == np.complex64


def test_wrong_calls():
    with pytest.raises(ValueError, match="tuple of two"):
        ops.fft((RE,))
    with pytest.raises(ValueError, match="same shape"):
        ops.fft((RE, IM[0]))
    with pytest.raises(ValueError, match="fft_length"):
        ops.stft(SIGNAL, 16, 4, 8)


def test_layers_of_spectrograms():
    layer = keras.layers.STFTSpectrogram(frame_length=16, frame_step=8, fft_length=16)
    out = both(lambda x: layer(x), SIGNAL[..., None])
    assert out.shape[0] == 2 and np.isfinite(out).all()
