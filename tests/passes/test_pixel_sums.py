"""Sums over pixels of what Winograd's squares make: gradients of biases, means and variances of a normalization.

The error of a transformed weight is the same at every square, and does not average out as those of direct sums do."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import nn
from leptonc.passes.conv import forms, squares, staged_winograd, weightgrad, winograd
from tests.compare import lowered

EPS = float(np.finfo(np.float32).eps)
CHANNELS = 16


@pytest.fixture(params=["F22", "F42", "F23", "F43"])
def form(request, monkeypatch):
    """Only one form, everywhere."""
    found = getattr(forms, request.param)
    monkeypatch.setattr(squares, "FORMS", {found.taps: (found,)})
    for module in (winograd, staged_winograd, weightgrad):
        monkeypatch.setattr(module, "GAIN", 0)
    return found


def direct(x, w, dtype):
    """The convolution as a loop of multiply-adds has it."""
    tall, wide = (extent - taps + 1 for extent, taps in zip(x.shape[1:3], w.shape))
    total = np.zeros((len(x), tall, wide, w.shape[-1]), dtype)
    for y, z, c in np.ndindex(w.shape[:3]):
        total += x[:, y:y + tall, z:z + wide, c:c + 1].astype(dtype) * w[y, z, c].astype(dtype)
    return total


def all_three(x, w, g, dtype):
    """The convolution, its input's gradient and that of its weights, by direct sums."""
    around = [(0, 0), *[(len(w) - 1,) * 2] * 2, (0, 0)]
    dx = direct(np.pad(g, around), w[::-1, ::-1].swapaxes(2, 3), dtype)
    dw = direct(x.transpose(3, 1, 2, 0), g.transpose(1, 2, 0, 3), dtype).transpose(1, 2, 0, 3)
    return direct(x, w, dtype), dx, dw


def size(x):
    return np.sqrt(np.mean(np.square(x)))


def sums(y):
    return np.asarray(y, np.float64).sum((0, 1, 2))


def test_sums_over_pixels(form, rng):
    """Of numbers about 0 within some times the error of direct sums; of numbers about 1 within the rounding of the sum itself."""
    def program(x, w, g):
        y, back = leptonc.vjp(nn.conv, x, w)
        return y, *back(g)

    for mean in (0, 1):
        x, g = (((rng.standard_normal((4, extent, extent, CHANNELS))) + mean).astype(np.float32) for extent in (15 + form.taps, 16))
        w = (rng.standard_normal((form.taps, form.taps, CHANNELS, CHANNELS)) * 0.1).astype(np.float32)
        if not mean:
            step = leptonc.jit(program)
            assert str(lowered(program, x, w, g).program).count("winograd_") > 3
        y, dx, dw = step(x, w, g)
        exact, plain = (all_three(x, w, g, dtype) for dtype in (np.float64, np.float32))
        for found, of, by in zip((y, dx), exact, plain):
            most = EPS * size(sums(of)) if mean else 6 * size(sums(by) - sums(of))
            assert size(sums(found) - sums(of)) <= most
        assert size(dw - exact[2]) <= max(2 * size(plain[2] - exact[2]), 2 * EPS * size(exact[2]))
