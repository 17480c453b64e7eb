"""Reads that may be out of range (padding, windows, gaps), and what fusion, phases and halos make of them."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import driver, grad, lax, nn
from leptonc import numpy as lnp
from leptonc.ir.interpret import run_program
from tests.compare import both


def check(f, *args):
    """Compiled as eager, and so are the kernels by themselves."""
    both(f, *args, rtol=1e-4, atol=1e-5)
    leaves = leptonc.tree.leaves(args)
    program = driver.lower(driver.optimize(leptonc.make_graph(f)(*args)))
    with leptonc.disable_jit():
        wanted = leptonc.tree.leaves(f(*args))
    for got, want in zip(run_program(program, leaves), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5 * max(1.0, float(np.abs(want).max(initial=0))))


# A cut is read beyond its end: what lies there in the buffer it was cut from is not the pad


@pytest.mark.parametrize("cut", [slice(None, 17), slice(0, 64), slice(3, 17), slice(None, None, 2), slice(60, None)])
@pytest.mark.parametrize("pad", [(3, 2), (0, 5), (4, 0)])
def test_a_padded_cut_ends_where_it_was_cut(cut, pad):
    check(lambda x: lnp.pad(x[cut], pad), np.arange(1, 66, dtype=np.float32))
    check(lambda x: lnp.pad(lnp.sin(x[cut]) * 2, pad), np.arange(1, 66, dtype=np.float32))


def test_a_padded_cut_of_rows_and_columns(rng):
    x = rng.standard_normal((9, 11)).astype(np.float32)
    check(lambda x: lnp.pad(x[:5, :7], ((0, 3), (1, 2))), x)
    check(lambda x: lax.pad(x[:5], 2.5, [(-1, 3, 1), (2, -1, 2)]), x)
    check(lambda x: lnp.pad(lnp.broadcast_to(x[:1], (1, 11)), ((2, 1), (0, 0))), x)


@pytest.mark.parametrize("pool", [nn.max_pool, nn.avg_pool])
def test_a_padded_window_over_a_cut(pool, rng):
    x = rng.standard_normal((2, 8, 8, 4)).astype(np.float32)
    check(lambda x: pool(x[:, :7, :7], 3, stride=1, padding=1), x)
    check(grad(lambda x: lnp.sum(pool(x[:, :7, 1:], 3, stride=2, padding=1) ** 2)), x)


@pytest.mark.parametrize("cut", [np.s_[:, :5, :5], np.s_[:, 2:, :7], np.s_[:, ::2, 1::3], np.s_[:1]])
def test_the_gradient_of_a_cut_convolution(cut, rng):
    x, w = rng.standard_normal((2, 9, 9, 4)).astype(np.float32), rng.standard_normal((3, 3, 4, 8)).astype(np.float32)
    check(grad(lambda x, w: lnp.sum(nn.conv(x, w, padding=1)[cut] ** 2), argnums=(0, 1)), x, w)


# Gaps beside a contraction, which are none of its factors'


@pytest.mark.parametrize("cut", [np.s_[::2], np.s_[1::3], np.s_[:, ::4], np.s_[::3, 1::2]])
def test_a_strided_cut_beside_a_product(cut, rng):
    x, w = rng.standard_normal((64, 33)).astype(np.float32), rng.standard_normal((33, 17)).astype(np.float32)
    check(grad(lambda x, w: lnp.sum(x @ w) + lnp.sum(x[cut] ** 2)), x, w)


def test_an_interior_pad_beside_a_product(rng):
    x, w, y = (rng.standard_normal(s).astype(np.float32) for s in ((5, 7), (7, 8), (5, 4)))
    check(lambda x, w, y: x @ w + lax.pad(y, 0.0, [(0, 0, 0), (0, 1, 1)]), x, w, y)
    check(lambda x, w, y: x @ w + lax.pad(y, -1.5, [(0, 0, 0), (1, 0, 1)]), x, w, y)


def test_a_gap_beside_a_strided_input_gradient(rng):
    x, w, v = (rng.standard_normal(s).astype(np.float32) for s in ((2, 12, 12, 8), (3, 3, 8, 8), (2, 6, 6, 8)))
    gaps = [(0, 0, 0), (0, 1, 1), (1, 0, 1), (0, 0, 0)]
    check(lambda x, w, v: grad(lambda x: lnp.sum(nn.conv(x, w, stride=2, padding=1) ** 2))(x) + lax.pad(v, 0.5, gaps), x, w, v)


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, -2.5, np.inf])
def test_gaps_that_are_multiplied(value, rng):
    v, w = rng.standard_normal((64, 70)).astype(np.float32), rng.random((190, 70)).astype(np.float32)
    check(lambda v, w: lnp.sum(lax.pad(v, value, [(0, 0, 2), (0, 0, 0)]) * w), v, w)


def test_a_gap_times_infinity_is_not_a_number(rng):
    v, w = rng.standard_normal((64, 70)).astype(np.float32), rng.random((190, 70)).astype(np.float32)
    w[1, 3] = np.inf  # meets a gap
    assert np.isnan(leptonc.jit(lambda v, w: lnp.sum(lax.pad(v, 0.0, [(0, 0, 2), (0, 0, 0)]) * w))(v, w))


# Halos


def test_a_padded_table_that_is_looked_up(rng):
    e, w = rng.standard_normal((50, 8)).astype(np.float32), rng.standard_normal((4, 8)).astype(np.float32)
    i = np.array([3, 55, 50, 17])
    check(lambda e, w, i: lnp.sum(lnp.pad(e, ((0, 6), (0, 0)))[i] * w), e, w, i)
    check(lambda e, w, i: lnp.sum(lnp.pad(e, ((9, 6), (2, 1)), constant_values=2.0)[i, 1:9] * w), e, w, i)
    check(lambda e, w, i: lnp.pad(e, ((7, 0), (0, 0)))[i] @ w.T, e, w, i)


def test_a_place_far_beyond_a_padded_table(rng):
    e, w = rng.standard_normal((50, 8)).astype(np.float32), rng.standard_normal((4, 8)).astype(np.float32)
    i = np.array([3, 1 << 23, 50, 17])
    got = leptonc.jit(lambda e, w, i: lnp.sum(lnp.pad(e, ((0, 1 << 24), (0, 0)))[i] * w))(e, w, i)
    np.testing.assert_allclose(got, (e[3] * w[0] + e[17] * w[3]).sum(), rtol=1e-5)


@pytest.mark.parametrize("groups, per_group", [(2, 8), (16, 1), (1, 16)])
@pytest.mark.parametrize("pool", [nn.avg_pool, nn.max_pool])
def test_grouped_convolutions_under_a_pool(groups, per_group, pool, rng):
    units = 48 if groups < 16 else 16
    x, w = rng.standard_normal((4, 14, 8, 16)).astype(np.float32), rng.standard_normal((3, 3, per_group, units)).astype(np.float32)
    check(grad(lambda x, w: lnp.sum(pool(nn.relu(nn.conv(x, w, groups=groups)), 2) ** 2), argnums=(0, 1)), x, w)


def test_a_known_image_under_several_paddings(rng):
    w, v = rng.standard_normal((3, 3, 4, 8)).astype(np.float32), rng.standard_normal((5, 5, 4, 8)).astype(np.float32)
    for fill in (lnp.zeros, lnp.ones):
        check(lambda w, v, fill=fill: (nn.conv(fill((2, 9, 9, 4), "f4"), w, padding=1),
                                       nn.conv(fill((2, 9, 9, 4), "f4"), v, padding=2)), w, v)
        check(lambda w, fill=fill: nn.conv(fill((2, 9, 9, 4), "f4"), w[:, :, :2], padding=1, groups=2), w)


def test_one_image_under_several_paddings(rng):
    x, w, v = (rng.standard_normal(s).astype(np.float32) for s in ((2, 9, 9, 4), (3, 3, 4, 8), (5, 5, 4, 8)))
    check(lambda x, w, v: (nn.conv(nn.relu(x), w, padding=1), nn.conv(nn.relu(x), v, padding=2), nn.relu(x)), x, w, v)


def test_a_padded_copy_of_a_padded_result(rng):
    """Two copies one behind the other: the producer writes into the last."""
    x, w, v = (rng.standard_normal(s).astype(np.float32) for s in ((2, 9, 9, 4), (3, 3, 4, 8), (3, 3, 8, 8)))
    sides = ((0, 0), (1, 0), (0, 2), (0, 0))
    check(lambda x, w, v: nn.conv(lnp.pad(nn.conv(x, w), sides, constant_values=3.0), v, padding=1), x, w, v)


@pytest.mark.parametrize("reader", [
    lambda t: lax.cond(t[0, 0, 0] > 0, lambda x: lnp.max(x, (1, 2)), lambda x: lnp.min(x, (1, 2)), t),
    lambda t: lax.scan(lambda c, _: (c * 0.5 + lnp.sum(t, (1, 2)), None), lnp.zeros(2, "f4"), None, length=3)[0],
    lambda t: lax.scan(lambda c, row: (c + row, c), lnp.zeros(t.shape[1:], "f4"), t)[1],
    lambda t: lax.while_loop(lambda c: lnp.sum(c) > 100, lambda c: c * 0.5, t),
    lambda t: lnp.sort(t, 1), lambda t: lnp.cumsum(t, 1), lambda t: lnp.cumprod(t, 1), lambda t: lnp.fft.rfft(t, axis=1).real,
    lambda t: lnp.linalg.cholesky(lnp.einsum("nwc,nwd->ncd", t, t) + 9 * lnp.eye(t.shape[2], dtype="f4")),
    lambda t: lnp.take(t, lnp.argmax(t[:, :, 0], 1), 1), lambda t: t.at[:, 3].add(1.0),
], ids=lambda f: str(f.__code__.co_firstlineno))
def test_a_padded_result_is_read_by_what_is_no_nest(reader, rng):
    """Loops, branches, sorts and running sums take an array as it is."""
    x, w, v = (rng.standard_normal(s).astype(np.float32) for s in ((2, 15, 4), (3, 4, 4), (3, 4, 6)))

    def f(x, w, v):
        made = nn.gelu(nn.conv(x, w))
        return nn.conv(made, v, padding="SAME"), reader(made)

    check(f, x, w, v)
