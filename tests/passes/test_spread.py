"""Winograd convolutions phase by phase: right at any extent, and chosen where tiles would read too many weights."""

from __future__ import annotations

from itertools import product
from math import inf

import numpy as np
import pytest

import leptonc
from leptonc import driver, nn
from leptonc import numpy as lnp
from leptonc.ir.interpret import run_program
from leptonc.ir.kernel import Kernel
from leptonc.ir.kernelbuilder import KernelBuilder
from leptonc.ir.types import TensorType, f32
from leptonc.passes.conv import staged_winograd as spread
from leptonc.passes.conv.convolution import find_convolution
from leptonc.passes.conv.forms import FORMS as BY_TAPS
from tests.compare import exact, lowered

FORMS = {
    "valid": lambda x, w: nn.conv(x, w),
    "same": lambda x, w: nn.conv(x, w, padding="SAME"),
    "relu": lambda x, w: nn.relu(nn.conv(x, w, padding="SAME") * 2 + 1),
    "residual": lambda x, w: nn.conv(x, w, padding="SAME") + nn.conv(x, w[1:2, 1:2], padding="SAME"),
    "two in a row": lambda x, w: nn.conv(nn.relu(nn.conv(x, w, padding="SAME")), w.transpose(0, 1, 3, 2), padding="SAME"),
}


def phases(low) -> list[str]:
    return [call.kernel.name for call in low.program.calls]


@pytest.fixture(params=[(2,), (4,), (2, 4)], ids=["2x2", "4x4", "mixed"])
def always(request, monkeypatch):
    """The pass takes every convolution, by squares of so many results."""
    def forms(taps):
        return list(product(*([f for f in BY_TAPS.get(count, ()) if f.results in request.param] for count in taps)))

    monkeypatch.setattr(spread, "square_forms", forms)
    monkeypatch.setattr(spread, "GAIN", 0)
    monkeypatch.setattr(spread, "tiled_work", lambda found, weight: inf)


@pytest.mark.parametrize("extents, dtype", [
    ((7, 7), np.float32), ((8, 12), np.float32), ((13, 5), np.float64), ((3, 14), np.float32),
])
@pytest.mark.parametrize("form", FORMS)
def test_forms(form, extents, dtype, always, rng):
    """Squares that reach beyond the image leave what lies around it alone: the next convolution's zeros."""
    x = rng.standard_normal((3, *extents, 16)).astype(dtype)
    w = (rng.standard_normal((3, 3, 16, 24)) * 0.1).astype(dtype)
    f = FORMS[form]
    wanted, low = exact(f, x, w), lowered(f, x, w)
    assert "winograd_products" in phases(low)
    compiled = driver.compile_program(low.program)
    results = [compiled.executable([x, w], nthreads=n)[0] for n in (1, 2, 3)]
    assert len({np.asarray(a).tobytes() for a in results}) == 1
    for got in (results[0], run_program(low.program, [x, w])[0]):
        error = np.abs(np.asarray(got).reshape(wanted.shape) - wanted).max()
        assert error <= 16 * np.finfo(dtype).eps * max(np.abs(wanted).max(), 1)


@pytest.mark.parametrize("extents", [(7, 9), (8, 8), (6, 13)])
def test_training(extents, always, rng):
    """Input gradients, read against the taps, with what is fused behind them, and weight gradients beside them."""
    x = rng.standard_normal((2, *extents, 16)).astype(np.float32)
    params = [(rng.standard_normal((3, 3, 16, 16)) * 0.1).astype(np.float32) for _ in range(3)]

    def loss(params, x):
        for w in params:  # smooth: where a ReLU is near 0, rounding decides whether it passes a gradient
            x = lnp.tanh(nn.conv(x, w, padding="SAME"))
        return (x * x).mean()

    def step(params, x):
        value, grads = leptonc.value_and_grad(loss)(params, x)
        return value, [w - 0.1 * g for w, g in zip(params, grads)]

    low = lowered(step, params, x)
    assert phases(low).count("winograd_products") >= 5
    for got, wanted in zip(leptonc.tree.leaves(low.compile()(params, x)), leptonc.tree.leaves(exact(step, params, x))):
        np.testing.assert_allclose(got, wanted, rtol=2e-4, atol=2e-6)


def test_what_lies_behind_the_input_is_not_read(always, rng):
    """The convolution of a part of an image: what is not its own input may hold anything."""
    x = rng.standard_normal((2, 14, 14, 16)).astype(np.float32)
    w = (rng.standard_normal((3, 3, 16, 24)) * 0.1).astype(np.float32)
    x[:, 9:], x[:, :, 9:] = np.inf, np.nan

    def f(x, w):
        return nn.conv(x[:, :9, :9], w)

    np.testing.assert_allclose(leptonc.jit(f)(x, w), exact(f, x, w), atol=1e-4)


