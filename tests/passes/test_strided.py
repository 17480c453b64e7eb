"""Convolutions of stride 2 with 4x4 kernels by squares of their phases: where they are made, and that they are the convolution."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest

import leptonc
from leptonc import driver, nn
from leptonc.ir.interpret import run_program
from leptonc.passes.conv import staged_winograd, weightgrad, winograd
from tests.compare import exact, lowered


@pytest.fixture
def always(monkeypatch):
    """Small convolutions are taken as well, phase by phase of the algorithm."""
    monkeypatch.setattr(staged_winograd, "GAIN", 0)
    monkeypatch.setattr(staged_winograd, "tiled_work", lambda found, weight: inf)
    monkeypatch.setattr(weightgrad, "GAIN", 0)
    monkeypatch.setattr(weightgrad, "LEAST_POSITIONS", 0)


def operands(rng, shape, out, taps=(4, 4), dtype=np.float32):
    return rng.standard_normal(shape).astype(dtype), (rng.standard_normal((*taps, shape[-1], out)) * 0.1).astype(dtype)


def functions(x, w, options):
    """The convolution and its gradients, each with operands of its own."""
    def conv(x, w):
        return nn.conv(x, w, **options)

    def input_gradient(g, w):
        return leptonc.vjp(lambda x: conv(x, w), np.zeros(x.shape, g.dtype))[1](g)[0]

    def weight_gradient(x, g):
        return leptonc.vjp(lambda w: conv(x, w), np.zeros(w.shape, g.dtype))[1](g)[0]

    g = np.random.default_rng(7).standard_normal(leptonc.eval_shape(conv, x, w).shape).astype(x.dtype)
    return (conv, (x, w)), (input_gradient, (g, w)), (weight_gradient, (x, g))


def squares(low):
    """How many convolutions go by squares."""
    return sum("conv_winograd" in call.kernel.name for call in low.program.calls)


def assert_close_to_exact(f, args):
    """Compiled and interpreted: errors of a few roundings of the largest result. Returns the kernels."""
    wanted, low = np.asarray(exact(f, *args)), lowered(f, *args)
    for got in (low.compile()(*args), run_program(low.program, args)[0]):
        error = np.abs(np.asarray(got).reshape(wanted.shape) - wanted).max()
        assert got.dtype == args[0].dtype and error <= 20 * np.finfo(got.dtype).eps * max(np.abs(wanted).max(), 1), error
    return low


CASES = [  # images, units, options, which of forward, input and weight gradient go by squares
    ((3, 16, 16, 16), 24, {"stride": 2, "padding": 1}, (True, True, True)),
    ((1, 8, 12, 16), 32, {"stride": 2, "padding": "SAME"}, (True, True, True)),
    ((2, 14, 10, 16), 24, {"stride": 2, "padding": "VALID"}, (True, False, True)),  # 6x4 results of phases with 7x5
    ((3, 18, 14, 16), 24, {"stride": 2, "padding": ((1, 1), (2, 0))}, (True, False, True)),  # the last squares are cut off
    ((2, 13, 15, 16), 24, {"stride": 2, "padding": "SAME"}, (True, False, True)),  # phases that differ
    ((2, 12, 16, 16), 24, {"stride": (2, 1), "padding": 1}, (False, False, False)),  # four taps along the rows
]


@pytest.mark.parametrize("shape, out, options, by_squares", CASES)
def test_forms(shape, out, options, by_squares, always, rng):
    for (f, args), expected in zip(functions(*operands(rng, shape, out), options), by_squares):
        assert squares(assert_close_to_exact(f, args)) == expected


@pytest.mark.parametrize("taps, options", [((2, 2), {}), ((2, 3), {"padding": "SAME"}), ((6, 4), {"stride": 2, "padding": 2})])
def test_other_taps(taps, options, always, rng):
    """Two taps, or two and three, of stride 1 or of phases."""
    for f, args in functions(*operands(rng, (2, 12, 12, 16), 16, taps), options)[::2]:
        assert squares(assert_close_to_exact(f, args)) == 1


def test_double_precision_and_threads(always, rng):
    x, w = operands(rng, (2, 8, 8, 16), 32, dtype=np.float64)
    for f, args in functions(x, w, {"stride": 2, "padding": 1}):
        low = assert_close_to_exact(f, args)
        assert squares(low) == 1
        program = driver.compile_program(low.program)
        assert len({program.executable(list(args), nthreads=n)[0].tobytes() for n in (1, 2, 3)}) == 1


def test_what_is_fused_stays(always, rng):
    """Bias and leaky ReLU behind a convolution, its derivative behind the input gradient, updates behind that of the weights."""
    x, w = operands(rng, (2, 16, 16, 16), 16)

    def step(w, b, x):
        def loss(w, b):
            y = x
            for _ in range(2):
                y = nn.leaky_relu(nn.conv(y, w, stride=2, padding=1) + b, 0.2)
            return (y * y).mean()

        dw, db = leptonc.grad(loss, argnums=(0, 1))(w, b)
        return w - 0.1 * dw, b - 0.1 * db

    args = w, np.full(16, 0.1, np.float32), x
    low = lowered(step, *args)
    assert squares(low) == 5
    for got, wanted in zip(low.compile()(*args), exact(step, *args)):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["patches", "channels", "sparse"])
def test_zeros_stay_zeros(kind, always, rng):
    """Sums of products of which one or the other factor is 0 are exactly 0, forward and back."""
    for f, (a, b) in functions(*operands(rng, (2, 16, 16, 16), 16), {"stride": 2, "padding": 1}):
        a, b = a.copy(), b.copy()
        if kind == "patches":
            a[0, 1:7, 2:9], a[1, :, :5] = 0, 0
        elif kind == "channels":
            a[..., :-1], b[..., 3] = 0, 0
        else:
            a *= rng.random(a.shape) < 0.02
            b *= rng.random(b.shape) < 0.02
        low, none = lowered(f, a, b), exact(f, np.abs(a), np.abs(b)) == 0
        assert squares(low) == 1
        for got in (low.compile()(a, b), run_program(low.program, [a, b])[0]):
            assert np.array_equal(np.asarray(got).reshape(none.shape) == 0, none)


def one_after_the_other(x, w):
    """The direct sum as a loop of multiply-adds has it."""
    rows, columns = x.shape[1] // 2 - 1, x.shape[2] // 2 - 1
    total = np.zeros((len(x), rows, columns, w.shape[-1]), x.dtype)
    for y, z, c in np.ndindex(w.shape[:3]):
        total += x[:, y:y + 2 * rows:2, z:z + 2 * columns:2, c:c + 1] * w[y, z, c]
    return total


@pytest.mark.parametrize("kind", ["normal", "network"])
def test_about_as_exact_as_a_direct_sum(kind, always, rng):
    """Mean error against f64 beside that of direct sums in f32: no larger than that of 3x3 kernels by 4x4 squares."""
    x, w = operands(rng, (4, 18, 18, 32), 32)
    if kind == "network":  # behind a leaky ReLU, with DCGAN's weights
        x, w = np.where(x > 0, x, 0.2 * x).astype(np.float32), w / 5

    def f(x, w):
        return nn.conv(x, w, stride=2)

    def error(y):
        return np.sqrt(np.mean((y - truth) ** 2))

    low, truth = lowered(f, x, w), exact(f, x, w)
    assert squares(low) == 1
    assert error(low.compile()(x, w)) <= 2.2 * error(one_after_the_other(x, w))


def test_tiles(monkeypatch, rng):
    """The same by tiles, whose squares never leave the cache."""
    monkeypatch.setattr(winograd, "GAIN", 0)
    for f, args in functions(*operands(rng, (4, 16, 16, 16), 24), {"stride": 2, "padding": 1})[:2]:
        low = assert_close_to_exact(f, args)
        (kernel,) = [call.kernel for call in low.program.calls if "conv_winograd" in call.kernel.name]
        assert kernel.outer


@pytest.mark.parametrize("shape, out, options, chosen", [
    ((64, 16, 16, 64), 128, {}, (True, True, True)), ((64, 8, 8, 128), 256, {}, (True, True, True)),  # DCGAN's
    ((64, 32, 32, 3), 64, {}, (False, False, False)),  # a first layer: few channels
    ((2, 8, 8, 128), 256, {}, (False, False, False)),  # few images: the weights' transform would take longest
    ((64, 16, 16, 64), 64, {"dilation": 2}, (False, False, False)),
    ((64, 16, 16, 64), 64, {"groups": 2}, (False, False, False)),
])
def test_chosen_where_it_is_less_work(shape, out, options, chosen):
    x = leptonc.ShapeDtypeStruct(shape, np.float32)
    w = leptonc.ShapeDtypeStruct((4, 4, shape[-1] // options.get("groups", 1), out), np.float32)
    made = functions(x, w, {"stride": 2, "padding": 1, **options})
    assert tuple(bool(squares(lowered(f, *args))) for f, args in made) == chosen
