"""Weight gradients by Winograd's algorithms: where they are made, and that they are gradients, about as exact as direct sums."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest

import leptonc
from leptonc import driver, nn
from leptonc.ir.interpret import run_program
from leptonc.passes.conv import weightgrad
from leptonc.stages import Lowered
from tests.compare import exact, lowered


@pytest.fixture(autouse=True)
def short_sums(monkeypatch):
    """Small images will do."""
    monkeypatch.setattr(weightgrad, "LEAST_POSITIONS", 0)


def operands(rng: np.random.Generator, shape: tuple[int, ...] = (6, 12, 18, 24), out: int = 40, taps: tuple[int, int] = (3, 3),
             dtype: Any = np.float32) -> list[np.ndarray]:
    """Input, weights, and numbers that the results are multiplied by: the results' cotangents."""
    x, w = rng.standard_normal(shape), rng.standard_normal((*taps, shape[-1], out)) * 0.1
    return [a.astype(dtype) for a in (np.maximum(x, 0), w, rng.standard_normal((*shape[:-1], out)))]


def gradient(**options: Any) -> Any:
    """Of the weights of a convolution, "SAME" unless said otherwise."""
    def back(x: Any, w: Any, g: Any) -> Any:
        def loss(w: Any) -> Any:
            y = nn.conv(x, w, **{"padding": "SAME", **options})
            return (y * g[:, :y.shape[1], :y.shape[2]]).sum()

        return leptonc.grad(loss)(w)

    return back


def forms(low: Lowered) -> list[int]:
    """Points of each weight gradient that is made so."""
    return [k.outputs[-1].type.shape[-3] for k in products(low)]


def products(low: Lowered) -> list[Any]:
    return [c.kernel for c in low.program.calls if c.kernel.name == "winograd_products"]


def assert_close_to_exact(f: Any, *args: Any) -> Lowered:
    """Compiled and interpreted: errors of a few roundings of the largest result. Returns the kernels."""
    wanted, dtype, low = np.asarray(exact(f, *args)), args[0].dtype, lowered(f, *args)
    for got in (low.compile()(*args), run_program(low.program, args)[0]):
        assert got.dtype == dtype
        error = np.abs(np.asarray(got).reshape(wanted.shape) - wanted).max()
        assert error <= 40 * np.finfo(dtype).eps * np.abs(wanted).max(), error
    return low


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape, out, options, points", [
    ((6, 12, 16, 24), 40, {}, 36),
    ((6, 14, 18, 24), 40, {"padding": "VALID"}, 36),
    ((6, 12, 18, 24), 40, {}, 36),  # squares that reach beyond the image
    ((6, 13, 15, 24), 40, {}, 36),
    ((12, 7, 7, 37), 43, {}, 36),
    ((16, 12, 2, 24), 40, {}, 24),  # 4 by 2
    ((40, 2, 2, 37), 43, {}, 16),
    ((9, 15, 17, 24), 24, {"padding": "VALID"}, 36),
    ((24, 5, 9, 37), 43, {"padding": ((0, 2), (1, 3))}, 24),
    ((1, 40, 40, 64), 24, {}, 36),
    ((15, 8, 8, 24), 70, {"padding": ((2, 2), (1, 1))}, 36),  # 10 rows of results from 8 of inputs
])
def test_forms(shape, out, options, points, dtype, rng):
    args = operands(rng, shape, out, dtype=dtype)
    f = gradient(**options)
    rows, columns = leptonc.eval_shape(lambda x, w: nn.conv(x, w, **{"padding": "SAME", **options}), *args[:2]).shape[1:3]
    args[2] = rng.standard_normal((shape[0], rows, columns, out)).astype(dtype)
    assert forms(assert_close_to_exact(f, *args)) == [points]