def test_squares_are_cut_off_only_where_the_buffer_ends():
    """Seen on the kernel: the same convolution, of an image that has one row more."""
    def kernel(rows: int) -> Kernel:
        b = KernelBuilder("conv")
        x, w = b.input(TensorType((2, rows, 9, 16), f32)), b.input(TensorType((3, 3, 16, 24), f32))
        out = b.output(TensorType((2, 7, 7, 24), f32))
        n, y, z, o = b.axes((2, 7, 7, 24))
        ky, kx, c = b.axes((3, 3, 16), reduce=True)
        stage = b.stage([n, y, z, o, ky, kx, c])
        product = stage.mul(stage.load(x, (n, y + ky, z + kx, c)), stage.load(w, (ky, kx, c, o)))
        stage.store(out, (n, y, z, o), stage.reduce("sum", product))
        return b.build()

    found = [find_convolution(kernel(rows)) for rows in (9, 10)]
    assert [spread._ends(f) for f in found] == [True, False]


def test_shared_weights_are_transformed_once(always, rng):
    x, w = rng.standard_normal((2, 8, 8, 16)), rng.standard_normal((3, 3, 16, 16)) * 0.1
    made = phases(lowered(lambda x, w: nn.conv(nn.conv(x, w, padding="SAME"), w, padding="SAME"), x, w))
    assert made.count("winograd_products") == 2 and made.count("winograd_weights") == 1


def test_zeros_make_zeros(always, rng):
    """A ReLU behind sums over nothing but zeros passes no gradient."""
    x = rng.standard_normal((2, 11, 10, 16)).astype(np.float32)
    w = (rng.standard_normal((3, 3, 16, 24)) * 0.1).astype(np.float32)
    x[0, 3:9, 2:8], x[1, :, :6] = 0, 0

    def f(x, w):
        return nn.conv(x, w, padding="SAME")

    wanted = exact(f, x, w)
    assert (wanted == 0).any() and np.array_equal(leptonc.jit(f)(x, w) == 0, wanted == 0)


@pytest.mark.parametrize("extents", [(11, 10), (8, 8), (5, 6)])
def test_zero_weights(extents, always, rng):
    """Sums of products of which one or the other factor is 0 are exactly 0, forward and back."""
    x = (rng.standard_normal((2, *extents, 16)) * (rng.random((2, *extents, 16)) < 0.1)).astype(np.float32)
    w = (rng.standard_normal((3, 3, 16, 16)) * (rng.random((3, 3, 16, 16)) < 0.1)).astype(np.float32)

    def back(g, w):
        return leptonc.vjp(lambda x: nn.conv(x, w, padding="SAME"), np.zeros_like(x, g.dtype))[1](g)[0]

    for f in (FORMS["same"], back):
        none, got = exact(f, np.abs(x), np.abs(w)) == 0, leptonc.jit(f)(x, w)
        assert none.any() and np.array_equal(got == 0, none)


@pytest.mark.parametrize("shape, out, chosen", [
    ((16, 7, 7, 512), 512, True),  # no tile of odd extents
    ((64, 14, 14, 256), 256, True), ((16, 16, 16, 256), 256, True),
    ((64, 8, 8, 128), 128, False), ((16, 28, 28, 128), 128, False), ((16, 28, 28, 256), 256, False),  # tiles are as good
    ((2, 7, 7, 512), 512, False),  # the weights' transform would take longest
    ((32, 9, 9, 16), 16, False),
])
def test_chosen_where_weights_are_many_and_squares_few(shape, out, chosen):
    types = leptonc.ShapeDtypeStruct(shape, np.float32), leptonc.ShapeDtypeStruct((3, 3, shape[-1], out), np.float32)
    assert ("winograd_products" in phases(lowered(FORMS["same"], *types))) == chosen


def test_not_for_other_convolutions(always, rng):
    x, w = rng.standard_normal((2, 9, 9, 16)).astype(np.float32), rng.standard_normal((5, 5, 16, 16)).astype(np.float32)
    for f in (lambda x, w: nn.conv(x, w), lambda x, w: nn.conv(x, w[:3, :3], stride=2),
              lambda x, w: nn.conv(x, w[:3, :3], dilation=2), lambda x, w: nn.conv(x[..., :4], w[:3, :3, :4])):
        assert "winograd_products" not in phases(lowered(f, x, w))


def test_frozen_weights_are_transformed_beforehand(always, rng):
    x = rng.standard_normal((2, 7, 7, 16)).astype(np.float32)
    w = (rng.standard_normal((3, 3, 16, 24)) * 0.1).astype(np.float32)
    f = leptonc.jit(lambda w, x: nn.relu(nn.conv(x, w, padding="SAME")))
    prepare, step = driver.lower_frozen(driver.optimize(f.trace(w, x).graph), 1)
    assert [call.kernel.name for call in prepare.calls].count("winograd_weights") == 1
    assert "winograd_weights" not in [call.kernel.name for call in step.calls]
    np.testing.assert_allclose(leptonc.freeze(f, w)(x), exact(f, w, x), rtol=1e-4, atol=1e-5)
