"""Signals: the mel scale, known while tracing, and Fourier transforms, whose complex numbers are pairs along a last axis."""

from __future__ import annotations

from typing import Any

import numpy as np

import leptonc.numpy as lnp
from leptonc import lax
from tests.peers.onnx import types
from tests.peers.onnx.registry import Node, op
from tests.peers.onnx.values import known, one


def _complex(pairs: Any) -> Any:
    return lax.complex(pairs[..., 0], pairs[..., 1]) if pairs.shape[-1] == 2 else pairs[..., 0]


def _pairs(z: Any) -> Any:
    return lnp.stack([lnp.real(z), lnp.imag(z)], -1)


@op("DFT", known=(1, 2))
def fourier(node: Node, x: Any, length: Any = None, axis: Any = None) -> Any:
    """Half of the result, or of what is transformed back, where it is of reals and ``onesided``."""
    along = node.get("axis", 1) if axis is None else one(axis)
    along = (along if node.opset < 20 or axis is not None else -2) % len(x.shape)
    z, n = _complex(x), None if length is None else one(length)
    if not node.get("inverse", 0):
        return _pairs((lnp.fft.rfft if node.get("onesided", 0) else lnp.fft.fft)(z, n, along))
    if node.get("onesided", 0):
        return lnp.fft.irfft(z, n, along)[..., None]
    return _pairs(lnp.fft.ifft(z, n, along))


@op("STFT", known=(1, 3))
def short_time_fourier(node: Node, signal: Any, step: Any, window: Any = None, length: Any = None) -> Any:
    """Transforms of windows of the signal [batch, samples, 1 or 2] that begin ``step`` apart: [batch, windows, frequencies, 2]."""
    size = window.shape[0] if length is None else one(length)
    starts = np.arange(0, signal.shape[1] - size + 1, one(step))
    frames = _complex(signal)[:, starts[:, None] + np.arange(size)]
    frames = frames if window is None else frames * window
    return _pairs((lnp.fft.rfft if node.get("onesided", 1) and signal.shape[-1] == 1 else lnp.fft.fft)(frames))


@op("MelWeightMatrix", known=(0, 1, 2, 3, 4))
def mel_weights(node: Node, bins: Any, length: Any, rate: Any, low: Any, high: Any) -> Any:
    count, n = one(bins), one(length)
    ends = [2595 * np.log10(1 + known(f).item() / 700) for f in (low, high)]
    edges = 700 * (10 ** ((ends[0] + np.arange(count + 2) * (ends[1] - ends[0]) / (count + 2)) / 2595) - 1)
    places = ((n + 1) * edges // known(rate).item()).astype(np.int64)
    out, j = np.zeros((n // 2 + 1, count)), np.arange(n // 2 + 1)
    for i, (first, middle, last) in enumerate(zip(places, places[1:], places[2:])):
        up = (j - first) / (middle - first) if middle > first else np.ones(len(j))
        down = (last - j) / max(last - middle, 1)
        out[:, i] = np.where((j >= first) & (j <= middle), up, 0) if middle > first else j == middle
        out[:, i] = np.where((j >= middle) & (j < last), down, out[:, i])
    return lnp.asarray(out.astype(types.dtype(node.get("output_datatype", 1))))
