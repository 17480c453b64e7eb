"""A pool in the tile of its convolution."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import nn
from leptonc.ir.interpret import run_program
from tests.compare import both, lowered


def tiled(f, *args) -> bool:
    return any(call.kernel.outer for call in lowered(f, *args).program.calls)


def operands(rng, batch=3, extent=13, c=8, o=20):
    return (rng.standard_normal((batch, extent, extent + 4, c)).astype(np.float32),
            rng.standard_normal((3, 3, c, o)).astype(np.float32), rng.standard_normal(o).astype(np.float32))


def model(pool=nn.max_pool, padding="VALID", act=nn.relu, **window):
    return lambda x, w, b: pool(act(nn.conv(x, w, padding=padding) + b), **window)


@pytest.mark.parametrize("options", [
    {"window": 2}, {"window": 3}, {"window": 2, "stride": 3}, {"window": (2, 3)}, {"window": 2, "padding": "SAME"},
    {"window": 2, "act": lambda x: x}, {"window": 2, "pool": nn.avg_pool}, {"window": 2, "act": nn.tanh},
])
def test_tiled_and_equal(options, rng):
    f, args = model(**options), operands(rng)
    assert tiled(f, *args)
    (got,) = both(f, *args, rtol=1e-4, atol=1e-4)
    program = lowered(f, *args).program
    (wanted,) = run_program(program, args)
    np.testing.assert_allclose(got, wanted.reshape(got.shape), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("channels", "parts"), [(32, 1), (64, 2), (96, 3), (512, 4), (80, 1)])
def test_few_tiles_are_shared_out_by_channels(channels, parts, rng):
    f, args = model(window=2), operands(rng, 1, 10, 5, channels)  # four tiles of rows
    (kernel,) = [c.kernel for c in lowered(f, *args).program.calls if c.kernel.outer]
    assert [a.extent for a in kernel.outer[2:]] == ([parts] if parts > 1 else [])
    (got,) = both(f, *args, rtol=1e-4, atol=1e-4)
    (wanted,) = run_program(lowered(f, *args).program, args)
    np.testing.assert_allclose(got, wanted.reshape(got.shape), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("options", [{"window": 3, "stride": 2}, {"window": 3, "stride": 1}])
def test_not_where_windows_overlap(options, rng):
    f, args = model(**options), operands(rng)
    assert not tiled(f, *args)
    both(f, *args, rtol=1e-4, atol=1e-4)


def test_not_where_the_image_is_wanted(rng):
    x, w, b = operands(rng)

    def f(x, w, b):
        y = nn.conv(x, w) + b
        return y, nn.max_pool(y, window=2)

    assert not tiled(f, x, w, b)
    both(f, x, w, b, rtol=1e-4, atol=1e-4)


def test_one_dimension(rng):
    x, w = rng.standard_normal((2, 40, 6)).astype(np.float32), rng.standard_normal((5, 6, 24)).astype(np.float32)

    def f(x, w):
        return nn.max_pool(nn.relu(nn.conv(x, w)), window=3)

    assert tiled(f, x, w)
    both(f, x, w, rtol=1e-4, atol=1e-4)


def test_tiles_have_a_limit(rng):
    """A row of windows too large for the cache stays in memory."""
    x, w, b = operands(rng, batch=1, extent=4, c=1, o=8)
    wide = np.zeros((1, 6, 9000, 1), np.float32)
    assert tiled(model(window=2), x, w, b) and not tiled(model(window=2), wide, w, b)


def test_gradients_behind_a_tiled_pool(rng):
    x, w, b = operands(rng)

    def loss(w, b):
        return (model(window=2)(x, w, b) ** 2).mean()

    assert tiled(leptonc.grad(loss, argnums=(0, 1)), w, b)
    both(leptonc.grad(loss, argnums=(0, 1)), w, b, rtol=1e-3, atol=1e-4)