@pytest.mark.parametrize("make", [
    lambda rng: (operands(rng), {"stride": 2}),
    lambda rng: (operands(rng), {"dilation": 2}),
    lambda rng: (operands(rng, taps=(5, 5)), {}),
    lambda rng: (operands(rng, taps=(3, 1)), {}),
    lambda rng: (operands(rng, (6, 12, 18, 3)), {}),  # few channels: nothing to gain
    lambda rng: (operands(rng, (6, 3, 3, 24)), {}),  # hardly more than a square
    lambda rng: (operands(rng, (1, 4, 4, 64), 64), {}),  # few squares: the transforms cost more than they save
])
def test_not_where_it_does_not_fit(make, rng):
    args, options = make(rng)
    low = lowered(gradient(**options), *args)
    assert not forms(low)
    np.testing.assert_allclose(low.compile()(*args), exact(gradient(**options), *args), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("shape, out, options, tile", [
    ((32, 16, 16, 8), 9, {}, (2, 4, 4)),  # some images
    ((2, 64, 64, 16), 16, {}, (1, 2, 16)),  # rows of one
    ((1, 64, 128, 10), 16, {"padding": "VALID"}, (1, 1, 32)),
    ((32, 13, 15, 16), 16, {}, (2, 4, 4)),  # squares that reach beyond the image
])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tiles(shape, out, options, tile, dtype, rng, monkeypatch):
    """Of some squares, which are multiplied while they are in cache; thread by thread the same bits."""
    monkeypatch.setattr(weightgrad, "TILE_BYTES", 36 * prod(tile) * (shape[-1] + out) * np.dtype(dtype).itemsize)
    x, w, _ = operands(rng, shape, out, dtype=dtype)
    f = gradient(**options)
    results = leptonc.eval_shape(lambda x, w: nn.conv(x, w, **{"padding": "SAME", **options}), x, w).shape
    g = rng.standard_normal(results).astype(dtype)
    low = assert_close_to_exact(f, x, w, g)
    (kernel,) = products(low)
    assert prod(a.extent for a in kernel.stages[0].axes[:-1]) == prod(tile) and kernel.outer
    program = driver.compile_program(low.program)
    assert len({program.executable([x, w, g], nthreads=n)[0].tobytes() for n in (1, 2, 3)}) == 1


def test_what_lies_beyond_a_slice_is_not_read(rng):
    """Squares could reach beyond it, into cotangents of something else."""
    x, w, g = operands(rng, (6, 12, 16, 24))
    g = np.concatenate([g, np.full_like(g, np.nan)], 2)

    def f(x, w, g):
        return gradient()(x, w, g[:, :, :16])

    low = lowered(f, x, w, g)
    assert forms(low) == [36] and np.isfinite(low.compile()(x, w, g)).all()
    odd = x[:, :11, :15], w, g
    assert_close_to_exact(lambda x, w, g: gradient()(x, w, g[:, :11, :15]), *odd)


def test_groups_are_left_alone(rng):
    x, w, g = operands(rng, (6, 12, 16, 32), 32)
    f = gradient(groups=2)
    args = x, w[:, :, :16], g
    low = lowered(f, *args)
    assert not forms(low)
    np.testing.assert_allclose(low.compile()(*args), exact(f, *args), rtol=1e-4, atol=1e-3)


def test_updates_follow_in_the_same_kernel(rng):
    """The gradient itself never lies in memory."""
    x, w, g = operands(rng)

    def update(x, w, g):
        return w - 0.1 * gradient()(x, w, g)

    kernels = [c.kernel.name for c in assert_close_to_exact(update, x, w, g).program.calls]
    assert kernels[-1].startswith("conv_winograd_weight_grad+") and kernels.count("winograd_products") == 1


def one_after_the_other(x: np.ndarray, g: np.ndarray) -> np.ndarray:
    """The direct sums of a padded image as a loop of multiply-adds has them."""
    rows, columns = g.shape[1:3]
    total = np.zeros((3, 3, x.shape[-1], g.shape[-1]), x.dtype)
    for n, y, z in np.ndindex(g.shape[:3]):
        total += x[n, y:y + 3, z:z + 3, :, None] * g[n, y, z]
    assert (rows, columns) == (x.shape[1] - 2, x.shape[2] - 2)
    return total


@pytest.mark.parametrize("shape, points", [((12, 24, 24, 24), 36), ((90, 34, 2, 24), 24), ((400, 2, 2, 40), 16)])
def test_about_as_exact_as_a_direct_sum(shape, points, rng):
    """Mean error against f64, beside that of direct sums in f32: less where sums are long, for squares are summed first, and up to
    1.8 times as much where they are short and registers small."""
    x, w, g = operands(rng, shape, shape[-1])
    f = gradient()
    low, truth = lowered(f, x, w, g), exact(f, x, w, g)
    assert forms(low) == [points]

    def error(dw):
        return np.sqrt(np.mean((dw - truth) ** 2))

    direct = one_after_the_other(np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), g)
    assert error(low.compile()(x, w, g)) <= 2 * error(direct)


@pytest.mark.parametrize("shape", [(6, 12, 16, 24), (6, 12, 18, 24), (6, 14, 18, 24)])
def test_channels_that_hold_nothing_have_no_gradient(shape, rng):
    x, w, g = operands(rng, shape)
    x[..., 3], g[..., 7] = 0, 0
    f = gradient()
    low = lowered(f, x, w, g)
    assert forms(low)
    dw = low.compile()(x, w, g)
    assert np.array_equal(dw == 0, exact(f, x, w, g) == 0) and (dw[:, :, 3] == 0).all() and (dw[..., 7] == 0).all()


