"""Winograd convolutions: where they are made, and that they are the convolution, about as exactly as direct sums."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import driver, nn
from leptonc.ir.interpret import run_program
from tests.compare import exact, lowered


def by_squares(low) -> int:
    """How many kernels go by squares."""
    return sum("winograd" in call.kernel.name and bool(call.kernel.outer) for call in low.program.calls)


def operands(rng, shape=(2, 12, 18, 24), out=40, kernel=(3, 3), dtype=np.float32):
    return rng.standard_normal(shape).astype(dtype), (rng.standard_normal((*kernel, shape[-1], out)) * 0.1).astype(dtype)


def assert_close_to_exact(f, *args):
    """Compiled and interpreted: errors of a few roundings of the largest result, more for long sums, as a random walk."""
    dtype, products = args[0].dtype, 9 * max(args[0].shape[-1], args[1].shape[-2])
    wanted, low = exact(f, *args), lowered(f, *args)
    for got in (low.compile()(*args), run_program(low.program, args)[0]):
        assert got.dtype == dtype
        error = np.abs(np.asarray(got).reshape(wanted.shape) - wanted).max()
        assert error <= max(8, products ** 0.5) * np.finfo(dtype).eps * np.abs(wanted).max(), error
    return low


FORMS = {
    "valid": lambda x, w: nn.conv(x, w),
    "same": lambda x, w: nn.conv(x, w, padding="SAME"),
    "relu": lambda x, w: nn.relu(nn.conv(x, w, padding="SAME") * 2 + 1),
    "pool": lambda x, w: nn.max_pool(nn.relu(nn.conv(x, w, padding="SAME")), window=2),
    "pool leaves a row out": lambda x, w: nn.max_pool(nn.conv(x, w), window=2),
    "two in a row": lambda x, w: nn.conv(nn.relu(nn.conv(x, w, padding="SAME")), w.transpose(0, 1, 3, 2), padding="SAME"),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("form", FORMS)
def test_forms(form, dtype, rng):
    args = operands(rng, (2, 13, 17, 24) if "leaves" in form else (2, 12, 18, 24), dtype=dtype)
    assert by_squares(assert_close_to_exact(FORMS[form], *args))


def test_input_gradients(rng):
    """Read against the taps, with the channels changed over."""
    x, w = operands(rng)
    g = rng.standard_normal((2, 12, 18, 40)).astype(np.float32)

    def f(g, w):
        _, back = leptonc.vjp(lambda x: nn.conv(x, w, padding="SAME"), x.astype(g.dtype))
        return back(g)[0]

    assert by_squares(assert_close_to_exact(f, g, w)) == 1


@pytest.mark.parametrize("make", [
    lambda rng: (operands(rng), {"stride": 2}),
    lambda rng: (operands(rng), {"dilation": 2}),
    lambda rng: (operands(rng, kernel=(5, 5)), {}),
    lambda rng: (operands(rng, kernel=(3, 1)), {}),
    lambda rng: (operands(rng, (2, 12, 18, 3)), {}),  # few channels: nothing to gain
    lambda rng: (operands(rng, out=4), {}),
    lambda rng: (operands(rng, (1, 9, 9, 16)), {}),  # odd extents
])
def test_not_where_it_does_not_fit(make, rng):
    args, options = make(rng)

    def f(x, w):
        return nn.conv(x, w, **options)

    low = lowered(f, *args)
    assert not by_squares(low)
    np.testing.assert_allclose(low.compile()(*args), exact(f, *args), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", ["valid", "relu"])
def test_parts_of_wide_images(form, rng):
    """Whole rows would leave the cache."""
    x, w = operands(rng, (1, 10, 210, 64), 64) if form == "valid" else operands(rng, (1, 8, 208, 64), 64)
    low = assert_close_to_exact(FORMS[form], x, w)
    (kernel,) = [c.kernel for c in low.program.calls if c.kernel.name.startswith("conv_winograd")]
    columns = {i.index[2] for i in kernel.stages[-1].stores}
    assert all(len(index.axes) == 2 for index in columns), "an outer axis over the parts, another within"


@pytest.mark.parametrize("shape, out", [((1, 4, 74, 24), 160), ((1, 4, 6, 8), 200), ((3, 6, 60, 90), 16), ((1, 2, 40, 130), 130),
                                        ((40, 4, 4, 16), 16)])
def test_narrow_and_wide(shape, out, rng):
    """Whatever the tile of the products: what is made within the kernel cannot be packed before it."""
    x, w = operands(rng, shape, out)
    assert_close_to_exact(lambda x, w: nn.conv(x, w, padding="SAME"), x, w)


def test_weights_are_transformed_once_for_equal_uses(rng):
    x, w = operands(rng)

    def f(x, y, w):
        return nn.conv(x, w).sum() + (nn.conv(y, w) ** 2).sum()

    names = [call.kernel.name for call in lowered(f, x, x + 1, w).program.calls]
    assert sum(name.startswith("conv_winograd") for name in names) == 2 and names.count("winograd_weights") == 1


def test_same_bits_for_any_number_of_threads(rng):
    x, w = operands(rng)
    program = driver.compile_program(lowered(FORMS["pool"], x, w).program)
    assert len({program.executable([x, w], nthreads=n)[0].tobytes() for n in (1, 2, 3, 8)}) == 1


def points(low) -> list[int]:
    """At how many points the squares of each such kernel are: the first extent of its transformed weights."""
    kernels = [call.kernel for call in low.program.calls if call.kernel.name.startswith("conv_winograd")]
    return [kernel.params[0].type.shape[0] for kernel in kernels]


IMAGES = {16: (2, 20, 20), 24: (2, 18, 20), 36: (8, 18, 18)}  # whose results come in squares at that many points


def one_after_the_other(x, w):
    """The direct sum as a loop of multiply-adds has it; BLAS, and so the eager mode, adds up shorter sums."""
    rows, columns = x.shape[1] - 2, x.shape[2] - 2
    total = np.zeros((len(x), rows, columns, w.shape[-1]), x.dtype)
    for y, z, c in np.ndindex(w.shape[:3]):
        total += x[:, y:y + rows, z:z + columns, c:c + 1] * w[y, z, c]
    return total


@pytest.mark.parametrize("count, most", [(16, 1), (24, 1.5), (36, 2.5)])
def test_about_as_exact_as_a_direct_sum(count, most, rng):
    """Mean error against f64, beside that of direct sums in f32."""
    x, w = operands(rng, (*IMAGES[count], 16), 24)

    def f(x, w):
        return nn.conv(x, w)

    def error(y):
        return np.sqrt(np.mean((y - truth) ** 2))

    low, truth = lowered(f, x, w), exact(f, x, w)
    assert points(low) == [count]
    ours = error(low.compile()(x, w))
    assert ours <= most * error(one_after_the_other(x, w))
    if count == 16:
        with leptonc.disable_jit():
            assert ours <= 2 * error(leptonc.jit(f)(x, w))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", IMAGES)
def test_zeros_make_zeros(count, dtype, rng):
    """Exactly: the gradient of a ReLU behind it is 0 there, and would be 1 of every other rounding error."""
    x, w = operands(rng, (*IMAGES[count], 16), 24, dtype=dtype)
    x[0, 4:11, 3:12], x[1, :, :9], x[1, 7] = 0, 0, 0

    def f(x, w):
        return nn.conv(x, w)

    def through_relu(x, w):
        return leptonc.grad(lambda x: nn.relu(nn.conv(x, w)).sum())(x)

    low, wanted = lowered(f, x, w), exact(f, x, w)
    assert points(low) == [count]
    for got in (low.compile()(x, w), np.asarray(run_program(low.program, [x, w])[0]).reshape(wanted.shape)):
        assert (wanted == 0).any() and np.array_equal(got == 0, wanted == 0)
    np.testing.assert_allclose(leptonc.jit(through_relu)(x, w), exact(through_relu, x, w), atol=1e-4)


@pytest.mark.parametrize("count", [16, 36])
def test_zero_cotangents(count, rng):
    """They make gradients of exactly 0."""
    n, rows, columns = IMAGES[count][0], *(e - 2 for e in IMAGES[count][1:])
    w = (rng.standard_normal((3, 3, 16, 24)) * 0.1).astype(np.float32)
    g = rng.standard_normal((n, rows, columns, 24)).astype(np.float32)
    g[0, 2:9, 3:12], g[1, :, 5:9] = 0, 0

    def gradient(g, w):
        _, pull = leptonc.vjp(lambda x: nn.conv(x, w, padding="SAME"), np.zeros((n, rows, columns, 16), g.dtype))
        return pull(g)[0]

    low, wanted = lowered(gradient, g, w), exact(gradient, g, w)
    assert points(low) == [count]
    assert (wanted == 0).any() and np.array_equal(low.compile()(g, w) == 0, wanted == 0)


@pytest.mark.parametrize("count", IMAGES)
@pytest.mark.parametrize("kind", ["taps", "pairs", "sparse"])
def test_zero_weights(count, kind, rng):
    """Sums of products of which one or the other factor is 0 are exactly 0, forward and back."""
    x, w = operands(rng, (*IMAGES[count], 16), 24)
    x *= rng.random(x.shape) < 0.1
    keep = {"taps": (3, 3, 1, 24), "pairs": (1, 1, 16, 24), "sparse": w.shape}[kind]
    w *= rng.random(keep) < (0.1 if kind == "sparse" else 0.4)

    def forward(x, w):
        return nn.conv(x, w)

    def back(g, w):
        _, pull = leptonc.vjp(lambda x: nn.conv(x, w), np.zeros((len(g), g.shape[1] + 2, g.shape[2] + 2, 24), g.dtype))
        return pull(g)[0]

    for f, args in ((forward, (x, w)), (back, (x, w.transpose(0, 1, 3, 2)))):
        none, low = exact(f, *map(np.abs, args)) == 0, lowered(f, *args)
        got = low.compile()(*args)
        assert none.any() and not got[none].any()
        interpreted = np.asarray(run_program(low.program, args)[0]).reshape(got.shape)
        assert not interpreted[none].any()


def test_what_is_wild_is_not_hidden(rng):
    """An infinity or NaN times 0 is NaN, of the input or of the weights."""
    x, w = operands(rng, (*IMAGES[36], 16), 24)
    w[:, :, 3, 5] = 0
    x[0, 6, 6, 3], w[1, 1, 2, 7] = np.inf, np.nan
    with np.errstate(invalid="ignore"):
        got, direct = leptonc.jit(nn.conv)(x, w), exact(nn.conv, x, w)
    assert np.isnan(direct[0, 5, 5, 5]) and np.isnan(got[np.isnan(direct)]).all()


def test_an_infinity_is_seen(rng):
    """It may turn into NaN within its square, nowhere else, and never into a number."""
    x, w = operands(rng)
    x[0, 5, 7, 3] = np.inf
    got = leptonc.jit(lambda x, w: nn.conv(x, w))(x, w)
    direct = exact(lambda x, w: nn.conv(x, w), x, w)
    assert not np.isfinite(got[~np.isfinite(direct)]).any()
    reached = np.zeros(got.shape, bool)
    reached[0, 2:6, 4:8] = True
    assert np.isfinite(got[~reached]).all()
