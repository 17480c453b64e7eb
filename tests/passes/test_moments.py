"""A mean and a variance in one pass over memory: where they are, and that they are as exact as in two."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import leptonc
from leptonc import driver, nn
from leptonc import numpy as lnp
from leptonc.ir.interpret import run_program
from tests.compare import both, lowered


def moments(x: Any, axes: tuple[int, ...] = (0, 1, 2)) -> tuple[Any, Any]:
    off = x - lnp.mean(x, axes, keepdims=True)
    return lnp.mean(x, axes), lnp.mean(off * off, axes)


def joined(f: Any, *args: Any) -> int:
    return sum(call.kernel.name.endswith("+moments") for call in lowered(f, *args).program.calls)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape, axes", [
    ((16, 24, 24, 16), (0, 1, 2)),
    ((7, 31, 33, 5), (0, 1, 2)),  # channels that fill no vector
    ((8, 6, 24, 40), (0, 2, 3)),  # channels in the middle
    ((6, 40, 50, 1), (0, 1, 2)),
])
def test_moments_of_any_axes(shape, axes, dtype, rng):
    x = (3 + rng.standard_normal(shape)).astype(dtype)
    assert joined(lambda x: moments(x, axes), x) == 1
    wanted = x.mean(axes, np.float64), x.var(axes, np.float64)
    program = lowered(lambda x: moments(x, axes), x).program
    for got in (leptonc.jit(lambda x: moments(x, axes))(x), run_program(program, [x])):
        for a, b in zip(got, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=50 * np.finfo(dtype).eps)
    compiled = driver.compile_program(program)
    assert len({b"".join(a.tobytes() for a in compiled.executable([x], nthreads=n)) for n in (1, 2, 3)}) == 1


@pytest.mark.parametrize("mean, spread", [(1e4, 0.1), (-100, 1e-2), (1e-3, 1e3), (3, 0)])
def test_large_mean_and_small_variance(mean, spread, rng):
    """No more error than two passes have."""
    x = (mean + spread * rng.standard_normal((16, 32, 32, 8))).astype(np.float32)
    exact = x.var((0, 1, 2), np.float64)
    two = driver.Options(disable=frozenset({"join-moments"}))
    graph = driver.optimize(leptonc.make_graph(moments)(x))
    once, twice = (driver.compile_program(driver.lower(graph, {}, options))([x])[1] for options in (driver.Options(), two))
    floor = 4 * np.finfo(np.float32).eps * exact.max()
    assert (once >= 0).all() and np.abs(once - exact).max() <= 1.5 * np.abs(twice - exact).max() + floor


def test_a_channel_of_equal_numbers_has_no_variance(rng):
    x = rng.standard_normal((16, 32, 32, 8)).astype(np.float32)
    x[..., 2], x[..., 5] = 0, 0.75
    assert joined(moments, x) and np.array_equal(np.asarray(leptonc.jit(moments)(x)[1]) == 0, np.isin(np.arange(8), (2, 5)))


def test_numbers_that_are_none(rng):
    x = rng.standard_normal((16, 32, 32, 8)).astype(np.float32)
    x[3, 4, 5, 1], x[15, 0, 0, 6] = np.nan, np.inf
    mean, var = map(np.asarray, leptonc.jit(moments)(x))
    assert np.array_equal(np.isnan(mean), np.arange(8) == 1) and np.array_equal(np.isnan(var), np.isin(np.arange(8), (1, 6)))


@pytest.mark.parametrize("f", [
    lambda x: (lnp.sum(x, (0, 1, 2)), lnp.sum(x * x, (0, 1, 2))),  # about no mean
    lambda x: lnp.sum((x - lnp.mean(x, (0, 1, 2))) ** 3, (0, 1, 2)),
    lambda x: moments(x[:2, :4, :4]),  # so short that each is one sum
])
def test_not_where_it_does_not_fit(f, rng):
    x = rng.standard_normal((16, 32, 32, 8)).astype(np.float32)
    assert not joined(f, x)
    both(f, x, rtol=1e-4, atol=1e-5)


def test_a_deviation_from_something_else(rng):
    """The identity holds for any number that the elements are compared with."""
    x, a = rng.standard_normal((16, 32, 32, 8)).astype(np.float32), np.float32([0, 1, -3, 10, 0.1, 1e3, -1e-3, 7])

    def f(x: Any, a: Any) -> Any:
        off = x - (lnp.sum(x, (0, 1, 2)) * 1e-5 + a)
        return lnp.sum(off * off, (0, 1, 2))

    assert joined(f, x, a) == 1
    both(f, x, a, rtol=1e-5, atol=1e-6)


def test_batch_norm_behind_a_convolution_and_its_gradient(rng):
    x, w = (rng.standard_normal(s).astype(np.float32) for s in ((8, 26, 26, 9), (3, 3, 9, 12)))
    scale, bias, mean, var = (rng.random(12).astype(np.float32) + 0.5 for _ in range(4))

    def loss(w: Any, scale: Any, bias: Any) -> tuple[Any, Any]:
        y, *running = nn.batch_norm(nn.conv(x, w, padding=1), mean, var, scale, bias, training=True)
        return (nn.relu(y) ** 2).mean(), running

    def f(*args: Any) -> Any:
        return leptonc.value_and_grad(loss, (0, 1, 2), has_aux=True)(*args)

    assert joined(f, w, scale, bias) == 1
    both(f, w, scale, bias, rtol=1e-4, atol=1e-5)