@pytest.mark.parametrize("shape", [(6, 12, 16, 24), (6, 13, 15, 24), (2, 12, 2, 24), (40, 2, 2, 37)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_taps_whose_products_are_0(shape, dtype, rng):
    """Exactly 0, though the channels hold something, and other taps meet it."""
    x, w, g = operands(rng, shape, dtype=dtype)
    few = 8 / np.sqrt(9 * g[..., 0].size)
    x *= rng.random(x.shape) < few
    g *= rng.random(g.shape) < few
    none = exact(gradient(), np.abs(x), w, np.abs(g)) == 0
    alive = ~none.all((0, 1))
    assert (none & alive).any() and not none.all()
    low = lowered(gradient(), x, w, g)
    for got in (low.compile()(x, w, g), run_program(low.program, [x, w, g])[0]):
        assert np.array_equal(np.asarray(got).reshape(none.shape) == 0, none)


def test_an_infinity_is_seen(rng):
    """It may turn into NaN, also at taps that do not reach it, in its channel alone."""
    x, w, g = operands(rng)
    x[2, 5, 7, 3] = np.inf
    dw, direct = leptonc.jit(gradient())(x, w, g), exact(gradient(), x, w, g)
    assert not np.isfinite(dw[~np.isfinite(direct)]).any()
    assert np.isfinite(np.delete(dw, 3, axis=2)).all()


def test_same_bits_for_any_number_of_threads(rng):
    args = operands(rng)
    program = driver.compile_program(lowered(gradient(), *args).program)
    assert len({program.executable(args, nthreads=n)[0].tobytes() for n in (1, 2, 3, 8)}) == 1


def test_all_of_a_layer_at_once(rng):
    """Both gradients of two layers, between ReLUs, with their masks."""
    x, w, _ = operands(rng, (6, 12, 16, 16), 24)
    last = (rng.standard_normal((3, 3, 24, 16)) * 0.1).astype(np.float32)

    def loss(params, x):
        y = nn.relu(nn.conv(x, params[0], padding="SAME"))
        return (nn.relu(nn.conv(y, params[1], padding="SAME")) ** 2).sum()

    def grads(w, last, x):
        return leptonc.grad(loss)((w, last), x)

    low = lowered(grads, w, last, x)
    assert forms(low) == [36, 36]
    with leptonc.disable_jit():
        wanted = leptonc.jit(grads)(*(a.astype(np.float64) for a in (w, last, x)))
    for got, direct in zip(low.compile()(w, last, x), wanted, strict=True):
        assert np.abs(got - direct).max() <= 1e-5 * np.abs(direct).max()


def test_donated_weights_are_updated_in_place(rng):
    """Each pair of channels reads and writes all of its taps."""
    x, w, g = operands(rng)
    m = rng.standard_normal(w.shape).astype(np.float32)

    def update(w, m, x, g):
        m = 0.9 * m + gradient()(x, w, g)
        return w - 0.1 * m, m

    low = leptonc.jit(update, donate_argnums=(0, 1)).trace(w, m, x, g).lower()
    assert [c.kernel.name for c in low.program.calls].count("copy") == 0 and forms(low) == [36]
    wanted = exact(update, w, m, x, g)
    for got, direct in zip(driver.compile_program(low.program)([w.copy(), m.copy(), x, g]), wanted, strict=True):
        assert np.abs(got - direct).max() <= 1e-5 * np.abs(direct).max()


def test_not_of_few_positions(monkeypatch, rng):
    """Gradients that are sums of few products would have errors of the others' size, and Adam makes full steps of them."""
    monkeypatch.setattr(weightgrad, "LEAST_POSITIONS", 1024)
    few, many = (lowered(gradient(), *operands(rng, (n, 12, 12, 48))) for n in (2, 8))
    assert not forms(few) and forms(many)


def test_not_where_the_squares_would_fill_the_memory():
    shapes = [leptonc.ShapeDtypeStruct(s, np.float32) for s in ((32, 112, 112, 64), (3, 3, 64, 64), (32, 112, 112, 64))]
    fewer = [leptonc.ShapeDtypeStruct((8, *s.shape[1:]), np.float32) if s.shape[0] == 32 else s for s in shapes]
    assert not forms(lowered(gradient(), *shapes)) and forms(lowered(gradient(), *fewer))
